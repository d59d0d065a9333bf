"""A project of one's own, as a stranger makes it: from the built wheel, in a new environment.

The wheel is built and installed with the packages of the lock into a new environment; everything
after that is the command line of that environment, on prices that the sample has never seen.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from quantlab.data.contract import trading_sessions
from quantlab.pipeline import read_metrics, read_params, write_params
from quantlab.simulate import factor_world

SMALL = {  # as few worlds and resamples as a test can do with; dates and windows are the import's
    "fit_volatility.refit_every": 63,
    "validate.n_worlds": 40,
    "validate.n_screened_worlds": 2,
    "validate.n_resamples": 2000,
    "backtest_candidates.grid": {
        "pairs": {"entry": [2.0], "exit": [0.5], "max_pairs": [3]},
        "factors": {"factor": ["momentum_12_1", "low_volatility"], "rebalance_every": [21]},
        "trend": {"window": [120], "rebalance_every": [21]},
    },
}


class Bare:
    "The commands of an environment that holds the wheel and what it asks for, and nothing else"

    def __init__(self, folder: Path):
        self.bin = folder / "bin"

    def run(self, *command: str, cwd: Path, code: int | None = 0) -> str:
        "What a command prints; it must end with `code`"
        gone = ("PYTHON", "VIRTUAL_ENV", "QUANTLAB")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(gone)}
        environment["PATH"] = f"{self.bin}:{environment['PATH']}"
        environment |= {
            f"GIT_{who}_{what}": "n@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, f"{' '.join(command)}:\n{said[-4000:]}"
        return said


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Bare:
    "A new environment with the built wheel, at the versions of the lock"
    folder = tmp_path_factory.mktemp("bare")
    source = folder / "source"
    kept = (
        "quantlab",
        "nbs",
        "setup.py",
        "settings.ini",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
        "dvc.yaml",
        "params.yaml",
    )
    source.mkdir()
    for name in kept:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    quiet = {"check": True, "capture_output": True}
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--no-index", "-w", folder, source], **quiet)
    (wheel,) = folder.glob("*.whl")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"(?m)^[\w.-]+==[^\\\n]+", lock)
    (folder / "versions.txt").write_text("\n".join(pinned) + "\n")
    subprocess.run(
        [sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, folder / "venv"],
        **quiet,
    )
    install = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "-q",
        "--compile-bytecode",
        "--python",
        folder / "venv/bin/python",
        "-c",
        folder / "versions.txt",
        f"{wheel}[pipeline,research,learn]",
        "pytest",
    ]
    if subprocess.run([*install, "--offline"], capture_output=True).returncode:
        subprocess.run(install, **quiet)  # what `make env` left behind was cleared
    return Bare(folder / "venv")


def start(bare: Bare, folder: Path, *sources: str, options: tuple[str, ...] = ()) -> Path:
    "init, data import, a small run planned and committed"
    project = folder / "mine"
    assert "Next:" in bare.run("quantlab", "init", str(project), cwd=folder)
    bare.run("quantlab", "data", "import", *sources, *options, cwd=project)
    write_params(project / "params.yaml", SMALL)
    bare.run("quantlab", "check", "--write", cwd=project)
    bare.run("quantlab", "plan", "write", "--note", "before the first run", cwd=project)
    bare.run("git", "add", ".", cwd=project)
    bare.run("git", "commit", "-qm", "Plan the first grid", cwd=project)
    return project


def names_in(page: str) -> set[str]:
    "Upper-case words of the sample's names that a page holds"
    return {n for n in ("USDOLLAR", "AAPL", "KO", "PEP") if re.search(rf"\b{n}\b", page)}


@pytest.fixture(scope="session")
def closes(bare, tmp_path_factory) -> Path:
    "30 names of 2016 to 2023, closes only, run to the dossier"
    folder = tmp_path_factory.mktemp("closes")
    dates = trading_sessions("XNYS", "2016-01-04", "2023-12-29").rename("Date")
    world = factor_world(dates, 30, rng=np.random.default_rng(21))
    names = [f"N{i:02d}" for i in range(30)]
    prices = (100 * (1 + world.returns.fillna(0.0)).cumprod()).set_axis(names, axis=1)
    prices.round(4).to_csv(folder / "prices.csv")
    project = start(bare, folder, str(folder / "prices.csv"), options=("--values", "prices"))
    bare.run("make", "repro", cwd=project)
    return project


def test_closes_of_ones_own_lead_to_a_dossier_about_them(closes, bare):
    facts = read_metrics(closes / "artifacts/metrics/ingest_prices.json")
    assert (facts["n_assets"], facts["start"][:4], facts["end"][:4]) == (30, "2016", "2023")
    page = (closes / "reports/dossier.html").read_text(encoding="utf-8")
    assert "2016-01-0" in page and not names_in(page)
    index = (closes / "reports/index.html").read_text(encoding="utf-8")
    assert "dossier.html" in index
    said = bare.run("quantlab", "report", "verify", cwd=closes)
    assert "0 problems" in said
    bundle = json.loads((closes / "artifacts/bundle.json").read_text())["path"]
    assert "every hash and the seal hold" in bare.run(
        "quantlab", "handoff", "verify", bundle, cwd=closes
    )
    assert len((closes / "trials/ledger.jsonl").read_text().splitlines()) > 4


def test_a_second_run_has_nothing_to_do_and_an_update_of_nothing_says_so(closes, bare):
    assert "up to date" in bare.run("dvc", "repro", cwd=closes)
    assert "nothing differs" in bare.run("quantlab", "init", "--upgrade", cwd=closes)
    assert ", 0 problems" in bare.run("quantlab", "check", cwd=closes)


def test_the_starters_own_tests_pass(closes, bare):
    said = bare.run("make", "test", cwd=closes)
    assert "1 passed" in said and "every hash and the seal hold" in said


def test_a_ragged_folder_with_delistings_runs_to_its_dossier(bare, tmp_path):
    "With volume: trades in names that stopped trading in a world are priced too"
    dates = trading_sessions("XNYS", "2012-01-03", "2018-12-31").rename("Date")
    rng = np.random.default_rng(22)
    world = factor_world(dates, 40, rng=rng)
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    for number, name in enumerate(world.returns):
        close = 50 * (1 + world.returns[name].fillna(0.0)).cumprod()
        open_ = close.shift(1, fill_value=50.0) * (1 + rng.normal(0, 0.002, len(close)))
        table = pd.DataFrame(
            {
                "Open": open_,
                "High": np.maximum(open_, close) * 1.004,
                "Low": np.minimum(open_, close) * 0.996,
                "Close": close,
                "Volume": (world.dollar_volume[name].fillna(0.0) / close).round(),
            }
        )
        first = 200 * (number % 3 == 1)  # a third begins later, some end before the others
        last = len(table) - (400 + 30 * number if number % 5 == 0 else 0)
        table.iloc[first:last].round(4).to_csv(vendor / f"{name}.csv")
    project = start(bare, tmp_path, str(vendor))
    bare.run("make", "repro", cwd=project)
    facts = read_metrics(project / "artifacts/metrics/ingest_prices.json")
    assert facts["n_assets"] == 40 and facts["end"][:4] == "2018"
    assert (project / "data/panel/open.parquet").is_file()
    page = (project / "reports/dossier.html").read_text(encoding="utf-8")
    assert "2012-01-0" in page and not names_in(page)
    assert read_params(project / "params.yaml")["ingest_prices"]["raw"] == "data/panel"
