"""A dossier that was tampered with: each kind of edit is found, and named where it was made."""

import copy
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantlab.backtest.performance import performance_summary
from quantlab.evidence import ProjectTables, verify_report
from quantlab.ledger import Ledger, list_records
from quantlab.pages import mark_page
from quantlab.pipeline import file_md5, read_metrics, write_metrics, write_table
from quantlab.report_commands import REPORT
from quantlab.review import (
    FIGURE_INPUTS,
    Facts,
    Section,
    diff_dossiers,
    draw_figure,
    figure_svg,
    identity_block,
    render_dossier,
    verdict_box,
    verify_dossier,
)
from quantlab.review.dossier import _SEALED, _seal, format_fact
from quantlab.review.recomputation import recompute
from quantlab.review.record import monthly_returns
from quantlab.review.way_parts import statistics_of
from quantlab.run_identity import dossier_identity
from quantlab.validation import deflated_sharpe_test

FAMILY = "demo"
STATISTICS = ("annualized_return", "annualized_sharpe_ratio", "max_drawdown", "kurtosis")
MEASURED = ("annualized_sharpe_ratio", "adjusted_pvalue")
THRESHOLD = {"deflated_sharpe_ratio": 0.95}


def resealed(page: str) -> str:
    "What an attacker does who knows how a page is sealed"
    return _SEALED.sub(lambda _: _seal(page), page, count=1)


def edited(page: str, old: str, new: str) -> str:
    "The page with one passage exchanged, which must be there"
    assert old in page, old
    return page.replace(old, new, 1)


def make_tables() -> dict[str, pd.DataFrame]:
    "What the stages of a small project store"
    rng = np.random.default_rng(5)
    days = pd.bdate_range("2018-01-01", periods=500, name="date")
    later = pd.bdate_range(days[-1], periods=121, name="date")
    net = pd.DataFrame(rng.normal([1e-4, 6e-4], 0.01, (500, 2)), index=days, columns=["a1", "b2"])
    held = pd.DataFrame({"returns": np.r_[0.0, rng.normal(4e-4, 0.01, 120)]}, index=later)
    paper = held.assign(sent=3, refused=0)
    return {
        "trial_returns": net,
        "trial_gross_returns": net + 2e-5,
        "holdout_result": held,
        "paper_daily": paper,
        "luck": pd.DataFrame({"highest": rng.normal(0.7, 0.4, 999)}),
        "pbo_logits": pd.DataFrame({"logit": rng.normal(0.3, 1.0, 400)}),
    }


def list_tried(ledger: Ledger, days: pd.Index) -> list[dict]:
    "Every record with its Sharpe ratio and step-down p-value, failures first"
    test = deflated_sharpe_test(
        ledger.tried_returns(days=days), n_trials=3, block_length=21, n_resamples=2000, seed=4
    )
    listed = list_records(ledger)
    listed["annualized_sharpe_ratio"] = listed["column"].map(test.sharpe_ratios) * 252**0.5
    listed["adjusted_pvalue"] = listed["column"].map(test.adjusted_pvalues)
    surface = {"demo surface": "demo, a neighbour of the best: window 15"}
    listed["strategy"] = listed["strategy"].replace(surface)
    names = ["family", "strategy", "state", "annualized_sharpe_ratio", "adjusted_pvalue"]
    return listed.sort_values("adjusted_pvalue", ascending=False)[names].to_dict("records")


def measure(tables: dict, ledger: Ledger) -> dict:
    "The metrics of the stages, from the library's own functions"
    net, gross = (tables[f"trial_{kind}returns"]["b2"] for kind in ("", "gross_"))
    held = tables["holdout_result"]["returns"].iloc[1:]
    summed = {
        kind: performance_summary(x, periods_per_year=252).to_dict()
        for kind, x in (("net", net), ("gross", gross))
    }
    sharpe = summed["net"]["annualized_sharpe_ratio"]
    share = (1 + (tables["luck"]["highest"] >= sharpe).sum()) / 1000
    row = {
        "value": 1 - share,
        "rule": "at least",
        "threshold": 0.95,
        "passed": bool(1 - share >= 0.95),
    }
    judged = {
        "trial": "b2",
        "parameters": {"window": 20},
        "periods_per_year": 252,
        "annualized_sharpe_ratio": sharpe,
        "critical_annual_sharpe": float(tables["luck"]["highest"].quantile(0.95)),
        "pvalue": float(share),
        "n_obs": len(net),
        "n_trials": len(ledger.tries()),
        "n_trials_on_data": 3,
        "criteria": {"precondition": {}, "test": {"deflated_sharpe_ratio": row}},
    }
    plan = ledger.plan_in_force()
    hashes = {"ledger.jsonl": ledger.last_hash}
    holdout = performance_summary(held, periods_per_year=252).to_dict()
    holdout |= {
        "n_openings": 1,
        "confirmation": {
            "holdout_pvalue": {"value": 0.2, "rule": "at most", "threshold": 0.5, "passed": True}
        },
    }
    metrics = {
        "backtest_candidates": {FAMILY: {"performance": summed, "subperiods": {}}},
        "validate": {
            "family": FAMILY,
            FAMILY: judged,
            "tries": [],
            "tried": list_tried(ledger, net.index),
            "families": {FAMILY: {"listed": 3, "counted": 3}},
            "rule": {"block_length": 21, "n_worlds": 100, "power": {}},
            "ledger": {"hashes": hashes, "sentence": "The ledgers are in order."},
            "plan": {"id": plan.id, "hash": plan.hash, "committed": plan.committed},
        },
        "confirm_holdout": {FAMILY: holdout, "verdict": "rejected" if share > 0.05 else "approved"},
        "handoff_paper": {FAMILY: {"limits": {"max gross": {"value": 1.5}}, "mode": "shadow"}},
        "build_dossier": {"months": monthly_returns(net)},
        "paper_replay": {FAMILY: {"n_days": 121, "n_orders": 363, "reconciled": True}},
    }
    return json.loads(json.dumps(metrics, default=str))


def write_page(project: Path, metrics: dict, words: str = "It holds for a week.") -> str:
    "The dossier of the project, from these metrics"
    files = {stage: project / f"artifacts/metrics/{stage}.json" for stage in metrics}
    tables = {
        path.stem: pd.read_parquet(path) for path in sorted((project / "artifacts").glob("*.p*"))
    }
    tables |= {
        "candidates": read_metrics(project / "artifacts/candidates.json"),
        "params": {"base": {"seed": 1}, "validate": {"thresholds": THRESHOLD}},
    }
    md5s = {stage: file_md5(path) for stage, path in files.items()}
    md5s |= {
        f"artifacts/{p.name}": file_md5(p) for p in sorted((project / "artifacts").glob("*.p*"))
    }
    facts = Facts(metrics, md5s)
    at = f"validate:{FAMILY}"
    body = facts.prose(
        f"Of {{{at}/n_trials}} tries, p = {{{at}/pvalue|.3f}}, {{{at}/n_obs}} days. {words}",
        "{validate:ledger/sentence}",
        f"{{confirm_holdout:{FAMILY}/total_return|.2%}} over {{confirm_holdout:{FAMILY}/nobs}}",
        f"{{paper_replay:{FAMILY}/n_orders}} orders, {{paper_replay:{FAMILY}/reconciled}}",
        f"{{handoff_paper:{FAMILY}/limits/max gross/value}} {{handoff_paper:{FAMILY}/mode}}",
    )
    columns = {name: (name, ".4f") for name in STATISTICS}
    table = facts.table("backtest_candidates", f"{FAMILY}/performance", columns)
    asked = {k: (k, "") for k in ("value", "threshold", "passed")}
    table += facts.table("validate", f"{FAMILY}/criteria/test", asked)
    said = {k: (k, "") for k in ("family", "strategy", "state")}
    table += facts.table("validate", "tried", said | {k: (k, ".4f") for k in MEASURED})
    table += facts.table("validate", "families", {k: (k, "") for k in ("listed", "counted")})
    table += facts.table("build_dossier", "months", {k: (k, ".2%") for k in ("03", "year")})
    for slot in ("luck", "equity", "drawdown"):
        inputs = [f"artifacts/{name}.parquet" for name in FIGURE_INPUTS[slot]]
        svg = figure_svg(draw_figure(slot, metrics, tables), prefix=slot)
        table += facts.figure(svg, "Read it.", stage="validate", key=FAMILY, inputs=inputs)
    return render_dossier(
        [Section("Tried", body), Section("Earned", table), Section("Last", "<p>The end.</p>")],
        title="Demo",
        verdict=verdict_box(facts, "confirm_holdout", "verdict", "For reasons."),
        footer=identity_block(dossier_identity(metrics, tables, project)),
    )


def make_project(project: Path) -> tuple[Path, str]:
    "Artifacts, metrics, a ledger with a plan, and the dossier"
    (project / "artifacts/metrics").mkdir(parents=True)
    (project / "trials").mkdir()
    ledger = Ledger(project / "trials/ledger.jsonl")
    tables = make_tables()
    days = tables["trial_returns"].index
    window = {"start": f"{days[0]:%Y-%m-%d}", "end": f"{days[-1]:%Y-%m-%d}"}
    ledger.plan({"grid": {FAMILY: {"window": [10, 20]}}, "window": window})
    for name, series in tables["trial_returns"].items():
        point = {"window": 10 if name == "a1" else 20}
        ledger.append(
            family=FAMILY,
            strategy=f"demo {name}",
            parameters=point,
            returns=series,
            window=window,
            universe="two names",
            data_md5="d" * 32,
        )
    ledger.append(
        family=FAMILY,
        strategy="demo surface",
        parameters={"point": {"window": 15}},
        returns=tables["trial_returns"].mean(axis=1),
        window=window,
        universe="two names",
        data_md5="d" * 32,
    )
    trials = {
        k: {"family": FAMILY, "name": f"demo {k}", "parameters": {"window": w}}
        for k, w in (("a1", 10), ("b2", 20))
    }
    write_metrics(
        project / "artifacts/candidates.json",
        {"data_md5": "d" * 32, "trials": trials, "window": window},
    )
    for name, frame in tables.items():
        write_table(project / f"artifacts/{name}.parquet", frame)
    (project / "params.yaml").write_text(
        "base: {seed: 1}\nvalidate: {thresholds: {deflated_sharpe_ratio: 0.95}}\n"
    )
    metrics = measure(tables, ledger)
    for stage, found in metrics.items():
        write_metrics(project / f"artifacts/metrics/{stage}.json", found)
    return project, write_page(project, read_all(project))


class Made(tuple):
    "Folder and page, which is too long to be shown where a test fails"

    def __repr__(self):
        return f"Made({self[0]})"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(make_project(tmp_path_factory.mktemp("project")))


@pytest.fixture
def project(made, tmp_path):
    "A copy, to be tampered with"
    shutil.copytree(made[0], tmp_path / "copy")
    return tmp_path / "copy"


def read_all(project: Path) -> dict:
    return {p.stem: read_metrics(p) for p in sorted((project / "artifacts/metrics").glob("*"))}


def wrong(check) -> set[tuple[str, str]]:
    "Part and place of what does not hold"
    return set(map(tuple, check.table()[["part", "place"]].to_numpy()))


# --------------------------------------------------------------------------------- what is in order


def test_a_clean_page_holds_also_in_another_folder_and_of_another_run(made, project, tmp_path):
    check = verify_report(made[1], made[0])
    assert check.ok, check.problems
    held = check.summary()["hold"]
    assert held["numbers computed again"] >= 15 and held["figures drawn again"] == 3
    assert held["run"] > 5 and held["files"] >= 5
    assert verify_report(made[1], project).ok
    _, again = make_project(tmp_path / "again")
    assert again == made[1]
    assert diff_dossiers(again, made[1]).sentences() == ["no difference"]


def test_a_reviewer_without_artifacts_is_told_what_could_not_be_checked(made, tmp_path):
    shutil.copytree(made[0] / "artifacts/metrics", tmp_path / "artifacts/metrics")
    check = verify_report(made[1], tmp_path)
    assert check.ok, check.problems
    assert (check.summary()["hold"]["numbers on the page"]) == check.n_checked
    said = check.table(None)
    figures = said[said["part"] == "figures drawn again"]
    assert set(figures["place"]) == {"luck", "equity", "drawdown"}
    assert set(figures["said"]) == {"`luck` is not there", "`trial_returns` is not there"}
    assert {"data", "parameters", "trials"} <= set(said.loc[said["part"] == "run", "place"])


def test_a_note_that_the_page_is_stale_is_no_edit(made):
    assert verify_report(mark_page(made[1], "It is of an earlier run."), made[0]).ok


# ------------------------------------------------------------------------------- edits of the page

SEAL = ("page", "text")
EDITS = {
    "a shown number": (
        ">500</span>",
        ">900</span>",
        ("numbers on the page", "validate:demo/n_obs"),
    ),
    "an embedded value": (
        'data-value="500"',
        'data-value="900"',
        ("numbers on the page", "validate:demo/n_obs"),
    ),
    "the verdict's word": (
        ">rejected</span>",
        ">approved</span>",
        ("numbers on the page", "confirm_holdout:verdict"),
    ),
    "a parameter": ("seed&#34;: 1", "seed&#34;: 2", ("run", "parameters/base/seed")),
    "a trial": (
        "a1&#34;: &#34;demo a1&#34;",
        "a1&#34;: &#34;demo z9&#34;",
        ("run", "trials/declared/a1"),
    ),
    "the plan": ("&#34;plan&#34;: {", "&#34;plan&#34;: {&#34;x&#34;: 1, ", ("run", "plan/x")),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_the_page_is_named_where_it_was_made(made, name):
    project, page = made
    old, new, place = EDITS[name]
    tampered = edited(page, old, new)
    assert wrong(verify_report(tampered, project)) == {place, SEAL}
    assert wrong(verify_report(resealed(tampered), project)) == {place}  # and with the hash redone
    assert not diff_dossiers(page, resealed(tampered)).same


def test_an_md5_that_was_exchanged_is_named(made):
    project, page = made
    md5 = file_md5(project / "artifacts/luck.parquet")
    place = ("files", "artifacts/luck.parquet")
    assert wrong(verify_report(resealed(edited(page, md5, "0" * 32)), project)) == {place}


def figure_of(page: str, slot: str) -> str:
    return next(svg for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if f"#{slot}-" in svg)


@pytest.mark.parametrize("slot", ["luck", "equity", "drawdown"])
def test_a_moved_line_and_a_changed_title_of_a_figure_are_found(made, slot):
    project, page = made
    svg = figure_of(page, slot)
    titles = re.findall(r">([^<>]{12,})</text>", svg)
    points = re.findall(r"L (\d+\.\d+) (\d+\.\d+)", svg)
    x, y = points[len(points) // 2]
    moved = svg.replace(f"L {x} {y}", f"L {x} {float(y) - 7:.6f}", 1)
    for tampered, said in (
        (moved, "elsewhere, by up to 7 points"),
        (svg.replace(titles[-1], "All is well and will be"), "All is well and will be"),
        (re.sub(r"<path[^>]*/>", "", svg, count=1), "elements, drawn again"),
    ):
        forged = resealed(edited(page, svg, tampered))
        check = verify_report(forged, project)
        assert wrong(check) == {("figures drawn again", slot)}
        assert said in check.problems[0]
        found = diff_dossiers(page, forged).table
        assert found[["kind", "key"]].values.tolist() == [["figures", slot]]


def test_last_digits_of_coordinates_hold_and_are_said(made):
    project, page = made
    svg = figure_of(page, "equity")
    x, y = re.search(r"L (\d+\.\d{6}) (\d+\.\d{6})", svg).groups()
    near = svg.replace(f"L {x} {y}", f"L {x} {float(y) + 2e-6:.6f}", 1)
    check = verify_report(resealed(edited(page, svg, near)), project)
    assert check.ok
    assert check.table(True).set_index("place").loc["equity", "said"] == "holds to 5 digits"


def test_what_was_removed_is_missed(made):
    project, page = made
    row = re.search(
        r"<tr\b(?:(?!</tr>).)*data-key=\"demo/performance/gross.*?</tr>", page, re.DOTALL
    )[0]
    section = page[page.index("Earned</h2>") : page.index("Last</h2>")]
    for piece, kinds in ((row, {"numbers"}), (section, {"numbers", "figures", "text"})):
        without = edited(page, piece, "")
        assert {("page", "facts"), SEAL} <= wrong(verify_report(without, project))
        count = re.search(r'quantlab-facts" content="(\d+)"', page)[1]
        left = without.count('class="fact"')
        hidden = resealed(without.replace(f'content="{count}"', f'content="{left}"', 1))
        assert kinds <= set(diff_dossiers(page, hidden).table["kind"])


def test_prose_that_was_changed_is_told_by_its_words(made):
    project, page = made
    forged = edited(page, "for a week", "for a month")
    assert wrong(verify_report(forged, project)) == {SEAL}
    rows = diff_dossiers(page, resealed(forged)).table
    assert rows[["kind", "key", "first", "second"]].values.tolist() == [
        ["text", "1. Tried", "week.", "month."]
    ]


# ---------------------------------------- edits of what is no number, sealed anew by who made them

HIDE = "<style>tr:has(td.no) { display: none }</style>"
FIRST_DATA = re.compile(r'(href="data:text/csv;[^"]*?%0A)\d')
UNSEEN = {
    "a style that hides rows": lambda page: edited(page, "</style>", f"</style>{HIDE}"),
    "a colour": lambda page: edited(page, 'class="verdict rejected"', 'class="verdict approved"'),
    "a hover": lambda page: re.sub('title="[^"]*"', 'title="nothing"', page, count=1),
    "words among the sources": lambda page: re.sub(
        "(data-inputs=[^>]*>)", r"\1<p>The board approved it.</p>", page, count=1
    ),
    "words of a list": lambda page: edited(page, "<ol>", "<ol><li>Approved.</li>"),
    "a section that is not shown": lambda page: edited(page, "<section", "<section hidden"),
    "a section in a template": lambda page: edited(page, "<section", "<template><section"),
    "letters of no width": lambda page: edited(page, "For reasons", "For\u200b reasons"),
    "a passage": lambda page: edited(page, "for a week", "for a month"),
    "a script": lambda page: edited(page, "</body>", "<script>document.title = 1</script></body>"),
    "a mark that holds markup": lambda page: edited(
        page, '<main id="main">\n', '<main id="main">\n<!--mark--><h1>Approved</h1><!--/mark-->\n'
    ),
}
IN_A_FIGURE = {
    "data": lambda page: FIRST_DATA.sub(r"\g<1>77", page, count=1),
    "title": lambda page: re.sub("(<svg[^>]*><title[^>]*>)", r"\1No: ", page, count=1),
    "words": lambda page: re.sub("(<desc[^>]*>)", r"\1No: ", page, count=1),
    "style": lambda page: re.sub("(<desc[^>]*>)", rf"{HIDE}\1", page, count=1),
    "size": lambda page: re.sub(r'(<svg [^>]*)width="[\d.]+pt"', r'\1width="1pt"', page, count=1),
    "class": lambda page: edited(page, "<path ", '<path class="skip" '),
    "twin": lambda page: edited(page, figure_of(page, "luck"), 2 * figure_of(page, "luck")),
    "nest": lambda page: re.sub("(<svg.*?</svg>)", r"<svg><g/>\1</svg>", page, count=1, flags=re.S),
}


def record(project: Path, page: str) -> None:
    "What DVC writes of the page"
    md5 = hashlib.md5(page.encode()).hexdigest()
    lines = ("- path: reports/dossier.html", "  hash: md5", f"  md5: {md5}", "  size: 9")
    (project / "dvc.lock").write_text("".join(f"    {line}\n" for line in lines))


@pytest.mark.parametrize("name", [*UNSEEN, *IN_A_FIGURE])
def test_what_is_no_number_is_held_by_the_record_of_the_run(made, project, name):
    page = made[1]
    record(project, page)
    assert verify_report(page, project).ok
    forged = resealed((UNSEEN | IN_A_FIGURE)[name](page))
    check = verify_report(forged, project)
    assert ("page", "record") in wrong(check), check.problems
    assert not diff_dossiers(page, forged).same
    if name in IN_A_FIGURE:  # also by whoever has no record
        found = verify_dossier(forged, read_all(project), tables=ProjectTables(project))
        assert {part for part, _ in wrong(found)} == {"figures drawn again"}


def test_without_a_record_it_is_said_that_the_rest_of_the_page_was_not_looked_at(made):
    said = verify_report(made[1], made[0]).table(None).set_index("place")["said"]
    assert "no dvc.lock records a page" in said["record"]


def test_a_note_on_a_recorded_page_is_said_and_is_words_alone(made, project):
    page = made[1]
    record(project, page)
    check = verify_report(mark_page(page, "It is <b>of</b> an earlier run."), project)
    assert check.ok, check.problems
    assert "note" in set(check.table(None)["place"])
    two = mark_page(page, "One.").replace("<!--mark-->", "<!--mark--><p>Approved.</p>", 1)
    assert not verify_report(resealed(two), project).ok


# ------------------------------------------------------ edits of what the page was made from


def numbers(metrics: dict) -> list[tuple[str, str]]:
    "Places of the page's numbers that are computed again"
    return [
        *[
            ("backtest_candidates", f"{FAMILY}/performance/{kind}/{name}")
            for kind in ("net", "gross")
            for name in STATISTICS
        ],
        ("validate", f"{FAMILY}/n_obs"),
        ("validate", f"{FAMILY}/n_trials"),
        ("validate", f"{FAMILY}/criteria/test/deflated_sharpe_ratio/value"),
        ("validate", f"{FAMILY}/criteria/test/deflated_sharpe_ratio/threshold"),
        ("validate", f"{FAMILY}/criteria/test/deflated_sharpe_ratio/passed"),
        ("confirm_holdout", f"{FAMILY}/total_return"),
        ("confirm_holdout", f"{FAMILY}/nobs"),
        ("confirm_holdout", "verdict"),
        ("paper_replay", f"{FAMILY}/n_orders"),
        ("paper_replay", f"{FAMILY}/reconciled"),
        *[("validate", f"tried/{i}/annualized_sharpe_ratio") for i in range(3)],
        *[("validate", f"tried/{i}/{name}") for i in (0, 2) for name in ("state", "strategy")],
        ("validate", f"families/{FAMILY}/counted"),
        ("build_dossier", "months/2018/03"),
        ("build_dossier", "months/2019/year"),
    ]


def changed(metrics: dict, place: tuple[str, str]) -> dict:
    "The metrics with another value at a place"
    found = copy.deepcopy(metrics)
    *way, last = place[1].split("/")
    inner = found[place[0]]
    for part in way:
        inner = inner[int(part) if isinstance(inner, list) else part]
    value = inner[last]
    if isinstance(value, bool):
        inner[last] = not value
    elif isinstance(value, str):
        inner[last] = "approved" if value == "rejected" else "rejected"
    else:
        inner[last] = value + 1 if isinstance(value, int) else value * 1.0001
    return found


@pytest.mark.parametrize("which", range(28))
def test_metrics_that_were_edited_with_the_page_built_from_them_are_found(made, project, which):
    metrics = read_all(project)
    place = numbers(metrics)[which]
    forged = changed(metrics, place)
    write_metrics(project / f"artifacts/metrics/{place[0]}.json", forged[place[0]])
    page = write_page(project, forged)
    check = verify_report(page, project)
    assert check.summary()["do not"]["numbers on the page"] == 0  # page and metrics agree
    assert ("numbers computed again", ":".join(place)) in wrong(check)
    assert verify_report(page, made[0]).summary()["do not"]["numbers on the page"] > 0


@pytest.mark.parametrize("row", range(3))
def test_a_pvalue_of_a_trial_that_other_draws_do_not_give_is_found(project, row):
    metrics = read_all(project)
    tried = metrics["validate"]["tried"][row]
    tried["adjusted_pvalue"] *= 0.5
    write_metrics(project / "artifacts/metrics/validate.json", metrics["validate"])
    check = verify_report(write_page(project, metrics), project)
    place = ("numbers computed again", f"validate:tried/{row}/adjusted_pvalue")
    assert wrong(check) - {("page", "record")} == {place}
    assert "computed again it lies between" in check.problems[0]


def test_a_row_that_was_left_out_of_the_trials_is_missed(project):
    metrics = read_all(project)
    del metrics["validate"]["tried"][0]
    metrics["validate"]["families"][FAMILY] = {"listed": 2, "counted": 2}
    write_metrics(project / "artifacts/metrics/validate.json", metrics["validate"])
    places = {place for _, place in wrong(verify_report(write_page(project, metrics), project))}
    assert {f"validate:families/{FAMILY}/{k}" for k in ("listed", "counted")} <= places


def test_a_pvalue_below_what_the_worlds_allow_is_found(project):
    metrics = read_all(project)
    metrics["validate"][FAMILY]["pvalue"] /= 2
    write_metrics(project / "artifacts/metrics/validate.json", metrics["validate"])
    check = verify_report(write_page(project, metrics), project)
    assert ("numbers computed again", f"validate:{FAMILY}/pvalue") in wrong(check)
    assert any("it cannot be below" in problem for problem in check.problems)


@pytest.mark.parametrize("name", ["trial_returns", "holdout_result", "luck", "paper_daily"])
def test_an_artifact_that_was_changed_is_found(made, project, name):
    path = project / f"artifacts/{name}.parquet"
    table = pd.read_parquet(path)
    table.iloc[5:] = table.iloc[5:] * 2
    write_table(path, table)
    check = verify_report(made[1], project)
    assert {"luck": "figures drawn again"}.get(name, "numbers computed again") in {
        part for part, _ in wrong(check)
    }


def test_a_ledger_line_that_was_removed_is_found(made, project):
    path = project / "trials/ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))  # from the middle: the chain is broken
    assert ("files", "trials") in wrong(verify_report(made[1], project))
    path.write_bytes(b"".join(lines[:-1]))  # the last: the chain holds
    check = verify_report(made[1], project)
    assert ("files", "trials/ledger.jsonl") in wrong(check)
    assert ("numbers computed again", f"validate:{FAMILY}/n_trials") in wrong(check)


def test_parameters_that_were_changed_are_named(made, project):
    (project / "params.yaml").write_text(
        "base: {seed: 2}\nvalidate: {thresholds: {deflated_sharpe_ratio: 0.5}}\n"
    )
    found = wrong(verify_report(made[1], project))
    assert {
        ("run", "parameters/base/seed"),
        ("run", "parameters/validate/thresholds/deflated_sharpe_ratio"),
        (
            "numbers computed again",
            f"validate:{FAMILY}/criteria/test/deflated_sharpe_ratio/threshold",
        ),
    } <= found


def test_a_limit_of_the_bundle_that_was_changed_is_found(made, project):
    metrics = read_all(project)
    bundle = {"mode": "shadow", "expires": "2030-01-01", "limits": {"max_gross": 1.5}}
    bundle |= {"kill_rules": {}, "expected_distribution": {}, "seal": "s"}
    quantiles = {"0.01": -0.1, "0.5": 0.0, "0.99": 0.1}
    for key in ("daily_quantiles", "total_return_quantiles", "drawdown_quantiles"):
        bundle["expected_distribution"][key] = quantiles
    place = ("handoff_paper", f"{FAMILY}/limits/max gross/value")
    assert recompute(metrics, {"bundle": bundle}, [place])[0].holds
    bundle["limits"] = {"max_gross": 3.0}
    row = recompute(metrics, {"bundle": bundle}, [place])[0]
    assert row.holds is False and "1.5, computed again it is 3.0" in row.sentence()
    write_metrics(project / "artifacts/bundle.json", {"path": "handoff/none", "seal": "s"})
    assert ("files", "bundle") in wrong(verify_report(made[1], project))


# ------------------------------------------------------------------------------------- the property


VALUES = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@settings(max_examples=40, deadline=None)
@given(which=st.integers(0, 21), value=VALUES)
def test_any_single_fact_that_was_changed_is_found(made, which, value):
    project, page = made
    fact = re.findall(r'<span class="fact".*?</span>', page)[which]
    exact, spec, stage, key = (
        re.search(rf'data-{k}="([^"]*)"', fact)[1] for k in ("value", "format", "stage", "key")
    )
    assume(json.dumps(value) != exact and not (spec and isinstance(value, bool)))
    hidden = edited(fact, f'data-value="{exact}"', f'data-value="{json.dumps(value)}"')
    shown = re.sub(r">[^<]*<", f">{format_fact(value, spec)}<", hidden)
    for forged in (hidden, shown):  # behind what is shown, or as a reader sees it
        tampered = resealed(edited(page, fact, forged))
        check = verify_dossier(tampered, read_all(project))
        assert wrong(check) == {("numbers on the page", f"{stage}:{key}")}
    assert key in set(diff_dossiers(page, tampered).table["key"])


# -------------------------------------------------------------------------------- another run


def test_two_runs_are_compared_by_kind(made, project):
    metrics = read_all(project)
    metrics["confirm_holdout"]["verdict"] = "approved"
    metrics["validate"][FAMILY]["n_trials"] += 10
    metrics["validate"]["plan"]["hash"] = "f" * 64
    for stage, found in metrics.items():
        write_metrics(project / f"artifacts/metrics/{stage}.json", found)
    said = diff_dossiers(made[1], write_page(project, metrics)).sentences()
    told = dict(sentence.split(": ", 1) for sentence in said)
    assert list(told)[:6] == ["verdict", "data", "parameters", "code", "trials", "plan"]
    assert told["verdict"] == "rejected -> approved"
    assert told["parameters"] == told["code"] == told["figures"] == told["text"] == "same"
    assert "n_trials" in told["trials"] and "hash" in told["plan"]


def test_the_command_names_its_file_and_answers_machines(made, project, monkeypatch, capsys):
    from argparse import Namespace

    from quantlab.answers import run_command

    (project / "dvc.yaml").write_text("stages: {}\n")
    (project / "reports").mkdir()
    page = write_page(project, read_all(project))  # with the code of a project
    (project / "reports/dossier.html").write_text(page, encoding="utf-8")
    monkeypatch.chdir(project)
    run = lambda action, *files, json=False: run_command(
        Namespace(action=action, files=files, json=json, wide=False, function=REPORT.run)
    )
    assert run("verify") == 0
    assert "No file was named, so reports/dossier.html" in capsys.readouterr().out
    forged = edited(page, ">500</span>", ">900</span>")
    Path("reports/forged.html").write_text(forged, encoding="utf-8")
    assert run("verify", "reports/forged.html", json=True) == 1
    told = json.loads(capsys.readouterr().out)["files"]["reports/forged.html"]
    assert told["problems"][0]["place"] == f"validate:{FAMILY}/n_obs" and not told["ok"]
    assert told["parts"]["numbers on the page"]["do not"] == 1
    assert run("diff", "reports/dossier.html", "reports/dossier.html") == 0
    assert capsys.readouterr().out.strip() == "no difference"
    assert run("diff", "reports/dossier.html", "reports/forged.html", json=True) == 1
    assert json.loads(capsys.readouterr().out)["table"][0]["second"] == "900"


def test_a_month_in_which_nothing_was_held_stops_no_check():
    with np.errstate(all="ignore"):
        still = statistics_of(pd.Series(np.zeros(21)), 252)
    assert still["total_return"] == 0 and np.isnan(still["skewness"])
