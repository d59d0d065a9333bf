"""The exit: sealed bundles, limits, a reference broker, the paper engine and its monitor."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
