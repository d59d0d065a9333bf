"""Labels and samples: the references, the definitions in plain loops, what was known when, and bad
input."""

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import (
    DataError,
    DataWarning,
    LookaheadError,
    MisalignedError,
    MissingDataError,
    ScaleWarning,
    SpecificationError,
)
from quantlab.microstructure import (
    average_uniqueness,
    check_purged,
    cusum_filter,
    draw_probabilities,
    fractional_difference,
    fractional_weights,
    label_concurrency,
    label_overlap,
    minimum_fractional_order,
    sample_weights,
    sequential_bootstrap,
    time_decay,
    triple_barrier,
)
from quantlab.validation import CombinatorialPurgedSplit, PurgedKFold, WalkForwardSplit

N = 60
DAYS = pd.date_range("2024-01-02", periods=N, freq="7min")
few = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 10_000)


def walk(seed, n=N):
    "A log price, sometimes on a coarse grid so that barriers are met exactly"
    rng = np.random.default_rng(seed)
    steps = rng.choice([-0.01, 0.0, 0.01], n) if seed % 2 else rng.normal(0, 0.01, n)
    return pd.Series(steps.cumsum() + 4, index=DAYS[:n])


def prices(seed, n=N):
    "A price, sometimes in whole ticks"
    rng = np.random.default_rng(seed)
    values = 100 + rng.integers(-2, 3, n).cumsum() if seed % 2 else 100 * np.exp(walk(seed, n) - 4)
    return pd.Series(np.asarray(values, dtype=float), index=DAYS[:n])


def spans(seed, n=12, longest=8):
    "First and last bars of labels, several of which may start together"
    rng = np.random.default_rng(seed)
    first = np.sort(rng.integers(0, N - longest, n))
    return first, first + rng.integers(0, longest, n)


def indicator(first, last):
    "Bars x labels: does the label run in the bar?"
    bars = np.arange(N)[:, None]
    return ((bars >= first) & (bars <= last)).astype(float)


def of_reference(entry):
    "Spans of the labels of an indicator matrix"
    matrix = np.array(entry["input"]["indicator"])
    return matrix.argmax(axis=0), len(matrix) - 1 - matrix[::-1].argmax(axis=0), len(matrix)


# references


def test_cusum_reference(reference):
    entry = reference("cusum_filter_small")
    found = cusum_filter(np.log(entry["input"]["close"]), threshold=entry["params"]["h"])
    assert found.tolist() == entry["expected"]["events"]


def test_triple_barrier_reference(reference):
    entry = reference("triple_barrier_small")
    closes, given_ = entry["input"]["close"], entry["params"]
    found = triple_barrier(
        pd.Series(closes, dtype=float),
        range(len(closes)),
        profit_taking=given_["pt"],
        stop_loss=given_["sl"],
        horizon=given_["horizon_bars"],
        incomplete="mark",
    )
    expected = entry["expected"]["rows_i_touch_label_ret"]
    assert len(found) == len(expected)
    for (row, touch, label, made), (event, got) in zip(expected, found.iterrows(), strict=True):
        assert (event, got["touch"], got["label"]) == (row, touch, label)
        assert close(got["return"], made, entry["tol"])


def test_uniqueness_and_first_draws_reference(reference):
    entry = reference("sequential_bootstrap_afml")
    first, last, n = of_reference(entry)
    for got, name in [
        (average_uniqueness(first, last, index=range(n)), "avg_uniqueness"),
        (draw_probabilities(first, last), "prob_first"),
        (draw_probabilities(first, last, drawn=[1]), "prob_after_drawing_2"),
    ]:
        for one, expected in zip(got, entry["expected"][name], strict=True):
            assert close(one, expected, entry["tol"])


def test_third_draw_reference(reference):
    entry = reference("sequential_bootstrap_third_draw")
    first, last, _ = of_reference(entry)
    drawn = [i - 1 for i in entry["params"]["drawn"]]
    for got, expected in zip(
        draw_probabilities(first, last, drawn=drawn), entry["expected"]["prob"], strict=True
    ):
        assert close(got, expected, entry["tol"])


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("fracdiff_weights_d04", {"w": 0.4}),
        ("fracdiff_weights_d05_d15", {"d05": 0.5, "d15": 1.5}),
    ],
)
def test_fractional_weights_reference(reference, name, orders):
    entry = reference(name)
    for key, d in orders.items():
        got = fractional_weights(d, n=entry["params"]["n"])
        for one, expected in zip(got, entry["expected"][key], strict=True):
            assert close(one, expected, entry["tol"])


# the definitions, in plain loops


def plain_cusum(x, threshold):
    "Snippet 2.4, with a threshold a row and no event at a tie"
    events, up, down = [], 0.0, 0.0
    for t in range(1, len(x)):
        up, down = max(0.0, up + x[t] - x[t - 1]), min(0.0, down + x[t] - x[t - 1])
        if np.isnan(threshold[t]):
            up = down = 0.0
        elif down < -threshold[t] * (1 + 1e-9):
            down = 0.0
            events.append(t)
        elif up > threshold[t] * (1 + 1e-9):
            up = 0.0
            events.append(t)
    return events


@few
@given(seeds, st.floats(0.005, 0.05), st.booleans())
def test_cusum_is_its_definition(seed, threshold, moving):
    x = walk(seed)
    limit = threshold
    if moving:
        limit = pd.Series(np.random.default_rng(seed).uniform(0.5, 2, N) * threshold, DAYS)
        limit.iloc[: seed % 7] = np.nan
    each = np.broadcast_to(np.asarray(limit, dtype=float), N)
    assert cusum_filter(x, threshold=limit).equals(DAYS[plain_cusum(x.to_numpy(), each)])


def plain_barrier(p, row, up, down, last, side):
    "(touch, return, barrier) of one event"
    for j in range(row + 1, last + 1):
        made = side * (p[j] / p[row] - 1)
        if made >= up * (1 - 1e-9):
            return j, made, "profit_taking"
        if made <= -down * (1 - 1e-9):
            return j, made, "stop_loss"
    return last, side * (p[last] / p[row] - 1), "horizon"


@few
@given(seeds, st.sampled_from([0.01, 0.02, 0.05, None]), st.integers(1, 15), st.booleans())
def test_triple_barrier_is_its_definition(seed, barrier, horizon, sided):
    rng, p = np.random.default_rng(seed), prices(seed)
    rows = np.sort(rng.choice(N - horizon, min(20, N - horizon), replace=False))
    stop = pd.Series(rng.choice([0.01, 0.03], N), DAYS)
    side = pd.Series(rng.choice([-1, 1], N), DAYS) if sided else None
    found = triple_barrier(
        p, DAYS[rows], profit_taking=barrier, stop_loss=stop, horizon=horizon, side=side
    )
    assert found.index.equals(DAYS[rows])
    for k, i in enumerate(rows):
        sign = side.iloc[i] if sided else 1
        up = np.inf if barrier is None else barrier
        touch, made, which = plain_barrier(p.to_numpy(), i, up, stop.iloc[i], i + horizon, sign)
        got = found.iloc[k]
        assert (got["touch"], got["return"], got["barrier"]) == (DAYS[touch], made, which)
        assert got["label"] == (int(made > 0) if sided else np.sign(made))


@few
@given(seeds, st.integers(1, 60))
def test_a_time_span_ends_at_the_first_row_at_or_after_it(seed, minutes):
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.choice(N, 40, replace=False))
    p, span = prices(seed).iloc[keep], pd.Timedelta(minutes=minutes)
    times = p.index
    found = triple_barrier(
        p, times, profit_taking=None, stop_loss=None, horizon=span, incomplete="drop"
    )
    expected = [times[times >= t + span][0] for t in times if (times >= t + span).any()]
    assert found["touch"].tolist() == expected
    assert found["barrier"].eq("horizon").all()


@few
@given(seeds)
def test_concurrency_and_uniqueness_are_those_of_the_indicator(seed):
    first, last = spans(seed)
    matrix = indicator(first, last)
    count = matrix.sum(axis=1)
    assert label_concurrency(first, last, index=range(N)).tolist() == count.tolist()
    share = np.divide(matrix, count[:, None], where=matrix > 0, out=np.zeros_like(matrix))
    expected = share.sum(axis=0) / matrix.sum(axis=0)
    np.testing.assert_allclose(average_uniqueness(first, last, index=range(N)), expected)
    dated = average_uniqueness(DAYS[first], DAYS[last], index=DAYS)
    np.testing.assert_allclose(dated, expected)
    assert dated.index.equals(DAYS[first])


@few
@given(seeds, st.integers(0, 1000))
def test_sequential_bootstrap_draws_by_its_definition(seed, luck):
    first, last = spans(seed)
    matrix, drawn = indicator(first, last), []
    for u in np.random.default_rng(luck).random(30):
        count = matrix[:, drawn].sum(axis=1)
        unique = (matrix / (1 + count)[:, None]).sum(axis=0) / matrix.sum(axis=0)
        chance = unique / unique.sum()
        np.testing.assert_allclose(draw_probabilities(first, last, drawn=drawn), chance)
        drawn.append(int((chance.cumsum() <= u).sum()))
    got = sequential_bootstrap(first, last, n_draws=30, seed=luck)
    assert got.tolist() == drawn
    assert (
        sequential_bootstrap(DAYS[first], DAYS[last], n_draws=30, seed=luck, index=DAYS).tolist()
        == drawn
    )


def test_the_first_draw_has_the_chances_that_it_says():
    first, last = spans(3, n=6)
    once = sequential_bootstrap(first, last, n_draws=1, seed=1)[0]
    chance = draw_probabilities(first, last, drawn=[once])
    second = [sequential_bootstrap(first, last, n_draws=2, seed=s) for s in range(4000)]
    after = [pair[1] for pair in second if pair[0] == once]
    share = np.bincount(after, minlength=6) / len(after)
    assert np.abs(share - chance.to_numpy()).max() < 4 * np.sqrt(0.25 / len(after))


@few
@given(seeds, st.booleans(), st.floats(-0.9, 1.0))
def test_weights_are_those_of_the_snippets(seed, counted, fading):
    first, last = spans(seed)
    x = np.log(prices(seed))
    matrix = indicator(first, last)
    share = x.diff().fillna(0).to_numpy() / np.maximum(matrix.sum(axis=1), 1)
    if not counted:
        matrix[first, np.arange(len(first))] = 0
    own = np.abs(share @ matrix)
    unique = average_uniqueness(first, last, index=range(N)).to_numpy()
    clock = unique.cumsum()
    slope = (1 - fading) / clock[-1] if fading >= 0 else 1 / ((fading + 1) * clock[-1])
    factor = np.maximum(0, 1 - slope * clock[-1] + slope * clock)
    np.testing.assert_allclose(time_decay(unique, last_weight=fading), factor, atol=1e-12)
    expected = own * factor
    if expected.sum() < 1e-9:
        return
    got = sample_weights(
        DAYS[first],
        DAYS[last],
        prices=prices(seed),
        last_weight=fading,
        count_event_bar=counted,
    )
    np.testing.assert_allclose(got, expected / expected.mean(), atol=1e-9)


@few
@given(seeds, st.floats(0, 2), st.floats(0.02, 0.5))
def test_fractional_difference_is_a_loop(seed, d, threshold):
    x, weights = walk(seed), [1.0]
    while abs(step := -weights[-1] * (d - len(weights) + 1) / len(weights)) >= threshold:
        weights.append(step)
    got = fractional_difference(x, d=d, threshold=threshold)
    assert got.index.equals(x.index) and got.isna().sum() == len(weights) - 1
    for t in range(len(weights) - 1, N):
        expected = sum(w * x.iloc[t - k] for k, w in enumerate(weights))
        assert got.iloc[t] == pytest.approx(expected, abs=1e-12)


@few
@given(seeds)
def test_overlap_is_counted_pair_by_pair(seed):
    first, last = spans(seed, n=20)
    rows = np.random.default_rng(seed).permutation(20)
    train, test = rows[:12], rows[12:]
    meets = (first[train][:, None] <= last[test]) & (last[train][:, None] >= first[test])
    expected = int(meets.any(axis=1).sum())
    for start, end in [(first, last), (DAYS[first], DAYS[last].as_unit("ns"))]:
        found = label_overlap([(train, test)], start=start, end=end)
        assert found["overlapping"].tolist() == [expected]


# what was known when


@few
@given(seeds, st.integers(10, 50))
def test_events_do_not_know_what_follows(seed, cut):
    x = walk(seed)
    other = x.where(np.arange(N) < cut, x + np.random.default_rng(seed).normal(size=N))
    known = lambda series: [t for t in cusum_filter(series, threshold=0.02) if t < DAYS[cut]]
    assert known(x) == known(other)


@few
@given(seeds, st.integers(10, 40))
def test_a_label_does_not_know_what_follows_its_touch(seed, cut):
    p = prices(seed)
    how = {"profit_taking": 0.02, "stop_loss": 0.02, "horizon": 10, "incomplete": "drop"}
    labels = triple_barrier(p, DAYS, **how)
    other = p.where(np.arange(N) <= cut, p * np.random.default_rng(seed).uniform(0.5, 2, N))
    ended = labels[labels["touch"] <= DAYS[cut]]
    assert len(ended) and triple_barrier(other, ended.index, **how).equals(ended)


@few
@given(seeds, st.integers(30, 55))
def test_a_fractional_difference_uses_no_later_row(seed, cut):
    x = walk(seed)
    whole = fractional_difference(x, d=0.4, threshold=0.02)
    early = fractional_difference(x.iloc[:cut], d=0.4, threshold=0.02)
    np.testing.assert_array_equal(whole.iloc[:cut], early)


def test_a_barrier_from_the_future_changes_the_labels():
    "A threshold of the whole sample is not what was known: the two differ, so the choice matters"
    x = walk(2)
    known = x.diff().expanding(5).std()
    of_all = known * 0 + x.diff().std()
    assert not cusum_filter(x, threshold=2 * known).equals(cusum_filter(x, threshold=2 * of_all))


@pytest.mark.parametrize(
    "splitter", [PurgedKFold(4), CombinatorialPurgedSplit(5, 2), WalkForwardSplit(20, 10)]
)
def test_splitters_purge_labels_of_a_triple_barrier(splitter):
    labels = triple_barrier(
        prices(4), DAYS, profit_taking=0.02, stop_loss=0.02, horizon=8, incomplete="drop"
    )
    ends = {"start": labels.index, "end": labels["touch"]}
    purged = check_purged(splitter.split(labels, t1=labels["touch"]), **ends)
    assert len(purged) == splitter.get_n_splits(labels)
    with pytest.raises(LookaheadError, match="train on labels that meet a label of the test"):
        check_purged(splitter.split(labels), **ends)


# what becomes of events at the end


def test_events_past_the_data_are_said_and_dropped_or_marked():
    how = {"profit_taking": 0.02, "stop_loss": 0.02, "horizon": 10}
    with pytest.warns(DataWarning, match="the horizon of 10 of 60 events runs past the last row"):
        said = triple_barrier(prices(1), DAYS, **how)
    assert said.equals(triple_barrier(prices(1), DAYS, **how, incomplete="drop"))
    marked = triple_barrier(prices(1), DAYS, **how, incomplete="mark")
    assert len(said) == 50 and len(marked) == 59  # the last row has no price after it
    assert marked.iloc[:50].equals(said)
    ended = marked[marked["barrier"] == "end"]
    assert len(ended) and (ended["touch"] == DAYS[-1]).all()


def test_a_vertical_barrier_can_be_labelled_zero():
    how = {"profit_taking": 0.02, "stop_loss": 0.02, "horizon": 3, "incomplete": "drop"}
    sign = triple_barrier(prices(2), DAYS, **how)
    zero = triple_barrier(prices(2), DAYS, **how, vertical_label="zero")
    ran_out = sign["barrier"] == "horizon"
    assert ran_out.any() and (zero["label"][ran_out] == 0).all()
    assert zero["label"][~ran_out].equals(sign["label"][~ran_out])


# the order of a fractional difference


def test_the_order_found_is_the_first_that_passes():
    found = minimum_fractional_order(np.random.default_rng(1).normal(size=1500).cumsum())
    tested = found.tried["pvalue"]
    assert found.d == tested.index[-1] and found.n_tried == len(tested)
    assert (tested.iloc[:-1] >= 0.05).all() and tested.iloc[-1] < 0.05
    assert found.level_left == pytest.approx(
        fractional_weights(found.d, n=found.n_weights).sum(), abs=1e-12
    )
    assert f"first of {found.n_tried} orders tried" in found.sentence()
    assert found.to_dict()["n_weights"] == found.n_weights


# bad input: one sentence each

X, P = walk(0), prices(0)
LATER = DAYS + pd.Timedelta("1min")
HOLED = P.where(P.index != DAYS[7])
BARS = {"profit_taking": 0.02, "stop_loss": 0.02, "horizon": 5, "incomplete": "drop"}
BAD_EVENTS = {
    "missing price": (X.where(X.index != DAYS[7]), 0.02, MissingDataError, "1 missing values"),
    "unsorted": (X[::-1], 0.02, DataError, "not in time order"),
    "twice": (pd.concat([X[:3], X[1:]]), 0.02, DataError, "more than once"),
    "text": (X.astype(str), 0.02, DataError, "text or objects"),
    "one row": (X[:1], 0.02, DataError, "at least 2 observations"),
    "zero threshold": (X, 0.0, SpecificationError, "`threshold` must be a finite number"),
    "negative": (X, -0.02, SpecificationError, "`threshold` must be a finite number"),
    "zero somewhere": (X, X * 0, DataError, "`threshold` must be above zero"),
    "none known": (X, X * np.nan, MissingDataError, "no value at all"),
    "other rows": (X, X[1:] * 0 + 1, MisalignedError, "on one index"),
}
BAD_BARRIERS = {
    "outside": (P, LATER, {}, DataError, "60 of 60 `events` are no rows of the prices"),
    "unsorted events": (P, DAYS[::-1], {}, DataError, "`events` is not in time order"),
    "event twice": (P, DAYS[[1, 1, 2]], {}, DataError, "`events` has the index value"),
    "series": (P, P, {}, DataError, "must be an index or a list of times"),
    "numbers for dates": (P, [1, 2], {}, DataError, "of the kind of the prices' index"),
    "no events": (P, [], {}, DataError, "at least one time"),
    "a missing time": (P, [DAYS[0], pd.NaT], {}, DataError, "without a date"),
    "missing price": (HOLED, DAYS, {}, MissingDataError, "`prices` holds 1 missing values"),
    "unsorted prices": (P[::-1], DAYS, {}, DataError, "`prices` is not in time order"),
    "price twice": (pd.concat([P[:3], P[1:]]), DAYS, {}, DataError, "`prices` has the index value"),
    "negative price": (P - 200, DAYS, {}, DataError, "`prices` must be above zero"),
    "zero barrier": (P, DAYS, {"stop_loss": 0}, SpecificationError, "`stop_loss` must be"),
    "negative barrier": (P, DAYS, {"profit_taking": -1}, SpecificationError, "`profit_taking`"),
    "zero at events": (P, DAYS, {"stop_loss": P * 0}, DataError, "must be a return above zero"),
    "unknown at events": (P, DAYS, {"stop_loss": HOLED}, MissingDataError, "is missing at 1 of"),
    "no entry": (P, DAYS, {"stop_loss": P[5:]}, MisalignedError, "no entry at 5 of 60 events"),
    "no bars": (P, DAYS, {"horizon": 0}, SpecificationError, "`horizon` must be a whole number"),
    "half a bar": (
        P,
        DAYS,
        {"horizon": 2.5},
        SpecificationError,
        "a whole number at least 1; got 2.5",
    ),
    "no time": (
        P,
        DAYS,
        {"horizon": pd.Timedelta(0)},
        SpecificationError,
        "a time span above zero",
    ),
    "not a time": (P, DAYS, {"horizon": pd.NaT}, SpecificationError, "`horizon`"),
    "too long": (P, DAYS, {"horizon": 60}, DataError, "all 60 events runs past the last row"),
    "a side of 0": (P, DAYS, {"side": P * 0}, DataError, "must be 1 \\(long\\) or -1"),
    "one side": (P, DAYS, {"side": 1}, DataError, "`side` must be a series"),
    "vertical": (P, DAYS, {"vertical_label": "nan"}, SpecificationError, "`vertical_label`"),
    "incomplete": (P, DAYS, {"incomplete": "keep"}, SpecificationError, "`incomplete`"),
}
BAD_SPANS = {
    "before": (DAYS[[5, 6]], DAYS[[4, 7]], DataError, "1 labels end before they start"),
    "unsorted": (DAYS[[6, 5]], DAYS[[9, 9]], DataError, "`start` is not in time order"),
    "outside": (LATER[:2], DAYS[5:7], DataError, "2 of 2 `start` are no rows of `index`"),
    "unknown end": (DAYS[:2], pd.DatetimeIndex([DAYS[3], pd.NaT]), MissingDataError, "1 missing"),
    "fewer": (DAYS[:2], DAYS[:1], MisalignedError, "one entry a label: 2 and 1"),
    "none": (DAYS[:0], DAYS[:0], MisalignedError, "one entry a label: 0 and 0"),
    "kinds": ([1, 2], [3, 4], DataError, "of the kind of the bars"),
    "one time": (DAYS[0], DAYS[1], DataError, "must be series, indexes or lists"),
}


@pytest.mark.parametrize(("x", "threshold", "error", "why"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_bad_input_of_the_filter(x, threshold, error, why):
    with pytest.raises(error, match=why):
        cusum_filter(x, threshold=threshold)


@pytest.mark.parametrize(
    ("p", "events", "how", "error", "why"), BAD_BARRIERS.values(), ids=BAD_BARRIERS
)
def test_bad_input_of_the_barriers(p, events, how, error, why):
    with pytest.raises(error, match=why):
        triple_barrier(p, events, **BARS | how)


@pytest.mark.parametrize(("start", "end", "error", "why"), BAD_SPANS.values(), ids=BAD_SPANS)
def test_bad_spans(start, end, error, why):
    for call in (
        lambda: average_uniqueness(start, end, index=DAYS),
        lambda: label_concurrency(start, end, index=DAYS),
        lambda: sequential_bootstrap(start, end, n_draws=3, seed=0, index=DAYS),
        lambda: draw_probabilities(start, end, index=DAYS),
        lambda: sample_weights(start, end, prices=P),
    ):
        with pytest.raises(error, match=why):
            call()


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (
            lambda: sequential_bootstrap([0, 1], [1, 2], n_draws=0, seed=0),
            SpecificationError,
            "`n_draws`",
        ),
        (
            lambda: sequential_bootstrap([0, 1], [1, 2], n_draws=1, seed=-1),
            SpecificationError,
            "`seed`",
        ),
        (
            lambda: sequential_bootstrap(DAYS[:2], DAYS[1:3], n_draws=1, seed=0),
            SpecificationError,
            "`index` is needed",
        ),
        (lambda: draw_probabilities([0], [1], drawn=[1]), SpecificationError, "`drawn`"),
        (lambda: sample_weights([0], [1], prices=[1.0, 1.0]), DataError, "all weights are zero"),
        (lambda: sample_weights([0], [1], prices=[1.0, -1.0]), DataError, "above zero"),
        (
            lambda: sample_weights([0], [1], prices=[1.0, 2.0], by="size"),
            SpecificationError,
            "`by` must be",
        ),
        (lambda: time_decay([1.0, 1.0], last_weight=-1), SpecificationError, "above -1"),
        (lambda: time_decay([1.0, 0.0], last_weight=0), DataError, "must be above zero"),
        (lambda: fractional_difference(X, d=-1), SpecificationError, "`d` must be"),
        (
            lambda: fractional_difference(X, d=0.4),
            SpecificationError,
            "give a larger `threshold` or a longer series",
        ),
        (lambda: fractional_difference(HOLED, d=0.4), MissingDataError, "missing values"),
        (lambda: fractional_weights(0.4, n=0), SpecificationError, "`n` must be"),
        (
            lambda: minimum_fractional_order(np.arange(900.0)),
            DataError,
            "an exact straight line",
        ),
        (lambda: minimum_fractional_order(np.ones(900)), DataError, "is constant"),
        (
            lambda: label_overlap([([0], [5])], start=[0, 1], end=[1, 2]),
            MisalignedError,
            "`splits` have row 5, and there are 2 labels",
        ),
        (lambda: check_purged([], start=[0, 1], end=[1, 2]), DataError, "`splits` is empty"),
        (
            lambda: check_purged([([0], [1])], start=[1, 2], end=[0, 2]),
            DataError,
            "1 labels end before they start",
        ),
    ],
)
def test_other_bad_input(call, error, why):
    with pytest.raises(error, match=why):
        call()


def test_what_looks_wrong_is_warned_of():
    with pytest.warns(ScaleWarning, match="give `np.log` of them"):
        cusum_filter(P, threshold=0.02)
    with pytest.warns(ScaleWarning, match="`stop_loss` is 2 in the middle, that is 200%"):
        triple_barrier(P, DAYS, **BARS | {"stop_loss": 2})


def test_times_with_a_zone_go_through_from_events_to_purged_splits():
    plain = pd.date_range("2026-03-02 14:30", periods=600, freq="min")
    walked = 100 * np.exp(np.random.default_rng(0).normal(0, 1e-3, 600).cumsum())
    made = {}
    for zone in (None, "America/Chicago"):
        index = plain if zone is None else plain.tz_localize("UTC").tz_convert(zone)
        prices = pd.Series(walked, index)
        events = cusum_filter(np.log(prices), threshold=0.002)
        labels = triple_barrier(
            prices,
            events,
            profit_taking=0.003,
            stop_loss=0.003,
            horizon=pd.Timedelta("20min"),
            incomplete="drop",
        )
        assert str(labels["touch"].dt.tz) == str(zone)
        unique = average_uniqueness(labels.index, labels["touch"], index=prices.index)
        weights = sample_weights(labels.index, labels["touch"], prices=prices)
        splits = [
            (train.tolist(), test.tolist())
            for train, test in PurgedKFold(4).split(labels, t1=labels["touch"])
        ]
        made[zone] = [labels["label"].tolist(), unique.tolist(), weights.tolist(), splits]
    assert made[None] == made["America/Chicago"]
    with pytest.raises(DataError, match="both have a time zone"):
        list(PurgedKFold(4).split(labels, t1=labels["touch"].dt.tz_localize(None)))


def test_bars_that_closed_at_once_are_one_row():
    again = [*range(50), 49, *range(50, N)]
    tied = P.iloc[again].set_axis(P.index[again])
    tied.iloc[49] *= 1.3
    for made in (
        lambda p: cusum_filter(np.log(p), threshold=0.01).to_series(),
        lambda p: triple_barrier(p, DAYS[:20], profit_taking=0.02, stop_loss=0.02, horizon=9)[
            "return"
        ],
        lambda p: fractional_difference(p, d=0.4, threshold=0.01),
    ):
        pd.testing.assert_series_equal(made(tied), made(P), check_freq=False)
