"""A sealed bundle, a feed, an exchange outside the process, and engines that trade with them."""

import asyncio
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd

from quantlab.handoff import Limits, PaperEngine, ReferenceBroker, bars, load_bundle, write_bundle
from quantlab.handoff.agreement import Agreement, Origin
from quantlab.handoff.keys import make_key
from quantlab.handoff.signing import sign_bundle
from quantlab.live import (
    Close,
    LiveEngine,
    ManualClock,
    OrderState,
    ReferenceVenue,
    ReplayFeed,
    Report,
)
from quantlab.simulate import factor_world
from quantlab.trading.costs import CostModel

START = pd.Timestamp("2026-01-05", tz="UTC")
CAPITAL = 1e7
WIDE = {
    "max_order_notional": 1e9,
    "max_gross": 5.0,
    "max_position_weight": 5.0,
    "max_daily_turnover": 50.0,
    "price_collar": 0.95,
    "max_orders_per_day": 10_000,
    "max_stale_days": 10_000,
    "max_daily_loss": 0.9,
    "max_drawdown": 0.9,
}
NEVER = {
    **dict.fromkeys(("mean", "volatility", "abs_mean", "abs_std"), 0.01),
    **dict.fromkeys(("mean_allowance", "volatility_allowance"), 0.05),
    **dict.fromkeys(("mean_threshold", "volatility_threshold"), 1e6),
    **dict.fromkeys(("average_run_length", "achieved_run_length", "run_length_high"), 1e3),
    **{"run_length_low": 5e2, "detection_delay": 1e2, "block_length": 1.0},
    **{"n_resamples": 1, "seed": 0},
}


def a_world(seed=3, n_days=90, n_assets=5, every=5):
    "A market, and weights of a momentum book in it"
    market = factor_world(n_days, n_assets, edge=0.0005, rng=np.random.default_rng(seed))
    signal = market.returns.rolling(10).mean().iloc[10::every]
    weights = signal.sub(signal.mean(axis=1), axis=0)
    weights = weights.div(weights.abs().sum(axis=1), axis=0).reindex(market.returns.index)
    return market, weights


def a_bundle(folder, market, weights, *, costs, limits=WIDE, rules=None, expected=None):
    "A bundle signed by somebody known, so that it may trade on paper"
    if expected is None:
        nothing = dict.fromkeys(("returns", "turnover", "costs"), 0.0)
        expected = pd.DataFrame(nothing, index=market.returns.index)
    rules = {"daily_loss": 0.5, "drawdown": 0.6, "sequential_test": False} | (rules or {})
    path = write_bundle(
        folder,
        strategy="momentum",
        verdict="approved",
        parameters={"window": 10},
        target_weights=weights,
        expected=expected,
        universe=weights.columns,
        origin=Origin(inputs={}, code="none"),
        agreement=Agreement(
            costs=costs,
            limits=Limits(**limits),
            kill_rules=rules,
            expected_distribution={"mean": 0.0, "volatility": 0.01, "sequential_test": NEVER},
            starts="2007-01-01",
            expires="2040-12-31",
            capital=CAPITAL,
            periods_per_year=252,
        ),
    )
    pem, public = make_key(folder, name="Ada")
    sign_bundle(path, key=pem, by="Ada", reason="limits agreed", at="2026-01-31T12:00:00Z")
    return load_bundle(path, reviewers={"Ada": public})


COSTS = CostModel(
    commission_bps=1, half_spread_bps=4, impact_coefficient=0.5, borrow_bps_per_year=50
)
FREE = CostModel()


def reference(bundle):
    broker = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
    return ReferenceVenue(broker)


class Exchange:
    """An exchange outside the process: what it was told is in a file that outlives whoever told it.

    It fills an order at once, at the last close, in two parts. Its reports come twice and out of
    order. What it is worth is reckoned by the closes that it is shown.
    """

    def __init__(self, path, *, fill=True, reject=(), seed=0):
        self.path, self.fill, self.reject = Path(path), fill, set(reject)
        self.rng = np.random.default_rng(seed)
        self.marks, self.booked, self.cash = {}, 0, CAPITAL
        self.known, self.read, self.all, self.assets = [], 0, [], {}

    def lines(self):
        "What the exchange remembers: a line an order that came in or was withdrawn"
        if self.path.exists() and self.path.stat().st_size > self.read:
            with open(self.path, "rb") as file:
                file.seek(self.read)
                new = [json.loads(line) for line in file.read().splitlines()]
                self.read = file.tell()
            for line in new:
                self.known.append(line)
                self.assets |= {line["id"]: line["asset"]} if "id" in line else {}
                for order, state, notional, reason in line["reports"]:
                    made = OrderState(state), notional, 0.0, reason
                    self.all.append(Report(len(self.all) + 1, order, *made))
        return self.known

    def add(self, line):
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, json.dumps(line).encode() + b"\n")  # whole or not at all
        os.close(descriptor)

    def told(self):
        "Every report that there ever was"
        self.lines()
        return self.all

    def asset_of(self):
        self.lines()
        return self.assets

    async def submit(self, order):
        if order.id in self.asset_of():
            return
        reports = [[order.id, "accepted", 0.0, ""]]
        if order.asset in self.reject:
            reports = [[order.id, "rejected", 0.0, "no such name"]]
        elif self.fill:
            part = math.floor(order.notional * 0.6)
            reports.append([order.id, "partly filled", part, ""])
            reports.append([order.id, "filled", order.notional - part, ""])
        self.add({"id": order.id, "asset": order.asset, "reports": reports})

    async def cancel(self, ids):
        working = await self.orders()
        gone = [[name, "cancelled", 0.0, ""] for name in ids if name in working]
        self.add({"cancel": list(ids), "reports": gone})

    async def orders(self):
        states = {}
        for report in self.told():
            states[report.order] = report.state
        return {name: state for name, state in states.items() if not state.is_final}

    def _book(self):
        assets, book = self.asset_of(), dict(self.marks)
        spent = 0.0
        for report in self.told()[self.booked :]:
            asset = assets[report.order]
            book[asset] = book.get(asset, 0.0) + report.notional
            spent += report.notional
        return book, self.cash - spent

    async def positions(self):
        return {asset: value for asset, value in self._book()[0].items() if value != 0}

    async def equity(self):
        book, cash = self._book()
        return math.fsum([cash, *book.values()])

    async def reports(self, after):
        told = self.told()[max(after - 2, 0) :]
        twice = [*told, *told]
        return [twice[i] for i in self.rng.permutation(len(twice))]

    def observe(self, event):
        if isinstance(event, Close):
            book, self.cash = self._book()
            change = event.bar.returns
            self.marks = {a: x * (1 + change.get(a, 0.0)) for a, x in book.items()}
            self.booked = len(self.told())

    def snapshot(self):
        return {"marks": self.marks, "booked": self.booked, "cash": self.cash}

    def restore(self, kept):
        self.marks, self.booked, self.cash = kept["marks"], kept["booked"], kept["cash"]


STORE = None  # how the store of a folder is made; None is the engine's own


def engine(bundle, feed, venue, folder, **options):
    options = {"clock": ManualClock(START), "store": STORE and STORE(folder)} | options
    return LiveEngine(bundle, ReplayFeed(feed), venue, folder=folder, **options)


def live(bundle, feed, folder, *, venue=None, **options):
    "Run a live engine to the end of its feed"
    return asyncio.run(engine(bundle, feed, venue or reference(bundle), folder, **options).run())


def paper(bundle, feed, **options):
    "What the daily engine makes of the same bars"
    broker = ReferenceBroker(bundle.costs, capital=bundle.capital, periods_per_year=252)
    return PaperEngine(bundle, broker, **options).run(feed)


def a_feed(market):
    return list(bars(market.returns, dollar_volume=market.dollar_volume))
