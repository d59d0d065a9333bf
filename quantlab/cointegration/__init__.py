"""Do prices share a stochastic trend, and how fast does their spread come back?"""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(__name__, {
    "unitroot": [
        "adf", "dfgls", "kpss", "phillips_perron", "variance_ratio", "zivot_andrews", "UnitRootResult",
    ],
    "engle_granger": [
        "engle_granger", "phillips_ouliaris", "mackinnon_pvalue", "mackinnon_critical_values",
        "EngleGrangerResult", "PhillipsOuliarisResult",
    ],
    "johansen": ["johansen", "JohansenResult", "RestrictionTest", "VECMFit"],
    "spread": [
        "bertram_thresholds", "half_life", "ou_fit", "HalfLifeResult", "OUFit", "ThresholdResult",
    ],
    "screen": ["screen_pairs", "PairScreen"],
    "robust": [
        "engle_granger_bootstrap", "gregory_hansen", "johansen_bootstrap", "BootstrapResult",
        "GregoryHansenResult", "JohansenBootstrapResult",
    ],
    "johansen_pairs": ["screen_johansen", "JohansenScreen"],
    "monitor": ["monitor_relation", "RelationMonitor"],
    "hedge": ["filtered_level", "hedge_ratios", "kalman_hedge_ratio", "kalman_hedge_ratios"],
})
