"""How risky is each name tomorrow: conditional variance, realized variance, correlation, tails and regimes."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "garch": ["fit_garch", "GarchFit", "FitCertificate"],
        "rolling": ["fit_garch_panel", "rolling_garch", "RollingVolatility"],
        "tailrisk": [
            "backtest_var",
            "backtest_es",
            "christoffersen_from_counts",
            "kupiec_region",
            "VaRBacktest",
            "ESBacktest",
            "ChristoffersenResult",
        ],
    },
)
