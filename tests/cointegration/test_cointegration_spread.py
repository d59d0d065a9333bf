"""Spreads: Kalman filter, Ornstein-Uhlenbeck, thresholds, hedge ratios."""

import numpy as np
import pandas as pd
import pytest
from conftest import close
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.cointegration import (
    adf,
    bertram_thresholds,
    dfgls,
    filtered_level,
    half_life,
    hedge_ratios,
    johansen,
    kalman_hedge_ratio,
    kpss,
    ou_fit,
    phillips_perron,
    variance_ratio,
    zivot_andrews,
)
from quantlab.errors import QuantlabError, SpecificationError
from quantlab.simulate import cointegrated_pair, ornstein_uhlenbeck, random_walks

Y, X = cointegrated_pair(400, hedge_ratio=1.3, intercept=0.2, phi=0.8, rng=np.random.default_rng(0))
GIVEN = {"observation_variance": 1e-4, "state_variance": [1e-6, 1e-6]}


@pytest.fixture
def pair(reference_data):
    return pd.read_csv(reference_data / "kalman_pair.csv")


def test_kalman_without_state_noise_is_least_squares(reference, pair):
    entry = reference("kalman_pair_ols")
    fixed = {"observation_variance": 1.0, "state_variance": 0.0}
    last = kalman_hedge_ratio(pair["y"], pair["x"], **fixed).iloc[-1]
    assert close(last["intercept"], entry["expected"]["ols_intercept"], entry["tol"])
    assert close(last["hedge_ratio"], entry["expected"]["ols_slope"], entry["tol"])
    window = pair.iloc[440:500]
    last = kalman_hedge_ratio(window["y"], window["x"], **fixed).iloc[-1]
    assert close(last["intercept"], entry["expected"]["roll60_intercept"], entry["tol"])
    assert close(last["hedge_ratio"], entry["expected"]["roll60_slope"], entry["tol"])


def test_filtered_level_is_the_nile(reference, reference_data):
    entry = reference("nile_local_level")
    flow = pd.read_csv(reference_data / "nile.csv")["flow"]
    level = filtered_level(flow, observation_variance=15099, state_variance=1469.1)
    rows = np.array(entry["expected"]["index_filtered"]) - 1
    for got, expected in zip(level.iloc[rows], entry["expected"]["filtered"], strict=True):
        assert close(got, expected, entry["tol"])
    assert close(level.attrs["loglikelihood"], entry["expected"]["loglik_diffuse"], entry["tol"])
    estimated = filtered_level(flow).attrs
    assert estimated["observation_variance"] == pytest.approx(15099, rel=1e-3)
    assert estimated["state_variance"] == pytest.approx(1469.1, rel=1e-3)


def test_kalman_equals_statsmodels():
    from statsmodels.tsa.statespace.mlemodel import MLEModel

    model = MLEModel(Y.to_numpy(), k_states=2)
    model.ssm["design"] = np.column_stack([np.ones(len(X)), X]).T[None]
    model.ssm["transition"] = model.ssm["selection"] = np.eye(2)
    model.ssm["obs_cov"] = np.array([[1e-4]])
    model.ssm["state_cov"] = np.diag([1e-6, 2e-6])
    prior = np.diag([0.5, 0.25])
    # statsmodels starts from the state of the first row, after the prediction
    model.ssm.initialize_known(np.array([0.1, 1.0]), prior + np.diag([1e-6, 2e-6]))
    ours = kalman_hedge_ratio(
        Y,
        X,
        observation_variance=1e-4,
        state_variance=[1e-6, 2e-6],
        initial_state=[0.1, 1.0],
        initial_covariance=prior,
    )
    peer = model.ssm.filter()
    assert np.allclose(ours, peer.filtered_state.T, rtol=1e-8, atol=1e-10)
    assert ours.attrs["loglikelihood"] == pytest.approx(peer.llf_obs.sum(), rel=1e-9)


def test_kalman_maximum_likelihood_is_a_maximum(pair):
    y, x = pair["y"], pair["x"]
    found = kalman_hedge_ratio(y, x).attrs
    best = found["loglikelihood"]
    again = kalman_hedge_ratio(
        y,
        x,
        observation_variance=found["observation_variance"],
        state_variance=found["state_variance"],
    )
    assert again.attrs["loglikelihood"] == pytest.approx(best, abs=1e-9)
    for r in (0.5, 0.9, 1.1, 2.0):
        for a in (0.0, 0.5, 1.5):
            for b in (0.0, 1e-6, 1e-5, 1e-4):
                state = np.diag(found["state_variance"]) * [a, 1] + [0, b]
                other = kalman_hedge_ratio(
                    y,
                    x,
                    observation_variance=r * found["observation_variance"],
                    state_variance=state,
                )
                assert other.attrs["loglikelihood"] <= best + 1e-6


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(5, 399), shock=st.floats(-5, 5))
def test_kalman_knows_nothing_of_the_future(cut, shock):
    whole = kalman_hedge_ratio(Y, X, **GIVEN)
    changed = Y.copy()
    changed.iloc[cut:] += shock
    assert kalman_hedge_ratio(changed, X, **GIVEN).iloc[:cut].equals(whole.iloc[:cut])


@pytest.mark.parametrize("state", [1e-12, 1e-4, 1e4, 1e12])
def test_kalman_is_identified_by_the_rows_and_not_by_the_variances(state):
    "As many rows stand behind every likelihood, so that two of them may be compared"
    x = X.copy()
    x.iloc[1:4] = x.iloc[0] * (1 + 1e-13)  # rounding is no move
    out = kalman_hedge_ratio(Y, x, observation_variance=1e-4, state_variance=state)
    assert out.isna().sum().tolist() == [4, 4]


def test_kalman_of_a_path_without_observation_error_repeats_it_and_says_so():
    grown = Y.add(1.06 ** np.arange(len(Y)))
    out = kalman_hedge_ratio(grown, X)
    assert out.isna().sum().tolist() == [1, 1] and "repeats y" in out.attrs["note"]
    assert abs(out["intercept"] + out["hedge_ratio"] * X - grown).max() < 1e-6 * grown.max()
    assert kalman_hedge_ratio(Y, X).attrs["note"] == ""


def test_kalman_waits_until_both_numbers_are_identified():
    x = X.copy()
    x.iloc[:10] = x.iloc[0]
    out = kalman_hedge_ratio(Y, x, **GIVEN)
    assert out.iloc[:10].isna().all(axis=None) and out.iloc[10:].notna().all(axis=None)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"observation_variance": 0.0}, "`observation_variance` must be"),
        ({"state_variance": -1.0}, "without negative eigenvalues"),
        ({"state_variance": [1, 2, 3]}, "2 numbers"),
        ({"initial_state": [0, 1]}, "give both or neither"),
        ({"initial_state": [0, np.nan], "initial_covariance": 1.0}, "2 finite numbers"),
    ],
)
def test_kalman_refuses_options(options, sentence):
    with pytest.raises(SpecificationError, match=sentence):
        kalman_hedge_ratio(Y, X, **options)


def test_spread_functions_refuse():
    late = X.index[50]
    for y, x, sentence in (
        (Y[:5], X[:5], "at least 20"),
        (Y, X * 0, "constant"),
        (Y, X.shift(1, freq="B"), "on one index"),
        (Y.where(Y.index != late), X, "missing"),
        (Y.where(Y.index != late, np.inf), X, "infinite"),
        (Y[::-1], X[::-1], "time order"),
        (Y.astype(str), X, "numbers only"),
    ):
        for function in (kalman_hedge_ratio, hedge_ratios):
            with pytest.raises(QuantlabError, match=sentence):
                function(y, x)
    spread = Y - 1.3 * X
    for bad, sentence in (
        (spread[:5], "at least 20"),
        (spread * 0, "constant"),
        (spread * np.nan, "no value"),
    ):
        with pytest.raises(QuantlabError, match=sentence):
            ou_fit(bad, dt=1)
    with pytest.raises(QuantlabError, match="at least 20"):
        filtered_level(spread[:5])
    with pytest.raises(SpecificationError, match="`dt`"):
        ou_fit(spread, dt=0)
    with pytest.raises(SpecificationError, match="result of `ou_fit`"):
        bertram_thresholds(spread, cost=0.1)
    with pytest.raises(SpecificationError, match="`cost`"):
        bertram_thresholds(ou_fit(spread, dt=1), cost=-0.1)


def test_ou_fit_equals_r(reference, reference_data):
    entry = reference("ou_mle_path")
    fit = ou_fit(pd.read_csv(reference_data / "ou_path.csv")["x"], dt=entry["params"]["dt"])
    expected = entry["expected"]
    for got, name in (
        (fit.kappa, "theta"),
        (fit.theta, "theta"),
        (fit.mu, "mu"),
        (fit.sigma, "sigma_mle"),
        (fit.half_life, "half_life_exact_days"),
    ):
        assert close(got, expected[name], entry["tol"])


def test_ou_fit_maximises_the_exact_likelihood():
    from scipy.stats import norm

    x = ornstein_uhlenbeck(
        300, kappa=5.0, mu=0.2, sigma=0.4, dt=1 / 252, rng=np.random.default_rng(1)
    )
    fit = ou_fit(x, dt=1 / 252)

    def loglikelihood(kappa, mu, sigma):
        phi = np.exp(-kappa / 252)
        scale = sigma * np.sqrt((1 - phi**2) / (2 * kappa))
        return norm.logpdf(x.iloc[1:].to_numpy(), mu + phi * (x.to_numpy()[:-1] - mu), scale).sum()

    best = loglikelihood(fit.kappa, fit.mu, fit.sigma)
    assert best == pytest.approx(fit.loglikelihood, rel=1e-10)
    for factor in (0.97, 1.03):
        assert loglikelihood(fit.kappa * factor, fit.mu, fit.sigma) < best
        assert loglikelihood(fit.kappa, fit.mu * factor, fit.sigma) < best
        assert loglikelihood(fit.kappa, fit.mu, fit.sigma * factor) < best


@settings(max_examples=30, deadline=None)
@given(cost=st.floats(1e-4, 3.0), scale=st.floats(0.01, 100))
def test_bertram_thresholds_are_the_best_and_scale(cost, scale):
    x = ornstein_uhlenbeck(500, kappa=0.1, rng=np.random.default_rng(2))
    rule = bertram_thresholds(ou_fit(x, dt=1), cost=cost)
    other = bertram_thresholds(ou_fit(scale * x, dt=1), cost=scale * cost)
    assert other.entry_in_std == pytest.approx(rule.entry_in_std, rel=1e-6)
    assert rule.profit_per_cycle > 0 and rule.expected_return > 0
    dearer = bertram_thresholds(ou_fit(x, dt=1), cost=1.1 * cost)
    assert dearer.entry_in_std > rule.entry_in_std
    assert dearer.expected_return < rule.expected_return


def test_hedge_ratios_equal_their_peers():
    from arch.unitroot.cointegration import DynamicOLS, FullyModifiedOLS

    table = hedge_ratios(Y, X)
    assert table.loc["dols", "hedge_ratio"] == pytest.approx(
        DynamicOLS(Y, X.to_frame(), lags=1, leads=1).fit().params["x"]
    )
    assert table.loc["fmols", "hedge_ratio"] == pytest.approx(
        FullyModifiedOLS(Y, X.to_frame()).fit().params["x"]
    )
    c = np.cov(X, Y)
    gap = c[1, 1] - c[0, 0]
    slope = (gap + np.sqrt(gap**2 + 4 * c[0, 1] ** 2)) / (2 * c[0, 1])  # Deming, equal variances
    assert table.loc["tls", "hedge_ratio"] == pytest.approx(slope, rel=1e-9)
    assert table.loc["ols", "hedge_ratio"] == pytest.approx(np.polyfit(X, Y, 1)[0])


# --- pictures ---------------------------------------------------------------------------------


def test_unit_root_results_show_the_statistic_in_or_out_of_the_shaded_part():
    walk = random_walks(400, 1, rng=np.random.default_rng(0))["A0"]
    home = ornstein_uhlenbeck(400, kappa=0.2, rng=np.random.default_rng(0))
    for test in (adf, kpss, phillips_perron, dfgls, zivot_andrews, variance_ratio):
        for series in (walk, home):
            result = test(series)
            axes = result.plot()
            spans = [(p.get_x(), p.get_x() + p.get_width()) for p in axes.patches]
            inside = any(a < result.statistic < b for a, b in spans)
            critical = result.critical_values[0.05]
            beyond = {"KPSS": result.statistic > critical, "variance ratio": False}
            expected = beyond.get(result.test, result.statistic < critical)
            if result.test == "variance ratio":
                expected = abs(result.statistic) > critical
            assert inside == expected
            low, high = axes.get_xlim()
            assert low < result.statistic < high
            assert len(axes.lines) == (7 if result.test == "variance ratio" else 4)
            assert "statistic" in axes.get_xlabel() and result.test in axes.get_title(loc="left")


def test_the_johansen_picture_has_a_bar_and_a_bar_to_reach_for_each_rank():
    y, x = cointegrated_pair(500, hedge_ratio=1.2, phi=0.8, rng=np.random.default_rng(1))
    result = johansen(pd.DataFrame({"y": y, "x": x}))
    axes = result.plot()
    assert [p.get_height() for p in axes.patches] == pytest.approx(list(result.trace_statistic))
    heights = [segment[0, 1] for segment in axes.collections[0].get_segments()]
    assert heights == pytest.approx(list(result.trace_critical_values[0.05]))
    assert "1 of 2" in axes.get_title(loc="left") and axes.get_ylabel()


def test_the_half_life_picture_holds_the_interval_even_without_an_end():
    for kappa, ends in ((0.1, True), (0.003, False)):
        spread = ornstein_uhlenbeck(504, kappa=kappa, rng=np.random.default_rng(0))
        result = half_life(spread)
        axes = result.plot()
        assert np.isfinite(result.upper) == ends
        labels = axes.get_legend_handles_labels()[1]
        assert ("no upper end" in labels) == (not ends)
        left, right = axes.collections[0].get_segments()[0][:, 0]
        assert left == pytest.approx(result.lower)
        assert right == (pytest.approx(result.upper) if ends else axes.get_xlim()[1])
        assert "periods" in axes.get_xlabel()


def test_the_picture_of_an_ou_process_is_its_stationary_density():
    fit = ou_fit(ornstein_uhlenbeck(800, kappa=0.1, rng=np.random.default_rng(2)), dt=1 / 252)
    axes = fit.plot()
    x, density = axes.lines[0].get_data()
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-3)
    assert x[density.argmax()] == pytest.approx(fit.mu)
    assert axes.get_xlabel() == "spread" and "density" in axes.get_ylabel()


def test_the_half_life_of_an_ou_process_does_not_depend_on_its_clock():
    spread = ornstein_uhlenbeck(800, kappa=0.1, rng=np.random.default_rng(2))
    days, years = ou_fit(spread, dt=1), ou_fit(spread, dt=1 / 252)
    assert years.half_life == pytest.approx(days.half_life)
    assert np.log(2) / years.kappa == pytest.approx(years.half_life / 252)
    assert "periods of the data whatever `dt`" in ou_fit.__doc__
