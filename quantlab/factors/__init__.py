"""Alpha factors: a causal library, and an evaluation that is honest about overlap."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "transform": ["as_wide", "winsorize", "zscore", "rank", "neutralize", "lag", "mask"],
        "rolling": ["rolling_beta", "market_residuals"],
        "library": ["LIBRARY", "Factor", "amihud_illiquidity", "define_factor", "library_table"],
        "inference": [
            "hac_standard_errors",
            "clustered_standard_errors",
            "fama_macbeth",
            "FamaMacBethResult",
            "mean_inference",
            "MeanInference",
            "bootstrap_interval",
            "BootstrapInterval",
            "default_lags",
        ],
        "evaluation": [
            "evaluate_factor",
            "FactorEvaluation",
            "CapacityResult",
            "monotonicity_test",
            "MonotonicityTest",
        ],
        "alphalens": [
            "to_alphalens",
            "from_alphalens",
            "AlphalensData",
            "plot_cumulative_returns",
            "plot_ic",
            "plot_ic_distribution",
            "plot_ic_heatmap",
            "plot_decay",
            "tear_sheet",
        ],
        "attribution": [
            "factor_attribution",
            "AttributionResult",
            "rolling_attribution",
            "attribution_by",
            "volatility_regime",
            "drawdown_regime",
            "sector_contributions",
        ],
        "combination": [
            "combine",
            "combination_weights",
            "learned_combination",
            "LearnedCombination",
        ],
        "redundancy": [
            "compare_factors",
            "FactorComparison",
            "factor_correlation",
            "cluster_factors",
            "factor_redundancy",
            "redundancy_table",
            "RedundancyResult",
        ],
    },
)
