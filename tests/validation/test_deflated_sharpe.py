"The test of luck over all trials: what must not move it, and how often it is wrong"

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import QuantlabError, SmallSampleWarning
from quantlab.validation import deflated_sharpe_test, stationary_bootstrap_indices

QUICK = {"block_length": 4, "n_resamples": 500, "seed": 0}


def trials(seed: int, n: int = 120, k: int = 6, common: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.standard_t(5, (n, k)) + common * rng.standard_t(5, (n, 1))
    return pd.DataFrame(0.01 * x, pd.bdate_range("2020-01-01", periods=n), list("abcdefgh")[:k])


def by_hand(x: pd.DataFrame, level: float) -> float:
    "p-value of a Sharpe ratio, resample by resample"
    r, rng = x.to_numpy(), np.random.default_rng(0)
    rows = stationary_bootstrap_indices(len(r), block_size=4, n_resamples=500, rng=rng)
    best = [((r[i] - r.mean(0)).mean(0) / r[i].std(0, ddof=1)).max() for i in rows]
    return (1 + sum(b >= level for b in best)) / 501


@given(seed=st.integers(0, 10**6), k=st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_the_pvalue_is_that_of_resamples_by_hand(seed, k):
    x = trials(seed, k=k)
    got = deflated_sharpe_test(x, **QUICK)
    ratios = x.mean() / x.std()
    assert got.selected == ratios.idxmax() and got.sharpe == pytest.approx(ratios.max())
    assert got.pvalue == pytest.approx(by_hand(x, ratios.max()), abs=1e-12)
    assert got.deflated_sharpe_ratio == 1 - got.pvalue
    np.testing.assert_allclose(got.sharpe_ratios, ratios)


@given(
    seed=st.integers(0, 10**6),
    scales=st.lists(st.floats(1e-6, 1e6), min_size=6, max_size=6),
    order=st.permutations(range(6)),
    copies=st.integers(0, 5),
)
@settings(max_examples=20, deadline=None)
def test_units_order_and_copies_move_nothing_and_an_idle_book_is_a_hidden_one(
    seed, scales, order, copies
):
    x = trials(seed) * 0.01
    got = deflated_sharpe_test(x, **QUICK)
    other = (x * np.minimum(scales, 10.0)).iloc[:, order]
    other = other.assign(**{f"copy{i}": other["c"] for i in range(copies)})
    found = deflated_sharpe_test(other, **QUICK)
    idle = deflated_sharpe_test(other.assign(idle=0.0), **QUICK)
    hidden = deflated_sharpe_test(other, n_trials=other.shape[1] + 1, **QUICK)
    assert (idle.pvalue, idle.n_hidden) == (hidden.pvalue, 1) and idle.pvalue >= found.pvalue
    assert found.pvalue == got.pvalue and found.selected == got.selected
    assert found.n_trials == 6 + copies and idle.adjusted_pvalues["idle"] == 1.0
    np.testing.assert_array_equal(
        found.adjusted_pvalues[list("abdef")], got.adjusted_pvalues[list("abdef")]
    )


@given(seed=st.integers(0, 10**6), hidden=st.integers(1, 100))
@settings(max_examples=20, deadline=None)
def test_pvalues_fall_with_the_ratio_and_rise_with_what_is_hidden(seed, hidden):
    x = trials(seed)
    got, more = (deflated_sharpe_test(x, n_trials=n, **QUICK) for n in (6, 6 + hidden))
    for result in (got, more):
        ranked = result.adjusted_pvalues[result.sharpe_ratios.sort_values(ascending=False).index]
        assert ranked.is_monotonic_increasing and ranked.between(1 / 501, 1).all()
        assert ranked.iloc[0] == result.pvalue
        assert result.passed == (result.pvalue <= 0.05) == (result.sharpe >= result.critical_sharpe)
    assert (more.adjusted_pvalues >= got.adjusted_pvalues).all()
    assert more.critical_sharpe >= got.critical_sharpe


@pytest.mark.parametrize("shown", [1, 3, 10])
def test_hiding_the_losers_never_helps_on_noise(shown):
    "At 5 %, over 300 worlds of 20 trials: a count above 27 has a chance below 1 % at the level"
    passed = 0
    for seed in range(300):
        x = np.random.default_rng(seed).standard_normal((250, 20)) * 0.01
        best = np.argsort(-x.mean(0) / x.std(0))[:shown]
        part = pd.DataFrame(x[:, best])
        passed += deflated_sharpe_test(part, n_trials=20, **QUICK).passed
    assert passed <= 27


def test_an_edge_is_found_in_its_own_trial_alone():
    x = trials(3, n=1500)
    x["d"] += 0.2 * x["d"].std() - x["d"].mean()
    got = deflated_sharpe_test(x, block_length=21, n_resamples=2000, seed=1)
    assert got.selected == "d" and got.passed and (got.adjusted_pvalues <= 0.05).sum() == 1
    other = deflated_sharpe_test(x, selected="a", block_length=21, n_resamples=2000, seed=1)
    assert other.pvalue == got.adjusted_pvalues["a"] and not other.passed


def test_few_blocks_are_told_and_prices_refused():
    x = trials(0)
    with pytest.warns(SmallSampleWarning, match="6 blocks of 21 rows"):
        deflated_sharpe_test(x, n_resamples=500, seed=0)
    with pytest.raises(QuantlabError, match="trial_returns"):
        deflated_sharpe_test(x.T.reset_index(drop=True), **QUICK)
