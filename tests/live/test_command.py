"""`quantlab live` in a process of its own: stopped, begun again, on a line, on a terminal."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from floor import COSTS, FREE, a_bundle, a_feed, a_world, paper

from quantlab.handoff import load_bundle
from quantlab.live import PlayedServer, RealClock, Trade, read_latency
from quantlab.trading import KillSwitch, save_feed

ROOT = Path(__file__).parents[2]
CODE = "import sys; from quantlab.cli import main; sys.exit(main(sys.argv[1:]))"
posix = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    "A folder with a bundle signed by somebody known, and a feed"
    place = tmp_path_factory.mktemp("home")
    market, weights = a_world()
    bundle = a_bundle(place / "handoff", market, weights, costs=COSTS)
    feed = a_feed(market)
    save_feed(place / "feed.parquet", feed)
    return place, bundle, feed


def begun(place, bundle, *words, **how):
    "The command, begun"
    given = [sys.executable, "-c", CODE, "live", str(bundle.path), "--as-of", "2026-01-31", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(given, cwd=place, env=environment, **pipes)


def ended(process):
    "Exit code, and what was printed"
    said, wrong = process.communicate(timeout=120)
    return process.returncode, said, wrong


def days_in(path):
    return path.read_bytes().count(b'"type":"day"') if path.exists() else 0


def wait_for(path, n, process):
    "Until the journal has so many days"
    while days_in(path) < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_ends_with_the_report_and_a_second_start_goes_on(home, name):
    place, bundle, feed = home
    state = f"stopped by {name}"
    journal = place / state / "journal.jsonl"
    words = ("--feed", "feed.parquet", "--state", state)
    process = begun(place, bundle, *words, "--speed", str(86_400 * 10))
    wait_for(journal, 3, process)
    process.send_signal(getattr(signal, name))
    code, said, wrong = ended(process)
    assert code == 130 and "stopped by Ctrl-C" in wrong and wrong.count("\n") == 1, wrong
    first = days_in(journal)
    assert 3 <= first < len(feed) and f": {first} days, 2007-01-03 to " in said
    assert "Next: the same command goes on from here." in said
    code, said, wrong = ended(begun(place, bundle, *words))
    assert (code, wrong) == (0, "")
    assert f": {len(feed)} days" in said
    # nobody is known here, so it runs in the shadow, and so does what it is compared with
    assert journal.read_bytes() == paper(load_bundle(bundle.path), feed).journal
    assert read_latency(place / state)["ticks"].n == len(feed)


def test_a_known_reviewer_makes_it_paper(home):
    place, bundle, feed = home
    signer = bundle.signatures[0]
    (place / "known.json").write_text(f'{{"{signer["by"]}": "{signer["key"]}"}}')
    words = ("--feed", "feed.parquet", "--state", "paper", "--reviewers", "known.json")
    code, said, wrong = ended(begun(place, bundle, *words))
    assert code == 0 and "momentum in paper mode" in said and "left this machine" not in said, wrong
    assert (place / "paper/journal.jsonl").read_bytes() == paper(bundle, feed).journal


def test_an_expired_and_an_altered_bundle_do_not_start(home, tmp_path):
    place, bundle, _ = home
    code, said, wrong = ended(begun(place, bundle, "--as-of", "2041-01-01"))
    assert (
        (code, said) == (1, "") and "has expired" in wrong and not (place / "live_state").exists()
    )
    market, weights = a_world(4)
    other = a_bundle(tmp_path / "handoff", market, weights, costs=COSTS)
    with open(other.path / "expected.parquet", "ab") as file:
        file.write(b"x")
    code, said, wrong = ended(begun(place, other))
    assert (code, said) == (1, "") and "expected.parquet" in wrong and wrong.count("\n") == 1


@posix
def test_a_line_beside_a_file_of_closes_which_then_breaks(tmp_path):
    "Ticks from a server, closes as the file grows, a report after the error"
    market, weights = a_world(n_days=30, every=1)
    bundle, feed = a_bundle(tmp_path / "handoff", market, weights, costs=FREE), a_feed(market)
    closes, journal = tmp_path / "closes.parquet", tmp_path / "state/journal.jsonl"
    save_feed(closes, feed[:12])
    begin = pd.Timestamp("2026-01-05 14:30", tz="UTC")
    ticks = [
        Trade(begin + pd.Timedelta(milliseconds=5 * n), f"S00{n % 5}", 10.0, 1)
        for n in range(20_000)
    ]

    async def main():
        async with PlayedServer(ticks, "binance", speed=1.0, clock=RealClock()) as server:
            words = ("--feed", server.url, "--shape", "binance", "--closes", str(closes))
            process = begun(tmp_path, bundle, *words, "--state", "state", "--policy", "cancel")
            await asyncio.to_thread(wait_for, journal, 12, process)
            save_feed(closes, feed[:14])
            await asyncio.to_thread(wait_for, journal, 14, process)
            closes.write_bytes(b"no parquet")
            return await asyncio.to_thread(ended, process)

    code, said, wrong = asyncio.run(main())
    assert (
        code == 1 and "cannot be read" in wrong and wrong.splitlines()[-1].startswith("quantlab:")
    )
    assert ": 14 days" in said and "Line: 1 connections; 0 trades never told" in said
    assert "Latency of an event: p50" in said
    assert read_latency(tmp_path / "state")["ticks"].n > 100
    assert journal.read_bytes() == paper(load_bundle(bundle.path), feed[:14]).journal


@posix
def test_a_terminal_is_shown_one_line_that_moves(home):
    import pty
    import termios

    place, bundle, _ = home
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 200))
    words = ("--feed", "feed.parquet", "--state", "shown", "--speed", str(86_400 * 20))
    process = begun(place, bundle, *words, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"events/s, p99" not in shown:
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    os.close(ours)
    process.stdout.close()
    assert b"equity" in shown and b"sent" in shown and b"\n" not in shown.strip(b"\r\n")


def test_the_report_tells_of_no_other_bundle_and_does_not_promise_what_an_error_prevents(
    home, tmp_path
):
    place, bundle, _ = home
    words = ("--feed", str(place / "feed.parquet"), "--state", "held")
    assert ended(begun(tmp_path, bundle, *words))[0] == 0
    market, weights = a_world(5)
    other = a_bundle(tmp_path / "handoff", market, weights, costs=COSTS)
    code, said, wrong = ended(begun(tmp_path, other, *words))
    assert code == 1 and "belongs to another bundle" in wrong
    assert f"is of the bundle {bundle.seal[:12]} and not of {other.seal[:12]}" in said
    assert "Equity" not in said and "days" not in said
    assert said.endswith(
        "Next: mend what the error says, and then the same command goes on from here.\n"
    )


def switched(folder, *words, **environment):
    "`quantlab switch`, in a process of its own"
    given = [sys.executable, "-c", CODE, "switch", str(folder), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(given, env=environment, capture_output=True, timeout=60)


def test_a_halt_by_a_wrong_name_is_refused_aloud(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "journal.jsonl").write_bytes(b'{"type":"start"}\n')
    before = sorted(tmp_path.rglob("*"))
    for name in ("lvie", "no/such/folder", "project", "journal.jsonl"):
        told = switched(tmp_path / name, "halt", "--by", "Ada", "--reason", "a rumour")
        assert (told.returncode, told.stdout) == (2, b""), told
        assert b"NOTHING was changed" in told.stderr and told.stderr.count(b"\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "journal.jsonl").read_bytes() == b'{"type":"start"}\n'


@posix
def test_a_halt_is_written_and_told_whatever_its_reason_holds(tmp_path):
    KillSwitch(tmp_path / "kill_switch.jsonl").start()
    words = ("halt", "--by", b"Zo\xc3\xab \xff", "--reason", "mad\n\x1b[2J\u202eorders")
    told = switched(tmp_path, *words, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert told.returncode == 0, told.stderr
    assert told.stdout.count(b"\n") == 3 and b"\x1b" not in told.stdout
    assert rb"mad\n\x1b[2J\u202eorders" in told.stdout and b"Zo\\xeb" in told.stdout
    switch = KillSwitch(tmp_path / "kill_switch.jsonl")
    assert (switch.state, switch.reason) == ("HALTED", words[-1])
