"""`quantlab plan`: the plan of params.yaml beside the one in force, and the way to the next."""

import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import forget_modules

from quantlab.cli import main
from quantlab.errors import LedgerError
from quantlab.ledger import Ledger

PARAMS = {
    "base": {
        "families": ["strategies.trend"],
        "evaluate_from": "2009-01-08",
        "holdout_start": "2015-07-01",
        "costs": {"commission_bps": 0.5},
        "capital": 1e7,
        "periods_per_year": 252,
        "seed": 1,
    },
    "backtest_candidates": {"grid": {"trend": {"window": [20.0, 60.0]}}},
    "validate": {"thresholds": {"deflated_sharpe_ratio": 0.95}, "n_resamples": 20000},
}
GRID, WINDOW = PARAMS["backtest_candidates"]["grid"], ("2009-01-08", "2015-06-30")


MODULE = """from quantlab.backtest import Family, placebo_market

def weights(market, *, window=60.0):
    return market.returns

TREND = Family(
    "trend", hypothesis="{hypothesis}", parameters={{"window": (float, (1, 500), 60.0)}},
    weights=weights, placebo=placebo_market, failure_modes=[],
)
"""


@pytest.fixture
def project(tmp_path, monkeypatch, own_strategies):
    "A project under git, in which nothing was tried"
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/trend.py").write_text(MODULE.format(hypothesis="It goes on."))
    write(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project, **changes):
    params = PARAMS | {k: PARAMS[k] | v for k, v in changes.items()}
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def commit(project):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (["add", "-A"], [*who, "commit", "-q", "-m", "more"]):
        subprocess.run(["git", *words], cwd=project, check=True, capture_output=True)


def run_one(ledger, window):
    ledger.append(
        family="trend",
        strategy="s",
        parameters={"window": window},
        returns=pd.Series(
            np.random.default_rng(window).normal(0, 0.01, 60),
            pd.bdate_range("2009-01-08", periods=60),
        ),
        universe="u",
        data_md5="d",
        window=WINDOW,
    )


def test_from_a_plan_to_the_next(project, capsys):
    said = lambda code, *words: main(["plan", *words]) == code and capsys.readouterr().out
    ledger = Ledger(project / "trials/ledger.jsonl")
    assert "Run `quantlab plan write`, then" in said(1)
    assert not ledger.path.exists()  # to look writes nothing
    first, last = said(0, "write", "--note", "before the first run").splitlines()
    key = first.removeprefix("plan ")
    assert last == "commit trials/ledger.jsonl now, before stage backtest_candidates runs"
    again = f"{first}\nit was in force already, and nothing was written\n{last}\n"
    assert said(0, "write") == again and len(ledger.plans()) == 1
    out = said(1, "show")
    assert "params.yaml is the plan in force." in out and "Commit trials/ledger.jsonl" in out
    with pytest.raises(LedgerError, match="is not committed"):
        ledger.require_plan(grid=GRID, window=WINDOW, seed=1)
    commit(project)
    out = said(0)
    assert key in out and "committed to git: True" in out and "2 independent trials" in out
    assert "years all" in out and "24.73" in out
    assert ledger.require_plan(grid=GRID, window=WINDOW, seed=1).note == "before the first run"
    for window in (20, 60, 90):  # two points of the plan, and one beyond
        run_one(ledger, window)
    assert "3 independent trials" in said(0)
    lower = {"thresholds": {"deflated_sharpe_ratio": 0.9}}
    write(project, validate=lower)
    out = said(1)
    assert "params.yaml is another plan:\n  thresholds: deflated_sharpe_ratio 0.95 -> 0.9" in out
    assert f"quantlab plan write --replaces {key}" in out
    before = ledger.path.read_bytes()
    assert main(["plan", "write"]) == 1 and "two plans that overlap" in capsys.readouterr().err
    assert ledger.path.read_bytes() == before
    said(0, "write", "--replaces", key)
    commit(project)
    out = said(0)
    assert "changed after results 1: thresholds: deflated_sharpe_ratio 0.95 -> 0.9" in out
    assert "written after the fact: False" in out and "plans ever for its window: 2" in out
    assert main(["trials", "verify"]) == 0


def test_a_plan_that_cannot_pass_is_told_so(project, capsys):
    write(project, validate={"n_resamples": 10})
    assert main(["plan"]) == 1
    assert "this plan cannot pass: where each of 2 trials" in capsys.readouterr().out
    write(project, base={"holdout_start": "2009-01-08"})
    assert main(["plan"]) == 1
    assert "this plan cannot pass: no day of data lies" in capsys.readouterr().out
    assert main(["plan", "write"]) == 1 and "ends before it starts" in capsys.readouterr().err


def test_what_is_asked_wrongly(project, capsys):
    assert main(["plan", "show", "--note", "why"]) == 2
    assert main(["plan", "--ledger", "trials/leger.jsonl"]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["plan", "burn"])
    assert stop.value.code == 2
    assert main(["plan", "write", "--replaces", "x"]) == 1
    assert "`replaces` must name the plan in force" in capsys.readouterr().err
    write(project, backtest_candidates={"grid": {"trend": {"window": 20}}})
    assert main(["plan"]) == 1 and "`grid` must map" in capsys.readouterr().err
    assert not (project / "trials").exists()
    write(project)
    assert main(["plan", "write", "--ledger", "mine/ledger.jsonl"]) == 0
    assert "commit mine/ledger.jsonl now" in capsys.readouterr().out
    assert Ledger("mine/ledger.jsonl").plan_in_force().committed is False


def test_what_could_not_be_run_is_not_planned(project, capsys):
    module = project / "strategies/trend.py"
    module.write_text(MODULE.format(hypothesis="TO BE WRITTEN: why?"))
    forget_modules()
    assert main(["plan", "write"]) == 1
    said = "the hypothesis of the family trend is still the starter's; write yours into"
    assert said in capsys.readouterr().err
    module.write_text(MODULE.format(hypothesis="It goes on."))
    forget_modules()
    for grid, why in {
        "window": "the family 'trend' has no parameter 'windw'; did you mean 'window'?",
        "family": "did you mean 'trend'?",
        "value": "`trend.window` must be",
    }.items():
        wrong = {
            "window": {"trend": {"windw": [20.0]}},
            "family": {"trent": {"window": [20.0]}},
            "value": {"trend": {"window": [900.0]}},
        }[grid]
        write(project, backtest_candidates={"grid": wrong})
        assert main(["plan", "write"]) == 1 and why in capsys.readouterr().err
    module.unlink()
    write(project)
    forget_modules()
    assert main(["plan", "write"]) == 1
    assert "there is no module 'strategies.trend' to take families from" in capsys.readouterr().err
    assert not (project / "trials").exists()
