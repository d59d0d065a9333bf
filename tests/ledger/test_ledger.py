"""The count of tries: attacks on it, the same records on every machine, and files as other machines
leave them."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import quantlab.validation as v
from quantlab.backtest import run_backtest
from quantlab.errors import DataError, LedgerError, SpecificationError


def trial(**changes):
    base = {
        "family": "f",
        "strategy": "s",
        "parameters": {"a": 1},
        "universe": "u",
        "data_md5": "d",
        "window": ("2010-01-01", "2012-12-31"),
    }
    return base | changes


def some_returns(seed=0, n=60):
    values = np.random.default_rng(seed).normal(0.001, 0.01, n)
    return pd.Series(values, index=pd.bdate_range("2010-01-01", periods=n))


def git(folder, *arguments):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


# ---------------------------------------------------------------- the count cannot be talked down


def a_book(seed=0, n=300):
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2015-01-01", periods=n)
    returns = pd.DataFrame(rng.normal(0.0003, 0.01, (n, 4)), dates, list("ABCD"))
    weights = pd.DataFrame(rng.normal(0, 0.2, (n, 4)), dates, list("ABCD"))
    return weights, returns


def test_rounding_leaves_no_record_and_a_change_does(tmp_path):
    ledger, x = v.Ledger(tmp_path / "l.jsonl"), some_returns(n=500)
    noise = pd.Series(np.random.default_rng(1).normal(0, x.std(), len(x)), x.index)
    for level in (1e-3, 1.0, 1e3):  # whatever the unit
        ledger.append(returns=x * level, **trial(parameters={"level": level}))
    before = ledger.path.read_bytes()
    for level in (1e-3, 1.0, 1e3):
        ledger.append(returns=(x + 3e-7 * noise) * level, **trial(parameters={"level": level}))
    assert ledger.path.read_bytes() == before and len(list((tmp_path / "returns").iterdir())) == 3
    ledger.append(returns=x + 1e-5 * noise, **trial(parameters={"level": 1.0}))
    assert len(ledger.table()) == 4 and ledger.count() == 3
    constant = some_returns() * 0 + 0.001
    ledger.append(returns=constant, **trial(parameters={"level": 0}))
    ledger.append(returns=constant * (1 + 2e-16), **trial(parameters={"level": 0}))
    assert len(ledger.table()) == 5 and ledger.verify().ok


def test_a_run_is_one_file_and_old_and_new_records_stand_side_by_side(tmp_path):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    old = ledger.append(returns=some_returns(0), **trial())
    batch = [trial(parameters={"a": a}, returns=some_returns(a, n=60 + a)) for a in range(2, 30)]
    batch += [trial(parameters={"a": 99}, returns=None, status="failed"), dict(batch[0])]
    ids = ledger.append_many(batch)
    assert len(set(ids)) == 29 and ids[-1] == ids[0]
    before = ledger.path.read_bytes()
    assert ledger.append_many(batch) == ids and ledger.path.read_bytes() == before
    assert len(list((tmp_path / "returns").iterdir())) == 2 and ledger.count() == 30
    wide = v.Ledger(ledger.path).returns()
    for a, key in zip(range(2, 30), ids):
        pd.testing.assert_series_equal(
            wide[key].dropna(),
            some_returns(a, n=60 + a),
            check_names=False,
            check_freq=False,
            check_index_type=False,
        )
    assert old in wide and ledger.verify().ok
    changed = [trial(parameters={"a": a}, returns=some_returns(a + 50)) for a in (2, 3)]
    ledger.append_many(changed)
    assert (
        ledger.table()["revision"].tolist()[-2:] == [2, 2]
        and len(list((tmp_path / "returns").iterdir())) == 3
    )
    good = ledger.path.read_bytes()
    with pytest.raises(SpecificationError, match="plain JSON"):
        ledger.append_many(
            [trial(returns=some_returns(70)), trial(returns=some_returns(71), universe=object())]
        )
    assert ledger.path.read_bytes() == good  # all are checked before the first is written
    for wrong in ("text", {"a": 1}, [1]):
        with pytest.raises(SpecificationError, match="`trials` must be a list of dicts"):
            ledger.append_many(wrong)
    (stored,) = [
        p for p in (tmp_path / "returns").iterdir() if p.stem == ledger.table()["returns"].iloc[5]
    ]
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + b"x")
    assert "was changed; restore" in ledger.verify().problems[0]
    stored.unlink()
    assert len(ledger.verify().problems) == 28


def test_a_batch_that_was_stopped_half_way_is_completed(tmp_path):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    batch = [trial(parameters={"a": a}, returns=some_returns(a)) for a in range(6)]
    ledger.append_many(batch)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    (stored,) = (tmp_path / "returns").iterdir()
    stored.rename(stored.with_name(stored.name + ".staged"))
    ledger.path.write_bytes(b"".join(lines[:3]) + lines[3][:50])
    half = v.Ledger(ledger.path)
    assert half.count() == 3 and half.returns().shape[1] == 3
    half.append_many(batch)
    assert half.count() == 6 and half.verify().ok and stored.exists()


def test_the_committed_ledger_still_verifies_and_has_its_count(tmp_path):
    import shutil

    from conftest import ROOT

    shutil.copytree(ROOT / "trials", tmp_path / "trials")
    ledger = v.Ledger(tmp_path / "trials" / "ledger.jsonl")
    check = ledger.verify_project()
    assert check.ok and not check.is_lower_bound, check.problems
    first = [json.loads(line) for line in ledger.path.read_text().splitlines()[:84]]
    assert first[83]["hash"] == "92f2599f3adb28975e72f446e1ffea5e4bcf50d26a2905d0768d76c1eb025d03"
    one = first[0]
    assert one["returns"] and "column" not in one
    assert len(ledger.load_returns(one["returns"])) == one["n_obs"]


def test_files_of_the_records_are_only_ever_added():
    """What git history once had under trials/ and handoff/ is still there, but for one bundle that
    was taken back early"""
    from conftest import ROOT

    run = lambda *a: subprocess.run(["git", "-C", str(ROOT), *a], capture_output=True, text=True)
    history = run(
        "log", "--format=", "--name-only", "--diff-filter=A", "--", "trials/returns", "handoff"
    )
    if history.returncode or run("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the whole git history is not here")
    names = {
        n
        for n in history.stdout.split()
        if "-cb6aca3ac5b8/" not in n and not n.endswith((".lock", ".staged"))
    }
    lost = sorted(n for n in names if not (ROOT / n).exists())
    assert names and not lost, f"append-only files are gone: {lost[:3]}"


def test_one_count_over_all_ledgers_families_and_texts(tmp_path):
    ledger, other = v.Ledger(tmp_path / "ledger.jsonl"), v.Ledger(tmp_path / "factors.jsonl")
    grid = lambda **c: [trial(parameters={"a": a}, returns=some_returns(a), **c) for a in range(20)]
    ledger.append_many(grid(family="f"))
    assert ledger.count() == ledger.count("f") == 20
    for text in ("u again", "another text"):
        ledger.append_many(grid(family="f", universe=text))
    ledger.append_many(grid(family="renamed"))
    assert ledger.count() == 20 and ledger.count("f") == 20 and ledger.count("renamed") == 20
    assert ledger.count(scope="current") == 20 and len(ledger.table()) == 80
    other.append(returns=some_returns(100), **trial(family="learned"))
    other.append(returns=some_returns(101), **trial(family=None))
    assert ledger.count() == other.count() == len(ledger.tries()) == 22
    assert (ledger.count("f"), ledger.count("learned"), ledger.count("unassigned")) == (21, 2, 1)
    assert len(ledger.tries(data_md5="d", window=["2010-01-01", "2012-12-31"])) == 22
    assert ledger.tries(data_md5="other").empty
    (tmp_path / "notes.jsonl").write_text('{"a": 1}\n')  # no ledger
    assert ledger.count() == 22
    for ask in (ledger.count, ledger.table, ledger.returns, ledger.tries):
        with pytest.raises(
            SpecificationError, match="'momentun'; the ledger knows f, learned, renamed, unassigned"
        ):
            ask("momentun")


def test_the_same_book_has_one_deflated_ratio_whatever_the_grid_shows(tmp_path):
    "Dropping the losers from params.yaml changes nothing: the columns are what the ledger holds"
    from quantlab.review import evaluate_gate

    rng = np.random.default_rng(5)
    common, dates = rng.normal(0, 0.006, 1000), pd.bdate_range("2012-01-02", periods=1000)
    edge = np.linspace(-0.0006, 0.0006, 20)
    books = {
        f"book {i}": pd.Series(common + rng.normal(m, 0.004, 1000), dates)
        for i, m in enumerate(edge)
    }
    window = {"start": str(dates[0].date()), "end": str(dates[-1].date())}
    on = {"universe": "u", "data_md5": "d", "window": window}
    ledger = v.Ledger(tmp_path / "ledger.jsonl")
    ledger.append_many(
        [
            {"family": "f", "strategy": k, "parameters": {}, "returns": x, **on}
            for k, x in books.items()
        ]
    )

    def deflated(grid, n_resamples=500):
        ids = ledger.append_many(
            [
                {"family": "f", "strategy": k, "parameters": {}, "returns": books[k], **on}
                for k in grid
            ]
        )
        every = ledger.tried_returns(data_md5="d", window=window, prefer=ids)
        best = max(ids, key=lambda k: every[k].mean() / every[k].std())
        gate = evaluate_gate(
            every,
            selected=best,
            n_trials=ledger.count(),
            periods_per_year=252,
            n_resamples=n_resamples,
        )
        return (
            gate.criteria.loc["deflated_sharpe_ratio", "value"],
            gate.n_trials,
            gate.n_trials_on_data,
        )

    whole = deflated(books)
    few = deflated([f"book {i}" for i in range(15, 20)])
    assert whole == few and whole[1:] == (20, 20)
    # the siblings alone, and the rest counted as what it might be: independent
    shown = pd.DataFrame({k: books[k] for k in list(books)[15:]})
    best = (shown.mean() / shown.std()).idxmax()
    ask = {"selected": best, "periods_per_year": 252, "n_resamples": 500}
    assert evaluate_gate(shown, n_trials=20, **ask).deflated_sharpe_ratio <= whole[0] + 0.02


def test_tried_returns_hold_revisions_and_let_the_current_record_stand(tmp_path):
    ledger, where = (
        v.Ledger(tmp_path / "l.jsonl"),
        {"data_md5": "d", "window": ["2010-01-01", "2012-12-31"]},
    )
    x = some_returns(0)
    one = ledger.append(returns=x, **trial())
    ledger.append(returns=x * (1 + 1e-4), **trial())  # restated: the latest stands for the try
    assert list(ledger.tried_returns(**where)) == [one]
    np.testing.assert_allclose(ledger.tried_returns(**where)[one], x * (1 + 1e-4), rtol=1e-12)
    ledger.append(returns=some_returns(1), **trial())
    two = ledger.append(returns=some_returns(1), **trial(universe="v"))
    assert list(ledger.tried_returns(**where)) == [f"{one}/2", one]
    assert list(ledger.tried_returns(**where, prefer=[two])) == [one, two]
    ledger.append(returns=some_returns(2), **trial(parameters={"a": 2}, data_md5="later"))
    ledger.append(returns=None, status="failed", **trial(parameters={"a": 3}))
    assert ledger.tried_returns(**where).shape[1] == 2 and ledger.count() == 4


def test_every_way_to_run_a_backtest_is_counted(tmp_path):
    from concurrent.futures import ThreadPoolExecutor
    from threading import Thread

    from quantlab.backtest import parameter_surface, run_backtest, run_backtests, sweep_returns

    weights, returns = a_book()
    books = {k: weights * k for k in (0.5, 1.5, 2.0)}

    def counted(work):
        ledger = v.Ledger(tmp_path / f"{len(list(tmp_path.iterdir()))}" / "ledger.jsonl")
        for _ in range(2):  # again adds nothing
            with v.open_trials("f", hypothesis="h", path=ledger.path):
                work(ledger)
        assert ledger.verify().ok
        return ledger.count()

    assert counted(lambda _: run_backtest(weights, returns)) == 1
    assert counted(lambda _: run_backtests(books, returns)) == 3
    assert counted(lambda _: sweep_returns(books, returns)) == 3
    assert counted(lambda _: sweep_returns(weights, returns["A"])) == 4
    surface = lambda _: parameter_surface(
        lambda k: weights * k, returns, grid={"k": [0.5, 1.0, 1.5]}, centre={"k": 1.0}
    )
    assert counted(surface) == 3
    named = lambda _: parameter_surface(
        lambda f: f(weights), returns, grid={"f": [np.abs, np.negative]}, centre={"f": np.abs}
    )
    assert counted(named) == 2

    def threads(_):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda k: run_backtest(books[k], returns), books))
        thread = Thread(target=run_backtest, args=(weights, returns))
        thread.start()
        thread.join()

    assert counted(threads) == 4

    def nested(_):
        with v.open_trials("g", hypothesis="elsewhere", path=tmp_path / "hidden" / "ledger.jsonl"):
            run_backtest(weights, returns)

    assert counted(nested) == 1

    def inside(ledger):  # a second ledger of the same project takes the run over
        with v.open_trials("g", hypothesis="beside", path=ledger.path.with_name("other.jsonl")):
            run_backtest(weights, returns)

    assert counted(inside) == 1
    assert run_backtest(weights, returns).recorded is False
    assert not run_backtest(weights, returns).summary()[
        "recorded as a trial (run inside open_trials)"
    ]
    assert "QUANTLAB_OPEN_TRIALS" not in os.environ or os.environ["QUANTLAB_OPEN_TRIALS"] == "[]"


def run_in_a_process(k):
    from quantlab.backtest import run_backtest

    weights, returns = a_book()
    return run_backtest(weights * k, returns).recorded


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_runs_of_other_processes_are_counted(tmp_path, how):
    from multiprocessing import get_context

    ledger = v.Ledger(tmp_path / "ledger.jsonl")
    with v.open_trials("f", hypothesis="h", path=ledger.path), get_context(how).Pool(1) as pool:
        assert pool.map(run_in_a_process, [0.5, 1.0, 2.0]) == [True] * 3
    assert ledger.count() == 3 and ledger.table()["strategy"].unique().tolist() == [
        "(run without a name)"
    ]


def test_a_run_with_other_last_digits_is_the_run_on_file(tmp_path):
    "An unnamed run is known by what it earned: its weights' hash is another one on another machine"
    from quantlab.backtest import run_backtest

    weights, returns = a_book()
    for scale in (1, 1 + 1e-13):
        with v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"):
            run_backtest(weights * scale, returns)
    assert v.Ledger(tmp_path / "l.jsonl").count() == 1


def test_openings_of_overlapping_holdouts_are_counted_over_the_project(tmp_path):
    one, other = v.Ledger(tmp_path / "openings.jsonl"), v.Ledger(tmp_path / "more.jsonl")
    look = {"family": "f", "trial_id": "t", "reason": "look", "data_md5": "d"}
    holdout = {"start": "2015-07-01", "end": "end of the data"}
    for ledger, strategy in ((one, "a"), (one, "a"), (other, "b")):
        ledger.open_holdout(strategy=strategy, window=holdout, **look)
    early = ("2005-01-03", "2006-12-29")
    other.open_holdout(strategy="c", window=early, **look)
    for ledger in (one, other, v.Ledger(tmp_path / "ledger.jsonl")):
        assert ledger.count_openings(holdout) == 3  # an end in words overlaps with everything
        assert ledger.count_openings(("2005-06-01", "2005-06-30")) == 3
    assert v.Ledger(tmp_path / "x" / "ledger.jsonl").count_openings(holdout) == 0


def test_an_objection_is_no_approval():
    from quantlab.review import evaluate_gate
    from quantlab.review.criteria import PRECONDITIONS

    trials = pd.DataFrame(
        np.random.default_rng(0).normal(0.002, 0.01, (800, 3)),
        pd.bdate_range("2012-01-02", periods=800),
    )
    ask = {
        "selected": 0,
        "n_trials": 3,
        "periods_per_year": 252,
        "thresholds": dict.fromkeys(PRECONDITIONS),
        "n_resamples": 500,
    }
    assert evaluate_gate(trials, **ask).verdict == "unconfirmed"
    gate = evaluate_gate(trials, **ask, objections=["The count is a lower bound."])
    assert (
        gate.verdict == "rejected"
        and not gate.failed
        and "The count is a lower bound." in gate.sentence()
    )
    assert gate.to_metrics()["objections"] == ["The count is a lower bound."]
    with pytest.raises(SpecificationError, match="`objections` must be a list of sentences"):
        evaluate_gate(trials, **ask, objections="no")


# ---------------------------------------------------------------- a file as other machines leave it


def spoiled(ledger, **changes):
    "The last record with other fields, sealed anew"
    from quantlab.ledger.chain import seal

    lines = ledger.path.read_bytes().splitlines(keepends=True)
    record = {k: v for k, v in json.loads(lines[-1]).items() if k != "hash"} | changes
    return b"".join(lines[:-1]) + seal({k: v for k, v in record.items() if v is not ...})


def test_a_whole_record_without_its_newline_is_kept(tmp_path):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    for a in (1, 2):
        ledger.append(returns=some_returns(a), **trial(parameters={"a": a}))
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-1])
    again = v.Ledger(ledger.path)
    assert (
        again.count() == 2
        and again.verify().ok
        and "lacks only its newline" in again.verify().notes[0]
    )
    again.append(returns=some_returns(3), **trial(parameters={"a": 3}))
    assert again.path.read_bytes().startswith(whole) and again.count() == 3
    assert not again._chain.torn_path.exists() and again.verify().ok


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
def test_converted_line_ends_are_refused(tmp_path, end):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    ledger.append(returns=some_returns(), **trial())
    converted = ledger.path.read_bytes().replace(b"\n", end)
    ledger.path.write_bytes(converted)
    again = v.Ledger(ledger.path)
    for ask in (
        again.count,
        again.table,
        lambda: again.append(returns=some_returns(1), **trial()),
        lambda: again.declare_gap(reason="r"),
    ):
        with pytest.raises(LedgerError, match="line ends of l.jsonl were changed"):
            ask()
    assert ledger.path.read_bytes() == converted and not again.verify().ok


@pytest.mark.parametrize(
    "changes",
    [
        {"family": ...},
        {"returns": ...},
        {"returns": 7},
        {"revision": "x"},
        {"sharpe": "high"},
        {"status": None},
        {"id": ...},
        {"universe": ...},
    ],
)
def test_a_record_without_its_fields_is_a_sentence(tmp_path, changes):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    ledger.append(returns=some_returns(), **trial())
    ledger.path.write_bytes(spoiled(ledger, **changes))
    again = v.Ledger(ledger.path)
    (name,) = changes
    assert f"it is a trial without a proper `{name}`" in again.verify().problems[0]
    for ask in (
        again.count,
        again.table,
        again.returns,
        lambda: again.append(returns=some_returns(1), **trial()),
    ):
        with pytest.raises(LedgerError, match="line 1"):
            ask()


def test_deep_json_and_full_disks_are_sentences(tmp_path, monkeypatch):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    ledger.append(returns=some_returns(), **trial())
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SpecificationError, match="nested too deeply"):
        ledger.append(returns=some_returns(), **trial(parameters={"a": deep}))
    good = ledger.path.read_bytes()
    ledger.path.write_bytes(good + b"[" * 100_000 + b"\n")
    assert "line 2 cannot be read" in v.Ledger(ledger.path).verify().problems[0]
    ledger.path.write_bytes(good)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quantlab.storage.write_all", full)
    with pytest.raises(LedgerError, match="No space left on device.*not on file"):
        v.Ledger(ledger.path).append(returns=some_returns(1), **trial(parameters={"a": 2}))
    monkeypatch.undo()
    assert ledger.path.read_bytes() == good


def test_moments_do_not_depend_on_the_unit(tmp_path):
    from quantlab.ledger.record import moments

    x = some_returns(n=200).to_numpy()
    for power in (-900, 0, 900):
        assert moments(x * 2.0**power) == moments(x)


def test_what_git_cannot_show_is_said(tmp_path, monkeypatch, capsys):
    from quantlab.cli import main

    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q")
    (project / "dvc.yaml").write_text("stages: {}\n")
    ledger = v.Ledger(project / "trials" / "ledger.jsonl")
    for a in range(3):
        ledger.append(returns=some_returns(a), **trial(parameters={"a": a}))
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", f"trial {a}")
    assert ledger.verify().unseen == [] and ledger.verify().sentence() == "In order."
    monkeypatch.chdir(project)
    assert main(["trials", "verify"]) == 0
    assert capsys.readouterr().out == "3 trials, 0 problems. In order.\n"
    git(tmp_path, "clone", "-q", "--depth", "1", project.as_uri(), "shallow")
    shallow = v.Ledger(tmp_path / "shallow" / "trials" / "ledger.jsonl").verify()
    assert (
        shallow.ok
        and "shallow clone" in shallow.unseen[0]
        and "as far as could be seen" in shallow.sentence()
    )
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        check = ledger.verify()
        assert check.ok and "git was not found" in check.unseen[0] and check.notes == check.unseen
        assert main(["trials", "verify"]) == 0
        out = capsys.readouterr().out
        assert (
            "note: git was not found on the PATH" in out
            and "3 trials, 0 problems. In order as far as could be seen." in out
        )
    with monkeypatch.context() as patch:
        patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        assert "another user" in ledger.verify().unseen[0]
    (project / "trials" / "factors.jsonl").write_bytes(ledger.path.read_bytes())
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "a second ledger")
    (project / "trials" / "factors.jsonl").unlink()
    assert main(["trials", "verify"]) == 1
    assert "factors.jsonl: the file is gone" in capsys.readouterr().out


def test_a_declared_gap_is_printed_by_the_command(tmp_path, monkeypatch, capsys):
    from quantlab.cli import main

    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    ledger = v.Ledger(tmp_path / "trials" / "ledger.jsonl")
    for a in range(3):
        ledger.append(returns=some_returns(a), **trial(parameters={"a": a}))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(lines[0] + lines[2])
    v.Ledger(ledger.path).declare_gap(reason="losers were in the way")
    monkeypatch.chdir(tmp_path)
    for action in ("verify", "show"):
        assert main(["trials", action]) == 0
        out = capsys.readouterr().out
        assert (
            "note: declared gap: losers were in the way" in out
            and "a lower bound is not an approval" in out
        )


def test_a_reader_that_leaves_is_no_fault(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    ledger = v.Ledger(tmp_path / "trials" / "ledger.jsonl")
    ledger.append_many([trial(parameters={"a": a}, returns=some_returns(a)) for a in range(300)])
    code = 'import sys; from quantlab.cli import main; sys.exit(main(["trials", "show"]))'
    call = f"{sys.executable} -c '{code}' | head -1"
    done = subprocess.run(
        call,
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0 and done.stderr == "" and done.stdout


def test_the_record_cannot_be_put_elsewhere():
    from conftest import ROOT

    from quantlab.errors import PipelineError
    from quantlab.pipeline import read_params, resolve_parameters

    sections = read_params(ROOT / "params.yaml")
    for stage, name in (
        ("06_backtest_candidates", "ledger"),
        ("07_validate", "ledger"),
        ("08_confirm_holdout", "openings"),
    ):
        with pytest.raises(PipelineError, match="is the record of what was tried"):
            resolve_parameters(
                ROOT / f"nbs/stages/{stage}.ipynb", sections, {name: "/tmp/elsewhere.jsonl"}
            )


def test_a_window_of_a_run_that_was_recorded_by_name_is_one_try(tmp_path):
    ledger = v.Ledger(tmp_path / "ledger.jsonl")
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=120)
    market = pd.DataFrame(rng.normal(0, 0.01, (120, 3)), days, list("abc"))
    with v.open_trials("f", hypothesis="none", path=ledger.path) as trials:
        for k in range(3):
            weights = pd.DataFrame(0.0, days, list("abc"))
            weights.iloc[20:, k] = 1.0
            run = run_backtest(weights, market).returns
            trials.record(strategy=f"s{k}", parameters={}, returns=run.loc[days[30] :])
    assert ledger.count() == 3


def test_one_recorded_window_hides_one_run_only(tmp_path):
    ledger = v.Ledger(tmp_path / "ledger.jsonl")
    days = pd.bdate_range("2020-01-01", periods=120)
    market = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (120, 3)), days, list("abc"))
    with v.open_trials("f", hypothesis="none", path=ledger.path) as trials:
        for k in range(3):  # alike in the window that is recorded, different after it
            weights = pd.DataFrame(0.0, days, list("abc"))
            weights.iloc[:60, 0] = 1.0
            weights.iloc[60:, k] = 1.0
            run = run_backtest(weights, market).returns
        trials.record(strategy="shown", parameters={}, returns=run.iloc[:50])
    assert ledger.count() == 3


# ---------------------------------------------------------------- runs that were made and then lost


KILLED = """
import os, sys
sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]
from test_ledger import a_book
from quantlab.backtest import run_backtest
from quantlab.validation import open_trials
weights, returns = a_book()
with open_trials("f", hypothesis="h", path=sys.argv[2], universe="u", note="seen"):
    for k in (0.5, 1.0, 2.0):
        run_backtest(weights * k, returns)
    os._exit(9)
"""


def test_runs_of_a_process_that_was_killed_are_counted(tmp_path):
    "Look at the result, restart the kernel: the tries stay"
    ledger = v.Ledger(tmp_path / "trials" / "ledger.jsonl")
    code = [sys.executable, "-c", KILLED, os.path.dirname(__file__), str(ledger.path)]
    assert subprocess.run(code, capture_output=True).returncode == 9
    assert (
        "3 runs of an open_trials whose process was killed are not recorded yet"
        in ledger.verify().problems[0]
    )
    (left,) = ledger.path.parent.glob(".open-*")
    (runs,) = left.glob("*.runs")
    with open(runs, "ab") as file:
        file.write(b'{"parameters": {')  # torn by the kill
    ledger.append(returns=some_returns(), **trial())  # whoever writes next records them
    assert ledger.count() == 4 and ledger.verify().ok and not left.exists()
    table = ledger.table()
    assert set(table["note"].iloc[:3]) == {
        "seen; recorded later: the process that ran it was stopped before it could"
    }
    assert table["universe"].iloc[0] == "u" and table["hypothesis"].iloc[0] == "h"
    weights, returns = a_book()
    with v.open_trials("f", hypothesis="h", path=ledger.path):
        run_backtest(weights, returns)
    assert ledger.count() == 4


def test_what_is_open_elsewhere_is_not_taken_for_left_behind(tmp_path):
    weights, returns = a_book()
    path = tmp_path / "ledger.jsonl"
    with v.open_trials("f", hypothesis="h", path=path):
        run_backtest(weights, returns)
        assert (
            v.Ledger(path).verify().ok
            and v.Ledger(path).recover() == 0
            and v.Ledger(path).count() == 0
        )
        with v.open_trials("g", hypothesis="h", path=path):
            run_backtest(2 * weights, returns)
        assert v.Ledger(path).count() == 1
    assert v.Ledger(path).count() == 2 and [p.name for p in tmp_path.glob(".open-*")] == []


def test_one_run_that_cannot_be_stored_does_not_take_the_others_with_it(tmp_path):
    weights, returns = a_book()
    path = tmp_path / "ledger.jsonl"
    far = pd.date_range("1500-01-01", periods=len(returns), unit="s")
    with v.open_trials("f", hypothesis="h", path=path):
        for k in (0.5, 1.0):
            run_backtest(weights * k, returns)
        run_backtest((3 * weights).reset_index(drop=True), returns.reset_index(drop=True))
        run_backtest((4 * weights).set_axis(far), returns.set_axis(far))
    table = v.Ledger(path).table()
    assert v.Ledger(path).count() == 4 and table["status"].tolist() == [
        "complete",
        "complete",
        "failed",
        "failed",
    ]
    assert (
        table["note"].str.contains("could not be stored").sum() == 2 and v.Ledger(path).verify().ok
    )
    with pytest.raises(DataError, match="dates lie between 1677 and 2262"):
        v.Ledger(path).append(returns=some_returns().set_axis(far[:60]), **trial())


def test_a_surface_over_what_has_no_plain_form_is_counted(tmp_path):
    from quantlab.backtest import parameter_surface

    weights, returns = a_book()
    with v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"):
        parameter_surface(
            lambda stop: weights * min(stop, 2.0),
            returns,
            grid={"stop": [1.0, np.inf]},
            centre={"stop": 1.0},
        )
    assert v.Ledger(tmp_path / "l.jsonl").count() == 2


@pytest.mark.parametrize("text", [None, "5", "[5]", "not json", '[["a", 5]]'])
def test_the_environment_hides_no_run(tmp_path, monkeypatch, text):
    weights, returns = a_book()
    monkeypatch.setenv("QUANTLAB_OPEN_TRIALS", "[]")
    with v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"):
        monkeypatch.delenv("QUANTLAB_OPEN_TRIALS") if text is None else monkeypatch.setenv(
            "QUANTLAB_OPEN_TRIALS", text
        )
        assert run_backtest(weights, returns).recorded
    assert v.Ledger(tmp_path / "l.jsonl").count() == 1


def test_a_thread_that_outlives_its_trials_is_told_so(tmp_path):
    from threading import Event, Thread

    weights, returns = a_book()
    late, told = Event(), []
    thread = Thread(
        target=lambda: (late.wait(), told.append(run_backtest(weights, returns).recorded))
    )
    with v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"):
        thread.start()
    late.set()
    thread.join()
    assert told == [False]


def test_a_folder_of_runs_that_was_removed_is_an_error(tmp_path):
    import shutil

    weights, returns = a_book()
    with (
        pytest.raises(LedgerError, match="was removed: they are not on file"),
        v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"),
    ):
        run_backtest(weights, returns)
        shutil.rmtree(next(tmp_path.glob(".open-*")))  # as `git clean -fdx` does


def test_placebo_worlds_are_no_tries(tmp_path):
    from quantlab.backtest import sweep_returns
    from quantlab.review import placebo_false_pass_rate

    weights, returns = a_book()
    books = {k: weights * k for k in (0.5, 1.0)}
    for n_jobs in (1, 2):
        with v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"):
            sweep_returns(books, returns)
            placebo_false_pass_rate(
                lambda world: sweep_returns(books, world),
                returns,
                n_worlds=2,
                block_length=5,
                seed=0,
                n_jobs=n_jobs,
                periods_per_year=252,
                n_resamples=100,
            )
            run_backtest(3 * weights, returns)
    assert v.Ledger(tmp_path / "l.jsonl").count() == 3


def test_the_default_ledger_is_the_projects(tmp_path, monkeypatch):
    "A folder `trials` further down hides nothing"
    from quantlab.ledger.watch import default_ledger_path

    (tmp_path / "nbs" / "trials").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "nbs")
    assert default_ledger_path() == tmp_path / "nbs" / "trials" / "ledger.jsonl"
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert default_ledger_path() == tmp_path / "trials" / "ledger.jsonl"


def test_losers_cannot_be_hidden_from_the_columns(tmp_path):
    """Called failed, or with the window written another way, they are still among the tries with
    returns"""
    ledger, where = (
        v.Ledger(tmp_path / "l.jsonl"),
        {"data_md5": "d", "window": ["2010-01-01", "2012-12-31"]},
    )
    ledger.append(returns=some_returns(1), **trial())
    ledger.append(returns=some_returns(2), status="failed", **trial(parameters={"a": 2}))
    ledger.append(
        returns=some_returns(3),
        **trial(parameters={"a": 3}, window={"start": "2010-01-01", "end": "2012-12-31"}),
    )
    stamps = pd.DatetimeIndex(["2010-01-01", "2012-12-31"]).as_unit("ns").values
    ledger.append(returns=some_returns(4), **trial(parameters={"a": 4}, window=tuple(stamps)))
    for window in (where["window"], {"start": "2010-01-01", "end": "2012-12-31"}, tuple(stamps)):
        assert ledger.tried_returns(data_md5="d", window=window).shape == (60, 4)
    assert (
        len(ledger.tries(**where)) == 4 and ledger.tried_returns(data_md5="d", window="all").empty
    )
    days = some_returns().index
    ledger.append(returns=some_returns(5).iloc[1:], **trial(parameters={"a": 5}))  # a day short
    every = ledger.tried_returns(**where, days=days)
    assert every.shape == (60, 5) and every.notna().all(axis=None) and every.iloc[0, -1] == 0.0
    assert ledger.tried_returns(data_md5="none", window="all", days=days).shape == (60, 0)


def test_a_second_ledger_that_was_removed_in_a_commit_is_missed(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    ledger, second = (
        v.Ledger(project / "trials" / name) for name in ("ledger.jsonl", "second.jsonl")
    )
    ledger.append(returns=some_returns(0), **trial())
    for a in (1, 2):
        second.append(returns=some_returns(a), **trial(parameters={"a": a + 1}))
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "two ledgers")
    assert ledger.count() == 3 and ledger.verify_project().ok
    named = ledger.path.read_text()
    for file in [
        second.path,
        *(p for p in (project / "trials" / "returns").iterdir() if p.stem not in named),
    ]:
        file.unlink()
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "tidy up")
    check = v.Ledger(ledger.path).verify_project()
    assert (
        check.is_lower_bound and "second.jsonl: the file is gone since commit" in check.problems[0]
    )


def test_a_ledger_that_a_merged_branch_lost_is_missed(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    (project / "README").write_text("")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "begin")
    git(project, "checkout", "-q", "-b", "side")
    ledger = v.Ledger(project / "trials" / "ledger.jsonl")
    ledger.append(returns=some_returns(0), **trial())
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "tried")
    git(project, "rm", "-q", "-r", "trials")
    git(project, "commit", "-q", "-m", "tidy up")
    git(project, "checkout", "-q", "main")
    git(project, "merge", "-q", "--no-ff", "-m", "merge", "side")
    v.Ledger(ledger.path).append(returns=some_returns(5), **trial(parameters={"a": 5}))
    assert "on a branch that was merged without it" in v.Ledger(ledger.path).verify().problems[0]


@pytest.mark.parametrize(
    "value",
    [
        {1, "a"},
        "\ud800",
        np.ma.masked,
        np.ma.masked_array([1, 2], [1, 0]),
        np.datetime64("NaT"),
        np.timedelta64(3, "ns"),
        pd.Series([1, 2], ["a", "a"]),
    ],
)
def test_what_has_no_one_plain_form_is_refused(tmp_path, value):
    with pytest.raises(SpecificationError, match="no plain JSON form"):
        v.Ledger(tmp_path / "l.jsonl").append(
            returns=some_returns(), **trial(parameters={"a": value})
        )
    if isinstance(value, str):
        with pytest.raises(SpecificationError, match="no plain JSON form"):
            v.Ledger(tmp_path / "l.jsonl").append(returns=some_returns(), **trial(family=value))


def test_a_day_is_one_day_in_every_unit(tmp_path):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    days = [np.datetime64("2020-01-01", unit) for unit in ("D", "us", "ns")] + [
        "2020-01-01",
        pd.Timestamp("2020-01-01"),
    ]
    assert (
        len(
            {
                ledger.append(
                    returns=some_returns(), **trial(parameters={"day": day, "n": np.array(3)})
                )
                for day in days
            }
        )
        == 1
    )


def test_a_run_that_found_no_room_is_said_and_the_next_is_counted(tmp_path):
    import resource
    import signal

    from quantlab.errors import StorageError

    weights, returns = a_book()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with v.open_trials("f", hypothesis="h", path=tmp_path / "l.jsonl"):
            run_backtest(weights, returns)
            (runs,) = tmp_path.glob(".open-*/*.runs")
            resource.setrlimit(resource.RLIMIT_FSIZE, (runs.stat().st_size + 100, hard))
            with pytest.raises(StorageError, match="cannot be written: No space left"):
                run_backtest(2 * weights, returns)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            run_backtest(3 * weights, returns)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert (
        v.Ledger(tmp_path / "l.jsonl").count() == 2 and v.Ledger(tmp_path / "l.jsonl").verify().ok
    )


def test_a_path_that_is_none_is_a_sentence(tmp_path, capsys):
    from quantlab.cli import main

    assert main(["trials", "verify", "--ledger", "a\0b"]) == 1
    (tmp_path / "x.ipynb").write_text('{"nbformat": 1}')
    assert main(["run", str(tmp_path / "x.ipynb")]) == 1
    assert (
        "a ledger is a file" in (said := capsys.readouterr().err) and "not a whole notebook" in said
    )


def test_a_sample_that_reaches_into_an_opened_holdout_is_seen(tmp_path):
    "Look at the holdout, then move its start"
    book, openings = v.Ledger(tmp_path / "ledger.jsonl"), v.Ledger(tmp_path / "openings.jsonl")
    sample = {"start": "2009-01-08", "end": "2015-06-30"}
    assert book.opened_within(sample) == []
    for start in ("2015-07-01", "2012-01-02"):
        window = {"start": start, "end": "end of the data"}
        openings.open_holdout(
            family="f", strategy="s", trial_id="t", reason="first look", window=window, data_md5="d"
        )
    assert (
        book.opened_within(sample)
        == ["2012-01-02"]
        == openings.opened_within(list(sample.values()))
    )
    assert book.opened_within(sample | {"end": "2016-06-30"}) == ["2012-01-02", "2015-07-01"]
    for wrong in ("all", None, {"start": "2009-01-08"}):
        with pytest.raises(SpecificationError, match="`window` must have a first and a last day"):
            book.opened_within(wrong)


@pytest.mark.parametrize("name", ["f\x1b[1A\x1b[2K", "f\u202e", "f\ng", "f\x08"])
def test_a_name_shows_as_it_is(tmp_path, name):
    for field in ("family", "strategy"):
        with pytest.raises(SpecificationError, match=f"`{field}` must be of printable characters"):
            v.Ledger(tmp_path / "l.jsonl").append(returns=some_returns(), **trial(**{field: name}))
    v.Ledger(tmp_path / "l.jsonl").append(
        returns=some_returns(), **trial(family="Kreuzwertung über Märkte", strategy="a b, c (5 %)")
    )


def test_a_note_of_a_run_that_cannot_be_read_is_a_sentence(tmp_path):
    left = tmp_path / ".open-abc"
    left.mkdir()
    (left / "about.json").write_text(
        json.dumps({"ledger": "l.jsonl", "family": "f", "hypothesis": "h", "defaults": {}})
    )
    (left / "1.runs").write_text("{}\n")
    ledger = v.Ledger(tmp_path / "l.jsonl")
    assert "line 1 of .open-abc/1.runs" in ledger.verify().problems[0]
    with pytest.raises(LedgerError, match="cannot be read; mend that file"):
        ledger.append(returns=some_returns(), **trial())
    (left / "about.json").write_text('{"ledger": "l.jsonl"}')  # nobody's
    assert ledger.append(returns=some_returns(), **trial()) and ledger.verify().ok


def test_a_plan_is_not_fresh_because_a_date_is_written_another_way(tmp_path):
    ledger = v.Ledger(tmp_path / "ledger.jsonl")
    ledger.plan({"thresholds": {"a": 1}, "window": ["2010-01-01", "2011-12-31"]})
    for window in (
        ["31.12.2009", "01.01.2012"],
        ["9/9/2010", "9/9/2011"],
        {"start": "Jan 2011", "end": "Feb 2011"},
    ):
        with pytest.raises(LedgerError, match="two plans that overlap"):
            ledger.plan({"thresholds": {"a": 2}, "window": window})


def test_only_ledgers_are_merged(tmp_path):
    ledger = v.Ledger(tmp_path / "l.jsonl")
    for pair in ((ledger, "x"), (None, ledger)):
        with pytest.raises(SpecificationError, match="must be a Ledger"):
            v.merge_ledgers(*pair)


def test_no_subset_of_the_grid_and_no_other_name_moves_the_ratio_or_the_count(tmp_path):
    from quantlab.review import evaluate_gate

    rng, dates = np.random.default_rng(7), pd.bdate_range("2012-01-02", periods=500)
    common = rng.normal(0, 0.006, 500)
    books = {
        f"b{i}": pd.Series(common + rng.normal(i * 1e-4, 0.006, 500), dates) for i in range(10)
    }
    window = {"start": str(dates[0].date()), "end": str(dates[-1].date())}
    best = max(books, key=lambda k: books[k].mean() / books[k].std())
    ledger = v.Ledger(tmp_path / "ledger.jsonl")
    record = lambda k, **c: (
        {
            "family": "f",
            "strategy": k,
            "parameters": {},
            "returns": books[k],
            "universe": "u",
            "data_md5": "d",
            "window": window,
        }
        | c
    )

    def judged(grid):
        ids = ledger.append_many([record(k) for k in grid])
        every = ledger.tried_returns(data_md5="d", window=window, prefer=ids, days=dates)
        gate = evaluate_gate(
            every,
            selected=ids[list(grid).index(best)],
            n_trials=ledger.count(),
            periods_per_year=252,
            n_resamples=500,
        )
        return (
            gate.criteria.loc["deflated_sharpe_ratio", "value"],
            gate.n_trials,
            gate.n_trials_on_data,
        )

    whole = judged(books)
    for _ in range(8):
        some = [
            best,
            *rng.choice([k for k in books if k != best], rng.integers(0, 9), replace=False),
        ]
        assert judged(some) == pytest.approx(whole, rel=1e-12)
        other = {
            "family": rng.choice(["g", "h"]).item(),
            "universe": "v",
            "window": list(window.values()),
        }
        ledger.append_many([record(k, **other) for k in some])  # the same books by other names
        assert judged(some) == pytest.approx(whole, rel=1e-12)
