"""The likeliest mistakes on the road to a first dossier, each answered in one sentence.

They are made in a project that `quantlab init` has just written, by the command itself.
"""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import small_project

from quantlab.cli import main
from quantlab.data import load_panel
from quantlab.pipeline import CODE, installed_code, write_params, write_yaml


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A new project with a small panel"
    return small_project(tmp_path_factory.mktemp("made") / "mine")


@pytest.fixture
def project(made, tmp_path, monkeypatch, own_strategies):
    "A copy of it, entered"
    copy = shutil.copytree(made, tmp_path / "mine")
    monkeypatch.chdir(copy)
    return copy


def says(capsys, *command: str, code: int) -> str:
    "What the command says on its way to `code`: one line on standard error, or on the page"
    capsys.readouterr()
    try:
        assert main(list(command)) == code
    except SystemExit as stop:
        assert stop.code == code
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return said.out + said.err


def test_a_folder_that_holds_something_is_not_made_a_project(project, capsys):
    said = says(capsys, "init", str(project), code=1)
    assert "is there and not empty; name a new folder" in said and said.count("\n") == 1


def test_a_project_inside_another_is_refused(project, capsys):
    assert "would lie inside the project" in says(capsys, "init", "inner", code=1)


def test_a_command_outside_of_a_project_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "or make one: quantlab init DIR" in says(capsys, "plan", code=1)


def test_a_run_before_the_import_says_what_is_missing(project, capsys):
    shutil.rmtree(project / "data/panel")
    said = says(capsys, "check", code=1)
    assert "needs data/panel, which is not there; `quantlab data import PATH` writes" in said


def test_a_file_that_is_not_there_is_named(project, capsys):
    assert "prises.csv" in says(capsys, "data", "import", "prises.csv", code=1)


def test_days_and_months_that_can_be_exchanged_are_asked_about(project, capsys):
    days = pd.DataFrame(
        {"A": np.arange(1.0, 13), "B": np.arange(2.0, 14)},
        [f"{d:02d}/03/2020" for d in range(1, 13)],  # twelve days of March, or twelve months,
    )
    days.to_csv(project / "both.csv", index_label="date")
    said = says(capsys, "data", "import", "both.csv", "--values", "prices", code=1)
    assert "--dates" in said


def test_a_misspelt_parameter_is_named_with_the_one_that_was_meant(project, capsys):
    write_params(project / "params.yaml", {"fit_volatility.windw": 250})
    said = says(capsys, "run", "nbs/stages/03_fit_volatility.ipynb", code=1)
    assert "has no parameter 'windw'; did you mean 'window'?" in said


def test_a_number_on_the_command_line_is_sent_to_params_yaml(project, capsys):
    said = says(capsys, "run", "nbs/stages/03_fit_volatility.ipynb", "window=250", code=1)
    assert "`window` is no path" in said and "set it in params.yaml, under fit_volatility" in said


def test_a_module_that_is_not_there_is_named(project, capsys):
    write_params(project / "params.yaml", {"base.families": ["strategies.trnd"]})
    assert "there is no module 'strategies.trnd'" in says(capsys, "plan", "write", code=1)


def test_a_grid_of_an_unknown_family_is_refused_before_it_is_planned(project, capsys):
    write_params(project / "params.yaml", {"backtest_candidates.grid.carry": {"window": [60]}})
    assert "'carry'" in says(capsys, "plan", "write", code=1)


def test_the_hypothesis_of_a_starter_has_to_be_written(project, capsys):
    assert main(["new-strategy", "carry"]) == 0
    assert "still the starter's" in says(capsys, "plan", "write", code=1)


def test_a_name_that_python_cannot_import_is_refused(project, capsys):
    assert "letters, digits and _" in says(capsys, "new-strategy", "my-idea", code=2)


def test_a_holdout_outside_of_the_data_is_refused(project, capsys):
    write_params(project / "params.yaml", {"base.holdout_start": "2031-01-02"})
    assert main(["check", "--write"]) == 0
    said = says(capsys, "run", "nbs/stages/01_ingest_prices.ipynb", code=1)
    assert "holdout_start" in said and "2031-01-02" in said


def test_another_version_of_the_package_is_said_before_anything_runs(project, capsys):
    write_yaml(project / CODE, installed_code(project) | {"version": "0.0.1"})
    said = says(capsys, "run", "nbs/stages/01_ingest_prices.ipynb", code=1)
    assert "names quantlab 0.0.1" in said and "`quantlab init --upgrade`" in said


def test_outputs_of_run_all_are_taken_out(project, capsys):
    notebook = project / "nbs/stages/04_screen_pairs.ipynb"
    before = notebook.read_bytes()
    text = notebook.read_text().replace('"execution_count": null', '"execution_count": 7', 1)
    notebook.write_text(text)
    assert "`quantlab check --write` takes them out" in says(capsys, "check", code=1)
    assert main(["check", "--write"]) in (0, 1)
    assert notebook.read_bytes() == before


def test_git_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    code = (
        "from quantlab.project import init_project\n"
        "from quantlab.errors import PipelineError\n"
        "try:\n    init_project('mine')\n"
        "except PipelineError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert "git is not installed" in done.stdout, done.stderr[-500:]
    assert list(tmp_path.glob("*mine*")) == []


def test_an_import_leaves_alone_what_is_no_panel(project, capsys):
    days = pd.bdate_range("2020-01-01", periods=40, name="date")
    walk = np.random.default_rng(0).normal(0, 0.01, (40, 3)).cumsum(axis=0)
    pd.DataFrame(100 * np.exp(walk), days, ["A", "B", "C"]).to_csv(project / "w.csv")
    (project / "notes").mkdir()
    (project / "notes/thesis.txt").write_text("years of work")
    said = says(capsys, "data", "import", "w.csv", "--to", "notes", code=2)
    assert "holds thesis.txt, which no import wrote" in said
    assert (project / "notes/thesis.txt").read_text() == "years of work"
    (project / "data/import").mkdir()
    shutil.copy(project / "w.csv", project / "data/import/w.csv")
    said = says(capsys, "data", "import", "data/import/w.csv", code=2)
    assert "which an import replaces; keep the files that are read elsewhere" in said
    assert "holds w.csv" in says(capsys, "data", "import", "w.csv", code=2)
    assert (project / "data/import/w.csv").is_file()


def test_sectors_put_beside_a_panel_survive_the_next_import(project, capsys):
    days = pd.bdate_range("2020-01-01", periods=40, name="date")
    walk = np.random.default_rng(0).normal(0, 0.01, (40, 3)).cumsum(axis=0)
    pd.DataFrame(100 * np.exp(walk), days, ["A", "B", "C"]).to_csv(project / "w.csv")
    assert main(["data", "import", "w.csv"]) == 0
    (project / "data/panel/sectors.csv").write_text("ticker,sector\nA,x\nB,y\nC,y\n")
    assert "sectors.csv of the panel of before is kept" in says(
        capsys, "data", "import", "w.csv", code=0
    )
    assert load_panel(project / "data/panel").sectors.to_dict() == {"A": "x", "B": "y", "C": "y"}


def test_a_slip_in_a_strategy_ends_in_its_line(project, capsys):
    (project / "strategies/trend.py").write_text("import pandas\n\ndef weights(market:\n")
    for command in (["check"], ["plan", "write"]):
        assert "trend.py is no Python in line 3" in says(capsys, *command, code=1)


def test_a_project_is_made_where_one_stands_and_in_an_empty_clone(tmp_path, monkeypatch):
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    subprocess.run(["git", "init", "-q"], check=True)
    assert main(["init", "."]) == 0
    assert main(["check"]) == 1  # the data are not there; the folder under the shell is
    staged = subprocess.run(["git", "status", "--short"], capture_output=True, text=True).stdout
    assert "A  params.yaml" in staged


def test_candidates_are_on_file_before_any_is_shown(project):
    "In the order of the cells: nothing is displayed between the backtests and the ledger"
    import nbformat

    notebook = nbformat.read(project / "nbs/stages/06_backtest_candidates.ipynb", as_version=4)
    (cell,) = [c.source for c in notebook.cells if "run_backtest(candidate" in c.source]
    assert "display(" not in cell.split("append_many")[0] and "append_many" in cell
