"""`quantlab live --broker alpaca|fix --account FILE`, stopped, killed and begun again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fix_floor
import pytest
from alpaca_floor import compare, control, faults, prices_of, stand_in
from alpaca_stand_in import KEY
from fix_floor import floor

from quantlab.trading import save_feed

ROOT = Path(__file__).parents[2]
CODE = "import sys; from quantlab.cli import main; sys.exit(main(sys.argv[1:]))"
posix = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    "A folder with a signed bundle, whom it was signed by, and a feed of 30 days"
    place = tmp_path_factory.mktemp("home")
    market, weights = floor.a_world(n_days=30, every=2)
    bundle = floor.a_bundle(place / "handoff", market, weights, costs=floor.FREE)
    signer = bundle.signatures[0]
    (place / "known.json").write_text(json.dumps({signer["by"]: signer["key"]}))
    save_feed(place / "feed.parquet", floor.a_feed(market))
    return place, bundle


def begun(home, broker, account, state, *words):
    "The command, begun"
    place, bundle = home
    (place / f"{broker}.json").write_text(json.dumps(account))
    given = [sys.executable, "-c", CODE, "live", str(bundle.path), "--as-of", "2026-01-31"]
    given += ["--feed", "feed.parquet", "--broker", broker, "--account", f"{broker}.json"]
    given += ["--state", str(state), "--reviewers", "known.json", *words]
    environment = os.environ | KEY | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(given, cwd=place, env=environment, **pipes)


def ended(process):
    "Exit code, and what was printed, in which no key is"
    said, wrong = process.communicate(timeout=120)
    assert not [value for value in KEY.values() if value in said + wrong]
    return process.returncode, said, wrong


def wait_for(state, n, process):
    "Until the journal has so many days"
    path = state / "journal.jsonl"
    while not path.exists() or path.read_bytes().count(b'"type":"day"') < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def disturbed(home, broker, account, state):
    "Ctrl-C after 14 days, kill -9 after 20, then to the end: what the last start printed"
    words = ("--speed", str(86_400 * 20))
    process = begun(home, broker, account, state, *words)
    wait_for(state, 14, process)
    process.send_signal(signal.SIGINT)
    code, said, wrong = ended(process)
    assert code == 130 and "stopped by Ctrl-C" in wrong and wrong.count("\n") == 1, wrong
    assert "Next: the same command goes on from here." in said
    process = begun(home, broker, account, state, *words)
    wait_for(state, 20, process)
    process.kill()
    process.communicate()
    code, said, wrong = ended(begun(home, broker, account, state))
    assert (code, wrong) == (0, "")
    assert "in paper mode" in said and ": 30 days, " in said and "Venue: no differences." in said
    return said


@posix
def test_alpaca_from_start_to_report(home, tmp_path):
    with stand_in(tmp_path / "broker") as server:
        account = {"prices": prices_of(home[1]), "url": f"http://127.0.0.1:{server.port}"}
        control(server.port, prices=account["prices"])
        disturbed(home, "alpaca", account, tmp_path / "state")
        kept = control(server.port)
    (tmp_path / "venue").symlink_to(tmp_path / "state/alpaca")
    found = compare(tmp_path, kept)
    assert faults(found) == {} and found["orders"] > 20
    files = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [value for value in KEY.values() for kept in files if value.encode() in kept]


@posix
def test_fix_from_start_to_report(home, tmp_path):
    assets = [str(name) for name in home[1].target_weights.columns]
    with fix_floor.acceptor(tmp_path / "there", assets) as server:
        account = {"address": f"127.0.0.1:{server.port}", "sender": "DESK", "target": "BROKER"}
        account |= {"prices": dict.fromkeys(assets, fix_floor.PRICE), "extra": {"1": "A-1"}}
        disturbed(home, "fix", account, tmp_path / "state")
    (tmp_path / "state/venue").symlink_to(tmp_path / "state/fix")
    found = fix_floor.compare(tmp_path / "state", tmp_path / "there/DESK")
    assert not fix_floor.faults(found) and found["orders"] > 20, found
    sent = [f for kind, f in fix_floor.lines(tmp_path / "there/DESK", "in") if kind == "D"]
    assert {fields.get(1) for fields in sent} == {"A-1"}


def test_what_is_wrong_with_an_account_is_one_sentence(home, tmp_path):
    there = "http://127.0.0.1:1"
    fix = {"address": "127.0.0.1:1", "sender": "DESK", "target": "BROKER", "prices": {"S000": 1.0}}
    for broker, account, words in [
        (
            "alpaca",
            {"prices": {"S000": 1.0}, "url": "https://api。alpaca。markets"},
            "plain letters",
        ),
        ("alpaca", {"prices": {"S000": 1.0}, "url": there, "key": ["PK1", "s/1"]}, "`key` must be"),
        ("alpaca", {"prices": [1.0], "url": there}, "`prices` must be"),
        ("alpaca", {"prices": {"S000": 1}, "url": there, "attempts": 1}, "gave no answer"),
        ("fix", fix | {"attempts": 1}, "cannot be kept up"),
        ("fix", fix | {"password": "NOT_SET_HERE"}, "is not set"),
    ]:
        state = tmp_path / f"{broker} {words[:9]}"
        code, said, wrong = ended(begun(home, broker, account, state))
        assert words in wrong and wrong.count("\n") == 1 and "s/1" not in said + wrong, wrong
        assert code in (1, 2)
