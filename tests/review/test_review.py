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
from quantlab.errors import DataError, MissingDataError, QuantlabError, SpecificationError
from quantlab.review import (
    Facts,
    Section,
    bias_notes,
    critical_sharpe_ratios,
    diff_dossiers,
    evaluate_gate,
    external_references,
    figure_svg,
    gate_power,
    index_page,
    null_sharpe_variance,
    placebo_false_pass_rate,
    placebo_world,
    render_dossier,
    simulated_power,
    verify_dossier,
)
from quantlab.review.criteria import CRITERIA, Rules, sharpe_criteria
from quantlab.review.placebo import _interval
from quantlab.review.power import variance_across_trials
from quantlab.validation import (
    deflated_sharpe_ratio,
    probability_of_backtest_overfitting,
    superior_predictive_ability,
)

THRESHOLDS = {
    "deflated_sharpe_ratio": 0.95,
    "probability_of_backtest_overfitting": 0.5,
    "superior_predictive_ability": 0.05,
    "haircut_sharpe": 0.05,
    "min_track_record_length": 0.95,
    "breakeven_cost_multiple": 2.0,
    "lookahead_audit_passed": True,
    "fit_certificate_share": None,
    "data_quality_share": 0.99,
    "regime_stability": 0.6,
}
EVIDENCE = {
    "breakeven_cost_multiple": 3.0,
    "lookahead_audit_passed": True,
    "data_quality_share": 0.995,
    "regime_stability": 0.8,
}
DATES = pd.bdate_range("2009-01-05", periods=1500, name="date")


def world(edge: float = 0.0, seed: int = 0, n_trials: int = 10) -> pd.DataFrame:
    "Trials that are independent noise; the first one has a daily mean of `edge`"
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(DATES), n_trials))
    noise[:, 0] += edge
    return pd.DataFrame(noise, index=DATES, columns=[f"t{i}" for i in range(n_trials)])


def judge(trials: pd.DataFrame, **changes):
    best = (trials.mean() / trials.std()).idxmax()
    options = {"selected": best, "n_trials": 10, "periods_per_year": 252}
    return evaluate_gate(
        trials, **(options | {"thresholds": THRESHOLDS, "evidence": EVIDENCE} | changes)
    )


# --- the gate -----------------------------------------------------------------------------------


def test_an_edge_is_approved_and_noise_is_rejected():
    approved, rejected = judge(world(0.0015)), judge(world())
    assert (approved.verdict, approved.selected) == ("approved", "t0")
    assert rejected.verdict == "rejected"
    assert not rejected.criteria.loc["deflated_sharpe_ratio", "passed"]
    assert list(approved.criteria.index) == list(CRITERIA)
    assert {"value", "threshold", "passed", "sentence"} <= set(approved.criteria.columns)
    assert approved.false_pass_rate is None
    json.dumps(approved.to_metrics(), allow_nan=False)


def test_criteria_are_those_of_the_validation_wing():
    trials = world(0.001)
    gate = judge(trials, n_trials=25, seed=3, n_blocks=10, n_resamples=300, block_size=5)
    chosen, ratios = trials[gate.selected], trials.mean() / trials.std()
    deflated = deflated_sharpe_ratio(
        ratios[gate.selected],
        n_obs=1500,
        n_trials=25,
        sharpe_variance=ratios.var(),
        skewness=float((((chosen - chosen.mean()) / chosen.std(ddof=0)) ** 3).mean()),
        kurtosis=float((((chosen - chosen.mean()) / chosen.std(ddof=0)) ** 4).mean()),
    )
    spa = superior_predictive_ability(
        pd.Series(0.0, index=DATES), -trials, block_size=5, n_resamples=300, seed=3
    )
    values = gate.criteria["value"]
    assert values["deflated_sharpe_ratio"] == pytest.approx(deflated, abs=1e-12)
    assert values["superior_predictive_ability"] == spa.pvalue_consistent
    assert (
        values["probability_of_backtest_overfitting"]
        == probability_of_backtest_overfitting(trials, n_blocks=10).pbo
    )


def test_deflation_and_haircut_hold_the_published_numbers(reference):
    entry = reference("dsr_paper_n100")
    p = entry["params"]
    found = sharpe_criteria(
        p["sr_annual"] / math.sqrt(p["periods_per_year"]),
        n_obs=p["T"],
        n_trials=p["N"],
        sharpe_variance=p["var_trials_sr_annual"] / p["periods_per_year"],
        skewness=p["skew"],
        kurtosis=p["kurtosis_raw"],
        autocorrelation=0.0,
        rules=Rules(p["periods_per_year"]),
    )
    assert close(found["deflated_sharpe_ratio"], entry["expected"]["dsr"], entry["tol"])
    entry = reference("haircut_bonferroni_M50")
    found = sharpe_criteria(
        entry["params"]["sr_annual"] / math.sqrt(12),
        n_obs=240,
        n_trials=50,
        sharpe_variance=0.01,
        skewness=0.0,
        kurtosis=3.0,
        autocorrelation=-0.4,  # not credited
        rules=Rules(12.0),
    )
    assert close(found["haircut_sharpe"], entry["expected"]["p_bonferroni"], entry["tol"])
    assert close(
        found["haircut_annual_sharpe"], entry["expected"]["haircut_sr_bonferroni"], entry["tol"]
    )


def test_what_was_not_measured_does_not_pass():
    for name in EVIDENCE:
        without = judge(world(0.0015), evidence={k: v for k, v in EVIDENCE.items() if k != name})
        assert without.failed == [name]
        assert "not known does not pass" in without.criteria.loc[name, "sentence"]
        assert judge(world(0.0015), evidence=EVIDENCE | {name: None}).verdict == "rejected"
    assert judge(world(0.0015), evidence=EVIDENCE | {"regime_stability": math.nan}).failed
    assert judge(world(0.0015), evidence=EVIDENCE | {"lookahead_audit_passed": False}).failed


def test_a_loss_that_is_large_does_not_look_significant():
    gate = judge(-world(0.003)[["t0", "t1"]], selected="t0")
    assert gate.criteria.loc["haircut_sharpe", "value"] == 1.0
    assert gate.criteria.loc["min_track_record_length", "value"] == math.inf
    assert {"deflated_sharpe_ratio", "haircut_sharpe", "min_track_record_length"} <= set(
        gate.failed
    )


def test_one_trial_of_several_is_unknown_and_one_of_one_is_not():
    single = world(0.0015)[["t0"]]
    assert judge(single, n_trials=1).verdict == "approved"
    hidden = judge(single, n_trials=9)
    assert {"deflated_sharpe_ratio", "probability_of_backtest_overfitting"} == set(hidden.failed)
    assert (hidden.power["power"] == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 3000), st.integers(10, 3000))
def test_more_trials_never_help(first, second):
    trials = world(0.0008)
    few, many = sorted((first, second))
    rows = [judge(trials, n_trials=n, n_blocks=4, n_resamples=100) for n in (few, many)]
    for name, sign in (("deflated_sharpe_ratio", -1), ("haircut_sharpe", 1)):
        low, high = (sign * row.criteria.loc[name, "value"] for row in rows)
        assert high >= low - 1e-12
    assert (rows[1].power["power"] <= rows[0].power["power"] + 1e-9).all()


@pytest.mark.parametrize("trials", [1, 20, 200])
def test_power_is_the_share_that_passes(trials):
    setting = {"n_obs": 1000, "n_trials": trials, "sharpe_variance": 1 / 1000}
    power = gate_power(**setting, periods_per_year=252, thresholds=THRESHOLDS)["power"]
    assert power.is_monotonic_increasing
    rng, true = np.random.default_rng(7), 1.5
    draws = rng.normal(true / math.sqrt(252), 1, (600, 1000))
    passed = 0
    for draw in draws:
        z = (draw - draw.mean()) / draw.std()
        found = sharpe_criteria(
            draw.mean() / draw.std(ddof=1),
            **setting,
            skewness=(z**3).mean(),
            kurtosis=(z**4).mean(),
            autocorrelation=0.0,
            rules=Rules(252.0),
        )
        passed += (
            found["deflated_sharpe_ratio"] >= 0.95
            and found["haircut_sharpe"] <= 0.05
            and found["min_track_record_length"] <= 1000
        )
    assert abs(passed / 600 - power[true]) < 4 * math.sqrt(0.25 / 600)


def test_an_edge_widens_the_spread_that_deflates_it():
    trials = world(0.0008)
    move = variance_across_trials(trials, "t0")
    ratios = trials.mean() / trials.std()
    assert ratios.idxmax() == "t0"
    assert move(ratios["t0"]) == pytest.approx(ratios.var(), rel=1e-12)
    shifted = trials.copy()
    for (
        name
    ) in trials:  # every trial gets what it shares with the selected one: its beta times the mean
        beta = np.cov(trials[name], trials["t0"])[0, 1] / trials["t0"].var()
        shifted[name] += 0.002 * beta
    after = shifted.mean() / shifted.std()
    assert move(after["t0"]) == pytest.approx(after.var(), rel=1e-9)
    gate = judge(trials)
    found = critical_sharpe_ratios(
        n_obs=1500,
        n_trials=10,
        sharpe_variance=move,
        skewness=gate.skewness,
        kurtosis=gate.kurtosis,
        autocorrelation=gate.autocorrelation,
        thresholds=THRESHOLDS,
        rules=Rules(252.0),
    )
    at = found["deflated_sharpe_ratio"] / math.sqrt(252)
    shape = {"skewness": gate.skewness, "kurtosis": gate.kurtosis, "n_obs": 1500, "n_trials": 10}
    assert deflated_sharpe_ratio(at, sharpe_variance=move(at), **shape) == pytest.approx(0.95)
    assert gate.critical_annual_sharpe == found.max()
    fixed = judge(trials, sharpe_variance=float(ratios.var()))  # a variance given by the user stays
    assert fixed.critical_annual_sharpe < gate.critical_annual_sharpe


def test_a_grid_half_of_which_shares_the_edge_says_that_nothing_can_pass():
    noise = np.random.default_rng(3).normal(0, 0.01, (1500, 13))
    trials = pd.DataFrame(noise[:, :1] + 0.05 * noise, index=DATES).rename(columns=str)
    trials = trials.assign(**{str(i): noise[:, i] for i in range(7, 13)})
    gate = judge(trials + 0.004 * trials.corr()["0"], selected="0", n_trials=100)
    assert gate.verdict == "rejected" and gate.annualized_sharpe_ratio > 4
    assert gate.critical_annual_sharpe == math.inf and (gate.power["power"] == 0).all()
    assert gate.power_sentence().startswith("No observed")
    luck = null_sharpe_variance(trials)
    again = judge(
        trials + 0.004 * trials.corr()["0"], selected="0", n_trials=100, sharpe_variance=luck
    )
    assert again.criteria.loc["deflated_sharpe_ratio", "passed"]


def test_the_spread_of_luck_is_that_of_many_worlds():
    "(1 - mean correlation) / T, against the variance of Sharpe ratios drawn again and again"
    rng = np.random.default_rng(5)
    mix = rng.normal(size=(6, 6))
    drawn = [rng.normal(size=(250, 6)) @ mix for _ in range(1500)]
    seen = np.mean([(x.mean(0) / x.std(0, ddof=1)).var(ddof=1) for x in drawn])
    assert np.mean([null_sharpe_variance(x) for x in drawn]) == pytest.approx(seen, rel=0.06)


@pytest.mark.parametrize("true", [1.2, 1.8])
def test_worlds_with_an_edge_pass_at_the_stated_power(true):
    thresholds = THRESHOLDS | dict.fromkeys(EVIDENCE)
    quick = {"thresholds": thresholds, "evidence": None, "n_blocks": 4, "n_resamples": 100}
    passed, stated = 0, []
    for seed in range(100):
        trials = world(0.01 * true / math.sqrt(252), seed=1000 + seed)
        gate = judge(trials, true_sharpe=(true,), **quick)
        passed += gate.verdict == "approved"
        stated.append(gate.power["power"].iloc[0])
    interval = _interval(passed, 100, 0.99)
    assert interval["lower"] <= np.mean(stated) <= interval["upper"]
    assert 0.05 < np.mean(stated) < 0.95  # a rate that could have been missed


@pytest.mark.parametrize(
    ("trials", "changes", "error", "words"),
    [
        (world().T, {"selected": "t0"}, DataError, "transpose it"),
        (world()[:20], {}, DataError, "at least 30 rows"),
        (world().assign(t1=0.0), {"selected": "t0"}, DataError, "constant returns (first: 't1')"),
        (world().assign(t1=np.nan), {"selected": "t0"}, MissingDataError, "1500 missing values"),
        (world().mask(world() > 0.03, np.inf), {"selected": "t0"}, DataError, "infinite"),
        (world().astype(object).assign(t1="x"), {"selected": "t0"}, DataError, "numbers only"),
        (world()[::-1], {}, DataError, "not in time order"),
        (pd.concat([world(), world()]), {}, DataError, "more than once"),
        (world(), {"n_trials": 9}, SpecificationError, "the ledger's count"),
        (world(), {"n_trials": 0}, SpecificationError, "whole number at least 1"),
        (world(), {"selected": "none"}, SpecificationError, "must be a column"),
        (world(), {"sharpe_variance": -1.0}, SpecificationError, "in [0, inf]"),
        (world(), {"sharpe_variance": 0.5}, SpecificationError, "divide by periods_per_year"),
        (world(), {"thresholds": {}}, SpecificationError, "must name each criterion once"),
        (
            world(),
            {"thresholds": None},
            SpecificationError,
            "must be a Mapping, each criterion to its value",
        ),
        (world(), {"evidence": {"sharpe": 1}}, SpecificationError, "`evidence` may name"),
        (world(), {"periods_per_year": 0}, SpecificationError, "periods_per_year"),
    ],
)
def test_bad_input_of_the_gate(trials, changes, error, words):
    with pytest.raises(error) as caught:
        options = {"selected": "t0", "n_trials": 10, "periods_per_year": 252}
        evaluate_gate(trials, **(options | {"thresholds": THRESHOLDS} | changes))
    assert words in str(caught.value)


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


def test_the_gate_passes_few_placebos_and_the_seed_decides_which():
    options = {
        "n_worlds": 60,
        "block_length": 10,
        "seed": 1,
        "thresholds": THRESHOLDS,
        "periods_per_year": 252,
        "n_blocks": 8,
        "n_resamples": 200,
    }
    first = placebo_false_pass_rate(lambda w: w, world(0.002), **options)
    again = placebo_false_pass_rate(lambda w: w, world(0.002), **options)
    assert first.n_passed <= 5  # 60 worlds at 5 %: more than 7 has probability 0.02
    assert first.lower <= first.pass_rate <= first.upper
    pd.testing.assert_frame_equal(first.worlds, again.worlds)
    gate = judge(world(0.002)).with_placebo(first)
    assert (gate.false_pass_rate, gate.false_pass_upper) == (first.pass_rate, first.upper)


def test_the_interval_of_a_share_is_exact():
    # 5 of 200, Clopper and Pearson (1934) from the beta quantiles
    from scipy.stats import beta

    found = _interval(5, 200, 0.95)
    assert found["lower"] == pytest.approx(beta.ppf(0.025, 5, 196), abs=1e-9)
    assert found["upper"] == pytest.approx(beta.ppf(0.975, 6, 195), abs=1e-9)


def test_the_whole_gate_is_less_powerful_than_its_parts():
    power = simulated_power(
        world(),
        selected="t0",
        n_trials=10,
        periods_per_year=252,
        thresholds=THRESHOLDS,
        n_worlds=20,
        n_blocks=6,
        n_resamples=100,
        true_sharpe=(0.0, 3.0),
    )
    assert power.loc[0.0, "power"] <= 0.2 < 0.8 <= power.loc[3.0, "power"]
    assert (power["power"] <= power[["deflated_sharpe_ratio", "haircut_sharpe"]].min(axis=1)).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_worlds": 0}, "whole number at least 1"),
        ({"block_length": 0.5}, "block_length"),
        ({"kind": "permute"}, "must be one of 'bootstrap', 'shift'"),
        ({"confidence": 1.0}, "confidence"),
        ({"thresholds": {"sharpe": 1}}, "unknown ['sharpe']"),
    ],
)
def test_bad_input_of_the_placebo(changes, words):
    options = {"block_length": 10, "seed": 0, "thresholds": THRESHOLDS, "periods_per_year": 252}
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
    assert "<metadata" not in text and not external_references(text)


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
    assert diff_dossiers(first, first).empty
    table = diff_dossiers(first, second)
    assert list(table["key"]) == ["a/sharpe"]
    assert table["change"].item() == pytest.approx(0.5 - 0.4123)


def test_what_the_reader_sees_is_compared():
    page = page_of(metrics_of())
    shown = diff_dossiers(page, page.replace(">0.41<", ">9.41<"))
    assert shown[["key", "first", "second"]].values.tolist() == [
        ["as written", True, False],
        ["a/sharpe", 0.4123, "9.41"],
    ]
    assert list(diff_dossiers(page, page.replace(" of ", " off "))["key"]) == ["as written"]
    torn = diff_dossiers(page, page.replace('data-value="12"', 'data-value="1{"'))
    assert torn["second"].tolist() == [False, "12"]


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
    assert check.ok and check.n_checked > 60
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
    from quantlab.review.gate import _SENTENCES

    logits = np.r_[np.full(47, -0.5), np.full(1853, 0.5)]
    share = float((logits <= 0).mean())
    text = format_fact(share, FORMATS["share"])
    assert text == "2.5%"
    name = "probability_of_backtest_overfitting"
    assert f"In {text} of the splits" in _SENTENCES[name]({"value": share})
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
        with pytest.raises(DataError, match="price"):
            simulated_power(
                curve,
                selected=curve.columns[0],
                n_trials=curve.shape[1],
                periods_per_year=252,
                thresholds=THRESHOLDS,
                n_worlds=1,
            )


def test_a_threshold_of_false_asks_for_nothing_and_is_refused():
    "It counted a strategy that looks ahead as one that meets the criterion"
    with pytest.raises(
        SpecificationError, match="must be true, or None where it is not asked for; got False"
    ):
        judge(
            world(0.0015),
            thresholds=THRESHOLDS | {"lookahead_audit_passed": False},
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


def test_a_spread_that_was_given_smaller_than_seen_is_said():
    trials = world(0.0)
    seen = judge(trials)
    flattered = judge(trials, sharpe_variance=seen.sharpe_variance / 100)
    name = "deflated_sharpe_ratio"
    assert flattered.criteria.loc[name, "value"] > seen.criteria.loc[name, "value"]
    assert "spread across trials was given as" in flattered.criteria.loc[name, "sentence"]
    for honest in (seen, judge(trials, sharpe_variance=seen.sharpe_variance * 2)):
        assert "was given as" not in honest.criteria.loc[name, "sentence"]


def test_no_true_ratio_is_no_power():
    trials = world(0.0)
    assert judge(trials, true_sharpe=[]).power.empty
    with pytest.raises(SpecificationError, match="`true_sharpe` must be a list"):
        simulated_power(
            trials,
            selected=trials.columns[0],
            n_trials=trials.shape[1],
            periods_per_year=252,
            thresholds=THRESHOLDS,
            true_sharpe=[],
        )


def test_a_page_that_states_a_place_twice_is_compared_twice_and_no_width_fills_the_memory():
    from quantlab.review.dossier import _SEALED, _seal

    facts = Facts({"s": {"a": 0.95}}, {"s": "m" * 32})
    page = render_dossier([Section("x", facts.prose("first {s:a|.2f}, then {s:a|.2f}"))], title="t")
    at = page.rfind('data-value="0.95"')
    edited = page[:at] + page[at:].replace('"0.95"', '"0.99"', 1).replace(">0.95<", ">0.99<", 1)
    resealed = _SEALED.sub(lambda _: _seal(edited), edited, count=1)
    assert diff_dossiers(page, page).empty
    assert diff_dossiers(page, resealed)[["key", "first", "second"]].values.tolist() == [
        ["a", 0.95, "0.95; 0.99"]
    ]
    wide = page.replace('data-format=".2f"', 'data-format="9999999999"', 1)
    assert "is not a format" in " ".join(verify_dossier(wide, {"s": {"a": 0.95}}).problems)
    assert not diff_dossiers(page, wide).empty


def test_a_year_of_a_thousand_million_periods_is_refused_and_does_not_fill_the_memory():
    with pytest.raises(
        SpecificationError, match="`n_periods` must be a whole number from 1 to 10000000"
    ):
        judge(world(0.0015), periods_per_year=1e9)
