"""The floor: events, feeds, venues and an engine that trades a sealed bundle as they come."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
