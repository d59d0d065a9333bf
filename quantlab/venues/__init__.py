"""What a firm has already: streams, stores, brokers and a second engine, behind the verbs of the floor."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
