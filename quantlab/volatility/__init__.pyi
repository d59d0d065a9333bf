"""How risky is each name tomorrow: conditional variance, correlation, tails, realized variance, regimes."""

from .certificate import FitCertificate as FitCertificate
from .garch import (
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
from .exceedances import (
    ChristoffersenResult as ChristoffersenResult,
    christoffersen_from_counts as christoffersen_from_counts,
    kupiec_region as kupiec_region,
)
from .var_backtest import (
    VaRBacktest as VaRBacktest,
    backtest_var as backtest_var,
)
from .es_backtest import (
    ESBacktest as ESBacktest,
    backtest_es as backtest_es,
)
from .value_at_risk import (
    GPDFit as GPDFit,
    fit_gpd_tail as fit_gpd_tail,
    value_at_risk as value_at_risk,
)
from .diagnostics import (
    DiagnosticsResult as DiagnosticsResult,
    diagnostics as diagnostics,
)
from .evaluation import (
    DieboldMarianoResult as DieboldMarianoResult,
    MincerZarnowitzResult as MincerZarnowitzResult,
    compare_forecasts as compare_forecasts,
    diebold_mariano as diebold_mariano,
    mincer_zarnowitz as mincer_zarnowitz,
    volatility_loss as volatility_loss,
)
from .sequential_backtest import (
    SequentialVaRTest as SequentialVaRTest,
    TrafficLight as TrafficLight,
    sequential_var_test as sequential_var_test,
    traffic_light as traffic_light,
)
from .range_estimators import (
    garman_klass as garman_klass,
    parkinson as parkinson,
    rogers_satchell as rogers_satchell,
    yang_zhang as yang_zhang,
)
from .har import (
    HARFit as HARFit,
    har as har,
    harq as harq,
)
from .regimes import (
    ChangePointResult as ChangePointResult,
    RegimeFit as RegimeFit,
    change_points as change_points,
    markov_regimes as markov_regimes,
)
