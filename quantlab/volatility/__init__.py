"""How risky is each name tomorrow: conditional variance, correlation, tails, realized variance, regimes."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "garch": ["fit_garch", "GarchFit", "FitCertificate"],
        "rolling": ["fit_garch_panel", "rolling_garch", "RollingVolatility"],
        "multivariate": ["ccc", "dcc", "DCCFit"],
        "tailrisk": [
            "backtest_var",
            "backtest_es",
            "christoffersen_from_counts",
            "kupiec_region",
            "VaRBacktest",
            "ESBacktest",
            "ChristoffersenResult",
        ],
        "value_at_risk": ["fit_gpd_tail", "value_at_risk", "GPDFit"],
        "evaluation": [
            "diagnostics", "volatility_loss", "diebold_mariano", "mincer_zarnowitz", "compare_forecasts",
            "DiagnosticsResult", "DieboldMarianoResult", "MincerZarnowitzResult",
        ],
        "monitoring": ["traffic_light", "sequential_var_test", "TrafficLight", "SequentialVaRTest"],
        "realized": [
            "parkinson", "garman_klass", "rogers_satchell", "yang_zhang", "har", "harq", "HARFit",
        ],
        "regimes": ["markov_regimes", "change_points", "RegimeFit", "ChangePointResult"],
    },
)
