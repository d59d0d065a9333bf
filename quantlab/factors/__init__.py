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
            "monotonicity_test",
            "MonotonicityTest",
        ],
        "attribution": ["factor_attribution", "AttributionResult"],
        "combination": ["combine", "combination_weights"],
    },
)
