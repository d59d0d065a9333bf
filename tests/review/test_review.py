"""The gate against its parts and its own promises; the dossier against those who would edit it."""

import json
import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from quantlab import factors, review
from quantlab.errors import (
    DataError,
    MissingDataError,
    QuantlabError,
    QuantlabWarning,
    ScaleWarning,
    SpecificationError,
)
from quantlab.review import (
    Facts,
    Section,
    bias_notes,
    diff_dossiers,
    evaluate_gate,
    external_references,
    figure_svg,
    index_page,
    null_sharpe_variance,
    placebo_false_pass_rate,
    placebo_world,
    render_dossier,
    verify_dossier,
)
from quantlab.review.criteria import CRITERIA, PRECONDITIONS
from quantlab.review.diagnostics import DIAGNOSTICS, Rules, _deflated_by, _on_moments
from quantlab.validation import (
    confirm_on_holdout,
    deflated_sharpe_ratio,
    deflated_sharpe_test,
    probability_of_backtest_overfitting,
    simulate_rule,
    superior_predictive_ability,
)
from quantlab.validation.rule import share_interval

EVIDENCE = {
    "breakeven_cost_multiple": 3.0,
    "lookahead_audit_passed": True,
    "data_quality_share": 0.995,
    "fit_certificate_share": 0.97,
    "ledger_in_order": True,
    "plan_before_results": True,
}
DATES = pd.bdate_range("2009-01-05", periods=1500, name="date")


def world(edge: float = 0.0, seed: int = 0, n_trials: int = 10) -> pd.DataFrame:
    "Trials that are independent noise; the first one has a daily mean of `edge`"
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(DATES), n_trials))
    noise[:, 0] += edge
    return pd.DataFrame(noise, index=DATES, columns=[f"t{i}" for i in range(n_trials)])


def judge(trials: pd.DataFrame, **changes):
    best = (trials.mean() / trials.std()).idxmax()
    options = {"selected": best, "n_trials": 10, "periods_per_year": 252, "n_resamples": 1000}
    return evaluate_gate(trials, **(options | {"evidence": EVIDENCE} | changes))


def later(mean: float, n: int = 380) -> pd.Series:
    "A holdout with this mean, exactly"
    x = np.random.default_rng(5).normal(0, 0.01, n)
    return pd.Series(x - x.mean() + mean, pd.bdate_range("2015-01-05", periods=n))


# --- the gate -----------------------------------------------------------------------------------


def test_an_edge_is_approved_once_the_holdout_agrees_and_noise_is_rejected():
    passed, rejected = judge(world(0.0015)), judge(world())
    assert (passed.verdict, passed.selected) == ("unconfirmed", "t0")
    assert rejected.verdict == "rejected" and rejected.failed == ["deflated_sharpe_ratio"]
    assert list(passed.criteria.index) == list(CRITERIA)
    assert {"part", "value", "threshold", "passed", "sentence"} <= set(passed.criteria.columns)
    assert passed.false_pass_rate is None
    outcomes = {m: passed.confirm(confirm_on_holdout(later(m))) for m in (0.0005, -0.0005)}
    assert [g.verdict for g in outcomes.values()] == ["approved", "rejected"]
    assert outcomes[-0.0005].failed == ["holdout_pvalue"]
    assert rejected.confirm(confirm_on_holdout(later(0.01))).verdict == "rejected"
    for gate in (passed, rejected, *outcomes.values()):
        json.dumps(gate.to_metrics(), allow_nan=False)


def test_a_further_opening_asks_for_more():
    passed, good = judge(world(0.0015)), later(0.0006)
    first, second = (passed.confirm(confirm_on_holdout(good, n_openings=k)).verdict for k in (1, 2))
    assert (first, second) == ("approved", "rejected")
    assert passed.confirm(confirm_on_holdout(later(0.002), n_openings=5)).verdict == "approved"


def test_the_test_and_the_diagnostics_are_those_of_the_validation_wing():
    trials = world(0.001)
    gate = judge(trials, n_trials=25, seed=3, n_resamples=2000)
    test = deflated_sharpe_test(
        trials, selected=gate.selected, n_trials=25, n_resamples=2000, seed=3
    )
    assert gate.pvalue == test.pvalue and gate.deflated_sharpe_ratio == 1 - test.pvalue
    assert gate.critical_annual_sharpe == pytest.approx(float(test.critical_sharpe) * 252**0.5)
    found = gate.facts
    chosen, ratios = trials[gate.selected], trials.mean() / trials.std()
    z = (chosen - chosen.mean()) / chosen.std(ddof=0)
    deflated = deflated_sharpe_ratio(
        ratios[gate.selected],
        n_obs=1500,
        n_trials=25,
        sharpe_variance=ratios.var(),
        skewness=float((z**3).mean()),
        kurtosis=float((z**4).mean()),
    )
    spa = superior_predictive_ability(
        pd.Series(0.0, index=DATES), -trials, block_size=11, n_resamples=1000, seed=3
    )
    assert found["deflated_sharpe_ratio_2014"] == pytest.approx(deflated, abs=1e-12)
    assert found["superior_predictive_ability"] == spa.pvalue_consistent
    pbo = probability_of_backtest_overfitting(trials, n_blocks=16).pbo
    assert found["probability_of_backtest_overfitting"] == pbo
    assert list(gate.diagnostics.index) == list(DIAGNOSTICS)


def test_deflation_and_haircut_hold_the_published_numbers(reference):
    entry = reference("dsr_paper_n100")
    p = entry["params"]
    facts = {
        "sharpe": p["sr_annual"] / math.sqrt(p["periods_per_year"]),
        "n_obs": p["T"],
        "skewness": p["skew"],
        "kurtosis": p["kurtosis_raw"],
    }
    variance = p["var_trials_sr_annual"] / p["periods_per_year"]
    assert close(_deflated_by(variance, p["N"], facts), entry["expected"]["dsr"], entry["tol"])
    entry = reference("haircut_bonferroni_M50")
    facts = {
        "sharpe": entry["params"]["sr_annual"] / math.sqrt(12),
        "n_obs": 240,
        "skewness": 0.0,
        "kurtosis": 3.0,
        "autocorrelation": -0.4,  # not credited
    }
    found = _on_moments(facts, 50, Rules(12.0))
    assert close(found["haircut_sharpe"], entry["expected"]["p_bonferroni"], entry["tol"])
    assert close(
        found["haircut_annual_sharpe"], entry["expected"]["haircut_sr_bonferroni"], entry["tol"]
    )


def test_what_was_not_measured_does_not_pass():
    for name in PRECONDITIONS:
        without = judge(world(0.0015), evidence={k: v for k, v in EVIDENCE.items() if k != name})
        assert without.failed == [name] and without.verdict == "rejected"
        assert "not known does not pass" in without.criteria.loc[name, "sentence"]
        assert judge(world(0.0015), evidence=EVIDENCE | {name: None}).verdict == "rejected"
        unasked = judge(world(0.0015), evidence=EVIDENCE | {name: None}, thresholds={name: None})
        assert unasked.verdict == "unconfirmed"
    assert judge(world(0.0015), evidence=EVIDENCE | {"data_quality_share": math.nan}).failed
    for name in ("lookahead_audit_passed", "ledger_in_order", "plan_before_results"):
        assert judge(world(0.0015), evidence=EVIDENCE | {name: False}).failed == [name]


def test_a_loss_that_is_large_does_not_look_significant():
    gate = judge(-world(0.003)[["t0", "t1"]], selected="t0")
    assert gate.pvalue > 0.99 and gate.failed == ["deflated_sharpe_ratio"]
    assert gate.facts["haircut_sharpe"] == 1.0
    assert gate.facts["min_track_record_length"] == math.inf
    assert gate.missing.years_needed == math.inf


def test_hiding_the_others_gains_nothing():
    "One trial of ten is judged as the best of ten independent ones"
    shown, alone = judge(world(0.0008)), judge(world(0.0008)[["t0"]], n_trials=10)
    assert alone.pvalue == pytest.approx(shown.pvalue, abs=0.03)
    assert judge(world(0.0008)[["t0"]], n_trials=1).pvalue < alone.pvalue
    hidden = judge(world(0.0008)[["t0"]], n_trials=9)
    assert np.isnan(hidden.facts["deflated_sharpe_ratio_2014"])
    assert hidden.diagnostics.loc["deflated_sharpe_ratio_2014", "sentence"].startswith("Not known")


@settings(max_examples=15, deadline=None)
@given(st.integers(10, 500), st.integers(10, 500))
def test_more_trials_never_help(first, second):
    few, many = (judge(world(0.0008), n_trials=n) for n in sorted((first, second)))
    assert many.pvalue >= few.pvalue
    assert many.critical_annual_sharpe >= few.critical_annual_sharpe
    assert (many.power["power"] <= few.power["power"] + 1e-12).all()
    assert many.facts["haircut_sharpe"] >= few.facts["haircut_sharpe"] - 1e-12


def test_dropping_columns_families_or_losers_does_not_raise_a_verdict_on_noise():
    """Of 120 worlds of noise with three families of alike books, at most as many pass as 5 % would
    give (99.9 % bound), whatever part of the columns is shown, as long as all are counted"""
    from scipy.stats import binom

    rng, n_worlds, passed = np.random.default_rng(17), 120, {}
    for _ in range(n_worlds):
        common = np.repeat(rng.standard_t(5, (750, 3)), 6, axis=1)
        x = 0.005 * (common + 0.7 * rng.standard_t(5, (750, 18)))
        trials = pd.DataFrame(x, pd.bdate_range("2012-01-02", periods=750)).add_prefix("b")
        ratios = trials.mean() / trials.std()
        best = ratios.idxmax()
        family = int(best[1:]) // 6
        ways = {
            "all": list(trials),
            "losers dropped": [c for c in trials if ratios[c] > 0 or c == best],
            "the best three": list(ratios.nlargest(3).index),
            "the best alone": [best],
            "its family alone": [f"b{i}" for i in range(6 * family, 6 * family + 6)],
            "the other families": [best, *(f"b{i}" for i in range(18) if i // 6 != family)],
        }
        for name, columns in ways.items():
            test = deflated_sharpe_test(
                trials[columns],
                selected=best,
                n_trials=18,
                block_length=5,
                n_resamples=500,
                seed=int(rng.integers(1000)),
            )
            passed[name] = passed.get(name, 0) + test.passed
    assert max(passed.values()) <= binom.ppf(0.999, n_worlds, 0.05), passed


def test_power_is_that_of_the_rule_where_it_was_simulated_and_a_formula_otherwise():
    trials = world(0.0004)
    rule = simulate_rule(
        trials, n_holdout=250, periods_per_year=252, n_worlds=200, n_resamples=199, seed=0
    )
    measured, stated = judge(trials, rule=rule), judge(trials)
    both = rule.power().iloc[1:].min(axis=1)
    assert measured.power["power"].tolist() == both.tolist()
    assert (measured.power["lower"] <= measured.power["power"]).all()
    assert stated.power["power"].is_monotonic_increasing
    # the formula knows the test alone, and no calibration
    tested = rule.table.loc["shared", "tested"].iloc[1:]
    assert (stated.power["power"] - tested).abs().max() < 0.15
    assert measured.pvalue == max(measured.test.pvalue, rule.calibrate(measured.test.pvalue))
    assert measured.critical_annual_sharpe >= stated.critical_annual_sharpe


@pytest.mark.parametrize("true", [1.2, 1.8])
def test_worlds_with_an_edge_pass_at_the_stated_power(true):
    passed, stated = 0, []
    for seed in range(100):
        trials = world(0.01 * true / math.sqrt(252), seed=1000 + seed)
        test = deflated_sharpe_test(
            trials, selected="t0", n_resamples=500, block_length=1, seed=seed
        )
        passed += test.passed
        if seed < 20:
            gate = judge(trials, selected="t0", block_length=1, seed=seed)
            points = gate.power["power"]
            stated.append(np.interp(true, points.index, points))
    low, high = share_interval(passed, 100, 0.99)
    assert low <= np.mean(stated) + 0.05 and np.mean(stated) - 0.05 <= high
    assert 0.05 < np.mean(stated) < 0.95  # a rate that could have been missed


def test_the_spread_of_luck_is_that_of_many_worlds():
    "(1 - mean correlation) / T, against the variance of Sharpe ratios drawn again and again"
    rng = np.random.default_rng(5)
    mix = rng.normal(size=(6, 6))
    drawn = [rng.normal(size=(250, 6)) @ mix for _ in range(1500)]
    seen = np.mean([(x.mean(0) / x.std(0, ddof=1)).var(ddof=1) for x in drawn])
    assert np.mean([null_sharpe_variance(x) for x in drawn]) == pytest.approx(seen, rel=0.06)


@pytest.mark.parametrize(
    ("trials", "changes", "error", "words"),
    [
        (world().T, {"selected": "t0"}, DataError, "transpose it"),
        (world()[:20], {}, DataError, "at least 30 rows"),
        (world() * 0.0, {"selected": "t0"}, DataError, "No column of `trial_returns` varies"),
        (world().assign(t1=0.0), {"selected": "t1"}, SpecificationError, "whose returns vary"),
        (world().assign(t1=np.nan), {"selected": "t0"}, MissingDataError, "1500 missing values"),
        (
            world().assign(t1=world()["t1"].iloc[:1400]),
            {"selected": "t0"},
            DataError,
            "the trial 't1' ends at 2014-05-",
        ),
        (world().mask(world() > 0.03, np.inf), {"selected": "t0"}, DataError, "infinite"),
        (world().astype(object).assign(t1="x"), {"selected": "t0"}, DataError, "numbers only"),
        (world()[::-1], {}, DataError, "not in time order"),
        (pd.concat([world(), world()]), {}, DataError, "more than once"),
        (world(), {"n_trials": 9}, SpecificationError, "at least the 10 shown; got 9"),
        (world(), {"n_trials": 0}, SpecificationError, "whole number at least 1"),
        (world(), {"selected": "none"}, SpecificationError, "must be a column"),
        (world(), {"thresholds": {"sharpe": 1}}, SpecificationError, "unknown: sharpe"),
        (world(), {"thresholds": 5}, SpecificationError, "must be a Mapping"),
        (world(), {"evidence": {"sharpe": 1}}, SpecificationError, "`evidence` may name"),
        (world(), {"rule": "strict"}, SpecificationError, "`rule` must be"),
        (world(), {"periods_per_year": 0}, SpecificationError, "periods_per_year"),
    ],
)
def test_bad_input_of_the_gate(trials, changes, error, words):
    with pytest.raises(error) as caught:
        options = {"selected": "t0", "n_trials": 10, "periods_per_year": 252, "n_resamples": 500}
        evaluate_gate(trials, **(options | changes))
    assert words in str(caught.value)


def test_one_trial_and_idle_ones_are_judged():
    single = judge(world(0.0015)[["t0"]], n_trials=1)
    assert single.verdict == "unconfirmed"
    assert single.facts["probability_of_backtest_overfitting"] == 0.0
    idle = judge(world(0.0015).assign(t9=0.0))
    assert idle.n_trials == 10 and idle.verdict == "unconfirmed"
    assert idle.test.adjusted_pvalues["t9"] == 1.0


def test_a_threshold_of_what_informs_is_said_not_to_be_used():
    with pytest.warns(QuantlabWarning, match="inform and do not decide"):
        gate = judge(world(0.0015), thresholds={"haircut_sharpe": 1e-12})
    assert gate.verdict == "unconfirmed"


def test_biases_are_listed_measured_first():
    notes = bias_notes({"costs_assumed": 0.01, "delisted_names_absent": -0.02})
    assert list(notes.index[:2]) == ["delisted_names_absent", "costs_assumed"]
    assert notes["size"].isna().sum() == len(notes) - 2
    with pytest.raises(SpecificationError, match="Unknown bias"):
        bias_notes(absent=["luck"])


# --- placebo ------------------------------------------------------------------------------------


def test_a_placebo_world_draws_the_same_day_for_all_assets_and_frames():
    days = pd.DataFrame({"a": np.arange(1500.0), "b": 2 * np.arange(1500.0)}, index=DATES)
    data = {"returns": days, "volume": days + 1}
    for kind in ("bootstrap", "shift"):
        drawn = placebo_world(data, kind=kind, block_length=10, rng=np.random.default_rng(0))
        position = (drawn["returns"] + days.mean())["a"]
        assert (drawn["returns"] + days.mean())["b"].to_numpy() == pytest.approx(2 * position)
        assert drawn["volume"]["a"].to_numpy() == pytest.approx(position + 1)
        assert drawn["returns"].index.equals(DATES)
        assert not np.allclose(position, days["a"])


def test_the_rule_passes_few_placebos_and_the_seed_decides_which():
    options = {
        "n_worlds": 60,
        "block_length": 10,
        "seed": 1,
        "periods_per_year": 252,
        "n_holdout": 250,
        "n_resamples": 199,
    }
    first = placebo_false_pass_rate(lambda w: w, world(0.002), **options)
    again = placebo_false_pass_rate(lambda w: w, world(0.002), **options)
    assert first.n_passed <= 7  # 60 worlds at 5 %: more than 7 has probability 0.02
    assert first.lower <= first.pass_rate <= first.upper <= 1
    assert first.pass_rate <= min(first.tested, first.confirmed)
    pd.testing.assert_frame_equal(first.worlds, again.worlds)
    gate = judge(world(0.002)).with_placebo(first)
    assert (gate.false_pass_rate, gate.false_pass_upper) == (first.pass_rate, first.upper)


def test_the_holdout_of_a_world_is_the_end_of_the_next():
    "Worlds whose last days rise and fall by turns: half of them are confirmed, by whom is known"
    turn = iter(range(100))

    def evaluate(w):
        up = 1 if next(turn) % 2 else -1
        w = w.copy()
        w.iloc[-100:] = np.abs(w.iloc[-100:]) * up
        return w

    found = placebo_false_pass_rate(
        evaluate,
        world(),
        n_worlds=6,
        block_length=5,
        seed=0,
        periods_per_year=252,
        n_holdout=100,
        n_resamples=99,
    )
    assert found.worlds["confirmed"].tolist() == [True, False] * 3


def test_a_looser_level_and_more_trials_move_the_rate_as_they_should():
    options = {"block_length": 10, "seed": 2, "periods_per_year": 252, "n_resamples": 199}
    at = lambda **k: placebo_false_pass_rate(lambda w: w, world(), n_worlds=40, **options | k)
    strict, loose, counted = at(), at(size=0.5), at(size=0.5, n_trials=200)
    assert strict.pass_rate < loose.pass_rate and counted.pass_rate < loose.pass_rate
    assert (counted.worlds["pvalue"] >= loose.worlds["pvalue"]).all()


def test_the_interval_of_a_share_is_exact():
    # 5 of 200, Clopper and Pearson (1934) from the beta quantiles
    from scipy.stats import beta

    low, high = share_interval(5, 200, 0.95)
    assert low == pytest.approx(beta.ppf(0.025, 5, 196), abs=1e-9)
    assert high == pytest.approx(beta.ppf(0.975, 6, 195), abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_worlds": 0}, "whole number at least 1"),
        ({"n_worlds": 1, "n_holdout": 10}, "whole number at least 2"),
        ({"n_worlds": 2, "n_holdout": 1500}, "shorter than a world"),
        ({"n_openings": 0}, "n_openings"),
        ({"block_length": 0.5}, "block_length"),
        ({"kind": "permute"}, "must be one of 'bootstrap', 'shift'"),
        ({"confidence": 1.0}, "confidence"),
        ({"size": 0.0}, "`size`"),
        ({"n_trials": 3}, "at least the 10 shown"),
        ({"select": lambda trials: "none"}, "must give a column"),
    ],
)
def test_bad_input_of_the_placebo(changes, words):
    options = {"block_length": 10, "seed": 0, "periods_per_year": 252}
    with pytest.raises(SpecificationError) as caught:
        placebo_false_pass_rate(
            lambda w: w, world(), **(options | {"n_worlds": 1, "n_resamples": 100} | changes)
        )
    assert words in str(caught.value)


# --- plots --------------------------------------------------------------------------------------


def test_a_figure_is_the_same_bytes_and_leaves_the_settings_alone():
    before = dict(mpl.rcParams)
    returns = world()["t0"]
    texts = {figure_svg(review.equity_curve(returns), prefix="e") for _ in range(2)}
    assert len(texts) == 1
    assert dict(mpl.rcParams) == before
    assert not plt.get_fignums()
    (text,) = texts
    assert "<metadata>" not in text and not external_references(text)  # matplotlib's, with a time


def test_every_series_picture_refuses_what_cannot_be_drawn():
    empty = pd.Series(np.nan, index=DATES)
    bad = [empty, empty.fillna(np.inf), pd.Series(["x"] * 9), pd.Series([0.1] * 2, index=[1, 1])]
    calls = [
        review.equity_curve,
        review.drawdown,
        lambda x: review.rolling_sharpe(x, window=5, periods_per_year=252),
        factors.ic_series,
        factors.ic_heatmap,
        review.pair_spread,
        lambda x: review.var_exceedances(x, x, level=0.01),
        lambda x: review.reconciliation(x, x),
        lambda x: review.logits_histogram(x.to_numpy()),
        lambda x: review.placebo_histogram(x.to_numpy(), observed=1.0),
    ]
    for call in calls:
        for series in bad[:3]:
            with pytest.raises(QuantlabError):
                call(series)
    for call in calls[:6]:
        with pytest.raises(QuantlabError):
            call(bad[3])
    assert not plt.get_fignums()  # no half-drawn figure is left behind


# --- the dossier --------------------------------------------------------------------------------


def page_of(metrics: dict, md5s: dict | None = None) -> str:
    facts = Facts(metrics, md5s)
    body = facts.prose(
        "Sharpe {validate:a/sharpe|.2f} of {validate:a/n} trials, {validate:a/word}."
    )
    body += facts.table("validate", "a/rows", {"x": ("x", ".3f"), "ok": ("ok", "")})
    return render_dossier([Section("One", body)], title="T")


def metrics_of(sharpe: float = 0.4123, x: float = -1.5) -> dict:
    rows = {"r1": {"x": x, "ok": True}, "r2": {"x": None, "ok": False}}
    return {"validate": {"a": {"sharpe": sharpe, "n": 12, "word": "<b>", "rows": rows}}}


numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, numbers)
def test_any_other_value_is_found(sharpe, x, other):
    metrics = metrics_of(sharpe, x)
    page = page_of(metrics)
    assert verify_dossier(page, metrics).ok
    changed = verify_dossier(page, metrics_of(other, x))
    assert changed.ok == (json.dumps(other) == json.dumps(sharpe))


def test_edits_of_the_page_are_found():
    metrics, md5s = metrics_of(), {"validate": "a" * 32}
    page = page_of(metrics, md5s)
    check = verify_dossier(page, metrics, md5s)
    assert check.ok and check.n_checked == 7
    for old, new in [
        (">0.41<", ">0.91<"),
        ('data-value="12"', 'data-value="2"'),
        (">yes<", ">no<"),
        ("&lt;b&gt;", "fine"),
        ('data-format=".2f"', 'data-format=".3f"'),
        ('data-key="a/n"', 'data-key="a/m"'),
        ('data-stage="validate" data-key="a/n"', ""),
        ("a" * 32, "b" * 32),
    ]:
        assert old in page
        assert not verify_dossier(page.replace(old, new), metrics, md5s).ok, old
    assert not verify_dossier(page, metrics, {"validate": "b" * 32}).ok
    assert not verify_dossier(page, {}).ok
    bare = verify_dossier(render_dossier([Section("a", "b")], title="no facts"), metrics)
    assert not bare.ok and "page of a stage, not a dossier" in bare.problems[0]


def test_an_edit_outside_the_facts_is_found():
    metrics = metrics_of()
    page = page_of(metrics)
    for old, new in [
        ("<h2", "<p>Sharpe 9.99</p><h2"),
        (" of ", " off "),
        ("</style>", "p{}</style>"),
    ]:
        check = verify_dossier(page.replace(old, new, 1), metrics)
        assert check.problems == (
            "The page was edited after it was written: "
            "its text does not have the hash that it carries.",
        )
    assert page == page_of(metrics)  # the hash is that of the text, and of nothing else


def test_text_is_escaped_and_nothing_is_fetched():
    page = page_of(metrics_of())
    assert "<b>" not in page and "<script" not in page
    assert external_references(page) == []
    assert external_references("<style>@import 'https://a.b/c.css';</style>") == [
        "https://a.b/c.css"
    ]
    assert external_references('<img src="//a.b/c.png">') == ["//a.b/c.png"]


def test_two_dossiers_are_compared_by_fact():
    first, second = page_of(metrics_of()), page_of(metrics_of(0.5))
    assert diff_dossiers(first, first).same
    table = diff_dossiers(first, second).table
    assert list(table["key"]) == ["a/sharpe"]
    assert table["change"].item() == pytest.approx(0.5 - 0.4123)


def test_what_the_reader_sees_is_compared():
    page = page_of(metrics_of())
    shown = diff_dossiers(page, page.replace(">0.41<", ">9.41<")).table
    assert shown[["kind", "key", "first", "second"]].values.tolist() == [
        ["numbers", "a/sharpe", 0.4123, "9.41"],
        ["page", "as written", True, False],
    ]
    words = diff_dossiers(page, page.replace(" of ", " off ")).table
    assert words[["kind", "first", "second"]].values.tolist() == [
        ["text", "of", "off"],
        ["page", True, False],
    ]
    torn = diff_dossiers(page, page.replace('data-value="12"', 'data-value="1{"')).table
    assert torn["second"].tolist() == ["12", False]


@pytest.mark.parametrize("page", ["", "reports/dossier.html", None, b"<html>"])
def test_a_page_that_is_none(page):
    for call in (lambda: verify_dossier(page, {}), lambda: diff_dossiers(page, page)):
        with pytest.raises(DataError, match="text of an HTML page"):
            call()


def test_a_missing_fact_is_an_error_or_said():
    with pytest.raises(MissingDataError, match="No `b` in `validate`; there are: a"):
        Facts(metrics_of()).fill("{validate:b/sharpe}")
    told = Facts(metrics_of(), missing="say")
    assert "not measured" in told.fill("{validate:b/sharpe}")
    assert "Not measured" in told.table("holdout", "x", {"x": ("x", "")})
    with pytest.raises(SpecificationError, match="is not a format"):
        told.fill("{validate:a/sharpe|euro}")


def test_the_strategy_dossier_says_what_nobody_measured():
    gate = judge(world())
    facts = Facts({"validate": {"f": gate.to_metrics()}}, {"validate": "a" * 32}, missing="say")
    page = review.strategy_dossier(facts, family="f", subtitle="{validate:f/n_obs} days & nights")
    assert "days &amp; nights" in page and page.index('data-key="f/n_obs"') < page.index(
        "Verdict: "
    )
    check = verify_dossier(page, facts.metrics, facts.md5s)
    assert check.ok and check.n_checked > 50
    assert "Verdict: " in page and 'class="missing"' in page and "No picture of equity" in page


@pytest.mark.parametrize(
    "href", ["a.html", "pages/a b.html", "Größe.html", "a.html#s1", "..a.html"]
)
def test_an_index_leads_to_files_below_it(href):
    assert f'href="{href}"' in index_page([{"href": href, "title": "t"}])


@pytest.mark.parametrize(
    "href",
    [
        *[
            "",
            " a.html",
            "#s1",
            "/a.html",
            "//host/a.html",
            "https://host/a.html",
            "a/../../b.html",
        ],
        *[
            "javascript:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "mailto:x",
            "file:///a",
        ],
        *[
            "../a.html",
            "%2e%2e/a.html",
            "a\\b.html",
            "a.html?x",
            "a/",
            "a//b",
            "a\x00.html",
            None,
            5,
        ],
    ],
)
def test_an_index_leads_nowhere_else(href):
    with pytest.raises(SpecificationError, match="`href` must be the relative path of a file"):
        index_page([{"href": href, "title": "t"}])


def test_a_share_is_shown_in_one_format():
    from quantlab.pictures import logits_histogram
    from quantlab.results import FORMATS
    from quantlab.review.dossier import format_fact

    logits = np.r_[np.full(47, -0.5), np.full(1853, 0.5)]
    text = format_fact(float((logits <= 0).mean()), FORMATS["share"])
    assert text == "2.5%"
    assert f"In {text} of the splits" in "".join(
        logits_histogram(logits).get_title(loc=loc) for loc in ("left", "center", "right")
    )


# ---------------------------------------------------------------- what would make an approval of
# something else


def test_prices_and_growth_are_not_judged_as_returns():
    "An equity curve has a Sharpe ratio above 20, and it was approved"
    trials = world(0.0)
    for curve in ((1 + trials).cumprod(), 100 * (1 + trials).cumprod()):
        with pytest.raises(DataError, match="price"):
            judge(curve)


def test_a_threshold_of_false_asks_for_nothing_and_is_refused():
    "It counted a strategy that looks ahead as one that meets the criterion"
    with pytest.raises(
        SpecificationError, match="must be true, or None where it is not asked for; got False"
    ):
        judge(
            world(0.0015),
            thresholds={"lookahead_audit_passed": False},
            evidence=EVIDENCE | {"lookahead_audit_passed": False},
        )


@pytest.mark.parametrize("value", [99.0, -0.1, math.inf])
def test_a_share_is_no_percentage(value):
    with pytest.raises(SpecificationError, match=r"evidence\['data_quality_share'\]"):
        judge(world(0.0015), evidence=EVIDENCE | {"data_quality_share": value})


def test_objections_of_every_list_are_kept():
    gate = judge(world(0.0015), objections=(text for text in ["The count is a lower bound."]))
    assert gate.objections == ("The count is a lower bound.",) and "lower bound" in gate.sentence()
    for wrong in (None, 5, [""], [5], "text"):
        with pytest.raises(SpecificationError, match="`objections` must be a list of sentences"):
            judge(world(0.0015), objections=wrong)


def test_a_page_that_states_a_place_twice_is_compared_twice_and_no_width_fills_the_memory():
    from quantlab.review.dossier import _SEALED, _seal

    facts = Facts({"s": {"a": 0.95}}, {"s": "m" * 32})
    page = render_dossier([Section("x", facts.prose("first {s:a|.2f}, then {s:a|.2f}"))], title="t")
    at = page.rfind('data-value="0.95"')
    edited = page[:at] + page[at:].replace('"0.95"', '"0.99"', 1).replace(">0.95<", ">0.99<", 1)
    resealed = _SEALED.sub(lambda _: _seal(edited), edited, count=1)
    assert diff_dossiers(page, page).same
    assert diff_dossiers(page, resealed).table[["key", "first", "second"]].values.tolist() == [
        ["a", 0.95, "0.95; 0.99"]
    ]
    wide = page.replace('data-format=".2f"', 'data-format="9999999999"', 1)
    assert "is not a format" in " ".join(verify_dossier(wide, {"s": {"a": 0.95}}).problems)
    assert not diff_dossiers(page, wide).same


def test_a_year_of_a_thousand_million_periods_is_refused_and_does_not_fill_the_memory():
    with (
        pytest.raises(
            SpecificationError, match="`n_periods` must be a whole number from 1 to 10000000"
        ),
        pytest.warns(ScaleWarning, match="have about 261 rows a year"),
    ):
        judge(world(0.0015), periods_per_year=1e9)


def test_a_rule_of_other_trials_and_a_short_sample_approve_nothing():
    trials = world(0.0015)
    ask = {"n_holdout": 100, "periods_per_year": 252, "n_worlds": 20, "n_resamples": 99, "seed": 0}
    rule = simulate_rule(trials.iloc[:900, :3], **ask)
    with pytest.raises(SpecificationError, match="`rule` is of 3 trials and 900 rows"):
        judge(trials, rule=rule)
    with pytest.warns(UserWarning, match="blocks"):
        short = judge(world(0.006).iloc[:300])
    assert short.verdict == "rejected" and not short.failed
    assert "shorter than 20 blocks" in short.sentence()
    for word in ("Rejected", None, "foo"):
        with pytest.raises(SpecificationError, match="`before` must be one of"):
            review.final_verdict(word, confirm_on_holdout(later(0.001)))


def test_a_short_holdout_is_judged_by_students_t():
    "Two rows of noise confirm a second opening in one case of forty, not of seven"
    rng = np.random.default_rng(3)
    with pytest.warns(UserWarning, match="confirms next to nothing"):
        found = [
            confirm_on_holdout(pd.Series(rng.normal(0, 0.01, 3)), n_openings=2).passed
            for _ in range(800)
        ]
    assert abs(np.mean(found) - 0.025) < 0.02
