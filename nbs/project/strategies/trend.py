"""Trend: what has risen is held long, what has fallen short, each by its own risk."""

import numpy as np
import pandas as pd

from quantlab.backtest import Family, Market, placebo_market


def weights(
    market: Market, *, window: int = 120, rebalance_every: int = 21, long_only: bool = False
) -> pd.DataFrame:
    "Inverse-volatility weights by the sign of the last `window` days, traded every so many days"
    member = market.membership.loc[market.start :]
    side = np.sign(market.panel.log_prices.diff(window).loc[market.start :])
    side = side.where(member, 0.0).fillna(0.0).clip(lower=0.0 if long_only else -1.0)
    size = side / market.volatility.where(market.volatility > 0)
    held = size.div(size.abs().sum(axis=1).replace(0.0, np.nan), axis=0).fillna(0.0)
    trades = pd.Series(np.arange(len(held)) % rebalance_every == 0, held.index)
    return held.where(trades, np.nan).mask(~member, 0.0)  # a name that leaves is sold at once


TREND = Family(
    "trend",
    hypothesis="News is taken in slowly and money follows money, so that what has risen goes on.",
    # type, range, default
    parameters={
        "window": (int, (5, 500), 120),
        "rebalance_every": (int, (1, 250), 21),
        "long_only": (bool, None, False),
    },
    weights=weights,
    # in a world without an edge it decides anew; or a sentence that says why it keeps its decisions
    placebo=placebo_market,
    failure_modes=(
        "The market turns faster than the window, and the book is short into the recovery.",
        "A market that goes sideways is bought at its highs and sold at its lows.",
    ),
)
