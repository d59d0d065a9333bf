"""Could this be luck? Splits, Sharpe inference, overfitting, multiple testing, and the trial ledger."""

from .splits import (
    CombinatorialPurgedSplit as CombinatorialPurgedSplit,
    FoldChoice as FoldChoice,
    PurgedKFold as PurgedKFold,
    WalkForwardSplit as WalkForwardSplit,
    optimal_folds as optimal_folds,
)
from .sharpe import (
    AnnualizedSharpe as AnnualizedSharpe,
    DeflatedSharpeCurve as DeflatedSharpeCurve,
    PeriodSharpe as PeriodSharpe,
    annualized_sharpe_ratio as annualized_sharpe_ratio,
    best_trial as best_trial,
    deflated_sharpe_curve as deflated_sharpe_curve,
    deflated_sharpe_ratio as deflated_sharpe_ratio,
    expected_max_sharpe as expected_max_sharpe,
    min_backtest_length as min_backtest_length,
    min_track_record_length as min_track_record_length,
    probabilistic_sharpe_ratio as probabilistic_sharpe_ratio,
    sharpe_ratio as sharpe_ratio,
    sharpe_standard_error as sharpe_standard_error,
    time_aggregation_factor as time_aggregation_factor,
)
from .sharpe_estimate import (
    SharpeEstimate as SharpeEstimate,
    estimate_sharpe as estimate_sharpe,
    stationary_bootstrap_indices as stationary_bootstrap_indices,
)
from .overfitting import (
    PBONullResult as PBONullResult,
    PBOResult as PBOResult,
    pbo_under_no_skill as pbo_under_no_skill,
    probability_of_backtest_overfitting as probability_of_backtest_overfitting,
)
from .multiple_testing import (
    HaircutResult as HaircutResult,
    adjust_pvalues as adjust_pvalues,
    haircut_sharpe as haircut_sharpe,
    t_threshold as t_threshold,
)
from .effective_trials import (
    EffectiveTrialsResult as EffectiveTrialsResult,
    effective_number_of_trials as effective_number_of_trials,
    effective_trials_from_correlation as effective_trials_from_correlation,
    estimate_effective_trials as estimate_effective_trials,
)
from .data_snooping import (
    MCSResult as MCSResult,
    SPAResult as SPAResult,
    StepMResult as StepMResult,
    model_confidence_set as model_confidence_set,
    step_m as step_m,
    superior_predictive_ability as superior_predictive_ability,
)
from .deflated_sharpe import (
    DeflatedSharpeTest as DeflatedSharpeTest,
    deflated_sharpe_test as deflated_sharpe_test,
)
from .confirmation import (
    Confirmation as Confirmation,
    confirm_on_holdout as confirm_on_holdout,
    confirmation_level as confirmation_level,
    holdout_range as holdout_range,
)
from .rule import (
    RuleSimulation as RuleSimulation,
    min_years as min_years,
    simulate_rule as simulate_rule,
)
from quantlab.ledger.verification import (
    LedgerCheck as LedgerCheck,
)
from quantlab.ledger.trials import (
    Ledger as Ledger,
    MergeResult as MergeResult,
    Trials as Trials,
    merge_ledgers as merge_ledgers,
)
from quantlab.ledger.watch import (
    open_trials as open_trials,
)
