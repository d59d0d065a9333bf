"""Could this be luck? Splits, Sharpe inference, overfitting, multiple testing, and the trial ledger."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, __file__)
