"""What risk reads: the verdict, the pictures and the document."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
