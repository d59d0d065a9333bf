"""A broker in the shape of Alpaca's Trading API, on this computer: a program.

    python tests/venues/alpaca_stand_in.py PORT FOLDER

Written from the documentation. It keeps its account in FOLDER/account.json, so that it may be
killed and begun again. How it fills, and what goes wrong, is said to it by POST /control.
"""

import asyncio
import datetime as dt
import json
import os
import sys
import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

KEY = {"APCA_API_KEY_ID": "PKA1B2C3D4E5F6", "APCA_API_SECRET_KEY": "sEcReT/0123456789+x"}
OPEN = ("new", "accepted", "partially_filled", "pending_cancel")
FIRST = {
    "cash": "10000000",
    "positions": {},  # shares and average price
    "orders": [],
    "fills": [],
    "seen": {},  # how often each client_order_id was posted
    "number": 0,
}
CONTROL = {
    "fill": "now",  # or "no", "parts"
    "tell": "all",  # or "none", "shuffled"
    "prices": {},
    "faults": [],  # {"method", "path", "kind": "status" | "hang" | "drop", "done", "times", ...}
    "nth": 0,  # request from now that gets no answer: done before, or else not at all
    "done": False,
    "lag": 0,  # lists that do not show the last order yet
    "skew": 0,  # seconds
    "blocked": False,
    "open": True,
    "power": 8,  # times the equity
    "hard": [],  # assets that cannot be sold short
    "slow_cancel": 0,  # looks after which a withdrawn order has ended
    "reject": [],  # assets whose orders are rejected after they were accepted
}


class Broker:
    "The account"

    def __init__(self, folder):
        self.path, self.control, self.lines = Path(folder) / "account.json", dict(CONTROL), set()
        self.muted = False
        self.kept = json.loads(json.dumps(FIRST))
        if self.path.exists():
            self.kept = json.loads(self.path.read_text())

    def save(self):
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.kept))
        os.replace(part, self.path)

    def now(self):
        "Its own time, which moves on with each use"
        self.kept["number"] += 1
        begin = dt.datetime(2026, 1, 5, 21, tzinfo=dt.UTC)
        return begin + dt.timedelta(milliseconds=self.kept["number"])

    def time(self):
        return self.now().isoformat().replace("+00:00", "Z")

    def price(self, asset):
        return Decimal(str(self.control["prices"].get(asset, 100)))

    def held(self, asset):
        return Decimal(self.kept["positions"].get(asset, ["0", "0"])[0])

    def equity(self):
        worth = sum(self.held(a) * self.price(a) for a in self.kept["positions"])
        return Decimal(self.kept["cash"]) + worth

    def refusal(self, wish):
        "Status, code and words where an order is not taken"
        name, asset, quantity = wish.get("client_order_id") or "", wish["symbol"], wish["qty"]
        if any(order["client_order_id"] == name for order in self.kept["orders"]):
            return 422, 40010001, "client_order_id must be unique"
        if len(name) > 128:
            return 422, 40010001, "client_order_id must be no more than 128 characters"
        if Decimal(quantity) <= 0:
            return 422, 40010001, "qty must be > 0"
        if self.control["blocked"]:
            return 403, 40310000, f"account {KEY['APCA_API_KEY_ID']} is not allowed to trade"
        held, sign = self.held(asset), 1 if wish["side"] == "buy" else -1
        if held * sign < 0 and Decimal(quantity) > abs(held):
            words = f"insufficient qty available for order (requested: {quantity}, available: "
            return 403, 40310000, f"{words}{abs(held)})"
        if sign < 0 and held <= 0 and asset in self.control["hard"]:
            return 422, 42210000, f'asset "{asset}" cannot be sold short'
        if Decimal(quantity) * self.price(asset) > self.equity() * self.control["power"]:
            return 403, 40310000, "insufficient buying power"
        return None

    def place(self, wish):
        name = wish.get("client_order_id") or str(uuid.uuid4())
        wish = wish | {"client_order_id": name}
        self.kept["seen"][name] = self.kept["seen"].get(name, 0) + 1
        if refused := self.refusal(wish):
            self.save()
            return refused
        time = self.time()
        empty = ("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at")
        empty += ("replaced_by", "replaces", "notional", "filled_avg_price", "limit_price")
        empty += ("stop_price", "legs", "trail_percent", "trail_price", "hwm")
        order = dict.fromkeys(empty) | {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
            "client_order_id": name,
            **dict.fromkeys(("created_at", "updated_at", "submitted_at"), time),
            "asset_id": str(uuid.uuid5(uuid.NAMESPACE_OID, wish["symbol"])),
            "symbol": wish["symbol"],
            "asset_class": "us_equity",
            "qty": str(wish["qty"]),
            "filled_qty": "0",
            "order_class": "",
            "order_type": wish["type"],
            "type": wish["type"],
            "side": wish["side"],
            "time_in_force": wish["time_in_force"],
            "status": "accepted",
            "extended_hours": False,
        }
        self.kept["orders"].append(order)
        answered = dict(order)
        if self.control["open"]:
            events = [self.event("new", order, status="new")]
            if wish["symbol"] in self.control["reject"]:
                events.append(self.event("rejected", order, status="rejected"))
            elif self.control["fill"] != "no":
                events += self.fill(order)
            self.tell(events)
        self.save()
        return answered

    def event(self, name, order, **changed):
        order |= changed | {"updated_at": self.time()}
        return {"event": name, "timestamp": order["updated_at"], "order": dict(order)}

    def fill(self, order, part=None):
        "Fill the rest of an order, or a part of it; the events"
        left = Decimal(order["qty"]) - Decimal(order["filled_qty"])
        parts = [left]
        if part is not None:
            parts = [min(Decimal(part), left)]
        elif self.control["fill"] == "parts" and left > 2:
            parts = [left // 3, left // 3, left - 2 * (left // 3)]
        return [self.execute(order, quantity) for quantity in parts]

    def execute(self, order, quantity):
        price, done = self.price(order["symbol"]), Decimal(order["filled_qty"])
        sign, asset = 1 if order["side"] == "buy" else -1, order["symbol"]
        spent = done * Decimal(order["filled_avg_price"] or 0) + quantity * price
        held = self.held(asset) + sign * quantity
        self.kept["cash"] = str(Decimal(self.kept["cash"]) - sign * quantity * price)
        self.kept["positions"][asset] = [str(held), str(price)]
        if not held:
            del self.kept["positions"][asset]
        total = done + quantity
        whole = total == Decimal(order["qty"])
        event = self.event(
            "fill" if whole else "partial_fill",
            order,
            filled_qty=str(total),
            filled_avg_price=str(round(spent / total, 6)),
            status="filled" if whole else "partially_filled",
            filled_at=self.time(),
        )
        stamp = self.now().strftime("%Y%m%d%H%M%S%f")[:17]
        self.kept["fills"].append(
            {
                "activity_type": "FILL",
                "id": f"{stamp}::{uuid.uuid4()}",  # not the id of the execution: none is promised
                "cum_qty": str(total),
                "leaves_qty": str(Decimal(order["qty"]) - total),
                "price": str(price),
                "qty": str(quantity),
                "side": order["side"],
                "symbol": asset,
                "transaction_time": order["filled_at"],
                "order_id": order["id"],
                "order_status": order["status"],
                "type": event["event"],
            }
        )
        return event | {
            "execution_id": str(uuid.uuid4()),
            "price": str(price),
            "qty": str(quantity),
            "position_qty": str(held),
        }

    def tell(self, events):
        if self.control["tell"] == "none" or self.muted:
            return
        if self.control["tell"] == "shuffled":  # the last first, and all of them twice
            events = [*reversed(events), *events]
        for event in events:
            text = json.dumps({"stream": "trade_updates", "data": event})
            for line in self.lines:
                line.put_nowait(text)

    def find(self, key, value):
        return next((order for order in self.kept["orders"] if order[key] == value), None)

    def end(self, order, status):
        "An order ends unfilled, or filled in part"
        event = {"canceled": "canceled", "expired": "expired"}[status]
        self.tell([self.event(event, order, status=status, **{f"{status}_at": self.time()})])
        self.save()

    def looked(self, order):
        "What a look shows, and a withdrawal that goes on with each"
        if order["status"] == "pending_cancel":
            order["looks"] = order.get("looks", self.control["slow_cancel"]) - 1
            if order["looks"] <= 0:
                self.end(order, "canceled")
        return {name: value for name, value in order.items() if name != "looks"}

    def do(self, action):
        "What a test wants to happen"
        name, value = action["do"], action.get("order")
        order = self.find("client_order_id", value) if value else None
        if name == "fill":
            self.tell(self.fill(order, action.get("part")))
            self.save()
        elif name == "end":
            for each in self.kept["orders"] if value is None else [order]:
                if each["status"] in OPEN:
                    self.end(each, action["status"])
        elif name == "open":
            self.control["open"] = True
            for each in [o for o in self.kept["orders"] if o["status"] == "accepted"]:
                events = [self.event("new", each, status="new")]
                events += self.fill(each) if self.control["fill"] != "no" else []
                self.tell(events)
            self.save()
        elif name == "many":  # orders, one after the other, each written down at the end
            self.save, save = lambda: None, self.save
            wish = {"side": "buy", "type": "market", "time_in_force": "day"}
            for n in range(action["n"]):
                named = {"symbol": action["asset"], "qty": "1", "client_order_id": f"n{n}"}
                self.place(wish | named)
            self.save = save
            self.save()
        elif name == "reset":
            self.kept, self.control = json.loads(json.dumps(FIRST)), dict(CONTROL)
            self.muted = False
            self.save()
        elif name == "cut":
            for line in self.lines:
                line.put_nowait(None)
        elif name == "say":
            for line in self.lines:
                line.put_nowait(action["text"])
        elif name == "mute":
            self.muted = action["on"]
        elif name == "hold":
            self.kept["positions"][action["asset"]] = [action["shares"], "100"]
            self.save()


def listed(orders, query):
    "As GET /v2/orders lists"
    status, limit = query.get("status", "open"), min(int(query.get("limit", 50)), 500)
    chosen = [o for o in orders if status == "all" or (o["status"] in OPEN) == (status == "open")]
    time = lambda text: dt.datetime.fromisoformat(text)
    if after := query.get("after"):
        chosen = [o for o in chosen if time(o["submitted_at"]) > time(after)]
    if until := query.get("until"):
        chosen = [o for o in chosen if time(o["submitted_at"]) < time(until)]
    if symbols := query.get("symbols"):
        chosen = [o for o in chosen if o["symbol"] in symbols.split(",")]
    return (chosen if query.get("direction", "desc") == "asc" else chosen[::-1])[:limit]


def paged(fills, query):
    "As GET /v2/account/activities/FILL pages"
    rows = fills if query.get("direction", "desc") == "asc" else fills[::-1]
    if token := query.get("page_token"):
        names = [row["id"] for row in rows]
        rows = rows[names.index(token) + 1 :] if token in names else []
    return rows[: min(int(query.get("page_size", 100)), 100)]


def refused(status, code, words):
    return JSONResponse({"code": code, "message": words}, status)


def trading(app, broker):
    "The paths of orders"

    @app.post("/v2/orders")
    async def place(request: Request):
        answer = broker.place(await request.json())
        return refused(*answer) if isinstance(answer, tuple) else answer

    @app.get("/v2/orders")
    async def orders(request: Request):
        rows = broker.kept["orders"]
        if broker.control["lag"] > 0:
            broker.control["lag"] -= 1
            rows = rows[:-1]
        return [broker.looked(order) for order in listed(rows, request.query_params)]

    @app.get("/v2/orders:by_client_order_id")
    async def by_client(client_order_id: str):
        order = broker.find("client_order_id", client_order_id)
        return broker.looked(order) if order else refused(404, 40410000, "order not found")

    @app.get("/v2/orders/{name}")
    async def one(name: str):
        order = broker.find("id", name)
        return broker.looked(order) if order else refused(404, 40410000, "order not found")

    @app.delete("/v2/orders/{name}")
    async def cancel(name: str):
        order = broker.find("id", name)
        if order is None:
            return refused(404, 40410000, f"order not found for {name}")
        if order["status"] not in OPEN:
            return refused(422, 42210000, f'order is already in "{order["status"]}" state')
        if broker.control["slow_cancel"]:
            broker.event("pending_cancel", order, status="pending_cancel")
        else:
            broker.end(order, "canceled")
        return Response(status_code=204)


def account(app, broker):
    "The paths of the account"

    @app.get("/v2/account")
    async def whole():
        blocked = broker.control["blocked"]
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, "account")),
            "account_number": "PA0000000001",
            "status": "ACTIVE",
            "currency": "USD",
            "cash": broker.kept["cash"],
            "equity": str(broker.equity()),
            **dict.fromkeys(("trading_blocked", "account_blocked"), blocked),
            "trade_suspended_by_user": False,
        }

    @app.get("/v2/positions")
    async def positions():
        return [
            {
                "asset_id": str(uuid.uuid5(uuid.NAMESPACE_OID, asset)),
                "symbol": asset,
                "exchange": "NYSE",
                "asset_class": "us_equity",
                "avg_entry_price": price,
                "qty": shares,
                "side": "short" if Decimal(shares) < 0 else "long",
                "market_value": str(Decimal(shares) * broker.price(asset)),
                "cost_basis": str(Decimal(shares) * Decimal(price)),
            }
            for asset, (shares, price) in broker.kept["positions"].items()
        ]

    @app.get("/v2/account/activities/FILL")
    async def fills(request: Request):
        return paged(broker.kept["fills"], request.query_params)

    @app.get("/v2/clock")
    async def clock():
        now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=broker.control["skew"])
        near = (now + dt.timedelta(hours=8)).isoformat()
        return {
            "timestamp": now.isoformat(),
            "is_open": broker.control["open"],
            "next_open": near,
            "next_close": near,
        }

    @app.post("/control")
    async def control(request: Request):
        said = await request.json()
        for action in said.pop("actions", []):
            broker.do(action)
        broker.control |= said
        return broker.kept | {"lines": len(broker.lines)}


def stream(app, broker):
    "The stream"

    @app.websocket("/stream")
    async def updates(socket: WebSocket):
        await socket.accept()
        line = asyncio.Queue()
        with suppress(WebSocketDisconnect, RuntimeError):
            said = json.loads(await socket.receive_text())
            data = said.get("data") or {"key_id": said.get("key"), "secret_key": said.get("secret")}
            fits = [data["key_id"], data["secret_key"]] == list(KEY.values())
            status = {"status": "authorized" if fits else "unauthorized", "action": "authenticate"}
            answer = {"stream": "authorization", "data": status}
            await socket.send_bytes(json.dumps(answer).encode())
            if not fits:
                return
            listen = json.loads(await socket.receive_text())["data"]
            await socket.send_bytes(json.dumps({"stream": "listening", "data": listen}).encode())
            broker.lines.add(line)
            hearing = asyncio.ensure_future(socket.receive())
            try:
                while True:
                    coming = asyncio.ensure_future(line.get())
                    await asyncio.wait({coming, hearing}, return_when=asyncio.FIRST_COMPLETED)
                    if hearing.done():
                        coming.cancel()
                        return
                    if coming.result() is None:
                        await socket.close(1011)
                        return
                    await socket.send_bytes(coming.result().encode())  # binary, as on paper
            finally:
                broker.lines.discard(line)
                hearing.cancel()


def made(broker):
    app = FastAPI()

    @app.middleware("http")
    async def between(request: Request, go_on):
        if request.url.path != "/control":
            headers = [request.headers.get(name.replace("_", "-")) for name in KEY]
            if headers != list(KEY.values()):
                return JSONResponse({"message": "forbidden."}, 403)
            broker.control["nth"] -= 1
            if broker.control["nth"] == 0:
                if broker.control["done"]:
                    await go_on(request)
                return Response("<html>Bad Gateway</html>", 502)
        for fault in broker.control["faults"]:
            hit = request.method == fault["method"] and request.url.path.startswith(fault["path"])
            if hit and fault["times"] > 0:
                fault["times"] -= 1
                if fault.get("done"):
                    await go_on(request)
                if fault["kind"] == "hang":
                    await asyncio.sleep(3600)
                headers = fault.get("headers", {})
                return Response(fault.get("body", ""), fault.get("status", 500), headers=headers)
        return await go_on(request)

    for paths in (trading, account, stream):
        paths(app, broker)
    return app


if __name__ == "__main__":
    app = made(Broker(sys.argv[2]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
