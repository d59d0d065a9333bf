"""Plans: written before the results, in force one at a time, and nothing of them changed unseen."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import CostModel
from quantlab.errors import LedgerError, SpecificationError
from quantlab.ledger import Ledger, Plan, merge_ledgers, open_trials
from quantlab.ledger.plan import holds, plain_plan, plan_changes

WINDOW = {"start": "2010-01-01", "end": "2012-12-31"}
PLAN = {
    "grid": {"f": {"a": [1, 2], "b": [0.5]}},
    "window": WINDOW,
    "thresholds": {"deflated_sharpe_ratio": 0.95},
    "costs": {"commission_bps": 0.5},
    "seed": 7,
}


def with_grid(**families):
    return PLAN | {"grid": families}


def tried(ledger, a=1, *, family="f", b=0.5, window=WINDOW, seed=0, **more):
    values = np.random.default_rng([seed, int(a * 10), ord(family or "u")]).normal(0.001, 0.01, 60)
    return ledger.append(
        family=family,
        strategy="s",
        parameters={"a": a, "b": b} | more,
        returns=pd.Series(values, index=pd.bdate_range("2010-01-04", periods=60)),
        universe="u",
        data_md5="d",
        window=window,
    )


def git(folder, *arguments):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def committed(folder):
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "more")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "trials" / "ledger.jsonl")


# ---------------------------------------------------------------- one plan at a time


def test_the_plan_in_force_written_again_adds_nothing(ledger):
    first = ledger.plan(PLAN, note="an idea")
    before = ledger.path.read_bytes()
    reordered = with_grid(f={"b": (0.5,), "a": [2.0, 1]}) | {"seed": 7.0}
    pair = PLAN | {"window": (pd.Timestamp("2010-01-01"), "2012-12-31")}
    for again in (PLAN, reordered, pair):
        assert ledger.plan(again) == first
    assert ledger.path.read_bytes() == before and ledger.verify().ok
    second = ledger.plan(PLAN | {"seed": 8}, replaces=first)
    assert ledger.plan(PLAN | {"seed": 8}, replaces=first) == second  # the same command once more
    back = ledger.plan(PLAN, replaces=second)
    assert len({first, second, back}) == 3  # back to the first is a third decision
    table = ledger.plans()
    assert table["id"].tolist() == [first, second, back]
    assert table["changes"].tolist() == [[], ["seed: 7 -> 8"], ["seed: 8 -> 7"]]
    assert ledger.plan_in_force().n_plans == 3


def test_a_plan_that_overlaps_must_name_the_one_in_force(ledger):
    first = ledger.plan(PLAN)
    second = ledger.plan(PLAN | {"seed": 8}, replaces=first)
    before = ledger.path.read_bytes()
    for given_window in (WINDOW, {"start": "2012-12-31", "end": "2014-01-01"}, None, "all"):
        with pytest.raises(LedgerError, match=f"two plans that overlap.* in force is {second}"):
            ledger.plan(PLAN | {"seed": 9, "window": given_window})
    for wrong in (first, "f" * 16):
        with pytest.raises(LedgerError, match=f"`replaces` must name.* in force is {second}"):
            ledger.plan(PLAN | {"seed": 9}, replaces=wrong)
        with pytest.raises(LedgerError, match="no plan is in force for its window"):
            later = {"start": "2013-01-01", "end": "2014-12-31"}
            ledger.plan(PLAN | {"window": later}, replaces=wrong)
    assert ledger.path.read_bytes() == before
    third = ledger.plan(PLAN | {"window": later})
    assert ledger.plan_in_force(WINDOW).id == second and ledger.plan_in_force(later).id == third
    assert ledger.plan_in_force(("2020-01-01", "2020-12-31")) is None
    assert (ledger.plan_in_force(WINDOW).n_plans, ledger.plan_in_force(later).n_plans) == (2, 1)


def test_what_is_no_plan_is_a_sentence_and_nothing_is_written(tmp_path):
    empty = Ledger(tmp_path / "new" / "ledger.jsonl")
    deep = []
    for _ in range(100_000):
        deep = [deep]
    wrong = {
        "`plan` must map": ("momentum", None, {}, [("seed", 1)]),
        "`plan.thresholds.x` holds nan": ({"thresholds": {"x": float("nan")}},),
        "has no plain JSON form": ({"costs": object()},),
        "nested too deeply": ({"x": deep},),
        "`grid` must map": ({"grid": g} for g in ([], {"f": [1]}, {"f": {"a": 1}}, "f", {"f": 1})),
        "ends before it starts": ({"window": ("2012-01-01", "2010-01-01")},),
    }
    for words, plans in wrong.items():
        for plan in plans:
            with pytest.raises(SpecificationError, match=words) as caught:
                empty.plan(plan)
            assert str(caught.value).endswith(".") and len(str(caught.value)) < 400
    for replaces in ("", 5, b"x"):
        with pytest.raises(SpecificationError, match="`replaces` must be a non-empty text"):
            empty.plan(PLAN, replaces=replaces)
    with pytest.raises(
        LedgerError, match="`replaces` must name the plan in force; got 'x', and no"
    ):
        empty.plan(PLAN, replaces="x")
    for note in (" ", "two\nlines", 5):
        with pytest.raises(SpecificationError, match="`note` must be"):
            empty.plan(PLAN, note=note)
    assert not empty.path.parent.exists() and empty.plan_in_force() is None
    assert empty.plans().empty and "changes" in empty.plans()


def test_plans_are_no_trials(ledger):
    tried(ledger)
    ledger.plan(PLAN)
    assert (ledger.count(), len(ledger.tries()), len(ledger.table())) == (1, 1, 1)
    assert ledger.plan_in_force().n_tries_before == 1 and ledger.verify().n_records == 2


def test_an_edited_plan_is_found(ledger):
    ledger.plan(PLAN)
    tried(ledger)
    good = ledger.path.read_bytes()
    ledger.path.write_bytes(good.replace(b'"a":[1,2]', b'"a":[1,3]'))
    assert "line 1 was edited" in ledger.verify().problems[0]
    with pytest.raises(LedgerError, match="damaged: line 1 was edited"):
        ledger.require_plan(grid=PLAN["grid"])
    from quantlab.ledger.chain import seal

    record = {k: v for k, v in json.loads(good.splitlines()[0]).items() if k != "hash"}
    record["plan"]["seed"] = 8
    ledger.path.write_bytes(seal(record))  # sealed anew, under the old id
    assert "an id that is not the hash of what defines it" in ledger.verify().problems[0]
    del record["changes"]
    ledger.path.write_bytes(seal(record))
    assert "a plan without a proper `changes`" in ledger.verify().problems[0]


# ---------------------------------------------------------------- before or after the fact


def test_the_order_of_plan_and_trial_decides(tmp_path):
    for n, order in enumerate(("plan first", "trial first")):
        ledger = Ledger(tmp_path / str(n) / "ledger.jsonl")
        if order == "trial first":
            tried(ledger, 2.0)
        ledger.plan(PLAN)
        tried(ledger, 2.0)
        found = ledger.plan_in_force(WINDOW)
        assert found.after_the_fact == (order == "trial first")
        assert (order == "trial first") == ("something of it was tried" in found.sentence())


@pytest.mark.parametrize(
    ("trial", "late"),
    [
        ({}, True),
        ({"a": 2.0}, True),
        ({"a": 3}, False),
        ({"b": 0.25}, False),
        ({"c": 1}, True),  # what a point does not name kept its default
        ({"family": "g"}, False),
        ({"family": None}, True),  # counts against every family
        ({"window": ("2013-01-01", "2014-12-31")}, True),  # its returns are of 2010
        ({"window": ("2012-12-31", "2014-12-31")}, True),
        ({"window": "unspecified"}, True),
    ],
)
def test_what_makes_a_plan_late(ledger, trial, late):
    tried(ledger, **trial)
    ledger.plan(PLAN)
    assert ledger.plan_in_force().after_the_fact is late


def test_the_same_run_by_another_name_is_no_fresh_one(ledger):
    "Filed under another family or spelling, planned, and run again: it was tried before"
    values = np.random.default_rng(3).normal(0.001, 0.01, 60)
    run = {
        "returns": pd.Series(values, index=pd.bdate_range("2010-01-04", periods=60)),
        "universe": "u",
        "data_md5": "d",
        "window": WINDOW,
    }
    ledger.append(family="scratch", strategy="x", parameters={"A": "1"}, **run)
    ledger.plan(PLAN)
    assert not ledger.plan_in_force().after_the_fact
    ledger.append(family="f", strategy="s", parameters={"a": 1, "b": 0.5}, **run)
    assert ledger.plan_in_force().after_the_fact


def test_a_plan_that_was_committed_with_its_results_did_not_come_first(ledger):
    ledger.plan(PLAN)
    tried(ledger, 1)
    committed(ledger.path.parent)
    found = ledger.plan_in_force()
    assert found.committed and not found.after_the_fact and found.committed_first is False
    assert not found.came_first and "no commit shows it without results" in found.sentence()


def test_a_longer_grid_keeps_what_was_planned_before(ledger):
    first = ledger.plan(PLAN)
    tried(ledger, 1)
    longer = with_grid(f={"a": [1, 2, 3], "b": [0.5]}, g={"a": [1], "b": [0.5]})
    ledger.plan(longer, replaces=first)
    tried(ledger, 3)
    tried(ledger, 1, family="g")
    found = ledger.plan_in_force()
    assert (found.after_the_fact, found.n_tries_before, found.changed_after_results) == (
        False,
        1,
        [],
    )
    assert found.changes == ["grid: adds f.a [3]", "grid: adds g.a [1]", "grid: adds g.b [0.5]"]
    tried(ledger, 4)
    ledger.plan(with_grid(f={"a": [1, 2, 3, 4], "b": [0.5]}), replaces=found.id)
    late = ledger.plan_in_force()
    assert late.after_the_fact and late.changed_after_results == ["grid: drops g"]


def test_a_trial_of_another_ledger_counts_as_before(ledger):
    ledger.plan(PLAN)
    tried(Ledger(ledger.path.with_name("other.jsonl")), 1)
    assert ledger.plan_in_force().after_the_fact


def test_a_plan_without_a_grid_is_late_after_any_try(ledger):
    bare = {"window": WINDOW, "seed": 1}
    first = ledger.plan(bare)
    tried(ledger, 99)
    assert not ledger.plan_in_force().after_the_fact
    ledger.plan(bare | {"seed": 2}, replaces=first)
    assert ledger.plan_in_force().after_the_fact
    assert ledger.plan_in_force().changed_after_results == ["seed: 1 -> 2"]


def test_what_is_changed_before_any_result_is_nobodys_concern(ledger):
    first = ledger.plan(PLAN)
    second = ledger.plan(PLAN | {"thresholds": {"deflated_sharpe_ratio": 0.9}}, replaces=first)
    found = ledger.plan_in_force()
    assert found.changes == ["thresholds: deflated_sharpe_ratio 0.95 -> 0.9"]
    assert found.changed_after_results == []
    tried(ledger)
    third = ledger.plan(PLAN, replaces=second)
    ledger.plan(with_grid(f={"a": [1, 2], "b": [0.5], "c": [0]}), replaces=third)
    assert ledger.plan_in_force().changed_after_results == [
        "thresholds: deflated_sharpe_ratio 0.9 -> 0.95",
        "grid: names f.c [0], which was not named",
    ]


def test_runs_left_by_a_killed_process_stand_before_the_plan(ledger):
    import sys

    code = (
        "import os, pandas as pd\n"
        "from quantlab.ledger import open_trials\n"
        "from quantlab.ledger.runs import observe_run\n"
        "x = pd.Series([0.01, -0.01, 0.02], pd.bdate_range('2010-01-04', periods=3))\n"
        "w = pd.DataFrame({'A': 1.0}, index=x.index)\n"
        f"with open_trials('f', hypothesis='h', path={str(ledger.path)!r}):\n"
        "    observe_run(x, target_weights=w)\n"
        "    os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert ledger.count() == 0
    ledger.plan({"window": ("2010-01-01", "2010-12-31")})
    assert ledger.count() == 1
    assert ledger.plan_in_force().after_the_fact and ledger.plan_in_force().n_tries_before == 1


def test_a_plan_can_be_written_while_trials_are_open(ledger):
    with open_trials("f", hypothesis="h", path=ledger.path):
        assert ledger.plan(PLAN) == ledger.plan_in_force().id
    assert ledger.verify().ok


# ---------------------------------------------------------------- git, and the door


def test_a_plan_is_public_once_it_is_committed(ledger, monkeypatch):
    home = ledger.path.parent.parent
    first = ledger.plan(PLAN)
    found = ledger.plan_in_force()
    assert isinstance(found, Plan) and found.committed is None
    with pytest.raises(LedgerError, match="git cannot be seen here"):
        ledger.require_plan(grid=PLAN["grid"], window=WINDOW)
    git(home, "init", "-q")
    assert ledger.plan_in_force().committed is False
    with pytest.raises(LedgerError, match=f"the plan in force, {first}, is not committed: `git c"):
        ledger.require_plan(grid=PLAN["grid"], window=WINDOW)
    git(home, "add", "-A")
    assert ledger.plan_in_force().committed is False  # staged is not committed
    committed(home)
    found = ledger.require_plan(grid=PLAN["grid"], window=WINDOW)
    assert found.id == first and found.committed is True
    ledger.plan(PLAN | {"seed": 8}, replaces=first)
    assert ledger.plan_in_force().committed is False
    monkeypatch.chdir(ledger.path.parent)  # however the ledger is named
    assert Ledger("ledger.jsonl").plan_in_force().committed is False
    committed(home)
    assert Ledger("ledger.jsonl").plan_in_force().committed is True
    monkeypatch.setenv("PATH", str(home))
    assert ledger.plan_in_force().committed is None


def test_only_what_was_planned_goes_through_the_door(ledger):
    with pytest.raises(LedgerError, match="no plan is in force for this window: write one with"):
        ledger.require_plan(grid=PLAN["grid"], window=WINDOW)
    key = ledger.plan(PLAN)
    committed(ledger.path.parent)
    ask = lambda **changes: ledger.require_plan(
        **{"grid": PLAN["grid"], "window": WINDOW, "seed": 7.0} | changes
    )
    inner = ("2010-01-04", "2012-12-28")
    assert ask().id == ask(grid={"f": {"a": [2.0], "b": [0.5]}}, window=inner).id == key
    assert ask(window=None, costs=PLAN["costs"]).id == key
    with pytest.raises(LedgerError, match="unheard_of: nothing -> 5"):
        ask(unheard_of=5)
    refused = {
        "the family g is not in it": {"grid": {"g": {}}},
        r"the point f\.a = 3 is not in it": {"grid": {"f": {"a": [1, 3, 4], "b": [0.5]}}},
        "a grid of f without b is not in it": {"grid": {"f": {"a": [1]}}},
        "a grid of f with c is not in it": {"grid": {"f": {"a": [1], "b": [0.5], "c": [0]}}},
        "seed: 7 -> 8": {"seed": 8},
        "seed: 7 -> true": {"seed": True},
        r"costs: commission_bps 0\.5 -> 1": {"costs": {"commission_bps": 1.0}},
        "costs: half_spread_bps nothing -> 0": {"costs": CostModel(commission_bps=0.5)},
        r"thresholds: deflated_sharpe_ratio 0\.95 -> 0\.9": {
            "thresholds": {"deflated_sharpe_ratio": 0.9}
        },
        "the window reaches beyond its own": {"window": ("2010-01-01", "2013-01-01")},
        "no plan is in force for this window": {"window": ("2013-01-01", "2013-12-31")},
    }
    before = ledger.path.read_bytes()
    for words, changes in refused.items():
        with pytest.raises(LedgerError, match=words) as caught:
            ask(**changes)
        assert "`quantlab plan write" in str(caught.value) and "`git commit`" in str(caught.value)
        assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")
    for grid in (None, {"f": {"a": 1}}, "f"):
        with pytest.raises(SpecificationError, match="`grid` must map"):
            ask(grid=grid)
    assert ledger.path.read_bytes() == before


def test_branches_with_plans_are_merged(tmp_path):
    import shutil

    ours = Ledger(tmp_path / "ours" / "ledger.jsonl")
    first = ours.plan(PLAN)
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    theirs = Ledger(tmp_path / "theirs" / "ledger.jsonl")
    tried(ours, 1)
    second = theirs.plan(PLAN | {"seed": 8}, replaces=first)
    tried(theirs, 2)
    assert merge_ledgers(ours, theirs).n_added == 2 and merge_ledgers(ours, theirs).n_added == 0
    found = ours.plan_in_force()
    assert ours.verify().ok and found.id == second and found.n_plans == 2
    assert not found.after_the_fact and found.changed_after_results == ["seed: 7 -> 8"]
    # the same decision on both sides, after other trials, is one
    twin = Ledger(tmp_path / "twin" / "ledger.jsonl")
    tried(twin, 9)
    twin.plan(PLAN)
    assert merge_ledgers(ours, twin).n_added == 1 and len(ours.plans()) == 2


# ---------------------------------------------------------------- properties

VALUES = st.lists(st.sampled_from([0, 1, 1.5, True, "x"]), max_size=3)
GRIDS = st.dictionaries(
    st.sampled_from("fg"), st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2), max_size=2
)


@settings(deadline=None, max_examples=200)
@given(GRIDS, GRIDS)
def test_an_addition_takes_no_point_away(old, new):
    old, new = plain_plan({"grid": old, "n": 1}), plain_plan({"grid": new, "n": 1})
    added, other = plan_changes(old, new)
    forth = plan_changes(new, old)
    assert plan_changes(old, old) == ([], []) and bool(added + other) == bool(sum(forth, []))
    if not other:
        for family, axes in old["grid"].items():
            point = {k: v[-1] for k, v in axes.items() if v}
            if len(point) == len(axes):
                assert holds(old["grid"], family, point) and holds(new["grid"], family, point)
