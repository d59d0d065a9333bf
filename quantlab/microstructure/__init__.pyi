"""From ticks to features, labels and what they predict, and what trading itself does to prices."""

from .bounce import (
    bounce_bars as bounce_bars,
)
from .spreads import (
    SpreadEstimate as SpreadEstimate,
    abdi_ranaldo_spread as abdi_ranaldo_spread,
    corwin_schultz_spread as corwin_schultz_spread,
    roll_spread as roll_spread,
)
from .ticks import (
    Ticks as Ticks,
    load_ticks as load_ticks,
)
from .tick_chunks import (
    tick_chunks as tick_chunks,
)
from .tick_quality import (
    TickQuality as TickQuality,
    check_ticks as check_ticks,
    estimate_tick_size as estimate_tick_size,
)
from .bars import (
    BarBuilder as BarBuilder,
    Bars as Bars,
    bars as bars,
)
from .order_flow_market import (
    OrderFlowMarket as OrderFlowMarket,
    OrderFlowModel as OrderFlowModel,
    order_flow_sessions as order_flow_sessions,
    simulate_order_flow as simulate_order_flow,
)
from .bar_panel import (
    bars_panel as bars_panel,
)
from .signs import (
    sign_trades as sign_trades,
)
from .imbalance import (
    order_flow_imbalance as order_flow_imbalance,
    queue_imbalance as queue_imbalance,
)
from .toxicity import (
    VPINResult as VPINResult,
    vpin as vpin,
)
from .pin import (
    PINFit as PINFit,
    fit_pin as fit_pin,
)
from .kyle import (
    KyleEquilibrium as KyleEquilibrium,
    KyleLambda as KyleLambda,
    kyle_equilibrium as kyle_equilibrium,
    kyle_lambda as kyle_lambda,
)
from .trade_costs import (
    TradeCosts as TradeCosts,
    trade_costs as trade_costs,
)
from .liquidity import (
    amihud_illiquidity as amihud_illiquidity,
)
from .arrivals import (
    arrival_asymmetry as arrival_asymmetry,
    session_vwap as session_vwap,
    vwap_distance as vwap_distance,
)
from .events import (
    cusum_filter as cusum_filter,
)
from .barriers import (
    triple_barrier as triple_barrier,
)
from .uniqueness import (
    average_uniqueness as average_uniqueness,
    draw_probabilities as draw_probabilities,
    label_concurrency as label_concurrency,
    sequential_bootstrap as sequential_bootstrap,
)
from .weights import (
    sample_weights as sample_weights,
    time_decay as time_decay,
)
from .fractional import (
    FractionalOrder as FractionalOrder,
    fractional_difference as fractional_difference,
    fractional_weights as fractional_weights,
    minimum_fractional_order as minimum_fractional_order,
)
from .purging import (
    check_purged as check_purged,
    label_overlap as label_overlap,
)
from .sessions import (
    session_numbers as session_numbers,
    session_returns as session_returns,
)
from .realized import (
    JumpTest as JumpTest,
    bipower_variation as bipower_variation,
    jump_test as jump_test,
    realized_variance as realized_variance,
)
from .profile import (
    AdaptiveVolatility as AdaptiveVolatility,
    SessionProfile as SessionProfile,
    adaptive_volatility as adaptive_volatility,
    session_profile as session_profile,
)
from .news import (
    KnownAt as KnownAt,
    event_windows as event_windows,
    known_at as known_at,
)
from .windows import (
    forward_windows as forward_windows,
)
from .overlap import (
    WindowCorrelation as WindowCorrelation,
    window_correlation as window_correlation,
)
from .intraday_evaluation import (
    IntradayEvaluation as IntradayEvaluation,
    evaluate_intraday_feature as evaluate_intraday_feature,
)
from .many_features import (
    IntradayComparison as IntradayComparison,
    compare_intraday_features as compare_intraday_features,
)
