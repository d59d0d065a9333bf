"""What a notebook shows of a result: what it is, what it says, and what to call next."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import quantlab
from quantlab.results import Result

WINGS = {
    module.name: importlib.import_module(module.name)
    for module in pkgutil.iter_modules(quantlab.__path__, "quantlab.")
    if module.ispkg
}


def _wing(kind: type) -> str:
    "The wing that a class is defined in; the ground below the wings counts as one"
    return ".".join(kind.__module__.split(".")[:2])


def _words(annotation: object) -> set[str]:
    return set(re.findall(r"\w+", getattr(annotation, "__name__", None) or str(annotation)))


def _returned() -> dict[str, type]:
    "Classes of results that a public function, or a method of a public class, gives back"
    public = {f"{w}.{n}": getattr(m, n) for w, m in WINGS.items() for n in m.__all__}
    public["quantlab.simulate.factor_world"] = quantlab.simulate.factor_world
    kinds = {v.__name__: v for v in public.values() if inspect.isclass(v)}
    kinds["FactorWorld"] = quantlab.simulate.FactorWorld
    calls = [v for v in public.values() if inspect.isfunction(v)]
    for kind in list(kinds.values()):
        calls += [v for v in vars(kind).values() if inspect.isfunction(v)]
    said = set().union(*(_words(inspect.signature(c).return_annotation) for c in calls))
    found = {n: k for n, k in kinds.items() if n in said and issubclass(k, Result)}
    return {f"{kind.__module__}.{name}": kind for name, kind in found.items()}


RETURNED = _returned()


def test_the_walk_finds_what_people_call():
    names = {kind.__name__ for kind in RETURNED.values()}
    assert len(names) > 80
    assert {"EngleGrangerResult", "GarchFit", "Judgement", "FactorEvaluation", "Panel"} <= names


@pytest.mark.parametrize("name", RETURNED)
def test_what_a_function_returns_says_its_conclusion(name):
    assert RETURNED[name].sentence is not Result.sentence


def _members(kind: type) -> set[str]:
    return set(dir(kind)) | {f.name for f in dataclasses.fields(kind)}


def _named(chain: ast.AST, kind: type) -> object:
    "What a hint names; None where it is a value, of which nothing more is known"
    parts = ast.unparse(chain).split(".")
    if parts[0] == "result":
        assert len(parts) == 1 or parts[1] in _members(kind), f"no {'.'.join(parts)}"
        found = getattr(kind, parts[1], None) if len(parts) == 2 else None
        return found if inspect.isfunction(found) else None
    if parts[0] == "quantlab":
        found, parts = importlib.import_module(".".join(parts[:2])), parts[2:]
    elif isinstance(chain, ast.Name):
        found = WINGS.get(_wing(kind)) or importlib.import_module(kind.__module__)
    else:
        return None
    for part in parts:
        assert hasattr(found, part), f"no {part} in {found.__name__}"
        found = getattr(found, part)
    return found


def _check_hint(hint: str, kind: type) -> None:
    "Every name of a hint is there, and every call of it is complete"
    node = ast.parse(f"result{hint}" if hint.startswith(".") else hint, mode="eval")
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            _named(part, kind)
        if isinstance(part, ast.Call) and (called := _named(part.func, kind)):
            itself = isinstance(part.func, ast.Attribute) and not inspect.isclass(called)
            itself = itself and ast.unparse(part.func).startswith("result.")
            given = [object()] * (len(part.args) + itself)
            inspect.signature(called).bind(*given, **{k.arg: None for k in part.keywords})


@pytest.mark.parametrize("name", RETURNED)
def test_what_a_card_says_to_call_is_there(name):
    kind = RETURNED[name]
    for hint in kind.NEXT:
        try:
            _check_hint(hint, kind)
        except (AssertionError, TypeError) as fault:
            pytest.fail(f"{name} says {hint!r}: {fault}")


def test_a_hint_that_leads_nowhere_is_found():
    kind = next(k for k in RETURNED.values() if k.__name__ == "EngleGrangerResult")
    for hint in (
        "result.spraed",
        "half_lief(result.spread)",
        "quantlab.review.jugde(result)",
        "quantlab.review.judge(result)",  # without periods_per_year
        "half_life()",
    ):
        with pytest.raises((AssertionError, TypeError)):
            _check_hint(hint, kind)
    _check_hint("half_life(result.spread)", kind)


def _page(cards: list[str]) -> str:
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Cards</title></head>'
    return f"{head}<body><main><h1>Cards</h1>{''.join(cards)}</main></body></html>"


@pytest.fixture(scope="module")
def cards() -> dict[str, str]:
    "Cards of results of several wings: short and long tables, with pictures and without"
    from quantlab.backtest import performance_summary, run_backtest
    from quantlab.cointegration import adf, engle_granger, half_life, johansen
    from quantlab.review import am_i_lucky
    from quantlab.simulate import cointegrated_pair
    from quantlab.volatility import fit_garch

    rng = np.random.default_rng(0)
    y, x = cointegrated_pair(300, rng=rng)
    days = pd.bdate_range("2020-01-01", periods=600)
    returns = pd.DataFrame(rng.normal(0.0005, 0.01, (600, 3)), days, list("abc"))
    pair = engle_granger(y, x)
    one = returns["a"].rename("<b>mine</b> & yours")
    results = [
        pair,
        half_life(pair.spread),
        johansen(pd.concat([y.rename("y"), x.rename("x")], axis=1)),
        adf(y),
        fit_garch(one),
        run_backtest(returns * 0 + 1 / 3, returns),
        performance_summary(one, periods_per_year=252),
        am_i_lucky(one, n_trials=40, periods_per_year=252, n_resamples=2000),
    ]
    return {type(result).__name__: result._repr_html_() for result in results}


def test_a_card_has_what_it_promises(cards):
    for name, card in cards.items():
        assert f"<caption>{name}</caption>" in card and '<th scope="row">' in card
        assert re.search(r'<p class="said"><strong>[^<]{20,}</strong></p>', card), name
        assert "next: <code>" in card
        assert "http" not in card.replace("http://www.w3.org", "") and "<script" not in card
    assert "other direction p" in cards["EngleGrangerResult"]
    assert '<img alt="Spread' in cards["EngleGrangerResult"]
    assert len(cards["EngleGrangerResult"]) < 60_000


def test_what_a_card_is_given_is_escaped(cards):
    assert "<b>mine" not in cards["Judgement"] and "&lt;b&gt;mine" in cards["Judgement"]


def test_a_long_table_is_cut_and_says_so(cards):
    assert cards["PerformanceResult"].count("<tr>") == 20
    assert re.search(r"20 of \d\d rows", cards["PerformanceResult"])
    assert "rows;" not in cards["HalfLifeResult"]


def test_the_same_result_has_the_same_card(cards):
    from quantlab.cointegration import engle_granger
    from quantlab.simulate import cointegrated_pair

    again = engle_granger(*cointegrated_pair(300, rng=np.random.default_rng(0)))
    assert again._repr_html_() == cards["EngleGrangerResult"]


def test_without_matplotlib_a_card_has_no_picture():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np\n"
        "from quantlab.cointegration import engle_granger\n"
        "from quantlab.simulate import cointegrated_pair\n"
        "pair = cointegrated_pair(200, rng=np.random.default_rng(0))\n"
        "card = engle_granger(*pair)._repr_html_()\n"
        "assert '<caption>' in card and '<img' not in card"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_everybody_can_read_a_card(cards, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip(
            "chromium is not installed: apt-get install chromium, to have the cards looked at"
        )
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    (tmp_path / "cards.html").write_text(_page(list(cards.values())), encoding="utf-8")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 400, "height": 900})
        page.goto((tmp_path / "cards.html").as_uri())
        found = Axe().run(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert found.violations_count == 0, found.generate_report()
    assert wide <= 400


def test_the_wings_are_what_the_package_shows():
    faces = {face.parent.name for face in (ROOT / "quantlab").glob("*/__init__.pyi")}
    assert set(dir(quantlab)) == faces | {"simulate"}
    stub = ast.parse((ROOT / "quantlab/__init__.pyi").read_text(encoding="utf-8"))
    names = {a.name for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert names == set(dir(quantlab))
    for name in dir(quantlab):
        assert getattr(quantlab, name).__name__ == f"quantlab.{name}"
    with pytest.raises(AttributeError, match="its wings are backtest, cointegration"):
        _ = quantlab.valuation


def test_to_import_the_package_imports_nothing_heavy():
    code = (
        "import sys\nbefore = set(sys.modules)\nimport quantlab\ndir(quantlab)\n"
        "assert not {'numpy', 'pandas', 'scipy', 'jinja2'} & (set(sys.modules) - before)\n"
        "mine = {m for m in sys.modules if m.startswith('quantlab')}\n"
        "assert mine == {'quantlab'}, mine\n"
        "quantlab.validation.deflated_sharpe_ratio\n"
        "assert not {'arch', 'vectorbt', 'matplotlib', 'jinja2', 'IPython'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_card_of_a_volatility_fit_says_how_risky_the_next_period_is():
    days = pd.bdate_range("2015-01-05", periods=2000)
    steps = quantlab.simulate.garch(2000, alpha=0.08, beta=0.9, rng=np.random.default_rng(0))
    returns = pd.Series(100 * steps["returns"].to_numpy(), days)
    fit = quantlab.volatility.fit_garch(returns)
    deviation = float(np.sqrt(fit.forecast(1).iloc[0]))
    loss = 2.3263479 * deviation - float(fit.params["mu"])
    said = fit.sentence()
    assert f"volatility is {deviation:.3g} and its value at risk at 1 % {loss:.3g}" in said, said
    prices = np.exp(returns.cumsum() / 100)
    assert quantlab.volatility.fit_garch(prices).sentence().startswith("Not to be relied on. ")


def test_the_card_of_a_full_rank_finds_no_cointegration():
    noise = pd.DataFrame(np.random.default_rng(0).normal(size=(500, 2)), columns=["A", "B"])
    found = quantlab.cointegration.johansen(noise)
    assert found.rank() == 2
    assert "nothing to be cointegrated" in found.sentence()


def test_the_card_of_a_small_screen_does_not_round_chance_to_nothing():
    walks = quantlab.simulate.random_walks(300, 2, rng=np.random.default_rng(0))
    assert quantlab.cointegration.screen_pairs(walks).sentence().endswith("show about 0.1.")


def test_a_misspelt_factor_is_answered_with_the_ones_that_were_meant():
    with pytest.raises(KeyError, match="did you mean 'momentum_6_1' or 'momentum_12_1'"):
        quantlab.factors.LIBRARY["momentum"]
    assert quantlab.factors.LIBRARY.get("momentum") is None


def test_tab_on_the_worlds_shows_the_worlds():
    assert set(dir(quantlab.simulate)) == set(quantlab.simulate.__all__)
