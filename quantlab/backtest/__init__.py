"""What it would have earned: costs, engine, strategies, a lookahead audit, performance."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "costs": ["CostModel", "trade_cost"],
        "engine": ["BacktestResult", "run_backtest", "run_backtests", "sweep_returns"],
        "strategies": ["equal_weight", "long_short_weights", "pairs_weights", "pair_trades"],
        "audit": ["AuditResult", "Leak", "lookahead_audit"],
        "candidates": [
            "Candidate",
            "Market",
            "candidate_weights",
            "declare_candidates",
            "factor_values",
            "grid_returns",
            "in_world",
            "market_of",
            "perturbed_grid",
        ],
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
