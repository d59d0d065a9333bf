"""What a plan could find, against known answers and drawn histories."""

import copy

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import SpecificationError
from quantlab.ledger import Ledger
from quantlab.pipeline import read_params
from quantlab.review import forecast_plan, plan_from_params
from quantlab.validation import min_years

PARAMS = read_params(ROOT / "params.yaml")
GRID = {"f": {"a": [1, 2, 3], "b": [0.5, 0.5]}, "g": {"c": ["x", "y"]}}
PLAN = {"grid": GRID, "window": {"start": "2009-01-08", "end": "2015-06-30"}}


def test_the_plan_is_that_of_the_parameters():
    plan = plan_from_params(PARAMS)
    assert plan["window"]["start"] == PARAMS["base"]["evaluate_from"]
    assert plan["holdout_start"] == PARAMS["base"]["holdout_start"]
    assert plan["grid"] == PARAMS["backtest_candidates"]["grid"]
    assert plan["thresholds"] == PARAMS["validate"]["thresholds"]
    assert plan["costs"] == PARAMS["base"]["costs"] and plan["seed"] == PARAMS["base"]["seed"]
    assert ("n_worlds" in plan) == ("n_worlds" in PARAMS["validate"])
    named = copy.deepcopy(PARAMS)
    named["validate"] |= {"primary": "sharpe", "n_resamples": 999}
    named["base"]["holdout_start"] = np.datetime64("2015-03-01").item()  # YAML's own date
    plan = plan_from_params(named)
    assert (plan["primary"], plan["n_resamples"]) == ("sharpe", 999)
    assert plan["window"]["end"] == "2015-02-28"


def test_the_plan_of_the_parameters_can_be_written(tmp_path):
    plan, ledger = plan_from_params(PARAMS), Ledger(tmp_path / "ledger.jsonl")
    key = ledger.plan(plan)
    assert ledger.plan(plan_from_params(copy.deepcopy(PARAMS))) == key
    found = ledger.plan_in_force(plan["window"])
    assert found.plan == plan
    assert forecast_plan(found).to_dict() == forecast_plan(plan).to_dict()


@pytest.mark.parametrize(
    ("section", "name"),
    [("base", n) for n in ("families", "evaluate_from", "holdout_start", "costs", "seed")]
    + [("backtest_candidates", "grid"), ("validate", "thresholds"), ("validate", None)],
)
def test_half_a_plan_is_none(section, name):
    params = copy.deepcopy(PARAMS)
    if name:
        del params[section][name]
    else:
        del params[section]
    with pytest.raises(SpecificationError, match=f"{section}.{name}" if name else section):
        plan_from_params(params)


def test_the_known_answer():
    forecast = forecast_plan(PLAN)
    assert forecast.table["years_one"].round(1).tolist() == [24.7, 6.2, 2.7, 1.5]
    assert (forecast.n_points, forecast.n_trials) == (5, 5)  # 0.5 is one value, given twice
    assert forecast.years == pytest.approx(2365 / 365.25)
    for s, row in forecast.table.iterrows():
        assert row["years_all"] == pytest.approx(min_years(s, n_trials=5))


def test_the_power_is_that_of_drawn_histories():
    forecast = forecast_plan(PLAN, n_tries=15)
    n, years, draws = forecast.n_trials, forecast.years, 20_000
    rng, bar = np.random.default_rng(0), forecast.critical_annual_sharpe
    shown = rng.normal(0, years**-0.5, (draws, n))
    assert (shown[:, 0] > bar["one"]).mean() == pytest.approx(0.05, abs=0.006)
    assert (shown.max(axis=1) > bar["all"]).mean() == pytest.approx(0.05, abs=0.006)
    for s, row in forecast.table.iterrows():
        assert (shown[:, 0] + s > bar["one"]).mean() == pytest.approx(row["power_one"], abs=0.012)
        assert (shown[:, 0] + s > bar["all"]).mean() == pytest.approx(row["power_all"], abs=0.012)


@settings(deadline=None, max_examples=100)
@given(st.floats(0.1, 50), st.integers(0, 1000), st.floats(0.5, 0.999))
def test_more_trials_need_more_and_the_years_give_the_power(years, n_tries, level):
    plan = {"grid": GRID, "thresholds": {"deflated_sharpe_ratio": level}}
    forecast = forecast_plan(plan, n_tries=n_tries, years=years)
    table = forecast.table
    assert (table["years_all"] >= table["years_one"]).all()
    assert (table["power_all"] <= table["power_one"]).all()
    assert table["power_all"].is_monotonic_increasing and forecast.can_pass
    enough = forecast_plan(plan, n_tries=n_tries, years=table.loc[1.5, "years_all"]).table
    assert enough.loc[1.5, "power_all"] == pytest.approx(0.8, abs=1e-9)


def test_what_cannot_pass_says_so():
    cases = {
        "its grid has no point": ({"grid": {"f": {"a": []}}}, {}),
        "no day of data": ({"window": ("2015-07-01", "2015-06-30")}, {}),
        "no day of data lies": ({"holdout_start": "2009-01-08"}, {}),
        "19 resamples give no p-value below 0.23": ({"n_resamples": 19}, {}),
        "999 resamples give no p-value below 0.063": ({"n_resamples": 999}, {"n_tries": 60}),
    }
    for words, (changes, more) in cases.items():
        forecast = forecast_plan(PLAN | changes, **more)
        assert not forecast.can_pass
        assert "this plan cannot pass" in forecast.sentence() and words in forecast.sentence()
        assert forecast.summary()["can pass"] is False
    # one point and nineteen resamples: 1/20 is exactly what is asked for
    least = forecast_plan(PLAN | {"grid": {"f": {}}, "n_resamples": 19})
    assert least.can_pass and least.lowest_pvalue == pytest.approx(0.05)
    assert least.n_points == 1  # a family with its defaults


def test_a_weak_plan_says_that_it_misses():
    words = "a true annual Sharpe ratio of 1 would be missed more often than not"
    assert words in forecast_plan(PLAN, n_tries=100).sentence()
    assert words not in forecast_plan(PLAN, years=30).sentence()
    assert "upper end" in forecast_plan(PLAN, years=30).sentence()
    stricter = forecast_plan(PLAN | {"thresholds": {"deflated_sharpe_ratio": 0.99}})
    assert stricter.size == 0.01 and (stricter.table > 0).all(axis=None)
    assert (stricter.table["years_one"] > forecast_plan(PLAN).table["years_one"]).all()
