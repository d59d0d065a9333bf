"""What it would have earned: costs, engine, strategies, a lookahead audit, performance."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
