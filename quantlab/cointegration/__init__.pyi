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
from .engle_granger import (
    EngleGrangerResult as EngleGrangerResult,
    PhillipsOuliarisResult as PhillipsOuliarisResult,
    engle_granger as engle_granger,
    mackinnon_critical_values as mackinnon_critical_values,
    mackinnon_pvalue as mackinnon_pvalue,
    phillips_ouliaris as phillips_ouliaris,
)
from .johansen import (
    JohansenResult as JohansenResult,
    RestrictionTest as RestrictionTest,
    VECMFit as VECMFit,
    johansen as johansen,
)
from .spread import (
    HalfLifeResult as HalfLifeResult,
    OUFit as OUFit,
    ThresholdResult as ThresholdResult,
    bertram_thresholds as bertram_thresholds,
    half_life as half_life,
    ou_fit as ou_fit,
)
from .screen import (
    PairScreen as PairScreen,
    screen_pairs as screen_pairs,
)
from .robust import (
    BootstrapResult as BootstrapResult,
    GregoryHansenResult as GregoryHansenResult,
    JohansenBootstrapResult as JohansenBootstrapResult,
    engle_granger_bootstrap as engle_granger_bootstrap,
    gregory_hansen as gregory_hansen,
    johansen_bootstrap as johansen_bootstrap,
)
from .johansen_pairs import (
    JohansenScreen as JohansenScreen,
    screen_johansen as screen_johansen,
)
from .monitor import (
    RelationMonitor as RelationMonitor,
    monitor_relation as monitor_relation,
)
from .hedge import (
    filtered_level as filtered_level,
    hedge_ratios as hedge_ratios,
    kalman_hedge_ratio as kalman_hedge_ratio,
    kalman_hedge_ratios as kalman_hedge_ratios,
)
from .formation import (
    FormationScreen as FormationScreen,
    formation_windows as formation_windows,
    screen_formations as screen_formations,
)
