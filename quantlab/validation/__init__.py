"""Could this be luck? Splits, Sharpe inference, overfitting, multiple testing, and the trial ledger."""

from quantlab import attach_wing

__getattr__, __dir__, __all__ = attach_wing(
    __name__,
    {
        "splits": [
            "CombinatorialPurgedSplit",
            "FoldChoice",
            "PurgedKFold",
            "WalkForwardSplit",
            "optimal_folds",
        ],
        "sharpe": [
            "AnnualizedSharpe",
            "DeflatedSharpeCurve",
            "PeriodSharpe",
            "annualized_sharpe_ratio",
            "best_trial",
            "deflated_sharpe_curve",
            "deflated_sharpe_ratio",
            "expected_max_sharpe",
            "min_backtest_length",
            "min_track_record_length",
            "probabilistic_sharpe_ratio",
            "sharpe_ratio",
            "sharpe_standard_error",
            "time_aggregation_factor",
        ],
        "sharpe_estimate": ["SharpeEstimate", "estimate_sharpe", "stationary_bootstrap_indices"],
        "overfitting": [
            "PBONullResult",
            "PBOResult",
            "pbo_under_no_skill",
            "probability_of_backtest_overfitting",
        ],
        "multiple_testing": ["HaircutResult", "adjust_pvalues", "haircut_sharpe", "t_threshold"],
        "effective_trials": [
            "EffectiveTrialsResult",
            "effective_number_of_trials",
            "effective_trials_from_correlation",
            "estimate_effective_trials",
        ],
        "data_snooping": [
            "MCSResult",
            "SPAResult",
            "StepMResult",
            "model_confidence_set",
            "step_m",
            "superior_predictive_ability",
        ],
        "trials": [
            "Ledger",
            "LedgerCheck",
            "MergeResult",
            "Trials",
            "merge_ledgers",
            "open_trials",
        ],
    },
)
