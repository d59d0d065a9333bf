"""What was tried: an append-only ledger, chained by hashes."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
