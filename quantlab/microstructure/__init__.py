"""What trading itself does to prices: ticks and bars, and the spread between bid and ask."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
