"""The kill switch: closed in every state of its file, dated, and reset by a person alone."""

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quantlab import storage
from quantlab.errors import HandoffError, SpecificationError
from quantlab.trading import KillSwitch, State

NOON = dt.datetime(2016, 1, 4, 12, tzinfo=dt.UTC)
FIELDS = ("time", "by", "reason", "from", "state")


def line(**changes):
    "A line of the present version that says ACTIVE"
    said = {
        "state": "ACTIVE",
        "reason": "begun",
        "by": "risk",
        "from": "HALTED",
        "time": "2016-01-04T12:00:00+00:00",
        "version": 1,
    }
    return json.dumps(said | changes).encode() + b"\n"


@pytest.fixture
def switch(tmp_path):
    return KillSwitch(tmp_path / "switch", clock=lambda: NOON)


def test_who_halts_waits_for_nobody_who_holds_the_folder(switch, tmp_path):
    switch.start()
    with storage.locked(tmp_path):
        halting = threading.Thread(target=switch.trip, args=("a rumour",), daemon=True)
        halting.start()
        halting.join(60)
        assert KillSwitch(switch.path).reason == "a rumour"
    switch.reset("checked", by="Ada")
    assert [entry["state"] for entry in switch.history()] == ["ACTIVE", "HALTED", "ACTIVE"]


def test_the_lines_that_the_faults_are_made_of_are_good(switch):
    switch.path.write_bytes(line())
    assert switch.state is State.ACTIVE


# -- every state of the file


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\0" * 64,
        line()[:-1],
        line()[: len(line()) // 2],
        line() + line()[:5],
        line() + b"\n",
        line() + b"ACTIVE\n",
        line() + b"{}\n",
        line() + b'["ACTIVE"]\n',
        line(state="RUNNING"),
        line(state="active"),
        line(state=None),
        line(**{"from": "RUNNING"}),
        line(**{"from": None}),
        line(time=None),
        line(time=" "),
        line(by=""),
        line(reason="\t"),
        line(reason=1),
        line(version=2),
        line(version=0),
        line(version=-1),
        line(version="1"),
        line(version=1.0),
        line(version=True),
        line(version=None),
        line(version=[1]),
        line(version=10**400),
        line(note="more"),
        line() + line(version=2),
        line().replace(b'"reason"', b'"state": "ACTIVE", "reason"'),
        line().replace(b"\n", b"\r\n")[:-1],
        line().decode().encode("utf-16"),
    ],
)
def test_a_file_that_is_not_whole_is_closed(switch, content):
    switch.path.write_bytes(content)
    assert switch.state is State.HALTED
    assert switch.reason.startswith("the kill switch cannot be read")
    assert switch.path.read_bytes() == content  # asking changes nothing
    switch.start()  # and an engine cannot open it
    assert switch.state is State.HALTED
    switch.reset("restored from the record", by="risk")
    assert switch.state is KillSwitch(switch.path).state is State.ACTIVE


def test_a_newer_line_says_that_it_is_newer(switch):
    switch.path.write_bytes(line() + line(version=2, why="x"))
    assert switch.reason.endswith("at line 2, which is of version 2, newer than 1")


@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "loop", "dangling", "in a file"])
def test_what_is_no_file_is_closed(tmp_path, what):
    path = tmp_path / "switch"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)  # nobody writes to it: a reader would wait for ever
    elif what in ("loop", "dangling"):
        path.symlink_to(path if what == "loop" else tmp_path / "nowhere")
    elif what == "in a file":
        path.write_bytes(line())
        path = path / "switch"
    switch = KillSwitch(path)
    assert (switch.state, switch.history()) == (State.HALTED, None)
    if what in ("folder", "pipe", "loop", "in a file"):
        with pytest.raises(HandoffError, match="cannot be written"):
            switch.reset("again", by="risk")
        with pytest.raises(HandoffError, match="This process is halted; the file reads HALTED"):
            switch.trip("stop")
        assert switch.state is State.HALTED


def test_a_file_without_the_right_to_read_is_closed(switch, monkeypatch):
    switch.path.write_bytes(line())
    if os.geteuid():
        switch.path.chmod(0)
    else:  # root reads all: the refusal is made here

        def refused(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(switch.path), "read_bytes", refused)
    assert switch.state is State.HALTED and switch.reason == "the kill switch cannot be read"
    with pytest.raises(HandoffError, match="Permission denied"):
        switch.reset("again", by="risk")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200), place=st.integers(0, 1000), cut=st.integers(0, 50))
@example(content=b"", place=0, cut=0)
def test_bytes_of_any_kind_open_nothing(tmp_path_factory, content, place, cut):
    "Junk over a record that ends in a halt never reads ACTIVE, unless it is itself a whole line"
    path = tmp_path_factory.getbasetemp() / "junk"
    record = line() + line(state="HALTED", **{"from": "ACTIVE"})
    place %= len(record)
    path.write_bytes(record[:place] + content + record[place + cut :])
    state = KillSwitch(path).state
    if place > len(line()):  # the halt was mangled, and not cut off as a whole
        assert state is State.HALTED
    path.write_bytes(content)
    assert KillSwitch(path).state is State.HALTED


# -- the record


def test_each_change_is_a_line_that_says_when_who_why_from_and_to(switch):
    switch.start()
    switch.trip("drawdown", by="engine 4f2a")
    switch.trip("less", by="desk", state=State.REDUCING)  # does not soften a halt: no line
    switch.reset("understood", by="risk")
    switch.trip("less", by="desk", state=State.REDUCING)
    switch.reset("calm again", by="risk")
    when = NOON.isoformat()
    assert [tuple(entry[name] for name in FIELDS) for entry in switch.history()] == [
        (when, "engine", "first start", "HALTED", "ACTIVE"),
        (when, "engine 4f2a", "drawdown", "ACTIVE", "HALTED"),
        (when, "risk", "understood", "HALTED", "ACTIVE"),
        (when, "desk", "less", "ACTIVE", "REDUCING"),
        (when, "risk", "calm again", "REDUCING", "ACTIVE"),
    ]
    assert switch.by == "risk"


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.sampled_from(["start", "halt", "reduce", "reset"]), max_size=12),
    memory=st.booleans(),
)
def test_the_record_only_grows_and_each_line_leaves_the_state_before(
    tmp_path_factory, steps, memory, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = None if memory else tmp_path_factory.mktemp("record") / "switch"
    switch, before = KillSwitch(path), b""
    calls = {
        "start": switch.start,
        "halt": lambda: switch.trip("x", by="desk"),
        "reduce": lambda: switch.trip("x", by="desk", state=State.REDUCING),
        "reset": lambda: switch.reset("x", by="risk"),
    }
    for step in steps:
        was, n = switch.state, len(switch.history() or [])
        calls[step]()
        if path is not None and path.exists():
            assert path.read_bytes().startswith(before)
            before = path.read_bytes()
        for entry in (switch.history() or [])[n:] if step != "start" else []:
            assert entry["from"] == was
        if step in ("halt", "reset"):
            assert switch.state is {"halt": State.HALTED, "reset": State.ACTIVE}[step]
        if step == "start" and was is not switch.state:
            assert len(switch.history()) == 1  # the first line, and no other
    assert KillSwitch(path).state is switch.state or memory


def test_the_lines_of_the_first_version_still_count(switch):
    old = {"state": "HALTED", "reason": "stop", "by": "risk"}
    begun = {"state": "ACTIVE", "reason": "first start", "by": "engine"}
    switch.path.write_text(json.dumps(begun) + "\n" + json.dumps(old) + "\n")
    assert (switch.state, switch.reason, switch.by) == (State.HALTED, "stop", "risk")
    switch.reset("understood", by="risk")
    assert switch.history()[-1]["from"] == "HALTED" and switch.state is State.ACTIVE


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reason": "", "by": "risk"}, "`reason` must be a non-empty text"),
        ({"reason": "  ", "by": "risk"}, "`reason` must be a non-empty text"),
        ({"reason": None, "by": "risk"}, "`reason` must be a non-empty text"),
        ({"reason": "x", "by": ""}, "`by` must be a non-empty text"),
        ({"reason": "x", "by": None}, "`by` must be a non-empty text"),
        ({"reason": "x", "by": 5}, "`by` must be a non-empty text"),
        ({"reason": "x", "by": "engine"}, "an engine can halt, not go on"),
        ({"reason": "x", "by": "engine 4f2a"}, "an engine can halt, not go on"),
    ],
)
def test_a_reset_without_reason_or_name_is_refused_and_leaves_no_line(switch, given, message):
    switch.start()
    switch.trip("stop", by="risk")
    before = switch.path.read_bytes()
    with pytest.raises(SpecificationError, match=message):
        switch.reset(**given)
    assert switch.path.read_bytes() == before and switch.state is State.HALTED
    with pytest.raises(TypeError):
        switch.reset("a reason, and nobody")


@pytest.mark.parametrize("clock", [lambda: 1 / 0, lambda: None, lambda: "noon"])
def test_a_clock_that_fails_stops_no_halt(tmp_path, clock):
    switch = KillSwitch(tmp_path / "switch", clock=clock)
    switch.start()
    switch.trip("stop", by="risk")
    assert KillSwitch(switch.path).state is State.HALTED
    assert switch.history()[-1]["time"] == "unknown"


def test_what_is_no_part_of_a_switch_is_refused(tmp_path):
    for wrong, message in (
        ({"path": 5}, "`path` must be a path"),
        ({"policy": "sell"}, "`policy` must be one of None, 'cancel', 'flatten'; got 'sell'"),
        ({"policy": True}, "`policy` must be one of"),
        ({"clock": NOON}, "`clock` must give the time when called"),
    ):
        with pytest.raises(SpecificationError, match=message):
            KillSwitch(**wrong)


# -- kill -9 while it is written


def test_kill_9_at_any_moment_leaves_the_old_file_the_new_one_or_a_closed_one(tmp_path):
    "A process that halts and resets without end, killed again and again"
    script = (
        "import sys; from quantlab.trading import KillSwitch\n"
        "switch = KillSwitch(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "for n in range(10**9):\n"
        "    switch.trip(f'halt {n}', by='desk')\n"
        "    switch.reset(f'reset {n}', by='risk')\n"
    )
    path, random_ = tmp_path / "switch", random.Random(1)
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", script, path],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        child.stdout.readline()
        time.sleep(random_.uniform(0.01, 0.1))
        child.kill()
        child.wait()
        child.stdout.close()
        lines, rest = storage.split_lines(path.read_bytes())
        assert rest == b"" or KillSwitch(path).state is State.HALTED
        if lines and not rest:
            assert json.loads(lines[-1])["state"] == KillSwitch(path).state
        KillSwitch(path).reset("looked into", by="risk")
        assert KillSwitch(path).state is State.ACTIVE


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("step", ["trip", "reset"])
def test_kill_9_in_the_middle_of_a_line(tmp_path, share, step):
    "Before the line: the old state. After it: the new one. Anywhere in it: HALTED"
    path = tmp_path / "switch"
    begun = KillSwitch(path)
    begun.start()
    if step == "reset":
        begun.trip("stop", by="risk")
    old, new = begun.state, {"trip": State.HALTED, "reset": State.ACTIVE}[step]
    script = f"""
import os, signal, sys
from quantlab import storage
from quantlab.trading import KillSwitch
write = storage.write_all
def dying(file, content):
    if part := content[:int(len(content) * {share})]:
        write(file, part)
    os.kill(os.getpid(), signal.SIGKILL)
storage.write_all = dying
switch = KillSwitch(sys.argv[1])
switch.trip("x", by="desk") if "{step}" == "trip" else switch.reset("x", by="risk")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, path], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL
    expected = {0.0: old, 1.0: new}.get(share, State.HALTED)
    assert KillSwitch(path).state is expected
