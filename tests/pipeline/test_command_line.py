"""The command line as a shell, a script and a person who misspells meet it.

One project, made by `quantlab init`, with a panel and a ledger; each command is called in it
as it would be in a terminal.
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
from conftest import ROOT, small_project

from quantlab.answers import Answer, run_command, table_lines
from quantlab.cli import main
from quantlab.commands import COMMANDS
from quantlab.data import load_panel
from quantlab.ledger import Ledger
from quantlab.pipeline import write_params
from quantlab.project import init_project

BASH = shutil.which("bash")
BY_NAME = {command.name: command for command in COMMANDS}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A project with a panel, a ledger of trials with long names, and prices to look at"
    project = small_project(tmp_path_factory.mktemp("made") / "mine")
    dates = load_panel(project / "data/panel").index
    trials = [
        {
            "family": "a_family_with_a_name_that_is_long",
            "strategy": f"a strategy that is told in many words, and differs in the last: {n}",
            "parameters": {"window": n, "another_parameter_with_a_long_name": 3 * n},
            "universe": "all",
            "data_md5": "0" * 32,
            "window": {"start": f"{dates[0]:%Y-%m-%d}", "end": f"{dates[59]:%Y-%m-%d}"},
            "costs": {},
            "returns": pd.Series(np.random.default_rng(n).normal(0, 0.01, 60), dates[:60]),
        }
        for n in range(200)
    ]
    Ledger(project / "trials/ledger.jsonl").append_many(trials)
    bad = pd.DataFrame({"A": [10.0, -1.0, 10.2], "B": [20.0, 20.1, 20.3]}, dates[:3])
    bad.rename_axis("date").to_csv(project / "prices.csv")
    return project


@pytest.fixture
def project(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setenv("COLUMNS", "100")
    return made


def call(capsys, *words: str) -> tuple[int, str, str]:
    "Exit code, standard output and standard error of a call"
    capsys.readouterr()
    try:
        code = main(list(words))
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


SLIPS = {
    "trails": "did you mean 'trials'?",
    "trials shwo": "did you mean 'show'?",
    "trials show --ledgr x": "did you mean '--ledger'?",
    "trials show --ledger trials/leger.jsonl": "did you mean 'ledger.jsonl'?",
    "desk live --bundel x": "did you mean '--bundle'?",
    "handoff verfy handoff/x": "did you mean 'verify'?",
    "run nbs/stages/01_ingest_price.ipynb": "did you mean '01_ingest_prices.ipynb' or",
    "run ingest_prices": "did you mean '01_ingest_prices.ipynb' or",
    "run valdate": "did you mean '07_validate.ipynb'?",
    "trials --family trend": "trials verify has no --family; leave it out.",
    "trials show --study x": "trials show has no --study; leave it out.",
    "run nbs/stages/01_ingest_prices.ipynb rw=x": "did you mean 'raw'?",
    "report statsu": "did you mean 'status'?",
    "switch live hlat": "did you mean 'halt'?",
    "completion bsh": "did you mean 'bash'?",
    "data chek prices.csv": "did you mean 'check'?",
}


@pytest.mark.parametrize("words", SLIPS)
def test_a_misspelt_word_is_answered_with_the_one_that_was_meant(words, project, capsys):
    code, out, err = call(capsys, *words.split())
    assert code in (1, 2) and out == "" and SLIPS[words] in err, err


@pytest.mark.parametrize(
    "name, value, meant",
    [
        ("ingest_price.raw", "data/panel", "'ingest_prices' or 'ingest_ticks'"),
        ("validate.treshold", 3, "'thresholds'"),
        ("base.sede", 3, "'seed'"),
    ],
)
def test_a_misspelt_name_of_params_is_answered_so_too(name, value, meant, made, tmp_path, capsys):
    copy = shutil.copytree(made, tmp_path / "mine", ignore=shutil.ignore_patterns(".dvc", "data"))
    write_params(copy / "params.yaml", {name: value})
    os.chdir(copy)
    try:
        code, out, _ = call(capsys, "check")
    finally:
        os.chdir(made)
    assert code == 1 and f"did you mean {meant}?" in out, out


def test_a_misspelt_family_and_its_parameter_are_answered_so_too(made, tmp_path, capsys):
    for grid, meant in (
        ({"trned": {"window": [60]}}, "trend"),
        ({"trend": {"windw": [60]}}, "window"),
    ):
        copy = shutil.copytree(made, tmp_path / meant, ignore=shutil.ignore_patterns("data"))
        write_params(copy / "params.yaml", {"backtest_candidates.grid": grid})
        os.chdir(copy)
        try:
            code, _, err = call(capsys, "plan", "write")
        finally:
            os.chdir(made)
        assert code == 1 and f"did you mean '{meant}'?" in err, err


def test_trials_of_one_family_are_shown_alone(project, capsys):
    code, out, _ = call(capsys, "trials", "show", "--family", "a_family_with_a_name_that_is_long")
    assert code == 0 and "sharpe a period" in out
    code, out, err = call(capsys, "trials", "show", "--family", "a_family_with_a_name_that_is_lnog")
    assert code == 2 and out == "" and "did you mean 'a_family_with_a_name_that_is_long'?" in err


REPORTS = [
    "status",
    "check",
    "doctor",
    "trials",
    "trials show",
    "plan show",
    "report status",
    "data check prices.csv",
    "handoff verify handoff/none",
    "handoff show handoff/none",
    "handoff diff handoff/none handoff/other",
    "report verify nothing.html",
    "check --reproduced",
    "trials shwo",
    "trials --ledger nowhere.jsonl",
]


@pytest.mark.parametrize("words", REPORTS)
def test_with_json_the_output_is_one_document_also_on_failure(words, project, capsys):
    plain, _, _ = call(capsys, *words.split())
    code, out, err = call(capsys, *words.split(), "--json")
    document = json.loads(out)
    assert isinstance(document, dict) and code == plain
    if "error" in document:
        assert code in (1, 2) and document["error"] in err and len(document) == 1
        return
    command, *rest = words.split()
    keys = BY_NAME[command].keys
    action = rest[0] if rest and rest[0] in keys else next(iter(keys))
    assert set(document) == set(keys[action])


def test_the_documents_say_what_the_lines_say(project, capsys):
    trials = json.loads(call(capsys, "trials", "show", "--json")[1])
    assert len(trials["trials"]) == trials["n_trials"] == 200
    assert trials["trials"][7]["parameters"] == {
        "window": 7,
        "another_parameter_with_a_long_name": 21,
    }
    found = json.loads(call(capsys, "data", "check", "prices.csv", "--json")[1])
    assert not found["ok"] and found["n_bad"] + found["n_quarantined"] >= 1
    assert call(capsys, "doctor", "--json")[1].isascii()


@pytest.mark.parametrize("width", [80, 100])
def test_every_table_fits_the_terminal_and_says_what_was_cut(width, project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    for words in ("status", "report status", "data check prices.csv", "trials show"):
        _, out, _ = call(capsys, *words.split())
        lines = [line for line in out.splitlines() if not line.startswith("Of 14 pages")]
        assert max(map(len, lines)) <= width, words
    assert "texts without their middle" in out and "--wide shows all" in out
    assert out.splitlines()[1].split()[0] == Ledger("trials/ledger.jsonl").table()["id"].iloc[0]
    _, wide, _ = call(capsys, "trials", "show", "--wide")
    assert "differs in the last: 199" in wide and "--wide" not in wide


def test_a_table_of_any_shape_fits():
    rng = np.random.default_rng(11)
    for _ in range(200):
        columns = {
            f"column {'x' * rng.integers(0, 30)} {i}": ["y" * rng.integers(0, 120)] * 2
            for i in range(rng.integers(1, 14))
        }
        width = int(rng.integers(40, 140))
        lines = table_lines(pd.DataFrame(columns), width=width)
        assert max(map(len, lines)) <= width


READ = [
    "status",
    "check",
    "doctor",
    "trials show",
    "trials show --wide",
    "trials show --json",
    "plan show",
    "report status",
    "data check prices.csv",
    "dag",
    "completion bash",
    "--help",
]


@pytest.mark.skipif(BASH is None, reason="no bash here")
@pytest.mark.parametrize("reader", ["true", "head -1", "head -c 20000"])
def test_a_reader_who_leaves_is_not_told_of_it(reader, made):
    "Before the first line, after it, and in the middle of a long output"
    code = "import sys; from quantlab.cli import main; sys.exit(main(sys.argv[1:]))"
    calls = "\n".join(
        f'"{sys.executable}" -c "{code}" {words} | {reader} >/dev/null' for words in READ
    )
    run = subprocess.run([BASH, "-c", calls], cwd=made, capture_output=True, text=True)
    assert run.stderr == ""


@pytest.fixture(scope="module")
def completion(tmp_path_factory):
    "The completion of bash, and a `quantlab` that the shell finds"
    pytest.importorskip("shtab")
    folder = tmp_path_factory.mktemp("completion")
    code = "import sys; from quantlab.cli import main; sys.exit(main(sys.argv[1:]))"
    said = subprocess.run(
        [sys.executable, "-c", code, "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "quantlab.bash").write_text(said.stdout)
    return folder / "quantlab.bash"


def completed(completion: Path, cwd: Path, *words: str) -> set[str]:
    "What bash offers for the last of the words"
    script = f"""source {completion}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
function_name=$(complete -p quantlab | sed -E 's/.*-F ([^ ]+).*/\\1/')
$function_name quantlab "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    run = subprocess.run([BASH, "-c", script], cwd=cwd, capture_output=True, text=True)
    assert run.stderr == "" and run.returncode == 0
    return set(filter(None, run.stdout.splitlines()))


@pytest.mark.skipif(BASH is None, reason="no bash here")
def test_bash_completes_commands_actions_options_and_files(completion, made):
    assert completed(completion, made, "quantlab", "tri") == {"trials"}
    assert {c.name for c in COMMANDS} <= completed(completion, made, "quantlab", "")
    assert {"verify", "show", "import"} <= completed(completion, made, "quantlab", "trials", "")
    assert completed(completion, made, "quantlab", "trials", "show", "--le") == {"--ledger"}
    assert completed(completion, made, "quantlab", "data", "import", "--adjust", "q") == {
        "quarantine"
    }
    stage = completed(completion, made, "quantlab", "run", "nbs/stages/01")
    assert "nbs/stages/01_ingest_prices.ipynb" in stage
    assert "prices.csv" in completed(completion, made, "quantlab", "data", "check", "pri")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_each_shell_gets_a_completion_that_it_can_read(shell, capsys, tmp_path):
    pytest.importorskip("shtab")
    code, out, _ = call(capsys, "completion", shell)
    assert code == 0 and "trials" in out
    if program := shutil.which(shell):
        (tmp_path / "file").write_text(out)
        subprocess.run([program, "-n", tmp_path / "file"], check=True)


def test_without_shtab_it_is_said_what_brings_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = call(capsys, "completion", "bash")
    assert code == 1 and out == "" and "pip install 'quantlab[pipeline]'" in err


def test_status_says_what_is_next_from_the_first_day_on(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    assert "No dvc.yaml" in call(capsys, "status")[2]  # outside of a project
    project = init_project(tmp_path / "fresh")
    monkeypatch.chdir(project)
    code, out, _ = call(capsys, "status")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == [
        "data",
        "plan",
        "trials",
        "verdicts",
        "bundle",
        "next",
    ]
    assert out.endswith("next      quantlab data import PRICES\n")
    shutil.copytree(made / "data/panel", project / "data/panel")
    shutil.copy(made / "params.yaml", project / "params.yaml")
    assert "quantlab plan write" in call(capsys, "status")[1].splitlines()[-1]
    assert call(capsys, "plan", "write", "--note", "first")[0] == 0
    assert "git commit" in call(capsys, "status")[1].splitlines()[-1]
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "add", "trials"], check=True)
    subprocess.run([*git, "commit", "-qm", "Plan"], check=True)
    assert re.search(r"(make|dvc) repro$", call(capsys, "status")[1].splitlines()[-1])
    (project / "failed").mkdir()
    (project / "failed/ingest_prices.txt").write_text("cell 3: no")
    assert "mend what stopped ingest_prices" in call(capsys, "status")[1].splitlines()[-1]


def test_status_of_the_sample_reads_what_was_committed(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    document = json.loads(call(capsys, "status", "--json")[1])
    assert "families" in document["trials"] and "rejected" in document["verdicts"]


def test_doctor_says_how_to_mend_what_the_pipeline_needs(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("QUANTLAB_NAUTILUS", "off")
    project = init_project(tmp_path / "mine")
    monkeypatch.chdir(project)
    code, out, _ = call(capsys, "doctor")
    assert code == 1 and "data: NEEDED, not there; quantlab data import PRICES" in out
    document = json.loads(call(capsys, "doctor", "--json")[1])
    assert not document["ok"] and {"what", "ok", "needed", "state", "fix"} == set(
        document["findings"][0]
    )
    shutil.copytree(made / "data/panel", project / "data/panel")
    code, out, _ = call(capsys, "doctor")
    assert code == 0 and "pandas" in out and "encoding:" in out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_each_help_has_an_example_that_can_be_read(command, capsys):
    code, out, _ = call(capsys, command.name, "--help")
    assert code == 0 and f"quantlab {command.example}" in " ".join(out.split())
    words = command.example.split()
    assert words[0] == command.name
    for option in (w for w in words if w.startswith("--")):
        assert option in command.arguments
    for action in command.keys:
        assert " ".join(command.keys[action]) in " ".join(out.replace(",", "").split())


def test_an_answer_is_printed_in_one_of_two_forms(capsys):
    import argparse

    args = argparse.Namespace(function=lambda _: Answer(lines=["a"], document={"b": 1}, code=1))
    assert run_command(args) == 1 and capsys.readouterr().out == "a\n"
    args.json = True
    assert run_command(args) == 1 and json.loads(capsys.readouterr().out) == {"b": 1}
