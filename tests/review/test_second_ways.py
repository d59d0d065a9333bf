"""The long tables of a dossier: what the library measures is met again, and an edit is not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantlab.backtest.performance import performance_summary
from quantlab.data.universe import survivorship_gap
from quantlab.factors.attribution import factor_attribution
from quantlab.review.recomputation import recompute
from quantlab.review.record import monthly_returns
from quantlab.review.way_parts import AtLeast, Between, adjusted, luck_of, rounded
from quantlab.validation import adjust_pvalues, deflated_sharpe_test
from quantlab.volatility import backtest_var

FAMILY, YEAR = "demo", 252
CHECKS = [
    ("longest gap (calendar days)", "3", "8"),
    ("returns missing or infinite", "0", "0"),
    ("mean costs a day (p-value)", "0.62", "0.005"),
    ("orders that came to nothing (share)", "0.25", "0.5"),
]


def make_tables() -> dict:
    rng = np.random.default_rng(11)
    days = pd.bdate_range("2015-01-01", periods=700, name="date").as_unit("ns")
    names = [f"n{i}" for i in range(12)]
    returns = pd.DataFrame(rng.normal(4e-4, 0.01, (700, 12)), index=days, columns=names)
    member = pd.DataFrame(1.0, index=days, columns=names)
    member.iloc[:300, :4] = 0.0
    member["n11"] = 0.0
    net = (0.5 * returns.mean(axis=1) + rng.normal(3e-4, 0.004, 700)).rename("b2").to_frame()
    factors = pd.DataFrame(
        {
            "factor": [f"f{i}" for i in range(8)],
            "mean": rng.normal(0.01, 0.01, 8),
            "t_naive": rng.normal(3, 3, 8),
            "t_hac": np.linspace(4.5, 0.1, 8),
            "t_disjoint": np.linspace(4.2, 0.2, 8),
            "n_dates": 500.0,
            "n_disjoint": 24.0,
            "breakeven_cost_bps": rng.normal(20, 30, 8),
        }
    )
    starts = days[[500, 600]]
    windows = pd.DataFrame(
        {
            "formation_start": days[[0, 100]],
            "formation_end": days[[499, 599]],
            "trade_start": starts,
            "names": [11, 11],
            "tested": [110, 110],
            "below_alpha": [7, 9],
            "expected_by_chance": [5.5, 5.5],
            "discoveries": [0, 2],
            "kept": [1, 2],
        }
    )
    paper = pd.DataFrame(
        {"returns": rng.normal(0, 0.01, 50), "sent": 3, "refused": 1},
        index=pd.bdate_range("2018-01-01", periods=50, name="date").as_unit("us"),
    )
    return {
        "returns": returns,
        "panel_returns": returns,
        "member": member,
        "log_prices": returns.cumsum(),
        "volatility": pd.DataFrame(0.009, index=days, columns=names),
        "trial_returns": net,
        "trial_gross_returns": net + 1e-5,
        "factors": factors,
        "pair_windows": windows,
        "pairs": pd.DataFrame({"trade_start": starts[[0, 1, 1]]}),
        "paper_daily": paper,
        "bundle": {"monitoring": {"noise": "continue"}},
    }


def measure(tables: dict) -> dict:
    "The metrics of the stages, from the library's own functions"
    net, gross = tables["trial_returns"]["b2"], tables["trial_gross_returns"]["b2"]
    members = tables["returns"].where(tables["member"] == 1).mean(axis=1).rename("members")
    beside = factor_attribution(net, members.to_frame(), periods_per_year=YEAR)
    at = lambda multiple: performance_summary(
        gross - multiple * (gross - net), periods_per_year=YEAR
    ).to_dict()
    month = net.index[40]
    book = {
        "performance": {"net": at(1), "gross": at(0)},
        "stress": {str(m): at(m) for m in (1, 2, 3)},
        "subperiods": {},
        "sensitivity": {
            "worst_months": {
                f"{month:%Y-%m-%d}": {
                    "benchmark_return": float((1 + members.loc[month:].iloc[:21]).prod() - 1)
                }
            },
            "without_sector": {
                "all": {"annualized_sharpe_ratio": at(1)["annualized_sharpe_ratio"], "change": 0.0},
                "Energy": {
                    "annualized_sharpe_ratio": 0.5,
                    "change": 0.5 - at(1)["annualized_sharpe_ratio"],
                },
            },
        },
        "beside_the_members": {
            "beta": float(beside.params["members"]),
            "explained": beside.rsquared,
            "left a year": float(beside.params["alpha"]),
            "t of what is left": float(beside.tstats["alpha"]),
        },
    }
    gap = survivorship_gap(tables["returns"], tables["member"] == 1, periods_per_year=YEAR)
    f = tables["factors"]
    tail = lambda t, n: 2 * stats.t.sf(f[t].abs(), f[n] - 1)
    p = np.maximum(tail("t_hac", "n_dates"), tail("t_disjoint", "n_disjoint"))
    q = adjust_pvalues(p, method="by")
    rows = [
        {
            "factor": f["factor"][i],
            "ic": round(f["mean"][i], 9),
            "t_hac": round(f["t_hac"][i], 9),
            "pvalue": round(p[i], 9),
            "qvalue": round(q[i], 9),
            "breakeven_cost_bps": round(f["breakeven_cost_bps"][i], 9),
            "survives": bool(q[i] < 0.05),
        }
        for i in range(len(f))
    ]
    windows = tables["pair_windows"].set_index(
        tables["pair_windows"]["trade_start"].dt.strftime("%Y-%m-%d")
    )
    counts = ["names", "tested", "expected_by_chance", "below_alpha", "discoveries", "kept"]
    names = tables["returns"].columns
    rejected = [
        backtest_var(
            tables["returns"][name],
            -stats.norm.ppf(0.05) * tables["volatility"][name],
            level=0.05,
            n_simulations=0,
        ).p_uc
        < 0.05
        for name in names
    ]
    checks = [
        {"check": c, "value": value, "threshold": bar, "alarm": "quiet"} for c, value, bar in CHECKS
    ]
    return {
        "validate": {"family": FAMILY, FAMILY: {"trial": "b2", "periods_per_year": YEAR}},
        "backtest_candidates": {FAMILY: book},
        "build_returns": {
            "survivorship": {"difference": gap.difference, "statistic": gap.statistic},
            "never_members": 1,
            "ended": 0,
        },
        "evaluate_factors": {
            "factors": len(f),
            "surviving": int((q < 0.05).sum()),
            "naive_significant": int((f["t_naive"].abs() > 1.96).sum()),
            "evaluations": rows[::-1],
        },
        "screen_pairs": {
            "alpha": 0.05,
            "windows": 2,
            "tested": 220,
            "expected_by_chance": 11.0,
            "below_alpha": 16,
            "discoveries": 2,
            "by_window": windows[counts].astype(object).to_dict("index"),
        },
        "fit_volatility": {"names_rejecting_coverage": {"0.05": float(np.mean(rejected))}},
        "build_dossier": {"months": monthly_returns(net)},
        "paper_replay": {
            FAMILY: {
                "checks": checks,
                "monitor": "noise",
                "agreed_action": "continue",
                "reason": "none of 4 checks is beyond its bar",
            }
        },
        "second_engine": {"n_days": 50, "n_apart": 0, "reconciled": True},
    }


TABLES = make_tables()
METRICS = measure(TABLES)
KINDS = {
    "build_dossier": ["months/2015/03", "months/2016/year"],
    "evaluate_factors": [
        *(
            f"evaluations/{i}/{name}"
            for i in (0, 7)
            for name in ("ic", "t_hac", "pvalue", "qvalue", "breakeven_cost_bps", "survives")
        ),
        "factors",
        "surviving",
        "naive_significant",
    ],
    "screen_pairs": [
        *("windows", "tested", "expected_by_chance", "below_alpha", "discoveries"),
        *(
            f"by_window/{day:%Y-%m-%d}/{name}"
            for day in TABLES["pair_windows"]["trade_start"]
            for name in METRICS["screen_pairs"]["by_window"][f"{day:%Y-%m-%d}"]
        ),
    ],
    "backtest_candidates": [
        *(f"{FAMILY}/beside_the_members/{k}" for k in ("beta", "explained", "left a year")),
        f"{FAMILY}/beside_the_members/t of what is left",
        f"{FAMILY}/sensitivity/worst_months/2015-02-26/benchmark_return",
        f"{FAMILY}/sensitivity/without_sector/Energy/change",
        f"{FAMILY}/sensitivity/without_sector/all/annualized_sharpe_ratio",
        f"{FAMILY}/stress/2/annualized_return",
        f"{FAMILY}/stress/3/annualized_sharpe_ratio",
    ],
    "build_returns": ["survivorship/difference", "survivorship/statistic", "never_members"],
    "fit_volatility": ["names_rejecting_coverage/0.05"],
    "paper_replay": [
        *(f"{FAMILY}/checks/{i}/alarm" for i in range(4)),
        *(f"{FAMILY}/checks/{i}/value" for i in (0, 1, 3)),
        *(f"{FAMILY}/{name}" for name in ("monitor", "reason", "agreed_action")),
    ],
    "second_engine": ["n_days", "reconciled"],
}
PLACES = [(stage, key) for stage, keys in KINDS.items() for key in keys]


def held(metrics: dict, place: tuple[str, str], tables: dict = TABLES):
    return recompute(metrics, tables, [place])[0]


def edited(value, key: str):
    "Another value, as near as a forger would choose it"
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}0"
    return value + 1 if isinstance(value, int) else value * 1.01 + 1e-6


def planted(place: tuple[str, str]) -> dict:
    "The metrics with one value edited, all others the very same"
    stage, key = place
    *way, last = key.split("/")
    top = found = {**METRICS}
    for name in (stage, *way):
        at = int(name) if isinstance(found, list) else name
        found[at] = [*found[at]] if isinstance(found[at], list) else {**found[at]}
        found = found[at]
    found[last] = edited(found[last], key)
    return top


def test_what_the_library_measures_is_met_a_second_time():
    rows = recompute(METRICS, TABLES, PLACES)
    assert [(r.stage, r.key, r.why, r.found) for r in rows if r.holds is not True] == []
    assert {row.how for row in rows} == {"computed", "stored", "within a range"}


@pytest.mark.parametrize("place", PLACES, ids=":".join)
def test_an_edit_of_any_kind_is_found(place):
    row = held(planted(place), place)
    assert row.holds is False and "computed again it" in row.sentence()


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("factors", ("evaluate_factors", "evaluations/0/pvalue")),
        ("pairs", ("screen_pairs", "by_window/2016-12-01/kept")),
        ("trial_returns", ("build_dossier", "months/2015/03")),
    ],
)
def test_a_table_that_is_absent_is_named(table, place):
    row = held(METRICS, place, {k: v for k, v in TABLES.items() if k != table})
    assert row.holds is None and f"`{table}` is not there" in row.why


def test_a_value_that_was_taken_away_does_not_hold():
    place = ("screen_pairs", "windows")
    gone = {**METRICS, "screen_pairs": {**METRICS["screen_pairs"], "windows": None}}
    assert held(gone, place).holds is False


def test_what_keeps_the_books_is_said_to_be_needed():
    sector = f"{FAMILY}/sensitivity/without_sector/Energy/annualized_sharpe_ratio"
    row = held(METRICS, ("backtest_candidates", sector))
    assert row.holds is None and "the engine that keeps the books" in row.why


# ------------------------------------------------------------------------------- the parts


PVALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(PVALUES, st.sampled_from(["holm", "bh", "by"]))
def test_adjusted_pvalues_are_those_of_the_library(pvalues, method):
    ours = adjusted(np.array(pvalues), method)
    assert np.allclose(ours, adjust_pvalues(pvalues, method=method), rtol=1e-12, atol=0)


@given(st.floats(-1e3, 1e3), st.integers(1, 9))
def test_what_was_rounded_lies_in_its_range(value, digits):
    assert rounded(value, digits).holds(round(value, digits))
    assert not rounded(value, digits).holds(round(value, digits) + 2 * 10.0**-digits)


def test_a_bound_and_a_range_say_what_they_ask():
    assert str(AtLeast(0.25)) == "cannot be below 0.25"
    assert str(Between(0.25, 0.5)) == "lies between 0.25 and 0.5"
    assert [Between(0.25, 0.5).holds(x) for x in (0.2, 0.25, 0.5, 0.6)] == [
        False,
        True,
        True,
        False,
    ]


def test_other_draws_of_luck_meet_the_step_down_pvalues_and_not_half_of_them():
    rng = np.random.default_rng(2)
    x = rng.normal(np.linspace(0, 1e-3, 20), 0.01, (800, 20))
    theirs = deflated_sharpe_test(
        pd.DataFrame(x), n_trials=25, block_length=21, n_resamples=5000, seed=9
    ).adjusted_pvalues
    ours = luck_of(x, 21, 5)
    assert all(mine.holds(p) for mine, p in zip(ours, theirs, strict=True))
    assert not any(mine.holds(p / 2) for mine, p in zip(ours, theirs, strict=True) if p > 0.05)
