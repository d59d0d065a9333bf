"""Alpha factors: a causal library, and an evaluation that is honest about overlap."""

from .transform import (
    as_wide as as_wide,
    lag as lag,
    mask as mask,
    neutralize as neutralize,
    rank as rank,
    winsorize as winsorize,
    zscore as zscore,
)
from .rolling import (
    market_residuals as market_residuals,
    rolling_beta as rolling_beta,
)
from .library import (
    Factor as Factor,
    LIBRARY as LIBRARY,
    amihud_illiquidity as amihud_illiquidity,
    define_factor as define_factor,
    library_table as library_table,
)
from .usable import (
    UsableFactors as UsableFactors,
    lacking_inputs as lacking_inputs,
    usable_factors as usable_factors,
)
from .own import (
    load_factors as load_factors,
)
from .inference import (
    BootstrapInterval as BootstrapInterval,
    FamaMacBethResult as FamaMacBethResult,
    MeanInference as MeanInference,
    bootstrap_interval as bootstrap_interval,
    clustered_standard_errors as clustered_standard_errors,
    default_lags as default_lags,
    fama_macbeth as fama_macbeth,
    hac_standard_errors as hac_standard_errors,
    mean_inference as mean_inference,
)
from .pictures import (
    cumulative_quantiles as cumulative_quantiles,
    ic_decay as ic_decay,
    ic_heatmap as ic_heatmap,
    ic_histogram as ic_histogram,
    ic_series as ic_series,
    quantile_bars as quantile_bars,
)
from .portfolios import (
    CapacityResult as CapacityResult,
    MonotonicityTest as MonotonicityTest,
    monotonicity_test as monotonicity_test,
)
from .evaluation import (
    FactorEvaluation as FactorEvaluation,
    evaluate_factor as evaluate_factor,
    evaluate_factors as evaluate_factors,
)
from .alphalens import (
    AlphalensData as AlphalensData,
    from_alphalens as from_alphalens,
    tear_sheet as tear_sheet,
    to_alphalens as to_alphalens,
)
from .event_study import (
    EventStudyResult as EventStudyResult,
    event_study as event_study,
)
from .factor_events import (
    FactorEventReturns as FactorEventReturns,
    factor_event_returns as factor_event_returns,
)
from .attribution import (
    AttributionResult as AttributionResult,
    attribution_by as attribution_by,
    drawdown_regime as drawdown_regime,
    factor_attribution as factor_attribution,
    rolling_attribution as rolling_attribution,
    sector_contributions as sector_contributions,
    volatility_regime as volatility_regime,
)
from .published import (
    PublishedAttribution as PublishedAttribution,
    published_attribution as published_attribution,
)
from .combination import (
    LearnedCombination as LearnedCombination,
    combination_weights as combination_weights,
    combine as combine,
    learned_combination as learned_combination,
)
from .redundancy import (
    FactorComparison as FactorComparison,
    RedundancyResult as RedundancyResult,
    cluster_factors as cluster_factors,
    compare_factors as compare_factors,
    factor_correlation as factor_correlation,
    factor_redundancy as factor_redundancy,
    redundancy_table as redundancy_table,
)
