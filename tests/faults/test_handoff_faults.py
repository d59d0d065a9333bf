"""The exit under faults: mangled files, full disks, kills, two writers, wrong types."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, sequential_test
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quantlab import storage
from quantlab.errors import DataError, HandoffError, QuantlabError, SpecificationError
from quantlab.handoff import (
    Bar,
    KillSwitch,
    Limits,
    PaperEngine,
    ReferenceBroker,
    State,
    approve_bundle,
    bars,
    load_bundle,
    load_feed,
    monitor,
    read_journal,
    save_feed,
    write_bundle,
)
from quantlab.handoff.approvals import approvals_path
from quantlab.handoff.manifest import seal_of
from quantlab.storage import readable_json
from quantlab.trading.costs import CostModel

DAYS = pd.bdate_range("2015-07-01", periods=6, name="date")
TEST = sequential_test()
ARGUMENTS = {
    "strategy": "pairs_book",
    "verdict": "approved",
    "parameters": {"formation": 252},
    "target_weights": pd.DataFrame(
        {"A": [0.5, 0.4, 0.3, 0.1, 0.2, 0.5], "B": [-0.5, -0.4, -0.3, -0.1, -0.2, -0.5]}, index=DAYS
    ),
    "expected": pd.DataFrame(
        {
            "returns": [0.0, 0.001, -0.002, 0.0, 0.001, 0.0],
            "turnover": [1.0, 0.2, 0.2, 0.4, 0.2, 0.6],
            "costs": [0.0, 1e-4, 1e-5, 1e-5, 2e-5, 1e-5],
        },
        index=DAYS,
    ),
    "inputs": {"returns.parquet": "0" * 32},
    "code": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "universe": ["A", "B"],
    "costs": CostModel(commission_bps=1.0, half_spread_bps=4.0),
    "limits": Limits(
        max_order_notional=6e6,
        max_gross=2.0,
        max_position_weight=0.6,
        max_daily_turnover=2.0,
        price_collar=0.25,
        max_orders_per_day=10,
        max_stale_days=0,
        max_daily_loss=0.03,
        max_drawdown=0.08,
    ),
    "kill_rules": {"daily_loss": 0.02, "drawdown": 0.1, "sequential_test": True},
    "expected_distribution": {"mean": 4e-4, "volatility": 0.01, "sequential_test": TEST},
    "starts": "2015-07-01",
    "expires": "2030-12-31",
    "capital": 1e7,
    "ledger": {"count": 37, "last_hash": "ab" * 32, "lower_bound": False},
    "pages": {"reports/validate.html": "cd" * 32},
}
RETURNS = pd.DataFrame({"A": [0.0, 0.01, 0.0, -0.1, 0.0, 0.01], "B": [0.0] * 6}, index=DAYS)
FEED = list(bars(RETURNS))
LOSS = 3  # the bar on which the kill rule fires


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(write_bundle(tmp_path / "handoff", **ARGUMENTS))


def engine(bundle, folder, **options):
    return PaperEngine(
        bundle, ReferenceBroker(bundle.costs, capital=bundle.capital), folder=folder, **options
    )


def line(state, reason="seen", by="risk"):
    return json.dumps({"state": state, "reason": reason, "by": by}).encode()


def forked(work):
    "Run `work` in a child; its exit status"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1]


@contextmanager
def no_file_longer_than(size):
    "A disk that is full: a file may grow to `size` bytes"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- the switch reads what is there


@pytest.mark.parametrize(
    "halt",
    [
        b" %s",
        b"%s ",
        b"\t%s",
        b"%s\r",
        b" %s \r",
        b"\xef\xbb\xbf%s",
        b"x%s",
        b"%s}",
        b"\x00%s",
        b"[%s]",
        b"\xff%s",
        b"\x0b%s",
    ],
)
@pytest.mark.parametrize("before", [[], [line("ACTIVE")], [line("ACTIVE"), line("REDUCING")]])
def test_a_halt_in_any_dress_halts(tmp_path, halt, before):
    path = tmp_path / "switch"
    path.write_bytes(b"\n".join([*before, halt % line("HALTED"), b""]))
    assert KillSwitch(path).state is State.HALTED
    path.write_bytes(path.read_bytes() + line("REDUCING") + b"\n")  # does not soften it
    assert KillSwitch(path).state is State.HALTED
    path.write_bytes(path.read_bytes() + line("ACTIVE", by="engine") + b"\n")  # nor does an engine
    assert KillSwitch(path).state is State.HALTED
    KillSwitch(path).reset("looked into", by="risk")
    assert KillSwitch(path).state is State.ACTIVE


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    states=st.lists(st.sampled_from(["ACTIVE", "REDUCING", "HALTED"]), min_size=1, max_size=4),
    data=st.data(),
)
def test_a_mangled_last_line_never_reads_softer(tmp_path_factory, states, data):
    path = tmp_path_factory.getbasetemp() / "mangled"
    lines = [line(state) for state in states]
    path.write_bytes(b"\n".join([*lines, b""]))
    good, last = KillSwitch(path).state, lines[-1]
    place = data.draw(st.integers(0, len(last) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=3).filter(lambda b: b"\n" not in b))
    cut = data.draw(st.integers(0, 2))
    path.write_bytes(b"\n".join([*lines[:-1], last[:place] + junk + last[place + cut :], b""]))
    mangled = KillSwitch(path).state
    order = [State.ACTIVE, State.REDUCING, State.HALTED]
    assert mangled is State.HALTED or order.index(mangled) >= order.index(good)


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b'"HALTED"',
        b"[" * 100_000,
        b"1" * 5000,
        line("active"),
        line("ACTIVE "),
        line("ACTIVE", " "),
        line("ACTIVE", 1),
        line("ACTIVE", "x", ""),
        line(None),
        line(["ACTIVE"]),
        line({"ACTIVE": 1}),
        b'{"state": "ACTIVE"}',
        b'{"state": "HALTED", "state": "ACTIVE", "reason": "x", "by": "y"}',
        b'{"state": "ACTIVE", "reason": "x", "by": "y", "but": "HALTED"}',
        line("ACTIVE")[:-1],
        line("ACTIVE") + line("ACTIVE"),
        line("ACTIVE").decode().encode("utf-16")[:-1],
    ],
)
def test_what_is_not_one_whole_entry_halts(tmp_path, odd):
    path = tmp_path / "switch"
    path.write_bytes(line("ACTIVE") + b"\n" + odd + b"\n")
    switch = KillSwitch(path)
    assert switch.state is State.HALTED
    assert switch.reason == "the kill switch cannot be read at line 2"
    assert [entry["state"] for entry in switch.history()] == ["ACTIVE", "HALTED"]


def test_only_a_person_goes_on(tmp_path):
    switch = KillSwitch(tmp_path / "switch")
    switch.start()
    assert switch.state is State.ACTIVE
    switch.trip("stop", by="desk")
    switch.start()
    assert switch.state is State.HALTED and switch.reason == "stop"
    with pytest.raises(SpecificationError, match="an engine can halt, not go on"):
        switch.reset("go on", by="engine")
    assert switch.state is State.HALTED


@pytest.mark.parametrize(
    "asked", [{"reason": ""}, {"reason": None}, {"by": 1}, {"state": "ACTIVE"}, {"state": "STOP"}]
)
def test_who_asks_wrongly_for_a_halt_gets_it_and_is_told(tmp_path, asked):
    for path in (tmp_path / "switch", None):
        switch = KillSwitch(path)
        switch.start()
        with pytest.raises(SpecificationError, match="Trading is halted all the same"):
            switch.trip(**{"reason": "x"} | asked)
        assert switch.state is State.HALTED
        assert path is None or KillSwitch(path).state is State.HALTED


# -- the switch cannot write


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_halt_on_a_full_disk_halts_here_and_in_the_file(tmp_path, room):
    path = tmp_path / "switch"
    KillSwitch(path).reset("begun", by="desk")
    switch = KillSwitch(path)
    told = pytest.raises(HandoffError, match="This process is halted; the file reads HALTED")
    with no_file_longer_than(path.stat().st_size + room), told:
        switch.trip("drawdown")
    assert (switch.state, switch.reason) == (State.HALTED, "drawdown")
    assert KillSwitch(path).state is State.HALTED
    switch.settle()  # there is room again
    assert KillSwitch(path).reason == "drawdown"
    switch.reset("understood", by="risk")
    assert switch.state is KillSwitch(path).state is State.ACTIVE
    assert [e["state"] for e in switch.history()][-2:] == ["HALTED", "ACTIVE"]


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_reset_on_a_full_disk_resets_nothing(tmp_path, room):
    path = tmp_path / "switch"
    KillSwitch(path).reset("begun", by="desk")
    switch = KillSwitch(path)
    switch.trip("drawdown")
    before = path.read_bytes()
    told = pytest.raises(HandoffError, match=r"\. The file reads HALTED")
    with no_file_longer_than(len(before) + room), told:
        switch.reset("go on", by="risk")
    assert path.read_bytes() == before
    assert switch.state is State.HALTED


def test_a_file_nobody_may_write_leaves_the_process_halted(tmp_path, monkeypatch):
    path = tmp_path / "switch"
    KillSwitch(path).reset("begun", by="desk")

    def refused(*_, **__):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(storage, "write_all", refused)
    monkeypatch.setattr(os, "truncate", refused)
    switch = KillSwitch(path)
    with pytest.raises(HandoffError, match="Read-only file system.*halted; the file reads ACTIVE"):
        switch.trip("drawdown")
    assert switch.state is State.HALTED and KillSwitch(path).state is State.ACTIVE
    with pytest.raises(HandoffError, match="Read-only"):
        switch.reset("go on", by="risk")
    assert switch.state is State.HALTED


def test_an_engine_whose_halt_cannot_be_written_refuses_to_go_on(bundle, tmp_path):
    folder = tmp_path / "state"
    whole = engine(bundle, tmp_path / "whole").run(FEED)
    assert whole.state == "HALTED" and "kill rule daily_loss" in whole.reason
    runner = engine(bundle, folder)
    runner.run(FEED[:LOSS])
    with no_file_longer_than((folder / "kill_switch.jsonl").stat().st_size):
        for _ in range(2):
            with pytest.raises(HandoffError, match="kill switch .* cannot be written"):
                runner.run(FEED)
    assert runner.run(FEED).journal.count(b'"sent":true') == whole.journal.count(b'"sent":true')
    last = KillSwitch(folder / "kill_switch.jsonl")
    assert last.state is State.HALTED and "kill rule daily_loss" in last.reason


@pytest.mark.parametrize("when", range(1, 6))
@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_kill_9_while_halting_never_reads_active_after(tmp_path, monkeypatch, when, how):
    path, write, count = tmp_path / "switch", storage.write_all, [0]

    def dying(file, content):
        count[0] += 1
        if count[0] != when:
            return write(file, content)
        if how != "before":
            write(file, content if how == "after" else content[: len(content) // 2])
        return os.kill(os.getpid(), signal.SIGKILL)

    steps = [
        lambda s: s.start(),
        lambda s: s.trip("one"),
        lambda s: s.reset("two", by="risk"),
        lambda s: s.trip("three", state=State.REDUCING),
        lambda s: s.trip("four"),
    ]
    states = [State.HALTED, State.ACTIVE, State.HALTED, State.ACTIVE, State.REDUCING, State.HALTED]

    def work():
        storage.write_all = dying
        for step in steps:
            step(KillSwitch(path))

    assert os.WTERMSIG(forked(work)) == signal.SIGKILL
    allowed = {"before": {states[when - 1]}, "torn": {State.HALTED}, "after": {states[when]}}
    if when == 1:  # the first line is written beside, and linked into its place when it is whole
        allowed["after"] = {State.HALTED}
    assert KillSwitch(path).state in allowed[how]
    KillSwitch(path).start()
    KillSwitch(path).reset("understood", by="risk")
    assert KillSwitch(path).state is State.ACTIVE
    assert [p.name for p in tmp_path.iterdir()] == ["switch"]


# -- a halt at the first start


def test_a_halt_before_the_first_start_stands(bundle, tmp_path):
    (tmp_path / "state").mkdir()
    KillSwitch(tmp_path / "state" / "kill_switch.jsonl").trip("not today", by="desk")
    halted = engine(bundle, tmp_path / "state").run(FEED)
    assert halted.state == "HALTED" and halted.n_orders == 0
    for _ in range(2):  # the same without a folder
        runner = engine(bundle, None)
        runner.kill_switch.trip("not today", by="desk")
        assert runner.run(FEED).n_orders == 0
        assert runner.run(FEED).n_orders == 0


@pytest.mark.parametrize("moment", ["link", "write_all"])
def test_a_halt_written_during_the_first_start_stands(bundle, tmp_path, monkeypatch, moment):
    path = tmp_path / "state" / "kill_switch.jsonl"
    where = {"link": os, "write_all": storage}[moment]
    act, done = getattr(where, moment), []

    def interrupted(*arguments):
        if not done:
            done.append(True)
            with open(path, "ab") as file:  # by hand: it asks for no lock
                file.write(line("HALTED", "not today") + b"\n")
        return act(*arguments)

    monkeypatch.setattr(where, moment, interrupted)
    result = engine(bundle, tmp_path / "state").run(FEED)
    assert done and (result.state, result.n_orders) == ("HALTED", 0)


def test_two_first_starts_and_a_halt_at_once(tmp_path):
    for attempt in range(30):
        path = tmp_path / str(attempt)
        work = [
            KillSwitch(path).start,
            KillSwitch(path).start,
            lambda p=path: KillSwitch(p).trip("stop"),
        ]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert KillSwitch(path).state is State.HALTED


# -- other writers of the engine


@pytest.mark.parametrize("what", ["folder", "journal", "state", "feed"])
def test_a_disk_that_refuses_is_a_sentence(bundle, tmp_path, monkeypatch, what):
    blocked = tmp_path / "blocked"
    if what == "folder":
        blocked.write_text("a file")
        with pytest.raises(HandoffError, match="cannot be used"):
            engine(bundle, blocked / "state").run(FEED)
    elif what == "feed":
        blocked.write_text("a file")
        with pytest.raises(HandoffError, match="could not be written"):
            save_feed(blocked / "feed.parquet", FEED)
    else:
        blocked.mkdir()
        (blocked / {"journal": "journal.jsonl", "state": "state.json"}[what]).mkdir()
        with pytest.raises(HandoffError, match="cannot be read|missing, torn or does not fit"):
            engine(bundle, blocked).run(FEED)


def test_what_a_killed_engine_left_is_swept(bundle, tmp_path):
    folder = tmp_path / "state"
    engine(bundle, folder).run(FEED[:2])
    (folder / ".state.json.4711").write_text("half")
    engine(bundle, folder).run(FEED)
    assert sorted(p.name for p in folder.iterdir()) == [
        "journal.jsonl",
        "kill_switch.jsonl",
        "lock",
        "state.json",
    ]


# -- approvals


def test_two_approvals_at_once_are_both_there(bundle):
    script = (
        "import sys; from quantlab.handoff import approve_bundle;"
        "[approve_bundle(sys.argv[1], by=sys.argv[2], reason=str(i)) for i in range(8)]"
    )
    desks = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(bundle.path), name],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for name in ("risk", "desk")
    ]
    threads = [
        threading.Thread(
            target=approve_bundle, args=(bundle.path,), kwargs={"by": f"t{i}", "reason": "seen"}
        )
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for waiting in [*threads]:
        waiting.join()
    assert [desk.wait() for desk in desks] == [0, 0]
    signed = [(a["by"], a["reason"]) for a in load_bundle(bundle.path).approvals]
    assert len(signed) == len(set(signed)) == 20


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, 400))
@example(cut=0)
@example(cut=1)
def test_half_an_approval_is_refused_and_mended_by_the_next(tmp_path_factory, cut):
    path = write_bundle(tmp_path_factory.mktemp("torn"), **ARGUMENTS)
    file = approve_bundle(path, by="risk", reason="limits agreed")
    first = file.read_bytes()
    approve_bundle(path, by="desk", reason="seen")
    whole = file.read_bytes()
    cut = min(cut, len(whole) - len(first) - 1)
    file.write_bytes(whole[: len(first) + cut])
    if cut:
        with pytest.raises(HandoffError, match="cut short.*next approval takes that line out"):
            load_bundle(path)
    approve_bundle(path, by="desk", reason="seen")
    assert file.read_bytes() == whole
    assert [a["by"] for a in load_bundle(path).approvals] == ["risk", "desk"]


def test_a_whole_approval_that_lacks_its_line_end_counts(bundle):
    file = approve_bundle(bundle.path, by="risk", reason="limits agreed")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert approve_bundle(bundle.path, by="risk", reason="limits agreed").read_bytes() == whole


def test_an_edited_approval_is_not_mended(bundle):
    file = approve_bundle(bundle.path, by="risk", reason="limits agreed")
    file.write_bytes(file.read_bytes().replace(b"agreed", b"waived"))
    with pytest.raises(HandoffError, match="was changed at line 1"):
        approve_bundle(bundle.path, by="desk", reason="seen")
    file.write_bytes(b"[" * 100_000 + b"\n")
    with pytest.raises(HandoffError, match="was changed at line 1"):
        load_bundle(bundle.path)


def test_an_approval_on_a_full_disk_approves_nothing(bundle):
    file = approve_bundle(bundle.path, by="risk", reason="limits agreed")
    before = file.read_bytes()
    with (
        no_file_longer_than(len(before) + 20),
        pytest.raises(HandoffError, match="nothing was approved"),
    ):
        approve_bundle(bundle.path, by="desk", reason="seen")
    assert file.read_bytes() == before
    assert sorted(p.name for p in file.parent.iterdir()) == sorted([bundle.path.name, file.name])


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_kill_9_while_approving_leaves_a_bundle_that_loads(bundle, monkeypatch, how):
    approve_bundle(bundle.path, by="risk", reason="limits agreed")
    write = storage.write_all

    def dying(file, content):
        if how != "before":
            write(file, content if how == "after" else content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def work():
        storage.write_all = dying
        approve_bundle(bundle.path, by="desk", reason="seen")

    assert os.WTERMSIG(forked(work)) == signal.SIGKILL
    assert [a["by"] for a in load_bundle(bundle.path).approvals] == ["risk"]
    approve_bundle(bundle.path, by="desk", reason="seen")
    assert [a["by"] for a in load_bundle(bundle.path).approvals] == ["risk", "desk"]
    names = sorted(p.name for p in bundle.path.parent.iterdir())
    assert names == sorted([bundle.path.name, approvals_path(bundle.path).name])


# -- the manifest


def places(value, at=()):
    "Each place in a nested JSON value"
    yield at
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield from places(child, (*at, key))


def with_value(value, at, new):
    "A copy with `new` at one place"
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = with_value(copy[at[0]], at[1:], new)
    return copy


WRONG = [
    None,
    True,
    False,
    0,
    -1,
    2**64,
    1.5,
    -1e308,
    1e308,
    1e-320,
    "",
    " ",
    "x",
    "2015-13-45",
    [],
    ["A"],
    [1],
    [None],
    {},
    {"a": 1},
    {"": ""},
    {"by": "x"},
    [{"by": 1, "reason": 2}],
    [[["x"]]],
]


def test_every_place_with_every_wrong_type_is_refused_or_usable(tmp_path):
    path = write_bundle(tmp_path, **ARGUMENTS | {"approvals": [{"by": "risk", "reason": "seen"}]})
    manifest = json.loads((path / "manifest.json").read_text())
    copy, refused, n = tmp_path / "copy", 0, 0
    shutil.copytree(path, copy)
    for at in places(manifest):
        for wrong in WRONG:
            bad = with_value(manifest, at, wrong)
            if isinstance(bad, dict) and bad.get("seal") == manifest["seal"]:
                bad["seal"] = seal_of(bad)
            (copy / "manifest.json").write_text(readable_json(bad))
            n += 1
            try:
                loaded = load_bundle(copy, as_of="2020-01-01")
            except HandoffError:
                refused += 1
                continue
            assert len(loaded.summary())  # what loads can be shown and traded on
            assert loaded.sequential_test.charts(np.zeros(2)).shape == (2, 2)
            engine(loaded, None).run(FEED)
    assert n > 1000 and refused > n / 2


@pytest.mark.parametrize(
    "text",
    [b"[" * 200_000, b'{"a":' * 200_000, b'{"capital": 1e999}', b"1" * 5000, b"\xff", b"null"],
)
def test_a_manifest_that_is_no_manifest_is_refused(bundle, text):
    (bundle.path / "manifest.json").write_bytes(text)
    with pytest.raises(HandoffError):
        load_bundle(bundle.path)


def test_a_deep_manifest_is_refused(bundle):
    deep = json.loads((bundle.path / "manifest.json").read_text())
    text = (
        (bundle.path / "manifest.json")
        .read_text()
        .replace('"formation": 252', '"formation": ' + "[" * 5000 + "]" * 5000)
    )
    assert deep["parameters"] == {"formation": 252}
    (bundle.path / "manifest.json").write_text(text)
    with pytest.raises(HandoffError, match="nested too deeply|seal of .* is broken"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decision_time": 5}, "`decision_time` must be a text"),
        ({"fill_time": ""}, "`fill_time` must be a text"),
        ({"ledger": {"count": 37}}, "`ledger` must be None, or the `count`"),
        ({"ledger": {"count": True, "last_hash": "x", "lower_bound": False}}, "`ledger` must be"),
        ({"ledger": {"count": 40, "last_hash": "x", "lower_bound": True}}, "is a lower bound"),
        ({"pages": {"page.html": "short"}}, "`pages` must be a mapping of pages"),
        ({"pages": ["page.html"]}, "`pages` must be a mapping of pages"),
        (
            {"expected_distribution": {"mean": 0.0, "volatility": 0.1, "sequential_test": 5}},
            "as a mapping; got 5",
        ),
    ],
)
def test_what_the_schema_refuses_is_not_written(tmp_path, change, message):
    with pytest.raises((HandoffError, SpecificationError), match=message):
        write_bundle(tmp_path / "new", **ARGUMENTS | change)
    assert not (tmp_path / "new").exists()


def test_a_lower_bound_may_be_handed_over_as_rejected(tmp_path):
    bound = {"count": 40, "last_hash": "ab", "lower_bound": True}
    path = write_bundle(tmp_path, **ARGUMENTS | {"ledger": bound, "verdict": "rejected"})
    rows = load_bundle(path).summary()
    assert rows["trials counted by the verdict"] == "40, a lower bound (ledger at ab)"
    assert "no signature" in rows["seal proves"]


# -- one agreement, one bundle


def moved(frame, by):
    return frame * (1 + by * np.where(np.arange(len(frame)) % 2, 1, -1)[:, None])


@pytest.mark.parametrize("by", [1e-15, 1e-12, 5e-9])
def test_the_last_digits_of_another_machine_make_no_new_bundle(tmp_path, by):
    path = write_bundle(tmp_path, **ARGUMENTS)
    before = {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in path.iterdir()}
    kept = {"seed": 1, "n_resamples": 1000, "worlds": TEST.worlds}
    test = {k: v if k in kept else v * (1 + by) for k, v in TEST.to_dict().items()} | kept
    elsewhere = {
        "target_weights": moved(ARGUMENTS["target_weights"], by),
        "expected": moved(ARGUMENTS["expected"], by) + 1e-19,
        "expected_distribution": ARGUMENTS["expected_distribution"]
        | {"mean": 4e-4 * (1 + by), "sequential_test": test},
        "inputs": {"returns.parquet": "1" * 32},
        "code": "another version with the same weights",
        "ledger": ARGUMENTS["ledger"] | {"last_hash": "ef" * 32},
        "pages": {"reports/validate.html": "00" * 32},
    }
    assert write_bundle(tmp_path, **ARGUMENTS | elsewhere) == path
    assert {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in path.iterdir()} == before
    assert list(tmp_path.iterdir()) == [path]
    assert load_bundle(path).manifest["ledger"]["count"] == 37  # as the verdict was made


@pytest.mark.parametrize(
    "change",
    [
        {"target_weights": moved(ARGUMENTS["target_weights"], 1e-6)},
        {"target_weights": ARGUMENTS["target_weights"].iloc[1:]},
        {"target_weights": ARGUMENTS["target_weights"][["B", "A"]]},
        {"expected": moved(ARGUMENTS["expected"], 1e-6)},
        {"expected_distribution": ARGUMENTS["expected_distribution"] | {"volatility": 0.010001}},
        {"capital": 1e7 + 1e-6},
        {"costs": CostModel(commission_bps=1.0 + 1e-12, half_spread_bps=4.0)},
        {"verdict": "rejected"},
        {"expires": "2030-12-30"},
        {"parameters": {"formation": 253}},
        {"dossier": "<html>another page</html>"},
        {"ledger": {"count": 39, "last_hash": "cd" * 32, "lower_bound": False}},
        {"ledger": None},
    ],
    ids=lambda c: next(iter(c)),
)
def test_another_agreement_is_another_bundle(tmp_path, change):
    path = write_bundle(tmp_path, **ARGUMENTS)
    other = write_bundle(tmp_path, **ARGUMENTS | change)
    assert other != path
    assert write_bundle(tmp_path, **ARGUMENTS) == path
    assert write_bundle(tmp_path, **ARGUMENTS | change) == other


def test_a_broken_bundle_beside_is_no_obstacle(tmp_path):
    path = write_bundle(tmp_path, **ARGUMENTS)
    (path / "expected.parquet").write_bytes(b"")
    other = write_bundle(tmp_path, **ARGUMENTS | {"code": "another"})
    assert other != path and load_bundle(other).manifest["digits"] == 7


def test_what_a_killed_writer_left_is_swept(tmp_path):
    (tmp_path / ".building-x1").mkdir()
    (tmp_path / ".building-x1" / "manifest.json").write_text("{")
    path = write_bundle(tmp_path, **ARGUMENTS)
    assert list(tmp_path.iterdir()) == [path]


def test_bundles_of_the_schema_before_load_and_verify():
    old = sorted(p for p in (ROOT / "handoff").iterdir() if (p / "manifest.json").exists())
    assert old
    for path in old:
        bundle = load_bundle(path, as_of="2020-01-01")
        assert bundle.seal[:12] == path.name[-12:]
        assert "no signature" in bundle.summary()["seal proves"]


def test_verify_and_show_say_what_a_seal_is(bundle, capsys):
    from quantlab.cli import main

    assert main(["handoff", "verify", str(bundle.path)]) == 0
    assert "it is no signature" in capsys.readouterr().out
    assert main(["handoff", "show", str(bundle.path)]) == 0
    assert "it is no signature" in capsys.readouterr().out


def test_write_is_refused_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HandoffError, match="could not be written"):
        write_bundle(tmp_path / "file" / "handoff", **ARGUMENTS)
    with no_file_longer_than(100), pytest.raises(HandoffError, match="nothing was left"):
        write_bundle(tmp_path / "handoff", **ARGUMENTS)
    assert list((tmp_path / "handoff").iterdir()) == []
    assert Path(tmp_path / "file").read_text() == ""


# ---------------------------------------------------------------- orders after a halt, and a book
# that is gone


def test_no_order_is_sent_after_a_halt_that_comes_while_orders_are_sent(bundle, tmp_path):
    switch = tmp_path / "state" / "kill_switch.jsonl"

    class Venue(ReferenceBroker):
        sent = []

        def submit(self, order):
            assert KillSwitch(switch).state is State.ACTIVE
            self.sent.append(order.id)
            super().submit(order)
            if len(self.sent) == 3:
                KillSwitch(switch).trip("stop", by="risk")  # another process

    venue = Venue(bundle.costs, capital=bundle.capital)
    result = PaperEngine(bundle, venue, folder=tmp_path / "state").run(FEED)
    assert len(venue.sent) == 3 == result.n_orders and result.state == "HALTED"
    held = result.orders[result.orders["rule"] == "halted"]
    assert (
        len(held) == result.n_refused
        and not held["sent"].any()
        and held["reason"].iloc[0] == "stop"
    )
    assert "withheld" in set(result.events["type"])
    assert result.daily["sent"].tolist() == [2, 1, 0, 0, 0, 0]
    again = PaperEngine(
        bundle, ReferenceBroker(bundle.costs, capital=bundle.capital), folder=tmp_path / "state"
    ).run(FEED)
    assert again.journal == result.journal


@pytest.mark.parametrize("after", [0.0, 0.1])
def test_a_book_that_lost_all_is_halted_and_its_record_ends(tmp_path, after):
    "A return on nothing is no number, and one on a negative equity has the wrong sign"
    held = pd.DataFrame({"A": [0.5] * 6, "B": [0.5] * 6}, index=DAYS)
    rules = {"daily_loss": 5.0, "sequential_test": False}
    path = write_bundle(
        tmp_path,
        **(ARGUMENTS | {"target_weights": held, "costs": CostModel(), "kill_rules": rules}),
    )
    lost = RETURNS * 0.0
    lost.iloc[2], lost.iloc[3:] = -1.0, after
    result = engine(load_bundle(path), tmp_path / "state").run(bars(lost))
    assert result.final_equity == 0.0 and result.state == "HALTED" and result.n_days == 3
    assert result.reason == "no equity is left on 2015-07-03"
    assert engine(load_bundle(path), tmp_path / "state").run(bars(lost)).journal == result.journal


@pytest.mark.parametrize(
    "change, message",
    [
        ({"returns": {"A": "0.1"}}, "has '0.1' as returns of A"),
        ({"returns": {"A": None}}, "has None as returns of A"),
        ({"returns": {"A": True}}, "has True as returns of A"),
        ({"returns": {"A": 1j}}, "has 1j as returns of A"),
        ({"returns": {"A": 1e308}}, "has a return of 1e.308"),
        ({"returns": None}, "must map assets to their returns; got NoneType"),
        ({"returns": [0.1]}, "must map assets to their returns; got list"),
        ({"dollar_volume": {"A": "many"}}, "has 'many' as dollar_volume of A"),
        ({"volatility": {"A": None}}, "has None as volatility of A"),
        ({"date": "2015-07-01"}, "must carry a date"),
        ({"date": None}, "must carry a date"),
        ({"date": pd.NaT}, "must carry a date"),
    ],
)
def test_a_bar_of_what_is_no_number_is_a_sentence(bundle, tmp_path, change, message):
    bar = Bar(**({"date": DAYS[0], "returns": {"A": 0.0, "B": 0.0}} | change))
    with pytest.raises(DataError, match=message):
        engine(bundle, tmp_path / "state").run([bar])


def test_numbers_of_every_kind_make_the_same_journal(bundle, tmp_path):
    plain = list(bars(RETURNS.round(2)))
    other = [
        Bar(day.date.to_pydatetime(), pd.Series({k: np.float64(v) for k, v in day.returns.items()}))
        for day in plain
    ]
    results = [
        engine(bundle, tmp_path / name).run(feed) for name, feed in (("a", plain), ("b", other))
    ]
    assert results[0].journal == results[1].journal
    single = [Bar(day.date, {k: np.float32(v) for k, v in day.returns.items()}) for day in plain]
    assert engine(bundle, tmp_path / "c").run(single).n_days == 6


def test_a_cost_without_bound_is_an_order_that_cannot_be_priced(tmp_path):
    path = write_bundle(tmp_path, **(ARGUMENTS | {"costs": CostModel(impact_coefficient=0.5)}))
    feed = [
        Bar(day.date, day.returns, {"A": 1e-320, "B": 1e8}, {"A": 0.01, "B": 0.01}) for day in FEED
    ]
    result = engine(load_bundle(path), tmp_path / "state").run(feed)
    assert result.n_unfilled and np.isfinite(result.final_equity)


def test_a_feed_without_volumes_is_read_as_it_was_saved(bundle, tmp_path):
    feed = load_feed(save_feed(tmp_path / "feed.parquet", FEED))
    assert (
        engine(bundle, tmp_path / "a").run(feed).journal
        == engine(bundle, tmp_path / "b").run(FEED).journal
    )


def test_an_approval_lies_beside_the_bundle_however_it_was_reached(
    bundle, tmp_path, monkeypatch, capsys
):
    from quantlab.cli import main

    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / bundle.path.name
    link.symlink_to(bundle.path)
    assert approve_bundle(link, by="a", reason="r") == approvals_path(bundle.path.resolve())
    monkeypatch.chdir(bundle.path)
    approve_bundle(".", by="b", reason="r")
    assert (
        [a["by"] for a in load_bundle(bundle.path).approvals]
        == ["a", "b"]
        == [a["by"] for a in load_bundle(".").approvals]
    )
    assert main(["handoff", "verify", "."]) == 0 and capsys.readouterr().out.startswith(
        bundle.path.name
    )
    with pytest.raises(SpecificationError, match="no plain JSON form"):
        approve_bundle(bundle.path, by="\ud800", reason="r")
    with pytest.raises(SpecificationError, match="must be a path"):
        load_bundle("a\0b")


def test_days_for_which_nothing_was_agreed_are_a_defect(bundle):
    def judged(first):
        days = pd.bdate_range(first, periods=40)
        return monitor(bundle, pd.Series(np.random.default_rng(0).normal(4e-4, 0.01, 40), days))

    for first in ("2005-07-01", "2035-07-02"):
        triage = judged(first).triage
        assert triage.loc[triage["alarm"], "check"].tolist() == [
            "days outside the bundle's dates of validity"
        ]
    assert not judged("2016-07-01").triage["check"].str.contains("validity").any()


@pytest.mark.parametrize(
    "odd",
    [
        pd.DataFrame(np.zeros((6, 2)), DAYS, ["returns", "returns"]),
        pd.DataFrame(np.zeros((6, 1)), DAYS, pd.MultiIndex.from_tuples([("returns", "a")])),
        pd.Series(0.0, pd.date_range("1500-01-01", periods=6, unit="s")),
        pd.Series([0.1j] * 6, DAYS),
        pd.Series(["0.1"] * 6, DAYS),
        pd.Series([True, False] * 3, DAYS),
    ],
)
def test_a_record_that_cannot_be_read_as_numbers_is_refused(bundle, odd):
    with pytest.raises(DataError, match="`realised`"):
        monitor(bundle, odd)


@pytest.mark.parametrize("what", ["equity", "positions"])
@pytest.mark.parametrize("folder", [True, False])
def test_a_venue_that_reports_no_number_is_halted(bundle, tmp_path, what, folder):
    "No limit and no kill rule can compare NaN: all of them would stay silent"

    class Venue(ReferenceBroker):
        broken = False

        def equity(self):
            return float("nan") if self.broken and what == "equity" else super().equity()

        def positions(self):
            return {
                k: float("nan") if self.broken and what == "positions" else p
                for k, p in super().positions().items()
            }

        def advance(self, bar):
            self.broken = bar.date >= DAYS[2]
            return super().advance(bar)

    place = tmp_path / "state" if folder else None
    paper = PaperEngine(bundle, Venue(bundle.costs, capital=bundle.capital), folder=place)
    with pytest.raises(HandoffError, match="and trading is halted"):
        paper.run(FEED)
    assert paper.kill_switch.state is State.HALTED and "2015-07-03" in paper.kill_switch.reason
    if folder:
        assert KillSwitch(place / "kill_switch.jsonl").state is State.HALTED
        assert engine(bundle, place).run(FEED).n_orders == 4  # those before


def test_what_is_no_part_of_an_engine_is_a_sentence(bundle, tmp_path):
    for wrong in ({"kill_switch": "x"}, {"folder": 5}, {"backend": ReferenceBroker}):
        with pytest.raises(SpecificationError):
            PaperEngine(
                bundle,
                **({"backend": ReferenceBroker(bundle.costs, capital=bundle.capital)} | wrong),
            )
    with pytest.raises(HandoffError, match="The journal is empty or not whole"):
        read_journal(None)


def test_a_reconciliation_takes_only_a_table_of_numbers_by_date(bundle):
    result = engine(bundle, None).run(FEED)
    good = bundle.expected
    assert result.reconciliation(good[::-1]).n_days == 6
    for wrong in (
        None,
        {"returns": 1},
        good["returns"],
        good.tz_localize("UTC"),
        pd.concat([good, good]),
        pd.concat([good, good], axis=1),
        good.reset_index(drop=True),
        good.astype(str),
        good * np.nan,
        good.replace(0.001, np.inf),
    ):
        with pytest.raises(QuantlabError, match="`expected`"):
            result.reconciliation(wrong)
