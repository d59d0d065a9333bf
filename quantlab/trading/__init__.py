"""What an order is, what it costs, and who may stop it."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
