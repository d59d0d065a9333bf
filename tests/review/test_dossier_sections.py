"""The dossier of the sample and of poorer projects: what stands in it, and what stops it."""

import copy
import html
import inspect
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import load_families
from quantlab.data.absent import OPTIONAL_INPUTS
from quantlab.errors import MissingDataError, SpecificationError
from quantlab.ledger import Ledger
from quantlab.review import (
    CLAUSES,
    GLOSSARY,
    Facts,
    FigureBlock,
    GridBlock,
    IfMeasured,
    TableBlock,
    changes_since,
    dossier_record,
    external_references,
    find_open,
    finish_record,
    format_fact,
    strategy_dossier,
    verify_dossier,
)
from quantlab.review.blocks import Page, write_section
from quantlab.review.clauses import NO_CLAUSE
from quantlab.review.record import NOT_NAMED
from quantlab.review.strategy import STRATEGY_TEMPLATE

ROOT = Path(__file__).resolve().parents[2]
HEADINGS = [heading for heading, _ in STRATEGY_TEMPLATE]
SLOTS = [b.slot for _, blocks in STRATEGY_TEMPLATE for b in blocks if isinstance(b, FigureBlock)]
FIGURES = dict.fromkeys(SLOTS, "<svg></svg>")
RETURNS = pd.Series(
    np.random.default_rng(0).normal(3e-4, 0.01, 300), pd.bdate_range("2012-01-02", periods=300)
)


@pytest.fixture(scope="module")
def measured():
    "What the stages of the sample wrote, as it is committed"
    files = sorted((ROOT / "artifacts/metrics").glob("*.json"))
    return {p.stem: json.loads(p.read_text()) for p in files if p.stem != "build_dossier"}


def complete(metrics, previous=None, **identity):
    "Facts with the dossier's own record, as the stage makes them"
    md5s = dict.fromkeys(metrics, "9e107d9d372bb6826bd81d3542a419d6")
    facts, family = Facts(metrics, md5s), metrics["validate"]["family"]
    record = dossier_record(
        family=family,
        identity=identity,
        returns=RETURNS,
        code={"validate": "7c21"},
        panel={"md5": "d41d"},
    )
    record = finish_record(record, write, facts, previous=previous)
    return Facts(metrics | {"build_dossier": record}, md5s | {"build_dossier": "e4d9"})


def write(facts, **changes):
    return strategy_dossier(
        facts, family=facts.metrics["validate"]["family"], figures=FIGURES, **changes
    )


@pytest.fixture(scope="module")
def facts(measured):
    return complete(measured)


@pytest.fixture(scope="module")
def page(facts):
    return write(facts)


def bodies(page):
    "Heading to the markup of its section"
    parts = re.split(r"<h2[^>]*>(?:\d+\. )?(.*?)</h2>", page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def words(markup):
    "What is read, without the list of where the facts come from"
    said = re.sub('<ul class="origins">.*?</ul>', "", markup, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", said)).split())


def without(metrics, stage, key):
    "The metrics without one entry"
    changed = copy.deepcopy(metrics)
    *above, last = key.split("/")
    place = changed[stage]
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place[part]
    del place[int(last) if isinstance(place, list) else last]
    return changed


# --- the sample ----------------------------------------------------------------------------------


def test_every_section_is_there_in_order_and_none_is_blank(facts, page):
    found = bodies(page)
    assert list(found) == [*HEADINGS, "Provenance"]
    for heading, body in found.items():
        assert len(words(body)) > 40, heading
    assert "not measured" not in page.replace("was not measured", "")
    assert not external_references(page)
    check = verify_dossier(page, facts.metrics, facts.md5s)
    assert check.ok and check.n_checked == facts.metrics["build_dossier"]["numbers"]
    assert page == write(facts)


def test_the_verdict_stands_before_the_first_section(measured, page):
    top = words(page.split("<h2")[0])
    assert measured["confirm_holdout"]["sentence"].split(":")[0] in top
    assert measured["confirm_holdout"]["verdict"] in top


def test_the_table_of_trials_holds_what_the_ledger_counts_for_every_family(
    measured, page, tmp_path
):
    shutil.copytree(ROOT / "trials", tmp_path / "trials")
    ledger = Ledger(tmp_path / "trials/ledger.jsonl")
    tried = pd.DataFrame(measured["validate"]["tried"])
    counted = tried[tried["state"].str.startswith("counted")].groupby("family").size()
    assert set(tried["family"]) == set(ledger.tries()["family"])
    for family, n in counted.items():
        assert n == ledger.count(family), family
        assert measured["validate"]["families"][family]["counted"] == n
    assert counted.sum() == ledger.count() == measured["validate"]["n_trials"]
    body = bodies(page)["What was tried"]
    table = body.split(">Every trial of every family:")[1].split("</details>")[0]
    assert table.count("<tr ") == len(tried) + 1


def test_trials_without_returns_come_first_and_then_the_least(measured):
    pvalues = [row["adjusted_pvalue"] for row in measured["validate"]["tried"]]
    known = [p for p in pvalues if p is not None]
    assert pvalues[len(pvalues) - len(known) :] == known
    assert known == sorted(known, reverse=True)


def test_what_is_bad_news_comes_first(page):
    found = bodies(page)
    severities = re.findall(r'scope="row">(high|medium|low)<', found["Findings and remediation"])
    assert severities == sorted(severities, key=["high", "medium", "low"].index)
    data = re.findall(r">(kept|quarantined)<", found["Data"])
    assert data == sorted(data) and len(set(data)) == 2


# --- what is missing -----------------------------------------------------------------------------


def _pieces():
    "Section, stage and key of every fact that a template names"
    named = re.compile(r"\{(\w+):([^{}|]+)")
    for heading, blocks in STRATEGY_TEMPLATE:
        for block in blocks:
            texts = []
            if isinstance(block, str):
                texts = [block]
            elif isinstance(block, IfMeasured):
                texts = [block.text]
            elif isinstance(block, GridBlock):
                texts = [text for row in block.rows for text in row] if not block.plain else []
            elif isinstance(block, TableBlock):
                yield heading, block.stage, block.key
            for text in texts:
                yield from ((heading, *place) for place in named.findall(text))


MADE = [
    ("Purpose and owner", "build_dossier", "identity"),
    ("Purpose and owner", "build_dossier", "code"),
    ("Hypothesis and model", "validate", "@/parameters"),
    ("Data", "ingest_prices", "findings"),
    ("Verdict and criteria", "validate", "@/criteria/precondition"),
    ("Verdict and criteria", "confirm_holdout", "@/confirmation"),
    ("Performance net of costs", "build_dossier", "months"),
    ("Robustness", "validate", "@/diagnostics"),
    ("What else could explain it", "validate", "@/biases"),
    ("Limits and kill rules", "handoff_paper", "@/limits"),
    ("Sign-off", "build_dossier", "identity"),
]


@pytest.mark.parametrize(
    ("heading", "stage", "key"), [*dict.fromkeys([*_pieces(), *MADE])], ids=lambda part: str(part)
)
def test_a_piece_that_is_missing_stops_the_build_and_is_named(facts, heading, stage, key):
    family = facts.metrics["validate"]["family"]
    lacking = Facts(without(facts.metrics, stage, key.replace("@", family)), facts.md5s)
    places = {name: i for i, name in enumerate([*HEADINGS, "Provenance"], 1)}
    page = Page(facts=lacking, family=family, figures=FIGURES, drawn_from={}, places=places)
    with pytest.raises(MissingDataError) as caught:
        write_section(page, heading, dict(STRATEGY_TEMPLATE)[heading])
    assert f"The section {heading!r} of the dossier cannot be written. No `" in str(caught.value)
    assert "dvc repro" in str(caught.value)


@pytest.mark.parametrize("slot", SLOTS)
def test_a_picture_that_is_missing_stops_the_build(facts, slot):
    some = {name: svg for name, svg in FIGURES.items() if name != slot}
    with pytest.raises(MissingDataError, match=f"No picture of {slot.replace('_', ' ')} was made"):
        strategy_dossier(facts, family=facts.metrics["validate"]["family"], figures=some)


def test_a_project_without_optional_data_has_a_sentence_for_each(measured):
    poor, family = copy.deepcopy(measured), measured["validate"]["family"]
    poor["build_returns"] |= {
        "survivorship": {},
        "absent": {k: v.to_dict() for k, v in OPTIONAL_INPUTS.items()},
    }
    poor["ingest_prices"]["findings"] = {}
    poor["backtest_candidates"][family] |= {
        "capacity": {},
        "sensitivity": {},
        "beside_the_members": {},
        "definition": "",
        "formula": "",
    }
    poor["validate"][family]["parameters"] = {}
    poor["second_engine"] = {}
    page = write(complete(poor))
    found = {heading: words(body) for heading, body in bodies(page).items()}
    for heading, said in (
        ("Data", "Survivorship was not measured"),
        ("Data", "No defect was found"),
        ("Data", OPTIONAL_INPUTS["dollar_volume"].cannot),
        ("Hypothesis and model", "not written down in words"),
        ("Hypothesis and model", "It has no parameters"),
        ("Performance net of costs", "no impact was charged"),
        ("Performance net of costs", "too few days to be set beside the market"),
        ("Robustness", "There is no plateau"),
        ("Robustness", "was not run without a sector"),
        ("Monitoring and outcomes", "No second engine has traded"),
        ("Findings and remediation", "The family's record has no formula"),
        ("Findings and remediation", "Not given: dollar volume"),
    ):
        assert said in found[heading], (heading, said)


def test_a_draft_says_what_was_not_measured_and_claims_nothing():
    draft = strategy_dossier(
        Facts({"validate": {"f": {"verdict": "rejected"}}}, missing="say"), family="f"
    )
    assert list(bodies(draft)) == [*HEADINGS, "Provenance"]
    assert "not measured" in draft and "Every optional input was given" not in draft
    assert "No defect was found" not in draft


# --- who, what changed, what is open -------------------------------------------------------------


def test_who_is_not_named_is_said_and_found_and_who_is_named_is_not(measured):
    unnamed, named = (
        complete(measured),
        complete(
            measured,
            owner="A. Keeper",
            reviewer="B. Reader",
            date="2026-11-30",
            purpose="x",
            intended_use="y",
        ),
    )
    assert words(bodies(write(unnamed))["Purpose and owner"]).count(NOT_NAMED) == 5
    assert NOT_NAMED not in words(bodies(write(named))["Purpose and owner"])
    family = measured["validate"]["family"]
    open_of = lambda facts: [f.what for f in find_open(facts, family) if "Not named" in f.what]
    assert len(open_of(unnamed)) == 5 and not open_of(named)


@pytest.mark.parametrize("date", ["30.11.2026", "2026-02-30", "today", "2026-11-30T10:00"])
def test_a_date_is_a_day(measured, date):
    with pytest.raises(SpecificationError, match="must be a day such as '2026-11-30', in quotes"):
        complete(measured, date=date)


def test_every_criterion_that_fails_is_a_finding_of_high_severity(measured, facts):
    family = measured["validate"]["family"]
    high = {f.what for f in find_open(facts, family) if f.severity == "high"}
    for stage, at in (
        ("validate", f"{family}/criteria/precondition"),
        ("validate", f"{family}/criteria/test"),
        ("confirm_holdout", f"{family}/confirmation"),
    ):
        for name, row in facts.value(stage, at).items():
            assert (f"{{{stage}:{at}/{name}/sentence}}" in high) == (row["passed"] is not True)


def test_an_approved_bundle_that_nobody_signed_is_a_finding(measured):
    approved, family = copy.deepcopy(measured), measured["validate"]["family"]
    approved["confirm_holdout"]["verdict"] = "approved"
    signed = copy.deepcopy(approved)
    signed["paper_replay"][family]["signatures"] = [{"by": "C. Signer", "reason": "read it"}]
    unsigned = lambda metrics: [
        f for f in find_open(Facts(metrics), family) if "signed by nobody" in f.what
    ]
    assert len(unsigned(approved)) == 1 and not unsigned(signed) and not unsigned(measured)
    assert "C. Signer" in bodies(write(complete(signed)))["Sign-off"]


def test_a_kill_rule_that_comes_before_its_limit_is_a_finding(measured):
    family, tight = measured["validate"]["family"], copy.deepcopy(measured)
    tight["handoff_paper"][family]["kill_rules"]["drawdown"]["value"] = 0.2
    never = lambda metrics: [
        f for f in find_open(Facts(metrics), family) if "never acts" in " ".join(f.what.split())
    ]
    assert len(never(tight)) == 1 and not never(measured)
    assert "which then never acts" in words(bodies(write(complete(tight)))["Limits and kill rules"])


def test_an_earlier_dossier_is_compared_and_its_edits_are_found(measured, page):
    assert "This is the first dossier" in words(bodies(page)["Changes"])
    family, later = measured["validate"]["family"], copy.deepcopy(measured)
    later["validate"][family]["pvalue"] = 0.0123
    later["validate"]["n_trials"] = 999
    said = words(bodies(write(complete(later, previous=page)))["Changes"])
    before = format_fact(measured["validate"][family]["pvalue"])
    assert f"validate: {family}/pvalue {before} 0.0123" in said
    forged = page.replace("<h1>", "<h1 >", 1)
    assert changes_since(forged, page)["edited"] and not changes_since(page, page)["edited"]
    again = complete(measured, previous=forged)
    assert any("edited after it was written" in f.what for f in find_open(again, family))


# --- clauses, glossary, hostile text -------------------------------------------------------------


class Links(HTMLParser):
    "Identifiers, links and explained terms of a page"

    def __init__(self, page):
        super().__init__()
        self.ids, self.targets, self.terms, self.open = set(), [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given["id"]} if "id" in given else set()
        self.targets += [given["href"][1:]] if given.get("href", "").startswith("#") else []
        self.open = given["title"] if tag == "abbr" else self.open

    def handle_data(self, data):
        if self.open:
            self.terms.append((data, self.open))
            self.open = None


def test_every_link_leads_somewhere_and_every_section_is_in_the_clause_map(page):
    links = Links(page)
    assert links.targets and set(links.targets) <= links.ids
    answered = {heading for clause in CLAUSES for heading in clause.sections}
    assert answered | set(NO_CLAUSE) == {*HEADINGS, "Provenance"}
    assert not answered & set(NO_CLAUSE)
    body = bodies(page)["Clause map"]
    for clause in CLAUSES:
        assert clause.place in words(body) and clause.open in words(body).replace(" ,", ",")


def test_a_term_that_is_explained_stands_in_the_glossary(page):
    terms = Links(page).terms
    assert len({title for _, title in terms}) > 15
    for shown, title in terms:
        known = {term.lower(): text for term, text in GLOSSARY.items()}
        assert title == known[shown.lower() if shown.lower() in known else shown.lower()[:-1]]
    listed = bodies(page)["Glossary"]
    assert all(f'scope="row">{term}</th>' in listed for term in GLOSSARY)


def test_text_from_outside_is_shown_as_it_is(measured):
    hostile = '<script>alert(1)</script> [[Nowhere]] {validate:n_trials} `x` & "quotes" @ <b>'
    bad, family = copy.deepcopy(measured), measured["validate"]["family"]
    bad["backtest_candidates"][family] |= dict.fromkeys(
        ("hypothesis", "definition", "formula"), hostile
    )
    bad["validate"][family]["selected"] = hostile
    bad["validate"]["tried"][0]["strategy"] = hostile
    bad["paper_replay"][family]["signatures"] = [{"by": hostile, "reason": hostile}]
    facts = complete(bad, owner=hostile, purpose=hostile)
    page = write(facts, title=hostile, provenance={hostile: hostile})
    assert "<script" not in page and "<b>" not in page
    assert verify_dossier(page, facts.metrics, facts.md5s).ok
    assert words(page.replace("&lt;", "«").replace("&gt;", "»")).count("[[Nowhere]]") > 8


# --- what is behind it ---------------------------------------------------------------------------


def test_every_family_of_the_package_is_defined_in_words_and_as_a_formula():
    for name, family in load_families().items():
        assert len(family.definition) > 60 and "=" in family.formula, name


def test_the_default_template_does_not_fill_the_screen():
    assert len(str(inspect.signature(strategy_dossier))) < 500
    assert inspect.signature(strategy_dossier).parameters["template"].default is None


def test_the_last_word_on_the_candidate_is_the_holdouts(measured):
    passed, family = copy.deepcopy(measured), measured["validate"]["family"]
    asked = {"verdict": "unconfirmed", "sentence": "The holdout is still to be asked."}
    passed["validate"][family] |= asked
    passed["validate"]["factors"] |= asked
    passed["confirm_holdout"] |= {"verdict": "approved", "sentence": "It is approved."}
    said = words(bodies(write(complete(passed)))["Alternatives considered"])
    assert "to be asked" not in said and "approved" in said
    assert "It passes the test, and was not taken to the holdout" in said
