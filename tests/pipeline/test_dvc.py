"""DVC as people use it: a summary that can be compared, plots without a network, a narrow graph."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from quantlab.cli import main
from quantlab.dvc_plots import write_plot_templates
from quantlab.pages import external_references

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
SUMMARY = "artifacts/metrics/summary.json"


def dvc(folder, *arguments):
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{folder}-cache"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def git(folder, *arguments):
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_one_small_file_is_what_dvc_compares_and_the_large_ones_stay_in_git():
    compared = {p for spec in DVC["stages"].values() for m in spec.get("metrics", []) for p in m}
    assert compared == {SUMMARY}
    large = {
        path: flags
        for spec in DVC["stages"].values()
        for out in spec["outs"]
        for path, flags in (out.items() if isinstance(out, dict) else ())
        if path.startswith("artifacts/metrics/")
    }
    assert len(large) == 15 and all(flags["cache"] is False for flags in large.values())


@pytest.mark.slow
def test_the_plots_of_dvc_open_offline_and_its_tables_are_short(tmp_path):
    "The plots of dvc.yaml, drawn from tables of two revisions"
    git(tmp_path, "init", "-q")
    dvc(tmp_path, "init", "-q")
    shutil.copy(ROOT / ".dvc/config", tmp_path / ".dvc/config")
    assert len(write_plot_templates(tmp_path)) == 2
    stage = {"cmd": "true", "metrics": [{SUMMARY: {"cache": False}}]}
    content = {"stages": {"judge": stage}, "plots": DVC["plots"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    tables = {
        "performance": "date,wealth,drawdown\n2010-01-04,1.01,0\n2010-01-05,0.98,-0.0297\n",
        "ic_decay": "horizon,ic,ic_lower,ic_upper\n1,0.01,-0.01,0.03\n5,0.02,0,0.04\n",
        "power": "true_annual_sharpe,passes,lower,upper\n0,0.03,0.02,0.04\n1,0.3,0.25,0.35\n",
    }
    (tmp_path / "artifacts/plots").mkdir(parents=True)
    for name, text in tables.items():
        (tmp_path / f"artifacts/plots/{name}.csv").write_text(text)
    (tmp_path / "artifacts/metrics").mkdir()
    (tmp_path / SUMMARY).write_text(json.dumps({"verdict": "rejected", "pvalue": 0.174}))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / SUMMARY).write_text(json.dumps({"verdict": "approved", "pvalue": 0.012}))
    said = dvc(tmp_path, "metrics", "diff")
    assert "pvalue" in said and "0.174" in said and "0.012" in said and len(said.split("\n")) < 8
    (tmp_path / "artifacts/plots/power.csv").write_text(tables["power"].replace("0.3,", "0.9,"))
    for command, revisions in {("plots", "show"): 1, ("plots", "diff"): 2}.items():
        dvc(tmp_path, *command)
        page = (tmp_path / "dvc_plots/index.html").read_text(encoding="utf-8")
        assert external_references(page) == [] and page.count("vegaEmbed('#") == 4
        assert page.count('"passes": "0.9"') == 1
        assert page.count('"passes": "0.3"') == revisions - 1
        assert '"type": "temporal"' in page and "Below the highest point so far" in page


def test_the_project_of_the_sample_has_the_templates_as_they_are_written(tmp_path):
    (tmp_path / ".dvc").mkdir()
    for name in write_plot_templates(tmp_path):
        assert (ROOT / name).read_text() == (tmp_path / name).read_text(), name


def test_the_graph_fits_a_screen_and_keeps_every_stage(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["dag"]) == 0
    drawn = capsys.readouterr().out
    assert max(map(len, drawn.splitlines())) <= 100
    assert all(stage in drawn for stage in DVC["stages"])
    assert main(["dag", "--mermaid"]) == 0
    arrows = [line.split(" --> ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["    validate", "confirm_holdout"] in arrows and len(arrows) < 20
