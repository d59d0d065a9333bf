"""What trading itself does to prices: ticks and bars, and the spread between bid and ask."""

from .bar_panel import bars_panel as bars_panel
from .bars import BarBuilder as BarBuilder, Bars as Bars, bars as bars
from .bounce import bounce_bars as bounce_bars
from .order_flow_market import (
    OrderFlowMarket as OrderFlowMarket,
    OrderFlowModel as OrderFlowModel,
    order_flow_sessions as order_flow_sessions,
    simulate_order_flow as simulate_order_flow,
)
from .spreads import (
    SpreadEstimate as SpreadEstimate,
    abdi_ranaldo_spread as abdi_ranaldo_spread,
    corwin_schultz_spread as corwin_schultz_spread,
    roll_spread as roll_spread,
)
from .tick_chunks import tick_chunks as tick_chunks
from .tick_quality import (
    TickQuality as TickQuality,
    check_ticks as check_ticks,
    estimate_tick_size as estimate_tick_size,
)
from .ticks import Ticks as Ticks, load_ticks as load_ticks
