"""From ticks to features, labels and what they predict, and what trading itself does to prices."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
