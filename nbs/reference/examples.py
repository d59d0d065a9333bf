"""Writes the page of the commands: runs each example in a project made for it, and shows it."""

import contextlib
import glob
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from quantlab.cli import main
from quantlab.commands import COMMANDS
from quantlab.handoff import Bar, save_feed, write_bundle

PRICES = Path(__file__).parents[1] / "tutorials/data/us_large_caps.csv.gz"
SHOWN = 40  # lines of an answer
# of the agreement below: the watch over live results never rings
WATCH = {
    "mean": 4e-4, "volatility": 0.01, "abs_mean": 0.8, "abs_std": 0.6, "mean_allowance": 0.05,
    "volatility_allowance": 0.25, "mean_threshold": 1e6, "volatility_threshold": 1e6,
    "average_run_length": 1e3, "achieved_run_length": 1e3, "run_length_low": 5e2,
    "run_length_high": 2e3, "detection_delay": 1e2, "block_length": 1.0, "n_resamples": 1,
    "seed": 0,
}  # fmt: skip
LIMITS = {
    "max_order_notional": 6e6, "max_gross": 2.0, "max_position_weight": 0.6,
    "max_daily_turnover": 2.0, "price_collar": 0.25, "max_orders_per_day": 10,
    "max_stale_days": 0, "max_daily_loss": 0.03, "max_drawdown": 0.08,
}  # fmt: skip


def prepare(folder: Path) -> None:
    "What the examples name: prices, attempts, two agreements, six days of bars"
    shutil.copy(PRICES, folder / "prices.csv.gz")
    days = pd.bdate_range("2015-07-01", periods=6)
    tried = pd.DataFrame({"fast": [0.01, -0.02] * 40, "slow": [0.01, 0.0] * 40})
    tried.index = pd.bdate_range("2015-01-01", periods=80, name="date")
    tried.to_csv(folder / "tried.csv")
    for name, last in (("first", 0.5), ("second", 0.6)):
        weights = {"A": [0.5, 0.4, last], "B": [-0.5, -0.4, -last]}
        bundle = write_bundle(
            folder / "handoff", strategy="pairs_book", verdict="approved", universe=["A", "B"],
            parameters={"formation": 252}, inputs={}, code="none", limits=LIMITS,
            target_weights=pd.DataFrame(weights, index=days[:3]),
            expected=pd.DataFrame({"returns": 0.001, "turnover": 0.1, "costs": 0.0}, index=days),
            costs={"commission_bps": 1.0}, kill_rules={"drawdown": 0.1},
            expected_distribution={"mean": 4e-4, "volatility": 0.01, "sequential_test": WATCH},
            starts="2015-07-01", expires="2030-12-31", capital=1e7,
        )  # fmt: skip
        os.rename(bundle, folder / "handoff" / name)
    save_feed(folder / "feed.parquet", [Bar(day, {"A": 0.001, "B": -0.001}) for day in days])


def called(words: list[str]) -> str:
    "What a command says, on both streams"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(words)
        except SystemExit:  # after --help
            pass
    return said.getvalue()


def served(words: list[str]) -> str:
    "What a command says that serves a page until Ctrl-C"
    code = "import sys; from quantlab.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    return first + process.communicate()[0]


def answer(line: str, folder: Path) -> str:
    "What `quantlab LINE` says, without what another run or machine would say in another way"
    words = [word for part in shlex.split(line) for word in sorted(glob.glob(part)) or [part]]
    text = (served if words[0] == "desk" else called)(words).replace(str(folder), "~")
    text = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", text)
    text = re.sub(r"\b\d+\.\d s\b", "N s", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*", "TIME", text)
    lines = [kept.rstrip() for kept in text.splitlines() if not kept.startswith("Latency")]
    more = len(lines) - SHOWN
    return "\n".join(lines[:SHOWN] + [f"... {more} more lines"] * (more > 0))


def page(examples: list[str], folder: Path) -> str:
    "A section for each command: what it is for, what it takes, and what it answers"
    answers = {}
    for line in examples:
        said = f"$ quantlab {line}\n{answer(line, folder)}"
        answers.setdefault(shlex.split(line)[0], []).append(said)
        if line.startswith("init "):
            os.chdir(line.split()[1])
            prepare(Path.cwd())
    parts = []
    for command in COMMANDS:
        shown = answers.get(command.name, [f"$ quantlab {command.example}"])
        parts += [f"## `quantlab {command.name}`", command.text]
        parts += [f"```text\n{called([command.name, '--help']).strip()}\n```"]
        parts += [f"```console\n{example.strip()}\n```" for example in shown]
    return "\n\n".join(parts)


if __name__ == "__main__":
    os.environ |= {"COLUMNS": "88", "QUANTLAB_DESK_TOKEN": "a-token-for-the-example"}
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        lines = [line for line in sys.stdin.read().splitlines() if line.strip()]
        print(page(lines, Path(place).resolve()))
        os.chdir("/")
