"""Do prices share a stochastic trend, and how fast does their spread come back?"""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "unitroot": [
            "UnitRootResult",
            "adf",
            "dfgls",
            "kpss",
            "phillips_perron",
            "variance_ratio",
            "zivot_andrews",
        ],
        "engle_granger": [
            "EngleGrangerResult",
            "PhillipsOuliarisResult",
            "engle_granger",
            "mackinnon_critical_values",
            "mackinnon_pvalue",
            "phillips_ouliaris",
        ],
        "johansen": ["JohansenResult", "RestrictionTest", "VECMFit", "johansen"],
        "spread": [
            "HalfLifeResult",
            "OUFit",
            "ThresholdResult",
            "bertram_thresholds",
            "half_life",
            "ou_fit",
        ],
        "screen": ["PairScreen", "screen_pairs"],
        "robust": [
            "BootstrapResult",
            "GregoryHansenResult",
            "JohansenBootstrapResult",
            "engle_granger_bootstrap",
            "gregory_hansen",
            "johansen_bootstrap",
        ],
        "johansen_pairs": ["JohansenScreen", "screen_johansen"],
        "monitor": ["RelationMonitor", "monitor_relation"],
        "hedge": ["filtered_level", "hedge_ratios", "kalman_hedge_ratio"],
        "formation": ["FormationScreen", "formation_windows", "screen_formations"],
    },
)
