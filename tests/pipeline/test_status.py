"""Nothing stale is shown: index, pages and command say what belongs to this run.

A project of two stages and the pages, small enough to be run again and again: `prices` reads a raw
file, `judge` what the first one made. Both run through the command, as DVC calls it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from quantlab.cli import main
from quantlab.ledger import Ledger
from quantlab.pages import external_references
from quantlab.status import project_status

KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "python3"}}
HEAD = (
    "import json\nfrom pathlib import Path\nfrom quantlab.pipeline import enter_project\n"
    "enter_project()\n"
)
PRICES = HEAD + (
    "text = Path(raw).read_text()\n"
    "Path('artifacts/metrics').mkdir(parents=True, exist_ok=True)\n"
    "Path('artifacts/panel.txt').write_text(text)\n"
    "facts = {'start': '2020-01-02', 'end': '2020-12-30', 'n_assets': len(text.split(',')),\n"
    "         'n_days': 250, 'n_quarantined': 0}\n"
    "Path('artifacts/metrics/prices.json').write_text(json.dumps(facts))\n"
)
JUDGE = HEAD + (
    "total = sum(map(float, Path('artifacts/panel.txt').read_text().split(',')))\n"
    "assert total < 100, 'a price is out of range'\n"
    "verdict = 'approved' if total > threshold else 'rejected'\n"
    "facts = {'verdict': verdict, 'sentence': f'{total:g} was seen.', 'answer': f'Sum {total:g}'}\n"
    "Path('artifacts/metrics/judge.json').write_text(json.dumps(facts))\n"
)
DVC_YAML = """\
stages:
  prices:
    cmd: {command} run nbs/stages/01_prices.ipynb
    deps: [nbs/stages/01_prices.ipynb, raw.csv]
    params: [prices]
    outs:
      - artifacts/panel.txt: {{persist: true}}
      - artifacts/notebooks/prices.ipynb: {{persist: true}}
      - artifacts/metrics/prices.json: {{cache: false, persist: true}}
  judge:
    cmd: {command} run nbs/stages/02_judge.ipynb
    deps: [nbs/stages/02_judge.ipynb, artifacts/panel.txt]
    params: [judge]
    outs:
      - artifacts/notebooks/judge.ipynb: {{persist: true}}
      - artifacts/metrics/judge.json: {{cache: false, persist: true}}
  render_pages:
    cmd: {command} report render
    deps:
      - artifacts/notebooks/prices.ipynb
      - artifacts/notebooks/judge.ipynb
      - artifacts/metrics/prices.json
      - artifacts/metrics/judge.json
    outs:
      - reports/index.html: {{persist: true}}
      - reports/prices.html: {{persist: true}}
      - reports/judge.html: {{persist: true}}
"""
STAGES = ("nbs/stages/01_prices.ipynb", "nbs/stages/02_judge.ipynb")


def write_stage(folder, notebook, title, parameters, source):
    "A stage notebook"
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}\n\n> {title} of what?"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(source),
    ]
    path = folder / notebook
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)


def write_params(folder, threshold):
    text = f"base: {{}}\nprices:\n  raw: raw.csv\njudge:\n  threshold: {threshold}\n"
    (folder / "params.yaml").write_text(text)


@pytest.fixture
def project(tmp_path, monkeypatch):
    "The project, not run yet; the current folder"
    write_stage(tmp_path, STAGES[0], "Prices", 'raw = "raw.csv"', PRICES)
    write_stage(tmp_path, STAGES[1], "Judge", "threshold = 5.0", JUDGE)
    write_params(tmp_path, 5.0)
    (tmp_path / "raw.csv").write_text("1,2,3")
    command = Path(sys.executable).with_name("quantlab")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML.format(command=command))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*notebooks):
    "Exit codes of the stages and of the rendering, in order"
    return [main(["run", n]) for n in notebooks] + [main(["report", "render"])]


def pages(project):
    return {p.name: p.read_bytes() for p in sorted((project / "reports").iterdir())}


def states(project):
    return {s.stage: s.state for s in project_status(project).stages}


@pytest.mark.slow
def test_a_whole_run_is_current_and_a_second_one_gives_the_same_bytes(project, capsys):
    assert states(project) == {"prices": "not made", "judge": "not made"}
    assert main(["report", "status"]) == 1
    assert "0 of this run, 2 not made yet" in capsys.readouterr().out
    assert run(*STAGES) == [0, 0, 0]
    first = pages(project)
    index = first["index.html"].decode()
    assert "stale" not in index.split("<main ")[1] and external_references(index) == []
    assert "2020-01-02 to 2020-12-30, 3 names" in index and "Sum 6" in index
    assert '<div class="verdict approved"><span class="word">Approved</span>' in index
    assert str(project) not in index
    assert run(*STAGES) == [0, 0, 0]
    assert pages(project) == first
    assert main(["report", "status"]) == 0
    assert "Every page belongs to this run" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_stops_half_way_marks_index_and_pages(project, capsys):
    run(*STAGES)
    whole = pages(project)
    (project / "raw.csv").write_text("1,2,300,4")
    assert main(["run", STAGES[0]]) == 0
    assert main(["run", STAGES[1]]) == 1
    assert states(project) == {"prices": "current", "judge": "another panel"}
    index = (project / "reports/index.html").read_text()
    assert "The run did not get past judge: Stage judge failed in cell 3: AssertionError" in index
    assert "2020-01-02 to 2020-12-30, 4 names" in index and "Sum 6" not in index
    assert "No verdict of this run yet" in index and "Approved" not in index
    judge = (project / "reports/judge.html").read_text()
    assert "about another panel (2020-01-02 to 2020-12-30, 3 names)" in judge
    prices = (project / "reports/prices.html").read_text()  # made, though the run did not end
    assert prices != whole["prices.html"].decode() and 'class="stale-page"' not in prices
    capsys.readouterr()
    assert main(["report", "status"]) == 1
    said = capsys.readouterr().out
    assert "judge                another panel  unfinished: Stage judge failed" in said
    (project / "raw.csv").write_text("1,2,3")  # back to what it was: all is as before
    run(*STAGES)
    assert pages(project) == whole and not (project / "failed/judge.txt").exists()


@pytest.mark.slow
def test_a_stage_that_was_killed_and_one_that_waits_are_named(project):
    run(*STAGES)
    write_params(project, 7.0)
    (project / "failed/judge.txt").write_text("it was started and has not finished.\n")
    status = project_status(project)
    assert status.stages[1].reason == "It is of an earlier run: threshold was 5.0 and is 7.0."
    assert "did not get past judge: it was started and has not finished" in status.sentence
    (project / "raw.csv").write_text("1,2,4")
    first = project_status(project).stages[0]
    assert first.state == "another panel"
    notebook = project / STAGES[0]
    notebook.write_text(notebook.read_text().replace("Path(raw).read_text()", "'1,2,3'"))
    (project / "raw.csv").write_text("1,2,3")
    status = project_status(project)
    assert [s.reason for s in status.stages] == [
        "It is of an earlier run: its code has changed.",
        "It is of an earlier run: threshold was 5.0 and is 7.0.",
    ]
    write_params(project, 5.0)
    assert "prices, before it, has not run since" in project_status(project).stages[1].reason


@pytest.mark.slow
def test_a_page_of_another_notebook_is_not_called_current(project):
    run(*STAGES)
    shutil.copy(project / "reports/prices.html", project / "old.html")
    notebook = project / STAGES[0]
    notebook.write_text(notebook.read_text().replace("Prices of what?", "Prices of which?"))
    assert main(["run", STAGES[0]]) == 0  # the same data, another question
    assert states(project) == {"prices": "current", "judge": "current"}
    index = (project / "reports/index.html").read_text()
    assert '<span class="status stale">not rendered</span>' in index
    assert "Its stage has run since" in (project / "reports/prices.html").read_text()
    assert main(["report", "render"]) == 0
    assert "Prices of which?" in (project / "reports/prices.html").read_text()


def dvc(project, *arguments):
    "What DVC says; its exit code must be 0 unless the first argument is a number"
    expected = 0
    if isinstance(arguments[0], int):
        expected, *arguments = arguments
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(project / "c")}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_dvc_sees_a_clean_project_after_a_run_and_mends_a_marked_one(project):
    dvc(project, "init", "-q", "--no-scm")
    dvc(project, "repro", "-q")
    whole = pages(project)
    assert "up to date" in dvc(project, "status")
    write_params(project, '"none"')
    dvc(project, 255, "repro", "-q")
    assert b"must be of type float" in pages(project)["index.html"]
    assert b'class="stale-page"' in pages(project)["judge.html"]
    write_params(project, 5.0)
    dvc(project, "repro", "-q")
    assert pages(project) == whole
    assert "up to date" in dvc(project, "status")
    (project / "raw.csv").write_text("1,2,4")
    dvc(project, "repro", "-q")
    assert project_status(project).ok and "Sum 7" in pages(project)["index.html"].decode()
    facts = json.loads((project / "artifacts/metrics/prices.json").read_text())
    assert facts["n_assets"] == 3 and "up to date" in dvc(project, "status")


TRY = HEAD + (
    "import numpy as np, pandas as pd\n"
    "from quantlab.ledger import Ledger\n"
    "days = pd.bdate_range('2020-01-01', periods=60)\n"
    "Ledger('trials/ledger.jsonl').append(\n"
    "    family='trend', strategy=f'trend {window}', parameters={'window': window},\n"
    "    universe='all',\n"
    "    returns=pd.Series(np.random.default_rng(window).normal(0, 0.01, 60), days),\n"
    "    data_md5='0', window={'start': '2020-01-01', 'end': '2020-03-24'},\n"
    ")\n"
    "assert window < 90, 'too long'\n"
    "Path('artifacts/metrics').mkdir(parents=True, exist_ok=True)\n"
    "Path('artifacts/metrics/summary.json').write_text(json.dumps({'window': window}))\n"
)
EXPERIMENT = """\
stages:
  first:
    cmd: echo once >> artifacts/first.log
    outs:
      - artifacts/first.log: {{persist: true}}
  try:
    cmd: {command} run nbs/stages/01_try.ipynb
    deps: [nbs/stages/01_try.ipynb, artifacts/first.log]
    params: [try]
    outs:
      - artifacts/notebooks/try.ipynb: {{persist: true}}
      - trials/ledger.jsonl: {{cache: false, persist: true}}
    metrics:
      - artifacts/metrics/summary.json: {{cache: false, persist: true}}
"""


@pytest.mark.slow
def test_an_experiment_costs_what_changed_and_its_tries_count_even_where_it_fails(
    tmp_path, monkeypatch
):
    "In the workspace, in a folder of its own, and one that fails: each try is in the ledger"
    write_stage(tmp_path, "nbs/stages/01_try.ipynb", "Try", "window = 20", TRY)
    (tmp_path / "params.yaml").write_text("base: {}\ntry:\n  window: 20\n")
    (tmp_path / "artifacts").mkdir()
    command = Path(sys.executable).with_name("quantlab")
    (tmp_path / "dvc.yaml").write_text(EXPERIMENT.format(command=command))
    (tmp_path / ".gitignore").write_text("/failed/\n/c/\n/trials/.*\n/artifacts/times.txt\n")
    monkeypatch.chdir(tmp_path)
    who = {"NAME": "n", "EMAIL": "n@example.org"}
    for name in (f"GIT_{role}_{key}" for role in ("AUTHOR", "COMMITTER") for key in who):
        monkeypatch.setenv(name, who[name.rsplit("_")[-1]])
    git = lambda *a: subprocess.run(["git", *a], cwd=tmp_path, check=True, capture_output=True)
    git("init", "-q")
    dvc(tmp_path, "init", "-q")
    dvc(tmp_path, "repro", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    ledger = Ledger(tmp_path / "trials/ledger.jsonl")
    assert ledger.count("trend") == 1
    dvc(tmp_path, "exp", "run", "-q", "-S", "try.window=40")
    assert ledger.count("trend") == 2
    assert (tmp_path / "artifacts/first.log").read_text() == "once\n"
    git("checkout", "-q", "params.yaml")  # the tries stay, whatever becomes of the experiment
    git("add", "-A")
    git("commit", "-qm", "what the experiment tried")
    dvc(tmp_path, "exp", "run", "-q", "--temp", "-S", "try.window=60")
    dvc(tmp_path, 255, "exp", "run", "-q", "--temp", "-S", "try.window=95")
    assert sorted(ledger.tries()["strategy"]) == ["trend 20", "trend 40", "trend 60", "trend 95"]
    assert ledger.verify().ok, ledger.verify().problems
    shown = dvc(tmp_path, "exp", "show", "--csv")
    assert ",60," in shown and ",40," in shown
