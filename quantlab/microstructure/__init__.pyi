"""What trading itself does to prices: ticks and bars, and the spread between bid and ask."""

from .arrivals import (
    arrival_asymmetry as arrival_asymmetry,
    session_vwap as session_vwap,
    vwap_distance as vwap_distance,
)
from .bar_panel import bars_panel as bars_panel
from .bars import BarBuilder as BarBuilder, Bars as Bars, bars as bars
from .bounce import bounce_bars as bounce_bars
from .imbalance import (
    order_flow_imbalance as order_flow_imbalance,
    queue_imbalance as queue_imbalance,
)
from .intraday_evaluation import (
    IntradayEvaluation as IntradayEvaluation,
    evaluate_intraday_feature as evaluate_intraday_feature,
)
from .kyle import (
    KyleEquilibrium as KyleEquilibrium,
    KyleLambda as KyleLambda,
    kyle_equilibrium as kyle_equilibrium,
    kyle_lambda as kyle_lambda,
)
from .liquidity import amihud_illiquidity as amihud_illiquidity
from .many_features import (
    IntradayComparison as IntradayComparison,
    compare_intraday_features as compare_intraday_features,
)
from .news import KnownAt as KnownAt, event_windows as event_windows, known_at as known_at
from .order_flow_market import (
    OrderFlowMarket as OrderFlowMarket,
    OrderFlowModel as OrderFlowModel,
    order_flow_sessions as order_flow_sessions,
    simulate_order_flow as simulate_order_flow,
)
from .overlap import (
    WindowCorrelation as WindowCorrelation,
    window_correlation as window_correlation,
)
from .pin import PINFit as PINFit, fit_pin as fit_pin
from .profile import (
    AdaptiveVolatility as AdaptiveVolatility,
    SessionProfile as SessionProfile,
    adaptive_volatility as adaptive_volatility,
    session_profile as session_profile,
)
from .realized import (
    JumpTest as JumpTest,
    bipower_variation as bipower_variation,
    jump_test as jump_test,
    realized_variance as realized_variance,
)
from .sessions import session_numbers as session_numbers, session_returns as session_returns
from .signs import sign_trades as sign_trades
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
from .toxicity import VPINResult as VPINResult, vpin as vpin
from .trade_costs import TradeCosts as TradeCosts, trade_costs as trade_costs
from .windows import forward_windows as forward_windows
