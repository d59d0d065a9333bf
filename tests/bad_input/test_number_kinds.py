"""One door for numbers: what is no number is refused by every function that takes data, and every
kind of number is read alike."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

import quantlab.backtest as bt
import quantlab.cointegration as co
import quantlab.data as da
import quantlab.factors as fa
import quantlab.validation as va
import quantlab.volatility as vo
from quantlab.errors import QuantlabError, ScaleWarning

RNG = np.random.default_rng(0)
DAYS = pd.bdate_range("2015-01-01", periods=260)
RETURNS = pd.DataFrame(0.01 * RNG.standard_normal((260, 4)), DAYS, list("abcd"))
PRICES = 100 * (1 + RETURNS).cumprod()
LOGS = np.log(PRICES)
VOLUME = pd.DataFrame(RNG.uniform(1e6, 2e6, (260, 4)), DAYS, list("abcd"))
WEIGHTS = pd.DataFrame(0.25, DAYS, list("abcd"))
A, B = LOGS["a"], LOGS["b"]
R = RETURNS["a"]
AHEAD = da.forward_returns(PRICES, periods=(5,))
DOORS = {
    "simple_returns": (da.simple_returns, PRICES),
    "log_returns": (da.log_returns, PRICES),
    "forward_returns": (da.forward_returns, PRICES),
    "forward_returns_from_returns": (da.forward_returns_from_returns, RETURNS),
    "Panel": (lambda x: da.Panel({"prices": x}), PRICES),
    "run_backtest, weights": (lambda x: bt.run_backtest(x, RETURNS), WEIGHTS),
    "run_backtest, returns": (lambda x: bt.run_backtest(WEIGHTS, x), RETURNS),
    "performance_summary": (lambda x: bt.performance_summary(x, periods_per_year=252), R),
    "drawdown_table": (bt.drawdown_table, R),
    "sharpe_ratio": (va.sharpe_ratio, R),
    "probability_of_backtest_overfitting": (va.probability_of_backtest_overfitting, RETURNS),
    "effective_number_of_trials": (va.effective_number_of_trials, RETURNS),
    "adjust_pvalues": (lambda x: va.adjust_pvalues(x, method="holm"), R.abs()),
    "adf": (co.adf, A),
    "kpss": (co.kpss, A),
    "engle_granger, y": (lambda x: co.engle_granger(x, B, lags=1), A),
    "engle_granger, x": (lambda x: co.engle_granger(A, x, lags=1), B),
    "johansen": (co.johansen, LOGS[["a", "b"]]),
    "screen_pairs": (lambda x: co.screen_pairs(x, lags=1), LOGS),
    "half_life": (co.half_life, A - B),
    "fit_garch": (vo.fit_garch, R),
    "value_at_risk": (
        lambda x: vo.value_at_risk(x, level=0.05, window=100, method="historical"),
        R,
    ),
    "har": (vo.har, R**2 + 1e-6),
    "winsorize": (fa.winsorize, RETURNS),
    "zscore": (fa.zscore, RETURNS),
    "rank": (fa.rank, RETURNS),
    "rolling_beta": (lambda x: fa.rolling_beta(x, R, window=20), RETURNS),
    "evaluate_factor": (lambda x: fa.evaluate_factor(x, AHEAD, quantiles=2), RETURNS),
    "amihud_illiquidity": (lambda x: fa.amihud_illiquidity(RETURNS, x, window=20), VOLUME),
    "mean_inference": (lambda x: fa.mean_inference(x, horizon=1), R),
}


def one_true(x):
    x = x.astype(object)
    x.iloc[(1,) if x.ndim == 1 else (1, 0)] = True
    return x


def whole(x):
    return (1e9 * x.abs()).astype("int64")


WRONG = {
    "one true in a column of objects": one_true,
    "truth values": lambda x: x > 0,
    "time spans": lambda x: whole(x).astype("timedelta64[ns]"),
    "dates": lambda x: whole(x).astype("datetime64[ns]"),
    "text": lambda x: x.astype(str),
    "complex": lambda x: x + 0j,
    "too large to square": lambda x: x * 1e300,
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_number_is_refused(door, kind):
    call, data = DOORS[door]
    with pytest.raises(QuantlabError):
        call(WRONG[kind](data))


def holed(x):
    x = x.copy()
    x.iloc[(7,) if x.ndim == 1 else (7, 0)] = np.nan
    return x


def masked(x):
    values = x.to_numpy(copy=True)
    values.flat[7 * values.size // len(values)] = 1e6  # what lies under a mask is not read
    return np.ma.masked_equal(values, 1e6)


QUICK = [
    "simple_returns",
    "log_returns",
    "forward_returns",
    "run_backtest, weights",
    "run_backtest, returns",
    "sharpe_ratio",
    "adf",
    "johansen",
    "winsorize",
    "rank",
    "zscore",
    "mean_inference",
    "screen_pairs",
]


def outcome(call, data):
    try:
        return "value", call(data)
    except QuantlabError as error:
        return type(error).__name__, None


@pytest.mark.parametrize("kind", ["nullable", "arrow", "masked"])
@pytest.mark.parametrize("door", QUICK)
def test_every_kind_of_number_is_read_alike(door, kind):
    call, data = DOORS[door]
    plain = holed(data)
    if kind == "masked":
        bare = (
            plain.to_numpy()
            if plain.ndim == 1
            else pd.DataFrame(plain.to_numpy(), columns=plain.columns)
        )
        plain, other = bare, masked(data)
    else:
        other = plain.convert_dtypes() if kind == "nullable" else plain.astype("double[pyarrow]")
    (want, a), (got, b) = outcome(call, plain), outcome(call, other)
    assert got == want
    if isinstance(a, (pd.Series, pd.DataFrame)):
        np.testing.assert_array_equal(a.to_numpy(), b.to_numpy())
    elif hasattr(a, "to_dict"):
        assert str(a.to_dict()) == str(b.to_dict())


SCALARS = {
    "probabilistic_sharpe_ratio": (
        va.probabilistic_sharpe_ratio,
        {"sharpe": 0.1, "n_obs": 100, "benchmark": 0.0, "skewness": 0.0, "kurtosis": 3.0},
    ),
    "expected_max_sharpe": (va.expected_max_sharpe, {"n_trials": 10, "sharpe_variance": 1.0}),
    "deflated_sharpe_ratio": (
        va.deflated_sharpe_ratio,
        {"sharpe": 0.1, "n_obs": 100, "n_trials": 10, "sharpe_variance": 0.01},
    ),
    "min_track_record_length": (
        va.min_track_record_length,
        {"sharpe": 0.1, "skewness": 0.0, "kurtosis": 3.0},
    ),
    "min_backtest_length": (va.min_backtest_length, {"n_trials": 10, "target_annual_sharpe": 1.0}),
    "time_aggregation_factor": (va.time_aggregation_factor, {"n_periods": 12}),
    "haircut_sharpe": (
        va.haircut_sharpe,
        {"annual_sharpe": 1.0, "n_obs": 100, "periods_per_year": 12, "n_tests": 10},
    ),
    "mackinnon_critical_values": (co.mackinnon_critical_values, {"nobs": 100}),
}


@pytest.mark.parametrize(
    "value",
    [2**64, 2**20_000, 1e308, -1e308, 1e-300, True, np.timedelta64(3), "1", None, np.nan, 1 + 2j],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("door", SCALARS)
def test_a_scalar_is_a_number_or_is_refused(door, value):
    call, arguments = SCALARS[door]
    for name in arguments:
        # a number, and no Sharpe ratio per period
        doubted = name in ("sharpe", "benchmark") and isinstance(value, int) and value == 2**64
        try:
            with (
                pytest.warns(ScaleWarning, match=f"`{name}` is 1.845e\\+19 per period")
                if doubted
                else nullcontext()
            ):
                result = call(**arguments | {name: value})
        except QuantlabError:
            continue
        assert isinstance(value, (int, float)) and not isinstance(value, bool), name
        assert not np.isnan(np.asarray(getattr(result, "pvalue", result), dtype=float)).any(), name
