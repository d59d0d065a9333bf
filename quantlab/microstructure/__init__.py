"""What trading itself does to prices: the spread between bid and ask, measured from daily bars."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
