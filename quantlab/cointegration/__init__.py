"""Do prices share a stochastic trend, and how fast does their spread come back?"""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
