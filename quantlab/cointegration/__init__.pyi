"""Do prices share a stochastic trend, and how fast does their spread come back?"""

from .unitroot import (
    UnitRootResult as UnitRootResult,
    adf as adf,
    dfgls as dfgls,
    kpss as kpss,
    phillips_perron as phillips_perron,
    variance_ratio as variance_ratio,
    zivot_andrews as zivot_andrews,
)
from .mackinnon import (
    mackinnon_critical_values as mackinnon_critical_values,
    mackinnon_pvalue as mackinnon_pvalue,
)
from .engle_granger import (
    EngleGrangerResult as EngleGrangerResult,
    PhillipsOuliarisResult as PhillipsOuliarisResult,
    engle_granger as engle_granger,
    phillips_ouliaris as phillips_ouliaris,
)
from .reduced_rank import (
    RestrictionTest as RestrictionTest,
    VECMFit as VECMFit,
)
from .johansen import (
    JohansenResult as JohansenResult,
    johansen as johansen,
)
from .mean_reversion import (
    HalfLifeResult as HalfLifeResult,
    half_life as half_life,
)
from .ornstein_uhlenbeck import (
    OUFit as OUFit,
    ThresholdResult as ThresholdResult,
    bertram_thresholds as bertram_thresholds,
    ou_fit as ou_fit,
)
from .screen import (
    PairScreen as PairScreen,
    screen_pairs as screen_pairs,
)
from .kalman import (
    filtered_level as filtered_level,
    kalman_hedge_ratio as kalman_hedge_ratio,
    kalman_hedge_ratios as kalman_hedge_ratios,
)
from .hedge import hedge_ratios as hedge_ratios
from .bootstrap import (
    BootstrapResult as BootstrapResult,
    JohansenBootstrapResult as JohansenBootstrapResult,
    engle_granger_bootstrap as engle_granger_bootstrap,
    johansen_bootstrap as johansen_bootstrap,
)
from .structural_break import (
    GregoryHansenResult as GregoryHansenResult,
    gregory_hansen as gregory_hansen,
)
from .break_detection import (
    BreakDetection as BreakDetection,
    detect_break as detect_break,
)
from .johansen_pairs import (
    JohansenScreen as JohansenScreen,
    screen_johansen as screen_johansen,
)
from .formation import (
    FormationScreen as FormationScreen,
    formation_windows as formation_windows,
    screen_formations as screen_formations,
)
