"""Numbers that look right and are not: units, noise, places, and what was counted twice."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from quantlab.backtest import (
    drawdown_table,
    drawdowns,
    lint_lookahead,
    performance_summary,
    run_backtest,
    value_at_risk,
)
from quantlab.errors import QuantlabError, ScaleWarning, SpecificationError
from quantlab.factors import sector_contributions
from quantlab.validation import (
    annualized_sharpe_ratio,
    estimate_sharpe,
    haircut_sharpe,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
    sharpe_ratio,
    superior_predictive_ability,
)


def _daily(n=500, seed=1, mean=0.0006):
    values = np.random.default_rng(seed).normal(mean, 0.01, n)
    return pd.Series(values, pd.bdate_range("2020-01-01", periods=n))


def test_a_drawdown_ends_where_the_old_high_is_reached_again():
    for high in (103.0, 7.0, 0.3, 1e5 / 3):
        prices = pd.Series(
            [high, high * 0.9, high * 0.8, high] + [high] * 20,
            pd.bdate_range("2020-01-01", periods=24),
        )
        table = drawdown_table(prices.pct_change().dropna())
        assert len(table) == 1 and table["length"][0] == 2 and table["end"][0] == prices.index[3]
    barely = pd.Series([0.0, -1e-9, 0.0])
    assert len(drawdown_table(barely)) == 1 and drawdown_table(barely)["end"][0] is None


@pytest.mark.parametrize("rate", [1e-5, 1e-4, 0.01, -0.003])
def test_ratios_over_rounding_noise_are_not_numbers(rate):
    steady = (
        pd.Series(100 * (1 + rate) ** np.arange(300), pd.bdate_range("2020-01-01", periods=300))
        .pct_change()
        .dropna()
    )
    assert 0 < steady.std() < 1e-14
    got = performance_summary(steady, periods_per_year=252)
    assert np.isnan(
        [got.sharpe_ratio, got.annualized_sharpe_ratio, got.skewness, got.kurtosis]
    ).all()
    for call in (
        sharpe_ratio,
        estimate_sharpe,
        lambda r: annualized_sharpe_ratio(r, periods_per_year=252),
    ):
        with pytest.raises(QuantlabError, match="constant"):
            call(steady)
    market = _daily()
    beside = performance_summary(market + rate, periods_per_year=252, benchmark=market)
    assert np.isnan(beside.information_ratio) and beside.beta == pytest.approx(1)


def test_a_risk_free_rate_of_the_returns_own_size_is_noise_too():
    rising = pd.Series(0.01 + 1e-17 * np.arange(50))
    assert np.isnan(performance_summary(rising, periods_per_year=12, risk_free=0.01).sharpe_ratio)


def test_sharpe_ratios_know_their_unit():
    s = performance_summary(_daily(), periods_per_year=252)
    with pytest.raises(SpecificationError, match="annualised"):
        probabilistic_sharpe_ratio(s.annualized_sharpe_ratio, n_obs=500)
    assert 0 < probabilistic_sharpe_ratio(s.sharpe_ratio, n_obs=500) < 1
    with pytest.raises(SpecificationError, match="per period"):
        haircut_sharpe(s.sharpe_ratio, n_obs=500, periods_per_year=252, n_tests=3)
    for value, n_obs in ((1.2, 1250), (0.9, 500), (-1.5, 60), (1.2, 100)):
        with pytest.warns(ScaleWarning, match="annualised"):
            probabilistic_sharpe_ratio(value, n_obs=n_obs)
    # days, months, years, months
    for value, n_obs in ((0.06, 2500), (0.5, 60), (1.2, 10), (0.45, 240)):
        probabilistic_sharpe_ratio(value, n_obs=n_obs)


def test_an_effective_number_of_observations_may_have_decimals():
    whole, real, between = (probabilistic_sharpe_ratio(0.1, n_obs=n) for n in (100, 100.0, 100.5))
    assert whole == real < between
    assert haircut_sharpe(1.0, n_obs=100.5, periods_per_year=12, n_tests=3).pvalue > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda r: performance_summary(r, periods_per_year=252, risk_free=0.03),
        lambda r: annualized_sharpe_ratio(r, periods_per_year=252, risk_free=0.03),
        lambda r: sharpe_ratio(r, risk_free=0.03),
        lambda r: performance_summary(r, periods_per_year=12),
        lambda r: annualized_sharpe_ratio(
            r.set_axis(pd.date_range("1980-01-31", periods=len(r), freq="ME")), periods_per_year=252
        ),
        lambda r: performance_summary((100 * r).clip(-0.9), periods_per_year=252),
        lambda r: sharpe_ratio(100 * r),
    ],
)
def test_units_that_went_astray_are_told(call):
    with pytest.warns(ScaleWarning):
        call(_daily(120))


def test_prices_are_no_returns():
    prices = 100 * (1 + _daily()).cumprod()
    for call in (
        drawdowns,
        sharpe_ratio,
        lambda r: performance_summary(r, periods_per_year=252),
        value_at_risk,
    ):
        for level in (1, 0.012):
            with pytest.raises(QuantlabError, match="prices or growth factors"):
                call(prices * level)


def _book(seed=0, n=200):
    rng = np.random.default_rng(seed)
    days, names = pd.bdate_range("2020-01-01", periods=n), list("abcd")
    return pd.DataFrame(rng.normal(0, 0.01, (n, 4)), days, names), rng


WEIGHTS_OF = {
    "equal": lambda r, g: r * 0 + 0.25,
    "drawn": lambda r, g: pd.DataFrame(g.dirichlet(np.ones(4), len(r)), r.index, r.columns),
    "signs": lambda r, g: np.sign(r) / 4,
    "slow": lambda r, g: r.rolling(60, min_periods=1).mean() * 40,
    "monthly": lambda r, g: (
        (r.rolling(20).mean() > 0)
        .astype(float)[np.arange(len(r)) % 21 == 0]
        .reindex(r.index)
        .ffill()
        .fillna(0)
        / 2
    ),
}


@pytest.mark.parametrize("name", WEIGHTS_OF)
@pytest.mark.parametrize("seed", range(3))
def test_weights_and_returns_in_each_others_place_are_refused(name, seed):
    r, g = _book(seed)
    w = WEIGHTS_OF[name](r, g)
    run_backtest(w, r)
    with pytest.raises(QuantlabError, match="changed places"):
        run_backtest(r, w)


def test_weights_in_percent_and_prices_in_a_backtest():
    r, _ = _book()
    with pytest.warns(ScaleWarning, match="times the equity"):
        run_backtest(r * 0 + 25.0, r / 1000)
    with pytest.raises(QuantlabError, match="prices"):
        run_backtest(r * 0 + 0.25, 100 * (1 + r).cumprod())


def test_one_backtest_has_one_sharpe_ratio():
    r, _ = _book()
    w = r * 0 + 0.25
    w.iloc[:60] = 0.0
    run = run_backtest(w, r, periods_per_year=252)
    summary = performance_summary(run.returns, periods_per_year=252)
    assert summary.nobs == run.nobs == len(r) - 61
    shown = run.summary()
    assert shown["Sharpe ratio (annualized)"] == summary.annualized_sharpe_ratio
    assert (
        shown["Sharpe ratio (per period)"]
        == summary.sharpe_ratio
        == sharpe_ratio(run.returns)
        == performance_summary(run, periods_per_year=252).sharpe_ratio
    )
    other = run_backtest(r * 0 + 0.25, r)
    mixed = (run.returns + other.returns) / 2  # the mark of the first does not fit the sum
    assert performance_summary(mixed, periods_per_year=252).nobs >= len(r) - 1


def test_a_ruined_book_has_a_sharpe_ratio():
    ruined = _daily(40).mask(lambda r: r.index == r.index[-1], -1.0)
    assert sharpe_ratio(ruined) < 0
    s = performance_summary(ruined, periods_per_year=252)
    assert s.total_return == s.annualized_return == -1 and s.max_drawdown == 1
    assert sharpe_ratio(ruined * 1.5) < 0
    with pytest.raises(QuantlabError, match="cannot be compounded"):
        performance_summary(ruined * 1.5, periods_per_year=252)


@pytest.mark.parametrize("seed", range(3))
def test_sectors_of_held_weights_add_up(seed):
    r, g = _book(seed)
    run = run_backtest(WEIGHTS_OF["drawn"](r, g), r)
    sectors = pd.Series(list("xxyy"), r.columns)
    held = run.weights
    for part in (held, held.iloc[50:], held[list("abcd")]):
        total = sector_contributions(part, r.loc[part.index], sectors).sum(axis=1)
        np.testing.assert_allclose(total, run.gross_returns.loc[part.index], atol=1e-15)
    decided = sector_contributions(held.shift(-1), r, sectors).sum(axis=1)
    np.testing.assert_allclose(decided, run.gross_returns, atol=1e-15)


def test_nothing_chosen_is_no_overfitting():
    one = np.random.default_rng(0).normal(0.1, 1, (320, 1))
    for scale in (np.ones(5), np.array([1, 2, 3, 0.7, 1e-3])):  # the same trial at other leverages
        got = probability_of_backtest_overfitting(pd.DataFrame(one * scale))
        assert np.isnan(got.pbo) and got.selected.sum() == 0 and np.isnan(got.logits).all()
        got.plot()
    two = pd.DataFrame(np.c_[one, one, np.random.default_rng(1).normal(0, 1, (320, 2))])
    twice = probability_of_backtest_overfitting(two)
    assert twice.selected[1] == 0  # of trials that are the same, the first is chosen
    leveraged = probability_of_backtest_overfitting(two * [1, 3.3, 1, 0.1])
    assert leveraged.pbo == twice.pbo and list(leveraged.selected) == list(twice.selected)


def test_a_loss_that_differs_by_rounding_is_no_better_model():
    loss = pd.Series(np.random.default_rng(0).normal(0, 0.01, 300))
    same = pd.DataFrame(
        {
            "same": (loss + 0.1) - 0.1,
            "worse": loss + np.random.default_rng(1).normal(0.001, 0.01, 300),
        }
    )
    got = superior_predictive_ability(loss, same, block_size=5, n_resamples=200, seed=0)
    assert got.statistics["same"] == 0 and got.pvalue_consistent > 0.5
    with pytest.raises(QuantlabError, match="differs from the benchmark by a constant"):
        superior_predictive_ability(
            loss, loss.to_frame("fee") - 1e-4, block_size=5, n_resamples=200, seed=0
        )


def test_the_library_does_not_look_ahead_unawares():
    root = ROOT
    wings = [
        p
        for p in sorted((root / "nbs").iterdir())
        if p.name not in ("stages", "tutorials") and p.suffix in ("", ".ipynb")
    ]
    for place in [root / "quantlab", *wings]:
        found = lint_lookahead(place)
        assert found.empty, found.to_string()


def test_a_sweep_takes_prices_for_returns_no_more_than_a_backtest_does():
    from quantlab.backtest import parameter_surface, sweep_returns

    days = pd.bdate_range("2020-01-01", periods=300)
    rng = np.random.default_rng(0)
    prices = 100 * (1 + 0.01 * rng.standard_normal((300, 3))).cumprod(axis=0)
    prices = pd.DataFrame(prices, days, list("abc"))
    weights = prices * 0 + 0.3
    one = pd.DataFrame({"x": 0.5, "y": -0.5}, index=days)
    for run in (
        lambda r: sweep_returns({"one": weights * r.notna()}, r),
        lambda r: sweep_returns(one, r["a"]),
        lambda r: parameter_surface(
            lambda k: weights * k, r, grid={"k": [0.5, 1.0]}, centre={"k": 1.0}
        ),
    ):
        with pytest.raises(QuantlabError, match="prices"):
            run(prices)
        with pytest.warns(ScaleWarning, match="percent"):
            run(0.4 * np.sign(prices.diff().fillna(1.0)))
