"""The house: layers, one source for the settings, a lock without addresses, the contracts."""

import ast
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from configparser import ConfigParser
from types import ModuleType

import pytest
from conftest import REFERENCE, ROOT, TOGETHER

from quantlab.contracts import check_project

SETTINGS = ConfigParser(delimiters=["="], comment_prefixes=[";"])
SETTINGS.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]


def position(source: str) -> tuple[int, int]:
    "(wing, room) of a module: the numbers in the path of the notebook it is exported from"
    path = re.search(r"File to edit: (?:\.\./)+nbs/(.+?)\.ipynb", source).group(1)
    wing, _, room = path.partition("/")
    return int(wing.split("_")[0]), int(room.split("_")[0]) if room else 0


MODULES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts): p
    for p in sorted((ROOT / "quantlab").rglob("*.py"))
    if p.name not in {"__init__.py", "_modidx.py"}
}
POSITIONS = {name: position(p.read_text(encoding="utf-8")) for name, p in MODULES.items()}


def imported(name: str) -> set[str]:
    "Modules of the library that the module `name` imports, anywhere in it"
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            full = ".".join([*base, node.module] if node.module else base)
            if full.split(".")[0] == "quantlab":
                found |= {full, *(f"{full}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.split(".")[0] == "quantlab"}
    return found


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_point_downwards(name):
    for other in imported(name) & set(MODULES):
        assert POSITIONS[other] < POSITIONS[name], f"{name} imports {other}"
        siblings = {POSITIONS[other][0], POSITIONS[name][0]}
        assert len(siblings) == 1 or not all(30 <= wing < 60 for wing in siblings), (
            f"{name} imports its sibling {other}"
        )
    faces = {
        m for m in imported(name) if m in {n.rpartition(".")[0] for n in MODULES} - {"quantlab"}
    }
    rooms = {m.rpartition(".")[0] for m in imported(name) & set(MODULES)}
    if POSITIONS[name][0] < 90:  # plumbing may use the faces, as a user does
        assert faces <= rooms, f"{name} imports from the face of {faces - rooms}; name the room"


@pytest.mark.parametrize("name", MODULES)
def test_a_private_name_stays_in_its_room(name):
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        own = isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").startswith("quantlab")
        )
        private = [a.name for a in node.names if a.name.startswith("_")] if own else []
        assert set(private) <= {"__version__"}, f"{name} imports {', '.join(private)}"


@pytest.mark.parametrize("name", MODULES)
def test_no_module_needs_what_only_posix_has(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    modules = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    modules += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    assert not {"fcntl", "resource", "pwd", "grp", "termios"} & set(modules), name


@pytest.mark.parametrize("name", MODULES)
def test_below_the_pipeline_nothing_prints_or_imports_its_tools(name):
    if POSITIONS[name][0] >= 90:
        return
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{name} prints"
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += (
            [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        )
        assert not {m.split(".")[0] for m in modules} & {"fastcore", "nbdev", "papermill"}


def test_nothing_in_the_library_uses_the_global_random_state_or_the_clock():
    forbidden = re.compile(
        r"np\.random\.(seed|rand|randn|normal|choice)\(|Timestamp\.now|datetime\.now|\.today\(\)|"
        r"time\.time\("
    )
    asked = {"quantlab.bundle_arguments", "quantlab.ledger_commands", "quantlab.trading.killswitch"}
    asked |= {"quantlab.live.clock"}  # an engine that waits is given one
    for name, path in MODULES.items():
        if name not in asked:
            assert not forbidden.search(path.read_text(encoding="utf-8")), name


def test_every_name_of_a_wing_can_be_imported():
    import importlib

    wings = sorted({n.rpartition(".")[0] for n in MODULES} - {"quantlab"})
    for wing in map(importlib.import_module, wings):
        for name in wing.__all__:
            assert not isinstance(getattr(wing, name), ModuleType), f"{wing.__name__}.{name}"


def test_a_room_does_not_hide_the_function_of_its_name():
    code = (
        "import quantlab.cointegration.engle_granger\n"
        "from quantlab.cointegration import engle_granger\n"
        "assert callable(engle_granger)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_needs_no_heavy_library(option):
    code = (
        "import sys\nfrom quantlab.cli import main\n"
        f"try: main(['{option}'])\nexcept SystemExit: pass\n"
        "heavy = {'pandas', 'numpy', 'statsmodels', 'arch', 'vectorbt', 'numba', 'papermill'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_settings_and_pyproject_agree():
    nbdev = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["nbdev"]
    for name in ("nbs_path", "lib_path", "doc_path"):
        assert nbdev[name] == SETTINGS[name]
    assert "tags" in nbdev["allowed_cell_metadata_keys"]


def test_every_dependency_has_a_lower_bound_and_a_reason():
    groups = [key for key in SETTINGS if key.endswith("requirements")]
    assert {"requirements", "live_requirements"} <= set(groups)
    for group in groups:
        for line in filter(None, map(str.strip, SETTINGS[group].splitlines())):
            requirement, _, reason = line.partition(";")
            assert ">=" in requirement and reason.strip(), line


def test_lock_has_hashes_and_no_address():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock and "index-url" not in lock and "find-links" not in lock
    packages = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(packages) > 100 and all("==" in p for p in packages)
    assert lock.count("--hash=sha256:") >= len(packages)


def test_stages_parameters_and_notebooks_agree():
    check = check_project(ROOT)
    assert check.ok, "\n".join(check.problems)
    assert check.n_stages == 15


def _stages() -> dict[str, dict]:
    import yaml

    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_only_one_stage_can_see_the_holdout():
    stages = _stages()
    readers = {s for s, spec in stages.items() if any("sealed" in str(d) for d in spec["deps"])}
    assert readers == {"confirm_holdout"}
    for notebook in (ROOT / "nbs/stages").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8")
        if "artifacts/sealed" in text:
            assert notebook.stem.endswith(("ingest_prices", "confirm_holdout")), notebook.name


def _rerun(first: set[str]) -> set[str]:
    "The stages that DVC runs again, when `first` do and make something else"
    path = lambda entry: entry if isinstance(entry, str) else next(iter(entry))
    stages, rerun = _stages(), set(first)
    made = {
        s: {*map(path, v.get("outs", [])), *map(path, v.get("metrics", []))}
        for s, v in stages.items()
    }
    while (
        more := {s for s, v in stages.items() if any(set(v["deps"]) & made[r] for r in rerun)}
        - rerun
    ):
        rerun |= more
    return rerun


def test_a_changed_threshold_reruns_validate_and_what_follows():
    first = {s for s, v in _stages().items() if "validate" in v.get("params", [])}
    assert first == {"validate"}
    follow = {"confirm_holdout", "handoff_paper", "paper_replay", "build_dossier", "render_pages"}
    assert _rerun(first) == {"validate", *follow}


@pytest.mark.parametrize(
    "module",
    [
        "quantlab/pages.py",
        "quantlab/rendering.py",
        "quantlab/files/page.css",
        "quantlab/files/page.html",
    ],
)
def test_a_changed_look_of_the_pages_computes_nothing_again(module):
    first = {s for s, v in _stages().items() if module in v["deps"]}
    assert "render_pages" in first
    assert _rerun(first) <= {"build_dossier", "render_pages"}


# a page that DVC fills itself, and the sentences of the dossier's template
MARKUP = {"quantlab.dvc_plots"}


def test_a_look_is_a_template_and_no_text_in_code():
    "Whoever restyles a page edits a file of the package; markup in code would need somebody else"
    tag = re.compile(
        r"</?(p|div|span|table|th|td|tr|ul|ol|li|h[1-6]|figure|nav|details|style)\b[^>]*>"
    )
    for name, path in MODULES.items():
        if name in MARKUP:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            assert not (isinstance(text, str) and tag.search(text)), f"{name}: {text!r:.80}"


def test_tests_that_share_a_project_stay_in_one_process(tmp_path):
    "The marks of the plugin did so until a release of pytest, and then, without a word, no longer"
    assert {path.name for path in (ROOT / "tests").rglob("test_*.py")} >= TOGETHER
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "reference").mkdir()
    shutil.copy(REFERENCE / "references.json", tmp_path / "reference")
    test = """
        import os
        import time
        from pathlib import Path

        import pytest

        @pytest.mark.parametrize("n", range(NUMBER))
        def test_where(n):
            worker = os.environ["PYTEST_XDIST_WORKER"]
            Path("here-" + worker).touch()
            while len(list(Path(".").glob("here-*"))) < 2:  # until the slower of the two is there
                time.sleep(0.01)
            time.sleep(0.05)
            with open("where.txt", "a") as file:
                print(__name__, worker, file=file)
    """
    for name, number in {"test_mistakes.py": "3", "test_single.py": "30"}.items():
        (tmp_path / name).write_text(textwrap.dedent(test.replace("NUMBER", number)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    where = {tuple(line.split()) for line in (tmp_path / "where.txt").read_text().splitlines()}
    workers = lambda module: {worker for name, worker in where if name == module}
    assert len(workers("test_mistakes")) == 1 and len(workers("test_single")) == 2
