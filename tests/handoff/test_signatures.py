"""Who said yes: nothing trades but what the gate approved and a known reviewer signed."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import warnings

import pandas as pd
import pytest
from conftest import ROOT
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quantlab import storage
from quantlab.cli import main
from quantlab.errors import HandoffError, QuantlabError, SpecificationError
from quantlab.handoff import (
    PaperEngine,
    add_reviewer,
    approve_bundle,
    bars,
    diff_bundles,
    load_bundle,
    make_key,
    read_reviewers,
    replay_bundle,
    sign_bundle,
    write_bundle,
)
from quantlab.handoff.manifest import seal_of
from quantlab.handoff.signatures import signed_bytes, verdict_path
from quantlab.storage import readable_json

DAYS = pd.bdate_range("2015-07-01", periods=4)
NOW = "2026-01-31T12:00:00Z"
TEST = {
    "mean": 4e-4,
    "volatility": 0.01,
    "abs_mean": 0.8,
    "abs_std": 0.6,
    "mean_allowance": 0.05,
    "volatility_allowance": 0.25,
    "mean_threshold": 1e6,
    "volatility_threshold": 1e6,
    "average_run_length": 1e3,
    "achieved_run_length": 1e3,
    "run_length_low": 5e2,
    "run_length_high": 2e3,
    "detection_delay": 1e2,
    "block_length": 1.0,
    "n_resamples": 1,
    "seed": 0,
}
ARGUMENTS = {
    "strategy": "pairs_book",
    "verdict": "approved",
    "parameters": {"formation": 252},
    "target_weights": pd.DataFrame(
        {"A": [0.5, 0.4, 0.3, 0.5], "B": [-0.5, -0.4, -0.3, -0.5]}, DAYS
    ),
    "expected": pd.DataFrame({"returns": 0.0, "turnover": 0.1, "costs": 0.0}, DAYS),
    "inputs": {},
    "code": "tree",
    "universe": ["A", "B"],
    "costs": {"commission_bps": 1.0},
    "limits": {
        "max_order_notional": 6e6,
        "max_gross": 2.0,
        "max_position_weight": 0.6,
        "max_daily_turnover": 2.0,
        "price_collar": 0.25,
        "max_orders_per_day": 10,
        "max_stale_days": 0,
        "max_daily_loss": 0.03,
        "max_drawdown": 0.08,
    },
    "kill_rules": {"drawdown": 0.1},
    "expected_distribution": {"mean": 4e-4, "volatility": 0.01, "sequential_test": TEST},
    "starts": "2015-07-01",
    "expires": "2030-12-31",
    "capital": 1e7,
    "ledger": {"count": 37, "last_hash": "ab" * 32, "lower_bound": False},
}
FEED = list(bars(pd.DataFrame({"A": [0.0, 0.01, 0.0, -0.01], "B": [0.0] * 4}, DAYS)))


class Desk:
    "A bundle, a reviewer with a key, and the file that names her"

    def __init__(self, folder):
        self.folder = folder
        self.path = write_bundle(folder / "handoff", **ARGUMENTS)
        self.key, self.public = make_key(folder, name="Ada")
        self.reviewers = add_reviewer(folder / "reviewers.json", name="Ada", key=self.public)
        self.file = verdict_path(self.path)

    def sign(self, path=None, **change):
        given = {"key": self.key, "by": "Ada", "reason": "limits agreed", "at": NOW} | change
        return sign_bundle(path or self.path, **given)

    def load(self, path=None):
        return load_bundle(path or self.path, reviewers=self.reviewers)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    "A desk whose bundle is signed; what a test changes it puts back"
    desk = Desk(tmp_path_factory.mktemp("signed"))
    desk.sign()
    return desk


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)


class Venue:
    "A venue that is not the reference broker"

    def submit(self, order):
        raise AssertionError("an order was sent")

    def advance(self, bar):
        return []

    def positions(self):
        return {}

    def equity(self):
        return 1e7

    def snapshot(self):
        return {}

    def restore(self, snapshot):
        pass


# -- what trades, and what does not


def test_only_what_is_approved_and_signed_by_somebody_known_trades(desk):
    rejected = write_bundle(desk.folder / "handoff", **ARGUMENTS | {"verdict": "rejected"})
    approve_bundle(desk.path, by="Ada", reason="a note is no signature")
    assert desk.load().mode == "shadow" and "nobody has signed it" in desk.load().why_shadow
    desk.sign()
    verdict_path(rejected).write_bytes(desk.file.read_bytes())
    modes = {
        "signed": desk.load().mode,
        "nobody is known": load_bundle(desk.path).mode,
        "nobody is listed": load_bundle(desk.path, reviewers={}).mode,
        "no file": load_bundle(desk.path, reviewers=desk.folder / "none.json").mode,
        "rejected": desk.load(rejected).mode,
    }
    assert modes == {"signed": "paper"} | dict.fromkeys(list(modes)[1:], "shadow")
    assert [a["by"] for a in desk.load().approvals] == ["Ada", "Ada"]


def test_a_seal_made_again_over_approved_does_not_trade(desk):
    "Whoever can edit a rejected bundle can seal it as approved; they cannot sign it"
    desk.sign()
    rejected = write_bundle(desk.folder / "other", **ARGUMENTS | {"verdict": "rejected"})
    manifest = json.loads((rejected / "manifest.json").read_text()) | {"verdict": "approved"}
    manifest["parameters"] = {"formation": 5}
    manifest["seal"] = seal_of(manifest)
    forged = rejected.rename(rejected.with_name(f"pairs_book-{manifest['seal'][:12]}"))
    (forged / "manifest.json").write_text(readable_json(manifest))
    assert desk.load(forged).verdict == "approved" and desk.load(forged).mode == "shadow"
    verdict_path(forged).write_bytes(desk.file.read_bytes())
    assert desk.load(forged).why_shadow.endswith("the signature of 'Ada' is of another bundle")
    entry = json.loads(desk.file.read_text())["signatures"][0]
    entry["signed"] |= {"bundle": manifest["seal"], "files": manifest["files"]}
    verdict_path(forged).write_text(readable_json({"signatures": [entry]}))
    assert "does not hold" in desk.load(forged).why_shadow


@pytest.mark.parametrize("given", ["bundle", "path"])
def test_what_does_not_trade_reaches_no_venue(desk, given):
    bundle = desk.load() if given == "bundle" else desk.path
    with pytest.raises(HandoffError, match="is not signed by a known reviewer: nobody has.*only"):
        PaperEngine(bundle, Venue())
    result = replay_bundle(desk.path, FEED, reviewers=desk.reviewers)
    assert result.mode == "shadow" and set(result.orders["mode"]) == {"shadow"}
    desk.sign()
    assert PaperEngine(desk.load(), Venue()).bundle.mode == "paper"
    assert replay_bundle(desk.path, FEED, reviewers=desk.reviewers).mode == "paper"
    assert replay_bundle(desk.path, FEED).mode == "shadow"


def test_a_folder_is_not_taken_up_in_another_mode(desk):
    state = desk.folder / "state"
    replay_bundle(desk.path, FEED[:2], state=state)
    journal = (state / "journal.jsonl").read_bytes()
    desk.sign()
    with pytest.raises(HandoffError, match="was begun in shadow mode, and .* in paper mode"):
        replay_bundle(desk.load(), FEED, state=state)
    assert (state / "journal.jsonl").read_bytes() == journal
    assert replay_bundle(desk.path, FEED, state=state).n_days == 4


# -- each way in which a signature does not count


def test_each_signature_that_does_not_count_has_its_sentence(desk):
    other, stranger = make_key(desk.folder, name="Eve")
    desk.sign(key=other, by="Eve")
    desk.sign(key=other)
    assert desk.load().refused == (
        "'Eve', who signed it, is not among the known reviewers",
        "the signature of 'Ada' was made with a key that is not the one known as theirs",
    )
    desk.sign()  # what does not count does not stand in the way of what does
    assert desk.load().mode == "paper" and len(desk.load().signatures) == 1
    assert desk.load().summary()["signatures that do not count"].count("Ada") == 1
    desk.reviewers.write_text("{}\n")  # taken out
    assert desk.load().mode == "shadow" and len(desk.load().refused) == 3
    add_reviewer(desk.reviewers, name="Ada", key=stranger)  # another key in her name
    assert [s["key"] for s in desk.load().signatures] == [stranger]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_changed_byte_of_the_file_and_it_does_not_trade(signed, data):
    good = signed.file.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    kind = data.draw(st.sampled_from(["replace", "insert", "delete", "truncate"]))
    bad = {
        "replace": good[:place] + byte + good[place + 1 :],
        "insert": good[:place] + byte + good[place:],
        "delete": good[:place] + good[place + 1 :],
        "truncate": good[:place],
    }[kind]
    try:
        signed.file.write_bytes(bad)
        loaded = signed.load()
        assert loaded.mode == ("paper" if bad == good else "shadow")
        assert bad == good or re.fullmatch(r"is not signed.*[^.]", loaded.why_shadow)
    finally:
        signed.file.write_bytes(good)


def leaves(value, at=()):
    "The places of a JSON value that hold no mapping"
    if isinstance(value, dict) and value:
        return [place for key in value for place in leaves(value[key], (*at, key))]
    return [at]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_another_content_in_a_file_that_is_whole_does_not_trade(signed, data):
    good = signed.file.read_bytes()
    entry = json.loads(good)["signatures"][0]
    *way, last = data.draw(st.sampled_from(leaves(entry["signed"])))
    inner = entry["signed"]
    for key in way:
        inner = inner[key]
    new = data.draw(st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just([]))
    same = signed_bytes({"": new}) == signed_bytes({"": inner[last]})
    inner[last] = new
    try:
        signed.file.write_bytes(readable_json({"signatures": [entry]}).encode())
        assert signed.load().mode == ("paper" if same else "shadow")
    except UnicodeEncodeError:  # no text that can be written
        pass
    finally:
        signed.file.write_bytes(good)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 511))
def test_one_changed_bit_of_the_signature_does_not_hold(signed, place):
    good = signed.file.read_bytes()
    entry = json.loads(good)["signatures"][0]
    number = bytearray.fromhex(entry["signature"])
    number[place // 8] ^= 1 << place % 8
    entry["signature"] = number.hex()
    try:
        signed.file.write_bytes(readable_json({"signatures": [entry]}).encode())
        assert "does not hold" in signed.load().why_shadow
    finally:
        signed.file.write_bytes(good)


@pytest.mark.parametrize("write", [str.upper, lambda s: f"{s[:2]} {s[2:]}", lambda s: s[:-2]])
def test_another_spelling_of_a_signature_is_none(signed, write):
    good = signed.file.read_text()
    number = json.loads(good)["signatures"][0]["signature"]
    try:
        signed.file.write_text(good.replace(number, write(number)))
        assert "was changed or cut short" in signed.load().why_shadow
    finally:
        signed.file.write_text(good)


# -- signing


def test_what_cannot_be_signed_is_not(desk):
    rejected = write_bundle(desk.folder / "handoff", **ARGUMENTS | {"verdict": "rejected"})
    refused = {
        "was rejected by the gate; it runs in shadow mode and cannot be approved to paper": {
            "path": rejected
        },
        "has expired on 2031-01-01": {"as_of": "2031-01-01"},
        "`at` must be a time in UTC such as '2026-01-31T12:00:00Z'; got 'now'": {"at": "now"},
        "`by` must be a non-empty text": {"by": " "},
        "`reason` must be a non-empty text": {"reason": ""},
        "`path` must be a path": {"path": 5},
        "`key` must be a path": {"key": None},
        "cannot be read": {"key": desk.folder / "none.pem"},
        "There is no bundle at": {"path": desk.folder / "no" / "bundle"},
    }
    for message, change in refused.items():
        with pytest.raises(QuantlabError, match=re.escape(message)):
            desk.sign(**change)
    assert not desk.file.exists() and not verdict_path(rejected).exists()
    (desk.path / "manifest.json").write_bytes(b"{}")
    with pytest.raises(HandoffError, match="has the schema None"):
        desk.sign()
    assert not desk.file.exists()


def test_to_sign_twice_adds_nothing_and_touches_no_other_signature(desk):
    inside = {p.name: p.read_bytes() for p in desk.path.iterdir()}
    first = desk.sign().read_bytes()
    assert desk.sign(reason="again", at="2027-01-01T00:00:00Z").read_bytes() == first
    other, public = make_key(desk.folder, name="Bob")
    add_reviewer(desk.reviewers, name="Bob", key=public)
    desk.sign(key=other, by="Bob")
    assert [s["by"] for s in desk.load().signatures] == ["Ada", "Bob"]
    entries = json.loads(desk.file.read_text())["signatures"]
    assert entries[0] == json.loads(first)["signatures"][0]
    assert {p.name: p.read_bytes() for p in desk.path.iterdir()} == inside


def test_two_who_sign_at_once_are_both_there(desk):
    script = (
        "import sys; from quantlab.handoff import sign_bundle;"
        "sign_bundle(sys.argv[1], key=sys.argv[2], by=sys.argv[3], reason='seen', at=sys.argv[4])"
    )
    known = {}
    for name in ("Bob", "Cleo"):
        key, known[name] = make_key(desk.folder, name=name)
    signing = [
        subprocess.Popen(
            [sys.executable, "-c", script, desk.path, desk.folder / f"{n.lower()}.pem", n, NOW],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for n in known
    ]
    assert [one.wait() for one in signing] == [0, 0]
    assert {s["by"] for s in load_bundle(desk.path, reviewers=known).signatures} == set(known)


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_kill_9_while_signing_leaves_the_signatures_there_were(desk, how):
    desk.sign()
    other, public = make_key(desk.folder, name="Bob")
    add_reviewer(desk.reviewers, name="Bob", key=public)
    write = storage.write_all

    def dying(file, content):
        if how != "before":
            write(file, content if how == "after" else content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        storage.write_all = dying
        desk.sign(key=other, by="Bob")
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [s["by"] for s in desk.load().signatures] == ["Ada"]
    desk.sign(key=other, by="Bob")
    assert [s["by"] for s in desk.load().signatures] == ["Ada", "Bob"]
    assert sorted(p.name for p in desk.path.parent.iterdir()) == [desk.path.name, desk.file.name]


def test_half_a_file_is_refused_by_the_next_signature(desk):
    whole = desk.sign().read_bytes()
    desk.file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HandoffError, match="was changed or cut short; restore it"):
        desk.sign()
    desk.file.unlink()
    assert desk.sign().read_bytes() == whole  # the same bytes: Ed25519 has no randomness


# -- keys and reviewers


def test_a_key_is_its_owners_alone_and_never_overwritten(tmp_path):
    old = os.umask(0)
    try:
        file, public = make_key(tmp_path / "new folder" / "ada.pem", name="Ada")
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and re.fullmatch("[0-9a-f]{64}", public)
    before = file.read_bytes()
    with pytest.raises(HandoffError, match="is there already, and a key is never overwritten"):
        make_key(file, name="Ada")
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]
    with pytest.raises(SpecificationError, match="`path` must be a path"):
        make_key(None, name="Ada")


@pytest.mark.parametrize("sign", [".git", "dvc.yaml"])
def test_no_key_is_made_inside_a_repository(tmp_path, sign):
    (tmp_path / "project" / "deep").mkdir(parents=True)
    (tmp_path / "project" / sign).touch()
    (tmp_path / "link").symlink_to(tmp_path / "project" / "deep")
    for place in ("project", "project/deep", "project/new/ada.pem", "link"):
        with pytest.raises(HandoffError, match="inside the repository project"):
            make_key(tmp_path / place, name="Ada")
    assert not list(tmp_path.rglob("*.pem"))


def test_what_is_no_private_key_signs_nothing(desk):
    private = ed25519.Ed25519PrivateKey.generate()
    pem = lambda key, lock: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    wrong = {
        "empty": b"",
        "torn": desk.key.read_bytes()[:70],
        "password": pem(private, BestAvailableEncryption(b"x")),
        "curve": pem(ec.generate_private_key(ec.SECP256R1()), NoEncryption()),
    }
    for name, content in wrong.items():
        file = desk.folder / f"{name}.pem"
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(HandoffError, match=f"{name}.pem holds no Ed25519 private key"):
            desk.sign(key=file)
    desk.key.chmod(0o640)
    with pytest.raises(HandoffError, match="can be read by others; take that right away"):
        desk.sign()
    assert not desk.file.exists()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.binary(max_size=80))
@example(text=b"[]")
@example(text=b'{"": "' + b"0" * 64 + b'"}')
@example(text=b'{"a": "' + b"0" * 64 + b'", "b": "' + b"0" * 64 + b'"}')
def test_a_file_of_reviewers_that_is_none_is_refused(signed, text):
    file = signed.folder / "wrong.json"
    file.write_bytes(text)
    try:
        read = read_reviewers(file)
    except HandoffError:
        with pytest.raises(HandoffError, match="must give each reviewer's name one public key"):
            load_bundle(signed.path, reviewers=file)
    else:
        assert read == {}


# -- what was signed, and the check by somebody else


def test_the_figures_of_the_gate_are_stated_where_they_are_the_bundles_own(tmp_path):
    import hashlib

    judged = {"plan": {"hash": "p"}, "pairs": {"criteria": {"test": {"luck": {"value": 0.25}}}}}
    confirmed = {"verdict": "approved", "pairs": {"confirmation": {"holdout": {"value": 0.01}}}}
    names = ("artifacts/metrics/validate.json", "artifacts/metrics/confirm_holdout.json")
    files = {name: json.dumps(v).encode() for name, v in zip(names, (judged, confirmed))}
    md5s = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    path = write_bundle(tmp_path / "handoff", **ARGUMENTS | {"family": "pairs", "inputs": md5s})
    key, public = make_key(tmp_path, name="Ada")
    given = {"key": key, "by": "Ada", "reason": "r", "at": NOW}
    page = " ".join(md5s.values()).encode()
    of_another_run = {name: content + b" " for name, content in files.items()}
    for evidence, plan, page_hash in (
        (files | {"reports/dossier.html": page}, "p", hashlib.sha256(page).hexdigest()),
        (of_another_run | {"reports/dossier.html": page[:40]}, None, None),
    ):
        file = sign_bundle(path, evidence=evidence, **given)
        stated = json.loads(file.read_text())["signatures"][0]["signed"]
        assert (stated["plan"], stated["dossier"]) == (plan, page_hash)
        assert bool(stated["gate"]) == bool(plan) and stated["ledger"]["last_hash"] == "ab" * 32
        assert load_bundle(path, reviewers={"Ada": public}).mode == "paper"
        file.unlink()


def test_a_verdict_that_the_gate_did_not_give_is_not_signed(tmp_path):
    "Sealed again as approved, the bundle still names the file in which the gate said rejected"
    import hashlib

    said = json.dumps({"family": "pairs", "verdict": "rejected"}).encode()
    name = "artifacts/metrics/confirm_holdout.json"
    inputs = {name: hashlib.md5(said).hexdigest()}
    path = write_bundle(tmp_path / "handoff", **ARGUMENTS | {"inputs": inputs})
    key, _ = make_key(tmp_path, name="Ada")
    with pytest.raises(HandoffError, match="The manifest says approved, and .* says rejected"):
        sign_bundle(path, key=key, by="Ada", reason="r", at=NOW, evidence={name: said})
    assert not verdict_path(path).exists()


def test_the_sample_bundles_load_as_before():
    for path in sorted(p for p in (ROOT / "handoff").iterdir() if p.is_dir()):
        bundle = load_bundle(path, as_of="2026-01-31")
        assert (bundle.mode, bundle.why_shadow) == ("shadow", f"was {bundle.verdict}")


def test_two_bundles_differ_in_what_was_changed(desk):
    assert diff_bundles(desk.path, desk.load()).empty
    change = {"inputs": {"r.parquet": "1" * 32}, "code": "new", "capital": 2e7}
    other = write_bundle(desk.folder / "handoff", **ARGUMENTS | change)
    table = diff_bundles(desk.path, other)
    assert list(table.index) == [
        ("data", "inputs.r.parquet"),
        ("code", "code"),
        ("limits", "capital"),
    ]
    with pytest.raises(SpecificationError, match="`path` must be a path; got 5"):
        diff_bundles(desk.path, 5)


# -- the command


def test_the_command_makes_a_key_signs_shows_and_compares(desk, monkeypatch, capsys):
    monkeypatch.chdir(desk.folder)
    (desk.folder / "project").mkdir()
    (desk.folder / "project" / "dvc.yaml").touch()
    bundle, known = str(desk.path), ["--reviewers", "reviewers.json"]
    assert main(["handoff", "key", "bob.pem", "--name", "Bob", *known]) == 0
    assert read_reviewers("reviewers.json").keys() == {"Ada", "Bob"}
    assert main(["handoff", "key", "bob.pem", "--name", "Cleo"]) == 1
    assert main(["handoff", "key", "project", "--name", "Cleo"]) == 1
    assert "lies inside the repository project" in capsys.readouterr().err
    assert main(["handoff", "key", "x.pem"]) == 2
    sign = ["handoff", "approve", bundle, "--key", "bob.pem", "--reason", "seen"]
    assert main([*sign, "--by", "Ada"]) == 1 and main([*sign[:-2]]) == 2
    assert "The key is Bob's in reviewers.json" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main([*sign, "--at", "2026-01-31"])
    assert stop.value.code == 2
    assert main([*sign, "--at", "2026-01-31T13:00:00+01:00"]) == 0
    assert "mode paper" in capsys.readouterr().out
    assert main(["handoff", "show", bundle]) == 0
    assert f"Bob at {NOW}" in capsys.readouterr().out
    assert main(["handoff", "verify", bundle, f"{bundle}.verdict.json"]) == 0
    assert "mode paper (a seal shows" in capsys.readouterr().out
    monkeypatch.chdir(desk.folder / "project")  # a project that knows nobody
    assert main(["handoff", "verify", bundle]) == 0
    assert "'Bob', who signed it, is not among the known" in capsys.readouterr().out
    assert main(["handoff", "diff", bundle, bundle]) == 0
    assert main(["handoff", "diff", bundle]) == 2
