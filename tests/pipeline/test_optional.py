"""Optional means optional: thirty names of returns and prices alone run through every stage, and
each page says what it could not do; what cannot be run is refused before anything is."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import yaml
from conftest import ROOT

from quantlab.data import OPTIONAL_INPUTS, Panel, save_panel
from quantlab.data.contract import trading_sessions
from quantlab.errors import PipelineError
from quantlab.handoff import load_bundle
from quantlab.pipeline import read_metrics, read_params, run_stage
from quantlab.rendering import render_pages
from quantlab.review.plan import plan_from_params
from quantlab.simulate import factor_world
from quantlab.validation import Ledger

STAGES = sorted((ROOT / "nbs/stages").glob("[0-9]*.ipynb"))
SMALL = {
    "base": {"holdout_start": "2012-01-03", "evaluate_from": "2010-03-01", "aliases": None},
    "ingest_prices": {"raw": "data/panel", "cash": None},
    "fit_volatility": {"window": 200, "refit_every": 250},
    "screen_pairs": {"formation": 250, "trading": 250, "keep": 5},
    "evaluate_factors": {"factor_returns": None},
    "ingest_ticks": {"raw": None},
    "backtest_candidates": {
        "grid": {
            "pairs": {"entry": [1.5], "max_pairs": [5]},
            "factors": {"factor": ["momentum_6_1", "short_term_reversal"]},
        }
    },
    "validate": {"n_worlds": 20, "n_screened_worlds": 2, "n_resamples": 500},
    "handoff_paper": {"limits": {"max_position_weight": 0.5, "max_order_notional": 1e7}},
}


def git(folder, *arguments):
    "A git command, by somebody"
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def plan_and_commit(folder):
    "What a user does: `quantlab plan write`, then `git commit`"
    params = read_params(folder / "params.yaml")
    Ledger(folder / "trials/ledger.jsonl").plan(plan_from_params(params))
    git(folder, "add", "trials")
    git(folder, "commit", "-qm", "plan")


def set_params(folder, changes):
    "Change values of params.yaml"
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, values in changes.items():
        for name, value in values.items():
            old = params[section].get(name)
            params[section][name] = old | value if name == "limits" else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    "Thirty names, two of which end early and three begin late, with prices and returns alone"
    folder = tmp_path_factory.mktemp("optional") / "project"
    sessions = trading_sessions("XNYS", "2009-02-02", "2012-06-29")
    returns = factor_world(sessions.rename("date"), 30, rng=np.random.default_rng(11)).returns
    returns.iloc[:150, :3] = np.nan
    returns.iloc[600:, 3] = np.nan
    returns.iloc[599, 4], returns.iloc[600:, 4] = -1.0, np.nan  # a total loss
    prices = 50 * (1 + returns).cumprod()
    save_panel(
        Panel({"returns": returns, "prices": prices.where(prices > 0)}), folder / "data/panel"
    )
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "nbs/stages", folder / "nbs/stages")
    set_params(folder, SMALL)
    git(folder, "init", "-q")
    plan_and_commit(folder)
    for notebook in STAGES:
        run_stage(folder / "nbs/stages" / notebook.name, project=folder)
    render_pages(folder)
    return folder


def metrics(project, stage):
    return read_metrics(project / f"artifacts/metrics/{stage}.json")


def said(project, stage) -> str:
    "The words of a page, without its pictures and marks"
    text = (project / f"reports/{stage}.html").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", re.sub("(?s)<(svg|style).*?</\\1>", "", text)))


def test_prices_alone_run_to_a_dossier_and_nothing_warns(bare):
    assert metrics(bare, "build_dossier")["numbers"] > 100
    for page in sorted((bare / "artifacts/notebooks").glob("*.ipynb")):
        cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        streams = [o for c in cells for o in c.get("outputs", []) if o["output_type"] == "stream"]
        assert not streams, (page.name, streams)


def test_what_is_absent_is_listed_once_written_and_read_by_later_stages(bare):
    absent = metrics(bare, "build_returns")["absent"]
    assert set(absent) == set(OPTIONAL_INPUTS)
    first = said(bare, "ingest_prices")
    for given in OPTIONAL_INPUTS.values():
        assert first.count(given.cannot) == 1 and first.count(given.verdict) == 1
    validate, dossier = said(bare, "validate"), said(bare, "dossier")
    for name in ("dollar_volume", "membership", "sectors"):
        given = OPTIONAL_INPUTS[name]
        assert f"Without {given.label}: {given.verdict}" in validate
        assert given.cannot in dossier and given.verdict in dossier
    judged = metrics(bare, "validate")
    biases = judged[judged["family"]]["biases"]
    assert {"no_dollar_volume", "no_membership", "no_sectors"} <= set(biases)
    assert "membership_backfilled" not in biases and "delisted_names_absent" not in biases


def test_without_dollar_volume_no_impact_is_charged_and_every_page_with_costs_says_so(bare):
    assert metrics(bare, "backtest_candidates")["charged"] == (
        "commission, half-spread and borrow fees"
    )
    assert "No impact is charged, since the data has no dollar volume" in said(
        bare, "backtest_candidates"
    )
    assert "No impact is charged, since the data has no dollar volume" in said(
        bare, "confirm_holdout"
    )
    judged = metrics(bare, "validate")
    row = judged[judged["family"]]["criteria"]["precondition"]["breakeven_cost_multiple"]
    assert row["sentence"].endswith("it holds for an account too small to move prices.")
    bundle = load_bundle(
        bare / read_metrics(bare / "artifacts/bundle.json")["path"], as_of="2012-01-03"
    )
    params = read_params(bare / "params.yaml")["base"]["costs"]
    assert params["impact_coefficient"] > 0
    assert bundle.costs.to_dict() == params | {"impact_coefficient": 0.0}
    assert metrics(bare, "paper_replay")[judged["family"]]["reconciled"]


def test_without_membership_survivorship_is_unknown_and_not_zero(bare):
    built = metrics(bare, "build_returns")
    assert built["survivorship"] == {} and built["ended"] == 2
    page = said(bare, "build_returns")
    assert "No membership was given" in page and "Not measured: without a membership" in page
    assert "and 2 end before the last day" in page


def test_factors_that_lack_a_field_are_left_out_by_name(bare):
    found = metrics(bare, "evaluate_factors")
    assert found["left_out"]["illiquidity"] == "dollar_volume"
    assert found["left_out"]["sector_lead"] == "dollar_volume, sectors"
    assert found["left_out"]["long_term_reversal"] == "days"
    page = said(bare, "evaluate_factors")
    for words in (
        "illiquidity, low_dollar_volume, abnormal_volume, steady_volume (no dollar_volume)",
        "combined, which is made of momentum_12_1",
        "By sector nothing can be said",
        "names no file of their returns",
        "Nothing is learned here: 104 weeks to train",
    ):
        assert words in page, words
    assert found["learned_settings"] == 0 and not found["learned_kept"]
    assert not (bare / "trials/factors.jsonl").exists()


@pytest.mark.parametrize(
    ("stage", "changes", "sentence"),
    [
        (
            "06_backtest_candidates",
            {"backtest_candidates": {"grid": {"factors": {"factor": ["illiquidity", "low_beta"]}}}},
            "1 of the 2 points of the grid need what the data does not have: no dollar_volume for "
            "'factors: illiquidity'. Nothing was run",
        ),
        (
            "06_backtest_candidates", {"base": {"evaluate_from": "2011-12-15"}},
            "`base.evaluate_from` is 2011-12-15, and the data run from 2009-02-02 to 2011-12-30",
        ),
        (
            "01_ingest_prices", {"base": {"holdout_start": "2015-07-01"}},
            "choose a day from 2009-02-04 to 2012-06-01",
        ),
        (
            "03_fit_volatility", {"fit_volatility": {"window": 2000}},
            "1,327 too few: lower the window to at most 673",
        ),
        (
            "04_screen_pairs", {"screen_pairs": {"formation": 1000}},
            "285 too few: lower the formation to at most 715",
        ),
        (
            "09_handoff_paper", {"handoff_paper": {"limits": {"max_position_weight": 0.01}}},
            "and `handoff_paper.limits.max_position_weight` is 0.01, so no bundle can be written",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_in_one_sentence(bare, tmp_path, stage, changes, sentence):
    project = tmp_path / "project"
    shutil.copytree(bare, project)
    set_params(project, changes)
    ledger = (project / "trials/ledger.jsonl").read_bytes()
    with pytest.raises(PipelineError) as error:
        run_stage(project / f"nbs/stages/{stage}.ipynb", project=project)
    assert sentence in str(error.value) and "Traceback" not in str(error.value)
    assert (project / "trials/ledger.jsonl").read_bytes() == ledger
