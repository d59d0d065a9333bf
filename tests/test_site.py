"""The site: built without a warning, its links lead somewhere, a browser opens it offline."""

import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from conftest import ROOT

pytest.importorskip("myst_nb", reason="the extra `docs` is not installed")

from quantlab.commands import COMMANDS
from quantlab.pages import external_references

NBS = ROOT / "nbs"
NOTEBOOKS = sorted(set(NBS.rglob("[0-9]*.ipynb")) - set((NBS / "stages").iterdir()))
NOTEBOOKS = [p.relative_to(NBS) for p in NOTEBOOKS if ".ipynb_checkpoints" not in p.parts]
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The site, built as `make docs` builds it: a warning is an error"
    place = tmp_path_factory.mktemp("site")
    words = ["-q", "-W", "--keep-going", "-j", "2", "-b", "html", str(NBS), str(place / "html")]
    paths = os.pathsep.join([str(NBS), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-d", str(place / "trees"), *words],
        env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return place / "html"


class Places(HTMLParser):
    "The anchors of a page, and where its links lead"

    def __init__(self, text: str):
        super().__init__()
        self.anchors, self.links = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links |= {given[name] for name in ("href", "src") if given.get(name)}


@pytest.fixture(scope="module")
def pages(site):
    return {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}


def wrong_links(texts: dict[Path, str]) -> list[str]:
    "Links inside the site that lead to no file or to no place in it"
    places, wrong = {path: Places(text) for path, text in texts.items()}, []
    for path, here in places.items():
        for link in here.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            file, _, anchor = unquote(link).partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.is_file():
                wrong.append(f"{path.name}: {link} leads to no file")
            elif anchor and target in places and anchor not in places[target].anchors:
                wrong.append(f"{path.name}: {link} leads to no place in the file")
    return wrong


def test_every_link_inside_the_site_leads_somewhere(pages):
    assert len(pages) > len(NOTEBOOKS)
    assert not wrong_links(pages)


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a id="here" href="#here"></a><a href="b.html#there"></a>')
    (tmp_path / "b.html").write_text('<a href="c.html"></a><a href="https://example.org"></a>')
    wrong = wrong_links({path: path.read_text() for path in sorted(tmp_path.iterdir())})
    assert wrong == [
        "a.html: b.html#there leads to no place in the file",
        "b.html: c.html leads to no file",
    ]


def test_nothing_is_fetched_and_no_path_of_this_machine_is_shown(site, pages):
    for path, text in pages.items():
        assert not external_references(text), path
        assert str(ROOT) not in text and str(site) not in text, path
        assert str(Path.home()) + "/" not in text, path
    for sheet in site.rglob("*.css"):
        assert not external_references(sheet.read_text(encoding="utf-8")), sheet


def test_every_notebook_but_the_stages_has_a_page_with_its_title(site, pages):
    for notebook in NOTEBOOKS:
        cells = nbformat.read(NBS / notebook, as_version=4).cells
        title = next(c.source for c in cells if c.cell_type == "markdown").splitlines()[0]
        words = re.findall(r"\w+", title)
        shown = re.search(r"<h1>(.*?)<a", pages[site / notebook.with_suffix(".html")], re.DOTALL)
        assert all(word in shown[1] for word in words), notebook
    assert not list(site.glob("stages/*.html"))


def test_imports_are_folded_and_results_are_not(site, pages):
    page = pages[site / "30_cointegration/10_engle_granger.html"]
    folded = re.findall(r"<details.*?</details>", page, re.DOTALL)
    assert any(">imports</p>" in part for part in folded)
    assert any(re.search(r"engle_granger: \d+ lines", part) for part in folded)
    for path, text in pages.items():
        for part in re.findall(r"<details.*?</details>", text, re.DOTALL):
            assert "cell_output" not in part, path


def test_every_public_name_is_described_by_its_public_path(site, pages):
    index = pages[site / "genindex.html"]
    for stub in sorted((ROOT / "quantlab").glob("*/__init__.pyi")):
        wing = f"quantlab.{stub.parent.name}"
        anchors = Places(pages[site / f"reference/{stub.parent.name}.html"]).anchors
        missing = {f"{wing}.{name}" for name in importlib.import_module(wing).__all__} - anchors
        assert not missing
        assert f"#{wing}." in index
    search = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "engle_granger" in json.dumps(search)


OF_ONE_MACHINE = {"quantlab doctor"}  # what it answers is of use to nobody else


def test_every_command_has_its_help_and_an_answer(site, pages):
    page = pages[site / "reference/commands.html"]
    parts = dict(zip(*[iter(re.split(r"<h2>(.*?)<a", page, flags=re.DOTALL)[1:])] * 2, strict=True))
    parts = {re.sub("<.*?>", "", title): re.sub("<.*?>", "", text) for title, text in parts.items()}
    assert list(parts) == [f"quantlab {command.name}" for command in COMMANDS]
    for title, text in parts.items():
        assert f"usage: {title}" in text and f"$ {title}" in text
        assert "Traceback" not in text
        answer = text.rpartition(f"$ {title}")[2].strip().splitlines()
        assert len(answer) > 1 or title in OF_ONE_MACHINE, f"{title}: add an example to the page"
    for name, said in [
        ("init", "made ~/mine, with git and DVC"),
        ("paper", "equity at the end"),
        ("live", "Kill switch: ACTIVE"),
        ("desk", "the desk is at http://127.0.0.1:PORT"),
        ("handoff", "every hash and the seal hold"),
    ]:
        assert said in parts[f"quantlab {name}"]


SAMPLE = [
    "index.html", "genindex.html", "search.html?q=cointegration", "reference/commands.html",
    "reference/cointegration.html", "30_cointegration/index.html",
    "30_cointegration/10_engle_granger.html", "tutorials/1_first_hour.html",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `dev` is not installed")
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_without_a_network_opens_it(site, browser, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    tab, said = context.new_page(), []
    tab.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda asked: asked.url.startswith("http") and said.append(asked.url))
    tab.on("requestfailed", lambda asked: said.append(f"{asked.url} failed"))
    for page in SAMPLE:
        tab.goto(f"file://{site}/{page}")
        tab.wait_for_load_state("networkidle")
        assert not said, page
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, page
    context.close()


# what is left, and whose it is
THEMES = {
    "landmark-unique": "furo has two asides without a name",
    "page-has-heading-one": "furo's page of the search begins with a second heading",
    "definition-list": "Sphinx writes a long signature as a list",
    "empty-table-header": "pandas leaves the corner of a table empty",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_but_what_the_theme_brings(site, browser, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = browser.new_context(color_scheme=scheme, offline=True).new_page()
    for page in SAMPLE:
        tab.goto(f"file://{site}/{page}")
        found = {fault["id"] for fault in axe.run(tab).response["violations"]}
        assert found <= set(THEMES), page


def test_the_search_finds_a_function_without_a_network(site, browser):
    tab = browser.new_context(offline=True).new_page()
    tab.goto(f"file://{site}/search.html?q=engle_granger")
    tab.wait_for_selector("ul.search li a")
    found = [link.get_attribute("href") for link in tab.query_selector_all("ul.search li a")]
    assert any("quantlab.cointegration.engle_granger" in link for link in found)
