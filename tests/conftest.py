"""Shared by all tests: the reference numbers, and a place for small worlds."""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# the same examples in each run, so that a run tells of a change and not of its luck;
# HYPOTHESIS_PROFILE=default draws others
settings.register_profile("repeatable", derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ROOT = Path(__file__).parents[1]
REFERENCE = Path(__file__).parent / "reference"
ENTRIES = {
    entry["id"]: entry
    for entry in json.loads((REFERENCE / "references.json").read_text(encoding="utf-8"))
}


def close(got: float, expected: float, tol: dict) -> bool:
    "Is `got` within the tolerance of a reference entry?"
    return abs(got - expected) <= tol.get("abs", 0.0) + tol.get("rel", 0.0) * abs(expected)


# limits so wide that nothing trips them
WIDE = {
    "max_order_notional": 1e9,
    "max_gross": 5.0,
    "max_position_weight": 5.0,
    "max_daily_turnover": 50.0,
    "price_collar": 0.95,
    "max_orders_per_day": 10_000,
    "max_stale_days": 10_000,
    "max_daily_loss": 0.9,
    "max_drawdown": 0.9,
}


def sequential_test():
    "A sequential test as a bundle agrees on one"
    from quantlab.handoff.expectation import SequentialTest

    return SequentialTest(
        mean=4e-4,
        volatility=0.01,
        abs_mean=0.8,
        abs_std=0.6,
        mean_allowance=0.02,
        volatility_allowance=0.67,
        mean_threshold=33.0,
        volatility_threshold=11.0,
        average_run_length=2500.0,
        achieved_run_length=2460.0,
        run_length_low=1600.0,
        run_length_high=3600.0,
        detection_delay=870.0,
        block_length=5.0,
        n_resamples=1000,
        seed=1,
    )


@pytest.fixture
def reference():
    "Look up a reference entry by its id"
    return ENTRIES.__getitem__


@pytest.fixture
def reference_data():
    "Folder of the reference data files"
    return REFERENCE / "data"


@pytest.fixture(autouse=True)
def close_figures():
    "No test inherits the figures of another"
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


# modules whose tests share a project or a site that takes minutes to build: one process has all of
# a module, and begins with them
TOGETHER = {
    "test_pipeline.py",
    "test_project.py",
    "test_optional.py",
    "test_mistakes.py",
    "test_site.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "Hand out single tests, but such modules as one"
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::")[0]
            return module if Path(module).name in TOGETHER else nodeid

    return Scheduling(config, log)


def forget_modules():
    "The next import of `strategies` reads its modules again"
    for name in [n for n in sys.modules if n.split(".")[0] == "strategies"]:
        del sys.modules[name]


@pytest.fixture
def own_strategies(monkeypatch):
    "`strategies` are the modules of the test's project, and no other test's"
    free = [p for p in sys.path if not (Path(p) / "strategies").is_dir()]
    monkeypatch.setattr(sys, "path", free)
    forget_modules()
    yield
    forget_modules()


def small_project(folder):
    "A new project with a panel of twelve names, whose last hundred days are the holdout"
    import numpy as np

    from quantlab.data import load_panel, save_panel
    from quantlab.pipeline import write_params
    from quantlab.project import init_project
    from quantlab.simulate import factor_world

    project = init_project(folder)
    world = factor_world(700, 12, rng=np.random.default_rng(3))
    save_panel(load_panel({"returns": world.returns}), project / "data/panel")
    dates = world.returns.index
    days = {
        "base.holdout_start": f"{dates[600]:%Y-%m-%d}",
        "base.evaluate_from": f"{dates[300]:%Y-%m-%d}",
    }
    write_params(project / "params.yaml", days)
    return project
