"""What it would have earned: costs, engine, strategies, a lookahead audit, performance."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "costs": ["CostModel", "trade_cost"],
        "engine": ["BacktestResult", "run_backtest", "run_backtests", "sweep_returns"],
        "strategies": ["equal_weight", "long_short_weights", "pairs_weights", "pair_trades"],
        "audit": ["AuditResult", "Leak", "lookahead_audit"],
        "families": ["VOLATILITY", "Artifact", "Candidate", "Family", "Market", "in_world", "load_families", "market_of"],
        "factors_family": ["factor_values"],
        "grid": ["candidate_weights", "declare_candidates", "grid_returns", "perturbed_grid"],
        "performance": [
            "PerformanceResult",
            "drawdown_table",
            "drawdowns",
            "expected_shortfall",
            "performance_summary",
            "value_at_risk",
        ],
        "lint": ["lint_lookahead"],
        "sensitivity": ["ParameterSurface", "leave_one_out", "parameter_surface", "stress_windows", "subperiods"],
    },
)
