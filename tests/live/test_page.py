"""The page of a desk, served by a real server at a free port of this computer alone."""

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jsonschema
import pandas as pd
import pytest
import yaml
from browser import FORMS, browser, looking, needs_browser
from conftest import ROOT
from floor import COSTS, a_bundle, a_feed, a_world, engine, reference
from prometheus_client.parser import text_string_to_metric_families

from quantlab.handoff import KillSwitch, PaperEngine, ReferenceBroker
from quantlab.live import (
    DeskReader,
    LiveStore,
    ManualClock,
    RealClock,
    desk_file,
    desk_page,
    page_server,
    read_desk,
)
from quantlab.live.entrance import Tries
from quantlab.live.latency import Histogram
from quantlab.pages import external_references
from quantlab.trading.orders import make_order

TOKEN = "correct-horse-battery"
MARKUP = "<script>alert(1)</script>"
FAST = Histogram()
for seconds in [0.0008] * 90 + [0.009] * 9 + [0.05]:
    FAST.record(seconds)


@pytest.fixture(scope="module")
def world():
    market, weights = a_world()
    name = {weights.columns[0]: MARKUP}
    tables = {n: getattr(market, n).rename(columns=name) for n in ("returns", "dollar_volume")}
    return SimpleNamespace(**tables), weights.rename(columns=name)


@pytest.fixture(scope="module")
def bundle(world, tmp_path_factory):
    return a_bundle(tmp_path_factory.mktemp("bundle"), *world, costs=COSTS)


@pytest.fixture(scope="module")
def feed(world):
    return a_feed(world[0])


@pytest.fixture(scope="module")
def traded(bundle, feed, tmp_path_factory):
    "A folder in which a live engine has traded most days of the feed, refusing one name"
    folder = tmp_path_factory.mktemp("traded")
    rules = {"restricted": ["S001"]}
    asyncio.run(engine(bundle, feed[:60], reference(bundle), folder, rules=rules).run())
    parts = FAST.to_dict()
    (folder / "latency.json").write_text(json.dumps({"ticks": parts, "orders": parts}))
    return folder


@pytest.fixture
def folder(traded, tmp_path):
    "A copy of it, to be changed"
    return shutil.copytree(traded, tmp_path / "live")


class Place:
    "A page that is served, and how it is asked"

    def __init__(self, port):
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def ask(self, path, form=None, *, method=None, headers=None, body=None):
        "Status, headers and text of an answer; a redirection is not followed"
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        body = urlencode(form).encode() if form is not None else body
        method, sent = method or ("GET" if body is None else "POST"), sent | (headers or {})
        try:
            line.request(
                method or ("GET" if body is None else "POST"), path, body, sent | (headers or {})
            )
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            line.close()

    def halt(self, token=TOKEN, *, path="/halt", by="Ada", reason="a rumour", **how):
        return self.ask(path, {"token": token, "by": by, "reason": reason}, **how)


@contextmanager
def serving(folder, bundle, **options):
    page = desk_page(folder, bundle, token=TOKEN, **options)
    server, place = page_server(page, port=0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    try:
        yield Place(place.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        place.close()


def audit(folder):
    path = folder / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# What is shown


def test_the_page_shows_the_desk_and_markup_stays_text(traded, bundle):
    desk = read_desk(traded, bundle, now=RealClock().now())
    with serving(traded, bundle) as place:
        status, headers, page = place.ask("/")
        record = json.loads(place.ask("/state.json")[2])
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    assert MARKUP not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for words in (
        "Trading is on",
        f"{desk.final_equity:,.0f}",
        "restricted",
        "<title id=",
        "<desc",
    ):
        assert words in page
    assert "00:00:00" not in page and external_references(page) == []
    assert re.findall(r"<script(?![^>]*src=)[^>]*>|\son\w+=|\sstyle=", page) == []
    assert all('scope="' in tag for tag in re.findall(r"<th\b[^>]*>", page))
    assert record["final_equity"] == desk.final_equity and record["notes"] == []
    assert record["positions"] == desk.positions.to_dict()
    refused = desk.refusals.set_index("rule").loc["restricted"]
    assert (refused["asset"], refused["value"]) == ("S001", "S001")
    told = [json.loads(line) for line in (traded / "journal.jsonl").read_text().splitlines()]
    assert refused["count"] == sum(line.get("rule") == "restricted" for line in told)


def test_every_answer_has_the_headers(folder, bundle):
    with serving(folder, bundle) as place:
        asked = [place.ask(path) for path in ("/", "/state.json", "/metrics", "/desk.js", "/none")]
        asked += [place.halt("wrong"), place.ask("/", headers={"Host": "evil.example"})]
    for _, headers, text in asked:
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["server"] is None and TOKEN not in text + str(headers)


def test_a_folder_with_nothing_in_it_is_not_a_desk_at_zero(bundle, tmp_path):
    with serving(tmp_path, bundle) as place:
        page, record = place.ask("/")[2], json.loads(place.ask("/state.json")[2])
        metrics = place.ask("/metrics")[2]
    assert "journal.jsonl is not there" in page and "not known" in page
    names = ("final_equity", "drawdown", "equity", "positions", "orders", "verdict", "last_bar")
    assert [record[name] for name in names] == [None] * len(names)
    assert "\nquantlab_desk_equity{" not in metrics and "\nquantlab_desk_position{" not in metrics
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "change", "gone"),
    [
        ("journal.jsonl", lambda b: b"{" + b, "final_equity"),
        ("journal.jsonl", lambda b: b.replace(b'"equity":', b'"equity":"x",":":'), "final_equity"),
        ("journal.jsonl", lambda b: b"[" * 100_000 + b"\n", "final_equity"),
        ("live.sqlite", lambda b: b[:3000], "positions"),
        ("live.sqlite", lambda b: b"", "orders"),
    ],
)
def test_a_torn_file_is_said_and_the_others_are_shown(folder, bundle, name, change, gone):
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with serving(folder, bundle) as place:
        status, _, page = place.ask("/")
        record = json.loads(place.ask("/state.json")[2])
        assert place.ask("/metrics")[0] == 200
    assert status == 200 and "Missing or torn" in page and name in page
    assert record[gone] is None and any(name in note for note in record["notes"])
    other = "positions" if name == "journal.jsonl" else "final_equity"
    assert record[other]


def test_the_buttons_stay_where_the_tables_cannot_be_made(folder, bundle, monkeypatch):
    monkeypatch.setattr("quantlab.live.sheet._book", lambda desk: 1 / 0 if desk.kind else [])
    with serving(folder, bundle) as place:
        status, _, page = place.ask("/")
        assert status == 200 and "ZeroDivisionError" in page and 'action="/halt"' in page
        assert place.halt("wrong")[0] == 403 and place.halt()[0] == 303


def test_values_of_another_kind_are_shown_as_they_are(folder, bundle):
    journal = (folder / "journal.jsonl").read_bytes()
    odd = {"type": "feed", "date": "2026-01-05", "reason": {"a": [MARKUP]}, "state": 5}
    (folder / "journal.jsonl").write_bytes(journal + json.dumps(odd).encode() + b"\n")
    with serving(folder, bundle) as place:
        page, record = place.ask("/")[2], json.loads(place.ask("/state.json")[2])
    assert "&lt;script&gt;" in page and "cannot be shown" not in page
    assert record["events"][0]["type"] == "feed"


def test_who_asks_for_the_head_of_a_stream_holds_no_place(folder, bundle):
    with serving(folder, bundle) as place:
        for _ in range(40):
            with urlopen(Request(f"{place.url}/events", method="HEAD"), timeout=30) as answer:
                assert (answer.status, answer.read()) == (200, b"")
        with urlopen(f"{place.url}/events", timeout=30) as stream:
            assert stream.readline() == b"retry: 2000\n"


def test_a_name_cannot_turn_the_order_of_its_letters(folder, bundle):
    KillSwitch(folder / "kill_switch.jsonl").trip("\u202ella si llew", by="Z\u00f6e")
    with serving(folder, bundle) as place:
        page = place.ask("/")[2]
    assert "\u202e" not in page and r"\u202ella si llew" in page and "Z\u00f6e" in page


def test_a_journal_of_another_bundle_is_not_judged(folder, world, tmp_path):
    other = a_bundle(tmp_path, *world, costs=COSTS, rules={"drawdown": 0.55})
    desk = read_desk(folder, other, now=RealClock().now())
    assert desk.watch is None and desk.expected is None
    assert "is of the bundle" in desk.notes[0]


def test_a_database_is_read_while_it_is_written_and_after_its_engine_was_killed(
    folder, bundle, tmp_path
):
    with LiveStore(folder) as store:
        session = store.load()
        store.add(make_order(bundle.seal, pd.Timestamp("2026-01-05"), "S002", 5e4))
        store.save(session)
        store.add(make_order(bundle.seal, pd.Timestamp("2026-01-05"), "S003", 5e4))
        left = shutil.copytree(folder, tmp_path / "left")  # as a kill leaves it
        desks = [read_desk(f, bundle, now=RealClock().now()) for f in (folder, left)]
    for desk in desks:
        assert desk.notes == () and desk.orders["decided, not sent"] == 1
        assert desk.working["asset"].tolist() == ["S002"]


def test_what_is_read_is_left_as_it_was(folder, bundle):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serving(folder, bundle) as place:
        for path in ("/", "/state.json", "/metrics"):
            place.ask(path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# Metrics, rules and board


def exported(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_rules_and_board_name_only_what_is_exported(traded, bundle):
    with serving(traded, bundle) as place:
        _, headers, text = place.ask("/metrics")
    families = exported(text)
    assert headers["content-type"].startswith("text/plain; version=")
    (equity,) = families["quantlab_desk_equity"].samples
    assert equity.labels == {"strategy": "momentum", "bundle": bundle.seal[:12]}
    states = {s.labels["state"]: s.value for s in families["quantlab_desk_switch_state"].samples}
    assert states == {"ACTIVE": 1.0, "REDUCING": 0.0, "HALTED": 0.0}
    rules = yaml.safe_load(desk_file("alerts.yml"))
    board = json.loads(desk_file("dashboard.json"))
    lines = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    lines += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert all("quantlab_desk_" in line for line in lines)
    for line in lines:
        for name in re.findall(r"quantlab_\w+", line):
            family = families.get(re.sub("_(bucket|total)$", "", name))
            assert family and name in {family.name, *(s.name for s in family.samples)}, name
        for name, label in re.findall(r"(quantlab_\w+)\{(\w+)=", line):
            family = families[re.sub("_(bucket|total)$", "", name)]
            assert all(label in sample.labels for sample in family.samples), (name, label)


TEXT, TEXTS = {"type": "string", "minLength": 1}, {"type": "object", "minProperties": 1}
RULES = {
    "type": "object",
    "required": ["alert", "expr", "for", "labels", "annotations"],
    "additionalProperties": False,
    "properties": {
        "alert": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
        "expr": TEXT,
        "for": {"type": "string", "pattern": "^[0-9]+[smhd]$"},
        "labels": TEXTS | {"additionalProperties": TEXT},
        "annotations": TEXTS | {"additionalProperties": TEXT},
    },
}
BOARD = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "panels", "templating", "time"],
    "properties": {
        "panels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "gridPos", "targets", "datasource"],
                "properties": {
                    "type": {"enum": ["stat", "timeseries", "table"]},
                    "gridPos": {
                        "required": ["x", "y", "w", "h"],
                        "properties": {
                            "x": {"type": "integer", "minimum": 0, "maximum": 23},
                            "w": {"type": "integer", "minimum": 1, "maximum": 24},
                        },
                    },
                    "targets": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"required": ["refId", "expr", "legendFormat", "datasource"]},
                    },
                },
            },
        }
    },
}


def test_rules_and_board_have_the_form_that_is_asked_for():
    for group in yaml.safe_load(desk_file("alerts.yml"))["groups"]:
        for rule in group["rules"]:
            jsonschema.validate(rule, RULES)
    board = json.loads(desk_file("dashboard.json"))
    jsonschema.validate(board, BOARD)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in board["panels"])


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_takes_rules_and_metrics(traded, bundle, tmp_path):
    (tmp_path / "alerts.yml").write_text(desk_file("alerts.yml"))
    subprocess.run(["promtool", "check", "rules", tmp_path / "alerts.yml"], check=True)
    with serving(traded, bundle) as place:
        text = place.ask("/metrics")[2]
    subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)


# The two buttons


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e4" * 400])
def test_another_token_changes_nothing(folder, bundle, token):
    with serving(folder, bundle) as place:
        status, _, page = place.halt(token)
    assert status == 403 and "nothing was changed" in page and TOKEN not in page
    assert 'value="Ada"' in page and KillSwitch(folder / "kill_switch.jsonl").state == "ACTIVE"
    (line,) = audit(folder)
    assert line["outcome"] == ("wrong token" if token else "no token")
    assert (line["by"], line["from"], line["action"]) == ("Ada", "127.0.0.1", "HALTED")


def test_guesses_lock_nobody_out_and_fill_no_disk(folder, bundle):
    with serving(folder, bundle) as place:
        seen = [place.halt(f"guess-{n}") for n in range(12)]
        assert [answer[0] for answer in seen] == [403] * 5 + [429] * 7
        assert all(0 < int(answer[1]["retry-after"]) <= 60 for answer in seen[5:])
        status, headers, _ = place.halt()
    assert (status, headers["location"]) == (303, "/?done=HALTED")
    assert KillSwitch(folder / "kill_switch.jsonl").state == "HALTED"
    outcomes = [line["outcome"] for line in audit(folder)]
    assert outcomes == ["wrong token"] * 5 + ["too many wrong tokens", "done"]
    assert audit(folder)[-1]["without_a_line"] == 6
    assert TOKEN.encode() not in b"".join(p.read_bytes() for p in folder.iterdir() if p.is_file())


def test_tries_are_forgotten_after_a_minute_and_where_the_clock_is_set_back():
    clock, tries = ManualClock(RealClock().now()), Tries()
    assert [bool(tries.count(clock.now())[0]) for _ in range(6)] == [False] * 5 + [True]
    asyncio.run(clock.advance(61))
    assert tries.count(clock.now()) == (0, False)
    assert tries.count(clock.now() - pd.Timedelta(days=1)) == (0, False)


def test_reduce_halts_less_and_softens_no_halt(folder, bundle):
    switch = KillSwitch(folder / "kill_switch.jsonl")
    with serving(folder, bundle) as place:
        assert place.halt(path="/reduce")[0] == 303 and switch.state == "REDUCING"
        assert "Only orders that make a position smaller are sent." in place.ask("/")[2]
        assert place.halt(reason="worse")[0] == 303 and switch.reason == "worse"
        status, _, page = place.halt(path="/reduce")
        assert status == 409 and "HALTED already" in page and switch.state == "HALTED"
        assert "the desk" not in switch.by and place.ask("/reset", {"token": TOKEN})[0] == 404
    assert [line["outcome"] for line in audit(folder)] == ["done", "done", "halted already"]


def test_an_address_claims_nothing_that_the_switch_does_not_say(folder, bundle):
    with serving(folder, bundle) as place:
        for claim in ("HALTED", "REDUCING", "ACTIVE"):
            assert "was written" not in place.ask(f"/?done={claim}")[2]
        assert place.halt()[0] == 303
        assert "HALTED was written to the kill switch." in place.ask("/?done=HALTED")[2]
        assert "was written" not in place.ask("/?done=REDUCING")[2]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
def test_a_form_of_another_site_is_refused(folder, bundle, headers):
    with serving(folder, bundle) as place:
        status, _, text = place.halt(headers=headers)
        own = {"Origin": place.url, "Sec-Fetch-Site": "same-origin"}
        assert KillSwitch(folder / "kill_switch.jsonl").state == "ACTIVE"
        assert place.halt(headers=own)[0] == 303
    assert status == 403 and TOKEN not in text
    refused, done = audit(folder)
    assert "not" in refused["outcome"] and done["outcome"] == "done"


def test_what_is_no_form_is_refused_before_it_is_read(folder, bundle):
    with serving(folder, bundle) as place:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        asked = [
            place.halt(reason="x" * 5000),
            place.ask("/halt", body=b"{}", headers={"Content-Type": "application/json"}),
            place.ask(f"/halt?token={TOKEN}", {"by": "Ada"}),
            place.ask("/halt", body=b"&".join([b"a=1"] * 50), headers=kind),
            place.ask("/halt", body=b"\xff\xfe%ff%", headers=kind),
            place.ask("/halt"),
        ]
    assert [answer[0] for answer in asked] == [413, 415, 415, 400, 403, 405]
    assert all(TOKEN not in answer[2] for answer in asked)
    assert KillSwitch(folder / "kill_switch.jsonl").state == "ACTIVE"


def test_who_wants_to_stop_is_stopped_whatever_else_was_typed(folder, bundle):
    switch = KillSwitch(folder / "kill_switch.jsonl")
    with serving(folder, bundle) as place:
        assert place.ask("/halt", {"token": TOKEN})[0] == 303
        assert (switch.state, switch.by) == ("HALTED", "somebody at the desk page")
        place.halt(by=f"engine {bundle.seal[:12]}", reason=f"{TOKEN}\n{MARKUP}\x00")
        assert switch.by.startswith("somebody at the desk page")
        assert switch.reason == f"*** {MARKUP}\x00" and MARKUP not in place.ask("/")[2]


@pytest.mark.skipif(os.name == "nt", reason="a folder where a file should be")
def test_a_halt_that_cannot_be_written_is_said(folder, bundle):
    (folder / "kill_switch.jsonl").unlink()
    (folder / "kill_switch.jsonl").mkdir()
    (folder / "audit.jsonl").mkdir()
    with serving(folder, bundle) as place:
        status, _, page = place.halt()
    assert status == 500 and "COULD NOT BE WRITTEN" in page and "audit.jsonl could not" in page


# Engines obey


class Halting:
    "A feed in the middle of which somebody presses the button"

    def __init__(self, feed, number, press):
        self.feed, self.number, self.press = feed, number, press

    def __iter__(self):
        for n, event in enumerate(self.feed):
            if n == self.number:
                assert self.press()[0] == 303
            yield event


@pytest.mark.parametrize("kind", ["live", "paper"])
@pytest.mark.parametrize("path", ["/halt", "/reduce"])
def test_a_running_engine_obeys_within_one_event(bundle, feed, tmp_path, kind, path):
    with serving(tmp_path, bundle) as place:
        halting = Halting(feed, 40, lambda: place.halt(path=path))
        if kind == "live":
            result = asyncio.run(engine(bundle, halting, reference(bundle), tmp_path).run())
        else:
            broker = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
            result = PaperEngine(bundle, broker, folder=tmp_path).run(iter(halting))
        record = json.loads(place.ask("/state.json")[2])
        page = place.ask("/")[2]
    state = {"/halt": "HALTED", "/reduce": "REDUCING"}[path]
    assert (result.daily["state"].iloc[:40] == "ACTIVE").all()
    assert (result.daily["state"].iloc[40:] == state).all()
    late = result.orders[result.orders["date"] >= feed[40].date]
    assert result.orders["sent"].sum() > 0 and (path == "/reduce" or not late["sent"].any())
    assert (record["state"], record["engine_state"], record["by"]) == (state, state, "Ada")
    assert record["kind"] == kind and "The engine has obeyed" in page


def test_an_engine_is_not_disturbed_by_being_looked_at(bundle, feed, tmp_path, traded):
    "It opens, writes and closes its database while the page reads it without a pause"
    stop = threading.Event()
    with serving(tmp_path, bundle) as place:

        def look():
            while not stop.is_set():
                assert place.ask("/state.json")[0] == 200

        looking = [threading.Thread(target=look) for _ in range(2)]
        for thread in looking:
            thread.start()
        for end in (20, 40, 60):
            rules = {"restricted": ["S001"]}
            asyncio.run(engine(bundle, feed[:end], reference(bundle), tmp_path, rules=rules).run())
        stop.set()
        for thread in looking:
            thread.join()
    assert (tmp_path / "journal.jsonl").read_bytes() == (traded / "journal.jsonl").read_bytes()


# Events


def told(stream, name):
    "Data of the next event of a name"
    for line in stream:
        if line.decode().strip() == f"event: {name}":
            return json.loads(next(stream).decode().removeprefix("data: "))
    raise AssertionError("the stream has ended")


def test_a_change_is_told_to_who_listens_and_who_went_is_forgotten(folder, bundle):
    with serving(folder, bundle) as place:
        lines = []
        for _ in range(40):  # more than there is room for: each goes again without a word
            line = socket.create_connection(("127.0.0.1", place.port))
            line.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            lines.append(line)
        for line in lines:
            line.close()
        line = http.client.HTTPConnection("127.0.0.1", place.port, timeout=20)
        for _ in range(100):
            line.request("GET", "/events")
            if (stream := line.getresponse()).status == 200:
                break
            assert stream.status == 503 and stream.headers["retry-after"] == "30"
            stream.read()
            time.sleep(0.1)
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert told(stream, "desk")["state"] == "ACTIVE"
        place.halt()
        news = told(stream, "desk")
        assert (news["state"], news["by"], news["reason"]) == ("HALTED", "Ada", "a rumour")
        line.close()


def test_a_stream_ends_by_itself_and_whole(folder, bundle, monkeypatch):
    monkeypatch.setattr("quantlab.live.page._LIFE", 1.5)
    with serving(folder, bundle) as place:
        status, _, text = place.ask("/events")
        assert status == 200 and text.startswith("retry:") and "event: desk" in text


def test_who_halts_waits_for_nobody_who_reads(folder, bundle, monkeypatch):
    read, gate = DeskReader.read, threading.Event()

    def slow(self, now):
        gate.wait(30)
        return read(self, now)

    monkeypatch.setattr(DeskReader, "read", slow)
    with serving(folder, bundle) as place:
        paths = ["/", "/events", "/metrics", "/state.json"] * 15
        lines = [http.client.HTTPConnection("127.0.0.1", place.port) for _ in paths]
        for line, path in zip(lines, paths):
            line.request("GET", path)
        assert place.halt()[0] == 303 and not gate.is_set()
        assert KillSwitch(folder / "kill_switch.jsonl").state == "HALTED"
        gate.set()
        for line in lines:
            line.close()


# The command


def test_the_command_serves_this_computer_alone_and_says_no_token(folder, bundle, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "QUANTLAB_DESK_TOKEN"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "import sys; from quantlab.cli import main; sys.exit(main())"]
    command += ["desk", str(folder), "--bundle", str(bundle.path), "--port", "0"]
    for token in (None, "short"):
        given = environment | ({"QUANTLAB_DESK_TOKEN": token} if token else {})
        done = subprocess.run(command, env=given, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1 and "QUANTLAB_DESK_TOKEN" in done.stderr
        assert len(done.stderr.splitlines()) == 1 and "'short'" not in done.stderr
    given = environment | {"QUANTLAB_DESK_TOKEN": TOKEN}
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(
            command, env=given, stdout=subprocess.PIPE, stderr=said, text=True, cwd=tmp_path
        )
    try:
        line = process.stdout.readline()
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+);", line)
        place = Place(int(port))
        assert place.halt()[0] == 303 and place.halt("wrong-wrong")[0] == 403
        assert place.ask(f"/?token={TOKEN}")[0] == 200
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", int(port)), timeout=5).close()
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert TOKEN not in line + rest + (tmp_path / "said").read_text()


# In a browser


@needs_browser
@pytest.mark.slow
def test_a_browser_shows_it_and_its_button_halts(folder, bundle):
    with serving(folder, bundle) as place, browser() as started:
        for form in FORMS:
            with looking(started, form, offline=False) as looked:
                looked.page.goto(f"{place.url}/")
                assert looked.faults(form) == [], form
                assert all(url.startswith((place.url, "data:")) for url in looked.asked)
        with looking(started, "light", offline=False) as looked:
            page, state = looked.page, looked.page.locator("#state")
            page.goto(f"{place.url}/")
            assert state.inner_text() == "\u25b6 ACTIVE"
            page.locator("[name=by]").fill("Ada")
            KillSwitch(folder / "kill_switch.jsonl").trip("less", by="Bob", state="REDUCING")
            page.locator("#state", has_text="REDUCING").wait_for()
            assert page.locator("[name=by]").input_value() == "Ada"
            page.locator("[name=token]").fill(TOKEN)
            page.locator("[name=reason]").fill("a rumour")
            page.locator("button.halt").click()
            page.wait_for_url("**/?done=HALTED")
            assert state.inner_text() == "\u25a0 HALTED"
            assert "HALTED was written" in page.locator(".notice").inner_text()
            assert looked.complaints == []
    assert KillSwitch(folder / "kill_switch.jsonl").by == "Ada"
    assert [line["outcome"] for line in audit(folder)] == ["done"]
