"""NautilusTrader's side of bench_venues.py: a strategy in a live node that orders on a tick.

Run by the Python of its environment, with the file that the package brings for it, the folder of a
bundle and the asset whose tick decides. Asked for a block of closes, it hands in a tick of each
asset, the deciding one last, and answers with the amount of each order and the seconds from that
tick being handed to the data engine to the order reaching the execution client.
"""

import json
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

file, folder, asset = sys.argv[1:]
sys.argv = [file, folder, json.dumps(dict.fromkeys(("money", "quantity", "price"), 16)), "sandbox"]
loader = SourceFileLoader("nautilus_child", file)
child = module_from_spec(spec_from_loader("nautilus_child", loader))
loader.exec_module(child)

LEFT = []  # when an order reached the execution client


class Client(child.Client):
    "The sandbox, and when an order reached it"

    def submit_order(self, command):
        LEFT.append(time.perf_counter())
        super().submit_order(command)


class Deciding(child.Hand):
    "Brings one asset to its weight when its tick comes"

    def on_start(self):
        self.weight = None
        self.subscribe_quote_ticks(account_of["id"])

    def on_quote_tick(self, tick):
        if self.weight is None:
            return
        account, price = account_of["account"], tick.bid_price.as_double()
        held = self.cache.positions_open(None, tick.instrument_id)
        size = held[0].quantity.as_double() if held else 0.0
        worth = account.portfolio.equity(child.VENUE)[child.CURRENCY].as_double()
        at = size * price if held and held[0].is_long else -size * price
        self.wished, self.weight = self.weight * worth - at, None
        quantity = child.quantity_of(abs(self.wished) / price)
        name = f"tick-{len(LEFT)}"
        self.send(account.instruments[asset], name, quantity, self.wished > 0)
        self.sent = self.cache.order(child.ClientOrderId(name))


class Node(child.Sandbox):
    "The live node, of which the last tick of a close is timed"

    def close(self, returns, weight):
        for name, change in returns.items():
            self.prices[name] *= 1 + change
        engine, now = self.engine.kernel.data_engine, self.engine.kernel.clock.timestamp_ns()
        depth, ticks = child.Quantity(child.DEPTH, 16), {}
        for name, instrument in self.instruments.items():
            price = self.shown(name)
            ticks[name] = child.QuoteTick(instrument.id, price, price, depth, depth, now, now)
        last = ticks.pop(asset)
        for tick in ticks.values():
            engine.process(tick)
        ids = [tick.instrument_id for tick in ticks.values()]
        at = lambda one: getattr(self.cache.quote_tick(one), "ts_init", 0)
        self.turn(lambda: all(at(one) >= now for one in ids))
        self.hand.weight, before = weight, len(LEFT)
        begun = time.perf_counter()
        engine.process(last)
        self.turn(lambda: len(LEFT) > before)
        self.turn(lambda: self.hand.sent.is_closed)
        return [self.hand.wished, LEFT[-1] - begun]


child.Hand, child.Client = Deciding, Client
columns = child.pq.read_schema(Path(folder) / "target_weights.parquet")
index = (columns.pandas_metadata or {}).get("index_columns", [])
names = [name for name in columns.names if name not in index]
account_of = {"id": child.instruments_of(names)[asset].id}
account_of["account"] = Node(Path(folder))
child.say(version=child.__version__)
for line in sys.stdin:
    asked = json.loads(line)
    orders = [account_of["account"].close(*one) for one in asked["closes"]]
    child.say(orders=orders)
