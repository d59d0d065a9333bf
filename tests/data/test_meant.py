"""What a panel says about a field, a name or a scale that is not what was meant."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from quantlab.data import MissingFieldError, Panel, UnknownAssetError, load_panel, trading_sessions
from quantlab.errors import DataError, DataWarning, SpecificationError

DAYS = pd.bdate_range("2020-01-01", periods=250)
WALK = pd.DataFrame(
    0.015 * np.random.default_rng(0).standard_normal((250, 4)), DAYS, ["KO", "K", "PEP", "MSFT"]
).cumsum()
PRICES = 60 * np.exp(WALK)


@pytest.mark.parametrize(
    ("field", "asked", "message"),
    [
        ({"log_prices": np.log(PRICES)}, "prices", r"`np.exp\(panel.log_prices\)` are the prices"),
        ({"log_prices": np.log(PRICES)}, "returns", r"give `load_panel\(\{'prices': np.exp"),
        ({"returns": PRICES.pct_change()}, "prices", "prices that begin at 1, the true level"),
        ({"returns": PRICES.pct_change()}, "close", r"`panel.log_prices` is made of the returns"),
        ({"prices": PRICES}, "retuns", "it has prices; near it is 'returns'"),
        ({"prices": PRICES}, "log_price", "near it .* 'log_prices'"),
        ({"prices": PRICES}, "volume", "no field `volume`; it has prices.$"),
    ],
)
def test_an_absent_field_is_answered_by_what_is_there(field, asked, message):
    panel = Panel(field)
    with pytest.raises(MissingFieldError, match=message) as caught:
        getattr(panel, asked)
    assert isinstance(caught.value, AttributeError) and not hasattr(panel, asked)


def test_what_the_sentence_advises_works():
    logs = Panel({"log_prices": np.log(PRICES)})
    np.testing.assert_allclose(load_panel(np.exp(logs.log_prices)).prices, PRICES)
    made = np.exp(Panel({"returns": PRICES.pct_change().iloc[1:]}).log_prices)
    np.testing.assert_allclose(made, PRICES.iloc[1:] / PRICES.iloc[0])


@pytest.mark.parametrize("ask", [lambda p: p.select(["KOO", "PEP"]), lambda p: p.asset("KOO")])
def test_an_unknown_asset_is_answered_by_those_near_it(ask):
    with pytest.raises(UnknownAssetError, match=r"\['KOO'\]; near it is 'KO'") as caught:
        ask(Panel({"prices": PRICES}))
    error = caught.value
    assert isinstance(error, KeyError) and isinstance(error, DataError)
    assert str(error).startswith("`columns` must be")  # and not in the quotes of a KeyError
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_one_asset_is_a_table_of_its_fields():
    one = Panel({"prices": PRICES, "volume": PRICES * 1000}).asset("PEP")
    assert list(one.columns) == ["prices", "volume"] and one["prices"].equals(PRICES["PEP"])
    assert type(Panel({"prices": PRICES}).prices) is pd.DataFrame  # for pandas' own comparisons
    numbers = Panel({"prices": PRICES.set_axis([10107, 14593, 2, 3], axis=1)})
    with pytest.raises(UnknownAssetError, match=r"near it is 10107"):
        numbers.asset(10170)


@pytest.mark.parametrize(
    "logs", [np.log(PRICES), np.log(PRICES[["KO"]]), np.log(5000) + WALK / 1.5]
)
def test_logs_given_as_prices_are_asked_about(logs, tmp_path):
    logs.to_csv(tmp_path / "prices.csv")
    for source in (logs, {"prices": logs}, {"close": logs}, tmp_path / "prices.csv"):
        with pytest.warns(DataWarning, match=r"look like logs of prices .* `np.exp` of the table"):
            load_panel(source)


@pytest.mark.parametrize(
    "prices",
    [
        PRICES, PRICES / 12, PRICES / 30, 1.1 * np.exp(WALK / 3),
        (6.5 * np.exp(WALK / 6)).round(4), (10.5 * np.exp(WALK / 5)).round(2), 100 + 0 * WALK,
        100 * np.exp(WALK / 10), PRICES.iloc[:20] / 12,
    ],
)  # fmt: skip
def test_prices_that_are_low_or_calm_are_let_be(prices):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_panel(prices)
        load_panel({"log_prices": np.log(prices)})


def test_an_unknown_calendar_is_answered_by_those_near_it():
    with pytest.raises(SpecificationError, match="there is no calendar 'XNYC'; near it is 'XNYS'"):
        trading_sessions("XNYC", "2020-01-01", "2020-02-01")
    with pytest.raises(SpecificationError, match="cannot be used for these dates"):
        trading_sessions("XKRX", "1950-01-01", "1950-02-01")
