"""How risky is each name tomorrow: conditional variance, correlation, tails, realized variance, regimes."""

from .garch import (
    FitCertificate as FitCertificate,
    GarchFit as GarchFit,
    fit_garch as fit_garch,
)
from .rolling import (
    RollingVolatility as RollingVolatility,
    fit_garch_panel as fit_garch_panel,
    rolling_garch as rolling_garch,
)
from .multivariate import (
    DCCFit as DCCFit,
    ccc as ccc,
    dcc as dcc,
)
from .tailrisk import (
    ChristoffersenResult as ChristoffersenResult,
    ESBacktest as ESBacktest,
    VaRBacktest as VaRBacktest,
    backtest_es as backtest_es,
    backtest_var as backtest_var,
    christoffersen_from_counts as christoffersen_from_counts,
    kupiec_region as kupiec_region,
)
from .value_at_risk import (
    GPDFit as GPDFit,
    fit_gpd_tail as fit_gpd_tail,
    value_at_risk as value_at_risk,
)
from .evaluation import (
    DiagnosticsResult as DiagnosticsResult,
    DieboldMarianoResult as DieboldMarianoResult,
    MincerZarnowitzResult as MincerZarnowitzResult,
    compare_forecasts as compare_forecasts,
    diagnostics as diagnostics,
    diebold_mariano as diebold_mariano,
    mincer_zarnowitz as mincer_zarnowitz,
    volatility_loss as volatility_loss,
)
from .monitoring import (
    SequentialVaRTest as SequentialVaRTest,
    TrafficLight as TrafficLight,
    sequential_var_test as sequential_var_test,
    traffic_light as traffic_light,
)
from .realized import (
    HARFit as HARFit,
    garman_klass as garman_klass,
    har as har,
    harq as harq,
    parkinson as parkinson,
    rogers_satchell as rogers_satchell,
    yang_zhang as yang_zhang,
)
from .regimes import (
    ChangePointResult as ChangePointResult,
    RegimeFit as RegimeFit,
    change_points as change_points,
    markov_regimes as markov_regimes,
)
