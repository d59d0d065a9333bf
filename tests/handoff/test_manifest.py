"""The manifest: closed, strict, said once for everybody, and sealed with its moments."""

import copy
import hashlib
import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, sequential_test
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from quantlab.errors import HandoffError, QuantlabError
from quantlab.handoff import Bundle, diff_bundles, load_bundle, write_bundle
from quantlab.handoff.actions import ACTIONS, DEFAULT_ACTIONS, KINDS
from quantlab.handoff.manifest import seal_of
from quantlab.handoff.models import manifest_schema
from quantlab.handoff.schema import SCHEMA, check_shape
from quantlab.handoff.times import times_bytes
from quantlab.storage import readable_json

SCHEMA_FILE = ROOT / "nbs/reference/bundle.schema.json"
BUNDLES = sorted(p.parent for p in (ROOT / "handoff").glob("*/manifest.json"))
DAYS = pd.DatetimeIndex(["2015-11-25", "2015-11-27", "2015-11-30", "2016-03-14"], name="date")
LIMITS = {
    "max_order_notional": 6e6,
    "max_gross": 2.0,
    "max_position_weight": 0.6,
    "max_daily_turnover": 2.0,
    "price_collar": 0.25,
    "max_orders_per_day": 10,
    "max_stale_days": 0,
    "max_daily_loss": 0.03,
    "max_drawdown": 0.08,
}
TEST = sequential_test().to_dict()
ARGUMENTS = {
    "strategy": "pairs_book",
    "verdict": "approved",
    "family": "pairs",
    "parameters": {"formation": 252},
    "universe": ["A", "B", "C"],
    "inputs": {"returns.parquet": "0" * 32},
    "code": "tree",
    "target_weights": pd.DataFrame({"A": [0.5, 0.4, 0.5, 0.0], "B": -0.4}, index=DAYS),
    "expected": pd.DataFrame({"returns": 0.0, "turnover": 0.1, "costs": 1e-5}, index=DAYS),
    "costs": {"commission_bps": 1.0, "borrow_bps_per_year": 50.0},
    "periods_per_year": 252,
    "limits": LIMITS,
    "kill_rules": {"drawdown": 0.1, "sequential_test": True},
    "expected_distribution": {"mean": 4e-4, "volatility": 0.01, "sequential_test": TEST},
    "starts": "2015-07-01",
    "expires": "2030-12-31",
    "capital": 1e7,
    "calendar": "XNYS",
    "fill_lag": 1,
    "approvals": [{"by": "risk", "reason": "limits agreed"}],
    "ledger": {"count": 40, "last_hash": "ab" * 32, "lower_bound": False},
    "pages": {"validate.ipynb": "1" * 64},
}


def stated(path):
    return json.loads((path / "manifest.json").read_text(encoding="utf-8"))


def sealed(path, manifest):
    "Put `manifest` into the bundle at `path`, with a seal that fits"
    manifest = manifest | {"seal": seal_of(manifest)}
    (path / "manifest.json").write_text(readable_json(manifest), encoding="utf-8")


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("handoff"), **ARGUMENTS)


@pytest.fixture(scope="module")
def renamed(written, tmp_path_factory):
    "A copy whose folder carries no seal: nothing but the manifest's own sense protects it"
    return shutil.copytree(written, tmp_path_factory.mktemp("attacked") / "copy")


# -- what was written loads


@pytest.mark.parametrize("path", BUNDLES, ids=[p.name for p in BUNDLES])
def test_each_bundle_of_the_project_loads_as_it_was_sealed(path, validator):
    bundle, manifest = load_bundle(path), stated(path)
    assert bundle.seal == seal_of(manifest) and path.name.endswith(bundle.seal[:12])
    validator.validate(manifest)
    if manifest["schema"] != SCHEMA:
        assert bundle.monitoring == DEFAULT_ACTIONS and bundle.times is None
        assert bundle.summary()["actions on alarms: beforehand"] == "not agreed (default)"


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.strip)
hashes = st.integers(0, 2**128 - 1).map("{:032x}".format)
actions = st.fixed_dictionaries(
    {k: st.sampled_from(ACTIONS if k != "noise" else ["continue"]) for k in KINDS}
)
choices = st.fixed_dictionaries(
    {
        "verdict": st.sampled_from(["approved", "rejected"]),
        "family": st.none() | texts,
        "parameters": st.dictionaries(
            texts,
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | texts,
                lambda x: st.lists(x, max_size=3) | st.dictionaries(texts, x, max_size=3),
                max_leaves=5,
            ),
            max_size=4,
        ),
        "inputs": st.dictionaries(texts, hashes, max_size=3),
        "pages": st.dictionaries(texts, hashes.map(lambda h: h * 2), max_size=2),
        "code": texts,
        "monitoring": actions,
        "approvals": st.lists(st.fixed_dictionaries({"by": texts, "reason": texts}), max_size=2),
        "calendar": st.sampled_from(["XNYS", "XNAS"]),
        "fill_lag": st.integers(0, 20),
        "capital": st.floats(1e-3, 1e12),
        "kill_rules": st.fixed_dictionaries(
            {"drawdown": st.floats(1e-6, 1)}, optional={"sequential_test": st.booleans()}
        ),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chosen=choices, timed=st.booleans())
def test_whatever_is_written_loads_and_fits_the_json_schema(
    chosen, timed, tmp_path_factory, validator
):
    if not timed:
        chosen = chosen | {"calendar": None, "fill_lag": 0}
    path = write_bundle(tmp_path_factory.getbasetemp() / "drawn", **ARGUMENTS | chosen)
    bundle, manifest = load_bundle(path), stated(path)
    validator.validate(manifest)
    assert manifest["schema"] == SCHEMA and bundle.monitoring == chosen["monitoring"]
    assert (bundle.times is not None) == timed
    assert len(diff_bundles(bundle, path)) == 0


def test_the_moments_are_those_of_the_exchange(written):
    times = load_bundle(written).times
    # the half day after Thanksgiving, and the Monday after the clocks went forward
    assert [f"{t:%d %H:%M}" for t in times["decided_at"]] == [
        "25 21:00",
        "27 18:00",
        "30 21:00",
        "14 20:00",
    ]
    assert times["earliest_fill"].iloc[0] == times["decided_at"].iloc[1]
    assert str(times["decided_at"].dt.tz) == "UTC"


# -- what was edited does not


def leaves(value, path=()):
    "Each place of a manifest, but for what its author may name freely"
    if path and path[0] in ("parameters", "expected_distribution") or path == ("seal",):
        return
    yield path
    if isinstance(value, (dict, list)):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(below, (*path, key))


def kind(value):
    return "number" if type(value) in (int, float) else type(value).__name__


KINDS_OF_VALUE = (None, True, "x", 5, [], {})
# absent or none at all is an agreement too, and another one
NONE_IS_ALLOWED = {("family",), ("ledger",)}
OPTIONAL = {"costs", "kill_rules", "inputs", "pages", "approvals", "universe"}


@st.composite
def edits(draw, manifest):
    "A manifest with one value spoiled, and how"
    spoiled = copy.deepcopy(manifest)
    path = draw(st.sampled_from(list(leaves(manifest))))
    how = draw(st.sampled_from(["type", "range", "added", "dropped", "order"]))
    *above, last = path or (None,)
    holder = spoiled
    for key in above if path else ():
        holder = holder[key]
    value = holder[last] if path else spoiled
    if how == "type":
        assume(path)
        others = [v for v in KINDS_OF_VALUE if kind(v) != kind(value)]
        holder[last] = draw(st.sampled_from(others))
        assume(not (path in NONE_IS_ALLOWED and holder[last] is None))
    elif how == "range":
        assume(path and kind(value) in ("number", "str"))
        holder[last] = draw(st.sampled_from([-1, -1e-9, 1e301])) if kind(value) != "str" else " "
    elif how == "added":
        assume(isinstance(value, (dict, list)))
        if isinstance(value, dict):
            value["colour"] = "blue"
        else:
            value.append(draw(st.sampled_from([5, " ", *value[:1]])))
            assume(path != ("approvals",) or value[-1] in (5, " "))
    elif how == "dropped":
        assume(path and path[0] not in OPTIONAL)
        del holder[last]
    else:
        assume(isinstance(value, list) and len(value) > 1)
        value[:] = draw(st.permutations(value))
    return spoiled


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_edit_is_refused_whatever_it_is_sealed_with(renamed, validator, data):
    manifest = stated(renamed)
    spoiled = data.draw(edits(manifest))
    try:
        sealed(renamed, spoiled)
        if readable_json(spoiled) == readable_json(manifest):
            load_bundle(renamed)
            return
        with pytest.raises(HandoffError) as refused:
            load_bundle(renamed)
        assert "\n" not in str(refused.value)
        # the shape is refused by the JSON Schema too, but for what no schema can say
        said, shaped = str(refused.value), spoiled.get("schema") == SCHEMA
        if shaped:
            try:
                check_shape(spoiled)
            except HandoffError:
                shaped = "belong together" in said or "a sorted list" in said
        assert shaped or not validator.is_valid(spoiled), said
    finally:
        sealed(renamed, manifest)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_in_its_own_folder_no_other_manifest_loads(written, data):
    manifest = stated(written)
    free = {"parameters": {"formation": data.draw(st.integers(0, 999))}}
    other = data.draw(edits(manifest) | st.just(manifest | free))
    try:
        sealed(written, other)
        if readable_json(other) == readable_json(manifest):
            load_bundle(written)
        else:
            with pytest.raises(HandoffError):
                load_bundle(written)
    finally:
        sealed(written, manifest)


BEYOND_A_SCHEMA = {
    "swap": {"starts": "2031-01-01"},
    "a lower bound": {"ledger": {"count": 1, "last_hash": "ab", "lower_bound": True}},
    "belong together": {"zone": None},
    "a sorted list": {"universe": ["B", "A", "C"]},
    "a date such as": {"starts": "2015-02-30"},
    "a whole number": {"digits": 7.0},
}


@pytest.mark.parametrize("message", BEYOND_A_SCHEMA)
def test_what_a_json_schema_cannot_say_is_refused_when_it_is_loaded(renamed, validator, message):
    manifest = stated(renamed)
    spoiled = manifest | BEYOND_A_SCHEMA[message]
    try:
        sealed(renamed, spoiled)
        assert validator.is_valid(spoiled)
        with pytest.raises(HandoffError, match=message):
            load_bundle(renamed)
    finally:
        sealed(renamed, manifest)


def test_a_name_that_stands_twice_is_refused_under_any_seal(renamed):
    file, manifest = renamed / "manifest.json", stated(renamed)
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(text.replace('"capital"', '"capital": 1.0,\n "capital"', 1))
        with pytest.raises(HandoffError, match="the name 'capital' stands twice"):
            load_bundle(renamed)
    finally:
        sealed(renamed, manifest)


HOUR = pd.Timedelta(hours=1)
MOMENTS = {
    "on its own date": lambda t: t.assign(decided_at=t["decided_at"] - 24 * HOUR),
    "on its own date in": lambda t: t.assign(decided_at=t["decided_at"] + 12 * HOUR),
    "1 sessions after": lambda t: t.assign(earliest_fill=t["decided_at"]),
    "1 sessions after its": lambda t: t.assign(earliest_fill=t["decided_at"] - HOUR),
    "not in time order": lambda t: t.assign(earliest_fill=t["earliest_fill"][::-1].to_numpy()),
    "not those of the decisions": lambda t: t.iloc[1:],
    "not those of the decisions.": lambda t: t.iloc[[0, 0, 1, 2, 3]],
    "needs `decided_at` and": lambda t: t.assign(
        decided_at=t["decided_at"].mask(t.index == DAYS[1])
    ),
    "and `earliest_fill`": lambda t: t.rename(columns={"decided_at": "made_at"}),
}


@pytest.mark.parametrize("message", MOMENTS)
def test_moments_that_do_not_fit_the_decisions_are_refused(written, tmp_path, message):
    path = shutil.copytree(written, tmp_path / "copy")
    content = times_bytes(MOMENTS[message](load_bundle(path).times))
    (path / "times.parquet").write_bytes(content)
    manifest = stated(path)
    digest = hashlib.sha256(content).hexdigest()
    sealed(path, manifest | {"files": manifest["files"] | {"times.parquet": digest}})
    with pytest.raises(HandoffError, match="times.parquet cannot be used|in time order"):
        load_bundle(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calendar": "MARS"}, "there is no calendar 'MARS'"),
        ({"calendar": ""}, "`calendar` must be a non-empty text"),
        ({"calendar": None}, "`fill_lag` is 1 sessions, and no `calendar`"),
        ({"fill_lag": -1}, "`fill_lag` must be a whole number"),
        ({"fill_lag": 21}, "`fill_lag` must be a whole number"),
        ({"fill_lag": True}, "`fill_lag` must be a whole number"),
        ({"monitoring": {}}, "`monitoring` must give an action for each"),
        ({"monitoring": None}, "`monitoring` must give an action for each"),
        ({"monitoring": {**DEFAULT_ACTIONS, "noise": "stop"}}, "'noise' with 'continue'; got"),
        ({"monitoring": {**DEFAULT_ACTIONS, "noise": []}}, "'noise' with 'continue'; got"),
        ({"approvals": [{"by": "a", "reason": "b", "on": "c"}]}, "and nothing else"),
    ],
)
def test_what_cannot_be_agreed_is_not_written(tmp_path, change, message):
    with pytest.raises(QuantlabError, match=message):
        write_bundle(tmp_path / "new", **ARGUMENTS | change)
    assert not (tmp_path / "new").exists()


def test_a_decision_on_a_day_without_a_session_is_not_written(tmp_path):
    thanksgiving = DAYS[:1].append(pd.DatetimeIndex(["2015-11-26"])).append(DAYS[2:])
    weights = ARGUMENTS["target_weights"].set_axis(thanksgiving)
    with pytest.raises(HandoffError, match="2015-11-26, which is no session of XNYS"):
        write_bundle(tmp_path, **ARGUMENTS | {"target_weights": weights})


# -- for everybody else


def test_the_json_schema_in_the_project_is_that_of_the_models():
    said = "quantlab handoff schema nbs/reference/bundle.schema.json writes it anew"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == readable_json(manifest_schema()), said


def test_a_bundle_with_moments_loads_with_the_base_alone(written):
    code = (
        "from pathlib import Path\n"
        "from quantlab.handoff import load_bundle\n"
        f"assert len(load_bundle(Path({str(written)!r})).times) == 4\n"
    )
    program = [sys.executable, ROOT / "tests/programs/only_with.py", ""]
    subprocess.run(program, input=code, text=True, check=True, cwd=ROOT)


def test_the_models_are_built_when_a_manifest_is_read_and_not_before():
    code = (
        "import sys, quantlab, quantlab.handoff\n"
        "from quantlab.handoff import load_bundle, write_bundle\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_page_of_a_bundle_says_what_is_not_asked(written, capsys):
    from quantlab.cli import main

    assert main(["handoff", "show", str(written), *map(str, BUNDLES[:1])]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 100 and "00:00:00" not in page
    assert "2015-11-25 21:00 UTC, to be filled from 2015-11-27 18:00 UTC on" in " ".join(
        page.split()
    )
    bundle = load_bundle(written)
    assert isinstance(bundle, Bundle)
    not_asked = {k for k, v in bundle.summary().items() if isinstance(v, str) and v == "not asked"}
    assert "limits: net (fraction of equity)" in not_asked
    assert "kill rules: loss of a day (fraction of equity)" in not_asked
