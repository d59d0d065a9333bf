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
    "execution",
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
SHOWN = NAMES | {
    f"{place}.{name}": getattr(module, name)
    for place in ("ledger", "trading", "simulate")
    for module in [importlib.import_module(f"quantlab.{place}")]
    for name in module.__all__
}
EXAMPLES = {
    name: test
    for name, found in SHOWN.items()
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


# those that need a bundle or a finished run are shown on their pages instead
MET_FIRST = """
load_panel check_panel membership_mask simple_returns log_returns forward_returns
probabilistic_sharpe_ratio expected_max_sharpe deflated_sharpe_ratio min_track_record_length
min_backtest_length sharpe_ratio annualized_sharpe_ratio time_aggregation_factor haircut_sharpe
effective_number_of_trials probability_of_backtest_overfitting adjust_pvalues
superior_predictive_ability step_m model_confidence_set WalkForwardSplit PurgedKFold
CombinatorialPurgedSplit Ledger open_trials deflated_sharpe_test judge am_i_lucky
adf kpss phillips_perron zivot_andrews engle_granger johansen phillips_ouliaris screen_pairs
half_life kalman_hedge_ratio ou_fit bertram_thresholds
fit_garch fit_garch_panel rolling_garch har dcc parkinson garman_klass rogers_satchell yang_zhang
backtest_var christoffersen_from_counts kupiec_region backtest_es fit_gpd_tail
winsorize zscore rank neutralize lag evaluate_factor fama_macbeth factor_attribution
hac_standard_errors clustered_standard_errors
CostModel run_backtest lookahead_audit performance_summary
random_walks cointegrated_pair ornstein_uhlenbeck garch factor_world
"""


@pytest.mark.parametrize("name", MET_FIRST.split())
def test_the_functions_met_first_have_examples(name):
    assert any(shown.endswith(f".{name}") for shown in EXAMPLES), f"{name} has no example"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_default_fills_the_screen(name):
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        assert len(repr(parameter.default)) <= 400, f"the default of `{parameter.name}` is long"
