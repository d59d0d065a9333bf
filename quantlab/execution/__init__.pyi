"""From a decision to fills: schedules of child orders, what execution costs, and the order book."""

from .schedules import (
    Schedule as Schedule,
    pov as pov,
    twap as twap,
    volume_profile as volume_profile,
    vwap as vwap,
)
