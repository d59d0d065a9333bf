"""The site: every notebook is a page, its committed outputs are shown, nothing is run."""

import re

import nbformat
from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def read_notebook(text: str) -> nbformat.NotebookNode:
    "A notebook without its hidden cells and nbdev's directives"
    nb = nbformat.reads(text, 4)
    nb.cells = [c for c in nb.cells if not c.source.startswith(("#| hide", "#| default_exp"))]
    for cell in nb.cells:
        cell.source = re.sub(r"^#\| ?\w+\n", "", cell.source)
    return nb


def write_formula(translator, node) -> None:
    "MathML, which browsers draw by themselves: no script from elsewhere"
    display = "inline" if node.tagname == "math" else "block"
    translator.body.append(convert(node.astext(), display=display))
    raise SkipNode


def setup(app) -> None:
    "Sphinx asks this file for additions"
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))


project = "quantlab"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
napoleon_google_docstring = False
autodoc_typehints = "none"  # the signature has them
autodoc_member_order = "alphabetical"
add_module_names = False
default_role = "code"  # as in the notebooks, `name` is a name
exclude_patterns = ["stages", "project", "**.ipynb_checkpoints"]
nb_custom_formats = {".ipynb": "conf.read_notebook"}
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # reference values are notes, below the level of a section
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "quantlab"
html_show_sphinx = False
html_show_copyright = False
