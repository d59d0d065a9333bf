"""How risky is each name tomorrow: conditional variance, correlation, tails, realized variance, regimes."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
