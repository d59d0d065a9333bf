"""Event study and factor event returns: alphalens, loops written out, causality, coverage."""

import numpy as np
import pandas as pd
import pytest
from alphalens import performance
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from quantlab.errors import DataError, MisalignedError, MissingDataError, SpecificationError
from quantlab.factors import evaluate_factor, event_study, factor_event_returns, to_alphalens


def small_world(seed=0, n=80, n_names=8, share=0.04, gaps=0.0):
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2021-01-04", periods=n, name="date")
    names = pd.Index([f"S{i}" for i in range(n_names)], name="asset")
    returns = pd.DataFrame(rng.normal(0, 0.01, (n, n_names)), dates, names)
    returns = returns.mask(rng.random(returns.shape) < gaps)
    events = pd.DataFrame(rng.random(returns.shape) < share, dates, names)
    events.iloc[30, 0] = events.iloc[50, 1] = True  # never none
    return events, returns


def written_out(events, returns, before, after, by_date=False):
    "Mean path and its error by loops over events and days, beyond the universe"
    beyond = returns.sub(returns.mean(axis=1), axis=0).to_numpy()
    at, of = np.nonzero(events.to_numpy())
    answer = {}
    for k in range(-before, after + 1):
        days = list(range(1, k + 1)) if k > 0 else list(range(k + 1, 1))
        steps = []
        for row, name in zip(at, of):
            inside = all(0 <= row + j < len(beyond) for j in days)
            values = [beyond[row + j, name] for j in days] if inside else [np.nan]
            if np.isfinite(values).all():
                steps.append((row, values))
        if k == 0 or not steps:
            continue
        rows = [row for row, _ in steps]
        weight = [1 / (rows.count(r) * len(set(rows))) if by_date else 1 / len(rows) for r in rows]
        mean = [sum(w * v[j] for w, (_, v) in zip(weight, steps)) for j in range(len(days))]
        by_day: dict[int, float] = {}
        for w, (row, values) in zip(weight, steps):
            for j, day in enumerate(days):
                by_day[row + day] = by_day.get(row + day, 0.0) + w * (values[j] - mean[j])
        windows, last = 0, -np.inf
        for row in sorted(set(rows)):
            if row - last >= len(days):
                windows, last = windows + 1, row
        variance = sum(e * e for e in by_day.values())
        error = np.sqrt(variance * windows / (windows - 1)) if windows > 1 else np.nan
        answer[k] = (np.sign(k) * sum(mean), error, len(rows), windows)
    return pd.DataFrame(answer, index=["mean", "std_error", "n_events", "n_disjoint"]).T


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weighting", ["event", "date"])
def test_the_study_is_the_loop_written_out(seed, weighting):
    events, returns = small_world(seed, gaps=0.02)
    found = event_study(events, returns, before=4, after=6, weighting=weighting).table
    expected = written_out(events, returns, 4, 6, by_date=weighting == "date")
    got = found.loc[expected.index, expected.columns].astype(float)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-14)


def as_alphalens(events):
    "A clean factor table of one quantile that holds the events"
    pairs = events.stack()
    pairs = pairs[pairs].astype(float)
    return pd.DataFrame({"1D": 0.0, "factor": pairs, "factor_quantile": pairs.astype(int)})


def test_events_have_the_numbers_of_alphalens():
    events, returns = small_world(3)
    events.iloc[[0, 1, -2], [2, 3, 4]] = True  # windows beyond both ends
    found = event_study(events, returns, before=4, after=6, benchmark=None, weighting="date")
    of = lambda table: performance.average_cumulative_return_by_quantile(
        as_alphalens(events), table, 4, 6, demeaned=False
    ).loc[1]
    np.testing.assert_allclose(
        of(returns).loc["mean"].sort_index(), found.table["mean_return"], atol=1e-14
    )
    inside = events.copy()
    inside.iloc[:5] = inside.iloc[-6:] = False
    full = event_study(inside, returns, before=4, after=6, benchmark=None, weighting="date").table
    whole = performance.average_cumulative_return_by_quantile(
        as_alphalens(inside), returns.cumsum(), 4, 6, demeaned=False
    ).loc[1]
    path = (whole.loc["mean"] - whole.loc["mean", 0]).sort_index()
    np.testing.assert_allclose(path, full["mean"], atol=1e-14)


def test_factor_events_have_the_numbers_of_alphalens():
    events, returns = small_world(4, n=60, n_names=12)
    factor = returns.rolling(5).sum().dropna(how="all")
    ahead = {1: returns.shift(-1)}
    clean = to_alphalens(factor, ahead, quantiles=3)
    choice = {"quantiles": 3, "conventions": "alphalens"}
    evaluation = evaluate_factor(factor, ahead, **choice)
    for demean in (True, False):
        found = factor_event_returns(evaluation, returns, before=3, after=4, demean=demean)
        theirs = performance.average_cumulative_return_by_quantile(
            clean, returns, 3, 4, demeaned=demean
        )
        np.testing.assert_allclose(
            theirs.xs("mean", level=1).T.sort_index(), found.mean_return, atol=1e-14
        )
    # a spread of one day: alphalens' deviation over dates is our naive error times their root
    inside = evaluate_factor(factor.iloc[:-4], ahead, **choice)
    one = factor_event_returns(inside, returns, before=0, after=1)
    table = clean[clean.index.get_level_values("date").isin(factor.index[:-4])]
    theirs = performance.average_cumulative_return_by_quantile(table, returns, 0, 1)
    deviation = theirs.xs("std", level=1)[1]
    naive = one.naive_std_error.loc[1] * np.sqrt(one.n_dates)
    np.testing.assert_allclose(deviation, naive, rtol=1e-9)


def test_the_market_model_is_a_regression_on_the_rows_before():
    rng = np.random.default_rng(5)
    _, returns = small_world(5, n=120)
    index = pd.Series(rng.normal(0, 0.01, 120), returns.index)
    returns = returns + np.outer(index, np.linspace(0.5, 1.5, 8))
    events = returns * 0 > 1
    events.iloc[90, 3] = True
    found = event_study(events, returns, before=2, after=3, benchmark=index, estimation=60)
    rows = slice(90 - 2 - 60, 90 - 2)
    beta, alpha = np.polyfit(index.iloc[rows], returns.iloc[rows, 3], 1)
    beyond = returns.iloc[91:94, 3] - alpha - beta * index.iloc[91:94]
    np.testing.assert_allclose(found.table.loc[1:, "mean"], beyond.cumsum(), atol=1e-12)


def test_compounding_is_buy_and_hold():
    events, returns = small_world(6)
    found = event_study(events, returns, before=3, after=4, benchmark=None, cumulate="compound")
    prices = np.vstack([np.ones(8), (1 + returns).cumprod()])  # with the close before the table
    at, of = np.nonzero(events.to_numpy())
    for k in (-3, -1, 2, 4):
        kept = [(r, c) for r, c in zip(at + 1, of) if 0 <= r + k < len(prices)]
        gains = [prices[r + k, c] / prices[r, c] - 1 for r, c in kept]
        assert found.table.loc[k, "mean"] == pytest.approx(np.mean(gains), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-0.02, 0.02), st.permutations(range(8)))
def test_a_move_of_all_names_and_their_order_change_nothing(seed, move, order):
    events, returns = small_world(seed)
    first = event_study(events, returns, before=3, after=5).table
    moved = event_study(events.iloc[:, order], (returns + move).iloc[:, order], before=3, after=5)
    pd.testing.assert_frame_equal(first, moved.table, atol=1e-9, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_returns_twice_as_large_make_a_path_and_an_error_twice_as_large(seed, factor):
    events, returns = small_world(seed)
    one, other = (event_study(events, x, before=2, after=4) for x in (returns, factor * returns))
    for column in ("mean", "std_error"):
        np.testing.assert_allclose(factor * one.table[column], other.table[column], atol=1e-12)
    np.testing.assert_allclose(one.table["pvalue"], other.table["pvalue"], atol=1e-9)


def test_the_forms_of_events_are_one():
    events, returns = small_world(7)
    pairs = events.stack()
    pairs = pairs[pairs]
    forms = [
        events,
        events.astype(int),
        pairs.index,
        pairs,
        events.stack(),
        pairs.index.to_frame(index=False),
        events.astype(float).where(events),
    ]
    tables = [event_study(x, returns, before=2, after=3).table for x in forms]
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other)


def test_what_comes_later_does_not_change_what_was_before():
    "Nothing on or before t enters the path after t, nor what lies beyond the window"
    _, returns = small_world(8)
    events = returns * 0 > 1
    events.iloc[40, :4] = events.iloc[48, 2:6] = True
    other = returns.copy()
    other.iloc[:41] = other.iloc[:41] * 3 + 0.01
    other.iloc[54:] = 0.5 * other.iloc[54:]
    first, second = (event_study(events.iloc[[40]], x, before=0, after=5) for x in (returns, other))
    pd.testing.assert_series_equal(first.table["mean"], second.table["mean"])
    later = returns.copy()
    later.iloc[60:] *= -1
    one, two = (
        factor_event_returns(x.rolling(5).sum().dropna().iloc[:50], y, quantiles=2, after=5)
        for x, y in ((returns, returns), (later, later))
    )
    pd.testing.assert_frame_equal(one.cumulative, two.cumulative)


def test_what_is_dropped_is_listed():
    events, returns = small_world(9, n=60)
    events[:] = False
    events.iloc[[30, 32, 45], 0] = True
    events.loc[pd.Timestamp("2021-01-09")] = False  # a Saturday
    events.loc["2021-01-09", "S1"] = True
    events = events.sort_index()
    events["Z"] = events["S0"]
    returns.iloc[46:, 0] = np.nan
    choices = {"before": 0, "after": 5}
    found = event_study(events, returns, **choices)
    reasons = found.dropped["reason"].value_counts().to_dict()
    assert reasons == {
        "asset not in returns": 3,
        "date not in returns": 1,
        "no return beside the event": 1,
    }
    assert found.n_events == 2 and found.n_overlapping == 1 and found.n_dropped == 5
    apart = event_study(events, returns, **choices, overlapping="drop")
    assert apart.n_events == 1 and "soon after another" in set(apart.dropped["reason"])


def test_the_interval_covers_where_dates_cluster():
    "A planted drift; names of a date share a shock that the universe's mean does not take out"
    covered, n_worlds = {"calendar": 0, "naive": 0}, 150
    for rng in np.random.default_rng(11).spawn(n_worlds):
        n, names = 500, 24
        shocks = rng.normal(0, 0.01, (n, 2))[:, np.arange(names) % 2]
        events = np.zeros((n, names), dtype=bool)
        for row in range(20, n - 20, 20):
            events[row, rng.integers(2) :: 2] = True
        planted = 0.001 * sum(np.roll(events, k, axis=0) for k in range(1, 6))
        returns = pd.DataFrame(shocks + rng.normal(0, 0.01, (n, names)) + planted)
        found = event_study(pd.DataFrame(events), returns, before=0, after=8)
        truth = 5 * 0.001 / 2  # half of the names have it, so the mean takes half
        covered["calendar"] += found.lower <= truth <= found.upper
        naive = found.table.loc[8, "naive_std_error"]
        covered["naive"] += abs(found.cumulative_return - truth) <= 1.96 * naive
    assert 0.90 <= covered["calendar"] / n_worlds <= 0.99
    assert covered["naive"] / n_worlds < 0.75


SATURDAY = pd.MultiIndex.from_tuples([(pd.Timestamp("2021-01-09"), "S0")])
EVENTS, RETURNS = small_world(12)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"events": EVENTS & False}, MissingDataError, "holds no event"),
        ({"events": SATURDAY}, MisalignedError, "none of the 1 events is in `returns`"),
        ({"events": SATURDAY.append(SATURDAY)}, DataError, "more than one value for"),
        ({"events": EVENTS.iloc[::-1]}, DataError, "not in time order"),
        ({"events": EVENTS + 1.5}, DataError, "must hold true and false"),
        ({"events": [1, 2]}, DataError, "must be a table of true and false"),
        ({"returns": RETURNS * np.nan}, MissingDataError, "no value at all"),
        ({"returns": RETURNS.replace(RETURNS.iloc[3, 3], np.inf)}, DataError, "infinite"),
        ({"returns": RETURNS.iloc[::-1]}, DataError, "not in time order"),
        ({"before": -1}, SpecificationError, "`before` must be a whole number"),
        ({"after": 1.5}, SpecificationError, "`after` must be a whole number"),
        ({"confidence": 1.0}, SpecificationError, "`confidence` must be a finite number"),
        ({"cumulate": "log"}, SpecificationError, "`cumulate` must be one of"),
        ({"weighting": "name"}, SpecificationError, "`weighting` must be one of"),
        ({"incomplete": True}, SpecificationError, "`incomplete` must be one of"),
        ({"overlapping": "first"}, SpecificationError, "`overlapping` must be one of"),
        ({"estimation": 5}, SpecificationError, "`estimation` must be a whole number"),
        ({"estimation": 300}, MissingDataError, "no market model before it"),
        ({"benchmark": RETURNS["S0"].iloc[5:]}, MisalignedError, "on one index"),
    ],
)
def test_bad_input_is_one_sentence(change, error, said):
    with pytest.raises(error, match=said) as caught:
        event_study(**({"events": EVENTS, "returns": RETURNS} | change))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_the_result_reads_itself():
    found = event_study(EVENTS, RETURNS, before=2, after=4)
    assert f"{found.n_events} events on {found.n_dates} dates" in found.sentence()
    assert found.to_dict()["n_events"] == found.n_events == int(found.event_dates.sum())
    by_quantile = factor_event_returns(RETURNS.rolling(3).sum(), RETURNS, quantiles=2)
    assert "top quantile" in by_quantile.sentence()
    for result in (found, by_quantile):
        assert result.plot().get_title(loc="left")
    plt.close("all")


# ---------------------------------------------------------------- what a sentence must not say

DAYS = pd.bdate_range("2020-01-01", periods=120, name="date")
QUIET = pd.DataFrame(
    np.random.default_rng(1).normal(0, 0.01, (120, 12)), DAYS, list("abcdefghijkl")
)
FACTOR = QUIET.rolling(5).mean()


def _pairs(*days: int) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples([(DAYS[d], "a") for d in days], names=["date", "asset"])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda: event_study(_pairs(-1), QUIET), "cannot be told: no return reaches so far"),
        (lambda: event_study(_pairs(40), QUIET), "(1 event on 1 date); no two windows are apart"),
        (lambda: event_study(_pairs(40, 80), QUIET * 0), "nothing varies"),
        (lambda: event_study(_pairs(40, 80), QUIET, confidence=0.999), "99.9% interval"),
        (lambda: event_study(_pairs(40, 80), QUIET, after=1), "1 day after the event"),
        (
            lambda: factor_event_returns(FACTOR.iloc[50:51], QUIET, quantiles=3, max_loss=0.9),
            "(1 date); no two windows are apart",
        ),
        (
            lambda: factor_event_returns(FACTOR, QUIET, quantiles=3, before=0, after=1),
            "windows that do not overlap).",
        ),
    ],
)
def test_a_sentence_without_a_number_says_so_and_shows_none(found, said):
    sentence = found().sentence()
    assert said in sentence
    assert "nan" not in sentence and "1 days" not in sentence and "1 dates" not in sentence
