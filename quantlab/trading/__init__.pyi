"""What an order is, what it costs, and who may stop it."""

from .costs import (
    CostModel as CostModel,
    trade_cost as trade_cost,
)
