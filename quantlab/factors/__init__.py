"""Alpha factors: a causal library, and an evaluation that is honest about overlap."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
