"""Splits and crashes by the same ratios: known truth, simulated and put into real data."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from quantlab.data import Panel, adjust_splits, find_splits, load_panel
from quantlab.errors import DataError, MissingDataError, SpecificationError

RATIOS = [1.25, 4 / 3, 1.5, 2, 2, 3, 4, 5, 10, 0.5, 0.2, 0.1, 0.05]
N, M = 600, 24


def _persistent(rng, memory, step):
    "A first-order autoregression for each name"
    x, path = np.zeros(M), np.empty((N, M))
    for t in range(N):
        x = memory * x + rng.normal(0, step, M)
        path[t] = x
    return path


def simulated(seed):
    """A panel in which half of the names split and half crash by a ratio; the truth beside it.

    Crashes: through the day on usual trading, overnight on four to twenty times the usual, or
    overnight with the value traded halved for good, so that no more shares trade than before."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.012, 0.03, M) * np.exp(_persistent(rng, 0.95, 0.12))
    market = rng.normal(0, 0.008, (N, 1))
    fat = lambda: rng.standard_t(4, (N, M)) / np.sqrt(2)
    night = 0.5 * market + np.sqrt(0.3) * size * fat()
    day = 0.5 * market + np.sqrt(0.7) * size * fat()
    value = 17 + _persistent(rng, 0.9, 0.2) + rng.normal(0, 0.25, (N, M))
    value += 0.5 * np.minimum(np.abs(night + day) / size, 6) - 0.4
    jumps, splits, crashes = np.zeros((N, M)), {}, {}
    for j in range(M):
        t = int(rng.integers(80, N - 20))
        if j < M // 2:
            ratio = RATIOS[rng.integers(len(RATIOS))]
            jumps[t, j], splits[j, t] = -np.log(ratio), ratio
            continue
        kind, move = ("day", "news", "fewer")[j % 3], -np.log(rng.choice([4 / 3, 1.5, 2, 2, 3]))
        crashes[j, t] = kind
        part = rng.uniform(0.2, 0.65) if kind == "day" else 1.0
        night[t, j] += part * move
        day[t, j] += (1 - part) * move
        if kind == "news":
            value[t : t + 20, j] += np.log(rng.uniform(4, 20)) * np.exp(-np.arange(20) / 5)
        if kind == "fewer":
            value[t:, j] += move
    adjusted = np.exp(4 + np.cumsum(night + day, axis=0))
    close = adjusted * np.exp(np.cumsum(jumps, axis=0))
    table = lambda x: pd.DataFrame(
        x, pd.bdate_range("2015-01-01", periods=N), [f"N{j}" for j in range(M)]
    )
    fields = {
        "prices": table(close), "open": table(close * np.exp(-day)), "close": table(close),
        "volume": table(np.exp(value) / close),
    }  # fmt: skip
    return Panel(fields), splits, crashes, table(adjusted)


def called(panel, **options):
    "Position of each split found, to its row"
    found = find_splits(panel, **options)
    at = zip(panel.columns.get_indexer(found["asset"]), panel.index.get_indexer(found["date"]))
    return dict(zip(at, found.to_dict("records")))


def test_splits_are_found_and_crashes_are_not_called_splits():
    found = hits = right = other = 0
    crashed = {"day": [], "news": [], "fewer": []}
    for seed in range(25):
        panel, splits, crashes, _ = simulated(seed)
        rows = called(panel)
        hits += len(splits)
        found += sum(cell in rows for cell in splits)
        right += sum(rows[cell]["ratio"] == r for cell, r in splits.items() if cell in rows)
        for cell, kind in crashes.items():
            crashed[kind].append(cell in rows)
        other += len(set(rows) - set(splits) - set(crashes))
    assert found / hits > 0.82 and right / found > 0.98, (found, right, hits)
    assert np.mean(crashed["day"]) == 0
    assert np.mean(crashed["news"]) < 0.06
    assert np.mean(crashed["fewer"]) < 0.65  # one day of usual trading; only the share count tells
    assert other <= 2, other


def test_a_threshold_that_lets_news_through_does():
    panel, splits, crashes, _ = simulated(3)
    news = {cell for cell, kind in crashes.items() if kind == "news"}
    strict, loose = called(panel), called(panel, max_trading=1000.0)
    assert len(news & set(loose)) > len(news & set(strict))
    assert not called(panel, min_overnight=1.0, max_trading=0.0)


def test_the_vendor_s_own_splits_are_certain_whatever_the_trading():
    for seed in range(5):
        panel, splits, _, adjusted = simulated(seed)
        rows = called(panel.with_fields({"prices": adjusted}))
        sure = {c: r for c, r in rows.items() if r["confidence"] == "certain"}
        assert {cell: r["ratio"] for cell, r in sure.items()} == pytest.approx(splits)
        assert not any(r["adjusted_moves"] for r in sure.values())


def test_applying_the_true_splits_gives_the_world_without_them():
    panel, splits, _, adjusted = simulated(0)
    table = pd.DataFrame(
        [(panel.columns[j], panel.index[t], r) for (j, t), r in splits.items()],
        columns=["asset", "date", "ratio"],
    )
    for fields in (panel.fields, {**panel.fields, "returns": panel.returns}):
        whole = adjust_splits(Panel(fields), table, action="apply")
        np.testing.assert_allclose(
            whole.returns.iloc[1:], adjusted.pct_change().iloc[1:], atol=1e-11
        )
        np.testing.assert_allclose(whole.close * whole.volume, panel.close * panel.volume)
        np.testing.assert_allclose(whole.close / whole.open, panel.close / panel.open)
        assert whole.close.iloc[-1].equals(panel.close.iloc[-1])  # the last level is today's
        assert not set(called(whole)) & set(splits)
    apart = adjust_splits(panel, table, action="quarantine")
    assert apart.returns.isna().sum().sum() == panel.returns.isna().sum().sum() + len(splits)
    assert adjust_splits(panel, table.iloc[:0], action="apply") is panel


def test_a_split_on_a_day_without_a_price_counts_on_the_next():
    days = pd.bdate_range("2020-01-01", periods=6)
    prices = pd.DataFrame({"A": [10.0, 10.0, np.nan, 5.0, 5.5, 5.5], "B": 1.0}, days)
    split = pd.DataFrame({"asset": ["A"], "date": [days[2]], "ratio": [2.0]})
    given = Panel({"prices": prices, "returns": Panel({"prices": prices}).returns})
    np.testing.assert_allclose(
        adjust_splits(given, split, action="apply").returns["A"].iloc[[1, 3, 4]], [0, 0, 0.1]
    )


@pytest.fixture(scope="module")
def equity():
    panel = load_panel(ROOT / "data" / "equity")
    return panel.select(panel.columns.drop("USDOLLAR"))


def test_splits_put_into_real_returns_are_found(equity):
    "Real noise, real trading: ten years of 431 names, one split each in 300 of them"
    rng, values, truth = np.random.default_rng(0), equity.returns.to_numpy(copy=True), {}
    for j in rng.permutation(values.shape[1])[:300]:
        t, ratio = int(rng.integers(80, len(values) - 30)), RATIOS[rng.integers(len(RATIOS))]
        values[t, j] = (1 + values[t, j]) / ratio - 1
        truth[j, t] = ratio
    returns = pd.DataFrame(values, equity.index, equity.columns)
    rows = called(equity.with_fields({"returns": returns}))
    large = [cell for cell, r in truth.items() if r >= 2 or r <= 0.5]
    small = [cell for cell in truth if cell not in large]
    assert np.mean([cell in rows for cell in large]) > 0.88
    assert np.mean([cell in rows for cell in small]) > 0.78
    assert all(np.isclose(rows[cell]["ratio"], r) for cell, r in truth.items() if cell in rows)
    assert len(set(rows) - set(truth)) <= 8


def test_real_crashes_are_not_called_splits(equity):
    "This vendor adjusts: 431 names over ten years, the crisis of 2008 among them"
    large = (np.abs(np.log1p(equity.returns)) > 0.2).to_numpy().sum()
    found = find_splits(equity)
    assert large > 150 and len(found) <= 8, (large, len(found))


def test_bad_input_ends_in_one_sentence():
    panel, *_ = simulated(0)
    row = {"asset": ["N1"], "date": [panel.index[100]], "ratio": [2.0]}
    for changed, message in (
        ({"asset": ["N99"]}, "near it"),
        ({"ratio": [0.0]}, "ratio 0 for 'N1'"),
        ({"ratio": [1.0]}, "above 0 and not 1"),
        ({"date": ["soon"]}, "not a date"),
        ({"date": [panel.index[0]]}, "must lie after the first row"),
    ):
        with pytest.raises(DataError, match=message):
            adjust_splits(panel, pd.DataFrame(row | changed), action="apply")
    with pytest.raises(SpecificationError, match="must be a finite number"):
        adjust_splits(panel, pd.DataFrame(row | {"ratio": [np.nan]}), action="apply")
    with pytest.raises(DataError, match="needs the columns"):
        adjust_splits(panel, None, action="apply")
    with pytest.raises(SpecificationError, match="`action` must be one of"):
        adjust_splits(panel, pd.DataFrame(row), action="ignore")
    for option in ({"tolerance": -1}, {"min_move": 0}, {"min_overnight": 75}, {"window": 2.5}):
        with pytest.raises(SpecificationError, match=next(iter(option))):
            find_splits(panel, **option)
    with pytest.raises(SpecificationError, match="must be a Panel"):
        find_splits(panel.prices)
    with pytest.raises(MissingDataError, match="looked for in `close`"):
        find_splits(Panel({"volume": panel.volume}))
