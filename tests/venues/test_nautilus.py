"""NautilusTrader behind its pipe: it keeps the same book, and fails in one sentence."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab.backtest import run_backtest
from quantlab.cli import main
from quantlab.errors import HandoffError
from quantlab.handoff import PaperEngine, load_bundle, load_feed, replay_bundle, save_feed
from quantlab.live import ReferenceVenue
from quantlab.pipeline import run_stage
from quantlab.trading.broker import Bar, bars
from quantlab.trading.costs import CostModel
from quantlab.trading.orders import Order
from quantlab.venues import (
    NautilusBackend,
    build_environment,
    find_environment,
    reconcile_engines,
)
from quantlab.venues.environment import base_python, cached_folder, locked_version, package_file
from quantlab.venues.second_engine import second_opinion

sys.path.append(str(ROOT / "tests/live"))
from floor import COSTS, FREE, WIDE, a_bundle, a_feed, a_world, live, paper  # noqa: E402

HOW = "`quantlab doctor --build` builds its environment where there is a registry"


@pytest.fixture(scope="session")
def environment():
    "The Python of an environment with NautilusTrader: found, or built once"
    found = find_environment()
    if not found.fits and "QUANTLAB_NAUTILUS" not in os.environ:
        try:
            found = build_environment()
        except HandoffError as error:
            pytest.skip(f"no second engine on this machine: {error} {HOW}")
    if not found.fits:
        pytest.skip(f"no second engine on this machine: {found.problem}; {HOW}")
    return found.python


def bundle_of(folder, market, weights, costs, **options):
    "A bundle that expects what the backtest makes of its weights"
    made = run_backtest(
        weights,
        market.returns,
        costs=costs,
        dollar_volume=market.dollar_volume,
        capital=1e7,
        periods_per_year=252,
    )
    names = ("returns", "gross_returns", "turnover", "costs")
    expected = pd.DataFrame({name: getattr(made, name) for name in names})
    return a_bundle(folder, market, weights, costs=costs, expected=expected, **options)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    "A small bundle with all costs, and its feed"
    market, weights = a_world(seed=5, n_days=40, n_assets=4)
    return bundle_of(tmp_path_factory.mktemp("desk"), market, weights, COSTS), a_feed(market)


def by_nautilus(bundle, feed, **options):
    "What the daily engine makes of the bars with NautilusTrader as its venue"
    with NautilusBackend(bundle, **options) as venue:
        return PaperEngine(bundle, venue).run(feed)


def with_holes(market, weights, seed):
    "The same market, in which prices are missing here and there, and one asset stops for good"
    rng, weights = np.random.default_rng(seed), weights.copy()
    returns = market.returns.mask(rng.random(market.returns.shape) < 0.05)
    stop = len(returns) * 2 // 3
    returns.iloc[stop:, -1] = np.nan
    rest = weights.iloc[stop - 1 :, -1]
    weights.iloc[stop - 1 :, -1] = rest.where(rest.isna(), 0.0)
    return replace(market, returns=returns), weights


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 1000), st.sampled_from([FREE, COSTS]), st.booleans())
def test_three_engines_keep_one_book(environment, tmp_path_factory, seed, costs, holes):
    market, weights = a_world(seed=seed, n_days=60, n_assets=4)
    if holes:
        market, weights = with_holes(market, weights, seed)
    bundle = bundle_of(tmp_path_factory.mktemp("bundle"), market, weights, costs)
    feed = a_feed(market)
    found = reconcile_engines(bundle, feed, paper(bundle, feed), by_nautilus(bundle, feed))
    assert found.agrees, found.summary()
    assert found.n_orders > 20 and found.max_equity_difference < 1e-12
    assert (found.orders["filled_1"] < 0).any()  # a book with shorts


def test_a_feed_without_volumes_is_traded_alike(environment, tmp_path):
    market, weights = a_world(seed=5, n_days=40, n_assets=4)
    bundle = a_bundle(tmp_path, market, weights, costs=CostModel(half_spread_bps=4))
    feed = list(bars(market.returns))
    found = reconcile_engines(bundle, feed, paper(bundle, feed), by_nautilus(bundle, feed))
    assert found.engines_agree and found.n_orders > 20, found.summary()


@pytest.mark.slow
def test_three_engines_reconcile_on_the_sample(environment):
    pointer, days = ROOT / "artifacts/bundle.json", ROOT / "artifacts/feed.parquet"
    if not (pointer.exists() and days.exists()):
        pytest.skip("the sample's feed is not here: `make repro` makes it")
    bundle = load_bundle(ROOT / json.loads(pointer.read_text())["path"], as_of="2015-07-01")
    feed = load_feed(days)
    found = reconcile_engines(bundle, feed, replay_bundle(bundle, feed), by_nautilus(bundle, feed))
    assert found.agrees, found.summary()
    assert found.n_orders > 10_000 and found.n_days > 300
    assert abs(found.final_difference) < 1e-12


@pytest.mark.parametrize(
    ("digits", "cause"),
    [({"money": 2}, "own books"), ({"quantity": 1}, "quantity"), ({"price": 2}, "own books")],
    ids=["cents", "tenths of a share", "prices in cents"],
)
def test_rounding_is_found_under_its_cause_and_nothing_is_left(environment, desk, digits, cause):
    bundle, feed = desk
    second = by_nautilus(bundle, feed, digits=digits)
    found = reconcile_engines(bundle, feed, paper(bundle, feed), second, digits=digits)
    assert found.unexplained == 0 and 0 < found.max_equity_difference < 1e-4
    assert cause in found.causes.abs().sort_values().index[-2:], found.causes
    total = found.daily[list(found.causes.index)].sum(axis=1)
    assert np.allclose(total, found.daily["difference"], rtol=0, atol=1e-6)


class Watched(NautilusBackend):
    "The venue, and the ids that went over the pipe"

    def submit(self, order):
        self.crossed = [*getattr(self, "crossed", []), order.id]
        super().submit(order)


def test_an_order_over_a_limit_never_crosses_the_pipe(environment, desk, tmp_path):
    bundle, feed = desk
    limits = WIDE | {"max_order_notional": 3e5}
    with Watched(bundle) as venue:
        result = PaperEngine(bundle, venue, limits).run(feed)
        refused = result.orders[~result.orders["sent"].astype(bool)]
        assert len(refused) and set(refused["rule"]) == {"notional"}
        assert not set(refused["id"]) & set(venue.crossed)
        assert set(result.orders["id"]) - set(refused["id"]) == set(venue.crossed)
    over = refused.iloc[0]
    with NautilusBackend(bundle) as venue:  # which would have taken it
        venue.advance(feed[0])
        venue.submit(Order(over["id"], feed[0].date, over["asset"], over["notional"]))
        (fill,) = venue.advance(feed[1])
        assert fill.notional == pytest.approx(over["notional"]) and not venue.reasons


def test_a_desk_goes_on_after_its_venue_was_killed_as_if_nothing_had_been(
    environment, desk, tmp_path
):
    bundle, feed = desk
    whole = by_nautilus(bundle, feed)
    venue = NautilusBackend(bundle)

    def killed_on_the_way():
        for i, bar in enumerate(feed):
            if i == 21:
                os.kill(venue.pid, signal.SIGKILL)
            yield bar

    with pytest.raises(HandoffError, match=r"NautilusTrader ended at advance \(exit code -9\)"):
        PaperEngine(bundle, venue, folder=tmp_path).run(killed_on_the_way())
    with pytest.raises(HandoffError, match="has ended; begin again"):
        venue.advance(feed[21])
    with NautilusBackend(bundle) as venue:
        result = PaperEngine(bundle, venue, folder=tmp_path).run(feed)
    assert result.journal == whole.journal


def test_a_venue_that_hangs_is_given_up_and_ended(environment, desk):
    bundle, feed = desk
    with NautilusBackend(bundle) as venue:
        venue.advance(feed[0])
        venue._line._patience = 0.5
        os.kill(venue.pid, signal.SIGSTOP)
        with pytest.raises(HandoffError, match="gave no answer to advance within 0.5 seconds"):
            venue.advance(feed[1])
        with pytest.raises(ProcessLookupError):
            os.kill(venue.pid, 0)


def test_orders_wait_are_withdrawn_and_are_one_by_their_id(environment, desk):
    bundle, feed = desk
    asset = str(bundle.target_weights.columns[0])
    with NautilusBackend(bundle) as venue:
        venue.advance(feed[0])
        for name in ("a", "a", "b", "c"):
            venue.submit(Order(name, feed[0].date, asset, 1e5))
        assert venue.cancel(["b", "nobody's"]) == ["b"]
        assert [fill.order for fill in venue.advance(feed[1])] == ["a", "c"]
        assert venue.cancel() == [] and venue.positions()[asset] > 1.5e5
        venue.submit(Order("d", feed[1].date, asset, -venue.positions()[asset]))
        venue.advance(feed[2])
        assert venue.positions() == {}  # all of it, to the last digit
        with pytest.raises(HandoffError, match="refused advance: .*not after the last one"):
            venue.advance(feed[2])
        with pytest.raises(HandoffError, match="not one of NautilusTrader's"):
            venue.restore({"cash": 1.0})


def test_an_order_that_cannot_be_filled_is_told_with_its_reason(environment, desk):
    bundle, feed = desk
    asset = str(bundle.target_weights.columns[0])
    last = feed[1].date
    unpriced = Bar(last, feed[1].returns, {}, {})
    worthless = Bar(feed[2].date, {asset: -1.0}, feed[2].dollar_volume, feed[2].volatility)
    with NautilusBackend(bundle) as venue:
        venue.advance(feed[0])
        venue.advance(unpriced)
        venue.submit(Order("no volume", last, asset, 1e5))
        assert [(f.notional, f.cost) for f in venue.advance(worthless)] == [(0.0, 0.0)]
        venue.submit(Order("no price", last, asset, 1e5))
        venue.submit(Order("no such asset", last, "nobody", 1e5))
        assert [f.notional for f in venue.advance(feed[3])] == [0.0, 0.0]
        assert venue.equity() == bundle.capital
    assert "no volume" in venue.reasons["no volume"] and venue.reasons["no price"] == "no price"


def test_charges_it_cannot_make_and_the_wrong_version_are_refused_at_the_start(
    environment, desk, tmp_path, monkeypatch
):
    bundle, _ = desk
    shutil.copytree(bundle.path, tmp_path / "dear")
    manifest = json.loads((tmp_path / "dear/manifest.json").read_text())
    manifest["costs"]["commission_per_share"] = 0.01
    (tmp_path / "dear/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(HandoffError, match="refused start: .*commission_per_share, which this"):
        NautilusBackend(tmp_path / "dear")
    old = tmp_path / "old"
    subprocess.run([base_python(), "-m", "venv", "--without-pip", old], check=True)
    (site,) = old.glob("lib/python*/site-packages")
    (site / "nautilus_trader-1.200.0.dist-info").mkdir()
    (site / "nautilus_trader-1.200.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: nautilus_trader\nVersion: 1.200.0\n"
    )
    monkeypatch.setenv("QUANTLAB_NAUTILUS", str(old / "bin/python"))
    with pytest.raises(
        HandoffError, match=f"has nautilus_trader 1.200.0; the lock has {locked_version()}"
    ):
        NautilusBackend(bundle)
    assert main(["doctor"]) == 1


def test_its_side_knows_nothing_of_quantlab(environment, tmp_path):
    code = (
        "import importlib.util; raise SystemExit(importlib.util.find_spec('quantlab') is not None)"
    )
    assert subprocess.run([environment, "-I", "-c", code], cwd=tmp_path).returncode == 0
    side = package_file("nautilus_child.pyw").read_text()
    assert not re.search(r"^\s*(from|import) quantlab", side, re.M)


def test_the_record_is_the_same_where_it_is_made_and_where_it_is_read(
    environment, desk, monkeypatch
):
    bundle, feed = desk
    first = paper(bundle, feed)
    made = second_opinion(bundle, feed, first)
    assert made.ran_here and made.reconciled and "ran here" in made.note
    again = second_opinion(bundle, feed, first, earlier=made.record)
    monkeypatch.setenv("QUANTLAB_NAUTILUS", "off")
    read = second_opinion(bundle, feed, first, earlier=made.record)
    assert not read.ran_here and "did not run here" in read.note
    assert made.record == again.record == read.record
    assert made.sentence == again.sentence == read.sentence
    gone = second_opinion(bundle, feed, first, earlier=made.record | {"engine": "another"})
    assert not gone.reconciled and "no environment here" in gone.sentence


@pytest.mark.slow
def test_the_page_of_the_stage_is_the_same_with_and_without_the_engine(
    environment, tmp_path, monkeypatch
):
    kept = ("artifacts/bundle.json", "artifacts/metrics/confirm_holdout.json", "handoff")
    if not all((ROOT / name).exists() for name in (*kept, "artifacts/feed.parquet")):
        pytest.skip("the sample's replay is not here: `make repro` makes it")
    for name in (*kept, "dvc.yaml", "params.yaml", "nbs/stages"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    save_feed(tmp_path / "artifacts/feed.parquet", load_feed(ROOT / "artifacts/feed.parquet")[:40])
    page, record = (
        tmp_path / f"artifacts/{name}"
        for name in ("notebooks/paper_replay.ipynb", "metrics/second_engine.json")
    )

    def stage():
        notebook = tmp_path / "nbs/stages/10_paper_replay.ipynb"
        (note,) = run_stage(notebook, project=tmp_path).notes
        return note, page.read_bytes(), record.read_bytes()

    note, *made = stage()
    assert "ran here" in note and b"an engine that others wrote" in made[0]
    monkeypatch.setenv("QUANTLAB_NAUTILUS", "off")
    note, *read = stage()
    assert "did not run here" in note and read == made
    record.unlink()
    note, *without = stage()
    assert "no record is of this bundle" in note
    assert b"Not reconciled by a second engine: no environment here" in without[0]
    assert json.loads(without[1])["reconciled"] is False


def test_engines_that_do_not_agree_fail_the_stage_in_one_sentence(environment, desk):
    bundle, feed = desk
    free = replay_bundle(bundle, feed)
    fills = free.fills.assign(cost=0.0)
    with pytest.raises(HandoffError, match="do not keep one book.*most of it by"):
        second_opinion(bundle, feed, replace(free, fills=fills))


def test_a_live_node_keeps_the_same_book_by_the_day_and_by_the_event(environment, desk, tmp_path):
    bundle, feed = desk
    daily = by_nautilus(bundle, feed, mode="sandbox")
    found = reconcile_engines(bundle, feed, paper(bundle, feed), daily)
    assert found.agrees and found.max_equity_difference < 1e-12, found.summary()
    with NautilusBackend(bundle, mode="sandbox") as venue:
        events = live(bundle, feed, tmp_path, venue=ReferenceVenue(venue))
    assert events.journal == daily.journal


def test_a_live_engine_goes_on_in_a_new_node_after_the_last_was_killed(environment, desk, tmp_path):
    bundle, feed = desk
    with NautilusBackend(bundle, mode="sandbox") as venue:
        whole = live(bundle, feed, tmp_path / "whole", venue=ReferenceVenue(venue))
    with NautilusBackend(bundle, mode="sandbox") as venue:
        live(bundle, feed[:25], tmp_path / "killed", venue=ReferenceVenue(venue))
        os.kill(venue.pid, signal.SIGKILL)
        with pytest.raises(HandoffError, match="exit code -9"):
            venue.advance(feed[25])
    with NautilusBackend(bundle, mode="sandbox") as venue:
        result = live(bundle, feed, tmp_path / "killed", venue=ReferenceVenue(venue))
        with pytest.raises(HandoffError, match="the sandbox has traded already"):
            venue.restore(venue.snapshot())
    assert result.journal == whole.journal


BUILD = "from quantlab.venues import build_environment as b; print(b().version)"


@pytest.mark.slow
def test_two_builders_make_one_environment_and_a_half_built_one_is_not_taken(
    environment, tmp_path, monkeypatch
):
    if "QUANTLAB_NAUTILUS" in os.environ:
        pytest.skip("QUANTLAB_NAUTILUS is set, so nothing is built; unset it")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("UV_LINK_MODE", "copy")
    builder = lambda: subprocess.Popen(
        [sys.executable, "-c", BUILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with builder() as first:
        while first.poll() is None and not list(tmp_path.glob("quantlab/.*/pyvenv.cfg")):
            time.sleep(0.01)
        first.kill()
    shutil.rmtree(cached_folder(), ignore_errors=True)  # where it was quicker than the kill
    cached_folder().mkdir()
    assert find_environment().problem.endswith("is half built")
    assert main(["doctor"]) == 0  # which is no fault, and nothing that is taken
    both = [builder(), builder()]
    said = [process.communicate() for process in both]
    if all(process.returncode for process in both):
        pytest.skip(f"no registry to build from: {said[0][1].splitlines()[-1]}")
    assert [out.strip() for out, _ in said] == 2 * [locked_version()], said
    assert find_environment().fits and main(["doctor"]) == 0
    assert not list(tmp_path.glob("quantlab/.*/built-by-quantlab"))  # nothing is left beside it
