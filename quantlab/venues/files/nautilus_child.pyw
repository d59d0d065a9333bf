"""NautilusTrader as a venue: one JSON line asked on stdin, one answered on the first stdout.

Run by the Python of an environment that has nautilus_trader, never by quantlab's own, and given the
folder of a bundle: its manifest says capital and costs, its weights name the assets. Nothing of
quantlab is imported, so that what it says is a second opinion. Prices are what 1,000 became by the
returns of the bars, quantities are notional over price; money, quantities and prices are rounded to
as many decimals as it is told, at most the 16 of the wheels. What it trades in is a BacktestEngine,
or a live TradingNode with the sandbox as its execution client.
"""

import asyncio
import json
import math
import os
import sys
from decimal import Decimal
from pathlib import Path

ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")  # what NautilusTrader prints goes elsewhere
os.dup2(2, 1)

import pyarrow.parquet as pq  # noqa: E402
from nautilus_trader import __version__  # noqa: E402
from nautilus_trader.adapters.sandbox import execution as sandbox_execution  # noqa: E402
from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig  # noqa: E402
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory  # noqa: E402
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig  # noqa: E402
from nautilus_trader.backtest.config import SimulationModuleConfig  # noqa: E402
from nautilus_trader.backtest.models import FeeModel  # noqa: E402
from nautilus_trader.backtest.modules import SimulationModule  # noqa: E402
from nautilus_trader.config import (  # noqa: E402
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    RiskEngineConfig,
    StrategyConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode  # noqa: E402
from nautilus_trader.model.currencies import Currency  # noqa: E402
from nautilus_trader.model.data import QuoteTick  # noqa: E402
from nautilus_trader.model.enums import (  # noqa: E402
    AccountType,
    AssetClass,
    CurrencyType,
    OmsType,
    OrderSide,
)
from nautilus_trader.model.identifiers import (  # noqa: E402
    ClientOrderId,
    InstrumentId,
    Symbol,
    TraderId,
    Venue,
)
from nautilus_trader.model.instruments import Cfd  # noqa: E402
from nautilus_trader.model.objects import Money, Price, Quantity  # noqa: E402
from nautilus_trader.trading.strategy import Strategy  # noqa: E402

FIRST, DEPTH = 1000.0, 1_000_000_000_000
VENUE, DAY = Venue("QUANTLAB"), 86_400_000_000_000
DIGITS = json.loads(sys.argv[2])  # of money, quantity and price
RATE = "1000000000/00:00:01"  # its own limit of 100 orders a second is one for humans
CURRENCY = Currency("QLC", DIGITS["money"], 0, "currency of the bundle", CurrencyType.FIAT)


class Costs(FeeModel):
    "The charges of a manifest, each order at the volume and volatility of its decision"

    def __init__(self, costs):
        super().__init__()
        shares = ("commission_per_share", "financing_bps_per_year")
        if asked := [name for name in shares if costs.get(name)]:
            raise ValueError(f"the costs hold {asked[0]}, which this venue cannot charge")
        self.commission = costs.get("commission_bps", 0.0) * 1e-4
        self.least = costs.get("minimum_commission", 0.0)
        self.spread = costs.get("half_spread_bps", 0.0) * 1e-4
        self.impact = costs.get("impact_coefficient", 0.0)
        self.power = costs.get("impact_exponent", 0.5)
        self.market, self.free = {}, False

    def priced(self, volume, volatility):
        "Can an order be charged in such a market?"
        if not self.impact:
            return True
        return volume is not None and volume > 0 and volatility is not None and volatility >= 0

    def get_commission(self, order, fill_qty, fill_px, instrument):
        if self.free:
            return Money(0, CURRENCY)
        value = fill_qty.as_double() * fill_px.as_double()
        cost = max(value * self.commission, self.least) + value * self.spread
        if self.impact:
            volume, volatility = self.market[order.client_order_id.value]
            cost += value * self.impact * volatility * (value / volume) ** self.power
        return Money(cost, CURRENCY)


class Lender(SimulationModule):
    "Takes the fee for what is borrowed from the account"

    def __init__(self):
        super().__init__(SimulationModuleConfig())

    def charge(self, fee):
        self.exchange.adjust_account(Money(-fee, CURRENCY))

    def process(self, ts_now):
        "Nothing is due at a quote; the fee of a day is taken between two closes"

    def log_diagnostics(self, logger):
        "Nothing to say at the end"


class Hand(Strategy):
    "Sends what it is told to, and keeps what came of it"

    def __init__(self):
        super().__init__(StrategyConfig(strategy_id="HAND-1"))
        self.told = []

    def on_order_filled(self, event):
        cost = event.commission.as_double()
        self.told.append((event.client_order_id.value, event.last_qty, event.last_px, cost, ""))

    def on_order_denied(self, event):
        self.told.append((event.client_order_id.value, None, None, 0.0, event.reason))

    on_order_rejected = on_order_denied

    def send(self, instrument, name, quantity, buy):
        side = OrderSide.BUY if buy else OrderSide.SELL
        order = self.order_factory.market(
            instrument.id, side, quantity, client_order_id=ClientOrderId(name)
        )
        self.submit_order(order)


def step(digits):
    "Smallest number above zero with so many decimals"
    return f"{Decimal(1).scaleb(-digits):f}"


def quantity_of(number):
    return Quantity.from_str(f"{number:.{DIGITS['quantity']}f}")


def instruments_of(assets):
    "An instrument without margins for each asset"
    price, size, none = DIGITS["price"], DIGITS["quantity"], Decimal(0)
    instruments = {}
    for i, asset in enumerate(assets):
        symbol = Symbol(f"A{i}")
        instruments[asset] = Cfd(
            InstrumentId(symbol, VENUE), symbol, AssetClass.EQUITY, CURRENCY, price, size,
            Price.from_str(step(price)), Quantity.from_str(step(size)), 0, 0,
            margin_init=none, margin_maint=none,
        )  # fmt: skip
    return instruments


class Account:
    "One account in a BacktestEngine, moved close by close"

    def __init__(self, folder):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        schema = pq.read_schema(folder / "target_weights.parquet")
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        self.assets = [name for name in schema.names if name not in index]
        self.capital = float(manifest["capital"])
        costs = manifest["costs"]
        self.borrow = costs.get("borrow_bps_per_year", 0.0) * 1e-4
        self.borrow /= manifest["periods_per_year"] or 1.0
        self.costs = Costs(costs)
        self.pending, self.engine = {}, None
        self.market, self.prices = {}, dict.fromkeys(self.assets, FIRST)
        self.open(self.capital)

    def open(self, balance):
        "An engine with this balance, and no position"
        if self.engine is not None:
            self.engine.dispose()
        self.lender = Lender()
        quiet = LoggingConfig(bypass_logging=True)
        self.engine = BacktestEngine(
            BacktestEngineConfig(
                trader_id=TraderId("QUANTLAB-1"), logging=quiet, run_analysis=False,
                risk_engine=RiskEngineConfig(max_order_submit_rate=RATE),
            )
        )  # fmt: skip
        money = Money.from_decimal(Decimal(balance), CURRENCY)  # by a float it would lose digits
        self.engine.add_venue(
            VENUE, OmsType.NETTING, AccountType.MARGIN, [money],
            base_currency=CURRENCY, default_leverage=Decimal(1), fee_model=self.costs,
            modules=[self.lender], use_message_queue=False,
        )  # fmt: skip
        self.cache, self.portfolio = self.engine.cache, self.engine.portfolio
        self.instruments = instruments_of(self.assets)
        for instrument in self.instruments.values():
            self.engine.add_instrument(instrument)
        self.hand, self.time = Hand(), 0
        self.engine.add_strategy(self.hand)

    def charge(self, fee):
        "Take what was borrowed for from the account"
        self.lender.charge(fee)

    def send(self, asset, name, quantity, buy):
        "Have an order sent, until what came of it is known"
        self.hand.send(self.instruments[asset], name, quantity, buy)

    def quote(self, time):
        "Show the prices that there are as bid and ask"
        depth, ticks = Quantity(DEPTH, DIGITS["quantity"]), []
        for asset, instrument in self.instruments.items():
            price = self.shown(asset)
            ticks.append(QuoteTick(instrument.id, price, price, depth, depth, time, time))
        self.engine.add_data(ticks)
        self.engine.run(streaming=True)
        self.engine.clear_data()
        self.time = time

    def shown(self, asset):
        "Price of an asset as NautilusTrader has it"
        return Price(self.prices[asset], DIGITS["price"])

    def value(self, asset, position):
        size = position.quantity.as_double() * self.shown(asset).as_double()
        return size if position.is_long else -size

    def held(self):
        "Open positions by asset"
        names = {instrument.id: asset for asset, instrument in self.instruments.items()}
        return {names[p.instrument_id]: p for p in self.cache.positions_open()}

    def equity(self):
        equity = self.portfolio.equity(VENUE)
        return equity[CURRENCY].as_double() if equity else self.capital

    def submit(self, order):
        market = self.market.get(order["asset"], (None, None))
        self.pending.setdefault(order["id"], [order["asset"], order["notional"], *market])
        return {}

    def cancel(self, ids):
        wanted = list(self.pending) if ids is None else ids
        return {"cancelled": [name for name in wanted if self.pending.pop(name, None)]}

    def size(self, asset, notional):
        "Quantity of an order; one that takes back what is held takes back all of it"
        for position in self.cache.positions_open(None, self.instruments[asset].id):
            value = self.value(asset, position)
            if abs(value + notional) <= 1e-12 * abs(value):
                return position.quantity
        return quantity_of(abs(Decimal(notional)) / self.shown(asset).as_decimal())

    def trade(self):
        "Send what is pending at the last close; what came of each order, in their order"
        done = {}
        for name, (asset, notional, volume, volatility) in self.pending.items():
            done[name] = [name, asset, 0.0, 0.0, "no volume or volatility to charge impact by"]
            if not self.costs.priced(volume, volatility):
                continue
            if asset not in self.instruments or not self.shown(asset).as_double() > 0:
                done[name][4] = "no price"
                continue
            self.costs.market[name] = (volume, volatility)
            quantity, self.hand.told = self.size(asset, notional), []
            done[name][4] = "not filled"
            if quantity.as_double():
                self.send(asset, name, quantity, notional > 0)
            for _, last, price, cost, reason in self.hand.told:
                value = last.as_double() * price.as_double() if last is not None else 0.0
                done[name][2] += math.copysign(value, notional)
                done[name][3] += cost
                done[name][4] = reason
        self.pending, self.costs.market = {}, {}
        return list(done.values())

    def advance(self, bar):
        "Trade at the last close, pay for what is borrowed, and go to the next close"
        time, volumes, risks = bar["time"], bar["dollar_volume"], bar["volatility"]
        market = {a: (volumes.get(a), risks.get(a)) for a in volumes.keys() | risks.keys()}
        if not bar["returns"] and not self.pending:  # nothing moves, and nothing is to be done
            self.market = market
            return {"fills": []}
        if not self.time:
            self.quote(time - DAY)
        if time <= self.time:
            raise ValueError("the bar is not after the last one")
        fills = self.trade()
        short = math.fsum(-value for value in self.state()["positions"].values() if value < 0)
        if self.borrow and short:
            self.charge(self.borrow * short)
        for asset, change in bar["returns"].items():
            if change is not None and asset in self.prices:
                self.prices[asset] *= 1 + change
        self.market = market
        self.quote(time)
        return {"fills": fills}

    def state(self):
        "What the account is worth, by NautilusTrader's own books"
        values = {asset: self.value(asset, p) for asset, p in self.held().items()}
        return {"positions": values, "equity": self.equity()}

    def snapshot(self):
        "All that is needed to go on; its size is that of the book, not of the history"
        account = self.portfolio.account(VENUE)
        positions = {
            asset: [str(p.quantity.as_decimal() * (1 if p.is_long else -1)), p.avg_px_open]
            for asset, p in self.held().items()
        }
        balance = self.capital if account is None else account.balance_total().as_decimal()
        return {
            "time": self.time, "balance": str(balance), "positions": positions,
            "prices": self.prices, "market": self.market,
            "pending": [[name, *order] for name, order in self.pending.items()],
        }  # fmt: skip

    def restore(self, kept):
        """Begin an engine anew and open what was held at its average price, free of charge: an
        engine of NautilusTrader cannot be stopped in the middle and taken up again"""
        self.open(kept["balance"])
        self.market = {asset: tuple(market) for asset, market in kept["market"].items()}
        self.pending = {name: order for name, *order in kept["pending"]}
        if not kept["time"]:
            return
        opened = {asset: price for asset, (_, price) in kept["positions"].items()}
        self.prices = {**kept["prices"], **opened}
        self.quote(kept["time"] - DAY)
        self.costs.free = True
        for i, (asset, (signed, _)) in enumerate(kept["positions"].items()):
            size = Decimal(signed)
            name = f"restored-{i}"
            self.send(asset, name, quantity_of(abs(size)), size > 0)
        self.costs.free = False
        self.prices = dict(kept["prices"])
        self.quote(kept["time"])


class Client(sandbox_execution.SandboxExecutionClient):
    "The sandbox, kept where the fee for what is borrowed can be taken from its account"

    exchanges = []

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.exchanges.append(self.exchange)


class Factory(SandboxLiveExecClientFactory):
    @staticmethod
    def create(loop, name, config, portfolio, msgbus, cache, clock):
        return Client(loop, portfolio, msgbus, cache, clock, config)


Factory.__name__ = SandboxLiveExecClientFactory.__name__  # only this name is given a portfolio


class Sandbox(Account):
    """The same account in a live TradingNode, on the machine's clock, with its engines' queues.

    The loop turns while something is asked, and until what was asked has come of it.
    """

    def open(self, balance):
        "A node whose account has this balance, and no position"
        if self.engine is not None:
            self.settle(balance)
            return
        Currency.register(CURRENCY)
        sandbox_execution.MakerTakerFeeModel = lambda: self.costs  # the sandbox asks for no other
        self.loop, name = asyncio.new_event_loop(), VENUE.value
        asyncio.set_event_loop(self.loop)
        account = SandboxExecutionClientConfig(
            venue=name, base_currency=CURRENCY.code, starting_balances=[f"0 {CURRENCY.code}"]
        )
        self.engine = TradingNode(
            TradingNodeConfig(
                trader_id=TraderId("QUANTLAB-1"), logging=LoggingConfig(log_level="OFF"),
                exec_engine=LiveExecEngineConfig(reconciliation=False),
                risk_engine=LiveRiskEngineConfig(max_order_submit_rate=RATE),
                exec_clients={name: account},
            ),
            loop=self.loop,
        )  # fmt: skip
        self.engine.add_exec_client_factory(name, Factory)
        self.engine.build()
        self.cache, self.portfolio = self.engine.cache, self.engine.portfolio
        self.instruments = instruments_of(self.assets)
        for instrument in self.instruments.values():
            self.cache.add_instrument(instrument)
        self.hand, self.time = Hand(), 0
        self.engine.trader.add_strategy(self.hand)
        self.running = self.loop.create_task(self.engine.run_async())
        self.turn(lambda: self.engine.trader.is_running)
        self.settle(balance)

    def settle(self, balance):
        "Bring the account to a balance; only before something is traded"
        if self.cache.orders():
            raise ValueError("the sandbox has traded already; begin with a new one")
        there = self.portfolio.account(VENUE).balance_total().as_decimal()
        self.adjust(Money.from_decimal(Decimal(balance) - there, CURRENCY))

    def adjust(self, money):
        Client.exchanges[0].adjust_account(money)

    def charge(self, fee):
        self.adjust(Money(-fee, CURRENCY))

    def turn(self, done):
        "Turn the loop until something is so"

        async def waited():
            while not done():
                if self.running.done():
                    raise RuntimeError("the node has stopped")
                await asyncio.sleep(0)

        self.loop.run_until_complete(waited())

    def quote(self, time):
        depth, now = Quantity(DEPTH, DIGITS["quantity"]), self.engine.kernel.clock.timestamp_ns()
        for asset, instrument in self.instruments.items():
            price = self.shown(asset)
            tick = QuoteTick(instrument.id, price, price, depth, depth, now, now)
            self.engine.kernel.data_engine.process(tick)
        ids = [instrument.id for instrument in self.instruments.values()]
        at = lambda one: getattr(self.cache.quote_tick(one), "ts_init", 0)
        self.turn(lambda: all(at(one) >= now for one in ids))
        self.time = time

    def send(self, asset, name, quantity, buy):
        super().send(asset, name, quantity, buy)
        order = self.cache.order(ClientOrderId(name))
        self.turn(lambda: order.is_closed)


def answer(account, asked):
    "What is said to one line"
    verb = asked["do"]
    if verb == "submit":
        account.submit(asked)
        return {}
    if verb == "cancel":
        return account.cancel(asked["ids"])
    if verb == "advance":
        return account.advance(asked) | account.state()
    if verb == "snapshot":
        return {"snapshot": account.snapshot()}
    if verb == "restore":
        account.restore(asked["snapshot"])
        return account.state()
    raise ValueError(f"{verb!r} is no verb of this venue")


def say(**said):
    ANSWERS.write(json.dumps(said) + "\n")
    ANSWERS.flush()


def main():
    try:
        account = (Sandbox if sys.argv[3] == "sandbox" else Account)(Path(sys.argv[1]))
    except Exception as error:
        say(error=f"{type(error).__name__}: {error}")
        return
    say(version=__version__, python=sys.version.split()[0], **account.state())
    for line in sys.stdin:
        try:
            said = answer(account, json.loads(line))
        except Exception as error:  # one sentence to the other side, which decides
            said = {"error": f"{type(error).__name__}: {error}"}
        say(**said)


if __name__ == "__main__":
    main()
