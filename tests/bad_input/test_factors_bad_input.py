"""Every public function of the wing refuses every kind of bad input in a sentence of its own."""

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from quantlab import factors as fa
from quantlab.data import FactorReturns, Panel
from quantlab.errors import (
    QuantlabError,
)
from quantlab.results import Result

RNG = np.random.default_rng(20)
DAYS = pd.bdate_range("2021-03-01", periods=80, name="date")
NAMES = pd.Index([f"S{i:02d}" for i in range(24)], name="asset")
PRICES = pd.DataFrame(np.exp(RNG.normal(0, 0.02, (80, 24)).cumsum(0)), DAYS, NAMES)
FACTOR = pd.DataFrame(RNG.normal(size=(80, 24)), DAYS, NAMES)
OTHER = pd.DataFrame(RNG.normal(size=(80, 24)), DAYS, NAMES)
THIRD = FACTOR + pd.DataFrame(RNG.normal(size=(80, 24)), DAYS, NAMES)
RETURNS = PRICES.pct_change().fillna(0.01)
MARKET = RETURNS.mean(axis=1).rename("market")
AHEAD = {h: PRICES.shift(-h) / PRICES - 1 for h in (1, 5)}
GROUPS = pd.Series(["a", "b", "c"] * 8, NAMES)
WHOLE_PANEL = Panel({"returns": RETURNS})
PUBLISHED = FactorReturns(OTHER[["S00", "S01"]] / 100, "daily", "decimal", "factors.csv")
LABELS = pd.Series(np.where(np.arange(80) < 40, "early", "late"), DAYS)
MEMBERS = pd.DataFrame(True, DAYS, NAMES)
LONG = FACTOR.stack()
Y, X = pd.Series(RNG.normal(size=80), DAYS), pd.DataFrame(RNG.normal(size=(80, 2)), DAYS)
YEARS, FIRMS = np.repeat(np.arange(8), 10), np.tile(np.arange(10), 8)
EVALUATION = fa.evaluate_factor(FACTOR, AHEAD)
TABLE = fa.to_alphalens(FACTOR, AHEAD)
TABLES = {
    "quantile_returns": EVALUATION.quantile_returns,
    "returns": EVALUATION.quantile_returns_by_date[5],
    "ic": EVALUATION.ic[5],
    "decay": EVALUATION.decay,
}
SHORT = {"train_size": 20, "test_size": 20, "seed": 0, "params": {"min_data_in_leaf": 5}}


def spoil(**ways):
    return ways


CELL = lambda f, value: f.mask(f == f.iloc[3, 1], value)
FRAME = spoil(
    nothing=lambda f: None,
    a_number=lambda f: 3.0,
    a_word=lambda f: "prices.csv",
    empty=lambda f: f.iloc[:0],
    all_missing=lambda f: f * np.nan,
    infinite=lambda f: CELL(f, np.inf),
    text=lambda f: f.astype(str),
    a_word_among_numbers=lambda f: CELL(f.astype(object), "n/a"),
    duplicated_dates=lambda f: pd.concat([f, f.tail(1)]),
    duplicated_assets=lambda f: pd.concat([f, f.iloc[:, :1]], axis=1),
    unsorted=lambda f: f.iloc[::-1],
    time_zone=lambda f: f.tz_localize("UTC"),
)
FACTORS = FRAME | spoil(
    three_levels=lambda f: pd.concat({"x": f.stack()}),
    long_twice=lambda f: pd.concat([f.stack(), f.stack().tail(1)]),
    long_text=lambda f: f.stack().astype(str),
    long_infinite=lambda f: f.stack().replace(f.iloc[3, 3], -np.inf),
)
ALIGNED = FRAME | spoil(
    other_dates=lambda f: f.shift(900, freq="B"),
    some_dates=lambda f: f.iloc[1:],
    other_assets=lambda f: f.add_prefix("x"),
    some_assets=lambda f: f.iloc[:, 1:],
)
BY_DATE = {k: v for k, v in ALIGNED.items() if k not in ("other_assets", "some_assets")}
SERIES = spoil(
    nothing=lambda x: None,
    a_table=lambda x: pd.concat([x, x], axis=1),
    empty=lambda x: x.iloc[:0],
    all_missing=lambda x: x * np.nan,
    infinite=lambda x: x.mask(x == x.iloc[3], np.inf),
    text=lambda x: x.astype(str),
    duplicated=lambda x: pd.concat([x, x.tail(1)]),
    unsorted=lambda x: x.iloc[::-1],
)
MATCHED = SERIES | spoil(
    some_dates=lambda x: x.iloc[1:], other_dates=lambda x: x.shift(900, freq="B")
)
FULL = spoil(a_hole=lambda x: x.mask(np.arange(len(x)) == 5))
VALUES = spoil(
    nothing=lambda x: None,
    a_word=lambda x: "x",
    all_missing=lambda x: x * np.nan,
    infinite=lambda x: x.mask(x == x.iloc[3], np.inf),
    text=lambda x: x.astype(str),
    two_dimensions=lambda x: np.ones((5, 5)),
)
AHEADS = spoil(
    nothing=lambda a: None,
    a_frame=lambda a: a[1],
    empty=lambda a: {},
    zero_periods=lambda a: {0: a[1]},
    named_periods=lambda a: {"1D": a[1]},
    a_number=lambda a: {1: 3.0},
    all_missing=lambda a: {1: a[1] * np.nan},
    infinite=lambda a: {1: CELL(a[1], np.inf)},
    text=lambda a: {1: a[1].astype(str)},
    duplicated=lambda a: {1: pd.concat([a[1], a[1].tail(1)])},
    unsorted=lambda a: {1: a[1].iloc[::-1]},
    other_dates=lambda a: {1: a[1].shift(900, freq="B")},
    other_assets=lambda a: {1: a[1].add_prefix("x")},
)
UNEQUAL = spoil(two_calendars=lambda a: {1: a[1], 5: a[5].iloc[3:]})
FRAMES = spoil(
    nothing=lambda d: None,
    empty=lambda d: {},
    a_frame=lambda d: d["a"],
    a_number=lambda d: d | {"a": 3.0},
    all_missing=lambda d: d | {"a": d["a"] * np.nan},
    infinite=lambda d: d | {"a": CELL(d["a"], np.inf)},
    text=lambda d: d | {"a": d["a"].astype(str)},
    duplicated=lambda d: d | {"a": pd.concat([d["a"], d["a"].tail(1)])},
    unsorted=lambda d: d | {"a": d["a"].iloc[::-1]},
    other_dates=lambda d: d | {"a": d["a"].iloc[1:]},
    other_assets=lambda d: d | {"a": d["a"].add_prefix("x")},
)
NUMBERS = spoil(
    nothing=lambda f: None,
    a_word=lambda f: "x",
    empty=lambda f: f.iloc[:0],
    all_missing=lambda f: f * np.nan,
    text=lambda f: f.astype(str),
)
ONE = spoil(only_one=lambda d: {"a": d["a"]})
MAP = spoil(
    foreign=lambda g: g.rename(lambda n: "x" + n),
    duplicated=lambda g: pd.concat([g, g.tail(1)]),
    no_label=lambda g: g.where(g == "z"),
    a_number=lambda g: 3.0,
)
EVALUATIONS = spoil(nothing=lambda e: None, a_frame=lambda e: FACTOR, a_word=lambda e: "momentum")
WHOLE = spoil(zero=lambda v: 0, half=lambda v: 1.5, text=lambda v: "5", nothing=lambda v: None)
SHARE = spoil(
    negative=lambda v: -0.1, above_one=lambda v: 1.5, text=lambda v: "x", nan=lambda v: np.nan
)
PARAMS = spoil(a_list=lambda v: [1], a_word=lambda v: "deep")
WORD = spoil(unknown=lambda v: "magic", nothing=lambda v: None)
POSITIVE = spoil(
    zero=lambda v: 0.0, negative=lambda v: -1.0, text=lambda v: "x", infinite=lambda v: np.inf
)
PAIR = {"a": FACTOR, "b": OTHER}

COMBINED = {
    "factors": PAIR,
    "forward_returns": AHEAD,
    "horizon": 5,
    "window": 30,
    "min_dates": 10,
    "penalty": 1.0,
}

# name: (good arguments, {argument: ways to spoil it}) of the function of that name
ROWS = {
    "as_wide": ({"factor": FACTOR}, {"factor": FACTORS}),
    "winsorize": (
        {"factor": FACTOR, "lower": 0.01, "upper": 0.99},
        {"factor": FACTORS, "lower": SHARE, "upper": SHARE | spoil(below=lambda v: 0.0)},
    ),
    "zscore": ({"factor": FACTOR, "ddof": 1}, {"factor": FACTORS, "ddof": spoil(two=lambda v: 2)}),
    "rank": ({"factor": FACTOR}, {"factor": FACTORS}),
    "neutralize": (
        {"factor": FACTOR, "exposures": {"sector": GROUPS, "beta": OTHER}},
        {
            "factor": FACTORS,
            "exposures": {f"frame_{k}": (lambda e, w=w: w(OTHER)) for k, w in ALIGNED.items()}
            | {f"map_{k}": (lambda e, w=w: w(GROUPS)) for k, w in MAP.items()},
        },
    ),
    "lag": (
        {"factor": FACTOR, "periods": 1},
        {"factor": FACTORS, "periods": spoil(negative=lambda v: -1, half=lambda v: 1.5)},
    ),
    "mask": (
        {"factor": FACTOR, "membership": MEMBERS},
        {
            "factor": FACTORS,
            "membership": spoil(
                numbers=lambda m: m.astype(float),
                some_dates=lambda m: m.iloc[1:],
                other_assets=lambda m: m.add_prefix("x"),
                a_word=lambda m: "members",
                unsorted=lambda m: m.iloc[::-1],
            ),
        },
    ),
    "rolling_beta": (
        {"returns": RETURNS, "market": MARKET, "window": 20, "min_observations": 15},
        {
            "returns": BY_DATE,
            "market": MATCHED | spoil(constant=lambda x: x * 0),
            "window": WHOLE | spoil(one=lambda v: 1),
            "min_observations": spoil(one=lambda v: 1, above=lambda v: 21, half=lambda v: 2.5),
        },
    ),
    "market_residuals": (
        {"returns": RETURNS, "market": MARKET, "window": 20},
        {"returns": BY_DATE, "market": MATCHED | spoil(constant=lambda x: x * 0), "window": WHOLE},
    ),
    "amihud_illiquidity": (
        {"returns": RETURNS, "dollar_volume": PRICES, "window": 5},
        {"returns": ALIGNED, "dollar_volume": ALIGNED, "window": WHOLE},
    ),
    "define_factor": (
        {"family": "mine", "source": "own", "horizon": 5},
        {"horizon": WHOLE},
    ),
    "load_factors": (
        {"modules": []},
        {
            "modules": spoil(
                text=lambda v: "strategies.turnover",
                none=lambda v: None,
                numbers=lambda v: [3],
                no_module=lambda v: ["quantlab.nothing"],
                a_file=lambda v: ["strategies/turnover.py"],
                no_factor=lambda v: ["quantlab.errors"],
                the_library=lambda v: ["quantlab.factors.library"],
            )
        },
    ),
    "lacking_inputs": (
        {"panel": WHOLE_PANEL, "factors": [fa.LIBRARY["illiquidity"]]},
        {
            "panel": spoil(table=lambda p: p.returns, nothing=lambda p: None),
            "factors": spoil(names=lambda v: ["illiquidity"], one=lambda v: v[0]),
        },
    ),
    "usable_factors": (
        {"panel": WHOLE_PANEL, "library": fa.LIBRARY},
        {
            "panel": spoil(table=lambda p: p.returns, nothing=lambda p: None),
            "library": spoil(a_list=lambda v: list(v), empty=lambda v: {}),
        },
    ),
    "published_attribution": (
        {
            "returns": MARKET,
            "published": PUBLISHED,
            "periods_per_year": 252,
            "min_observations": 20,
        },
        {
            "returns": spoil(
                no_dates=lambda s: s.reset_index(drop=True),
                text=lambda s: s.astype(str),
                gap=lambda s: s.mask(s.index == s.index[5]),
            ),
            "published": spoil(table=lambda p: p.table, nothing=lambda p: None),
            "periods_per_year": POSITIVE,
            "min_observations": spoil(one=lambda v: 1, half=lambda v: 20.5, text=lambda v: "20"),
        },
    ),
    "library_table": (
        {"library": fa.LIBRARY},
        {
            "library": spoil(
                a_list=lambda v: ["momentum"], functions=lambda v: {"f": len}, empty=lambda v: {}
            )
        },
    ),
    "hac_standard_errors": (
        {"y": Y, "X": X, "lags": 2},
        {
            "y": VALUES | FULL | spoil(constant=lambda x: x * 0, shorter=lambda x: x.iloc[1:]),
            "X": {
                k: v
                for k, v in BY_DATE.items()
                if k not in ("nothing", "unsorted", "duplicated_dates", "time_zone")
            }
            | spoil(
                a_hole=lambda x: CELL(x, np.nan),
                collinear=lambda x: x.assign(c=x[0]),
                zero=lambda x: x * 0,
            ),
            "lags": spoil(negative=lambda v: -1, too_many=lambda v: 80, half=lambda v: 1.5),
        },
    ),
    "clustered_standard_errors": (
        {"y": Y, "X": X, "clusters": FIRMS},
        {
            "y": VALUES | FULL | spoil(constant=lambda x: x * 0, shorter=lambda x: x.iloc[1:]),
            "X": spoil(collinear=lambda x: x.assign(c=x[0]), text=lambda x: x.astype(str)),
            "clusters": spoil(
                nothing=lambda c: None,
                shorter=lambda c: c[1:],
                one=lambda c: c * 0,
                a_hole=lambda c: np.where(c == 3, np.nan, c),
                three_ways=lambda c: np.column_stack([c, c, c]),
            ),
        },
    ),
    "fama_macbeth": (
        {"y": Y, "X": X, "entity": FIRMS, "time": YEARS, "hac_lags": 1},
        {
            "y": VALUES | FULL | spoil(constant=lambda x: x * 0, shorter=lambda x: x.iloc[1:]),
            "X": spoil(
                collinear=lambda x: x.assign(c=x[0]),
                text=lambda x: x.astype(str),
                a_word=lambda x: "x",
            ),
            "entity": spoil(shorter=lambda e: e[1:], twice=lambda e: e * 0),
            "time": spoil(
                nothing=lambda t: None,
                shorter=lambda t: t[1:],
                a_hole=lambda t: np.where(t == 3, np.nan, t),
                one_period=lambda t: t * 0,
                too_thin=lambda t: np.arange(len(t)) // 2,
            ),
            "hac_lags": spoil(negative=lambda v: -1, too_many=lambda v: 8, half=lambda v: 1.5),
        },
    ),
    "default_lags": ({"n_obs": 100, "horizon": 5}, {"n_obs": WHOLE, "horizon": WHOLE}),
    "mean_inference": (
        {"values": Y, "horizon": 5, "positions": np.arange(80), "hac_lags": 4},
        {
            "values": VALUES,
            "horizon": WHOLE,
            "positions": spoil(
                shorter=lambda p: p[1:], backwards=lambda p: p[::-1], text=lambda p: p.astype(str)
            ),
            "hac_lags": spoil(negative=lambda v: -1, too_many=lambda v: 80, half=lambda v: 1.5),
        },
    ),
    "bootstrap_interval": (
        {
            "values": Y,
            "horizon": 5,
            "confidence": 0.9,
            "block_size": 5,
            "n_resamples": 200,
            "seed": 0,
        },
        {
            "values": VALUES | spoil(constant=lambda x: x * 0),
            "horizon": WHOLE,
            "confidence": SHARE | spoil(one=lambda v: 1.0),
            "block_size": spoil(zero=lambda v: 0, too_long=lambda v: 81),
            "n_resamples": spoil(few=lambda v: 10),
        },
    ),
    "evaluate_factor": (
        {
            "factor": FACTOR,
            "forward_returns": AHEAD,
            "quantiles": 5,
            "bins": None,
            "groups": GROUPS,
            "binning_by_group": False,
            "group_neutral": True,
            "max_loss": 0.35,
            "conventions": "quantlab",
        },
        {
            "factor": FACTORS
            | spoil(
                other_dates=lambda f: f.shift(900, freq="B"),
                other_assets=lambda f: f.add_prefix("x"),
                constant=lambda f: f * 0,
                mostly_missing_days=lambda f: f.shift(50, freq="B"),
            ),
            "forward_returns": AHEADS | UNEQUAL,
            "groups": MAP,
            "quantiles": WHOLE
            | spoil(one=lambda v: 1, too_many=lambda v: 101, more_than_names=lambda v: 30),
            "bins": spoil(
                zero=lambda v: 0,
                text=lambda v: "2",
                falling=lambda v: [1, 0, -1],
                one=lambda v: [0, 1],
            ),
            "binning_by_group": spoil(text=lambda v: "yes", one=lambda v: 1),
            "group_neutral": spoil(text=lambda v: "yes", nothing=lambda v: None),
            "max_loss": SHARE,
            "conventions": WORD,
        },
    ),
    "to_alphalens": (
        {
            "factor": FACTOR,
            "forward_returns": AHEAD,
            "quantiles": 5,
            "groups": GROUPS,
            "max_loss": 0.35,
        },
        {
            "factor": FACTORS,
            "forward_returns": AHEADS | UNEQUAL,
            "groups": MAP,
            "quantiles": WHOLE,
            "max_loss": SHARE,
        },
    ),
    "from_alphalens": (
        {"factor_data": TABLE},
        {
            "factor_data": spoil(
                nothing=lambda t: None,
                flat=lambda t: t.reset_index(),
                no_factor=lambda t: t.drop(columns="factor"),
                no_returns=lambda t: t.drop(columns=["1D", "5D"]),
                duplicated=lambda t: pd.concat([t, t.tail(1)]),
                text=lambda t: t.assign(factor="x"),
                infinite=lambda t: t.assign(factor=np.inf),
                infinite_returns=lambda t: t.assign(**{"1D": np.inf}),
                all_missing=lambda t: t.assign(factor=np.nan),
                groups_that_change=lambda t: t.assign(group=np.arange(len(t))),
            )
        },
    ),
    "monotonicity_test": (
        {
            "by_date": EVALUATION.quantile_returns_by_date[1],
            "horizon": 1,
            "n_resamples": 200,
            "seed": 0,
        },
        {
            "by_date": FRAME | spoil(one_column=lambda f: f.iloc[:, :1]),
            "horizon": WHOLE,
            "n_resamples": spoil(few=lambda v: 9),
        },
    ),
    "factor_attribution": (
        {"returns": MARKET, "factor_returns": 0.01 * X, "periods_per_year": 252, "hac_lags": 2},
        {
            "returns": MATCHED | FULL | spoil(constant=lambda x: x * 0),
            "factor_returns": BY_DATE
            | spoil(
                a_hole=lambda x: CELL(x, np.nan),
                collinear=lambda x: x.assign(c=x[0]),
                constant=lambda x: x * 0 + 0.01,
            ),
            "periods_per_year": POSITIVE,
            "hac_lags": spoil(negative=lambda v: -1, too_many=lambda v: 80),
        },
    ),
    "event_study": (
        {
            "events": FACTOR > 2.0,
            "returns": RETURNS,
            "before": 3,
            "after": 5,
            "benchmark": "universe",
            "cumulate": "sum",
            "weighting": "event",
            "incomplete": "keep",
            "overlapping": "keep",
            "confidence": 0.95,
        },
        {
            "events": spoil(
                nothing=lambda e: None,
                a_number=lambda e: 3.0,
                none_at_all=lambda e: e & False,
                duplicated_dates=lambda e: pd.concat([e, e.tail(1)]),
                other_dates=lambda e: e.shift(900, freq="B"),
                other_assets=lambda e: e.add_prefix("x"),
            ),
            "returns": FRAME,
            "before": spoil(negative=lambda v: -1, half=lambda v: 1.5, a_word=lambda v: "x"),
            "after": spoil(negative=lambda v: -1, half=lambda v: 1.5),
            "benchmark": spoil(a_word=lambda v: "market", a_number=lambda v: 1.0),
            "cumulate": spoil(other=lambda v: "product"),
            "weighting": spoil(other=lambda v: "equal"),
            "incomplete": spoil(other=lambda v: "fill"),
            "overlapping": spoil(other=lambda v: "merge"),
            "confidence": spoil(percent=lambda v: 95, one=lambda v: 1.0),
        },
    ),
    "factor_event_returns": (
        {
            "factor": FACTOR,
            "returns": RETURNS,
            "quantiles": 4,
            "before": 3,
            "after": 5,
            "max_loss": 0.35,
            "confidence": 0.95,
        },
        {
            "factor": FACTORS,
            "returns": FRAME,
            "quantiles": WHOLE,
            "before": spoil(negative=lambda v: -1, half=lambda v: 1.5),
            "after": spoil(negative=lambda v: -1, half=lambda v: 1.5),
            "max_loss": spoil(negative=lambda v: -0.1, percent=lambda v: 35),
            "confidence": spoil(percent=lambda v: 95, one=lambda v: 1.0),
        },
    ),
    "rolling_attribution": (
        {"returns": MARKET, "factor_returns": 0.01 * X, "periods_per_year": 252, "window": 40},
        {
            "returns": MATCHED | FULL | spoil(constant=lambda x: x * 0),
            "factor_returns": BY_DATE
            | spoil(a_hole=lambda x: CELL(x, np.nan), collinear=lambda x: x.assign(c=x[0])),
            "periods_per_year": POSITIVE,
            "window": WHOLE | spoil(too_short=lambda v: 3, too_long=lambda v: 81),
        },
    ),
    "attribution_by": (
        {
            "returns": MARKET,
            "factor_returns": 0.01 * X,
            "labels": LABELS,
            "periods_per_year": 252,
            "min_observations": 20,
        },
        {
            "returns": MATCHED | FULL | spoil(constant=lambda x: x * 0),
            "factor_returns": BY_DATE | spoil(a_hole=lambda x: CELL(x, np.nan)),
            "labels": spoil(
                nothing=lambda x: None,
                a_list=lambda x: list(x),
                some_dates=lambda x: x.iloc[1:],
                no_label=lambda x: x.where(x == "never"),
            ),
            "periods_per_year": POSITIVE,
            "min_observations": WHOLE,
        },
    ),
    "volatility_regime": (
        {"returns": MARKET, "half_life": 10.0, "min_observations": 20},
        {
            "returns": SERIES | FULL | spoil(constant=lambda x: x * 0),
            "half_life": POSITIVE,
            "min_observations": WHOLE,
        },
    ),
    "drawdown_regime": (
        {"returns": MARKET, "depth": 0.1},
        {
            "returns": SERIES | FULL | spoil(ruin=lambda x: x - 1.5),
            "depth": SHARE | spoil(zero=lambda v: 0.0),
        },
    ),
    "sector_contributions": (
        {"weights": FACTOR / 100, "returns": RETURNS, "sectors": GROUPS},
        {
            "weights": ALIGNED,
            "returns": ALIGNED | spoil(a_hole=lambda x: CELL(x, np.nan)),
            "sectors": MAP | spoil(nothing=lambda g: None),
        },
    ),
    "combine": (
        COMBINED | {"method": "ic"},
        {
            "factors": FRAMES,
            "method": WORD,
            "forward_returns": AHEADS,
            "horizon": WHOLE | spoil(unknown=lambda v: 7),
            "window": WHOLE,
            "min_dates": WHOLE | spoil(above=lambda v: 31),
            "penalty": POSITIVE,
        },
    ),
    "combination_weights": (
        COMBINED | {"method": "ridge"},
        {
            "factors": FRAMES,
            "method": WORD,
            "forward_returns": AHEADS,
            "horizon": WHOLE,
            "window": WHOLE,
            "penalty": POSITIVE,
        },
    ),
    "learned_combination": (
        {
            "factors": PAIR,
            "forward_returns": AHEAD,
            "horizon": 5,
            "purge": 5,
            "embargo": 0,
            **SHORT,
        },
        {
            "factors": FRAMES,
            "forward_returns": AHEADS,
            "horizon": WHOLE | spoil(unknown=lambda v: 7),
            "train_size": WHOLE | spoil(too_long=lambda v: 80),
            "test_size": WHOLE,
            "purge": spoil(too_short=lambda v: 4, negative=lambda v: -1),
            "embargo": spoil(negative=lambda v: -1, half=lambda v: 0.5),
            "params": PARAMS,
        },
    ),
    "compare_factors": (
        {
            "evaluations": {"a": EVALUATION},
            "period": 5,
            "fdr": "by",
            "alpha": 0.05,
            "cost_bps": 0.0,
            "n_tested": 3,
        },
        {
            "evaluations": EVALUATIONS | spoil(empty=lambda e: {}, frames=lambda e: {"a": FACTOR}),
            "period": spoil(unknown=lambda v: 7, nothing=lambda v: "x"),
            "fdr": WORD,
            "alpha": SHARE,
            "cost_bps": spoil(negative=lambda v: -1.0),
            "n_tested": spoil(too_few=lambda v: 0, half=lambda v: 1.5),
        },
    ),
    "factor_correlation": (
        {"factors": PAIR, "every": 5},
        {"factors": FRAMES | ONE, "every": WHOLE},
    ),
    "cluster_factors": (
        {
            "correlation": pd.DataFrame([[1, 0.2], [0.2, 1]], ["a", "b"], ["a", "b"]),
            "threshold": 0.5,
        },
        {
            "correlation": spoil(
                nothing=lambda c: None,
                a_panel=lambda c: FACTOR,
                one=lambda c: c.iloc[:1, :1],
                text=lambda c: c.astype(str),
                infinite=lambda c: c * np.inf,
            ),
            "threshold": SHARE,
        },
    ),
    "factor_redundancy": (
        {
            "factor": THIRD,
            "others": PAIR,
            "forward_returns": AHEAD,
            "horizon": 5,
            "every": 5,
        },
        {
            "factor": {k: v for k, v in FACTORS.items() if "long" not in k}
            | spoil(constant=lambda f: f * 0 + 1),
            "others": FRAMES,
            "forward_returns": AHEADS,
            "horizon": spoil(unknown=lambda v: 7),
            "every": WHOLE,
        },
    ),
    "redundancy_table": (
        {"factors": PAIR, "forward_returns": AHEAD, "horizon": 5, "every": 5, "threshold": 0.5},
        {
            "factors": FRAMES | ONE,
            "forward_returns": AHEADS,
            "horizon": spoil(unknown=lambda v: 7),
            "every": spoil(zero=lambda v: 0, half=lambda v: 1.5, text=lambda v: "5"),
            "threshold": SHARE,
        },
    ),
    "evaluate_factors": (
        {"factors": PAIR, "forward_returns": AHEAD, "n_jobs": 1},
        {
            "factors": {k: v for k, v in FRAMES.items() if k != "other_dates"},
            "forward_returns": AHEADS,
            "n_jobs": spoil(zero=lambda v: 0, half=lambda v: 1.5, text=lambda v: "all"),
        },
    ),
    "tear_sheet": (
        {"evaluation": EVALUATION, "period": 5},
        {"evaluation": EVALUATIONS, "period": spoil(unknown=lambda v: 7)},
    ),
    "quantile_bars": (
        {"quantile_returns": TABLES["quantile_returns"], "per_period": True},
        {"quantile_returns": NUMBERS, "per_period": spoil(text=lambda v: "yes")},
    ),
    "cumulative_quantiles": (
        {"returns": TABLES["returns"], "period": 5},
        {"returns": FRAME, "period": WHOLE},
    ),
    "ic_series": ({"ic": TABLES["ic"], "window": 10}, {"ic": SERIES, "window": WHOLE}),
    "ic_histogram": ({"ic": TABLES["ic"]}, {"ic": SERIES}),
    "ic_heatmap": (
        {"ic": TABLES["ic"]},
        {"ic": SERIES | spoil(no_dates=lambda x: x.reset_index(drop=True))},
    ),
    "ic_decay": (
        {"decay": TABLES["decay"]},
        {"decay": NUMBERS | spoil(no_band=lambda f: f[["ic"]])},
    ),
}

CASES = [
    pytest.param(name, argument, way, id=f"{name}-{argument}-{kind}")
    for name, (_, inputs) in ROWS.items()
    for argument, ways in inputs.items()
    for kind, way in ways.items()
]


def test_every_public_function_has_a_row():
    public = {
        name
        for name in fa.__all__
        if inspect.isfunction(getattr(fa, name))
        or (inspect.isclass(getattr(fa, name)) and not issubclass(getattr(fa, name), Result))
    }
    assert public == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_good_arguments_are_taken(name):
    assert getattr(fa, name)(**ROWS[name][0]) is not None


@pytest.mark.parametrize("name, argument, way", CASES)
def test_bad_argument_is_refused(name, argument, way):
    good = ROWS[name][0]
    with pytest.raises(QuantlabError) as caught:
        getattr(fa, name)(**good | {argument: way(good[argument])})
    sentence = str(caught.value)
    assert len(sentence) > 30 and sentence.endswith(".") and "\n" not in sentence, sentence


PANEL = {
    "returns": RETURNS,
    "dollar_volume": 1e6 * PRICES,
    "intraday_abs_return": RETURNS.abs(),
    "sectors": GROUPS,
    "membership": MEMBERS,
}
BAD_FIELDS = {k: way for k, way in FRAME.items() if k != "empty"} | spoil(
    other_dates=lambda f: f.shift(900, freq="B"), some_assets=lambda f: f.iloc[:, 1:]
)


@pytest.mark.parametrize("kind", BAD_FIELDS)
@pytest.mark.parametrize("name", sorted(fa.LIBRARY))
def test_library_refuses_bad_panels(name, kind):
    "Each field it needs spoiled, or taken away; and a mask of numbers"
    factor = fa.LIBRARY[name]
    for field in set(factor.inputs) - {"sectors"}:
        spoiled = PANEL | {field: BAD_FIELDS[kind](PANEL[field])}
        with pytest.raises(QuantlabError) as caught:
            factor(SimpleNamespace(**spoiled))
        assert len(str(caught.value)) > 30 and str(caught.value).endswith(".")
    for field in factor.inputs:
        with pytest.raises(QuantlabError, match=f"no `{field}`"):
            factor(SimpleNamespace(**{k: v for k, v in PANEL.items() if k != field}))
    with pytest.raises(QuantlabError, match="true and false"):
        factor(SimpleNamespace(**PANEL | {"membership": MEMBERS.astype(float)}))
