"""Every library notebook runs from top to bottom, and the library is what the notebooks export."""

import ast
import multiprocessing
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

import quantlab

NOTEBOOKS = sorted(
    p
    for p in (ROOT / "nbs").rglob("[0-9]*.ipynb")
    if "stages" not in p.parts and ".ipynb_checkpoints" not in p.parts
)


# Each notebook runs in a process of its own, forked off one that has imported what most of them do
PROCESSES = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
if hasattr(PROCESSES, "set_forkserver_preload"):
    PROCESSES.set_forkserver_preload(
        ["matplotlib.pyplot", "scipy.stats", "statsmodels.api", "arch", "nbdev.test"]
        + [module.name for module in pkgutil.walk_packages(quantlab.__path__, "quantlab.")]
    )


def run_notebook(path, answer):
    "Send nothing where every cell ran, else what the one that did not has said"
    from nbdev.test import test_nb

    with tempfile.TemporaryFile() as said:
        for stream in (1, 2):  # the shell writes to these, whatever `sys.stdout` is
            os.dup2(said.fileno(), stream)
        passed, _ = test_nb(Path(path))
        sys.stdout.flush()
        said.seek(0)
        text = said.read().decode(errors="replace")
    answer.send("" if passed else text or "it failed without a word")


def fault_of(path):
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=run_notebook, args=(path, there))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(600) else "it took longer than 600 seconds"
    except EOFError:
        return "its process ended"
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT / "nbs").as_posix())
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("IN_TEST", "1")
    fault = fault_of(path)
    assert not fault, fault


def test_a_notebook_that_fails_says_where(tmp_path):
    for name, source, said in [
        ("1_wrong", "assert 1 + 1 == 3, 'sums are off'", "sums are off"),
        ("2_gone", "import os; os._exit(1)", "its process ended"),
        ("3_right", "assert 1 + 1 == 2", ""),
    ]:
        path = tmp_path / f"{name}.ipynb"
        cells = [nbformat.v4.new_markdown_cell("# A"), nbformat.v4.new_code_cell(source)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        assert said in fault_of(path) and bool(said) == bool(fault_of(path))


def test_library_is_what_the_notebooks_export(tmp_path):
    for name in ("nbs", "quantlab"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "IN_TEST"}
    for command in ("nbdev-export", "nbdev-clean"):
        program = shutil.which(command, path=os.path.dirname(sys.executable)) or command
        subprocess.run([program], cwd=tmp_path, check=True, env=environment, capture_output=True)
    for name in ("nbs", "quantlab"):
        for copy in sorted((tmp_path / name).rglob("*")):
            if copy.suffix in {".py", ".ipynb"}:
                original = ROOT / copy.relative_to(tmp_path)
                assert original.is_file(), f"{original} is missing: run nbdev-export"
                assert original.read_bytes() == copy.read_bytes(), f"{original}: run nbdev-export"
    generated = {p.relative_to(ROOT) for p in (ROOT / "quantlab").rglob("*.py")}
    assert generated == {p.relative_to(tmp_path) for p in (tmp_path / "quantlab").rglob("*.py")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT / "nbs").as_posix())
def test_notebook_begins_with_title_and_subtitle_and_is_clean(path):
    nb = nbformat.read(path, as_version=4)
    first = next(c.source for c in nb.cells if c.cell_type == "markdown")
    assert first.startswith("# ") and "\n> " in first
    assert all(c.get("execution_count") is None for c in nb.cells)
    for cell in nb.cells:
        assert not any(o.output_type == "error" for o in cell.get("outputs", []))
        assert "ipykernel_" not in str(cell.get("outputs", [])), "a warning with a path is stored"


def _code_lines(source: str) -> int:
    "Lines of an exported cell without its directive and docstrings"
    tree = ast.parse(source)
    documented = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and ast.get_docstring(node)
    ]
    docstrings = sum(n.body[0].end_lineno - n.body[0].lineno + 1 for n in documented)
    return len(source.splitlines()) - 1 - docstrings


def _exported() -> dict[str, list[str]]:
    "Exported cells of each notebook of the library"
    return {
        path.name: [c.source for c in nbformat.read(path, as_version=4).cells if _is_exported(c)]
        for path in NOTEBOOKS
        if path.parent.name not in ("stages", "tutorials")
    }


def _is_exported(cell) -> bool:
    return cell.cell_type == "code" and cell.source.startswith("#| export")


def test_exported_cells_and_notebooks_grow_no_longer():
    "A ratchet: the bounds are what was reached, and are only ever lowered"
    lines = {name: [_code_lines(text) for text in cells] for name, cells in _exported().items()}
    cells = [n for counts in lines.values() for n in counts]
    assert max(cells) <= 185  # the ledger, one class
    assert sum(n > 60 for n in cells) <= 15
    assert sum(sum(counts) > 350 for counts in lines.values()) <= 7


def test_exported_code_keeps_to_a_hundred_columns():
    "quantlab/ itself has longer lines only where nbdev writes them: titles and `__all__`"
    long = {
        name: line
        for name, cells in _exported().items()
        for line in "\n".join(cells).splitlines()
        if len(line) > 100
    }
    assert not long
