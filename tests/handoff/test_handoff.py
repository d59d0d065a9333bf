"""The exit: bundles notice every edit, money is conserved, limits hold, engines survive."""

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import conftest
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab import handoff
from quantlab.backtest.engine import run_backtest
from quantlab.errors import DataError, HandoffError, QuantlabError, SpecificationError
from quantlab.handoff import (
    Account,
    Bar,
    KillSwitch,
    Limits,
    PaperEngine,
    PreTradeGate,
    ReferenceBroker,
    State,
    approve_bundle,
    bars,
    calibrate_monitor,
    expected_distribution,
    load_bundle,
    load_feed,
    make_key,
    monitor,
    read_journal,
    save_feed,
    sign_bundle,
    write_bundle,
)
from quantlab.handoff.expectation import sequential_test_from
from quantlab.handoff.manifest import seal_of
from quantlab.handoff.monitor import VERDICTS
from quantlab.simulate import factor_world, garch
from quantlab.storage import readable_json
from quantlab.trading.costs import CostModel
from quantlab.trading.orders import make_order

COSTS = CostModel(
    commission_bps=1, half_spread_bps=4, impact_coefficient=0.5, borrow_bps_per_year=50
)
WIDE = Limits(**conftest.WIDE)
PERIODS = 252


@pytest.fixture(scope="module")
def world():
    "A market, monthly weights in it, and what the backtest says"
    market = factor_world(200, 8, edge=0.0005, rng=np.random.default_rng(3))
    signal_ = market.returns.rolling(40).mean().iloc[40::15]
    weights = signal_.sub(signal_.mean(axis=1), axis=0)
    weights = weights.div(weights.abs().sum(axis=1), axis=0).reindex(market.returns.index)
    return market, weights


@pytest.fixture(scope="module")
def calibrated():
    "What live results should look like, calibrated once"
    record = garch(1000, mu=6e-4, rng=np.random.default_rng(4))["returns"]
    test = calibrate_monitor(record, average_run_length=2000, seed=5, n_resamples=200)
    live = expected_distribution(record, horizon=60, seed=5, n_resamples=200)
    return live.to_dict() | {"sequential_test": test.to_dict()}


def backtest_of(market, weights, costs=COSTS, **options):
    book = run_backtest(
        weights,
        market.returns,
        costs=costs,
        dollar_volume=market.dollar_volume,
        capital=1e7,
        periods_per_year=PERIODS,
        **options,
    )
    columns = ("returns", "gross_returns", "turnover", "costs")
    return pd.DataFrame({name: getattr(book, name) for name in columns})


@pytest.fixture(scope="module")
def arguments(world, calibrated):
    "Arguments of write_bundle"
    market, weights = world
    return {
        "strategy": "momentum",
        "verdict": "approved",
        "parameters": {"window": 40},
        "target_weights": weights,
        "expected": backtest_of(market, weights),
        "inputs": {"returns.parquet": "ab" * 16},
        "code": "tree",
        "universe": list(weights.columns),
        "costs": COSTS,
        "limits": WIDE,
        "kill_rules": {"daily_loss": 0.5, "drawdown": 0.6, "sequential_test": False},
        "expected_distribution": calibrated,
        "starts": "2007-01-01",
        "expires": "2040-12-31",
        "capital": 1e7,
        "periods_per_year": PERIODS,
        "dossier": "<html>dossier</html>",
    }


@pytest.fixture
def bundle(arguments, tmp_path):
    return load_bundle(write_bundle(tmp_path / "handoff", **arguments))


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    "A killed process loses nothing that was written: only a power cut needs the flush"
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture(scope="module")
def feed(world):
    market, _ = world
    return list(bars(market.returns, dollar_volume=market.dollar_volume))


def broker(bundle, capital=None):
    return ReferenceBroker(
        bundle.costs, capital=capital or bundle.capital, periods_per_year=PERIODS
    )


def replay(bundle, feed, limits=None, **options):
    return PaperEngine(bundle, broker(bundle), limits, **options).run(feed)


# -- the bundle


def test_the_same_arguments_give_the_same_bytes_in_another_process(arguments, tmp_path):
    path = write_bundle(tmp_path / "a", **arguments)
    frames = {k: arguments[k] for k in ("target_weights", "expected")}
    pd.to_pickle({**arguments, **frames}, tmp_path / "arguments.pickle")
    script = (
        "import pandas as pd, sys; from quantlab.handoff import write_bundle;"
        "a = pd.read_pickle(sys.argv[1]); a['universe'] = set(a['universe']);"
        "write_bundle(sys.argv[2], **a)"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "arguments.pickle", tmp_path / "b"],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
    )
    (other,) = (tmp_path / "b").iterdir()
    assert other.name == path.name
    for file in path.iterdir():
        assert file.read_bytes() == (other / file.name).read_bytes(), file.name


def test_a_bundle_is_written_once(arguments, tmp_path):
    path = write_bundle(tmp_path, **arguments)
    stamp = {f.name: f.stat().st_mtime_ns for f in path.iterdir()}
    assert write_bundle(tmp_path, **arguments) == path
    assert {f.name: f.stat().st_mtime_ns for f in path.iterdir()} == stamp
    (path / "dossier.html").write_text("<html>better</html>")
    with pytest.raises(HandoffError, match="dossier.html in .* was changed"):
        write_bundle(tmp_path, **arguments)
    assert (path / "dossier.html").read_text() == "<html>better</html>"  # never rewritten


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_changed_byte_anywhere_is_noticed(arguments, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "edited"
    path = write_bundle(folder, **arguments)
    signed = approve_bundle(path, by="risk", reason="seen")
    file = data.draw(st.sampled_from([*sorted(path.iterdir()), signed]))
    good = file.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255))
    kind = data.draw(st.sampled_from(["replace", "insert", "delete", "truncate"]))
    bad = {
        "replace": good[:place] + bytes([byte]) + good[place + 1 :],
        "insert": good[:place] + bytes([byte]) + good[place:],
        "delete": good[:place] + good[place + 1 :],
        "truncate": good[:place],
    }[kind]
    try:
        file.write_bytes(bad)
        if bad == good:
            load_bundle(path)
        else:
            with pytest.raises(HandoffError):
                load_bundle(path)
    finally:
        file.write_bytes(good)


def test_a_copy_under_another_name_loads(bundle, tmp_path):
    copy = tmp_path / "renamed"
    shutil.copytree(bundle.path, copy)
    assert load_bundle(copy, as_of="2020-01-01").seal == bundle.seal
    assert load_bundle(str(copy)).mode == "shadow"  # nobody has signed it


def test_a_bundle_sealed_again_is_held_to_its_folder(bundle):
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["limits"]["max_gross"] = 4.0
    manifest["seal"] = seal_of(manifest)
    (bundle.path / "manifest.json").write_text(readable_json(manifest))
    with pytest.raises(HandoffError, match="sealed again after an edit"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("verdict", "maybe", "`verdict` must be 'approved' or 'rejected'; got 'maybe'"),
        ("schema", "quantlab-bundle/2", "has the schema 'quantlab-bundle/2'"),
        ("limits", {"max_gross": 1.0}, "is missing"),
        ("kill_rules", {}, "`kill_rules` is empty"),
        ("costs", {"commission_bps": -1}, "`commission_bps` must be"),
        ("expected_distribution", {}, "lacks 'mean'"),
        ("universe", [], "not in `universe`"),
        ("files", {}, "does not list"),
        ("limits", None, "cannot be traded"),
        ("starts", "whenever", "must be a date"),
        ("capital", "much", "must be a finite number"),
        ("periods_per_year", None, "`periods_per_year` must be"),
    ],
)
def test_a_sealed_bundle_that_makes_no_sense_is_refused(bundle, tmp_path, key, value, message):
    copy = tmp_path / "copy"
    shutil.copytree(bundle.path, copy)
    manifest = json.loads((copy / "manifest.json").read_text()) | {key: value}
    manifest["seal"] = seal_of(manifest)
    (copy / "manifest.json").write_text(readable_json(manifest))
    with pytest.raises(HandoffError, match=message):
        load_bundle(copy)


def test_a_full_disk_leaves_nothing_behind(arguments, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HandoffError, match="No space left on device.*nothing was left"):
        write_bundle(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_rejected_loads_in_shadow_and_cannot_be_signed(arguments, tmp_path):
    path = write_bundle(tmp_path, **arguments | {"verdict": "rejected"})
    assert load_bundle(path, as_of="2026-01-01").mode == "shadow"
    with pytest.raises(HandoffError, match="cannot be approved to paper"):
        approve_bundle(path, by="desk", reason="please")
    with pytest.raises(HandoffError, match="has expired on 2041-01-01"):
        load_bundle(path, as_of="2041-01-01")
    with pytest.raises(HandoffError, match="is not yet valid"):
        load_bundle(path, as_of="2006-12-31")
    with pytest.raises(SpecificationError, match="`as_of` must be a date"):
        load_bundle(path, as_of="soon")


def test_approvals_are_appended(bundle):
    file = approve_bundle(bundle.path, by="risk", reason="limits agreed")
    first = file.read_bytes()
    assert approve_bundle(bundle.path, by="risk", reason="limits agreed").read_bytes() == first
    assert approve_bundle(bundle.path, by="desk", reason="seen").read_bytes().startswith(first)
    assert [a["by"] for a in load_bundle(bundle.path).approvals] == ["risk", "desk"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target_weights": "many"}, QuantlabError, "."),
        ({"expected": None}, HandoffError, "needs the columns"),
        ({"capital": np.nan}, SpecificationError, "`capital` must be a finite number"),
        ({"parameters": {"f": np.inf}}, SpecificationError, "holds inf"),
        ({"starts": "2041-01-01"}, SpecificationError, "is after `expires`"),
        ({"strategy": ""}, SpecificationError, "must be a plain name"),
        ({"strategy": "../x"}, SpecificationError, "must be a plain name"),
        ({"verdict": None}, SpecificationError, "`verdict` must be one of"),
        ({"kill_rules": {"drawdown": -1}}, SpecificationError, "must be a finite number in"),
        ({"limits": {}}, HandoffError, "is missing"),
        ({"limits": None}, SpecificationError, "must be Limits or a mapping"),
        ({"approvals": "xy"}, SpecificationError, "`by` and `reason`; got 'xy'"),
        ({"approvals": [{"by": "x"}]}, SpecificationError, "`by` and `reason`; got {'by': 'x'}"),
        ({"approvals": [{"by": "x", "reason": 1}]}, SpecificationError, "`by` and `reason`"),
        ({"approvals": None}, SpecificationError, "`by` and `reason`; got None"),
        ({"parameters": [1]}, SpecificationError, "`parameters` must map names"),
        ({"inputs": None}, SpecificationError, "`inputs` must map names"),
        ({"costs": None}, SpecificationError, "`costs` must be a CostModel or"),
        ({"kill_rules": None}, SpecificationError, "`kill_rules` must map names"),
        ({"expected_distribution": None}, SpecificationError, "must map names to values; got None"),
        ({"universe": None}, SpecificationError, "each once; got None"),
        ({"universe": "AAPL"}, SpecificationError, "each once; got 'AAPL'"),
        ({"universe": ["A", "B", "A"]}, SpecificationError, "each once; got 'A'"),
        ({"dossier": 5}, SpecificationError, "`dossier` must be the page as text or bytes"),
        ({"dossier": Path("nope")}, HandoffError, "The dossier nope does not exist"),
        ({"starts": "2039-01-01"}, HandoffError, "the dates of validity from 2039-01-01"),
        ({"starts": "2001-01-01", "expires": "2002-01-01"}, HandoffError, "days in common"),
        ({"starts": 5}, SpecificationError, "`starts` must be a date"),
    ],
)
def test_what_contradicts_itself_is_not_written(arguments, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        write_bundle(tmp_path / "new", **arguments | change)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.set_axis(e.index + pd.Timedelta(days=4000)), "must have days in common"),
        (lambda e: e.assign(costs=-1.0), "`expected` has costs of -1 on"),
        (lambda e: e.assign(turnover=-1.0), "`expected` has turnover of -1 on"),
        (lambda e: e.assign(returns=-2.0), "`expected` has returns of -2 on"),
        (lambda e: e.reset_index(drop=True), "`expected` must be indexed by dates"),
    ],
)
def test_what_no_backtest_can_say_is_not_written(arguments, tmp_path, change, message):
    with pytest.raises(QuantlabError, match=message):
        write_bundle(tmp_path / "new", **arguments | {"expected": change(arguments["expected"])})
    for name, value in {"mean": "x", "volatility": 0.0}.items():
        wrong = arguments["expected_distribution"] | {name: value}
        with pytest.raises(SpecificationError, match=f"`expected_distribution.{name}` must be"):
            write_bundle(tmp_path / "new", **arguments | {"expected_distribution": wrong})
    assert not (tmp_path / "new").exists()


def test_one_asset_in_an_index_is_a_universe(arguments, tmp_path):
    weights = arguments["target_weights"].iloc[:, :1]
    given = {"target_weights": weights, "universe": weights.columns}
    assert load_bundle(write_bundle(tmp_path, **arguments | given)).target_weights.shape[1] == 1


def test_both_halves_of_what_is_expected_are_given_together(arguments, tmp_path):
    record = garch(400, mu=6e-4, rng=np.random.default_rng(4))["returns"]
    live = expected_distribution(record, horizon=20, seed=5, n_resamples=100)
    test = calibrate_monitor(record, average_run_length=200, seed=5, n_resamples=100)
    both = {**live.to_dict(), "sequential_test": test}
    path = write_bundle(tmp_path, **arguments | {"expected_distribution": both})
    assert load_bundle(path).sequential_test.mean == pytest.approx(test.mean)


def test_a_manifest_with_nan_is_refused(bundle, capsys):
    from quantlab.cli import main

    file = bundle.path / "manifest.json"
    file.write_text(file.read_text().replace("10000000.0", "NaN"))
    with pytest.raises(HandoffError, match=r"cannot be read \(it holds NaN\)"):
        load_bundle(bundle.path)
    assert main(["handoff", "verify", str(bundle.path)]) == 1
    assert "it holds NaN" in capsys.readouterr().err


def test_what_is_no_path_date_venue_or_feed_is_refused_in_one_sentence(bundle, arguments, feed):
    venue = broker(bundle)
    calls = {
        "`path` must be a path; got None": lambda: load_bundle(None),
        "`folder` must be a path; got None": lambda: write_bundle(None, **arguments),
        "`as_of` must be a date such as '2015-07-01'; got 5": lambda: load_bundle(
            bundle.path, as_of=5
        ),
        "`path` must be a path": lambda: PaperEngine(None, venue),
        "the five verbs of an ExecutionBackend; got NoneType": lambda: PaperEngine(bundle, None),
        "must give bars, not NoneType": lambda: PaperEngine(bundle, venue).run(None),
        "must give bars, not DataFrame": lambda: PaperEngine(bundle, venue).run(bundle.expected),
        "`costs` must be a CostModel or a mapping": lambda: ReferenceBroker(None, capital=1),
        "`costs` must be one of": lambda: ReferenceBroker({"tax": 1}, capital=1),
        "`returns` must be a table": lambda: bars(None),
        "must be dates such as .* got 'x'": lambda: bars(bundle.expected[["returns"]], start="x"),
    }
    for message, call in calls.items():
        with pytest.raises(QuantlabError, match=message):
            call()


def test_weights_must_be_dated_complete_and_finite(arguments, tmp_path):
    weights = arguments["target_weights"]
    decided = weights.dropna()
    holed = decided.copy()
    holed.iloc[2, 3] = np.nan
    bad = {
        "partly missing": holed,
        "infinite": decided.replace(decided.iloc[0, 0], np.inf),
        "no value at all": decided * np.nan,
        "more than once": pd.concat([decided, decided]).sort_index(),
        "time order": decided.iloc[::-1],
        "indexed by dates": decided.reset_index(drop=True),
        "numbers only": decided.astype(str),
        "max_gross": decided * 100,
    }
    for message, frame in bad.items():
        with pytest.raises(QuantlabError, match=message):
            write_bundle(tmp_path, **arguments | {"target_weights": frame})
    assert list(tmp_path.iterdir()) == []


# -- the money


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), every=st.integers(1, 7), holes=st.floats(0, 0.3))
def test_paper_is_the_backtest_to_the_ninth_digit(arguments, tmp_path_factory, seed, every, holes):
    rng = np.random.default_rng(seed)
    market = factor_world(40, 5, rng=rng)
    gaps = market.returns.mask(rng.random((40, 5)) < holes)
    gaps.iloc[0] = 0.0  # a volatility is known from the first day on
    market = dataclasses.replace(market, returns=gaps)
    weights = pd.DataFrame(rng.normal(0, 0.4, (40, 5)), gaps.index, gaps.columns) * (
        rng.random((40, 5)) < 0.8
    )
    weights.iloc[np.arange(40) % every != 0] = np.nan
    expected = backtest_of(market, weights)
    path = write_bundle(
        tmp_path_factory.getbasetemp() / "money",
        **arguments
        | {
            "target_weights": weights,
            "expected": expected,
            "universe": weights.columns,
            "kill_rules": {"sequential_test": False},
        },
    )
    bundle = load_bundle(path)
    days = list(bars(market.returns, dollar_volume=market.dollar_volume))
    paper = replay(bundle, days)
    check = paper.reconciliation(bundle.expected)
    assert paper.n_refused == 0 and check.agrees(1e-9), check.max_abs_difference
    # money: what the account gained is what positions earned less what was paid
    before = paper.equity.shift(1, fill_value=bundle.capital)
    gained = paper.equity - before
    earned = (paper.daily["gross_returns"] - paper.daily["costs"]) * before
    np.testing.assert_allclose(gained, earned, atol=1e-6)
    assert (paper.daily["costs"] >= -1e-15).all()


def test_the_broker_charges_the_price_list(world):
    model = CostModel(commission_bps=2, half_spread_bps=3, impact_coefficient=0.7)
    venue = ReferenceBroker(model, capital=1e6)
    day, after = pd.bdate_range("2020-01-01", periods=2)
    venue.advance(Bar(day, {"A": 0.0}, {"A": 5e6}, {"A": 0.03}))
    order = make_order("s", day, "A", -2e5)
    venue.submit(order)
    venue.submit(order)
    (fill,) = venue.advance(Bar(after, {"A": 0.10}, {"A": 1.0}, {"A": 9.0}))
    assert fill.cost == pytest.approx(model.cost(-2e5, 5e6, 0.03), rel=1e-14)
    assert venue.equity() == pytest.approx(1e6 - 2e4 - fill.cost, rel=1e-14)


# -- the limits


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    caps=st.tuples(*[st.floats(0.01, 1.5)] * 4),
    state=st.sampled_from(list(State)),
    loss=st.floats(-0.1, 0.1),
    drawdown=st.floats(0, 0.3),
)
def test_no_order_that_passes_breaks_a_limit(seed, caps, state, loss, drawdown):
    rng = np.random.default_rng(seed)
    limits = Limits(
        max_order_notional=caps[0] * 1e6,
        max_gross=caps[1] * 2,
        max_position_weight=caps[2],
        max_daily_turnover=caps[3],
        price_collar=0.1,
        max_orders_per_day=6,
        max_stale_days=1,
        max_daily_loss=0.05,
        max_drawdown=0.15,
    )
    assets = list("ABCDE")
    account = Account(
        date=pd.Timestamp("2020-01-01"),
        equity=1e6,
        positions=dict(zip(assets, rng.normal(0, 4e5, 5))),
        price_change=dict(zip(assets, rng.normal(0, 0.08, 5))),
        stale_days={"A": 0, "B": 1, "C": 2, "D": 0},
        state=state,
        day_return=-loss,
        drawdown=drawdown,
    )
    gate, slack = PreTradeGate(limits), 1 + 1e-6
    for number in range(30):
        asset = assets[rng.integers(5)]
        order = make_order(str(number // 2), account.date, asset, rng.normal(0, 5e5))
        before = account.positions[asset]
        decision = gate.check(order, account)
        assert decision.allowed == (decision.rule == "") == (decision.reason == "")
        if not decision.allowed:
            continue
        assert order.id not in account.accepted
        account.accept(order)
        after = account.positions[asset]
        smaller = abs(after) < abs(before) and after * before >= -1e-6
        assert state is not State.HALTED
        restricted = loss > 0.05 or drawdown > 0.15 or state is State.REDUCING
        assert smaller or not restricted
        assert abs(order.notional) <= limits.max_order_notional * slack
        assert account.traded <= limits.max_daily_turnover * 1e6 * slack
        assert len(account.accepted) <= 6
        assert asset not in "CE" and abs(account.price_change[asset]) <= 0.1 * slack
        assert smaller or abs(after) <= limits.max_position_weight * 1e6 * slack
        gross = sum(abs(p) for p in account.positions.values())
        assert gross == pytest.approx(account.gross)
        assert smaller or gross <= limits.max_gross * 1e6 * slack


def test_the_journal_proves_that_the_limits_held(bundle, feed):
    "Recomputed from the record alone, not from the gate"
    limits = dataclasses.replace(
        WIDE,
        max_gross=0.8,
        max_position_weight=0.15,
        max_daily_turnover=0.6,
        max_orders_per_day=6,
        max_order_notional=1.2e6,
    )
    paper = replay(bundle, feed, limits)
    assert set(paper.orders.loc[~paper.orders["sent"], "rule"]) >= {"position", "notional"}
    equity = paper.equity
    for date, orders in paper.orders[paper.orders["sent"]].groupby("date"):
        size = orders["notional"].abs()
        assert size.max() <= 1.2e6 * (1 + 1e-9) and len(orders) <= 6
        assert size.sum() <= 0.6 * equity[date] * (1 + 1e-9)
    assert (paper.daily["turnover"] <= 0.6 * (1 + 1e-9)).all()
    assert set(paper.fills["order"]) == set(paper.orders.loc[paper.orders["sent"], "id"])


def test_looser_limits_cannot_loosen(bundle, feed):
    loose = dataclasses.replace(WIDE, max_gross=99.0)
    assert replay(bundle, feed, loose).journal == replay(bundle, feed).journal


def test_the_switch_fails_closed(tmp_path):
    switch = KillSwitch(tmp_path / "switch")
    assert switch.state is State.HALTED
    switch.reset("start", by="desk")
    assert switch.state is State.ACTIVE
    good = switch.path.read_bytes()
    for cut in range(len(good)):
        switch.path.write_bytes(good[:cut])
        assert switch.state is State.HALTED, cut
    switch.path.unlink()
    switch.path.mkdir()
    assert switch.state is State.HALTED
    with pytest.raises(HandoffError, match="cannot be written"):
        switch.reset("again", by="desk")


def test_losses_reduce_and_kill_rules_halt(arguments, feed, tmp_path):
    rules = {"kill_rules": {"drawdown": 0.25, "sequential_test": False}}
    limits = {"limits": dataclasses.replace(WIDE, max_daily_loss=0.02, max_drawdown=0.10)}
    bundle = load_bundle(write_bundle(tmp_path / "b", **arguments | rules | limits))
    first = replay(bundle, feed[:60])
    held = dict(zip(*np.unique(first.fills["asset"], return_counts=True)))
    assert held and first.state == "ACTIVE"

    def shock(size):
        worst = first.orders.groupby("asset")["notional"].sum()
        moves = {a: -size * np.sign(n) for a, n in worst.items()}
        return [*feed[:60], Bar(feed[60].date, moves, feed[60].dollar_volume), *feed[61:]]

    reduced = replay(bundle, shock(0.15))
    day = reduced.events.iloc[0]
    assert day["state"] == "REDUCING" and "lost today, limit 2.0000%" in day["reason"]
    calm = dataclasses.replace(WIDE, max_daily_loss=0.02)
    over = load_bundle(write_bundle(tmp_path / "c", **arguments | rules | {"limits": calm}))
    over = replay(over, shock(0.15))
    assert over.state == "ACTIVE"
    last = over.events.loc[over.events["state"] == "REDUCING", "date"].iloc[-1]
    assert re.match(rf"a loss limit was exceeded \d+ time\(s\), last on {last.date()}", over.reason)
    halted = replay(bundle, shock(0.8), folder=tmp_path / "state")
    assert halted.state == "HALTED" and "kill rule drawdown" in halted.reason
    late = halted.orders["date"] >= feed[60].date
    assert not halted.orders.loc[late, "sent"].any()
    assert KillSwitch(tmp_path / "state" / "kill_switch.jsonl").state is State.HALTED
    (tmp_path / "state" / "kill_switch.jsonl").write_text("torn")
    again = replay(bundle, shock(0.8), folder=tmp_path / "state")
    assert again.journal == halted.journal


def test_the_sequential_kill_rule_is_the_monitors_alarm(arguments, feed, tmp_path, calibrated):
    eager = calibrated["sequential_test"] | {"mean_threshold": 3.0}
    changes = {
        "kill_rules": {"sequential_test": True},
        "expected_distribution": calibrated | {"sequential_test": eager},
    }
    bundle = load_bundle(write_bundle(tmp_path, **arguments | changes))
    paper = replay(bundle, feed)
    result = monitor(bundle, paper.daily["returns"])
    assert paper.state == "HALTED" and "sequential_test" in paper.reason
    assert paper.events.iloc[0]["date"] == result.alarm_date


# -- time


def test_the_engine_cannot_see_tomorrow(bundle, feed):
    "What it did until t is the same whatever comes after t"
    whole = replay(bundle, feed).journal
    for n in (1, 41, 42, 120):
        assert whole.startswith(replay(bundle, feed[:n]).journal)
    rng = np.random.default_rng(0)
    noise = [
        Bar(b.date, {a: rng.normal(0, 0.01) for a in b.returns}, b.dollar_volume, b.volatility)
        for b in feed[120:]
    ]
    other = replay(bundle, [*feed[:120], *noise]).journal
    assert other != whole and other.startswith(replay(bundle, feed[:120]).journal)


def test_todays_decision_earns_from_tomorrow(arguments, tmp_path):
    "A weight that knows today's return must not earn it"
    market = factor_world(60, 4, rng=np.random.default_rng(1))
    leak = np.sign(market.returns) / 4
    changes = {"target_weights": leak, "universe": leak.columns, "costs": CostModel()}
    bundle = load_bundle(write_bundle(tmp_path, **arguments | changes))
    paper = PaperEngine(bundle, ReferenceBroker({}, capital=1e7)).run(bars(market.returns))
    honest = (leak.shift(1) * market.returns).sum(axis=1)
    np.testing.assert_allclose(paper.daily["returns"], honest, atol=1e-12)


# -- survival


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("when", [1, 2, 3, 60, 85, 86, 87, 88, 300])
@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_kill_9_between_any_two_writes(bundle, feed, tmp_path, monkeypatch, when, how):
    from quantlab import storage

    whole, folder, write, count = replay(bundle, feed).journal, tmp_path / "state", [], [0]
    write = storage.write_all

    def flush(file, content):
        count[0] += 1
        if count[0] != when:
            return write(file, content)
        if how != "before":
            write(file, content if how == "after" else content[: len(content) // 2])
        return die()

    monkeypatch.setattr(storage, "write_all", flush)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        replay(bundle, feed, folder=folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    monkeypatch.undo()
    assert replay(bundle, feed, folder=folder).journal == whole
    assert (folder / "journal.jsonl").read_bytes() == whole


def test_a_crash_after_the_switch_tripped_tells_the_same_story(
    arguments, feed, tmp_path, monkeypatch
):
    "The switch is on disk before the journal knows why"
    from quantlab import storage

    rules = {"daily_loss": 0.001, "sequential_test": False}
    bundle = load_bundle(write_bundle(tmp_path, **arguments | {"kill_rules": rules}))
    whole, write = replay(bundle, feed, folder=tmp_path / "whole"), storage.write_all
    assert whole.state == "HALTED"
    trip = whole.events["date"].iloc[0]

    def failing(file, content):
        if f'"date":"{trip.date()}"'.encode() in content:
            raise OSError(errno.EIO, "Input/output error")
        return write(file, content)

    monkeypatch.setattr(storage, "write_all", failing)
    with pytest.raises(HandoffError, match="Input/output error"):
        replay(bundle, feed, folder=tmp_path / "state")
    monkeypatch.undo()
    assert KillSwitch(tmp_path / "state" / "kill_switch.jsonl").state is State.HALTED
    assert replay(bundle, feed, folder=tmp_path / "state").journal == whole.journal


def test_kill_9_of_a_process_from_outside(bundle, feed, tmp_path, world):
    market, _ = world
    pd.to_pickle((market.returns, market.dollar_volume), tmp_path / "market.pickle")
    script = """
import sys, time
import pandas as pd
from quantlab.handoff import PaperEngine, ReferenceBroker, bars, load_bundle
bundle = load_bundle(sys.argv[1])
returns, volume = pd.read_pickle(sys.argv[2])
def slow():
    for bar in bars(returns, dollar_volume=volume):
        time.sleep(0.01)
        yield bar
venue = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
PaperEngine(bundle, venue, folder=sys.argv[3]).run(slow())
"""
    folder = tmp_path / "state"
    process = subprocess.Popen(
        [sys.executable, "-c", script, bundle.path, tmp_path / "market.pickle", folder],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    file = folder / "journal.jsonl"
    while not file.exists() or file.stat().st_size < 5_000:
        assert process.poll() is None
    with pytest.raises(HandoffError, match="Another engine is running"):
        replay(bundle, feed, folder=folder)
    process.kill()
    process.wait()
    whole = replay(bundle, feed).journal
    assert len(file.read_bytes()) < len(whole)
    assert replay(bundle, feed, folder=folder).journal == whole


def test_a_day_that_was_traded_cannot_change(bundle, feed, tmp_path):
    whole = replay(bundle, feed).journal
    replay(bundle, feed[:100], folder=tmp_path)
    bar = feed[60]
    asset = next(iter(bar.returns))
    for changed in (
        dataclasses.replace(bar, returns=bar.returns | {asset: bar.returns[asset] + 1e-9}),
        dataclasses.replace(bar, dollar_volume=bar.dollar_volume | {asset: 1.0}),
    ):
        with pytest.raises(HandoffError, match=f"The bar of {bar.date.date()} is not the one"):
            replay(bundle, [*feed[:60], changed, *feed[61:]], folder=tmp_path)
    with pytest.raises(HandoffError, match="belongs|is not the one"):
        replay(bundle, [dataclasses.replace(feed[0], returns={}), *feed[100:]], folder=tmp_path)
    assert replay(bundle, feed[100:], folder=tmp_path).journal == whole  # new days alone


def test_orders_that_cannot_be_priced_are_an_event(bundle, world):
    paper = replay(bundle, list(bars(world[0].returns)))
    assert paper.n_unfilled > 0 and paper.daily["turnover"].sum() == 0
    told = paper.events[paper.events["type"] == "unfilled"]
    assert len(told) == paper.fills["date"].nunique()
    assert "had no volume or volatility to price the impact with" in told["reason"].iloc[0]


def test_a_torn_state_is_not_guessed_at(bundle, feed, tmp_path):
    replay(bundle, feed[:100], folder=tmp_path)
    state, journal = tmp_path / "state.json", tmp_path / "journal.jsonl"
    good, written = state.read_bytes(), journal.read_bytes()
    for cut in (0, 1, len(good) // 2, len(good) - 1):
        state.write_bytes(good[:cut])
        with pytest.raises(HandoffError, match="replay from the start"):
            replay(bundle, feed, folder=tmp_path)
    state.write_bytes(good.replace(b'"ACTIVE"', b'"HALTED"'))
    with pytest.raises(HandoffError, match="torn or does not fit"):
        replay(bundle, feed, folder=tmp_path)
    state.unlink()
    with pytest.raises(HandoffError, match="is missing, torn"):
        replay(bundle, feed, folder=tmp_path)
    state.write_bytes(good)
    journal.write_bytes(written.replace(b'"sent":true', b'"sent":TRUE', 1))
    with pytest.raises(HandoffError, match="does not fit the journal"):
        replay(bundle, feed, folder=tmp_path)
    journal.write_bytes(written)
    assert replay(bundle, feed, folder=tmp_path).journal == replay(bundle, feed).journal


def test_a_full_disk_stops_the_engine_and_loses_nothing(bundle, feed, tmp_path, monkeypatch):
    from quantlab import storage

    write, count = storage.write_all, [0]

    def filling(file, content):
        count[0] += 1
        if count[0] < 90:
            return write(file, content)
        write(file, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "write_all", filling)
    with pytest.raises(HandoffError, match="No space left on device.*last saved day"):
        replay(bundle, feed, folder=tmp_path)
    monkeypatch.undo()
    assert replay(bundle, feed, folder=tmp_path).journal == replay(bundle, feed).journal


def test_a_folder_serves_one_bundle(bundle, arguments, feed, tmp_path):
    replay(bundle, feed[:50], folder=tmp_path / "state")
    other = load_bundle(write_bundle(tmp_path, **arguments | {"code": "another"}))
    with pytest.raises(HandoffError, match="belongs to another bundle"):
        replay(other, feed, folder=tmp_path / "state")


def test_day_by_day_is_all_at_once(bundle, feed, tmp_path):
    for n in range(5, len(feed) + 1, 39):
        daily = replay(bundle, feed[:n], folder=tmp_path)
    daily = replay(bundle, feed, folder=tmp_path)
    assert daily.journal == replay(bundle, feed).journal
    engine = PaperEngine(bundle, broker(bundle))
    assert engine.run(feed).journal == engine.run(feed).journal


def test_shadow_differs_in_its_mark_alone(bundle, feed, tmp_path):
    key, public = make_key(tmp_path, name="Ada")
    sign_bundle(bundle.path, key=key, by="Ada", reason="seen", at="2026-01-31T12:00:00Z")
    signed = load_bundle(bundle.path, reviewers={"Ada": public})
    shadow, paper = replay(bundle, feed), replay(signed, feed)
    assert set(shadow.orders["mode"]) == {"shadow"} and set(paper.orders["mode"]) == {"paper"}
    pd.testing.assert_series_equal(shadow.equity, paper.equity)


@pytest.mark.parametrize(
    ("bar", "message"),
    [
        (Bar(pd.Timestamp("2007-01-03"), {"S000": np.inf}), "return of inf"),
        (Bar(pd.Timestamp("2007-01-03"), {"S000": -1.5}), "return of -1.5"),
        (Bar(pd.Timestamp("2006-01-03"), {}), "valid from 2007-01-01"),
    ],
)
def test_a_bad_bar_is_refused(bundle, bar, message):
    with pytest.raises(QuantlabError, match=message):
        replay(bundle, [bar])


def test_a_bar_may_carry_the_time_of_its_close_and_the_day_counts(bundle, feed, tmp_path):
    few = feed[:5]
    late = [dataclasses.replace(bar, date=bar.date + pd.Timedelta(hours=21)) for bar in few]
    assert load_feed(save_feed(tmp_path / "feed.parquet", late))[2].date == late[2].date
    plain, timed = (replay(bundle, given) for given in (few, late))
    assert plain.journal == timed.journal and plain.equity.equals(timed.equity)
    with pytest.raises(QuantlabError, match="keep one bar a day"):
        replay(bundle, [few[0], late[0]])


def test_bars_and_journals_refuse_what_is_not_one(bundle, feed, world):
    returns = world[0].returns
    for bad in (returns.astype(str), returns.replace(returns.iloc[0, 0], np.inf), returns * np.nan):
        with pytest.raises(DataError):
            bars(bad)
    with pytest.raises(DataError, match="sort it"):
        replay(bundle, [feed[3], feed[3]])
    with pytest.raises(HandoffError, match="not whole"):
        read_journal(replay(bundle, feed).journal[:-10])


# -- the monitor


@pytest.mark.parametrize("seed", [0, 1])
def test_the_agreed_run_length_is_the_run_length(seed):
    "An independent simulation in numpy: draw days of the backtest, count days to an alarm"
    rng = np.random.default_rng(seed)
    record = pd.Series(rng.standard_t(5, 750) * 0.006 + 4e-4)
    test = calibrate_monitor(record, average_run_length=250, seed=seed, block_length=1)
    lengths = []
    for _ in range(1000):
        draws = rng.choice(record.to_numpy(), 4000)
        z = (draws - test.mean) / test.volatility
        down = np.cumsum(-z - test.mean_allowance)
        wide = np.cumsum((np.abs(z) - test.abs_mean) / test.abs_std - test.volatility_allowance)
        paths = [s - np.minimum(np.minimum.accumulate(s), 0) for s in (down, wide)]
        rings = (paths[0] > test.mean_threshold) | (paths[1] > test.volatility_threshold)
        lengths.append(rings.argmax() + 1 if rings.any() else 4000)
    error = np.std(lengths) / np.sqrt(len(lengths))
    assert abs(np.mean(lengths) - 250) < 4 * np.hypot(error, 250 / np.sqrt(1000))
    assert abs(test.achieved_run_length - 250) < 40


def futures(test, n_paths, cap, rng, *, alpha, beta):
    "Days to an alarm in fresh years of a GARCH(1,1): in numpy, one step for all paths"
    variance = np.full(n_paths, 1e-4)
    down, wide, length = np.zeros((3, n_paths))
    running = np.ones(n_paths, bool)
    for day in range(-300, cap):
        shock = rng.standard_normal(n_paths)
        z = (5e-4 + np.sqrt(variance) * shock - test.mean) / test.volatility
        variance = 1e-4 * (1 - alpha - beta) + (alpha * shock**2 + beta) * variance
        if day < 0:
            continue
        size = (np.abs(z) - test.abs_mean) / test.abs_std
        down = np.maximum(0, down - z - test.mean_allowance)
        wide = np.maximum(0, wide + size - test.volatility_allowance)
        length += running
        running &= (down <= test.mean_threshold) & (wide <= test.volatility_threshold)
        if not running.any():
            break
    return length


def test_the_agreed_run_length_holds_where_volatility_clusters():
    "Drawing days in blocks promised 2500 and kept 1200: no storm beyond the worst one seen"
    process, kept = {"alpha": 0.08, "beta": 0.9}, {"garch": [], "blocks": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        record = garch(1000, omega=2e-6, mu=5e-4, rng=rng, **process)["returns"]
        for worlds, block in (("garch", None), ("blocks", 30)):
            test = calibrate_monitor(
                record, average_run_length=2500, seed=1, n_resamples=100, block_length=block
            )
            kept[worlds].append(futures(test, 40, 15_000, rng, **process).mean())
    assert test.worlds == "blocks"
    assert np.mean(kept["garch"]) > 1500
    assert np.mean(kept["garch"]) > 1.3 * np.mean(kept["blocks"])


def test_days_without_memory_are_drawn_from_the_backtest():
    "iid days, and days whose fit fails: blocks, and `worlds` says why"
    rng = np.random.default_rng(3)
    days = pd.Series(rng.standard_t(5, 1000) * 0.006 + 4e-4)
    test = calibrate_monitor(days, average_run_length=100, seed=1, n_resamples=100)
    assert test.worlds == "blocks"
    walk = pd.Series(np.sin(np.arange(300) / 30) * 0.01 + rng.normal(0, 1e-4, 300))
    test = calibrate_monitor(walk, average_run_length=100, seed=1, n_resamples=100)
    assert test.worlds == "blocks, for want of a fit"


def test_a_test_written_before_worlds_were_stated_is_read_and_charts_the_same(calibrated):
    stated = calibrated["sequential_test"]
    old = {name: value for name, value in stated.items() if name != "worlds"}
    days = np.random.default_rng(1).normal(0, 0.01, 300)
    before, now = sequential_test_from(old), sequential_test_from(stated)
    assert before.worlds == "blocks" and now.worlds == stated["worlds"]
    np.testing.assert_array_equal(before.charts(days), now.charts(days))
    with pytest.raises(SpecificationError, match="`worlds` must be"):
        sequential_test_from(stated | {"worlds": "dreams"})
    for file in (ROOT / "handoff").glob("*/manifest.json"):
        manifest = json.loads(file.read_text())
        assert sequential_test_from(manifest["expected_distribution"]["sequential_test"])


def test_a_larger_edge_is_missed_sooner():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 1000)
    noise -= noise.mean()
    delays = [
        calibrate_monitor(
            pd.Series(noise + mean), average_run_length=1000, seed=1, n_resamples=300
        ).detection_delay
        for mean in (5e-4, 1e-3, 2e-3)
    ]
    assert delays[0] > delays[1] > delays[2]


def test_the_distribution_covers_what_comes():
    "Nine in ten futures of the same process lie between the 5 % and 95 % quantiles"
    hits = 0
    for seed in range(60):
        record = garch(2000, mu=5e-4, rng=np.random.default_rng(seed))["returns"]
        live = expected_distribution(record[:1750], horizon=250, seed=1, n_resamples=300)
        low, high = live.total_return_quantiles[[0.05, 0.95]]
        hits += low <= (1 + record[1750:]).prod() - 1 <= high
    assert 45 <= hits <= 60  # 54 expected, less the error of the mean


def test_the_monitor_names_what_broke(bundle):
    mean, deviation = (bundle.expected_distribution[k] for k in ("mean", "volatility"))
    dates = pd.bdate_range("2010-01-04", periods=250)
    calm = pd.Series(np.random.default_rng(2).normal(mean, deviation, 250), dates)
    worlds = {
        "noise": calm,
        "model decay": calm - 0.4 * deviation,
        "structural break": calm * 3,
        "data defect": calm * 100,
    }
    for verdict, returns in worlds.items():
        result = monitor(bundle, returns)
        assert result.verdict == verdict and verdict in VERDICTS
        assert result.triage["alarm"].any() == (verdict != "noise")
    assert result.to_dict()["verdict"] == "data defect"
    assert "object at 0x" not in repr(result)
    assert result.plot().get_ylabel()


def test_the_replay_is_monitored_against_its_own_backtest(bundle, feed):
    paper = replay(bundle, feed)
    result = monitor(bundle, paper)
    row = result.triage.set_index("check").loc["tracking error (share of volatility)"]
    assert row["value"] < 1e-9 and not row["alarm"]
    broken = replay(bundle, feed, dataclasses.replace(WIDE, max_position_weight=0.05))
    check = broken.reconciliation(bundle.expected)
    assert check.agrees_until_refusal() and not check.agrees()
    assert check.first_refusal == feed[40].date
    assert monitor(bundle, broken).verdict == "implementation"


@pytest.mark.parametrize("call", [expected_distribution, calibrate_monitor])
@pytest.mark.parametrize(
    ("returns", "message"),
    [
        ([0.01] * 10, "at least 60"),
        ([0.01] * 100, "constant"),
        ([np.nan] * 100, "no value at all"),
        ([0.01, -0.01] * 50 + [np.nan], "missing"),
        ([0.01, -0.01] * 50 + [np.inf], "infinite"),
        (["a"] * 100, "numbers only"),
    ],
)
def test_bad_records_are_refused(call, returns, message):
    options = {"horizon": 20} if call is expected_distribution else {"average_run_length": 100}
    with pytest.raises(DataError, match=message):
        call(returns, seed=0, **options)


# -- the house


def test_the_wing_is_lazy_and_complete():
    heavy = "('numba', 'arch', 'pandas')"
    script = f"import sys, quantlab.handoff; print(any(m in sys.modules for m in {heavy}))"
    out = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert out.stdout.strip() == "False"
    for name in handoff.__all__:
        assert getattr(handoff, name).__doc__
    assert callable(handoff.monitor)
    assert Path(handoff.__file__).parent.name == "handoff"
