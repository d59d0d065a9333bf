"""Bad input to every public function of the wing: one sentence, a flag, or the right verdict.

The tables below say what each function is given; a public function without a row fails.
"""

import inspect
from functools import partial

import numpy as np
import pandas as pd
import pytest

import quantlab.cointegration as wing
from quantlab.errors import QuantlabError
from quantlab.simulate import cointegrated_pair, random_walks

N = 200
WALKS = random_walks(N, 4, rng=np.random.default_rng(0))
Y, X = cointegrated_pair(N, hedge_ratio=1.3, phi=0.7, rng=np.random.default_rng(0))
DAY, TIME = WALKS.index[7], pd.Series(np.arange(float(N)), index=WALKS.index)
GIVEN = {"observation_variance": 1e-4, "state_variance": 1e-6}


def at_day(data, value):
    "`data` with one row replaced"
    out = data.astype(object) if isinstance(value, str) else data.copy()
    out.loc[DAY] = value
    return out


SPOIL = {  # name: (what is done to a series or a frame, what the sentence says)
    "too short": (lambda z: z[:10], "at least|too few"),
    "empty": (lambda z: z[:0], "at least|too few|no value"),
    "constant": (lambda z: z * 0 + 3.0, "constant|no error|cannot|no pair"),
    "all missing": (lambda z: z * np.nan, "no value at all"),
    "one missing": (lambda z: at_day(z, np.nan), "1 missing|4 missing|missing values"),
    "infinite": (lambda z: at_day(z, np.inf), "infinite"),
    "text": (lambda z: at_day(z, "n/a"), "numbers only"),
    "unsorted": (lambda z: z[::-1], "not in time order"),
    "duplicated": (lambda z: pd.concat([z[:100], z[99:]]), "more than once"),
    "time zone": (lambda z: z.tz_localize("UTC"), "time zone"),
    "order two": (lambda z: z.cumsum(), "order two"),
    "explosive": (
        lambda z: z.add(1.06**TIME, axis=0),
        "explosive|does not come back|between 0 and 1",
    ),
    "straight line": (lambda z: (z * 0).add(TIME, axis=0), "straight line"),
    "not data": (lambda z: None, "numbers only|dimensions|no value|at least"),
}
BOTH = ("too short", "empty", "unsorted", "duplicated", "time zone")  # or the legs are misaligned


def not_rejected(result):
    return result.pvalue > 0.05


def rejected(result):
    return result.pvalue < 0.05


def is_a_filter(result):
    "Filters describe any path; what they give must be finite once identified"
    return np.isfinite(result.iloc[20:].to_numpy()).all()


def told(result):
    "Tested, and the doubt is told"
    note = (
        result.attrs["note"]
        if isinstance(result, pd.DataFrame)
        else getattr(result, "asymptotic", result).note
    )
    return "order two" in note or "explosive" in note


TOLD = {"order two": told}
WALKING = {"order two": not_rejected, "explosive": not_rejected}
PATH = {"order two": is_a_filter, "explosive": is_a_filter, "straight line": is_a_filter}
SERIES = {  # function: (call, right answers where an answer is right)
    "adf": (wing.adf, WALKING),
    "phillips_perron": (wing.phillips_perron, WALKING),
    "dfgls": (wing.dfgls, WALKING),
    "zivot_andrews": (wing.zivot_andrews, WALKING),
    "kpss": (wing.kpss, {"order two": rejected, "explosive": rejected}),
    "variance_ratio": (wing.variance_ratio, {"order two": rejected, "explosive": rejected}),
    "half_life": (wing.half_life, TOLD),
    "ou_fit": (lambda x: wing.ou_fit(x, dt=1), TOLD),
    "filtered_level": (wing.filtered_level, PATH),
}
PAIR = {
    "engle_granger": wing.engle_granger,
    "phillips_ouliaris": wing.phillips_ouliaris,
    "gregory_hansen": wing.gregory_hansen,
    "hedge_ratios": wing.hedge_ratios,
    "engle_granger_bootstrap": partial(wing.engle_granger_bootstrap, n_resamples=99, seed=0),
    "detect_break": partial(wing.detect_break, formation=100, n_resamples=199),
    "kalman_hedge_ratio": wing.kalman_hedge_ratio,
}


def flagged(result):
    "Every pair of the spoiled column is declined in words; the others are tested"
    hit = (result.table["y"] == "A1") | (result.table["x"] == "A1")
    numbers = result.table.loc[hit, ["pvalue", "qvalue", "hedge_ratio"]]
    return (
        (result.table.loc[hit, "note"] != "").all()
        and numbers.isna().all(axis=None)
        and result.n_tested == (~hit).sum()
    )


def kept_and_told(result):
    "Every pair of the spoiled column is tested, and carries a note"
    hit = (result.table["y"] == "A1") | (result.table["x"] == "A1")
    return (result.table["note"] != "").equals(hit) and result.n_tested == len(result.table)


def on_common_rows(result):
    "Pairs of the spoiled column lose the one day"
    hit = (result.table["y"] == "A1") | (result.table["x"] == "A1")
    rows = result.table["nobs"]
    return rows[hit].nunique() == 1 and (rows[~hit] == rows[hit].iloc[0] + 1).all()


def fewer_names(result):
    "The column is left out of the search, and the count of tests says so"
    return result.n_tested == 2 * 3 * 2 and not (result.pairs[["y", "x"]] == "A1").any(axis=None)


DECLINED = ("constant", "all missing", "straight line")
DOUBTED = ("order two", "explosive")
SCREEN = (
    dict.fromkeys(DECLINED, flagged)
    | dict.fromkeys(DOUBTED, kept_and_told)
    | {"one missing": on_common_rows}
)
JOHANSEN = dict.fromkeys(DOUBTED, told)
FRAME = {
    "johansen": (wing.johansen, JOHANSEN),
    "johansen_bootstrap": (lambda f: wing.johansen_bootstrap(f, n_resamples=99, seed=0), JOHANSEN),
    "screen_pairs": (wing.screen_pairs, SCREEN),
    "screen_johansen": (wing.screen_johansen, SCREEN),
    "screen_formations": (
        lambda f: wing.screen_formations(f, formation=120, trading=40),
        dict.fromkeys(DECLINED, fewer_names)
        | dict.fromkeys(("one missing", *DOUBTED), lambda r: r.n_tested == 24),
    ),
    "kalman_hedge_ratios": (
        lambda f: wing.kalman_hedge_ratios(WALKS.loc[f.index] if f is not None else f, f, **GIVEN),
        PATH,
    ),
}
FIT = wing.ou_fit(Y - 1.3 * X, dt=1)
DAYS = WALKS.index
ARGUMENTS = {  # the rest: calls, and what the sentence says
    "mackinnon_pvalue": [
        (lambda: wing.mackinnon_pvalue("-3"), "numbers only"),
        (lambda: wing.mackinnon_pvalue(-np.inf), "finite"),
        (lambda: wing.mackinnon_pvalue(np.array([True])), "true and false"),
        (lambda: wing.mackinnon_pvalue(-3.0, n_series=7), "from 1 to 6"),
        (lambda: wing.mackinnon_pvalue(-3.0, trend="drift"), "must be one of"),
    ],
    "mackinnon_critical_values": [
        (lambda: wing.mackinnon_critical_values(nobs=0), "`nobs` must be"),
        (lambda: wing.mackinnon_critical_values(nobs=np.nan), "`nobs` must be"),
        (lambda: wing.mackinnon_critical_values(n_series=13), "from 1 to 12"),
    ],
    "bertram_thresholds": [
        (lambda: wing.bertram_thresholds(Y, cost=0.1), "result of `ou_fit`"),
        (lambda: wing.bertram_thresholds(FIT, cost=0.0), "`cost` must be"),
        (lambda: wing.bertram_thresholds(FIT, cost=np.nan), "`cost` must be"),
        (lambda: wing.bertram_thresholds(FIT, cost="1"), "`cost` must be"),
        (lambda: wing.bertram_thresholds(FIT, cost=1e6), "never pays"),
    ],
    "formation_windows": [
        (lambda: wing.formation_windows(None, formation=100, trading=20), "index of days"),
        (lambda: wing.formation_windows(WALKS, formation=100, trading=20), "index of days"),
        (lambda: wing.formation_windows(DAYS[::-1], formation=100, trading=20), "time order"),
        (lambda: wing.formation_windows(DAYS.append(DAYS), formation=100, trading=20), "once"),
        (lambda: wing.formation_windows(DAYS[:50], formation=100, trading=20), "too few"),
        (lambda: wing.formation_windows(DAYS, formation=5, trading=20), "at least 30"),
    ],
}


def test_every_public_function_has_a_row():
    functions = {name for name in wing.__all__ if not inspect.isclass(getattr(wing, name))}
    assert functions == {*SERIES, *PAIR, *FRAME, *ARGUMENTS}


def meets(call, allowed, problem, sentence):
    "The right answer where one is given, otherwise one sentence"
    if problem in allowed:
        assert allowed[problem](call())
        return
    with pytest.raises(QuantlabError, match=sentence) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and text.rstrip(".").count(". ") == 0 and len(text) < 300


@pytest.mark.parametrize("problem", SPOIL)
@pytest.mark.parametrize("name", SERIES)
def test_series(name, problem):
    call, allowed = SERIES[name]
    spoil, sentence = SPOIL[problem]
    meets(lambda: call(spoil(WALKS["A0"])), allowed, problem, sentence)


@pytest.mark.parametrize("problem", SPOIL)
@pytest.mark.parametrize("name", PAIR)
def test_pair(name, problem):
    call, (spoil, sentence) = PAIR[name], SPOIL[problem]
    y, x = (spoil(Y), spoil(X)) if problem in BOTH else (Y, X)
    first = second = {"order two": told, "explosive": told}
    if name == "kalman_hedge_ratio":
        first = second = PATH
    if name == "detect_break":  # a leg alone is not cointegrated with a walk
        first = second = {}
        sentence += "|shows no cointegration|does not come back"
    meets(lambda: call(spoil(Y), x), first, problem, sentence + "|`formation` must be")
    meets(lambda: call(y, spoil(X)), second, problem, sentence + "|`formation` must be")


@pytest.mark.parametrize("name", PAIR)
def test_pair_misaligned_collinear_or_more_than_two(name):
    call = PAIR[name]
    for y, x, sentence in (
        (Y, X.shift(1, freq="B"), "on one index"),
        (Y, X[:150], "same rows|on one index"),
        (Y, 2 * Y - 1, "collinear|no error"),
    ):
        meets(partial(call, y, x), {}, None, sentence)
    if name not in ("engle_granger", "phillips_ouliaris"):
        table = pd.DataFrame({"a": X, "b": WALKS["A0"]})
        meets(lambda: call(Y, table), {}, None, "one")


@pytest.mark.parametrize("problem", SPOIL)
@pytest.mark.parametrize("name", FRAME)
def test_frame(name, problem):
    call, allowed = FRAME[name]
    spoil, sentence = SPOIL[problem]
    if problem in (*BOTH, "infinite", "text", "not data"):
        if name == "kalman_hedge_ratios" and problem == "too short":
            allowed = {problem: is_a_filter}  # the variances are given: two rows are enough
        if name == "kalman_hedge_ratios" and problem in ("empty", "time zone", "duplicated"):
            call = lambda f: wing.kalman_hedge_ratios(f, f, **GIVEN)
        meets(lambda: call(spoil(WALKS)), allowed, problem, sentence)
        return
    column = spoil(WALKS["A1"])
    if name.startswith(("johansen", "kalman")) and problem == "all missing":
        sentence = "missing values"
    meets(lambda: call(WALKS.assign(A1=column)), allowed, problem, sentence)
    if name != "kalman_hedge_ratios" and problem not in ("one missing", *DOUBTED):
        meets(lambda: call(spoil(WALKS)), {}, problem, sentence + "|no pair|at least|no value")


@pytest.mark.parametrize("name", [n for n in FRAME if n != "kalman_hedge_ratios"])
def test_frame_collinear_alone_or_named_twice(name):
    call = FRAME[name][0]
    twins = WALKS[["A0"]].assign(A1=2 * WALKS["A0"] - 1)
    for data, sentence in (
        (twins, "collinear"),
        (WALKS[["A0"]], "2 columns"),
        (WALKS[["A0", "A0"]], "more than once"),
    ):
        meets(partial(call, data), {}, None, sentence)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name):
    for call, sentence in ARGUMENTS[name]:
        meets(call, {}, None, sentence)


def test_options_of_the_filters_and_restrictions_are_read_before_they_are_used():
    many = {"observation_variance": 1.0, "state_variance": 0.0}
    prior = {"initial_covariance": 1.0}
    fit = wing.johansen(WALKS)
    for call, sentence in (
        (lambda: wing.kalman_hedge_ratio(Y, X, state_variance="a"), "numbers only"),
        (lambda: wing.kalman_hedge_ratio(Y, X, initial_state="ab", **prior), "numbers only"),
        (
            lambda: wing.kalman_hedge_ratios(
                WALKS, WALKS, initial_state=[1, 2, 3], **prior, **many
            ),
            "2 finite",
        ),
        (
            lambda: wing.kalman_hedge_ratios(
                WALKS, WALKS, initial_state=[1, np.nan], **prior, **many
            ),
            "2 finite",
        ),
        (lambda: wing.kalman_hedge_ratios(WALKS, WALKS[:100], **many), "on one index"),
        (lambda: wing.hedge_ratios(Y, X, lags=80), "from 0 to 47"),
        (lambda: wing.phillips_ouliaris(Y, X, bandwidth=1e6), "`bandwidth` must be"),
        (lambda: fit.test_cointegrating_vectors("a"), "numbers only"),
        (lambda: fit.test_loadings(np.full((4, 2), np.nan)), "finite numbers"),
        (
            lambda: wing.screen_formations(WALKS, formation=100, trading=20, half_life=3),
            "half_life",
        ),
        (
            lambda: wing.screen_formations(WALKS, WALKS[:50] > 0, formation=100, trading=20),
            "`eligible` lacks",
        ),
    ):
        meets(call, {}, None, sentence)


@pytest.mark.parametrize("name", PAIR)
def test_a_pair_may_mix_series_arrays_lists_and_plain_dates(name):
    call = PAIR[name]
    read = lambda r: r.dropna() if isinstance(r, pd.DataFrame) else r.summary()
    wanted = read(call(Y, X))
    for y, x in (
        (Y, X.to_numpy()),
        (Y.tolist(), X),
        (Y.set_axis(Y.index.date), X),
        (Y, X.set_axis(X.index.date)),
        (Y.set_axis(Y.index.as_unit("s")), X),
    ):
        got = read(call(y, x))
        assert got.astype(str).equals(wanted.astype(str))
    for x in (X.to_numpy()[1:], X.tolist()[1:]):
        with pytest.raises(QuantlabError, match="same rows|on one index"):
            call(Y, x)


def test_other_tables_of_the_same_days_may_be_arrays():
    dummy = pd.DataFrame({0: TIME % 7 == 0}, dtype=float)
    wanted = wing.johansen(WALKS, exog=dummy).trace_statistic
    assert wing.johansen(WALKS, exog=dummy.to_numpy()).trace_statistic.equals(wanted)
    filtered = wing.kalman_hedge_ratios(WALKS, WALKS + 1, **GIVEN)
    assert wing.kalman_hedge_ratios(WALKS.to_numpy(), WALKS + 1, **GIVEN).equals(filtered)


def test_a_hedge_of_something_that_stands_still_is_refused():
    with pytest.raises(QuantlabError, match="`y` is constant"):
        wing.kalman_hedge_ratio(Y * 0 + 3.0, X, **GIVEN)
    with pytest.raises(QuantlabError, match="none of them constant"):
        wing.kalman_hedge_ratios(WALKS.assign(A1=3.0), WALKS, **GIVEN)
