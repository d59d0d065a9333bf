"""The site: every notebook is a page, its committed outputs are shown, nothing of it is run.

Three marks in a page of Markdown are filled in here: `rooms` lists the notebooks of a folder by
title and question, `names` describes the public names of a module, and `commands` shows each
command with what it answers.
"""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import nbformat
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.addnodes import desc, desc_parameter, desc_signature, pending_xref

NOTEBOOKS = Path(__file__).parent
WINGS = sorted(p.parent.name for p in (NOTEBOOKS.parent / "quantlab").glob("*/__init__.pyi"))
LONG = 25  # lines of code, from which on a definition is folded


def _defined(tree: ast.Module) -> list[str]:
    "Names of the functions and classes at the top of a cell"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds)]


def fold(cell: nbformat.NotebookNode) -> None:
    "Fold the code of imports and of long definitions; what a cell gave is never folded"
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:  # a magic of Jupyter
        return
    names, lines = _defined(tree), len(cell.source.splitlines())
    if tree.body and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body):
        said = "imports"
    elif names and lines > LONG:
        said = f"{', '.join(names)}: {lines} lines"
    else:
        return
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    cell.metadata["mystnb"] = {"code_prompt_show": said, "code_prompt_hide": said}


def read_notebook(text: str) -> nbformat.NotebookNode:
    "A notebook without its hidden cells and nbdev's directives, its imports folded"
    nb = nbformat.reads(text, 4)
    nb.cells = [c for c in nb.cells if not c.source.startswith(("#| hide", "#| default_exp"))]
    for cell in nb.cells:
        cell.source = re.sub(r"^#\| ?\w+\n", "", cell.source)
        if cell.cell_type == "code":
            fold(cell)
    return nb


def _number(path: Path) -> list:
    "Order of a notebook: 2 before 10"
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def rooms(pattern: str) -> str:
    "The notebooks of `pattern`: their titles, their questions, and a tree of them for the sidebar"
    listed, tree = [], []
    for path in sorted(NOTEBOOKS.glob(f"{pattern}.ipynb"), key=_number):
        cells = nbformat.read(path, 4).cells
        first = next(c.source for c in cells if c.cell_type == "markdown")
        question = " ".join(re.findall(r"^> ?(.*)", first, re.MULTILINE))
        page = f"/{path.relative_to(NOTEBOOKS).with_suffix('').as_posix()}"
        listed.append(f"{{doc}}`{page}`\n: {question}\n")
        tree.append(page)
    return "\n".join([*listed, "```{toctree}", ":hidden:", "", *tree, "```"])


def _rooms_of(module: str) -> dict[str, list[str]]:
    "Public names of a module, by the module that defines them; a wing's in the order of its stub"
    stub = Path(importlib.import_module(module).__file__).with_suffix(".pyi")
    if not stub.exists():
        return {module: importlib.import_module(module).__all__}
    found = defaultdict(list)
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            home = f"{module}.{node.module}" if node.level else node.module
            found[home] += [alias.name for alias in node.names]
    return found


@cache
def public_paths() -> dict[str, list[str]]:
    "Where each public name is described, by the name alone; of two wings it is its own"
    paths = defaultdict(list)
    for module in [f"quantlab.{wing}" for wing in WINGS] + ["quantlab.errors", "quantlab.simulate"]:
        for home, names in _rooms_of(module).items():
            for name in names:
                if _own(module, home):
                    paths[name].append(f"{module}.{name}")
    return paths


def _own(module: str, home: str) -> bool:
    "Is what `home` defines described with `module`, and with no other wing?"
    wing = home.split(".")[1]
    return wing == module.split(".")[1] or wing not in WINGS


def _kind(value: object) -> str:
    "What autodoc calls it"
    return "class" if inspect.isclass(value) else "function" if callable(value) else "data"


def _constant(module: str, name: str) -> str:
    "What a name stands for that is no function and no class"
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, dict):
        return f"A dictionary of {len(value)}: {', '.join(f'`{key}`' for key in value)}."
    return f"`{value}`" if isinstance(value, (str, int, float)) else f"`{type(value).__name__}`."


def _entry(module: str, home: str, name: str) -> str:
    "The directive that describes one name"
    kind = _kind(getattr(importlib.import_module(module), name))
    if not _own(module, home):
        there = f":py:obj:`quantlab.{home.split('.')[1]}.{name}`"
        head = f".. py:{kind}:: {module}.{name}\n   :no-contents-entry:"
        return f"{head}\n\n   The same as {there}.\n"
    if kind == "data":
        return f".. py:data:: {module}.{name}\n\n   {_constant(module, name)}\n"
    return f".. auto{kind}:: {module}.{name}\n" + "   :members:\n" * (kind == "class")


def _line(module: str, home: str, name: str) -> str:
    "A row of the table at the top: the name and the first sentence said of it"
    value = getattr(importlib.import_module(module), name)
    said = (inspect.getdoc(value) or "") if _kind(value) != "data" else _constant(module, name)
    said = " ".join(said.split("\n\n")[0].split()).replace("|", "\\|")
    return f"| {{py:obj}}`{name} <{module}.{name}>` | {said} |"


def names(module: str) -> str:
    "What a module offers: a table of all names, then each, by the page that defines it"
    homes = _rooms_of(module)
    table = [_line(module, home, name) for home, all_names in homes.items() for name in all_names]
    parts = ["\n".join(["| Name | What it is |", "|---|---|", *table])]
    for home, all_names in homes.items():
        source = Path(importlib.import_module(home).__file__).read_text(encoding="utf-8")
        page = re.search(r"File to edit: (?:\.\./)+nbs/(.+?)\.ipynb", source).group(1)
        entries = "\n".join(_entry(module, home, name) for name in all_names)
        first = nbformat.read(NOTEBOOKS / f"{page}.ipynb", 4).cells
        title = next(c.source for c in first if c.cell_type == "markdown").splitlines()[0]
        parts.append(f"## {title.removeprefix('# ')}\n\nFrom the page {{doc}}`/{page}`.\n")
        parts.append(f"```{{eval-rst}}\n{entries}\n```")
    return "\n\n".join(parts)


def commands(examples: str) -> str:
    "Each command with its help and what it answers, from running it"
    script = NOTEBOOKS / "reference" / "examples.py"
    done = subprocess.run(
        [sys.executable, str(script)], input=examples, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script.name} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


MARKS = {"rooms": rooms, "names": names, "commands": commands}


def fill(app, page: str, source: list[str]) -> None:
    "Put what a mark stands for in its place"
    if app.env.doc2path(page).suffix != ".md":
        return
    mark = re.compile(rf"^<!-- ({'|'.join(MARKS)}):\s(.*?)\s-->$", re.MULTILINE | re.DOTALL)
    if mark.search(source[0]):
        app.env.note_reread()  # what it stands for may have changed though the page did not
    source[0] = mark.sub(lambda found: MARKS[found[1]](found[2]), source[0])


def _arguments(code: nodes.Node) -> set[str]:
    "Names of the arguments of what is described around `code`: they are no public names there"
    while code is not None and not isinstance(code, desc):
        code = code.parent
    found = code.findall(desc_parameter) if code is not None else ()
    return {re.match(r"[*\w]*", argument.astext())[0] for argument in found}


def _outside(code: nodes.Node) -> bool:
    "Is `code` in no link, no title and no signature?"
    while (code := code.parent) is not None:
        if isinstance(code, (nodes.reference, nodes.title, pending_xref, desc_signature)):
            return False
    return True


def link_names(app, tree: nodes.document) -> None:
    """A public name in code, wherever it stands in a text, leads to its description.

    A plain word (`rank`) may mean much else, and does so only with its brackets.
    """
    for code in list(tree.findall(nodes.literal)):
        name = code.astext().removesuffix("()")
        paths = public_paths().get(name.rpartition(".")[2], [])
        paths = [path for path in paths if path == name] or (paths if "." not in name else [])
        plain = name.isalpha() and name.islower() and name == code.astext()
        if len(paths) == 1 and not plain and _outside(code) and name not in _arguments(code):
            link = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=paths[0], refexplicit=True,
                refdoc=app.env.docname, refwarn=True,
            )  # fmt: skip
            code.replace_self(link)
            link += code


def narrow(app, page: str, template: str, context: dict, tree) -> None:
    "The sidebar opens the part that is read: all pages on every page would be most of the site"
    if whole := context.get("toctree"):
        context["toctree"] = lambda **options: whole(**options | {"collapse": True}).replace(
            'role="heading"', 'role="heading" aria-level="2"'
        )


def write_formula(translator, node) -> None:
    "MathML, which browsers draw by themselves: no script from elsewhere"
    display = "inline" if node.tagname == "math" else "block"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app) -> dict[str, bool]:
    "Sphinx asks this file for additions"
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("source-read", fill)
    app.connect("doctree-read", link_names)
    app.connect("html-page-context", narrow, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


project = "quantlab"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
napoleon_google_docstring = False
napoleon_use_param = False  # types are prose ("array-like, 1-D"), not names to look up
napoleon_use_rtype = False
autodoc_typehints = "none"  # the description of each parameter says what it may be
autodoc_preserve_defaults = True  # as they are written, not as they print
python_maximum_signature_line_length = 78
default_role = "code"  # as in the notebooks, `name` is a name
exclude_patterns = ["stages", "project", "**.ipynb_checkpoints"]
nb_custom_formats = {".ipynb": "conf.read_notebook"}
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # reference values are notes, below the level of a section
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "quantlab"
html_static_path = ["reference/static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it is fetched page by page, which a browser refuses for files
html_show_sphinx = False
html_show_copyright = False
