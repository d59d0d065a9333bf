"""What it would have earned: costs, engine, strategies, a lookahead audit, performance."""

from .engine import (
    BacktestResult as BacktestResult,
    run_backtest as run_backtest,
    run_backtests as run_backtests,
    sweep_returns as sweep_returns,
)
from .account import (
    AccountResult as AccountResult,
    run_account as run_account,
)
from .agreement import (
    EngineComparison as EngineComparison,
    compare_engines as compare_engines,
)
from .capacity import (
    CapacityCurve as CapacityCurve,
    capacity_curve as capacity_curve,
)
from .measured_spread import (
    MeasuredSpread as MeasuredSpread,
    measured_half_spread as measured_half_spread,
)
from .strategies import (
    equal_weight as equal_weight,
    long_short_weights as long_short_weights,
    pair_trades as pair_trades,
    pairs_weights as pairs_weights,
)
from .audit import (
    AuditResult as AuditResult,
    Leak as Leak,
    lookahead_audit as lookahead_audit,
)
from .market import (
    Market as Market,
    placebo_market as placebo_market,
)
from .families import (
    Artifact as Artifact,
    Candidate as Candidate,
    Family as Family,
    VOLATILITY as VOLATILITY,
    load_families as load_families,
    needed_artifacts as needed_artifacts,
)
from .factors_family import (
    add_factors as add_factors,
    factor_values as factor_values,
)
from .grid import (
    candidate_weights as candidate_weights,
    check_candidates as check_candidates,
    declare_candidates as declare_candidates,
    grid_returns as grid_returns,
    perturbed_grid as perturbed_grid,
    world_returns as world_returns,
)
from .sweep import (
    SweepResult as SweepResult,
    sweep as sweep,
)
from .sampling import (
    SampleResult as SampleResult,
    sample as sample,
)
from .performance import (
    PerformanceResult as PerformanceResult,
    drawdown_table as drawdown_table,
    drawdowns as drawdowns,
    expected_shortfall as expected_shortfall,
    performance_summary as performance_summary,
    value_at_risk as value_at_risk,
)
from .covariance import (
    RiskModel as RiskModel,
    covariance_forecast as covariance_forecast,
)
from .limits import (
    Limits as Limits,
)
from .portfolio import (
    ConstructionResult as ConstructionResult,
    construct as construct,
)
from .risk_check import (
    RiskForecastCheck as RiskForecastCheck,
    risk_forecast_check as risk_forecast_check,
)
from .tear_sheet import (
    TearSheet as TearSheet,
    tear_sheet as tear_sheet,
)
from .lint import (
    lint_lookahead as lint_lookahead,
)
from .sensitivity import (
    ParameterSurface as ParameterSurface,
    leave_one_out as leave_one_out,
    parameter_surface as parameter_surface,
    stress_windows as stress_windows,
    subperiods as subperiods,
)
from quantlab.trading.costs import (
    CostModel as CostModel,
    trade_cost as trade_cost,
)
