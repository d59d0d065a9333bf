"""A strategy and a factor of one's own: declared everywhere, refused until thought through."""

import shutil
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, forget_modules

from quantlab.backtest import declare_candidates, load_families
from quantlab.cli import main
from quantlab.contracts import check_project
from quantlab.data import load_panel, save_panel
from quantlab.errors import PipelineError, SpecificationError
from quantlab.factors import load_factors
from quantlab.ledger import Ledger, open_trials
from quantlab.pipeline import notebook_parameters, read_params, write_table
from quantlab.project import init_project
from quantlab.simulate import factor_world
from quantlab.starter import starter_family

START, HOLDOUT = "2008-06-02", "2010-06-14"


@pytest.fixture
def project(tmp_path, monkeypatch, own_strategies):
    "The notebooks and parameters of the sample, without its data and its package"
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "nbs/stages", tmp_path / "nbs/stages")
    text = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    text = text.replace('"2009-01-08"', f'"{START}"').replace('"2015-07-01"', f'"{HOLDOUT}"')
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_market(project):
    "What the first stages would leave"
    days = pd.bdate_range("2007-01-03", HOLDOUT, inclusive="left")
    world = factor_world(days, 25, edge=0.001, rng=np.random.default_rng(0))
    fields = {"returns": world.returns, "member": world.returns * 0 + 1.0}
    fields["dollar_volume"] = world.dollar_volume
    fields["log_prices"] = np.log1p(world.returns).cumsum()
    save_panel(load_panel(fields), project / "artifacts/market")
    volatility = world.returns.rolling(50).std().shift(1)
    write_table(project / "artifacts/volatility.parquet", volatility)


def run_notebook(path, last=None):
    "The code cells of a notebook, but for the last so many, in one space"
    space = {}
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    for cell in cells[:last]:
        exec(cell.source, space)
    return space, cells


def fill_in(module):
    "What a person does"
    text = module.read_text()
    text = text.replace("TO BE WRITTEN: what has to be true", "It has to be true")
    module.write_text(text.replace("TO BE WRITTEN: how does it lose money?", "It turns."))
    forget_modules()


@pytest.mark.parametrize("like", ["cross-section", "trend"])
def test_a_new_strategy_is_declared_everywhere_and_nothing_else_moves(like, project, capsys):
    before = (project / "params.yaml").read_text(encoding="utf-8")
    assert main(["new-strategy", "carry", "--like", like]) == 0
    said = capsys.readouterr().out
    after = (project / "params.yaml").read_text(encoding="utf-8")
    lost = [line for line in before.splitlines() if line.strip() not in after]
    assert not lost  # comments and order stay
    params = read_params(project / "params.yaml")
    assert params["base"]["families"][-1] == "strategies.carry"
    grid = params["backtest_candidates"]["grid"]
    assert list(grid) == [*yaml.safe_load(before)["backtest_candidates"]["grid"], "carry"]
    family = load_families_here(project)["carry"]
    for point in declare_points(family, grid["carry"]):
        assert point.family == "carry"
    for stage in ("06_backtest_candidates", "07_validate", "08_confirm_holdout"):
        cell = notebook_parameters(project / f"nbs/stages/{stage}.ipynb")
        assert cell["families"][-1] == "strategies.carry"
    spec = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    with_it = {s for s, v in spec.items() if "strategies/carry.py" in v["deps"]}
    assert with_it == {"backtest_candidates", "validate", "confirm_holdout"}
    assert not [p for p in check_project(project).problems if "carry" in p]
    last = nbformat.read(project / "strategies/carry.ipynb", as_version=4).cells[-1].source
    commands = ["quantlab plan write", 'git add --all && git commit -m "Plan carry"', "dvc repro"]
    assert said.splitlines()[-3:] == commands
    assert "\n".join(commands) in last


def load_families_here(project):
    "The families of the project"
    sys.path.append(str(project))
    return load_families(read_params(project / "params.yaml")["base"]["families"])


def declare_points(family, axes):
    "Points of one family's grid, whether or not its hypothesis is written"
    return [family.point({name: values[0]}) for name, values in axes.items()]


def test_where_a_plan_is_in_force_the_commands_name_it(project, capsys):
    assert main(["plan", "write"]) == 0
    key = capsys.readouterr().out.split()[1]
    (project / "Makefile").write_text("repro:\n")
    assert main(["new-strategy", "carry"]) == 0
    plan, _, run = capsys.readouterr().out.splitlines()[-3:]
    assert plan == f'quantlab plan write --replaces {key} --note "carry"' and run == "make repro"


def test_the_placeholder_is_refused_at_each_door_and_the_notebook_opens(project, capsys):
    assert main(["new-strategy", "carry"]) == 0
    write_market(project)
    module = project / "strategies/carry.py"
    said = "the hypothesis of the family carry is still the starter's; write yours into strategies/"
    assert main(["plan", "write"]) == 1 and said in capsys.readouterr().err
    space, cells = run_notebook(project / "strategies/carry.ipynb", last=-1)  # all but the backtest
    family = space["CARRY"]
    assert "require_plan" in cells[-1].source and "result" not in space
    held = space["weights"].dropna(how="all").abs().sum(axis=1)
    assert len(held) > 20 and np.allclose(held, 1.0)
    ledger = Ledger(project / "trials/ledger.jsonl")
    trial = {
        "family": "carry", "strategy": "s", "parameters": {}, "universe": "u", "data_md5": "d",
        "window": (START, HOLDOUT), "hypothesis": family.hypothesis,
    }  # fmt: skip
    returns = pd.Series([0.01, -0.01], pd.bdate_range(START, periods=2))

    def opened():
        with open_trials("carry", hypothesis=family.hypothesis):
            pass

    for door in (
        lambda: declare_candidates({"carry": {"window": [60]}}, {"carry": family}),
        opened,
        lambda: ledger.append(**trial, returns=returns),
        lambda: ledger.plan({"hypotheses": {"carry": family.hypothesis}}),
    ):
        with pytest.raises(SpecificationError, match="still the starter's"):
            door()
    assert not ledger.path.exists()
    fill_in(module)
    module.write_text(module.read_text().replace('"It turns."', '"TO BE WRITTEN: how?"'))
    assert main(["plan", "write"]) == 1
    assert "the failure mode of the family carry is still" in capsys.readouterr().err
    fill_in(module)
    module.write_text(module.read_text().replace('"TO BE WRITTEN: how?"', '"It turns."'))
    assert main(["plan", "write"]) == 0


def test_a_backtest_in_the_notebook_waits_for_the_plan_and_is_the_pipelines_try(project, capsys):
    from test_pipeline import git

    from quantlab.errors import LedgerError

    assert main(["new-strategy", "carry", "--like", "trend"]) == 0
    write_market(project)
    fill_in(project / "strategies/carry.py")
    with pytest.raises(LedgerError, match="no plan is in force"):
        run_notebook(project / "strategies/carry.ipynb")
    assert main(["plan", "write"]) == 0
    git(project, "init", "-q")
    git(project, "add", "trials")
    git(project, "commit", "-qm", "plan")
    space, _ = run_notebook(project / "strategies/carry.ipynb")
    assert space["result"].returns.std() > 0
    table = Ledger(project / "trials/ledger.jsonl").table()
    assert table[["family", "status"]].values.tolist() == [["carry", "complete"]]
    (point,) = declare_candidates(
        {"carry": {"window": [60], "long_only": [False]}}, space_of(space)
    )
    assert table["strategy"].tolist() == [point.name]
    assert Ledger(project / "trials/ledger.jsonl").plan_in_force().after_the_fact is False
    capsys.readouterr()


def space_of(space):
    "The family of a notebook's space, by name"
    return {"carry": space["CARRY"]}


def test_what_a_name_cannot_be_ends_in_one_sentence_and_writes_nothing(project, capsys):
    before = (project / "params.yaml").read_bytes()
    for command, name, code, why in [
        ("new-strategy", "bad name!", 2, "letters, digits and _; got 'bad name!'"),
        ("new-strategy", "lambda", 1, "a word or module of Python's"),
        ("new-strategy", "calendar", 1, "which strategies/calendar.py would hide"),
        ("new-strategy", "pandas", 1, "of an installed package"),
        ("new-strategy", "pairs", 1, "there is a family 'pairs' already"),
        ("new-factor", "1st", 2, "letters, digits and _"),
        ("new-factor", "illiquidity", 1, "there is a factor 'illiquidity' already"),
        ("new-factor", "random", 1, "a word or module of Python's"),
    ]:
        assert main([command, name]) == code
        error = capsys.readouterr().err
        assert why in error and error.count("\n") == 1
    assert (project / "params.yaml").read_bytes() == before and not (
        project / "strategies"
    ).exists()
    assert main(["new-strategy", "carry"]) == 0
    for _ in range(2):
        assert main(["new-strategy", "carry"]) == 1
        assert "there is a family 'carry' already" in capsys.readouterr().err
    (project / "strategies/steep.py").write_text("mine = 1\n")
    for command in ("new-strategy", "new-factor"):
        assert main([command, "steep"]) == 1
        assert "steep.py exists; choose another name or edit" in capsys.readouterr().err
    assert (project / "strategies/steep.py").read_text() == "mine = 1\n"


def test_a_project_that_cannot_take_it_says_what_it_lacks(
    project, tmp_path_factory, capsys, monkeypatch
):
    text = (project / "params.yaml").read_text()
    for old, new, command, why in [
        ("  families:", "  kinds:", "new-strategy", "params.yaml has no list base.families"),
        ("  grid:", "  points:", "new-strategy", "no mapping backtest_candidates.grid"),
        ("  factors: []", "  factors: none", "new-factor", "has no list base.factors"),
    ]:
        (project / "params.yaml").write_text(text.replace(old, new))
        assert main([command, "carry"]) == 1
        assert why in capsys.readouterr().err
    assert not (project / "strategies").exists()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for command in ("new-strategy", "new-factor"):
        assert main([command, "carry"]) == 2 and "No dvc.yaml" in capsys.readouterr().err


def test_a_new_factor_is_refused_until_its_source_is_written_and_joins_the_grid(project, capsys):
    assert main(["new-factor", "rising_days"]) == 0
    assert "strategies/rising_days.py" in capsys.readouterr().out
    params = read_params(project / "params.yaml")
    assert params["base"]["factors"] == ["strategies.rising_days"]
    spec = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    with_it = {s for s, v in spec.items() if "strategies/rising_days.py" in v["deps"]}
    assert with_it == {"evaluate_factors", "backtest_candidates", "validate", "confirm_holdout"}
    sys.path.append(str(project))
    with pytest.raises(SpecificationError, match="the source of the factor rising_days is still"):
        load_factors(["strategies.rising_days"])
    module = project / "strategies/rising_days.py"
    module.write_text(module.read_text().replace("TO BE WRITTEN: paper", "Own: paper"))
    forget_modules()
    text = (
        (project / "params.yaml").read_text().replace("illiquidity,", "illiquidity, rising_days,")
    )
    (project / "params.yaml").write_text(text)
    assert main(["plan", "write"]) == 0  # the families of the grid know the factor
    (project / "params.yaml").write_text(text.replace("illiquidity, rising_days", "rising_dys"))
    assert main(["plan", "write"]) == 1
    assert "`factors.factor` must be one of 'combined'" in capsys.readouterr().err


def test_the_starter_family_runs_and_has_a_hypothesis(project, tmp_path_factory):
    (project / "strategies").mkdir()
    (project / "strategies/trend.py").write_text(starter_family())
    of_init = init_project(tmp_path_factory.mktemp("init") / "mine") / "strategies/trend.py"
    assert of_init.read_text(encoding="utf-8") == starter_family()
    sys.path.append(str(project))
    families = load_families(["strategies.trend"])
    points = declare_candidates({"trend": {"window": [60, 120], "long_only": [True]}}, families)
    assert [p.name for p in points] == [
        "trend: window 60, long only",
        "trend: window 120, long only",
    ]
    assert max(map(len, starter_family().splitlines())) <= 100


def test_like_is_one_of_those_there_are(project):
    from quantlab.starter import write_strategy

    with pytest.raises(PipelineError, match="must be one of cross-section, trend; got 'pairs'"):
        write_strategy("carry", project, like="pairs")
