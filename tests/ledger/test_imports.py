"""Attempts made in Optuna, in MLflow or in a table of returns: none is lost on the way in, none is
counted twice, and what cannot be read leaves the ledger as it was."""

import logging
import os
import sqlite3
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.cli import main
from quantlab.errors import DataError, MissingDataError, QuantlabError, SpecificationError
from quantlab.ledger import (
    Ledger,
    import_trials,
    trials_from_csv,
    trials_from_mlflow,
    trials_from_optuna,
)
from quantlab.ledger.trackers import find_source

DATES = pd.bdate_range("2015-01-01", periods=60, name="date")
WINDOW = (DATES[0], DATES[-1])


def returns_of(seed, n=60):
    return pd.Series(np.random.default_rng(seed).normal(0.001, 0.01, n), DATES[:n], name="returns")


def write_table(path, **columns):
    pd.DataFrame(columns, index=DATES).to_csv(path)
    return path


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "trials" / "ledger.jsonl")


# ------------------------------------------------------------------------------------------- CSV


def test_a_table_comes_in_whole_and_once(tmp_path, ledger):
    x = {i: returns_of(i) for i in range(3)}
    path = write_table(
        tmp_path / "tried.csv", full=x[0], short=x[1][:20], late=x[2][10:], one=x[0][3:4], none=None
    )
    trials = trials_from_csv(path, family="f")
    by_name = {t["parameters"]["column"]: t for t in trials}
    status = {name: t["status"] for name, t in by_name.items()}
    assert status == {
        "full": "complete",
        "short": "abandoned",
        "late": "complete",
        "one": "abandoned",
        "none": "failed",
    }
    assert by_name["one"]["returns"] is None and by_name["none"]["returns"] is None
    assert {t["window"] for t in trials} == {WINDOW}
    done = import_trials(ledger, trials)
    assert done.to_dict() == {"n_read": 5, "n_added": 5, "n_known": 0, "n_without_returns": 2}
    assert "5 added" in done.sentence() and done.summary()["attempts read"] == 5
    assert ledger.count() == ledger.count("f") == ledger.count("f", scope="current") == 5
    kept = ledger.tried_returns(data_md5="unspecified", window=WINDOW)
    assert kept.shape == (60, 3)  # the one that was given up stands beside the others
    pd.testing.assert_series_equal(
        kept[ledger.tries().set_index("strategy")["id"]["tried.csv: full"]],
        x[0],
        check_names=False,
        check_freq=False,
        check_index_type=False,
    )
    before = ledger.path.read_bytes()
    again = import_trials(ledger, trials_from_csv(path, family="f"))
    assert (again.n_added, again.n_known) == (0, 5) and ledger.path.read_bytes() == before
    assert ledger.verify().ok


def test_no_note_tells_where_the_file_was(tmp_path, ledger):
    import_trials(
        ledger, trials_from_csv(write_table(tmp_path / "a.csv", x=returns_of(0)), family="f")
    )
    assert str(tmp_path) not in ledger.path.read_text()
    assert ledger.table()["note"][0].startswith("imported from a.csv: ")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 60)), min_size=1, max_size=8))
def test_every_column_counts_whatever_it_holds(tmp_path_factory, spans):
    folder = tmp_path_factory.mktemp("columns")
    columns = {f"c{i}": returns_of(i)[a:b] for i, (a, b) in enumerate(spans)}
    path = write_table(folder / "t.csv", whole=returns_of(99), **columns)
    ledger = Ledger(folder / "l.jsonl")
    done = import_trials(ledger, trials_from_csv(path, family="f"))
    assert done.n_added == ledger.count() == len(spans) + 1
    assert done.n_without_returns == sum(max(b - a, 0) < 2 for a, b in spans)


def test_a_day_without_any_return_is_no_gap(tmp_path):
    holiday = DATES[10]
    path = write_table(tmp_path / "a.csv", x=returns_of(0), y=returns_of(1))
    table = pd.read_csv(path, index_col=0, parse_dates=True)
    table.loc[holiday] = np.nan
    table.to_csv(path)
    trials = trials_from_csv(path, family="f")
    assert [len(t["returns"]) for t in trials] == [59, 59]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": returns_of(0).drop(DATES[30])}, "no value at 2015-02-12"),
        ({"x": 50 * (1 + returns_of(0)).cumprod()}, "prices or growth factors"),
        ({"x": 100 * returns_of(0) - 1.5}, "must not be under -1"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, columns, words):
    path = write_table(tmp_path / "a.csv", y=returns_of(1), **columns)
    with pytest.raises(DataError, match=words):
        trials_from_csv(path, family="f")


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("date,x,x\n2015-01-01,0.01,0.02\n2015-01-02,0.01,0.03\n")
    with pytest.raises(DataError, match="'x' more than once"):
        trials_from_csv(path, family="f")


# ---------------------------------------------------------------------------------- all or nothing


def test_one_bad_trial_keeps_all_out(tmp_path, ledger):
    trials = trials_from_csv(write_table(tmp_path / "a.csv", x=returns_of(0)), family="f")
    bad = trials[0] | {"parameters": {"model": object()}}
    with pytest.raises(SpecificationError, match="no plain JSON form"):
        import_trials(ledger, [*trials, bad])
    assert not ledger.path.exists() or not len(ledger.table())


def test_what_is_known_better_can_be_said(tmp_path, ledger):
    trials = trials_from_csv(write_table(tmp_path / "a.csv", x=returns_of(0)), family="f")
    import_trials(ledger, [t | {"data_md5": "d", "universe": "u"} for t in trials])
    assert len(ledger.tries("f", data_md5="d", window=WINDOW)) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda p, _: trials_from_csv(None, family="f"),
        lambda p, _: trials_from_csv(p / "none.csv", family="f"),
        lambda p, _: trials_from_csv(write_table(p / "a.csv", x=returns_of(0)), family=" "),
        lambda p, _: trials_from_csv(write_table(p / "a.csv", x=returns_of(0)), family="a\nb"),
        lambda p, _: trials_from_csv(write_table(p / "a.csv", x=None), family="f"),
        lambda p, _: trials_from_optuna(None, family="f"),
        lambda p, _: trials_from_optuna(5, family="f"),
        lambda p, _: trials_from_optuna(p / "none.db", family="f"),
        lambda p, _: trials_from_optuna("postgresql://host/db", family="f"),
        lambda p, _: trials_from_optuna(write_table(p / "a.csv", x=returns_of(0)), family="f"),
        lambda p, _: trials_from_optuna(p, family="f"),
        lambda p, _: trials_from_optuna(p / "none.db", family="f", returns=""),
        lambda p, _: trials_from_mlflow(None, experiment="e", family="f"),
        lambda p, _: trials_from_mlflow(p / "none", experiment="e", family="f"),
        lambda p, _: trials_from_mlflow("http://localhost:1", experiment="e", family="f"),
        lambda p, _: trials_from_mlflow(p, experiment="e", family="f", returns=5),
        lambda p, ledger: import_trials(None, []),
        lambda p, ledger: import_trials(ledger, None),
        lambda p, ledger: import_trials(ledger, {}),
        lambda p, ledger: import_trials(ledger, [{}]),
        lambda p, ledger: import_trials(ledger, [None]),
        lambda p, ledger: import_trials(ledger, "x"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(tmp_path, ledger, call):
    with pytest.raises(QuantlabError) as caught:
        call(tmp_path, ledger)
    words = str(caught.value)
    assert words.endswith(".") and "\n" not in words and 20 < len(words) < 500, words
    assert not ledger.path.exists()


@pytest.mark.parametrize(
    "tables",
    [["studies"], ["experiments", "runs_"], ["a"], []],
    ids=lambda t: "-".join(t) or "none",
)
def test_a_foreign_database_is_refused_and_left_as_it_was(tmp_path, tables):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as database:
        database.execute("create table z (a)")
        for name in tables:
            database.execute(f"create table {name} (a)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="neither Optuna nor MLflow"):
        find_source(path)
    assert path.read_bytes() == before


def test_a_damaged_database_is_refused(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"SQLite format 3\0" + b"\1" * 5000)
    with pytest.raises(DataError, match="cannot be read as SQLite"):
        find_source(path)


# ---------------------------------------------------------------------------------------- Optuna


@pytest.fixture
def optuna():
    optuna = pytest.importorskip("optuna", reason="optuna is not installed (extra `imports`)")
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def a_search(optuna, storage=None, name="search"):
    "Complete with returns in three forms, complete without, pruned, failed, running and waiting"
    by_date = {f"{day:%Y-%m-%d}": r for day, r in returns_of(0).items()}

    def objective(trial):
        trial.suggest_categorical("days", [20])  # equal parameters, and yet an attempt each
        if trial.number == 2:
            raise optuna.TrialPruned()
        if trial.number == 3:
            raise ZeroDivisionError
        if trial.number == 0:
            trial.set_user_attr("returns", by_date)
        return 0.5 + trial.number

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=storage, study_name=name, sampler=sampler)
    study.optimize(objective, n_trials=4, catch=(ZeroDivisionError,))
    study.ask()
    study.enqueue_trial({"days": 20})
    return study


STATUS = ["complete", "abandoned", "abandoned", "failed", "abandoned", "abandoned"]


def test_every_trial_of_a_study_counts(optuna, ledger):
    trials = trials_from_optuna(a_search(optuna), family="f")
    assert [t["status"] for t in trials] == STATUS
    assert trials[1]["note"] == (
        "imported from the Optuna study 'search': complete in Optuna, its returns are not at hand, "
        "value 1.5"
    )
    assert [t["strategy"] for t in trials] == [f"search: {i}" for i in range(6)]
    assert all(t["parameters"] == {"days": 20} for t in trials[:3])
    done = import_trials(ledger, trials)
    assert done.to_dict() == {"n_read": 6, "n_added": 6, "n_known": 0, "n_without_returns": 5}
    assert ledger.count("f") == ledger.count("f", scope="current") == 6
    assert len(ledger.tries("f", data_md5="unspecified", window=WINDOW)) == 6
    assert ledger.returns("f").shape == (60, 1)
    np.testing.assert_array_equal(ledger.returns("f").iloc[:, 0], returns_of(0))


def test_a_file_gives_what_its_study_gives_and_is_not_written_to(optuna, tmp_path, ledger):
    file = tmp_path / "x.db"
    study = a_search(optuna, f"sqlite:///{file}")
    optuna.create_study(storage=f"sqlite:///{file}", study_name="other")
    before = file.read_bytes()
    import_trials(ledger, trials_from_optuna(study, family="f"))
    for source in (f"sqlite:///{file}#search", f"{file}#search"):
        done = import_trials(ledger, trials_from_optuna(source, family="f"))
        assert (done.n_known, done.n_added) == (6, 0)
    assert file.read_bytes() == before and {p.name for p in tmp_path.iterdir()} == {
        "x.db",
        "trials",
    }
    with pytest.raises(SpecificationError, match="one of 'search', 'other'; got ''"):
        trials_from_optuna(file, family="f")
    with pytest.raises(MissingDataError, match="holds no attempt"):
        trials_from_optuna(f"{file}#other", family="f")


@pytest.mark.parametrize("form", ["list", "csv", "parquet"])
def test_returns_are_found_in_each_form(optuna, tmp_path, form):
    returns_of(1).to_csv(tmp_path / "r.csv")
    returns_of(1).to_frame().to_parquet(tmp_path / "r.parquet")
    value = returns_of(1).tolist() if form == "list" else f"r.{form}"
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 's.db'}", study_name="s")
    frozen = optuna.trial.create_trial(
        value=1.0, user_attrs={"net": value, "bad": [1.0, None, "x"]}
    )
    study.add_trial(frozen)
    (trial,) = trials_from_optuna(tmp_path / "s.db", family="f", returns="net")
    assert trial["status"] == "complete"
    np.testing.assert_array_equal(trial["returns"], returns_of(1))
    assert isinstance(trial["returns"].index, pd.DatetimeIndex) == (form != "list")
    (trial,) = trials_from_optuna(tmp_path / "s.db", family="f", returns=None)
    assert trial["status"] == "abandoned" and trial["returns"] is None
    with pytest.raises(DataError, match="`returns of trial 0`"):
        trials_from_optuna(tmp_path / "s.db", family="f", returns="bad")
    with pytest.raises(MissingDataError, match="under the name 'gross'"):
        trials_from_optuna(tmp_path / "s.db", family="f", returns="gross")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("gone.csv", "there is no file"),
        (5, "must be a list, a mapping"),
        ([0.01, None, 0.02], "has no value at 1"),
        ((50 * (1 + returns_of(0)).cumprod()).tolist(), "prices or growth factors"),
        ({"soon": 0.1, "later": 0.2}, "is not a date"),
    ],
)
def test_returns_that_cannot_be_meant_are_refused(optuna, value, words):
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={"returns": value}))
    with pytest.raises(DataError, match=words):
        trials_from_optuna(study, family="f")


def test_returns_with_dates_and_without_are_not_mixed(optuna):
    study = optuna.create_study()
    for value in ([0.01, 0.02], {"2015-01-01": 0.01, "2015-01-02": 0.02}):
        study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={"returns": value}))
    with pytest.raises(DataError, match="some returns of the Optuna study .* have dates"):
        trials_from_optuna(study, family="f")


def test_a_parameter_without_a_number_is_kept_as_text(optuna, ledger):
    study = optuna.create_study()
    choice = optuna.distributions.CategoricalDistribution([float("inf"), 1.0])
    trial = optuna.trial.create_trial(
        value=1.0, params={"stop": float("inf")}, distributions={"stop": choice}
    )
    study.add_trial(trial)
    import_trials(ledger, trials_from_optuna(study, family="f"))
    assert ledger.table()["parameters"][0] == {"stop": "inf"}


# ---------------------------------------------------------------------------------------- MLflow


@pytest.fixture
def mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (extra `imports`)")
    with (
        warnings.catch_warnings()
    ):  # MLflow's own use of SQLAlchemy, met where it is first imported
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
        import mlflow.store.tracking.sqlalchemy_store
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def a_store(mlflow, uri, folder):
    "An experiment with runs in each state, one of them deleted; only the first has returns"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("search", artifact_location=(folder / "kept").as_uri())
    returns_of(0).to_csv(folder / "returns.csv")
    states = ("FINISHED", "FINISHED", "FAILED", "KILLED", "FINISHED", "RUNNING")
    for number, status in enumerate(states):
        run = client.create_run(experiment).info.run_id
        client.log_param(run, "days", 20)
        client.log_metric(run, "sharpe", 1.25)
        if number == 0:
            client.log_artifact(run, folder / "returns.csv")
        if status != "RUNNING":
            client.set_terminated(run, status)
        if status == "KILLED":
            client.delete_run(run)
    return client


@pytest.fixture(params=["sqlite", "files"])
def store(request, mlflow, tmp_path, monkeypatch):
    if request.param == "sqlite":
        uri = f"sqlite:///{tmp_path / 'm.db'}"
        return uri, tmp_path / "m.db", a_store(mlflow, uri, tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    client = a_store(mlflow, uri, tmp_path)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    return uri, tmp_path / "mlruns", client


def test_every_run_of_an_experiment_counts(store, tmp_path, ledger):
    uri, path, client = store
    trials = trials_from_mlflow(uri, experiment="search", family="f")
    status = [t["status"] for t in trials]
    assert sorted(status) == sorted(["complete", *["abandoned"] * 4, "failed"])
    done = import_trials(ledger, trials)
    assert done.to_dict() == {"n_read": 6, "n_added": 6, "n_known": 0, "n_without_returns": 5}
    assert ledger.count("f") == 6 and ledger.verify().ok
    np.testing.assert_array_equal(ledger.returns("f").iloc[:, 0], returns_of(0))
    assert all(t["parameters"] == {"days": "20"} for t in trials)
    deleted = [t["note"] for t in trials if "deleted there" in t["note"]]
    assert len(deleted) == 1 and "killed in MLflow" in deleted[0] and "sharpe 1.25" in deleted[0]
    assert str(tmp_path) not in ledger.path.read_text()
    for source in (path, client):  # the same by its path, and by a client
        assert (
            import_trials(
                ledger, trials_from_mlflow(source, experiment="search", family="f")
            ).n_added
            == 0
        )


def test_a_slip_in_a_name_is_said(store):
    _, path, _ = store
    with pytest.raises(SpecificationError, match="`experiment` must be one of 'Default', 'search'"):
        trials_from_mlflow(path, experiment="serch", family="f")
    with pytest.raises(MissingDataError, match="under the name 'net'"):
        trials_from_mlflow(path, experiment="search", family="f", returns="net")
    with pytest.raises(MissingDataError, match="holds no attempt"):
        trials_from_mlflow(path, experiment="Default", family="f")
    with pytest.raises(DataError, match="is an MLflow store, where an Optuna database is wanted"):
        trials_from_optuna(path, family="f")


def test_reading_mlflow_leaves_the_store_and_the_settings_alone(store, tmp_path):
    _, path, _ = store
    files = lambda: {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    before, variables = files(), dict(os.environ)
    trials_from_mlflow(path, experiment="search", family="f")
    assert files() == before and dict(os.environ) == variables


def test_a_store_of_another_version_is_refused_with_what_to_do(mlflow, tmp_path):
    a_store(mlflow, f"sqlite:///{tmp_path / 'm.db'}", tmp_path)
    with sqlite3.connect(tmp_path / "m.db") as database:
        database.execute("update alembic_version set version_num = '0584bdc529eb'")
    database.close()
    with pytest.raises(DataError, match="mlflow db upgrade"):
        trials_from_mlflow(tmp_path / "m.db", experiment="search", family="f")


# --------------------------------------------------------------------------------------- command


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_imports_a_table(project, capsys):
    write_table(project / "tried.csv", x=returns_of(0), y=None)
    line = ["trials", "import", "tried.csv", "--family", "f"]
    assert main(line) == 0
    kind, sentence, count = capsys.readouterr().out.splitlines()
    assert kind == "tried.csv is a table of returns"
    assert sentence.startswith("2 attempts read: 2 added, 0 on file before; 1 without returns")
    assert count == "2 trials in ledger.jsonl and the ledgers beside it"
    before = (project / "trials/ledger.jsonl").read_bytes()
    assert main(line) == 0 and (project / "trials/ledger.jsonl").read_bytes() == before
    assert main(["trials", "verify"]) == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["import"], 2),
        (["import", "tried.csv"], 2),
        (["import", "tried.csv", "--family", "f", "--study", "s"], 2),
        (["import", "tried.csv", "--family", "f", "--returns", "s"], 2),
        (["show", "tried.csv"], 2),
        (["import", "gone.csv", "--family", "f"], 1),
        (["import", "prices.csv", "--family", "f"], 1),
        (["import", "https://host/x", "--family", "f"], 1),
    ],
)
def test_the_command_refuses_and_writes_nothing(project, capsys, line, code):
    write_table(project / "tried.csv", x=returns_of(0))
    write_table(project / "prices.csv", x=50 * (1 + returns_of(0)).cumprod())
    assert main(["trials", *line]) == code
    error = capsys.readouterr().err
    assert error.startswith("quantlab: ") and error.count("\n") == 1
    assert not (project / "trials").exists()


def test_the_command_imports_a_study_and_an_experiment(project, optuna, mlflow, capsys):
    a_search(optuna, "sqlite:///o.db")
    a_store(mlflow, f"sqlite:///{project / 'm.db'}", project)
    assert main(["trials", "import", "o.db", "--family", "f"]) == 0
    assert main(["trials", "import", "o.db", "--family", "f", "--study", "search"]) == 0
    assert main(["trials", "import", "m.db", "--family", "f", "--experiment", "search"]) == 0
    assert main(["trials", "import", "m.db", "--family", "f"]) == 1
    assert "one of 'Default', 'search'; got None" in capsys.readouterr().err
    assert main(["trials", "import", "o.db", "--family", "f", "--experiment", "search"]) == 2
    assert Ledger(project / "trials/ledger.jsonl").count("f") == 12
