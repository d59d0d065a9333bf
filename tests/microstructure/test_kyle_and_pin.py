"""Kyle's lambda and model, PIN, Amihud: references, truths that are known, what must not matter."""

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.microstructure import (
    amihud_illiquidity,
    fit_pin,
    kyle_equilibrium,
    kyle_lambda,
    roll_spread,
)

few = settings(max_examples=10, deadline=None)


def test_one_auction(reference):
    entry = reference("kyle_single")
    given, expected = entry["params"], entry["expected"]
    got = kyle_equilibrium(prior_variance=given["Sigma0"], noise_deviation=given["sigma_u"])
    pairs = {
        "lam": got.kyle_lambda[1],
        "beta": got.beta[1],
        "posterior_var": got.residual_variance[1],
        "expected_profit": got.expected_profit,
    }
    for name, value in pairs.items():
        assert close(value, expected[name], entry["tol"])


@few
@given(st.integers(1, 40), st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_recursion_of_theorem_2_holds(n, variance, noise):
    e = kyle_equilibrium(n, prior_variance=variance, noise_deviation=noise)
    alpha, delta, dt = 0.0, 0.0, 1 / n
    before = e.residual_variance.shift(fill_value=variance)
    for i in e.kyle_lambda.index[::-1]:
        lam, beta, left = e.kyle_lambda[i], e.beta[i], e.residual_variance[i]
        assert lam == pytest.approx(beta * left / noise**2, rel=1e-9)
        assert left == pytest.approx((1 - beta * lam * dt) * before[i], rel=1e-9)
        size = (1 - 2 * alpha * lam) / (2 * lam * (1 - alpha * lam))
        assert beta * dt == pytest.approx(size, rel=1e-9)
        assert lam * (1 - alpha * lam) > 0
        delta += alpha * lam**2 * noise**2 * dt
        alpha = 1 / (4 * lam * (1 - alpha * lam))
    assert e.expected_profit == pytest.approx(alpha * variance + delta, rel=1e-9)


def test_a_simulated_market_pays_the_expected_profit():
    "The informed trader's orders, auction by auction, against prices that follow lambda"
    rng, n, runs = np.random.default_rng(0), 4, 40_000
    e = kyle_equilibrium(n, prior_variance=4.0, noise_deviation=10.0)
    value, price, profit = rng.normal(0, 2, runs), np.zeros(runs), np.zeros(runs)
    for i in e.kyle_lambda.index:
        order = e.beta[i] * (value - price) / n
        price = price + e.kyle_lambda[i] * (order + rng.normal(0, 10 / np.sqrt(n), runs))
        profit += order * (value - price)
        left = np.var(value - price)
        assert left == pytest.approx(e.residual_variance[i], rel=0.03)
    error = profit.std() / np.sqrt(runs)
    assert abs(profit.mean() - e.expected_profit) < 4 * error


def test_lambda_of_the_reference(reference):
    entry = reference("kyle_lambda_regression")
    got = kyle_lambda(entry["input"]["dp"], entry["input"]["signed_volume"], hac_lags=0)
    for name, value in {"lam": got.kyle_lambda, "t": got.t_ols, "const": got.intercept}.items():
        assert close(value, entry["expected"][name], entry["tol"])


def test_a_group_is_measured_as_it_is_alone():
    rng = np.random.default_rng(1)
    volume = pd.Series(rng.normal(0, 1, 300))
    returns = 0.5 * volume + pd.Series(rng.normal(0, 1, 300))
    label = pd.Series(np.repeat(["a", "b", "c"], [150, 145, 5]))
    got = kyle_lambda(returns, volume, hac_lags=3, by=label).by
    for name in ("a", "b"):
        alone = kyle_lambda(returns[label == name], volume[label == name], hac_lags=3)
        assert got.loc[name, "kyle_lambda"] == pytest.approx(alone.kyle_lambda, rel=1e-12)
        assert got.loc[name, "t"] == pytest.approx(alone.t, rel=1e-12)
    assert np.isnan(got.loc["c", "kyle_lambda"]) and got.loc["c", "n_obs"] == 5
    assert "no forecast" in kyle_lambda(returns, volume, hac_lags=3).sentence()


def test_lambda_takes_the_times_of_a_market():
    times = pd.date_range("2024-11-02 20:00", periods=200, freq="5min", tz="America/Chicago")
    rng = np.random.default_rng(2)
    volume = pd.Series(rng.normal(0, 1, 200), index=times)  # one hour is there twice
    got = kyle_lambda(2 * volume + rng.normal(0, 0.1, 200), volume, hac_lags=2)
    assert got.kyle_lambda == pytest.approx(2, abs=0.03)


def pin_days(n, alpha, delta, mu, buy, sell, seed):
    rng = np.random.default_rng(seed)
    news, bad = rng.random(n) < alpha, rng.random(n) < delta
    return rng.poisson(buy + mu * (news & ~bad)), rng.poisson(sell + mu * (news & bad))


@few
@given(st.integers(0, 1000))
def test_pin_finds_what_a_long_sample_was_made_with(seed):
    truth = (0.3, 0.6, 80.0, 120.0, 100.0)
    got = fit_pin(*pin_days(2000, *truth, seed))
    found = (got.alpha, got.delta, got.mu, got.epsilon_buy, got.epsilon_sell)
    np.testing.assert_allclose(found, truth, rtol=0.2)
    expected = 0.3 * 80 / (0.3 * 80 + 220)
    assert abs(got.pin - expected) < 4.5 * got.std_error < 0.03
    assert got.n_starts_agreeing >= 1
    np.testing.assert_allclose(got.news.sum(axis=1), 1, atol=1e-9)


def test_pin_does_not_depend_on_the_order_of_the_days():
    buys, sells = pin_days(80, 0.4, 0.5, 50, 100, 100, 3)
    there, back = fit_pin(buys, sells), fit_pin(buys[::-1], sells[::-1])
    assert there.pin == pytest.approx(back.pin, abs=1e-6)
    more = fit_pin(buys, sells, n_starts=12)
    assert more.loglikelihood >= there.loglikelihood - 1e-6


def test_amihud_of_the_reference(reference):
    entry = reference("amihud_small")
    given = entry["input"]["ret"], entry["input"]["dollar_volume"]
    for window in (None, 5):
        got = amihud_illiquidity(*given, window=window)
        value = got if window is None else got.iloc[-1]
        scaled = value * entry["params"]["scale"]
        assert close(scaled, entry["expected"]["illiq"], entry["tol"])


def test_amihud_knows_nothing_of_tomorrow():
    rng = np.random.default_rng(4)
    returns = pd.DataFrame(rng.normal(0, 0.01, (60, 3)), columns=list("abc"))
    value = pd.DataFrame(rng.uniform(0, 1e6, (60, 3)), columns=list("abc"))
    whole = amihud_illiquidity(returns, value, window=10)
    part = amihud_illiquidity(returns[:40], value[:40], window=10)
    pd.testing.assert_frame_equal(part, whole[:40])


def test_roll_takes_the_times_of_trades():
    rng = np.random.default_rng(5)
    times = pd.date_range("2024-03-01", periods=400, freq="s")
    prices = pd.Series(100 + 0.1 * rng.choice([-1, 1], 400), index=times)
    plain = roll_spread(prices, window=50)
    zoned = roll_spread(prices.tz_localize("UTC"), window=50)
    np.testing.assert_array_equal(zoned.spread, plain.spread)
    assert zoned.spread.index.tz is not None
