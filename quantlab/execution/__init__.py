"""From a decision to fills: schedules of child orders, quotes, and an order book with known answers."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
