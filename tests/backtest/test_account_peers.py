"""Packages that others wrote keep the same books: backtesting.py the account, bt the book."""

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest import CostModel, run_account, run_backtest


def bars(seed: int, n_days: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2020-01-01", periods=n_days)
    close = 50 * np.exp((0.02 * rng.standard_normal(n_days)).cumsum())
    opening = np.append(50.0, close[:-1]) * np.exp(0.005 * rng.standard_normal(n_days))
    high = np.maximum(opening, close) * (1 + 0.005 * rng.random(n_days))
    low = np.minimum(opening, close) * (1 - 0.005 * rng.random(n_days))
    table = {"Open": opening, "High": high, "Low": low, "Close": close, "Volume": 1e6}
    return pd.DataFrame(table, index=days)


def targets(data: pd.DataFrame) -> pd.Series:
    "Long 60 % above the average of 20 days, short 30 % below; no order before"
    average = data["Close"].rolling(20).mean()
    return pd.Series(
        np.select([data["Close"] > average, data["Close"] <= average], [0.6, -0.3], np.nan),
        data.index,
    )


@pytest.mark.filterwarnings("ignore:Some trades remain open")  # they do, in both accounts
@pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek")  # of backtesting.py
@pytest.mark.parametrize("seed", range(3))
def test_backtesting_py_keeps_the_same_account(seed):
    backtesting = pytest.importorskip("backtesting")
    data = bars(seed)
    wanted = targets(data)

    class Follow(backtesting.Strategy):
        def init(self):
            self.row = 0

        def next(self):
            weight = wanted.loc[self.data.index[-1]]
            if weight == weight:
                units = int(weight * self.equity / self.data.Close[-1])
                missing = units - self.position.size
                if missing > 0:
                    self.buy(size=missing)
                elif missing < 0:
                    self.sell(size=-missing)

    peer = backtesting.Backtest(
        data, Follow, cash=1_000_000, commission=0.0005, margin=0.5, finalize_trades=False
    ).run()
    panel = {name.lower(): data[[name]].set_axis(["A"], axis=1) for name in data}
    result = run_account(
        wanted.to_frame("A"),
        panel,
        fill="next_open",
        lot_size=1,
        costs=CostModel(commission_bps=5),
        capital=1e6,
    )
    # the last bar's orders are filled at a bar that neither has
    equity = peer["_equity_curve"]["Equity"]
    assert len(result.trades) > 50
    np.testing.assert_allclose(result.equity.to_numpy(), equity.to_numpy(), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:A future version of pandas")  # of ffn
@pytest.mark.parametrize("seed", range(2))
def test_bt_keeps_the_same_book(seed):
    bt = pytest.importorskip("bt")
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2020-01-01", periods=120)
    names = list("ABCD")
    returns = pd.DataFrame(0.02 * rng.standard_normal((120, 4)), days, names)
    prices = 50 * (1 + returns).cumprod()
    weights = pd.DataFrame(rng.dirichlet(np.ones(4), 120) * 0.9, days, names)
    strategy = bt.Strategy("book", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    peer = bt.run(
        bt.Backtest(strategy, prices, integer_positions=False, progress_bar=False)
    ).prices["book"]
    ours = run_backtest(weights, returns).returns
    theirs = peer.pct_change().reindex(days)
    np.testing.assert_allclose(ours.iloc[1:], theirs.iloc[1:], atol=1e-9)
