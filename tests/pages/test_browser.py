"""Every kind of page, opened offline in four forms: light, dark, on a phone, on paper."""

import re

import numpy as np
import pandas as pd
import pytest
from browser import FORMS, browser, looking, needs_browser
from conftest import ROOT

from quantlab.backtest import run_backtest, tear_sheet
from quantlab.pages import index_page, render_page
from quantlab.rendering import render_notebook
from quantlab.review import (
    Facts,
    Section,
    equity_curve,
    figure_svg,
    parameter_heatmap,
    reconciliation,
    render_dossier,
    verdict_box,
)
from quantlab.simulate import factor_world

pytestmark = [needs_browser, pytest.mark.slow]
# those of the last run, where there was one
REPORTS = sorted((ROOT / "reports").glob("*.html"))
SENTENCE = "One answer of no is enough to reject, and a fact that nobody measured counts as a no."


def a_dossier():
    "A dossier with each kind of piece: a box, prose, wide and long tables, pictures, a gap"
    criteria = {
        f"criterion_{k}": {
            "value": 0.1 * k,
            "rule": "at least",
            "threshold": 0.95,
            "passed": k > 3,
            "sentence": SENTENCE,
        }
        for k in range(6)
    }
    tries = [{"strategy": f"momentum, lookback {k}", "sharpe": 2 - k / 20} for k in range(40)]
    metrics = {"validate": {"verdict": "rejected", "criteria": criteria, "tries": tries}}
    facts = Facts(metrics, missing="say", pages={"validate": "validate.html"})
    heads = {"value": "value", "rule": "must be", "threshold": "threshold", "passed": "holds"}
    columns = {k: (words, "") for k, words in heads.items()} | {"sentence": ("in words", "")}
    days = pd.bdate_range("2015-01-01", periods=700, name="date")
    returns = pd.Series(np.random.default_rng(0).normal(0.0003, 0.01, 700), days)
    grid = pd.DataFrame([[0.1, 0.5], [0.7, -0.2]], index=[21, 63], columns=[1, 5])
    drawn = {
        "equity": equity_curve(returns, holdout_start="2017-01-02"),
        "surface": parameter_heatmap(grid, selected=(63, 1)),
        "replay": reconciliation(returns, returns + 1e-5),
    }
    pictures = (
        facts.figure(figure_svg(ax, prefix=name), SENTENCE, stage="validate", key="tries")
        for name, ax in drawn.items()
    )
    two = {"strategy": ("try", ""), "sharpe": ("Sharpe ratio", ".2f")}
    sections = [
        Section(
            "Criteria",
            facts.table("validate", "criteria", columns, caption="All", row_header="criterion"),
        ),
        Section("Tries", facts.table("validate", "tries", two, caption="All tries")),
        Section("Pictures", "".join(pictures)),
        Section("Holdout", facts.prose("It was {confirm:sharpe|.2f}.")),
    ]
    box = verdict_box(facts, "validate", "verdict", "Of 40 {validate:tries/0/sharpe|.1f} was best.")
    return render_dossier(sections, title="Momentum", verdict=box, nav=facts.ways)


def an_index():
    entries = [
        {"href": "dossier.html", "title": "The dossier", "summary": "May risk sign this?"},
        {"missing": True, "title": "Validate", "note": SENTENCE, "status": "stale not made"},
    ]
    return index_page(entries, subtitle="2015-01-01 to 2017-09-07", footer="As of the last run.")


def a_stage(tmp_path):
    "A notebook as a run leaves it, with a wide and a long table and a picture"
    import nbformat

    from quantlab.pipeline import run_stage

    (tmp_path / "dvc.yaml").write_text(
        "stages: {draw: {deps: [nbs/stages/01_draw.ipynb, raw.csv]}}\n"
    )
    (tmp_path / "params.yaml").write_text("base: {}\ndraw: {window: 9}\n")
    (tmp_path / "raw.csv").write_text("1,2")
    code = [
        "window = 9",
        "import numpy as np\nimport pandas as pd\nfrom quantlab.review import equity_curve\n"
        "from quantlab.results import Result\n"
        "table = pd.DataFrame(np.arange(600.0).reshape(50, 12) / 7).assign(word='a word')\n"
        "returns = pd.Series(np.sin(np.arange(window * 100.0)) / 100)",
        "equity_curve(returns);",
        "table",
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# Draw\n\n> What is drawn?\n\n| a | b |\n|--|--|\n| 1 | 2 |")
    ]
    cells += [nbformat.v4.new_code_cell(text) for text in code]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "python3"}}
    notebook = tmp_path / "nbs/stages/01_draw.ipynb"
    notebook.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), notebook)
    run_stage(notebook, project=tmp_path)
    made = nbformat.read(tmp_path / "artifacts/notebooks/draw.ipynb", as_version=4)
    return render_notebook(made, nav=[("index.html", "Index"), ("", "draw")])


def a_sheet():
    world = factor_world(600, 12, rng=np.random.default_rng(0))
    weights = world.returns.rolling(60).mean().rank(axis=1).sub(6.5).div(36)
    result = run_backtest(weights, world.returns, periods_per_year=252)
    return tear_sheet(result, world.returns.mean(axis=1)).html()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A page of each kind, from small worlds"
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "dossier": a_dossier(),
        "index": an_index(),
        "stage": a_stage(tmp_path_factory.mktemp("project")),
        "sheet": a_sheet(),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def started():
    with browser() as started:
        yield started


def faults(started, file, form):
    "What is wrong with a file in one form"
    with looking(started, form) as looked:
        looked.page.goto(file.as_uri())
        found = looked.faults(form)
        found += [f"it asks for {url}" for url in looked.asked if url != file.as_uri()]
        ground = looked.page.evaluate("getComputedStyle(document.body).backgroundColor")
        if (max(map(int, re.findall(r"\d+", ground)[:3])) < 60) is not (form == "dark"):
            found.append(f"the ground is {ground}")
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dossier", "index", "stage", "sheet"])
def test_a_page_of_each_kind_has_no_fault(started, made, name, form):
    assert faults(started, made / f"{name}.html", form) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("file", REPORTS, ids=[file.stem for file in REPORTS])
def test_the_pages_of_the_last_run_have_no_fault(started, file, form):
    assert faults(started, file, form) == []
    page = file.read_text(encoding="utf-8")
    assert "No description has been provided" not in page
    leads = re.findall(r'href="([\w./-]+\.html)', page)
    assert "index.html" in leads or file.name == "index.html"
    assert [href for href in leads if not (file.parent / href).is_file()] == []


def test_faults_are_found(started, tmp_path):
    "The test itself is tested: a page with one of each fault"
    body = (
        '<img src="https://example.org/a.png"><div style="width: 90rem">wide</div>'
        '<figure><svg width="300" viewBox="0 0 600 10"><text style="font: 8px serif">a</text>'
        "</svg></figure><details><summary>s</summary><p>x</p></details>"
    )
    page = render_page("Faulty", body).replace("details::details-content", "details::none")
    file = tmp_path / "faulty.html"
    file.write_text(page, encoding="utf-8")
    phone, paper = (
        " ".join(faults(started, file, "phone")),
        " ".join(faults(started, file, "print")),
    )
    for words in ("axe image-alt", "run over to the side", "has 4.0 pixels", "it asks for https:"):
        assert words in phone, words
    assert "folded on paper: x" in paper


def test_the_criteria_keep_every_column_on_a_phone(started, made):
    with looking(started, "phone") as looked:
        looked.page.goto((made / "dossier.html").as_uri())
        card = looked.page.locator("tbody tr").first
        assert card.locator("th").inner_text() == "criterion 0"  # failures first
        words = {"value", "must be", "threshold", "holds", "in words"}
        assert {cell.get_attribute("data-label") for cell in card.locator("td").all()} == words
        boxes = [cell.bounding_box() for cell in card.locator("td").all()]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 400 for box in boxes)


def test_the_points_of_a_picture_come_with_the_page(started, made):
    with looking(started, "light") as looked:
        looked.page.goto((made / "dossier.html").as_uri())
        link = looked.page.locator("a.data").first
        with looked.page.expect_download() as download:
            link.click()
        assert download.value.suggested_filename == "equity.csv"
        table = pd.read_csv(download.value.path(), index_col=0, parse_dates=True)
    assert table.shape == (700, 1) and table.index[0] == pd.Timestamp("2015-01-01")


def test_the_keyboard_reaches_the_text_and_what_scrolls(started, made):
    with looking(started, "phone") as looked:
        looked.page.goto((made / "stage.html").as_uri())
        looked.page.keyboard.press("Tab")
        assert looked.page.evaluate("document.activeElement.innerText") == "To the text"
        looked.page.keyboard.press("Enter")
        assert looked.page.evaluate("location.hash") == "#main"
        frames = looked.page.locator("[tabindex='0'][aria-label]")
        assert frames.count() >= 3
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        frames.first.focus()
        looked.page.keyboard.press("Tab")
        assert looked.page.evaluate(outline) == "solid"
