"""What could be known when: panels, their errors, who was in the index, and returns."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
