"""Inputs that may be absent, histories that may be short, and files of factor returns."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from quantlab.data import (
    OPTIONAL_INPUTS,
    FactorReturns,
    Panel,
    absent_biases,
    absent_inputs,
    has_input,
    load_factor_returns,
    load_panel,
    market_panel,
    require_date,
    require_days,
    save_panel,
)
from quantlab.errors import DataError, MissingDataError, SpecificationError
from quantlab.factors import LIBRARY, lacking_inputs, published_attribution, usable_factors
from quantlab.review import bias_notes, evaluate_gate
from quantlab.simulate import factor_world

WORLD = factor_world(80, 6, rng=np.random.default_rng(1))
FULL = {
    "returns": WORLD.returns, "dollar_volume": WORLD.dollar_volume,
    "intraday_abs_return": WORLD.intraday_abs_return,
}  # fmt: skip
SPELLS = pd.DataFrame({"symbol": WORLD.returns.columns, "added": "2000-01-03", "removed": None})


@pytest.mark.parametrize("name", OPTIONAL_INPUTS)
def test_each_optional_input_is_found_absent_alone_and_survives_the_disk(name, tmp_path):
    fields = {k: v for k, v in FULL.items() if k != name}
    side = {"sectors": WORLD.sectors, "membership": SPELLS} | {name: None}
    panel = Panel(fields, sectors=side["sectors"], membership=side["membership"])
    save_panel(panel, tmp_path / "panel")
    for there in (panel, load_panel(tmp_path / "panel")):
        assert absent_inputs(there).names == (name,)
    assert OPTIONAL_INPUTS[name].label in absent_inputs(panel).sentence()
    assert len(absent_inputs(panel).summary()) == 1
    market = market_panel(panel)
    assert market.member.eq(1).all(axis=None)


def test_what_is_absent_becomes_a_bias_with_a_direction_and_no_size():
    absent = absent_inputs(Panel({"returns": WORLD.returns})).to_metrics()
    table = bias_notes(further=absent_biases(absent))
    assert {"no_dollar_volume", "no_membership", "no_sectors"} <= set(table.index)
    assert "no_intraday_abs_return" not in table.index
    assert table.loc["no_dollar_volume", "direction"] == "flatters"
    assert table.loc["no_sectors", "size"] != table.loc["no_sectors", "size"]


def test_a_usable_factor_computes_and_one_left_out_would_not():
    bare = Panel({"returns": WORLD.returns})
    usable = usable_factors(bare)
    assert 20 < len(usable.names) < len(LIBRARY)
    for name in usable.names:
        assert LIBRARY[name](bare).shape == WORLD.returns.shape
    for name, fields in usable.lacking.items():
        assert fields == lacking_inputs(bare, [LIBRARY[name]])
        with pytest.raises((MissingDataError, AttributeError)):
            LIBRARY[name](bare)


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda: has_input(None, "returns"), SpecificationError, "`panel` must be a Panel"),
        (lambda: absent_inputs(None), SpecificationError, "`panel` must be a Panel"),
        (lambda: absent_biases(["sectors"]), SpecificationError, "`absent` must be a Mapping"),
        (lambda: absent_biases({"volume": {}}), SpecificationError, "`absent` must be one of"),
        (lambda: require_days(3, 5, what="It", remedy="wait"), DataError, "2 too few: wait"),
        (lambda: require_days(3.5, 5, what="It", remedy=""), SpecificationError, "whole number"),
        (
            lambda: require_date("2030-01-01", WORLD.returns.index, name="base.holdout_start"),
            DataError, "`base.holdout_start` is 2030-01-01, and the data run from",
        ),
        (lambda: require_date("x", WORLD.returns.index, name="d"), SpecificationError, "`d` must"),
        (lambda: usable_factors(WORLD.returns), SpecificationError, "`panel` must be a Panel"),
        (lambda: lacking_inputs(Panel(FULL), ["x"]), SpecificationError, "`factors` must be"),
        (
            lambda: published_attribution(
                WORLD.returns["S000"], WORLD.returns, periods_per_year=252
            ),
            SpecificationError, "`published` must be a FactorReturns",
        ),
        (lambda: load_factor_returns("none.csv"), MissingDataError, "there is no file none.csv"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_sentence(call, error, why):
    with pytest.raises(error) as caught:
        call()
    assert why in str(caught.value) and "\n" not in str(caught.value)


def french(folder, frame, form, scale):
    "A file in French's form: a preamble, dates without marks, a table of years below"
    rows = [
        f"{d:{form}}," + ",".join(f"{scale * v:10.4f}" for v in row) + ",  0.0100"
        for d, row in zip(frame.index, frame.to_numpy())
    ]
    head = "," + ",".join(frame.columns) + ",RF"
    path = folder / "factors.csv"
    path.write_text(
        "\n".join(["Made by somebody.", "", head, *rows, "", "Annual", head, "2012, 1, 1, 1"])
    )
    return path


def test_a_daily_file_in_percent_in_a_zip_is_read_as_it_is(tmp_path):
    days = pd.bdate_range("2010-01-04", periods=400)
    truth = pd.DataFrame(
        np.random.default_rng(0).normal(0, 0.008, (400, 2)).round(6), days, ["Mkt-RF", "SMB"]
    )
    path = french(tmp_path, truth, "%Y%m%d", 100)
    with zipfile.ZipFile(tmp_path / "factors.zip", "w") as packed:
        packed.write(path, "factors.csv")
    for file in (path, tmp_path / "factors.zip"):
        found = load_factor_returns(file)
        assert (found.frequency, found.unit) == ("daily", "percent")
        np.testing.assert_allclose(found.table, truth, atol=1e-8)
        assert "taken for percent" in found.sentence()
    decimals = load_factor_returns(french(tmp_path, truth, "%Y%m%d", 1))
    assert decimals.unit == "decimal"


def test_attribution_covers_what_overlaps_and_is_least_squares_there():
    rng = np.random.default_rng(3)
    days = pd.bdate_range("2010-01-04", "2014-12-31")
    book = pd.Series(rng.normal(3e-4, 0.006, len(days)), days)
    months = pd.date_range("2005-01-01", "2013-06-01", freq="MS")
    table = pd.DataFrame(rng.normal(0, 0.03, (len(months), 2)), months, ["Mkt-RF", "SMB"])
    found = published_attribution(
        book, FactorReturns(table, "monthly", "decimal", "f.csv"), periods_per_year=261
    )
    assert (found.n_obs, found.n_uncovered) == (41, 17)
    assert "The other 17 are left out." in found.sentence()
    mine = (1 + book).groupby(book.index.to_period("M")).prod() - 1
    mine = mine.iloc[1:-1]
    mine.index = mine.index.to_timestamp()
    both = mine.index.intersection(months)
    design = np.column_stack([np.ones(len(both)), table.loc[both]])
    truth = np.linalg.lstsq(design, mine.loc[both].to_numpy(), rcond=None)[0]
    np.testing.assert_allclose(found.attribution.params, truth * [12, 1, 1], rtol=1e-9)
    later = published_attribution(
        book.loc["2013-08":], FactorReturns(table, "monthly", "decimal", "f.csv"),
        periods_per_year=261,
    )  # fmt: skip
    assert later.attribution is None and "0 of 15 months are covered" in later.sentence()


def test_a_note_stands_behind_its_criterion_and_decides_nothing():
    trials = pd.DataFrame(
        np.random.default_rng(0).normal(0, 0.01, (600, 3)),
        pd.bdate_range("2010-01-04", periods=600),
    )
    ask = {
        "selected": 1,
        "periods_per_year": 252,
        "n_resamples": 500,
        "evidence": {"breakeven_cost_multiple": 3.0},
    }
    plain, noted = (
        evaluate_gate(trials, notes=notes, **ask)
        for notes in (None, {"breakeven_cost_multiple": "Impact is not in it."})
    )
    sentence = noted.criteria.loc["breakeven_cost_multiple", "sentence"]
    assert (
        sentence
        == plain.criteria.loc["breakeven_cost_multiple", "sentence"] + " Impact is not in it."
    )
    assert noted.verdict == plain.verdict
    with pytest.raises(SpecificationError, match="`notes` must be one of"):
        evaluate_gate(trials, notes={"capacity": "None."}, **ask)
