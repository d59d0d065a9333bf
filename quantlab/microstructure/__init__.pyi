"""What trading itself does to prices: ticks and bars, and the spread between bid and ask."""

from .bars import BarBuilder as BarBuilder, Bars as Bars, bars as bars
from .bounce import bounce_bars as bounce_bars
from .spreads import (
    SpreadEstimate as SpreadEstimate,
    abdi_ranaldo_spread as abdi_ranaldo_spread,
    corwin_schultz_spread as corwin_schultz_spread,
    roll_spread as roll_spread,
)
from .ticks import Ticks as Ticks, load_ticks as load_ticks
