"""The pipeline at small scale: the same notebooks, on simulated worlds whose truth is known.

A world with a planted edge must pass from the plan to the bundle, be handed over and trade in the
reference broker; the same world without the edge must be rejected. Both write to a project of
their own, in which the plan is written and committed before the first stage runs.
"""

import hashlib
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT

from quantlab.cli import main
from quantlab.data.contract import trading_sessions
from quantlab.handoff import load_bundle
from quantlab.pipeline import read_metrics, read_params, run_stage
from quantlab.rendering import render_pages
from quantlab.review.plan import plan_from_params
from quantlab.simulate import factor_world
from quantlab.starter import starter_family
from quantlab.validation import Ledger

STAGES = sorted((ROOT / "nbs/stages").glob("[0-9]*.ipynb"))
SMALL = {
    "base": {"holdout_start": "2011-06-01", "evaluate_from": "2008-02-01"},
    "fit_volatility": {"window": 250, "refit_every": 63},
    "screen_pairs": {"formation": 250, "trading": 250, "keep": 10},
    "backtest_candidates": {
        "grid": {
            "pairs": {"entry": [1.5], "exit": [0.0, 0.5], "max_pairs": [5]},
            "factors": {
                "factor": ["momentum_12_1", "momentum_6_1", "intermediate_momentum"],
                "rebalance_every": [21, 42],
                "inverse_volatility": [False, True],
            },
        }
    },
    "validate": {"n_worlds": 40, "n_screened_worlds": 2, "n_resamples": 2000},
    "ingest_ticks": {"raw": None},
}


def build_project(folder, edge: float):
    "A project of its own: the real notebooks, a simulated vendor, small windows"
    sessions = trading_sessions("XNYS", "2007-01-03", "2012-06-29")
    world = factor_world(sessions.rename("Date"), 40, edge=edge, rng=np.random.default_rng(11))
    raw = folder / "data/equity"
    raw.mkdir(parents=True)
    frames = {
        "returns": world.returns.round(6),
        "dollar_volume": world.dollar_volume,
        "intraday_abs_return": world.intraday_abs_return.round(6),
    }
    for name, frame in frames.items():
        frame.to_csv(raw / f"{name}.csv.gz")
    world.sectors.rename_axis("ticker").to_csv(raw / "sectors.csv")
    rows = [f"{s},{s} Inc,1990-01-01," for s in world.returns]
    rows[-1] += "2010-01-04"
    (raw / "sp500_membership.csv").write_text(
        "\n".join(["symbol,name,added,removed", *rows]) + "\n"
    )
    (folder / "data/aliases.csv").write_text("panel_symbol,membership_symbol,reason\n")
    months = pd.date_range("2007-01-01", "2012-06-01", freq="MS", name="dates")
    french = np.random.default_rng(12).normal(0, 0.03, (len(months), 4))
    (folder / "data/market").mkdir()
    pd.DataFrame(french, months, ["MktRF", "SMB", "HML", "Mom"]).to_csv(
        folder / "data/market/french_portfolios.csv.bz2"
    )
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in SMALL.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copytree(ROOT / "nbs/stages", folder / "nbs/stages")
    git(folder, "init", "-q")
    plan_and_commit(folder)
    return folder


def git(folder, *arguments):
    "A git command, by somebody"
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def plan_and_commit(folder, **options):
    "What a user does: `quantlab plan write`, then `git commit`"
    params = read_params(folder / "params.yaml")
    Ledger(folder / "trials/ledger.jsonl").plan(plan_from_params(params), **options)
    git(folder, "add", "trials")
    git(folder, "commit", "-qm", "plan")


def run_all(project):
    "Every stage in order"
    for notebook in STAGES:
        run_stage(project / "nbs/stages" / notebook.name, project=project)
    render_pages(project)
    return project


def hashes(project) -> dict[str, str]:
    "sha256 of everything that the stages made"
    made = [
        p for d in ("artifacts", "reports", "trials", "handoff") for p in (project / d).rglob("*")
    ]
    return {
        str(p.relative_to(project)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in made
        if p.is_file() and p.suffix != ".lock"
    }


@pytest.fixture(scope="session")
def edge_world(tmp_path_factory):
    return run_all(build_project(tmp_path_factory.mktemp("edge"), edge=0.001))


@pytest.fixture(scope="session")
def flat_world(tmp_path_factory):
    return run_all(build_project(tmp_path_factory.mktemp("flat"), edge=0.0))


@pytest.fixture(scope="session")
def trend_world(edge_world, tmp_path_factory):
    """A third family and a factor, in modules of the user's own, on the data of the edge world:
    stages 05 to 11"""
    project = tmp_path_factory.mktemp("trend") / "project"
    shutil.copytree(edge_world, project)
    for made in ("trials", "handoff", ".git"):  # a project of its own, with a history of its own
        shutil.rmtree(project / made)
    git(project, "init", "-q")
    (project / "strategies").mkdir()
    (project / "strategies/trend.py").write_text(starter_family())
    shutil.copy(ROOT / "tests/programs/quiet_days.py", project / "strategies")
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["base"]["families"].append("strategies.trend")
    params["base"]["factors"].append("strategies.quiet_days")
    params["backtest_candidates"]["grid"] = {
        "trend": {"window": [60, 120], "long_only": [False, True]},
        "pairs": {"entry": [30.0], "stop": [40.0]},  # never trades, and counts all the same
        "factors": {"factor": ["quiet_days"]},
    }
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    plan_and_commit(project)
    for notebook in STAGES[4:]:
        run_stage(project / "nbs/stages" / notebook.name, project=project)
    render_pages(project)
    return project


def metrics(project, stage):
    return read_metrics(project / f"artifacts/metrics/{stage}.json")


def bundle_of(project):
    pointer = json.loads((project / "artifacts/bundle.json").read_text())
    return load_bundle(project / pointer["path"], as_of="2011-06-01")


def test_a_planted_edge_passes_is_handed_over_and_trades(edge_world):
    judged = metrics(edge_world, "validate")
    assert judged["verdict"] == "unconfirmed", judged[judged["family"]]["criteria"]
    assert judged["plan"]["committed"] and not judged["plan"]["after_the_fact"]
    assert judged["family"] == "factors" and "momentum" in judged["factors"]["selected"]
    confirmed = metrics(edge_world, "confirm_holdout")
    assert confirmed["verdict"] == "approved"
    name = judged["factors"]["selected"]
    assert confirmed["sentence"].startswith(f"{name} is approved: the preconditions hold; if none")
    assert "and the holdout agrees. The holdout confirms it" in confirmed["sentence"]
    dossier = (edge_world / "reports/dossier.html").read_text(encoding="utf-8")
    assert "is approved: the preconditions hold" in dossier and "to be asked" not in dossier
    assert confirmed["factors"]["confirmation"]["holdout_pvalue"]["passed"]
    bundle, replay = bundle_of(edge_world), metrics(edge_world, "paper_replay")
    assert (bundle.verdict, bundle.mode) == ("approved", "shadow")  # nobody has signed it yet
    replay = replay["factors"]
    assert replay["reconciled"] and replay["n_orders"] > 50 and replay["mode"] == "shadow"


def test_the_same_world_without_the_edge_is_rejected_and_runs_in_the_shadow(flat_world):
    judged = metrics(flat_world, "validate")
    assert judged["verdict"] == "rejected" == metrics(flat_world, "confirm_holdout")["verdict"]
    assert not judged["factors"]["criteria"]["test"]["deflated_sharpe_ratio"]["passed"]
    assert all(row["passed"] for row in judged["factors"]["criteria"]["precondition"].values())
    assert bundle_of(flat_world).mode == "shadow"
    assert (
        next(v["mode"] for v in metrics(flat_world, "paper_replay").values() if isinstance(v, dict))
        == "shadow"
    )


def test_factors_find_the_planted_edge_and_none_where_there_is_none(edge_world, flat_world):
    planted, empty = (
        metrics(edge_world, "evaluate_factors"),
        metrics(flat_world, "evaluate_factors"),
    )
    assert "momentum_12_1" in planted["survivors"] and planted["learned_ic"] > 0.1
    assert planted["learned_net_a_year"] > 0.1
    assert empty["surviving"] == 0 and not empty["learned_kept"]
    trials = (flat_world / "trials/factors.jsonl").read_text().splitlines()
    assert len(trials) == empty["learned_settings"] + 2  # ridge and equal weights


def test_the_second_run_gives_the_same_bytes_and_adds_no_trial(flat_world):
    first = hashes(flat_world)
    ledger = (flat_world / "trials/ledger.jsonl").read_bytes()
    run_all(flat_world)
    assert hashes(flat_world) == first
    assert (flat_world / "trials/ledger.jsonl").read_bytes() == ledger


def test_the_volatility_page_has_exact_pvalues_and_regimes(flat_world):
    tests = metrics(flat_world, "fit_volatility")["equal_weight"]
    for level, test in tests.items():
        assert 0 < test["p_cc_exact"] <= 1 and 0 < test["p_duration_exact"] <= 1, level
    page = (flat_world / "reports/fit_volatility.html").read_text(encoding="utf-8")
    page = page.split("<main ")[1].split("</main>")[0]
    assert "days a spell lasts" in page and "..." not in page  # no note is cut off


def test_pages_open_offline_and_end_with_their_origins(flat_world):
    from quantlab.review import external_references

    pages = sorted((flat_world / "reports").glob("*.html"))
    assert {p.stem for p in pages} >= {"index", "dossier", "validate", "ingest_prices"}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert external_references(text) == [], page.name
        assert "Traceback" not in text
    validate = (flat_world / "reports/validate.html").read_text(encoding="utf-8")
    assert "Inputs (md5)" in validate and "trials/ledger.jsonl" in validate
    assert "import " not in validate.split("<main ")[1].split("</main>")[0]


def test_each_page_after_the_holdout_says_how_often_it_was_opened(flat_world):
    for stage in ("confirm_holdout", "handoff_paper", "paper_replay", "build_dossier"):
        page = (flat_world / f"reports/{stage}.html").read_text(encoding="utf-8")
        assert "opened 1 time" in page, stage
    dossier = (flat_world / "reports/dossier.html").read_text(encoding="utf-8")
    assert (
        "openings of the holdout: 1"
        in re.sub("<[^>]*>", "", dossier.split('class="subtitle"')[1])[:200]
    )


def test_every_family_decides_anew_in_placebo_worlds_and_losers_hidden_have_a_line(edge_world):
    judged = metrics(edge_world, "validate")
    assert list(judged["placebo"]) == ["bootstrap", "bootstrap, all screened again", "shift"]
    assert [p["n_worlds"] for p in judged["placebo"].values()] == [40, 2, 2]
    assert all(p["lower"] <= 0.05 for p in judged["placebo"].values())
    page = (edge_world / "reports/validate.html").read_text(encoding="utf-8")
    dossier = (edge_world / "reports/dossier.html").read_text(encoding="utf-8")
    for text in (page, dossier):
        assert "losers hidden, not counted" in text and "losers hidden, counted" in text
    assert set(judged["rule"]["hidden_losers"]) >= {"everything shown", "losers hidden, counted"}


def test_a_grid_without_a_committed_plan_is_not_run(edge_world, tmp_path):
    from quantlab.errors import PipelineError

    project = tmp_path / "project"
    shutil.copytree(edge_world, project)
    ledger = project / "trials/ledger.jsonl"
    stage = project / "nbs/stages/06_backtest_candidates.ipynb"
    before = ledger.read_bytes()
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["backtest_candidates"]["grid"]["pairs"]["entry"] = [1.5, 2.5]
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.raises(PipelineError, match=r"pairs.entry = \[?2.5\]? is not in it"):
        run_stage(stage, project=project)
    assert ledger.read_bytes() == before
    known = Ledger(ledger).plan_in_force().id
    Ledger(ledger).plan(plan_from_params(read_params(project / "params.yaml")), replaces=known)
    with pytest.raises(PipelineError, match="is not committed"):
        run_stage(stage, project=project)
    assert ledger.read_bytes().startswith(before)


def test_thresholds_that_are_not_planned_are_not_judged_by(edge_world, tmp_path):
    "And those that are planned after the results are no approval"
    from quantlab.errors import PipelineError

    project = tmp_path / "project"
    shutil.copytree(edge_world, project)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["validate"]["thresholds"]["deflated_sharpe_ratio"] = 0.5
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    stage = project / "nbs/stages/07_validate.ipynb"
    with pytest.raises(PipelineError, match="deflated_sharpe_ratio 0.95 -> 0.5"):
        run_stage(stage, project=project)
    plan_and_commit(project, replaces=Ledger(project / "trials/ledger.jsonl").plan_in_force().id)
    run_stage(stage, project=project)
    judged = metrics(project, "validate")
    assert judged["verdict"] == "rejected"
    rows = judged["factors"]["criteria"]["precondition"]
    assert [name for name, row in rows.items() if not row["passed"]] == ["plan_before_results"]
    assert "0.95 -> 0.5" in " ".join(judged["objections"])


def test_every_number_of_the_dossier_is_verified_and_an_edit_is_found(
    flat_world, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(flat_world)
    assert main(["report", "verify", "reports/dossier.html"]) == 0
    text = (flat_world / "reports/dossier.html").read_text(encoding="utf-8")
    exact = str(metrics(flat_world, "validate")["factors"]["annualized_sharpe_ratio"])
    assert exact in text
    forged = tmp_path / "forged.html"
    forged.write_text(text.replace(exact, "1.75"), encoding="utf-8")
    assert main(["report", "verify", str(forged)]) == 1
    assert main(["report", "diff", "reports/dossier.html", str(forged)]) == 1
    assert main(["report", "diff", "reports/dossier.html", "reports/dossier.html"]) == 0
    assert "1.75" in capsys.readouterr().out
    md5 = hashlib.md5((flat_world / "artifacts/metrics/validate.json").read_bytes()).hexdigest()
    opened = re.search(r"openings of the holdout: <span[^>]*>1</span>", text)[0]
    for old, new in [(opened, opened.replace(">1<", ">0<")), (md5, "0" * 32)]:
        assert old in text
        forged.write_text(text.replace(old, new), encoding="utf-8")
        assert main(["report", "verify", str(forged)]) == 1
        assert main(["report", "diff", "reports/dossier.html", str(forged)]) == 1
    assert f"made from metrics with md5 {'0' * 32}, now {md5}" in capsys.readouterr().out
    assert main(["report", "verify", "reports/validate.html"]) == 1
    assert "page of a stage, not a dossier" in capsys.readouterr().out


def test_each_figure_names_the_file_it_was_drawn_from(flat_world):
    judged = metrics(flat_world, "validate")
    logits = pd.read_parquet(flat_world / "artifacts/pbo_logits.parquet")["logit"]
    family = judged["family"]
    share = (logits <= 0).mean()
    known = judged[family]["facts"]["probability_of_backtest_overfitting"]
    assert share == pytest.approx(known, abs=1e-12)
    page = (flat_world / "reports/dossier.html").read_text(encoding="utf-8")
    md5 = hashlib.md5((flat_world / "artifacts/pbo_logits.parquet").read_bytes()).hexdigest()
    assert f"artifacts/pbo_logits.parquet={md5}" in page
    assert f"{share:.1%}" in page  # one number, one format


def test_the_bundle_names_its_page_and_its_count(flat_world):
    judged = metrics(flat_world, "validate")
    (path,) = [p for p in (flat_world / "handoff").iterdir() if p.is_dir()]
    manifest = load_bundle(path).manifest
    judging = "artifacts/notebooks/validate.ipynb"
    page = (flat_world / judging).read_bytes()
    assert manifest["pages"][judging] == hashlib.sha256(page).hexdigest()
    assert manifest["ledger"]["count"] == judged["n_trials"]
    assert manifest["ledger"]["last_hash"] == judged["ledger"]["last_hash"]
    assert {p.name for p in path.iterdir()} == {
        "manifest.json",
        "target_weights.parquet",
        "expected.parquet",
        "times.parquet",
    }
    assert manifest["plan"] == judged["plan"]["hash"]
    assert manifest["expected_distribution"]["selection"]["n_trials"] > 1


def test_the_command_reads_ledger_and_bundle(flat_world, monkeypatch, capsys):
    monkeypatch.chdir(flat_world)
    assert main(["trials", "verify"]) == 0
    assert main(["trials", "show"]) == 0
    pointer = json.loads((flat_world / "artifacts/bundle.json").read_text())["path"]
    assert main(["handoff", "verify", pointer]) == 0
    assert main(["handoff", "show", pointer]) == 0
    assert "shadow" in capsys.readouterr().out
    assert (
        main(["paper", pointer, "--feed", "artifacts/feed.parquet", "--state", "paper_state"]) == 0
    )
    assert main(["handoff", "approve", pointer, "--by", "nobody", "--reason", "none"]) == 1
    assert main(["handoff", "approve", pointer]) == 2
    assert main(["handoff", "verify"]) == 2
    assert main(["handoff", "verify", pointer, f"{pointer}.approvals.jsonl", pointer]) == 0
    assert capsys.readouterr().out.count("every hash and the seal hold") == 2
    assert main(["handoff", "verify", "handoff/none", pointer]) == 1
    with pytest.raises(SystemExit) as stop:
        main(["paper", pointer, "--as-of", "rubbish"])
    assert stop.value.code == 2
    ledger = flat_world / "trials/ledger.jsonl"
    good = ledger.read_bytes()
    try:
        ledger.write_bytes(good.replace(b"factors", b"fuctors", 1))
        assert main(["trials", "verify"]) == 1
        ledger.unlink()
        assert main(["trials", "verify"]) == 1
        assert "There is no ledger ledger.jsonl" in capsys.readouterr().out
        assert main(["trials", "verify", "--ledger", "trials/leger.jsonl"]) == 2
    finally:
        ledger.write_bytes(good)
    openings = flat_world / "trials/openings.jsonl"
    good = openings.read_bytes()
    try:
        openings.write_bytes(good.replace(b"factors", b"fuctors", 1))
        assert main(["trials", "verify"]) == 1
        assert "openings.jsonl: line 1 was edited" in capsys.readouterr().out
    finally:
        openings.write_bytes(good)


def test_a_family_of_the_users_own_goes_from_the_grid_to_the_desk(trend_world):
    judged, held = metrics(trend_world, "validate"), metrics(trend_world, "confirm_holdout")
    assert judged["family"] == held["family"] == "trend"
    assert list(judged["placebo"])[0] == "bootstrap"
    bundle, replay = bundle_of(trend_world), metrics(trend_world, "paper_replay")["trend"]
    assert bundle.family == "trend" and bundle.strategy == "trend_book"
    assert set(bundle.parameters) == {"window", "long_only"}
    assert replay["reconciled"] and replay["n_orders"] > 50
    ledger = Ledger(trend_world / "trials/ledger.jsonl")
    assert ledger.count("trend") >= 4 and ledger.count("pairs") == 1
    assert "pairs" not in metrics(trend_world, "backtest_candidates")
    page = (trend_world / "reports/dossier.html").read_text()
    assert "News is taken in slowly" in page and "short into the recovery" in page
    for notebook in STAGES:
        assert (trend_world / "nbs/stages" / notebook.name).read_bytes() == notebook.read_bytes()


def test_a_factor_of_the_users_own_is_ranked_combined_and_traded(trend_world, edge_world):
    own, without = (metrics(w, "evaluate_factors") for w in (trend_world, edge_world))
    assert own["factors"] == without["factors"] + 1
    table = pd.read_parquet(trend_world / "artifacts/factors.parquet").set_index("factor")
    assert table.loc["quiet_days", ["mean", "qvalue", "cluster", "ic_beyond"]].notna().all()
    page = (trend_world / "reports/evaluate_factors.html").read_text(encoding="utf-8")
    assert "1 of the project&#x27;s own" in page or "1 of the project's own" in page
    assert "whose audit is passed" in page
    trials = read_metrics(trend_world / "artifacts/candidates.json")["trials"].values()
    assert "factors: quiet_days" in {trial["name"] for trial in trials}
    ledger = Ledger(trend_world / "trials/ledger.jsonl")
    assert ledger.count("factors") >= 1
    said = ledger.table("trend")["hypothesis"]
    assert said.iloc[0].startswith("News is taken in slowly")
    placebo = metrics(trend_world, "validate")["placebo"]["bootstrap"]
    assert placebo["n_worlds"] == 40  # its worlds were drawn in other processes


def test_the_family_of_the_holdout_names_what_it_lacks(trend_world):
    from quantlab.errors import PipelineError

    (trend_world / "strategies/trend.py").rename(trend_world / "strategies/trnd.py")
    with pytest.raises(PipelineError, match="there is no module 'strategies.trend'"):
        run_stage(trend_world / "nbs/stages/08_confirm_holdout.ipynb", project=trend_world)


def test_data_check_asks_what_a_long_file_holds_and_says_when_nothing_is_wrong(tmp_path, capsys):
    rows = [
        f"{day},{a},{v}"
        for day in ("2020-01-02", "2020-01-03")
        for a, v in (("A", 1.0), ("B", 2.0))
    ]
    (tmp_path / "long.csv").write_text("\n".join(["date,asset,value", *rows, ""]))
    assert main(["data", "check", str(tmp_path / "long.csv")]) == 1
    assert (
        "`values` = prices, returns, log-prices or log-returns (--values)"
        in capsys.readouterr().err
    )
    assert main(["data", "check", str(tmp_path / "long.csv"), "--values", "prices"]) == 0
    capsys.readouterr()
    sessions = trading_sessions("XNYS", "2007-01-03", "2007-03-30")
    world = factor_world(sessions, 4, rng=np.random.default_rng(0))
    (1 + world.returns).cumprod().to_csv(tmp_path / "wide.csv")
    assert main(["data", "check", str(tmp_path / "wide.csv")]) == 0
    assert capsys.readouterr().out == "no findings\n"


def test_an_unused_key_of_base_is_seen(tmp_path, monkeypatch, capsys):
    project = build_project(tmp_path, edge=0.0)
    shutil.copytree(ROOT / "quantlab", project / "quantlab")
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("base:\n", "base:\n  seeed: 1\n"))
    monkeypatch.chdir(project)
    assert main(["check"]) == 1
    assert "base of params.yaml has seeed, which no stage has" in capsys.readouterr().out


BAD = {
    "a wrong column": (lambda t: t.replace("S003", "S004", 1), "S004"),
    "a duplicate date": (lambda t: t + t.splitlines()[-1] + "\n", "more than once"),
    "text in a number": (
        lambda t: t.replace("\n2007-01-08,", "\n2007-01-08,n.a.", 1),
        "2007-01-08",
    ),
    "an empty file": (lambda t: "", "empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_vendor_files_end_in_one_sentence_and_lose_nothing(case, tmp_path, monkeypatch, capsys):
    change, expected = BAD[case]
    project = build_project(tmp_path / "bad", edge=0.0)
    good = project / "artifacts/notebooks/ingest_prices.ipynb"
    good.parent.mkdir(parents=True)
    good.write_text("the last good run")
    import gzip

    file = project / "data/equity/returns.csv.gz"
    text = change(gzip.decompress(file.read_bytes()).decode())
    file.write_bytes(gzip.compress(text.encode()))
    monkeypatch.chdir(project)
    assert main(["run", "nbs/stages/01_ingest_prices.ipynb"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("quantlab: Stage ingest_prices failed") and error.count("\n") == 1
    assert expected in error and "returns.csv.gz" in error, error
    assert (project / "failed/ingest_prices.ipynb").exists()
    assert good.read_text() == "the last good run"


def test_bad_parameters_files_and_stages_end_before_anything_runs(tmp_path, monkeypatch, capsys):
    project = build_project(tmp_path / "bad", edge=0.0)
    monkeypatch.chdir(project)
    first = "nbs/stages/01_ingest_prices.ipynb"
    good = (project / "params.yaml").read_text()
    for text, expected in {
        good.replace("window: 250", "windw: 250"): "has no parameter 'windw'",
        good.replace("window: 250", "window: many"): "must be of type int",
        good.replace("window: 250", "#"): "'window' of stage fit_volatility is missing",
        "base: [": "not valid YAML",
    }.items():
        (project / "params.yaml").write_text(text)
        assert main(["run", "nbs/stages/03_fit_volatility.ipynb"]) == 1
        assert expected in capsys.readouterr().err
    (project / "params.yaml").write_text(good)
    assert main(["run", "nbs/stages/12_unknown.ipynb"]) == 1
    assert "does not exist" in capsys.readouterr().err
    for wrong, sentence in {
        "raw": "name=path",
        "rough=data/equity": "no parameter 'rough'",
    }.items():
        assert main(["run", first, wrong]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["run", first, "raw=data/nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["rum"])
    assert stop.value.code == 2
    assert not (project / "artifacts").exists()
