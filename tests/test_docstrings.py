"""What Shift-Tab shows of a public name: what it takes, what it gives, and an example that runs."""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable

import pytest

from quantlab import errors
from quantlab.errors import QuantlabError

WINGS = (
    "data",
    "validation",
    "cointegration",
    "volatility",
    "factors",
    "microstructure",
    "backtest",
    "review",
    "handoff",
    "live",
)
NAMES = {
    f"{wing}.{name}": getattr(module, name)
    for wing in WINGS
    for module in [importlib.import_module(f"quantlab.{wing}")]
    for name in module.__all__
}
FUNCTIONS = {name: found for name, found in NAMES.items() if inspect.isfunction(found)}
EXAMPLES = {
    name: test
    for name, found in NAMES.items()
    if callable(found) and found.__doc__
    for test in doctest.DocTestFinder(recurse=False).find(found, name, globs={})
    if test.examples
}


def _section(text: str, name: str) -> str | None:
    "Text of a numpydoc section, None where there is none"
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines[1:]) if line and not line.strip("-") and lines[i]]
    for start, end in zip(heads, [*heads[1:], len(lines)]):
        if lines[start] == name:
            return "\n".join(lines[start + 2 : end]).strip()
    return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_gives(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    given = inspect.signature(FUNCTIONS[name]).return_annotation
    assert given is not inspect.Signature.empty, f"{name} does not annotate what it returns"
    if given not in (None, "None"):
        section = _section(text, "Returns") or _section(text, "Yields")
        assert section, f"{name} has no section Returns"
        assert "\n    " in section, f"{name} names the type it returns, and not what it is"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_of_a_public_function_has_a_type(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    bare = [str(p) for p in parameters if p.annotation is p.empty]
    assert not bare, f"{name} does not annotate {', '.join(bare)}"


def _raised(function: Callable) -> set[type[QuantlabError]]:
    "Classes of the errors that the function raises itself"
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    names = {ast.unparse(getattr(call, "func", call)) for call in calls}
    return {getattr(errors, name) for name in names if hasattr(errors, name)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_that_raises_says_when(name):
    section = _section(inspect.getdoc(FUNCTIONS[name]) or "", "Raises") or ""
    for error in _raised(FUNCTIONS[name]):
        kinds = {kind.__name__ for kind in error.__mro__ if kind is not QuantlabError}
        assert kinds & set(re.findall(r"\w+", section)), f"{name} raises {error.__name__}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_shows(name):
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    failed = runner.run(EXAMPLES[name], out=said.append).failed
    assert not failed, "".join(said)


def test_the_functions_met_first_have_examples():
    assert len(EXAMPLES) >= 30
