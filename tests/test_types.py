"The faces of the wings are what editors and type checkers see, and Python sees the same names"

import ast
import importlib
import os
import subprocess
import sys

import pytest
from conftest import ROOT

FACES = sorted((ROOT / "quantlab").glob("*/__init__.pyi"))
SCRIPT = """
from quantlab.backtest import CostModel, run_backtest
from quantlab.cointegration import engle_grangr
from quantlab.data import Panel, load_panel
from quantlab.review import render_page
from quantlab.validation import deflated_sharpe_ratio

deflated_sharpe_ratio(0.1, n_obs=100, n_trials=3, sharpe_variance=0.01).upper()
deflated_sharpe_ratio(0.1, n_obs=100, n_trials=3)
CostModel(half_spread=3)
panel: Panel = load_panel("prices.csv")
panel.retuns
panel.returns.mean()
"""


@pytest.mark.slow
def test_a_type_checker_finds_a_misspelt_name_and_a_forgotten_argument(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "script.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path / "cache")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    lines = [line for line in run.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[1] for line in lines] == ["3", "8", "9", "10", "12"], (
        run.stdout + run.stderr
    )
    for line, words in zip(
        lines,
        [
            'maybe "engle_granger"',
            'no attribute "upper"',
            "sharpe_variance",
            "half_spread",
            "retuns",
        ],
    ):
        assert words in line


def test_an_editor_shows_the_signature_behind_a_face():
    import jedi

    text = "from quantlab.backtest import run_backtest\nrun_backtest("
    (found,) = jedi.Script(text, project=jedi.Project(ROOT)).get_signatures()
    assert [p.name for p in found.params][:3] == ["target_weights", "returns", "decision_lag"]


@pytest.mark.parametrize("face", FACES, ids=lambda f: f.parent.name)
def test_every_name_of_a_face_is_there_and_lives_no_higher(face):
    wing = importlib.import_module(f"quantlab.{face.parent.name}")
    imports = [n for n in ast.parse(face.read_text()).body if isinstance(n, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted(names) == wing.__all__ == sorted(set(names))
    for name in names:
        assert getattr(wing, name) is not None
    for node in imports:
        assert all(alias.asname == alias.name for alias in node.names), "re-exports need `as`"


def test_the_package_says_that_it_is_typed_and_ships_its_faces():
    assert (ROOT / "quantlab/py.typed").exists()
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"py.typed", "*/*.pyi"' in setup
