"""From a hypothesis in a notebook to a paper-trading hand-over, counting every attempt."""

from . import (
    backtest as backtest,
    cointegration as cointegration,
    data as data,
    execution as execution,
    factors as factors,
    handoff as handoff,
    ledger as ledger,
    live as live,
    microstructure as microstructure,
    review as review,
    simulate as simulate,
    trading as trading,
    validation as validation,
    venues as venues,
    volatility as volatility,
)

__version__: str
