"""Bad input for every public function of validation, microstructure, backtest and review: one
sentence, never a number.

Each function has a call that works and, by parameter, what may be wrong with it. A new public
function without a row fails `test_every_public_function_has_a_row`.
"""

# ruff: noqa: E501  (a row of the table is a line)
import inspect
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from quantlab import backtest as b
from quantlab import microstructure as m
from quantlab import review as r
from quantlab import validation as v
from quantlab.data import Panel
from quantlab.errors import QuantlabError

mpl.use("agg")
RNG = np.random.default_rng(0)
N = 320
DATES = pd.bdate_range("2015-01-05", periods=N, name="date")
NAMES = [f"a{i}" for i in range(5)]
FRAME = pd.DataFrame(RNG.normal(0.0004, 0.01, (N, 5)), index=DATES, columns=NAMES)
SERIES = FRAME["a0"]
LOSSES = FRAME.abs()
WEIGHTS = (FRAME > 0) / 5.0
MASK = FRAME > -1
VOLUME = FRAME.abs() * 1e9 + 1e6
SIGMA = FRAME.abs() * 0 + 0.01
LOGS = FRAME.cumsum() + 4
GROUPS = pd.Series(["x", "x", "y", "y", "y"], index=NAMES)
PAIRS = pd.DataFrame(
    {
        "window": 1,
        "y": "a0",
        "x": "a1",
        "hedge_ratio": 1.0,
        "intercept": 0.0,
        "spread_mean": 0.0,
        "spread_std": 0.01,
        "trade_start": DATES[100],
        "trade_end": DATES[200],
    },
    index=[0],
)


def swap(frame, value, at=(7, 2)):
    "`frame` with one other value"
    changed = frame.astype(object) if isinstance(value, str) else frame.copy()
    if isinstance(changed, pd.Series):
        changed.iloc[at[0]] = value
    else:
        changed.iloc[at] = value
    return changed


def tables(frame, *, gaps=False, short=3, flat=False, flip=False, narrow=False, empty=True):
    "What can be wrong with a table or a series of numbers, dates in rows"
    bad = {
        "text": swap(frame, "x"),
        "infinite": swap(frame, np.inf),
        "twice": pd.concat([frame, frame]),
        "unsorted": frame[::-1],
        "time zone": frame.tz_localize("UTC"),
        "nothing": frame[:0],
        "no table": "returns",
        "none": None,
    }
    if empty:
        bad["all missing"] = frame * np.nan
    if not gaps:
        bad["missing"] = swap(frame, np.nan)
    if short:
        bad["short"] = frame[:short]
    if flat:
        bad["constant"] = frame * 0 + 0.01
    if isinstance(frame, pd.DataFrame):
        bad["columns twice"] = pd.concat([frame, frame], axis=1)
        if flip:
            bad["transposed"] = frame.T
        if narrow:
            bad["one column"] = frame[["a0"]]
    return bad


def numbers(*also, none=True):
    "What is no number, or is out of range"
    bad = {"nan": np.nan, "infinite": np.inf, "text": "1", "true": True, "list": [0.1, 0.2]}
    if none:
        bad["none"] = None
    return bad | {repr(value): value for value in also}


def counts(*also, none=True):
    "What is no count"
    return numbers(-1, 1.5, *also, none=none)


def options(*also):
    "What is no name of an option"
    return {"unknown": "sideways", "number": 3, "list": ["x"]} | {repr(a): a for a in also}


def misaligned(frame):
    "Tables that lie beside the others, not on them"
    return {"other dates": frame.shift(1, freq="D"), "fewer rows": frame[10:]}


def names_off(frame):
    "Tables with other columns"
    return misaligned(frame) | {"other names": frame.add_prefix("z")}


PER_YEAR = numbers(0, -252.0)
MOMENTS = {"skewness": numbers(), "kurtosis": numbers(0.5)}
RHO = numbers(1.0, -1.0)
SHARPE = {"sharpe": numbers()}
BLOCKS = {"n_blocks": counts(0, 1, 3, 26)}
ROWS = {}


def row(function, good, bad):
    "Register a function: keyword arguments that work, and what is wrong by parameter"
    ROWS[f"{function.__module__}.{function.__name__}"] = (function, good, bad)


# --- validation ---------------------------------------------------------------------------------

row(
    v.sharpe_ratio,
    {"returns": SERIES},
    {"returns": tables(SERIES, short=1, flat=True), "risk_free": numbers()},
)
row(
    v.annualized_sharpe_ratio,
    {"returns": SERIES, "periods_per_year": 252},
    {
        "returns": tables(SERIES, short=1, flat=True),
        "periods_per_year": PER_YEAR,
        "risk_free": misaligned(SERIES),
    },
)
row(
    v.sharpe_standard_error,
    {"sharpe": 0.1, "n_obs": 100},
    SHARPE | MOMENTS | {"n_obs": counts(0, 1), "autocorrelation": RHO},
)
row(
    v.probabilistic_sharpe_ratio,
    {"sharpe": 0.1, "n_obs": 100},
    SHARPE
    | MOMENTS
    | {
        "n_obs": counts(1),
        "benchmark": numbers(),
        "autocorrelation": RHO,
        "revision": options(None),
    },
)
row(
    v.deflated_sharpe_ratio,
    {"sharpe": 0.1, "n_obs": 100, "n_trials": 5, "sharpe_variance": 0.01},
    SHARPE
    | MOMENTS
    | {
        "n_obs": counts(1),
        "n_trials": numbers(0, 0.5, -3),
        "sharpe_variance": numbers(-0.1),
        "autocorrelation": RHO,
        "revision": options(None),
    },
)
row(
    v.deflated_sharpe_curve,
    {"sharpe": 0.1, "n_obs": 100, "sharpe_variance": 0.01},
    SHARPE
    | MOMENTS
    | {
        "n_obs": counts(1),
        "sharpe_variance": numbers(-0.1),
        "revision": options(None),
        "marks": {
            "text": {"a": "x"},
            "nan": {"a": np.nan},
            "below one": {"a": 0.5},
            "no dict": [5],
            "number": 5,
        },
        "max_trials": numbers(1, 0),
        "threshold": numbers(0.0, 1.0, 2.0),
    },
)
row(
    v.expected_max_sharpe,
    {"n_trials": 5},
    {"n_trials": numbers(0, 0.9), "sharpe_variance": numbers(-1.0)},
)
row(
    v.min_backtest_length,
    {"n_trials": 5},
    {"n_trials": numbers(0), "target_annual_sharpe": numbers(0, -1.0)},
)
row(
    v.min_track_record_length,
    {"sharpe": 0.1},
    SHARPE
    | MOMENTS
    | {
        "benchmark": numbers(),
        "confidence": numbers(0.5, 1.0),
        "autocorrelation": RHO,
        "revision": options(None),
    },
)
row(
    v.time_aggregation_factor,
    {"n_periods": 12},
    {
        "n_periods": counts(0),
        "autocorrelation": numbers(1.0, -1.0)
        | {"list": [0.1, np.nan], "text list": ["x"], "impossible": [-1.0, -1.0]},
    },
)
row(
    v.estimate_sharpe,
    {"returns": SERIES, "method": "bootstrap", "seed": 0, "n_resamples": 50},
    {
        "returns": tables(SERIES, flat=True),
        "confidence": numbers(0.0, 1.0),
        "method": options(None),
        "seed": counts(),
        "n_resamples": counts(0),
        "block_size": numbers(0, 0.5, 1e6, none=False),
        "risk_free": numbers() | misaligned(SERIES),
    },
)
row(
    v.stationary_bootstrap_indices,
    {"n_obs": 20, "block_size": 3, "n_resamples": 4, "rng": RNG},
    {
        "n_obs": counts(0),
        "block_size": numbers(0.5, 21),
        "n_resamples": counts(0),
        "rng": {"seed": 3, "none": None},
    },
)
row(
    v.probability_of_backtest_overfitting,
    {"trial_returns": FRAME, "n_blocks": 8},
    {
        "trial_returns": tables(FRAME, flat=True, flip=True, narrow=True)
        | {
            "ragged": [[0.1, 0.2], [0.3]],
            "one series": SERIES,
            "three dimensions": np.zeros((3, 3, 3)),
            "no dates, transposed": FRAME.to_numpy().T,
        }
    }
    | BLOCKS,
)
row(
    v.pbo_under_no_skill,
    {"trial_returns": FRAME, "n_blocks": 4, "n_resamples": 100, "seed": 0},
    {
        "trial_returns": tables(FRAME, flat=True, flip=True, narrow=True),
        "n_resamples": counts(0),
        "seed": counts(),
        "block_size": numbers(0.5, 1e6, none=False),
    }
    | BLOCKS,
)
row(
    v.adjust_pvalues,
    {"pvalues": [0.01, 0.4], "method": "bh"},
    {
        "pvalues": {
            "nan": [0.1, np.nan],
            "above one": [1.2],
            "negative": [-0.1],
            "text": ["x"],
            "nothing": [],
            "two dimensions": [[0.1], [0.2]],
            "number": 0.1,
            "none": None,
        },
        "method": options(None),
    },
)
row(
    v.haircut_sharpe,
    {
        "annual_sharpe": 1.0,
        "n_obs": 240,
        "periods_per_year": 12,
        "n_tests": 5,
        "method": "holm",
        "other_pvalues": [0.1] * 4,
    },
    {
        "annual_sharpe": numbers(0, -1.0),
        "n_obs": counts(2),
        "periods_per_year": PER_YEAR,
        "n_tests": counts(0),
        "autocorrelation": RHO,
        "method": options(None),
        "distribution": options(),
        "other_pvalues": {
            "too few": [0.1],
            "above one": [0.1, 0.1, 0.1, 3.0],
            "none": None,
            "nan": [0.1, 0.1, 0.1, np.nan],
            "text": ["x"] * 4,
        },
    },
)
row(v.t_threshold, {"n_tests": 5}, {"n_tests": counts(0), "alpha": numbers(0.0, 1.0)})
TRIALS = {"trial_returns": tables(FRAME, flat=True, flip=True)}
row(
    v.effective_number_of_trials,
    {"trial_returns": FRAME},
    TRIALS | {"method": options(None), "threshold": numbers(-0.1, 1.1)},
)
row(
    v.estimate_effective_trials,
    {"trial_returns": FRAME, "n_resamples": 20, "seed": 0},
    TRIALS
    | {
        "method": options(None),
        "threshold": numbers(1.1),
        "confidence": numbers(0.0, 1.0),
        "n_resamples": counts(0),
        "seed": counts(),
        "block_size": numbers(0.5, 1e6, none=False),
    },
)
row(
    v.effective_trials_from_correlation,
    {"n_trials": 5, "average_correlation": 0.3},
    {"n_trials": counts(0), "average_correlation": numbers(1.1, -0.9)},
)
RESAMPLED = {"block_size": numbers(0, 0.5, 1e6), "n_resamples": counts(0), "seed": counts()}
AGAINST = {
    "benchmark_losses": tables(SERIES, short=1) | misaligned(SERIES),
    "model_losses": tables(FRAME, short=1, flip=True) | misaligned(FRAME),
}
MODELS = {
    "benchmark_losses": SERIES,
    "model_losses": FRAME,
    "block_size": 5,
    "n_resamples": 100,
    "seed": 0,
}
row(v.superior_predictive_ability, MODELS, AGAINST | RESAMPLED)
row(
    v.deflated_sharpe_test,
    {"trial_returns": FRAME, "n_resamples": 500, "block_length": 3, "seed": 0},
    {
        "trial_returns": tables(FRAME, flip=True),
        "selected": {"unknown": "z"},
        "n_trials": counts(0, 1, none=False),
        "block_length": numbers(0.5),
        "n_resamples": counts(0),
        "seed": counts(none=False),
        "size": numbers(0.0, 1.0),
    },
)
row(
    v.min_years,
    {"true_sharpe": 1.0},
    {
        "true_sharpe": numbers(0.0),
        "n_trials": numbers(0.5),
        "power": numbers(0.0, 1.0),
        "size": numbers(0.0, 1.0),
    },
)
row(
    v.simulate_rule,
    {
        "trial_returns": FRAME,
        "n_holdout": 20,
        "periods_per_year": 252,
        "n_worlds": 20,
        "n_resamples": 99,
        "block_length": 3,
        "seed": 0,
    },
    {
        "trial_returns": tables(FRAME, flip=True),
        "candidate": {"unknown": "z"},
        "n_trials": counts(0, 1, none=False),
        "n_holdout": counts(0),
        "n_openings": counts(0),
        "periods_per_year": numbers(0.0),
        "size": numbers(0.0, 1.0),
        "true_sharpe": {"zero": (0.0,), "text": ("a",)},
        "n_worlds": counts(0),
        "block_length": numbers(0.5),
        "n_resamples": counts(0),
        "seed": counts(none=False),
        "n_jobs": {"zero": 0, "minus two": -2, "half": 0.5, "text": "all"},
    },
)
row(v.step_m, MODELS, AGAINST | RESAMPLED | {"size": numbers(0.0, 1.0)})
row(
    v.model_confidence_set,
    {"losses": LOSSES, "block_size": 5, "n_resamples": 100, "seed": 0},
    {
        "losses": tables(LOSSES, short=1, flip=True, narrow=True),
        "size": numbers(0.0, 1.0),
        "method": options(None),
    }
    | RESAMPLED,
)
row(
    v.optimal_folds,
    {"n_obs": 100, "target_train_size": 60, "target_n_paths": 3},
    {
        "n_obs": counts(3),
        "target_train_size": counts(0, 100),
        "target_n_paths": counts(0),
        "max_splits": counts(1),
    },
)
row(v.PurgedKFold, {"n_folds": 5}, {"n_folds": counts(1), "purge": counts(), "embargo": counts()})
row(
    v.CombinatorialPurgedSplit,
    {"n_folds": 5, "n_test_folds": 2},
    {"n_folds": counts(1), "n_test_folds": counts(0, 5), "purge": counts(), "embargo": counts()},
)
row(
    v.WalkForwardSplit,
    {"train_size": 10, "test_size": 5},
    {
        "train_size": counts(0),
        "test_size": counts(0),
        "step": counts(0, none=False),
        "purge": counts(),
        "embargo": counts(),
    },
)
# the ledger's rows stand in tests/validation/test_validation.py, which has files to spoil
LEDGER = {"Ledger", "merge_ledgers", "open_trials", "Trials"}

# --- backtest -----------------------------------------------------------------------------------

row(b.CostModel, {}, {name: numbers(-1) for name in b.CostModel.LABELS})
row(
    b.trade_cost,
    {
        "model": b.CostModel(1, 1, 1),
        "trades": VOLUME / 1e3,
        "dollar_volume": VOLUME,
        "volatility": SIGMA,
    },
    {
        "model": {"none": None, "number": 5},
        "trades": {
            "text": swap(VOLUME, "x"),
            "missing": swap(VOLUME, np.nan),
            "infinite": swap(VOLUME, np.inf),
        },
        "dollar_volume": {
            "none": None,
            "negative": -VOLUME,
            "other names": VOLUME.add_prefix("z"),
            "fewer rows": VOLUME[5:],
        },
        "volatility": {"none": None, "negative": -SIGMA},
    },
)
BOOK = {"target_weights": WEIGHTS, "returns": FRAME}
PRICED = {"costs": b.CostModel(1, 1, 0.5), "dollar_volume": VOLUME, "volatility": SIGMA}
ENGINE = {
    "target_weights": tables(WEIGHTS, gaps=True, short=0) | names_off(WEIGHTS),
    "returns": tables(FRAME, gaps=True, short=0) | {"below minus one": swap(FRAME, -1.5)},
    "decision_lag": counts(0),
    "costs": {"number": 5, "text": "x"},
    "dollar_volume": names_off(VOLUME)
    | {"none": None, "negative": -VOLUME, "text": swap(VOLUME, "x")},
    "volatility": names_off(SIGMA) | {"negative": -SIGMA},
    # None: by the calendar
    "capital": numbers(0, -1.0),
    "periods_per_year": numbers(0, none=False),
}
row(b.run_backtest, BOOK | PRICED, ENGINE | {"engine": options(None)})
MANY = {"target_weights": {"m": WEIGHTS}, "returns": FRAME}
SEVERAL = {
    "target_weights": {
        "nothing": {},
        "none": None,
        "text": {"m": "x"},
        "other names": {"m": WEIGHTS.add_prefix("z")},
    }
}
row(b.run_backtests, MANY | PRICED, ENGINE | SEVERAL)
row(b.sweep_returns, MANY | PRICED, ENGINE | SEVERAL)
row(
    b.equal_weight,
    {"membership": MASK},
    {
        "membership": {
            "text": swap(MASK, "x"),
            "none": None,
            "unsorted": MASK[::-1],
            "twice": pd.concat([MASK, MASK]),
            "nothing": MASK[:0],
        }
    },
)
row(
    b.long_short_weights,
    {"factor": FRAME, "rebalance_every": 5},
    {
        "factor": tables(FRAME, gaps=True, short=0),
        "quantile": numbers(0, 0.6),
        "volatility": names_off(SIGMA) | {"negative": -SIGMA},
        "gross": numbers(-1.0),
        "rebalance_every": counts(0),
        "membership": names_off(MASK),
    },
)
TRADED = {
    "log_prices": tables(LOGS, gaps=True, short=0, empty=False),
    "pairs": {
        "none": None,
        "columns missing": PAIRS.drop(columns="x"),
        "unknown name": PAIRS.assign(x="zz"),
        "itself": PAIRS.assign(x="a0"),
        "no spread": PAIRS.assign(spread_std=0.0),
        "missing": PAIRS.assign(hedge_ratio=np.nan),
        "text": PAIRS.assign(hedge_ratio="x"),
        "ends before it starts": PAIRS.assign(trade_end=DATES[50]),
    },
    "entry": numbers(0, -1.0),
    "exit": numbers(-1.0, 3.0),
    "stop": numbers(0.1),
    "max_pairs": counts(0),
    "max_holding": counts(0, none=False),
}
row(b.pair_trades, {"log_prices": LOGS, "pairs": PAIRS}, TRADED)
row(b.pairs_weights, {"log_prices": LOGS, "pairs": PAIRS}, TRADED | {"gross": numbers(-1.0)})
row(
    b.lookahead_audit,
    {"strategy": lambda x: x.rolling(5).mean(), "data": FRAME, "n_cuts": 3},
    {
        "strategy": {"none": None, "table": FRAME, "returns a number": lambda x: 3},
        "data": {
            "none": None,
            "text": "x",
            "short": FRAME[:2],
            "unsorted": FRAME[::-1],
            "twice": pd.concat([FRAME, FRAME]),
            "no frames": {},
        },
        "n_cuts": counts(0),
        "seed": counts(),
    },
)
row(
    b.lint_lookahead,
    {"path": str(Path(__file__))},
    {"path": {"none": None, "number": 3, "not there": "nothing.py", "text file": "settings.ini"}},
)
TRACK = {"returns": tables(SERIES, short=1)}
row(
    b.performance_summary,
    {"returns": SERIES, "periods_per_year": 252},
    {
        "returns": tables(SERIES, short=1, flat=False) | {"below minus one": swap(SERIES, -1.5)},
        "periods_per_year": PER_YEAR,
        "risk_free": numbers(),
        "benchmark": misaligned(SERIES)
        | {"text": swap(SERIES, "x"), "missing": swap(SERIES, np.nan)},
    },
)
row(
    b.drawdowns,
    {"returns": SERIES},
    {"returns": tables(SERIES, short=0) | {"below minus one": swap(SERIES, -1.5)}},
)
row(
    b.drawdown_table,
    {"returns": SERIES},
    {"returns": tables(SERIES, short=0), "top": counts(0, none=False)},
)
TAIL = {"returns": tables(SERIES, short=1), "level": numbers(0.0, 1.0), "method": options(None)}
row(b.value_at_risk, {"returns": SERIES}, TAIL)
row(b.expected_shortfall, {"returns": SERIES}, TAIL)
row(
    b.leave_one_out,
    BOOK | {"groups": GROUPS},
    {k: ENGINE[k] for k in ("target_weights", "returns", "costs", "capital")}
    | {
        "groups": {
            "none": None,
            "names missing": GROUPS[:3],
            "one group": GROUPS.where(GROUPS == "x", "x"),
            "twice": pd.concat([GROUPS, GROUPS]),
        }
    },
)
row(
    b.parameter_surface,
    {
        "strategy": lambda k: WEIGHTS * k,
        "returns": FRAME,
        "grid": {"k": [0.5, 1.0]},
        "centre": {"k": 1.0},
    },
    {
        "strategy": {"none": None, "no table": lambda k: k},
        "returns": ENGINE["returns"],
        "grid": {"nothing": {}, "no list": {"k": 1.0}, "none": None, "empty": {"k": []}},
        "centre": {"not in grid": {"k": 3.0}, "other name": {"z": 1.0}, "none": None},
    },
)
row(
    b.stress_windows,
    {"returns": SERIES, "benchmark": SERIES},
    {
        "returns": tables(SERIES, short=3),
        "benchmark": misaligned(SERIES) | {"missing": swap(SERIES, np.nan)},
        "length": counts(0, N + 1),
        "top": counts(0),
    },
)
row(
    b.subperiods,
    {"returns": SERIES, "periods_per_year": 252},
    {
        "returns": tables(SERIES, short=0),
        "periods_per_year": PER_YEAR,
        "by": options(None, 0, 1.5) | {"number": 0},
    },
)
GRID = {
    "factors": {"factor": ["momentum_12_1"], "rebalance_every": [21], "inverse_volatility": [False]}
}
row(
    b.declare_candidates,
    {"grid": GRID},
    {
        "grid": {
            "none": None,
            "nothing": {},
            "family": {"options": {}},
            "parameter": {"factors": {"z": [1]}},
            "no list": {"factors": {"factor": "x"}},
            "empty list": {"factors": GRID["factors"] | {"factor": []}},
            "unknown factor": {"factors": GRID["factors"] | {"factor": ["zz"]}},
            "text for a number": {"factors": GRID["factors"] | {"rebalance_every": ["x"]}},
            "table": {"factors": 3},
        }
    },
)
PANEL = Panel(
    fields={
        "returns": FRAME,
        "log_prices": LOGS,
        "dollar_volume": VOLUME,
        "member": MASK.astype(float),
    },
    sectors=GROUPS,
)
MARKET = b.Market.from_panel(PANEL, volatility=SIGMA, start=DATES[260])
POINT = b.declare_candidates(GRID)[0]
row(
    b.check_candidates,
    {"candidates": [POINT], "panel": PANEL},
    {
        "candidates": {"none": None, "one": POINT, "names": ["factors"]},
        "panel": {"none": None, "table": FRAME},
    },
)
row(
    b.Market.from_panel,
    {"panel": PANEL, "volatility": SIGMA, "start": DATES[100]},
    {
        "panel": {"none": None, "table": FRAME},
        "volatility": names_off(SIGMA) | {"none": None, "text": "x"},
        "artifacts": {"no table": {"news": 3}, "undated": {"news": FRAME.reset_index(drop=True)}},
        "start": {
            "text": "never",
            "none": None,
            "after the end": DATES[-1] + pd.Timedelta(days=30),
        },
    },
)
row(
    b.Family,
    {
        "name": "f",
        "hypothesis": "x",
        "parameters": {"k": (int, (1, 9), 3)},
        "weights": lambda market, k: FRAME,
        "placebo": "x",
        "failure_modes": ["x"],
    },
    {
        "name": {"none": None, "blank": "a b"},
        "hypothesis": {"none": None, "empty": " "},
        "weights": {"none": None, "other": lambda market, j: FRAME},
        "parameters": {
            "none": None,
            "no tuple": {"k": 3},
            "kind": {"k": (list, None, 3)},
            "range": {"k": (int, 3, 3)},
            "default": {"k": (int, (1, 9), 10)},
        },
        "needs": {"number": 3, "numbers": [3]},
        "failure_modes": {"none": None, "empty text": [""]},
    },
)
row(
    b.load_families,
    {},
    {
        "modules": {
            "text": "quantlab.errors",
            "none": None,
            "numbers": [3],
            "no module": ["quantlab.nothing"],
            "no family": ["quantlab.errors"],
        }
    },
)
row(
    b.add_factors,
    {"families": b.load_families(), "own": {}},
    {
        "families": {"none": None, "modules": ["quantlab.backtest.factors_family"]},
        "own": {"none": None, "modules": ["strategies.turnover"]},
    },
)
row(
    b.needed_artifacts,
    {"families": list(b.load_families().values())},
    {"families": {"none": None, "number": 3, "texts": ["pairs"]}},
)
row(
    b.candidate_weights,
    {"candidate": POINT, "market": MARKET},
    {
        "candidate": {
            "none": None,
            "pairs without pairs": b.Candidate(
                "pairs", "p", {"entry": 2.0, "exit": 0.5, "max_pairs": 5}
            ),
            "family": b.Candidate("z", "z", {}),
            "parameter": b.Candidate("factors", "f", {"z": 1}),
        },
        "market": {"none": None, "table": FRAME},
    },
)
row(
    b.factor_values,
    {"name": "momentum_12_1", "panel": PANEL, "membership": MASK},
    {
        "name": options(None),
        "panel": {"none": None},
        "membership": names_off(MASK),
        "own": {"number": 3, "list": ["momentum_12_1"]},
    },
)
row(
    b.grid_returns,
    {
        "candidates": {"p": POINT},
        "market": MARKET,
        "costs": b.CostModel(),
        "capital": 1e6,
        "periods_per_year": 252,
    },
    {
        "candidates": {"nothing": {}, "none": None, "text": {"p": "x"}},
        "market": {"none": None},
        "costs": {"none": None, "number": 3},
        "capital": numbers(0),
        "periods_per_year": numbers(0, none=False),
    },
)
row(
    b.world_returns,
    {
        "candidates": {"p": POINT},
        "market": MARKET,
        "world": {"returns": FRAME, "dollar_volume": VOLUME},
        "costs": b.CostModel(),
        "capital": 1e6,
        "periods_per_year": 252,
    },
    {
        "candidates": {"nothing": {}, "none": None, "text": {"p": "x"}},
        "market": {"none": None},
        "world": {"nothing": {}, "none": None, "one field": {"returns": FRAME}},
        "costs": {"none": None, "number": 3},
        "capital": numbers(0),
        "periods_per_year": numbers(0, none=False),
    },
)
row(
    b.placebo_market,
    {"market": MARKET, "world": {"returns": FRAME, "dollar_volume": VOLUME}},
    {
        "market": {"none": None},
        "world": {
            "nothing": {},
            "none": None,
            "one field": {"returns": FRAME},
            "fewer rows": {"returns": FRAME[5:], "dollar_volume": VOLUME[5:]},
            "table": FRAME,
        },
    },
)
row(
    b.perturbed_grid,
    {"candidate": POINT},
    {
        "candidate": {"none": None, "text": "x"},
        "steps": {
            "nothing": [],
            "nan": [1.0, np.nan],
            "text": ["x"],
            "zero": [0.0, 1.0],
            "number": 1.0,
            "negative": [-1.0, 1.0],
        },
    },
)

# --- microstructure, accounts, portfolios, sweeps and sheets --------------------------------------

BARS = m.bounce_bars(N, 3, spread=0.01, volatility=0.01, rng=np.random.default_rng(0))
HIGH, LOW, CLOSE = (BARS[name] for name in ("high", "low", "close"))
SPREAD_OPTIONS = {
    "window": counts(0, none=False),
    "negative": options(None),
    "min_values": counts(0, none=False),
}
row(
    m.bounce_bars,
    {"n_days": 20, "spread": 0.01, "volatility": 0.01, "rng": RNG},
    {
        "n_days": counts(0),
        "n_assets": counts(0),
        "spread": numbers(-0.01),
        "volatility": numbers(-0.01),
        "overnight_volatility": numbers(-0.01),
        "trades_per_day": counts(0),
        "share_seen": numbers(0.0, 1.5),
        "rng": {"seed": 3, "none": None},
    },
)
# ticks, bars, and labels of events

MINUTES = pd.date_range("2026-03-02 14:30", periods=N, freq="min", tz="UTC", name="time")
TRADES = pd.DataFrame(
    {"price": 100 + 0.25 * RNG.integers(-2, 3, N).cumsum(), "volume": RNG.integers(1, 9, N)},
    index=MINUTES,
)
TICKS = m.load_ticks(TRADES, timezone="UTC")
NO_TICKS = {"table": TRADES, "none": None, "text": "ticks", "list": [TRADES]}
TICK_SOURCES = {
    "none": None,
    "no file": "nowhere.csv",
    "nothing": TRADES[:0],
    "unsorted": TRADES[::-1],
    "no price": TRADES[["volume"]],
    "negative size": TRADES.assign(volume=-TRADES["volume"]),
    "price missing": TRADES.assign(price=np.nan),
    "price negative": TRADES.assign(price=-1.0),
    "text": TRADES.assign(price="x"),
    "no time": TRADES.reset_index(drop=True),
}
TICK_OPTIONS = {
    "timezone": {"unknown": "Mars/Olympus", "none": None, "number": 3},
    "session_gap": {"no time": "soon", "negative": "-5min", "zero": "0min"},
    "columns": {"unknown": {"price": "cost"}, "list": ["price"]},
}
row(m.load_ticks, {"source": TRADES, "timezone": "UTC"}, {"source": TICK_SOURCES} | TICK_OPTIONS)
row(
    m.bars,
    {"ticks": TICKS, "kind": "volume", "size": 50},
    {
        "ticks": NO_TICKS,
        "kind": options(None),
        "size": numbers(0, -5, 1e12),
        "expected_size_bounds": {"one": (1,), "turned": (10, 1), "negative": (-1, 10)},
        "span": counts(0),
    },
)
row(
    m.bars_panel,
    {"bars": {"A": m.bars(TICKS, kind="tick", size=10)}},
    {"bars": {"none": None, "empty": {}, "ticks": {"A": TICKS}}},
)
row(
    m.check_ticks,
    {"ticks": TICKS},
    {"ticks": NO_TICKS, "tick_size": numbers(0.0, -1.0, none=False), "spike_ticks": counts(0)},
)
row(
    m.estimate_tick_size,
    {"prices": TRADES["price"]},
    {
        "prices": {
            "text": ["x"],
            "one": [1.0],
            "missing": [1.0, np.nan],
            "infinite": [1.0, np.inf],
            "none": None,
        }
    },
)
row(
    m.simulate_order_flow,
    {"n_sessions": 1, "rng": RNG},
    {
        "n_sessions": counts(0),
        "rng": {"seed": 3, "none": None},
        "model": {"text": "kyle", "number": 3},
    },
)
LOG_PRICE = np.log(TRADES["price"])
EVENTS = MINUTES[[10, 40, 90, 150, 200]]
LABELS = m.triple_barrier(TRADES["price"], EVENTS, profit_taking=0.01, stop_loss=0.01, horizon=20)
PRICES = {
    "text": swap(TRADES["price"], "x", at=(7,)),
    "missing": swap(TRADES["price"], np.nan, at=(7,)),
    "infinite": swap(TRADES["price"], np.inf, at=(7,)),
    "negative": -TRADES["price"],
    "unsorted": TRADES["price"][::-1],
    "twice": pd.concat([TRADES["price"], TRADES["price"]]),
    "nothing": TRADES["price"][:0],
    "none": None,
}
OUTSIDE = {
    "outside": EVENTS + pd.Timedelta("3s"),
    "unsorted": EVENTS[::-1],
    "twice": EVENTS.append(EVENTS).sort_values(),
    "nothing": EVENTS[:0],
    "none": None,
    "numbers": [1, 2],
}
row(
    m.cusum_filter,
    {"log_prices": LOG_PRICE, "threshold": 0.01},
    {
        "log_prices": {k: x for k, x in PRICES.items() if k != "negative"},
        "threshold": numbers(0.0, -0.1),
    },
)
row(
    m.triple_barrier,
    {
        "prices": TRADES["price"],
        "events": EVENTS,
        "profit_taking": 0.01,
        "stop_loss": 0.01,
        "horizon": 20,
    },
    {
        "prices": PRICES,
        "events": OUTSIDE,
        "profit_taking": numbers(0.0, -0.01, none=False),
        "stop_loss": numbers(0.0, -0.01, none=False),
        "horizon": counts(0) | {"span": pd.Timedelta(0)},
        "side": {
            "number": 1,
            "none there": pd.Series(1.0, index=EVENTS[:2]),
            "half": pd.Series(0.5, index=EVENTS),
        },
        "vertical_label": options(),
        "incomplete": options(),
    },
)
SPANS = {"start": LABELS.index, "end": LABELS["touch"]}
WRONG_SPANS = {
    "start": {"fewer": LABELS.index[1:], "none": None, "unsorted": LABELS.index[::-1]},
    "end": {
        "fewer": LABELS["touch"][1:],
        "none": None,
        "early": LABELS["touch"] - pd.Timedelta("1D"),
    },
}
WRONG_BARS = {"index": {"others": MINUTES + pd.Timedelta("1s"), "unsorted": MINUTES[::-1]}}
row(m.label_concurrency, SPANS | {"index": MINUTES}, WRONG_SPANS | WRONG_BARS)
row(m.average_uniqueness, SPANS | {"index": MINUTES}, WRONG_SPANS | WRONG_BARS)
row(
    m.draw_probabilities,
    SPANS | {"index": MINUTES, "drawn": [0]},
    WRONG_SPANS | WRONG_BARS | {"drawn": {"outside": [99], "half": [0.5]}},
)
row(
    m.sequential_bootstrap,
    SPANS | {"index": MINUTES, "n_draws": 3, "seed": 0},
    WRONG_SPANS | WRONG_BARS | {"n_draws": counts(0, none=False), "seed": counts()},
)
row(
    m.sample_weights,
    SPANS | {"prices": TRADES["price"]},
    WRONG_SPANS | {"prices": PRICES, "by": options(None), "last_weight": numbers(-2.0, 2.0)},
)
SPLITS = [([0, 1], [3, 4])]
row(
    m.label_overlap,
    SPANS | {"splits": SPLITS},
    WRONG_SPANS | {"splits": {"none": None, "outside": [([0], [99])]}},
)
row(
    m.check_purged,
    SPANS | {"splits": SPLITS},
    WRONG_SPANS | {"splits": {"none": None, "outside": [([0], [99])]}},
)
UNIQUE = m.average_uniqueness(**SPANS, index=MINUTES)
row(
    m.time_decay,
    {"uniqueness": UNIQUE, "last_weight": 0.5},
    {
        "uniqueness": {"none": None, "negative": -UNIQUE, "text": "x"},
        "last_weight": numbers(-2.0, 2.0),
    },
)
row(m.fractional_weights, {"d": 0.4, "n": 8}, {"d": numbers(-0.1), "n": counts(0)})
row(
    m.fractional_difference,
    {"x": LOG_PRICE, "d": 0.4, "threshold": 0.01},
    {
        "x": {k: x for k, x in PRICES.items() if k != "negative"},
        "d": numbers(-0.1),
        "threshold": numbers(0.0, -1.0),
    },
)
row(
    m.minimum_fractional_order,
    {"x": LOG_PRICE, "threshold": 0.01},
    {
        "x": {k: x for k, x in PRICES.items() if k != "negative"} | {"flat": LOG_PRICE * 0},
        "alpha": numbers(0.0, 1.0),
    },
)

# inside the day

STAMPS = MINUTES.rename("time")
MOVES = pd.Series(RNG.normal(0, 1e-4, N), index=STAMPS)
LEVEL = (1 + MOVES).cumprod() * 100
SIGNAL = pd.Series(RNG.normal(size=N), index=STAMPS)
GAP = {"no time": "soon", "negative": "-5min", "number": 5}
SPANS_OF_TIME = {"no time": "soon", "negative": "-5min", "none": None}
DAYLIGHT = pd.DatetimeIndex(
    np.concatenate(
        [
            pd.date_range(day + pd.Timedelta("14h"), periods=60, freq="min").to_numpy()
            for day in pd.bdate_range("2026-01-05", periods=12)
        ]
    )
).tz_localize("UTC")
MANY_DAYS = pd.Series(RNG.normal(0, 1e-4, len(DAYLIGHT)), index=DAYLIGHT)


def stamped(series, *, negative=False):
    "What can be wrong with values at times of the day"
    bad = {
        "text": swap(series, "x", at=(7,)),
        "infinite": swap(series, np.inf, at=(7,)),
        "unsorted": series[::-1],
        "no times": series.reset_index(drop=True),
        "nothing": series[:0],
        "none": None,
        "a word": "returns",
    }
    return bad | ({"negative": -series} if negative else {})


OF_DAY = {"returns": stamped(MOVES), "session_gap": GAP}
row(
    m.session_numbers,
    {"index": STAMPS},
    {"index": {"none": None, "numbers": [1, 2], "unsorted": STAMPS[::-1]}, "session_gap": GAP},
)
row(
    m.session_returns,
    {"prices": LEVEL},
    {"prices": stamped(LEVEL, negative=True), "session_gap": GAP},
)
row(m.realized_variance, {"returns": MOVES}, OF_DAY)
row(m.bipower_variation, {"returns": MOVES}, OF_DAY | {"skip": counts(1000, none=False)})
row(
    m.jump_test,
    {"returns": MOVES},
    OF_DAY | {"alpha": numbers(0.0, 1.0), "skip": counts(1000, none=False)},
)
row(
    m.session_profile,
    {"returns": MANY_DAYS, "bucket": "10min"},
    {
        "returns": stamped(MANY_DAYS),
        "bucket": SPANS_OF_TIME,
        "min_sessions": counts(0, 13),
        "session_gap": GAP,
    },
)
row(
    m.adaptive_volatility,
    {"returns": MANY_DAYS, "half_life": 20},
    {
        "returns": stamped(MANY_DAYS),
        "half_life": numbers(0.0, -1.0),
        "profile": {"text": "flat", "number": 1},
        "session_gap": GAP,
    },
)
row(
    m.event_windows,
    {"times": STAMPS, "news": STAMPS[[50]], "after": "5min"},
    {
        "times": {"none": None, "numbers": [1, 2]},
        "news": {"none": None, "numbers": [1], "no zone": STAMPS[[50]].tz_localize(None)},
        "after": SPANS_OF_TIME,
        "before": {"no time": "soon", "negative": "-5min"},
    },
)
QUOTED = pd.DataFrame({"close": LEVEL, "vwap": LEVEL})
PRICED = {
    "none": None,
    "negative": -QUOTED,
    "unsorted": QUOTED[::-1],
    "no times": QUOTED.reset_index(drop=True),
    "no vwap": QUOTED[["close"]].rename(columns={"close": "cost"}),
}
row(
    m.forward_windows,
    {"times": STAMPS, "prices": QUOTED, "horizon": "5min"},
    {
        "times": {"none": None, "numbers": [1, 2]},
        "prices": PRICED,
        "horizon": SPANS_OF_TIME,
        "price": options(None),
        "session_gap": GAP,
    },
)
WINDOWS = m.forward_windows(STAMPS, QUOTED, horizon="5min")
row(
    m.window_correlation,
    {"feature": SIGNAL, "windows": WINDOWS},
    {
        "feature": {
            "none": None,
            "text": swap(SIGNAL, "x", at=(7,)),
            "no times": SIGNAL.reset_index(drop=True),
        },
        "windows": {"none": None, "empty": WINDOWS[:0]},
        "method": options(None),
        "hac_lags": counts(none=False),
    },
)
EVALUATED = {
    "prices": PRICED,
    "horizons": {"none": None, "empty": (), "negative": ("-5min",), "no time": ("soon",)},
    "price": options(None),
    "session_gap": GAP,
}
row(
    m.evaluate_intraday_feature,
    {"feature": SIGNAL, "prices": QUOTED},
    EVALUATED
    | {
        "feature": {
            "none": None,
            "text": swap(SIGNAL, "x", at=(7,)),
            "flat": SIGNAL * 0,
            "no times": SIGNAL.reset_index(drop=True),
        }
    },
)
row(
    m.compare_intraday_features,
    {"features": {"a": SIGNAL, "b": -SIGNAL.shift(1)}, "prices": QUOTED},
    EVALUATED
    | {"features": {"none": None, "empty": {}, "series": SIGNAL}, "method": options(None)},
)
TOLD = pd.DataFrame({"arrival": STAMPS[[10, 20]], "item": "payrolls", "value": [1.0, 2.0]})
row(
    m.known_at,
    {"times": STAMPS, "records": TOLD},
    {
        "times": {"none": None, "numbers": [1, 2], "no zone": STAMPS.tz_localize(None)},
        "records": {
            "none": None,
            "no item": TOLD.drop(columns="item"),
            "twice": pd.concat([TOLD, TOLD]),
            "no arrival": TOLD.assign(arrival=pd.NaT),
        },
        "latency": {"no time": "soon", "negative": "-5min"},
    },
)

row(
    m.roll_spread,
    {"prices": CLOSE},
    SPREAD_OPTIONS
    | {
        "prices": {
            k: x for k, x in tables(CLOSE, gaps=True).items() if k not in ("twice", "time zone")
        }
        | {"negative": -CLOSE, "zero": CLOSE * 0},
        "one_price_per_timestamp": {"text": "yes", "number": 3},
    },
)
row(
    m.corwin_schultz_spread,
    {"high": HIGH, "low": LOW},
    SPREAD_OPTIONS
    | {
        "high": tables(HIGH, gaps=True) | misaligned(HIGH) | {"below the low": LOW * 0.9},
        "low": tables(LOW, gaps=True) | misaligned(LOW) | {"negative": -LOW},
        "close": misaligned(CLOSE) | {"outside": CLOSE * 2},
    },
)
row(
    m.abdi_ranaldo_spread,
    {"high": HIGH, "low": LOW, "close": CLOSE},
    SPREAD_OPTIONS
    | {
        "high": tables(HIGH, gaps=True) | misaligned(HIGH) | {"below the low": LOW * 0.9},
        "low": tables(LOW, gaps=True) | misaligned(LOW) | {"negative": -LOW},
        "close": tables(CLOSE, gaps=True) | misaligned(CLOSE) | {"outside": CLOSE * 2},
        "version": options(None),
    },
)
# order flow: trades and quotes a second apart, with sides
SECOND = pd.date_range("2024-03-01 09:30", periods=60, freq="s", tz="UTC", name="time")
FLOW_SIDE = RNG.choice([-1, 1], 60)
FLOW_TICKS = m.Ticks(
    pd.DataFrame(
        {
            "price": 100 + 0.125 * FLOW_SIDE,
            "volume": 2.0,
            "side": FLOW_SIDE,
            "bid": 99.875,
            "ask": 100.125,
            "bid_size": 5.0,
            "ask_size": 4.0,
        },
        index=SECOND,
    )
)
FLOW_TRADES = m.Ticks(FLOW_TICKS.table[["price", "volume"]])
FLOW_QUOTES = m.Ticks(FLOW_TICKS.table[["bid", "ask"]])
CROSSED = m.Ticks(FLOW_TICKS.table.assign(ask=90.0))
NO_TICKS = {"none": None, "table": FLOW_TICKS.table, "text": "ticks"}
SPANS = {"none": None, "number": 5, "text": "soon", "zero": "0s", "negative": "-1min", "list": []}
FLOW_COUNTS = pd.Series(RNG.poisson(50, 60), index=DATES[:60]).astype(float)
BULK_OPTIONS = {
    "bar": SPANS,
    "distribution": options(None),
    "degrees_of_freedom": numbers(0.0, -1.0),
}
row(
    m.sign_trades,
    {"ticks": FLOW_TRADES, "method": "bulk_volume"},
    BULK_OPTIONS
    | {
        "ticks": NO_TICKS | {"quotes": FLOW_QUOTES},
        "method": options(None, "lee_ready"),
    },
)
row(
    m.order_flow_imbalance,
    {"quotes": FLOW_TICKS, "window": "10s"},
    {
        "quotes": NO_TICKS | {"trades": FLOW_TRADES, "no sizes": FLOW_QUOTES, "crossed": CROSSED},
        "window": SPANS,
    },
)
row(
    m.queue_imbalance,
    {"quotes": FLOW_TICKS},
    {"quotes": NO_TICKS | {"trades": FLOW_TRADES, "no sizes": FLOW_QUOTES, "crossed": CROSSED}},
)
row(
    m.vpin,
    {"ticks": FLOW_TICKS, "bucket_volume": 10.0, "n_buckets": 3},
    BULK_OPTIONS
    | {
        "ticks": NO_TICKS | {"quotes": FLOW_QUOTES},
        "bucket_volume": numbers(0.0, -5.0, 1000.0),
        "n_buckets": counts(0, 1000),
        "classification": options(None),
    },
)
row(
    m.fit_pin,
    {"buys": FLOW_COUNTS, "sells": FLOW_COUNTS[::-1].set_axis(FLOW_COUNTS.index)},
    {
        "buys": tables(FLOW_COUNTS) | misaligned(FLOW_COUNTS) | {"constant": FLOW_COUNTS * 0 + 0.5},
        "sells": tables(FLOW_COUNTS) | {"negative": -FLOW_COUNTS, "zero": FLOW_COUNTS * 0},
        "n_starts": counts(0),
    },
)
row(
    m.kyle_lambda,
    {"returns": FRAME["a1"], "signed_volume": SERIES, "hac_lags": 5},
    {
        name: {k: x for k, x in tables(SERIES, flat=True).items() if k != "time zone"}
        | misaligned(SERIES)
        for name in ("returns", "signed_volume")
    }
    | {
        "hac_lags": counts(N, N - 3),
        "by": misaligned(SERIES) | {"short": ["a"], "missing": swap(SERIES, np.nan), "text": "a"},
    },
)
row(
    m.kyle_equilibrium,
    {"n_auctions": 3, "prior_variance": 4.0, "noise_deviation": 10.0},
    {
        "n_auctions": counts(0),
        "prior_variance": numbers(0.0, -1.0),
        "noise_deviation": numbers(0.0, -1.0),
    },
)
row(
    m.trade_costs,
    {"ticks": FLOW_TICKS, "horizon": "5s"},
    {
        "ticks": NO_TICKS
        | {
            "trades": FLOW_TRADES,
            "quotes": FLOW_QUOTES,
            "no side": m.Ticks(FLOW_TICKS.table.drop(columns="side")),
            "crossed": CROSSED,
            "sides unknown": m.Ticks(FLOW_TICKS.table.assign(side=0)),
        },
        "horizon": SPANS | {"long": "1D"},
    },
)
row(
    m.amihud_illiquidity,
    {"returns": FRAME, "dollar_volume": VOLUME, "window": 20},
    {
        "returns": tables(FRAME, gaps=True, short=0) | names_off(FRAME),
        "dollar_volume": tables(VOLUME, gaps=True, short=0) | {"negative": -VOLUME},
        "window": counts(0, N + 1, none=False),
    },
)
row(
    m.arrival_asymmetry,
    {"ticks": FLOW_TICKS, "window": "10s"},
    {"ticks": NO_TICKS | {"quotes": FLOW_QUOTES}, "window": SPANS},
)
for average in (m.session_vwap, m.vwap_distance):
    row(average, {"ticks": FLOW_TICKS}, {"ticks": NO_TICKS | {"quotes": FLOW_QUOTES}})

OHLC = Panel({name: BARS[name] for name in ("open", "high", "low", "close")})
row(
    b.measured_half_spread,
    {"panel": OHLC},
    {
        "panel": {"none": None, "table": CLOSE, "no bars": PANEL},
        "method": options(None),
        "window": counts(0, 1),
        "floor_bps": numbers(-1),
    },
)
HELD = (CLOSE.pct_change() > 0) / 3.0
TABLE_OF_BPS = misaligned(CLOSE) | {"negative": -CLOSE, "text": swap(CLOSE, "x"), "number": "2.5"}
row(
    b.run_account,
    {"target_weights": HELD, "panel": OHLC},
    {
        "target_weights": tables(HELD, gaps=True, short=0, empty=False)
        | {"other names": HELD.add_prefix("z"), "other dates": HELD.shift(1, freq="D")},
        "panel": {"none": None, "table": CLOSE, "no bars": Panel({"returns": FRAME})},
        "fill": options(None),
        "limit_bps": numbers(-1, none=False),
        "stop_loss": numbers(-0.1, 0.0, none=False),
        "take_profit": numbers(-0.1, 0.0, none=False),
        "lot_size": counts(0, none=False),
        "costs": {"number": 0.5, "text": "none"},
        "half_spread_bps": TABLE_OF_BPS,
        "borrow_bps": TABLE_OF_BPS,
        "borrowable": {"numbers": CLOSE, "text": "all"} | misaligned(CLOSE > 0),
        "dollar_volume": misaligned(CLOSE) | {"negative": -CLOSE},
        "volatility": numbers(-0.01, none=False) | misaligned(CLOSE),
        "dividends": {"negative": -CLOSE, "number": 0.1, "text": swap(CLOSE, "x")},
        "cash_rate": numbers(-2.0),
        "short_rebate": numbers(-2.0),
        "delisting_return": numbers(-1.1),
        "capital": numbers(0, -1e6),
        "max_leverage": numbers(0, none=False),
        "rebalance": {"unknown": "sideways", "list": ["x"], "none": None, "0": 0, "1.5": 1.5},
        "periods_per_year": numbers(0, -252.0, none=False),
        "engine": options(None),
    },
)
row(
    b.capacity_curve,
    {
        "result": b.run_backtest(
            WEIGHTS,
            FRAME,
            costs=b.CostModel(half_spread_bps=1, impact_coefficient=0.5),
            dollar_volume=VOLUME,
            periods_per_year=252,
        )
    },
    {
        "result": {"none": None, "series": SERIES},
        "capitals": {"zero": [0.0], "nan": [np.nan], "text": ["x"], "number": 3, "nothing": []},
    },
)
row(
    b.compare_engines,
    {"target_weights": {"book": WEIGHTS}, "returns": FRAME},
    {
        "target_weights": {"none": None, "nothing": {}, "table": WEIGHTS, "text": {"book": "x"}},
        "returns": tables(FRAME, gaps=True, short=0, empty=False) | {"none": None},
        "tolerance": numbers(-1e-9),
    },
)
RISK = b.covariance_forecast(FRAME, method="ledoit_wolf", window=120)
BUILT = b.construct(None, RISK, objective="minimum_variance")
row(
    b.covariance_forecast,
    {"returns": FRAME, "method": "factor", "window": 60, "n_factors": 2},
    {
        "returns": tables(FRAME, gaps=True, short=0),
        "method": options(None),
        "window": counts(0, 1),
        "min_observations": counts(0, none=False),
        "n_factors": counts(0, none=False),
    },
)
row(
    b.construct,
    {
        "alpha": FRAME,
        "risk": RISK,
        "objective": "mean_variance",
        "risk_aversion": 3.0,
        "limits": b.Limits(gross=1.0),
    },
    {
        "alpha": tables(FRAME, gaps=True, short=0, empty=False),
        "risk": {"table": FRAME, "none": None},
        "objective": options(None),
        "rebalance": {"unknown": "sideways", "list": ["x"], "none": None, "0": 0, "1.5": 1.5},
        "limits": {"number": 1.0, "mapping": {"gross": 1}},
        "costs": {"number": 0.5},
        "risk_aversion": numbers(0, -1),
        "periods_per_year": PER_YEAR,
        "capital": numbers(0),
        "infeasible": options(None),
        "solver": options(None),
    },
)
row(
    b.Limits,
    {"gross": 1.0},
    {
        "gross": numbers(-1, none=False),
        "net": {"turned": (1.0, -1.0), "number": 0.1, "nan": (np.nan, 1.0)},
        "position": {k: x for k, x in numbers(-0.1, none=False).items() if k != "list"}
        | {"turned": (0.1, -0.1)},
        "sector": numbers(-0.1, none=False),
        "beta": numbers(-0.1, none=False),
        "turnover": numbers(-0.1, none=False),
        "participation": numbers(-0.1, none=False),
    },
)
row(
    b.risk_forecast_check,
    {"result": BUILT, "returns": FRAME},
    {
        "result": {"none": None, "table": FRAME},
        "returns": {"none": None, "text": "x"} | names_off(FRAME[:100]),
    },
)
ACCOUNT = {"costs": b.CostModel(), "capital": 1e6, "periods_per_year": 252}
BAD_ACCOUNT = {
    "costs": {"none": None, "number": 0.5},
    "capital": numbers(0, -1e6),
    "periods_per_year": PER_YEAR,
}
row(
    b.sweep,
    {"candidates": [POINT], "market": MARKET, **ACCOUNT},
    BAD_ACCOUNT
    | {
        "candidates": {"none": None, "nothing": [], "text": "x", "other": [3]},
        "market": {"none": None, "panel": PANEL},
        "ledger": {"number": 3},
        "n_jobs": {k: x for k, x in counts(0).items() if k != "-1"},  # -1 is all there are
        "client": {"number": 3, "text": "x"},
        "chunk": counts(0, none=False),
        "failed": options(None),
        "resume": {"text": "yes", "number": 3},
        "progress": {"number": 3, "text": "x"},
    },
)
row(
    b.sample,
    {
        "family": b.load_families()["factors"],
        "market": MARKET,
        "n_samples": 2,
        "seed": 0,
        "ranges": {
            "factor": ["short_term_reversal"],
            "quantile": (0.2, 0.4),
            "rebalance_every": [21],
        },
        **ACCOUNT,
    },
    BAD_ACCOUNT
    | {
        "family": {"none": None, "name": "factors"},
        "market": {"none": None, "panel": PANEL},
        "n_samples": counts(0),
        "sampler": options(None),
        "seed": counts(),
        "ranges": {"unknown": {"z": (0, 1)}, "text": "x", "turned": {"quantile": (0.4, 0.2)}},
        "objective": options(None),
        "ledger": {"number": 3},
        "failed": options(None),
        "resume": {"text": "yes"},
        "progress": {"number": 3},
    },
)
row(
    b.tear_sheet,
    {"result": SERIES},
    {
        "result": {"none": None, "text": "x", "table": FRAME}
        | tables(SERIES, gaps=True, short=0, empty=False),
        "benchmark": {"text": "x", "number": 3, "unsorted": SERIES[::-1]},
        "periods_per_year": numbers(0, none=False),
        "risk_free": numbers(-2),
        "regimes": {"text": "x", "number": 3},
        "sectors": {"text": "x", "number": 3},
        "window": counts(0, none=False),
        "title": {"number": 3},
    },
)

# --- review -------------------------------------------------------------------------------------

BAD_THRESHOLDS = {
    "text": "strict",
    "unknown": {"z": 1},
    "no test": {"deflated_sharpe_ratio": None},
    "percent": {"deflated_sharpe_ratio": 95},
    "false": {"lookahead_audit_passed": False},
    "nan": {"data_quality_share": np.nan},
}
row(
    r.evaluate_gate,
    {
        "trial_returns": FRAME,
        "selected": "a0",
        "n_trials": 5,
        "periods_per_year": 252,
        "block_length": 5,
        "n_resamples": 500,
    },
    TRIALS
    | {
        "selected": {"unknown": "z", "list": ["a0"]},
        "n_trials": counts(0, 4, none=False),
        "periods_per_year": PER_YEAR,
        "thresholds": BAD_THRESHOLDS,
        "evidence": {"unknown": {"z": 1}, "text": {"regime_stability": "x"}, "number": 3},
        "rule": {"text": "strict", "number": 1},
        "objections": {"text": "no", "number": 3, "empty": [""]},
        "block_length": numbers(0, 0.5, 1e6),
        "n_resamples": counts(0),
        "seed": counts(),
    },
)
row(
    r.final_verdict,
    {"before": "unconfirmed", "confirmation": v.confirm_on_holdout(SERIES)},
    {"confirmation": {"none": None, "true": True}},
)
row(
    v.confirm_on_holdout,
    {"holdout_returns": SERIES},
    {
        "holdout_returns": tables(SERIES, short=1, flat=True)
        | {"prices": SERIES.cumsum() + 100, "zeros": SERIES * 0},
        "n_openings": counts(0),
    },
)
row(v.confirmation_level, {"n_openings": 1}, {"n_openings": counts(0)})
row(
    v.holdout_range,
    {"sharpe": 0.05, "n_obs": 1000, "n_holdout": 250},
    {
        "sharpe": numbers(),
        "n_obs": counts(1),
        "n_holdout": counts(1),
        "skewness": numbers(),
        "kurtosis": numbers(0.5),
        "confidence": numbers(0.0, 1.0),
    },
)
row(
    r.null_sharpe_variance,
    {"trial_returns": FRAME},
    {"trial_returns": tables(FRAME, flat=True, flip=True, narrow=True)},
)
row(r.check_thresholds, {"thresholds": {}}, {"thresholds": BAD_THRESHOLDS})
row(
    r.bias_notes,
    {},
    {
        "measured": {
            "unknown": {"z": 0.1},
            "text": {"costs_assumed": "x"},
            "nan": {"costs_assumed": np.nan},
            "number": 3,
        },
        "absent": {"unknown": ["z"]},
        "further": {"no pair": {"z": "x"}, "number": 3},
    },
)
row(
    r.what_is_missing,
    {
        "sharpe": 0.05,
        "n_obs": 500,
        "periods_per_year": 252,
        "n_trials": 5,
        "critical_sharpe": 0.1,
    },
    {
        "sharpe": numbers() | {"annual": v.AnnualizedSharpe(0.8)},
        "n_obs": numbers(0, 1, -3),
        "periods_per_year": PER_YEAR,
        "n_trials": numbers(0, 0.5),
        "critical_sharpe": {
            k: x
            for k, x in numbers(-np.inf).items()
            if k != "infinite"  # nothing could pass
        }
        | {"annual": v.AnnualizedSharpe(0.8)},
        "size": numbers(0.0, 0.6),
    },
)
row(
    r.judge,
    {"x": FRAME, "periods_per_year": 252, "n_resamples": 500, "block_length": 3},
    {
        "x": tables(FRAME, flip=True)
        | {
            "prices": LOGS.abs() + 90,
            "zeros": FRAME * 0,
            "constant": FRAME * 0 + 0.01,
            "ends early": FRAME.where(DATES.to_series() < DATES[200], axis=0),
            "dict": {"a": SERIES},
            "array": FRAME.to_numpy(),
            "trades without a day": pd.DataFrame({"exit_date": DATES, "return": 0.01}),
        },
        "n_trials": counts(0, 1, none=False),
        "periods_per_year": PER_YEAR,
        "selected": {"unknown": "z", "list": ["a0"], "levels": ("a0", "a1")},
        "ledger": {"number": 3, "folder": Path(__file__).parent, "true": True},
        "family": {"number": 3, "empty": "", "line": "a\nb"},
        "strategy": {"number": 3, "empty": "", "line": "a\nb"},
        "holdout": tables(FRAME.set_axis(DATES.shift(N), axis=0), short=1)
        | {"inside": FRAME, "rows": SERIES.reset_index(drop=True), "none": "none"},
        "n_openings": counts(0),
        "costs": numbers(-1, none=False) | misaligned(FRAME) | {"negative": -FRAME.abs()},
        "capital": numbers(0, 1e6, none=False),
        "block_length": numbers(0.5),
        "n_resamples": counts(0),
        "seed": counts(),
        "size": numbers(0.0, 0.6),
    },
)
row(
    v.best_trial,
    {"trial_returns": FRAME},
    {"trial_returns": tables(FRAME, gaps=True, short=1) | {"constant": FRAME * 0 + 0.01}},
)
row(
    r.placebo_world,
    {"data": FRAME, "block_length": 10, "rng": RNG},
    {
        "data": tables(FRAME, gaps=True, short=20)
        | {"no returns": {"volume": FRAME}, "other dates": {"returns": FRAME, "v": FRAME[5:]}},
        "kind": options(None),
        "block_length": numbers(0, 0.5, 1e6),
        "rng": {"seed": 3, "none": None},
    },
)
row(
    r.placebo_false_pass_rate,
    {
        "evaluate": lambda w: w,
        "returns": FRAME,
        "n_worlds": 2,
        "block_length": 10,
        "seed": 0,
        "periods_per_year": 252,
        "n_resamples": 100,
    },
    {
        "evaluate": {"none": None, "number": lambda w: 3, "missing": lambda w: w * np.nan},
        "returns": tables(FRAME, gaps=True, short=20),
        "n_worlds": counts(0),
        "block_length": numbers(0),
        "seed": counts(),
        "periods_per_year": PER_YEAR,
        "kind": options(None),
        "size": numbers(0.0, 1.0),
        "n_holdout": counts(N),
        "n_openings": counts(0),
        "n_trials": counts(0, 3, none=False),
        "confidence": numbers(0.0, 1.0),
        "n_resamples": counts(0),
        "select": {"none": None, "unknown": lambda t: "z"},
    },
)
DRAWN = tables(SERIES, gaps=True, short=0)
row(r.equity_curve, {"returns": SERIES}, {"returns": DRAWN, "holdout_start": {"text": "never"}})
row(r.drawdown, {"returns": SERIES}, {"returns": DRAWN})
row(
    r.rolling_sharpe,
    {"returns": SERIES, "window": 20, "periods_per_year": 252},
    {"returns": DRAWN, "window": counts(0, 1, N + 1), "periods_per_year": PER_YEAR},
)
row(
    r.cost_stress,
    {"sharpe_ratios": pd.Series([1.0, 0.5], index=[1, 2])},
    {
        "sharpe_ratios": {
            "text": pd.Series(["x"], index=[1]),
            "none": None,
            "nothing": pd.Series(dtype=float),
        },
        "breakeven": numbers(none=False),
    },
)
MANY_NUMBERS = {
    "text": ["x"],
    "nothing": [],
    "none": None,
    "missing": [np.nan],
    "infinite": [np.inf, 1.0],
    "two dimensions": [[0.1, 0.2]],
}
row(r.logits_histogram, {"logits": [0.1, -0.2]}, {"logits": MANY_NUMBERS})
row(
    r.parameter_heatmap,
    {"values": FRAME[:4].reset_index(drop=True)},
    {
        "values": {"none": None, "text": "x", "missing": FRAME * np.nan},
        "selected": {"unknown": ("z", "z"), "number": 3},
        "decimals": counts(-1),
    },
)
row(
    r.placebo_histogram,
    {"sharpe_ratios": [0.1, 0.2], "observed": 0.3},
    {"sharpe_ratios": MANY_NUMBERS, "observed": numbers()},
)
row(
    r.power_curve,
    {"power": pd.Series([0.1, 0.5], index=[1.0, 2.0])},
    {
        "power": {
            "none": None,
            "text": pd.Series(["x"], index=[1.0]),
            "nothing": pd.Series(dtype=float),
        }
    },
)
row(
    r.pvalue_histogram,
    {"pvalues": [0.1, 0.2]},
    {"pvalues": MANY_NUMBERS | {"above one": [1.5]}, "alpha": numbers(0.0, 1.0)},
)
row(
    r.coverage_heatmap,
    {"present": MASK},
    {
        "present": {"none": None, "text": swap(MASK, "x"), "nothing": MASK[:0]},
        "frequency": {"unknown": "zz", "number": 3},
    },
)
row(
    r.names_in_universe,
    {"mask": MASK},
    {"mask": {"none": None, "text": swap(MASK, "x"), "nothing": MASK[:0]}},
)
row(
    r.pair_spread,
    {"zscore": SERIES},
    {"zscore": DRAWN, "entry": numbers(0), "exit": numbers(), "position": misaligned(SERIES)},
)
row(
    r.reconciliation,
    {"expected": SERIES, "realised": SERIES},
    {"expected": DRAWN, "realised": misaligned(SERIES)},
)
row(
    r.var_exceedances,
    {"returns": SERIES, "var": SERIES.abs(), "level": 0.01},
    {"returns": DRAWN, "var": misaligned(SERIES), "level": numbers(0.0, 1.0)},
)
row(
    r.volatility_forecast,
    {"forecast": SERIES.abs(), "returns": SERIES, "periods_per_year": 252},
    {
        "forecast": DRAWN,
        "returns": misaligned(SERIES),
        "periods_per_year": PER_YEAR,
        "window": counts(0, 1),
    },
)
METRICS = {"validate": {"a": {"n": 3, "x": 1.5}}}
GATE_FACTS = {
    "n_obs": 750,
    "n_trials": 30,
    "n_trials_on_data": 2,
    "facts": {"sharpe": 0.06, "sharpe_variance": 0.0014, "skewness": 0.0, "kurtosis": 3.0},
}
FACTS = r.Facts(METRICS)
PAGE = r.render_dossier([r.Section("One", FACTS.prose("{validate:a/n}"))], title="T")
NO_PAGE = {"nothing": "", "path": "reports/x.html", "none": None, "bytes": b"<html>"}
NO_METRICS = {"none": None, "list": [1], "text": "x"}
NO_FACTS = {"none": None, "dict": {}, "text": "x"}
row(
    r.verify_dossier,
    {"page": PAGE, "metrics": METRICS},
    {"page": NO_PAGE, "metrics": NO_METRICS},
)
NO_RECORD = {"none": None, "text": "x", "list": [1]}
row(
    r.changes_since,
    {"previous": PAGE, "page": PAGE},
    {"previous": {k: v for k, v in NO_PAGE.items() if k != "none"}, "page": NO_PAGE},
)
row(
    r.monthly_returns,
    {"returns": SERIES},
    {
        "returns": {
            "none": None,
            "text": "x",
            "no dates": SERIES.reset_index(drop=True),
            "words": SERIES.astype(str),
        }
    },
)
RECORD = {
    "family": "a",
    "identity": {"owner": "A. Keeper"},
    "returns": SERIES,
    "code": {"validate": "7c21"},
    "panel": {"md5": "d41d"},
}
row(
    r.dossier_record,
    RECORD,
    {
        "identity": NO_RECORD | {"unknown": {"boss": "B"}, "a date": {"date": "today"}},
        "returns": {"none": None, "no dates": SERIES.reset_index(drop=True)},
        "code": NO_RECORD,
    },
)
row(r.find_open, {"facts": FACTS, "family": "a"}, {"facts": NO_FACTS})
row(
    r.finish_record,
    {"record": r.dossier_record(**RECORD), "write": lambda facts: PAGE, "facts": FACTS},
    {"record": NO_RECORD, "facts": NO_FACTS},
)
POWER = {
    "family": "a",
    "a": {"power": {"0.5": {"shared": 0.1, "cluster": 0.1}, "1": {"shared": 0.4, "cluster": 0.3}}},
}
row(
    r.draw_figure,
    {"slot": "power", "metrics": {"validate": POWER}, "tables": {}},
    {"slot": {"other": "pie", "none": None}, "metrics": NO_METRICS, "tables": NO_METRICS},
)
row(
    r.dossier_figures,
    {
        "metrics": {
            "validate": {"family": "a", "a": GATE_FACTS | POWER["a"]},
            "backtest_candidates": {
                "a": {"stress": {k: {"annualized_sharpe_ratio": 0.5} for k in "12"}}
            },
        },
        "tables": {},
    },
    {"metrics": NO_METRICS, "tables": NO_METRICS},
)
row(r.identity_block, {"identity": {"code": {"quantlab": "1"}}}, {"identity": NO_METRICS})
row(r.dossier_inputs, {"page": PAGE}, {"page": NO_PAGE})
row(r.diff_dossiers, {"first": PAGE, "second": PAGE}, {"first": NO_PAGE, "second": NO_PAGE})
row(
    r.render_dossier,
    {"sections": [r.Section("One", "<p></p>")], "title": "T"},
    {
        "sections": {"none": None, "text": "x", "nothing": [], "no section": ["x"]},
        "title": {"none": None, "number": 1, "empty": " "},
    },
)
row(r.Facts, {"metrics": METRICS}, {"metrics": NO_METRICS, "missing": options(None)})
row(
    r.format_fact,
    {"value": 1.5},
    {"value": {"list": [1, 2], "dict": {}}, "spec": {"unknown": "euro"}},
)
row(
    r.verdict_box,
    {
        "facts": r.Facts({"validate": {"verdict": "rejected"}}),
        "stage": "validate",
        "key": "verdict",
    },
    {"facts": NO_FACTS, "key": {"unknown": "z"}},
)
row(
    r.strategy_dossier,
    {"facts": r.Facts({"validate": {"a": {"verdict": "rejected"}}}, missing="say"), "family": "a"},
    {"facts": NO_FACTS, "family": {"none": None, "empty": ""}},
)
row(
    r.render_page,
    {"title": "T", "body_html": "<p></p>"},
    {"title": {"none": None}, "body_html": {"none": None, "bytes": b""}},
)
row(
    r.index_page,
    {"entries": [{"href": "a.html", "title": "A"}]},
    {"entries": {"none": None, "text": "x", "no keys": [{}]}},
)
row(r.external_references, {"page": PAGE}, {"page": {"none": None, "bytes": b""}})
row(
    r.figure_svg,
    {"figure": plt.subplots()[0]},
    {"figure": {"none": None, "text": "x"}, "prefix": {"none": None, "blank": "a b"}},
)

PLANNED = {"grid": {"f": {"a": [1, 2]}}, "window": ("2010-01-01", "2015-12-31")}
row(
    r.forecast_plan,
    {"plan": PLANNED},
    {
        "plan": {"none": None, "text": "plan", "nothing": {}, "no grid": PLANNED | {"grid": [1]}}
        | {"no list": PLANNED | {"grid": {"f": {"a": 1}}}, "no days": {"grid": PLANNED["grid"]}}
        | {"no day": PLANNED | {"window": ("soon", "late")}, "nan": PLANNED | {"seed": np.nan}}
        | {f"resamples {n}": PLANNED | {"n_resamples": n} for n in (0, -1, 1.5, "x", True)}
        | {f"holdout {d}": PLANNED | {"holdout_start": d} for d in ("soon", 2015)}
        | {"thresholds": PLANNED | {"thresholds": 0.95}}
        | {
            f"level {x}": PLANNED | {"thresholds": {"deflated_sharpe_ratio": x}}
            for x in (0.2, 1.0, "x", True)
        },
        "n_tries": counts(),
        "years": numbers(-1, none=False),
    },
)
PARAMS = {
    "base": {
        "families": ["x"],
        "evaluate_from": "2010-01-04",
        "holdout_start": "2015-01-02",
        "costs": {"commission_bps": 1.0},
        "capital": 1e7,
        "periods_per_year": 252,
        "seed": 1,
    },
    "backtest_candidates": {"grid": PLANNED["grid"]},
    "validate": {"thresholds": {"deflated_sharpe_ratio": 0.95}},
}
row(
    r.plan_from_params,
    {"params": PARAMS},
    {
        "params": {"none": None, "text": "params.yaml", "nothing": {}, "list": [PARAMS]}
        | {f"without {k}": {n: s for n, s in PARAMS.items() if n != k} for k in PARAMS}
        | {f"no section {k}": PARAMS | {k: None} for k in PARAMS}
        | {
            f"no {k}": PARAMS | {"base": {n: v for n, v in PARAMS["base"].items() if n != k}}
            for k in PARAMS["base"]
        }
        | {
            f"{k} {day}": PARAMS | {"base": PARAMS["base"] | {k: day}}
            for k in ("evaluate_from", "holdout_start")
            for day in ("soon", 2015, np.nan)
        }
        | {"nan": PARAMS | {"base": PARAMS["base"] | {"capital": np.nan}}}
        | {"no grid": PARAMS | {"backtest_candidates": {"grid": {"f": {"a": 1}}}}},
    },
)

# results, typed numbers and descriptions that functions return; nobody makes them by hand
MADE = {
    "AdaptiveVolatility",
    "IntradayComparison",
    "IntradayEvaluation",
    "JumpTest",
    "KnownAt",
    "SessionProfile",
    "WindowCorrelation",
    "BarBuilder",
    "Bars",
    "FractionalOrder",
    "OrderFlowMarket",
    "OrderFlowModel",
    "TickQuality",
    "Ticks",
    "order_flow_sessions",
    "tick_chunks",
    "Confirmation",
    "Diagnostic",
    "AnnualizedSharpe",
    "PeriodSharpe",
    "DeflatedSharpeCurve",
    "EffectiveTrialsResult",
    "FoldChoice",
    "HaircutResult",
    "LedgerCheck",
    "MCSResult",
    "MergeResult",
    "PBONullResult",
    "PBOResult",
    "DeflatedSharpeTest",
    "RuleSimulation",
    "SPAResult",
    "SharpeEstimate",
    "StepMResult",
    "CLAUSES",
    "Clause",
    "Finding",
    "GLOSSARY",
    "GridBlock",
    "IfMeasured",
    "Artifact",
    "AuditResult",
    "BacktestResult",
    "Candidate",
    "Leak",
    "Market",
    "ParameterSurface",
    "PerformanceResult",
    "Criterion",
    "Fact",
    "FigureBlock",
    "GateResult",
    "Judgement",
    "Missing",
    "PlaceboResult",
    "PlanForecast",
    "Rules",
    "Section",
    "TableBlock",
    "VOLATILITY",
    "VerifyResult",
    "DossierDiff",
    "FIGURE_INPUTS",
    "report_style",
    "AccountResult",
    "CapacityCurve",
    "ConstructionResult",
    "EngineComparison",
    "MeasuredSpread",
    "RiskForecastCheck",
    "RiskModel",
    "SampleResult",
    "KyleEquilibrium",
    "KyleLambda",
    "PINFit",
    "SpreadEstimate",
    "TradeCosts",
    "VPINResult",
    "SweepResult",
    "TearSheet",
}
CASES = [
    pytest.param(name, parameter, label, id=f"{name.split('quantlab.')[1]}-{parameter}-{label}")
    for name, (_, _, bad) in ROWS.items()
    for parameter, values in bad.items()
    for label in values
]


@pytest.fixture(autouse=True)
def _no_figure_left():
    yield
    plt.close("all")


def test_every_public_function_has_a_row():
    public = {name: getattr(wing, name) for wing in (v, m, b, r) for name in wing.__all__}
    tried = [f for f, _, _ in ROWS.values()]
    without = {name for name, f in public.items() if f not in tried} - MADE - LEDGER
    assert not without, f"no bad input is tried on {', '.join(sorted(without))}"


@pytest.mark.parametrize("name", ROWS)
def test_the_good_call_works(name):
    function, good, bad = ROWS[name]
    function(**good)
    parameters = inspect.signature(function).parameters
    free = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert free or set(bad) <= set(parameters)


@pytest.mark.parametrize(("name", "parameter", "label"), CASES)
def test_bad_input_is_refused_in_a_sentence(name, parameter, label):
    function, good, bad = ROWS[name]
    with pytest.raises(QuantlabError) as caught:
        function(**good | {parameter: bad[parameter][label]})
    words = str(caught.value)
    assert words.endswith(".") and "\n" not in words and 20 < len(words) < 500, words
    json.dumps(words)
