"Sweeps: the same bytes whoever works, however they are cut, and whatever stops them"

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.backtest import (
    CostModel,
    Family,
    Market,
    candidate_weights,
    declare_candidates,
    grid_returns,
    load_families,
    run_backtest,
    sample,
    sweep,
)
from quantlab.data import Panel
from quantlab.errors import DataError, LedgerError
from quantlab.simulate import factor_world
from quantlab.validation import Ledger

ACCOUNT = {
    "costs": CostModel(half_spread_bps=5, impact_coefficient=0.1),
    "capital": 1e7,
    "periods_per_year": 252,
}
GRID = {
    "factors": {
        "factor": ["short_term_reversal", "low_volatility"],
        "quantile": [0.1, 0.2, 0.3],
        "rebalance_every": [5, 21],
    }
}
POINTS = declare_candidates(GRID)


def made_market(seed: int = 0) -> Market:
    "A market of twelve names over a year and a half"
    world = factor_world(400, 12, rng=np.random.default_rng(seed))
    fields = {
        "returns": world.returns,
        "log_prices": np.log1p(world.returns).cumsum(),
        "dollar_volume": world.dollar_volume,
        "member": world.returns.notna().astype(float),
    }
    forecasts = world.returns.rolling(50).std().shift(1)
    return Market.from_panel(Panel(fields), volatility=forecasts, start=world.returns.index[150])


MARKET = made_market()


def failing_points(n: int = 6) -> list:
    "Points of a family of which the third fails"

    def weights(market, *, days):
        if days == 3:
            raise ZeroDivisionError("three days")
        past = market.panel.returns.rolling(days).mean().loc[market.start :]
        return np.sign(past.fillna(0.0)) / past.shape[1]

    own = Family(
        "own",
        hypothesis="What rose goes on.",
        parameters={"days": (int, (1, 60))},
        weights=weights,
        placebo="None.",
        failure_modes=["It turns."],
    )
    return declare_candidates({"own": {"days": list(range(1, n + 1))}}, {"own": own})


def ledger_in(folder: Path, name: str = "trials") -> Ledger:
    return Ledger(folder / name / "ledger.jsonl")


def run(folder: Path, name: str, points=POINTS, **options):
    "A sweep with a ledger of its own: its result, and the ledger's bytes"
    ledger = ledger_in(folder, name)
    options = {"chunk": 5, **options}
    return sweep(points, MARKET, **ACCOUNT, ledger=ledger, **options), ledger.path.read_bytes()


def assert_same(one, other) -> None:
    "The same result and the same ledger, to the last byte"
    assert one[0].returns.equals(other[0].returns) and one[0].table.equals(other[0].table)
    assert list(one[0].returns) == list(other[0].returns)
    assert one[1] == other[1]


def test_the_numbers_are_those_of_the_grid_and_of_a_single_backtest(tmp_path):
    found, _ = run(tmp_path, "a")
    assert found.returns.equals(grid_returns({c.name: c for c in POINTS}, MARKET, **ACCOUNT))
    priced = {"dollar_volume": MARKET.dollar_volume, "volatility": MARKET.volatility, **ACCOUNT}
    for point in POINTS:
        alone = run_backtest(candidate_weights(point, MARKET), MARKET.returns, **priced).returns
        assert np.abs(alone - found.returns[point.name]).max() < 1e-12
    on_file = ledger_in(tmp_path, "a").returns("factors")[list(found.table["trial"])]
    assert (on_file.to_numpy() == found.returns.to_numpy()).all()
    assert found.table.loc[found.best, "sharpe_ratio"] == found.best_sharpe_ratio
    assert "best of 12 tries" in found.sentence()


@given(
    chunk=st.integers(1, 13),
    done=st.lists(st.sampled_from(range(len(POINTS))), unique=True, max_size=6),
)
@settings(max_examples=10, deadline=None)
def test_neither_the_chunk_nor_what_is_on_file_changes_a_result(chunk, done):
    with tempfile.TemporaryDirectory() as folder:
        whole = sweep(POINTS, MARKET, **ACCOUNT)
        if done:
            run(Path(folder), "a", [POINTS[k] for k in done], chunk=2)
        found, _ = run(Path(folder), "a", chunk=chunk)
        assert found.returns.equals(whole.returns) and found.table.equals(whole.table)
        assert found.n_on_file == len(done)
        ledger = ledger_in(Path(folder), "a")
        assert ledger.count("factors") == len(POINTS) and ledger.verify().ok


@pytest.fixture(scope="module")
def client():
    "A cluster of two processes"
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            processes=True, n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_processes_and_a_cluster_do_the_same(tmp_path, client):
    here = run(tmp_path, "here")
    assert_same(run(tmp_path, "processes", n_jobs=2), here)
    assert_same(run(tmp_path, "cluster", client=client), here)
    again = run(tmp_path, "cluster", client=client)
    assert again[0].n_on_file == len(POINTS)
    assert_same(again, here)


def test_a_failing_point_is_the_same_wherever_it_fails(tmp_path, client):
    points, options = failing_points(), {"chunk": 2, "failed": "record"}
    here = run(tmp_path, "here", points, **options)
    assert here[0].n_failed == 1
    assert here[0].table.loc["own: days 3", "note"] == "ZeroDivisionError: three days"
    assert_same(run(tmp_path, "processes", points, n_jobs=2, **options), here)
    assert_same(run(tmp_path, "cluster", points, client=client, **options), here)
    with pytest.raises(DataError, match="the point 'own: days 3' failed"):
        run(tmp_path, "stopped", points, chunk=2, n_jobs=2)
    assert ledger_in(tmp_path, "stopped").count("own") == 4
    assert_same(run(tmp_path, "stopped", points, **options), here)


def test_a_backtest_made_by_a_worker_is_recorded_once(tmp_path, client):
    from quantlab.validation import open_trials

    path = tmp_path / "hand" / "ledger.jsonl"
    with open_trials("factors", hypothesis="by hand", path=path) as trials:
        sweep(POINTS, MARKET, **ACCOUNT, chunk=5, n_jobs=2)
    assert trials.ledger.count("factors") == len(POINTS)
    with open_trials("factors", hypothesis="by hand", path=path):
        sweep(POINTS, MARKET, **ACCOUNT, chunk=5, ledger=ledger_in(tmp_path, "named"))
    assert trials.ledger.count("factors") == len(POINTS)
    assert ledger_in(tmp_path, "named").count("factors") == len(POINTS)


def test_other_data_costs_or_capital_are_other_trials(tmp_path):
    found, _ = run(tmp_path, "a")
    ledger, ids = ledger_in(tmp_path, "a"), set(found.table["trial"])
    for market, changed in (
        (made_market(1), {}),
        (MARKET, {"capital": 2e7}),
        (MARKET, {"periods_per_year": 251}),
        (MARKET, {"costs": CostModel(half_spread_bps=6)}),
    ):
        other = sweep(POINTS, market, **ACCOUNT | changed, ledger=ledger, data_md5="the same")
        assert other.n_on_file == 0 and not ids & set(other.table["trial"])


def test_a_full_disk_keeps_what_was_done(tmp_path):
    resource = pytest.importorskip("resource")
    whole = run(tmp_path, "whole", chunk=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole[1]) * 2 // 3, hard))
    try:
        with pytest.raises(LedgerError, match="could not be written"):
            run(tmp_path, "full", chunk=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = len(ledger_in(tmp_path, "full").table())
    assert 2 <= kept < len(POINTS)
    rest = run(tmp_path, "full", chunk=2)
    assert rest[0].n_on_file == kept
    assert_same(rest, whole)


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import test_sweep as t

folder, draw = Path(sys.argv[1]), random.Random(int(sys.argv[2]))


def forked(name, before=lambda: None):
    "Sweep in a process of its own"
    child = os.fork()
    if not child:
        try:
            before()
            t.run(folder, name)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    return child


def kill_at(call):
    "Killed while the `call`-th piece goes to the disk"
    left, sync = [call], os.fsync

    def killed(descriptor):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = killed


begin = time.perf_counter()
assert os.waitpid(forked("whole"), 0)[1] == 0
took, kills = time.perf_counter() - begin, 0
for k in range(4):
    if k < 3:
        call = draw.randrange(1, 14)
        child = forked(f"cut {k}", lambda: kill_at(call))
    else:
        child = forked(f"cut {k}")
        time.sleep(draw.random() * took)
        os.kill(child, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert os.waitpid(forked(f"cut {k}"), 0)[1] == 0
print(kills)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_any_moment_and_the_sweep_goes_on(tmp_path):
    seed = str(np.random.default_rng().integers(2**31))
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path), seed],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, (seed, done.stderr)
    assert int(done.stdout) >= 3, seed
    whole = run(tmp_path, "whole")
    for k in range(4):
        assert_same(run(tmp_path, f"cut {k}"), whole)
        ledger = ledger_in(tmp_path, f"cut {k}")
        assert ledger.count("factors") == len(POINTS) and ledger.verify().ok, seed
        names = [
            sorted(p.name for p in (tmp_path / n / "returns").glob("*.parquet"))
            for n in (
                f"cut {k}",
                "whole",
            )
        ]
        assert names[0] == names[1], seed


RANGES = {
    "factor": ["short_term_reversal", "low_volatility"],
    "quantile": (0.1, 0.4),
    "rebalance_every": (5, 42),
}
FACTORS = load_families()["factors"]


@given(
    sampler=st.sampled_from(["tpe", "random", "qmc"]),
    seed=st.integers(0, 2**32 - 1),
    low=st.floats(0.1, 0.2),
    width=st.floats(0, 0.2),
)
@settings(max_examples=8, deadline=None)
def test_samples_lie_in_their_ranges_and_are_those_of_their_seed(sampler, seed, low, width):
    ranges = RANGES | {"quantile": (low, low + width)}
    asked = {"n_samples": 6, "sampler": sampler, "seed": seed, "ranges": ranges, **ACCOUNT}
    found, again = sample(FACTORS, MARKET, **asked), sample(FACTORS, MARKET, **asked)
    pd.testing.assert_frame_equal(found.samples, again.samples, check_exact=True)
    drawn = found.points.parameters
    assert drawn["quantile"].between(low, low + width).all()
    assert drawn["rebalance_every"].between(5, 42).all()
    assert found.n_samples == 6 and found.n_tries == len(drawn) <= 6
    assert f"tried {found.n_tries} points" in found.sentence()


@pytest.mark.filterwarnings("error")
def test_what_is_given_up_or_fails_counts(tmp_path):
    ledger, seen = ledger_in(tmp_path), []

    def choosy(net):
        seen.append(len(ledger.table()))  # recorded before it is judged
        if len(seen) % 2:
            raise optuna.TrialPruned
        return net.mean()

    verbosity = optuna.logging.get_verbosity()
    found = sample(
        FACTORS,
        MARKET,
        n_samples=6,
        sampler="qmc",
        seed=0,
        ranges=RANGES,
        objective=choosy,
        ledger=ledger,
        **ACCOUNT,
    )
    assert optuna.logging.get_verbosity() == verbosity
    assert seen == [1, 2, 3, 4, 5, 6] and ledger.count("factors") == found.n_tries == 6
    assert found.samples["objective"].isna().sum() == 3
    own = failing_points()[0].definition
    asked = {"n_samples": 20, "sampler": "random", "seed": 0, "ranges": {"days": (1, 6)}}
    lost = sample(own, MARKET, **asked, **ACCOUNT, ledger=ledger)
    assert lost.n_failed == 1 and ledger.count("own") == lost.n_tries
    with pytest.raises(DataError, match="the point 'own: days 3' failed"):
        sample(own, MARKET, **asked, **ACCOUNT, failed="raise")
