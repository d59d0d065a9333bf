"""A picture to zoom into shows what the still one shows, and a bar only where somebody watches."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from quantlab.errors import QuantlabError
from quantlab.interactive import zoom
from quantlab.progress import watched, with_progress

DAYS = pd.bdate_range("2020-01-01", periods=600)


def _results() -> dict[str, object]:
    from quantlab.backtest import performance_summary, run_backtest, tear_sheet
    from quantlab.cointegration import engle_granger
    from quantlab.simulate import cointegrated_pair
    from quantlab.volatility import fit_garch

    rng = np.random.default_rng(0)
    returns = pd.DataFrame(rng.normal(0.0005, 0.01, (600, 3)), DAYS, list("abc"))
    book = run_backtest(returns * 0 + 1 / 3, returns)
    return {
        "equity": book,
        "drawdown": performance_summary(returns["a"], periods_per_year=252),
        "sheet": tear_sheet(book, periods_per_year=252),
        "spread": engle_granger(*cointegrated_pair(600, rng=rng)),
        "volatility": fit_garch(returns["a"]),
    }


def test_the_dates_and_values_are_those_of_the_picture():
    for name, result in _results().items():
        shown = zoom(result)
        lines = [trace for trace in shown.data if trace.name]
        assert lines, name
        for trace in lines:
            days = pd.DatetimeIndex(trace.x)
            assert days.is_monotonic_increasing and len(days) == len(trace.y) > 100, name
            assert days[0] >= pd.Timestamp("2000-01-01") and (days.day_of_week < 5).all(), name
    bands = zoom(_results()["spread"]).layout.shapes
    assert len(bands) == 5


def test_without_plotly_the_extra_is_named():
    code = (
        "import sys; sys.modules['plotly'] = None\n"
        "import matplotlib; matplotlib.use('agg')\n"
        "from matplotlib import pyplot as plt\n"
        "from quantlab.errors import MissingExtraError\n"
        "from quantlab.interactive import zoom\n"
        "_, ax = plt.subplots(); ax.plot([1, 2])\n"
        "try: zoom(ax)\n"
        "except MissingExtraError as error: assert 'interactive' in str(error), error\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_nobody_watches_a_pipe():
    code = (
        "from quantlab.progress import watched, with_progress\n"
        "items = [1, 2]\n"
        "assert not watched() and with_progress(items) is items"
    )
    inside = os.environ | {"JPY_SESSION_NAME": "a.ipynb"}  # a shell started from a notebook
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=inside, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_bar_changes_nothing(monkeypatch):
    monkeypatch.setattr("quantlab.progress.watched", lambda: True)
    assert list(with_progress(iter([3, 1, 2]), 3, "numbers")) == [3, 1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX")
def test_a_terminal_is_watched():
    import pty

    inner, outer = pty.openpty()
    code = "from quantlab.progress import watched; raise SystemExit(not watched())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=outer)
    os.close(inner), os.close(outer)
    assert run.returncode == 0


def test_the_pipeline_forgets_that_a_notebook_started_it(monkeypatch):
    from quantlab.pipeline import stage_environment

    monkeypatch.setenv("JPY_SESSION_NAME", "nbs/tutorials/0_start.ipynb")
    with stage_environment():
        assert "JPY_SESSION_NAME" not in os.environ
        assert not watched() or sys.stderr.isatty()


@pytest.mark.parametrize("height", ["x", -1, 0, True])
def test_a_height_that_is_none_is_refused_in_a_sentence(height):
    from matplotlib.figure import Figure

    with pytest.raises(QuantlabError, match="`height` must be a whole number"):
        zoom(Figure().subplots(), height=height)
