"""Other people's machines: the same numbers, pictures and code, or a sentence that says why not."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from quantlab.cli import main
from quantlab.contracts import check_project, machine_problems
from quantlab.errors import PipelineError
from quantlab.pipeline import (
    file_md5,
    import_problems,
    kernel_environment,
    run_stage,
    stage_environment,
    write_metrics,
    write_table,
)
from quantlab.rendering import render_pages
from quantlab.reproduction import check_reproduced

FOREIGN = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "+sse2,-avx,-avx2,-fma",
    "NUMBA_DISABLE_JIT": "1",
    "OPENBLAS_CORETYPE": "Sandybridge",
    "OPENBLAS_L2_SIZE": "99",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3",
    "MPLBACKEND": "Agg",
    "MATPLOTLIBRC": "/nowhere/matplotlibrc",
    "PYTHONSTARTUP": "/nowhere/startup.py",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable",
}


def git(folder, *arguments):
    "A git command in `folder`"
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def toy_project(folder, source: str, stage="draw"):
    "A project of one stage that runs `source`"
    cells = [
        nbformat.v4.new_markdown_cell("# Draw"),
        nbformat.v4.new_code_cell("window = 5", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(source),
    ]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "python3"}}
    folder.mkdir(exist_ok=True)
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"1_{stage}.ipynb"
    )
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text(f"base: {{}}\n{stage}: {{window: 5}}\n")
    return folder / f"1_{stage}.ipynb"


SEEN = """\
import json, os, sys
import matplotlib
import numpy as np
import numba
import pandas as pd
from numba.core.registry import cpu_target

seen = {name: os.environ.get(name) for name in %r}
seen["python"] = sys.executable
seen["numba"] = cpu_target.target_context.codegen().magic_tuple()[1:]
seen["startup"] = "planted" in dir()
seen["rows"] = pd.options.display.max_rows
json.dump(seen, open("seen.json", "w"))
pd.Series([1.0, 2.0]).plot();"""


@pytest.mark.slow
def test_a_stage_sees_nothing_of_the_callers_shell_and_keeps_its_picture(tmp_path, monkeypatch):
    jupyter = tmp_path / "jupyter/kernels/python3"
    jupyter.mkdir(parents=True)
    foreign = {"argv": ["/bin/false"], "display_name": "foreign", "language": "python"}
    (jupyter / "kernel.json").write_text(json.dumps(foreign))
    startup = tmp_path / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text(
        "import pandas as pd\npd.options.display.max_rows = 3\nplanted = 1\n"
    )
    notebook = toy_project(tmp_path / "project", SEEN % sorted(FOREIGN))
    run = run_stage(notebook, project=notebook.parent)
    made = [run.notebook, *render_pages(notebook.parent)]
    clean = [(notebook.parent / p).read_bytes() for p in made]
    plain = json.loads((notebook.parent / "seen.json").read_text())
    assert b"data:image/png" in clean[1]
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    run_stage(notebook, project=notebook.parent)
    render_pages(notebook.parent)
    assert [(notebook.parent / p).read_bytes() for p in made] == clean
    seen = json.loads((notebook.parent / "seen.json").read_text())
    assert seen == plain
    assert seen["python"] == sys.executable and not seen["startup"] and seen["rows"] == 60
    assert {name: seen[name] for name in FOREIGN if seen[name] is not None} == {
        name: value for name, value in kernel_environment().items() if name in FOREIGN
    }
    assert os.environ["MPLBACKEND"] == "Agg"  # the caller's own is left as it was


def test_the_instruction_set_is_said_in_full_and_is_not_the_hosts():
    fixed = kernel_environment()
    if "NUMBA_CPU_NAME" not in fixed:  # no x86-64 with AVX2: nothing is forced on it
        assert not {"OPENBLAS_CORETYPE", "NUMBA_CPU_FEATURES"} & set(fixed)
        return
    features = fixed["NUMBA_CPU_FEATURES"].split(",")
    assert {"+avx2", "+fma", "-avx512f"} <= set(features) and len(features) == len(set(features))
    code = (
        "from numba.core.registry import cpu_target as c\n"
        "print(c.target_context.codegen().magic_tuple()[1:])"
    )
    with stage_environment():
        said = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
    assert said.stdout.strip() == str(("haswell", fixed["NUMBA_CPU_FEATURES"]))


@pytest.mark.slow
def test_a_lost_picture_is_an_error_and_leaves_the_last_good_page(tmp_path):
    draw = "import matplotlib\n{}import pandas as pd\npd.Series([1.0, 2.0]).plot();"
    notebook = toy_project(tmp_path, draw.format(""))
    page = tmp_path / run_stage(notebook, project=tmp_path).notebook
    good = page.read_bytes()
    toy_project(tmp_path, draw.format("matplotlib.use('agg')\n"))
    with pytest.raises(PipelineError, match="no picture in cell 3"):
        run_stage(notebook, project=tmp_path)
    assert page.read_bytes() == good and (tmp_path / "failed/draw.ipynb").exists()


def test_a_copied_project_does_not_run_the_originals_code(tmp_path, monkeypatch, capsys):
    notebook = toy_project(tmp_path, "1")
    shutil.copytree(ROOT / "quantlab", tmp_path / "quantlab")
    with pytest.raises(PipelineError, match="not this project's.*needs its own environment"):
        run_stage(notebook, project=tmp_path)
    assert not (tmp_path / "artifacts").exists()
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1 and "make env" in capsys.readouterr().out
    assert import_problems(ROOT) == []


@pytest.mark.parametrize("name", ["numpy", "json", "sklearn", "exchange_calendars"])
def test_a_file_that_hides_a_library_is_named(name, tmp_path):
    notebook = toy_project(tmp_path, "1")
    (tmp_path / "prices.py").touch()
    assert import_problems(tmp_path) == []
    (tmp_path / f"{name}.py").touch()
    with pytest.raises(PipelineError, match=f"{name}.py .* hides the module {name}; rename"):
        run_stage(notebook, project=tmp_path)


def test_a_hidden_library_ends_the_command_in_a_sentence_too(tmp_path):
    (tmp_path / "numpy.py").touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    code = "from quantlab.cli import main; raise SystemExit(main(['check']))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 1 and run.stderr.count("\n") == 1
    assert "numpy.py" in run.stderr and "hides the module numpy" in run.stderr


def test_what_stops_dvc_is_said_before_it_runs(tmp_path):
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = store\n")
    assert len(machine_problems(tmp_path)) == 1  # no git
    assert "core.no_scm true" in machine_problems(tmp_path)[0]
    (tmp_path / ".git").mkdir()
    assert machine_problems(tmp_path) == []
    rwlock = tmp_path / ".dvc/tmp/rwlock"
    for text, bad in [("{}", False), ("", False), ('{"/a/data": {"read": [', True)]:
        rwlock.write_text(text)
        assert bool(machine_problems(tmp_path)) == bad
    assert "rm .dvc/tmp/rwlock" in machine_problems(tmp_path)[0]
    rwlock.unlink()
    (tmp_path / "dvc.lock").write_text(
        "stages:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> b\n"
    )
    assert "conflict markers in line 2" in machine_problems(tmp_path)[0]


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml"])
@pytest.mark.parametrize(
    "text, words",
    [
        ("<<<<<<< HEAD\na: 1\n", "conflict markers in line 1"),
        ("a: [", "YAML near line"),
        ("[1]", "hold"),
    ],
)
def test_spoiled_settings_end_in_one_sentence(name, text, words, tmp_path, monkeypatch, capsys):
    notebook = toy_project(tmp_path, "1")
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    error = capsys.readouterr().err
    assert words in error and error.startswith("quantlab: ") and error.count("\n") == 1
    if name == "params.yaml":
        assert main(["run", notebook.name]) == 1 and words in capsys.readouterr().err


@pytest.mark.slow
def test_outputs_left_in_a_stage_notebook_are_found_and_the_command_cleans_them(tmp_path):
    for name in ("dvc.yaml", "params.yaml", "pyproject.toml", "data.dvc"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "nbs/stages", tmp_path / "nbs/stages")
    shutil.copytree(ROOT / "quantlab", tmp_path / "quantlab")
    assert check_project(tmp_path).problems == ()
    path = next((tmp_path / "nbs/stages").glob("03_*.ipynb"))
    nb = nbformat.read(path, as_version=4)
    nb.metadata["language_info"] = {"name": "python", "version": "3.11.7"}
    nbformat.write(nb, path)
    assert "`quantlab check --write` takes them out" in check_project(tmp_path).problems[0]
    cell = next(c for c in nb.cells if c.cell_type == "code")
    cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("stream", text="x\n")]
    nbformat.write(nb, path)
    assert len(check_project(tmp_path).problems) == 1
    recipe = (ROOT / "Makefile").read_text().split("\nexport: env")[1].split("\n\n")[0]
    commands = [re.sub(r"^\t@\$\(BIN\)/", "", line) for line in recipe.splitlines()[1:]]
    assert commands[0] == "nbdev-export" and len(commands) == 3
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("IN_TEST", None)
    for command in commands[1:]:
        subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, check=True, capture_output=True
        )
    assert path.read_bytes() == (ROOT / "nbs/stages" / path.name).read_bytes()


@pytest.fixture
def reproduced(tmp_path):
    "A committed project of one stage, and a function that fills DVC's cache"
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  fit:\n    cmd: x\n    outs: [artifacts/t, reports/fit.html]\n"
        "    metrics: [artifacts/metrics/fit.json]\n"
    )
    write_metrics(
        tmp_path / "artifacts/metrics/fit.json", {"sharpe": 0.5, "names": ["A"], "zero": 1e-17}
    )
    table = tmp_path / "artifacts/t/a.parquet"
    write_table(table, pd.DataFrame({"x": [1.0, np.nan], "y": ["a", "b"]}))
    listing = json.dumps([{"md5": file_md5(table), "relpath": "a.parquet"}])
    (tmp_path / "reports").mkdir()
    page = tmp_path / "reports/fit.html"
    page.write_text("0.5")
    listed = tmp_path / "listing"
    listed.write_text(listing)
    md5 = file_md5(listed)
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  fit:\n    outs:\n"
        f"    - path: artifacts/t\n      md5: {md5}.dir\n"
        f"    - path: reports/fit.html\n      md5: {file_md5(page)}\n"
    )
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "dvc.yaml", "dvc.lock", "artifacts/metrics")
    git(tmp_path, "commit", "-qm", "first")
    cache = tmp_path / ".dvc/cache/files/md5"

    def keep():
        for content, name in ((listed, f"{md5}.dir"), (table, file_md5(table))):
            (cache / name[:2]).mkdir(parents=True, exist_ok=True)
            shutil.copy(content, cache / name[:2] / name[2:])

    return tmp_path, keep


def test_the_same_bytes_are_identical_and_the_command_says_so(reproduced, monkeypatch, capsys):
    project, _ = reproduced
    monkeypatch.chdir(project)
    assert main(["check", "--reproduced"]) == 0
    assert "identical to commit" in capsys.readouterr().out


def test_last_digits_are_equal_and_a_number_is_not(reproduced, monkeypatch, capsys):
    project, keep = reproduced
    keep()
    metrics, table = project / "artifacts/metrics/fit.json", project / "artifacts/t/a.parquet"
    write_metrics(metrics, {"sharpe": 0.5 * (1 + 1e-12), "names": ["A"], "zero": -3e-16})
    write_table(table, pd.DataFrame({"x": [1.0 + 1e-11, np.nan], "y": ["a", "b"]}))
    (project / "reports/fit.html").write_text("0.5000")
    outcome = check_reproduced(project)
    assert outcome.ok and "equal to 1e-9" in outcome.sentence and "git restore" in outcome.sentence
    assert outcome.n_unseen == 0 and outcome.n_numbers == 4 and 9e-12 < outcome.largest < 1.1e-11
    assert not check_reproduced(project, tolerance=1e-13).ok
    for change in (
        {"sharpe": 0.5 * (1 + 1e-8), "names": ["A"], "zero": 0.0},
        {"sharpe": None, "names": ["A"], "zero": 0.0},
        {"sharpe": 0.5, "names": ["B"], "zero": 0.0},
        {"sharpe": 0.5, "names": ["A", "B"], "zero": 0.0},
        {"sharpe": 0.5, "names": ["A"]},
    ):
        write_metrics(metrics, change)
        assert len(check_reproduced(project).differences) == 1, change
    monkeypatch.chdir(project)
    assert main(["check", "--reproduced"]) == 1
    assert "Not reproduced: 1 difference" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changed",
    [
        {"x": [1.0, 2.0], "y": ["a", "b"]},
        {"x": [1.0001, np.nan], "y": ["a", "b"]},
        {"x": [1.0, np.nan], "y": ["a", "c"]},
        {"x": [1.0], "y": ["a"]},
        {"z": [1.0, np.nan], "y": ["a", "b"]},
    ],
)
def test_another_table_is_found_where_the_committed_one_is_at_hand(changed, reproduced):
    project, keep = reproduced
    table = project / "artifacts/t/a.parquet"
    keep()
    write_table(table, pd.DataFrame(changed))
    assert len(check_reproduced(project).differences) == 1
    shutil.rmtree(project / ".dvc")
    outcome = check_reproduced(project)  # nothing to compare with: said, not guessed
    assert (
        outcome.ok
        and outcome.n_unseen == 1
        and "1 table judged by the metrics only" in outcome.sentence
    )
    table.unlink()
    assert "is missing" in check_reproduced(project).differences[0]


def test_a_new_record_or_bundle_is_a_difference(reproduced, tmp_path):
    project, _ = reproduced
    (project / "trials").mkdir()
    (project / "trials/ledger.jsonl").write_text("{}\n")
    assert not check_reproduced(project).ok
    with (
        tempfile.TemporaryDirectory() as elsewhere,
        pytest.raises(PipelineError, match="no commit"),
    ):
        check_reproduced(elsewhere)


@pytest.mark.parametrize("reader", ["true", "head -1"])
@pytest.mark.parametrize("command", ["trials show", "check", "--help"])
def test_a_reader_who_has_gone_is_no_error(command, reader):
    code = f"from quantlab.cli import main; raise SystemExit(main({command.split()}))"
    run = subprocess.run(
        f'{sys.executable} -c "{code}" | {reader}',
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and run.stderr == ""


def test_a_full_disk_ends_in_a_sentence(capsys):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    code = "from quantlab.cli import main; raise SystemExit(main(['trials', 'show']))"
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert run.returncode == 1 and run.stderr == (
        "quantlab: No space left on device; free some space, then run the command again.\n"
    )


CACHE = """\
import os, sys, warnings
access = os.access
os.access = lambda path, mode: False  # as for an arbitrary user in a container
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import quantlab
    from quantlab.validation import overfitting
print(len([w for w in said if "temporary folder" in str(w.message)]), os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.mark.slow
def test_read_only_sources_without_a_home_get_a_folder_for_compiled_kernels():
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "NUMBA_CACHE_DIR")}
    run = subprocess.run(
        [sys.executable, "-c", CACHE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    times, folder = run.stdout.split()
    assert times == "1" and not Path(folder).exists()  # said once, and swept at the end
    named = subprocess.run(
        [sys.executable, "-c", CACHE],
        cwd=ROOT,
        env=environment | {"NUMBA_CACHE_DIR": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert named.stdout.split() == ["0", "/nowhere"]


def make(folder, *arguments):
    "Run make in `folder`"
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "PYTHON")
    }
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_environment_belongs_to_its_folder_and_its_python(tmp_path):
    for name in ("Makefile", "requirements.lock", "settings.ini", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    stamp = tmp_path / ".venv/.installed"
    stamp.write_text(f"{tmp_path}\n")
    assert "Nothing to be done" in make(tmp_path, "env").stdout
    stamp.write_text("/elsewhere/quantlab\n")  # a copied or moved folder
    assert "-m venv --clear" in make(tmp_path, "-n", "env").stdout
    stamp.write_text(f"{tmp_path}\n")
    old = tmp_path / "python-too-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.13 && exit 0\nexit 1\n')
    old.chmod(0o755)
    for wrong in (old, "no-such-python"):
        refused = make(tmp_path, "env", f"PYTHON={wrong}")
        assert refused.returncode != 0 and "is not a Python 3.11 or newer" in refused.stdout
    other = tmp_path / "python-other"
    other.write_text('#!/bin/sh\ncase "$2" in *print*) echo Python 3.99;; esac\n')
    other.chmod(0o755)
    refused = make(tmp_path, "env", f"PYTHON={other}")
    assert refused.returncode != 0 and "remove .venv" in refused.stdout
    assert make(tmp_path, "env", f"PYTHON={sys.executable}").returncode == 0


def test_an_experiments_folder_may_hold_the_code_that_runs_and_no_other(tmp_path):
    folder = tmp_path / ".dvc/tmp/exps/standalone/tmp0"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "quantlab", folder / "quantlab", ignore=skipped)
    shutil.copytree(folder / "quantlab", tmp_path / "quantlab")
    assert import_problems(folder) == []
    assert "not this project's" in import_problems(tmp_path)[0]  # a copied project
    with (folder / "quantlab/errors.py").open("a") as module:
        module.write("# another line\n")
    assert "not this project's" in import_problems(folder)[0]


@pytest.mark.slow
def test_raw_data_that_cannot_be_pulled_is_said_in_one_sentence(tmp_path):
    for name in ("Makefile", "data.dvc", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".dvc/store", tmp_path / ".dvc/store")
    shutil.copy(ROOT / ".dvc/config", tmp_path / ".dvc")
    git(tmp_path, "init", "-q")
    pull = ("-o", "env", "data", f"BIN={Path(sys.executable).parent}")
    quiet = make(tmp_path, *pull)
    assert quiet.returncode == 0 and quiet.stdout == "" and (tmp_path / "data/equity").is_dir()
    (tmp_path / "data/own").mkdir()
    (tmp_path / "data/own/prices.csv").write_text("a,b\n")
    refused = make(tmp_path, *pull)
    assert refused.returncode == 2 and refused.stdout.count("\n") == 1
    assert "DVC would remove data/own/prices.csv" in refused.stdout
    assert "move it out of data/" in refused.stdout
    assert (tmp_path / "data/own/prices.csv").read_text() == "a,b\n"
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / ".dvc/cache")
    (tmp_path / ".dvc/store").rename(tmp_path / "store")
    assert "git restore .dvc/store" in make(tmp_path, *pull).stdout
    config = tmp_path / ".dvc/config"
    config.write_text(config.read_text().replace("store", "elsewhere"))
    assert "remote 'store' doesn't exist" in make(tmp_path, *pull).stdout


def test_repro_checks_first_pulls_by_name_and_ends_with_times_and_the_comparison():
    text = (ROOT / "Makefile").read_text()
    recipe = text.split("\nrepro:")[1].split("\n\n")[0]
    assert recipe.splitlines()[0].startswith(" check")
    order = [
        recipe.index(w) for w in ("data\n", "dvc repro", "times.txt ]; then", "check --reproduced")
    ]
    assert order == sorted(order)
    assert "dvc pull --remote store data.dvc" in text
    assert (
        'core.site_cache_dir "$(CURDIR)/.dvc/tmp/site"' in text
        and "chmod 700 .dvc/tmp/site" in text
    )


def test_no_machine_changes_line_ends(tmp_path):
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    (tmp_path / "ledger.jsonl").write_bytes(b"{}\n{}\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    git(tmp_path, "config", "core.autocrlf", "true")
    (tmp_path / "ledger.jsonl").unlink()
    git(tmp_path, "checkout", "--", "ledger.jsonl")
    assert (tmp_path / "ledger.jsonl").read_bytes() == b"{}\n{}\n"


BLOCKS = re.findall(
    r"```(\w*)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    "A project in which the first stage has run on the sample data"
    folder = tmp_path_factory.mktemp("sample")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "nbs/stages", folder / "nbs/stages")
    (folder / "data").symlink_to(ROOT / "data")
    run_stage(folder / "nbs/stages/01_ingest_prices.ipynb", project=folder)
    return folder


@pytest.mark.slow
def test_every_python_block_of_the_readme_runs(sample, monkeypatch):
    monkeypatch.chdir(sample)
    blocks = [text for kind, text in BLOCKS if kind == "python"]
    assert blocks
    for text in blocks:
        space = {}
        exec(compile(text, "README.md", "exec"), space)
        if "pair" in space:
            assert space["engle_granger"](space["pair"]["KO"], space["pair"]["PEP"]).nobs > 1000


def test_every_shell_block_of_the_readme_is_one_that_works(tmp_path, monkeypatch, capsys):
    shell = [text for kind, text in BLOCKS if not kind]
    assert shell[0].split("\n")[:4] == [
        "git clone REPOSITORY quantlab",
        "cd quantlab",
        "make repro",
        "make test",
    ]
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake (\w+)", readme)) - {"is"} <= targets
    commands = re.findall(r"quantlab ((?:[\w-]+ ?)+)(?:\[([\w|]+)\])?", "".join(shell[1:]))
    called = {
        (words.split()[0], a) for words, actions in commands for a in (actions or "").split("|")
    }
    assert {"run", "check", "plan", "trials", "handoff", "paper", "live", "report"} | {
        "desk",
        "switch",
        "init",
        "dag",
        "new-strategy",
        "new-factor",
        "data",
        "doctor",
        "status",
        "completion",
    } == {c for c, _ in called}
    for command, action in called:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0 and action in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    days = pd.bdate_range("2020-01-01", periods=60, name="date")
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, (60, 3)).cumsum(axis=0))
    pd.DataFrame(prices, days, ["A", "B", "C"]).to_csv("prices.csv")
    lines = [
        line
        for text in shell
        for line in text.splitlines()
        if line.startswith(".venv/bin/quantlab ")
    ]
    assert [line.split()[1:3] for line in lines] == [
        ["init", "../mine"],  # the rest of that block: tests/pipeline/test_project.py
        ["data", "check"],
        *3 * [["trials", "import"]],
    ]
    moves = pd.DataFrame(prices, days, ["A", "B", "C"]).pct_change().dropna()
    moves.to_csv("tried.csv")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for line in [line for line in lines if ".csv" in line]:  # a study and a run: test_imports
        assert main(line.split()[1:]) in (0, 1)
        assert "Traceback" not in capsys.readouterr().err
