"""Alpaca's own client for Python, at the stand-in: a program, so that its warnings are its own.

    python tests/venues/alpaca_client.py PORT

Places, lists, finds and cancels orders, reads account, positions and clock, and streams; prints
what it understood as JSON.
"""

import asyncio
import json
import sys

from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.models import TradeActivity
from alpaca.trading.requests import GetOrdersRequest, MarketOrderRequest
from alpaca.trading.stream import TradingStream
from alpaca_floor import control
from alpaca_stand_in import KEY


def place(client, name, quantity=10, side=OrderSide.BUY):
    wish = MarketOrderRequest(
        symbol="KO", qty=quantity, side=side, time_in_force=TimeInForce.DAY, client_order_id=name
    )
    return client.submit_order(wish)


def refused(call):
    try:
        call()
    except APIError as error:
        return [error.status_code, error.code]
    return None


async def main(port):
    client = TradingClient(*KEY.values(), paper=True, url_override=f"http://127.0.0.1:{port}")
    stream = TradingStream(*KEY.values(), url_override=f"ws://127.0.0.1:{port}/stream")
    told, said = [], {}

    async def hear(update):
        told.append(
            [str(getattr(update.event, "value", update.event)), update.order.client_order_id]
        )

    stream.subscribe_trade_updates(hear)
    await stream._start_ws()
    hearing = asyncio.ensure_future(stream._consume())
    first = await asyncio.to_thread(place, client, "a")
    said["placed"] = [first.client_order_id, first.status.value, first.qty]
    said["twice"] = refused(lambda: place(client, "a"))
    said["beyond"] = refused(lambda: place(client, "b", 11, OrderSide.SELL))
    said["found"] = client.get_order_by_client_id("a").status.value
    listed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500))
    said["listed"] = [order.client_order_id for order in listed]
    said["cancelled"] = refused(lambda: client.cancel_order_by_id(first.id))
    said["unknown"] = refused(lambda: client.get_order_by_client_id("c"))
    said["position"] = [[p.symbol, p.qty, p.side.value] for p in client.get_all_positions()]
    account = client.get_account()
    said["account"] = [account.status.value, float(account.cash), account.trading_blocked]
    said["open"] = client.get_clock().is_open
    fills = client.get("/account/activities/FILL", {"page_size": 100})
    same = {"account_id": account.id}
    said["fills"] = [
        [f.symbol, f.qty, f.cum_qty] for f in (TradeActivity(**r, **same) for r in fills)
    ]
    control(port, fill="no")
    second = await asyncio.to_thread(place, client, "d")
    waiting = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN))
    said["works"] = [order.client_order_id for order in waiting]
    client.cancel_order_by_id(second.id)
    said["ended"] = client.get_order_by_id(second.id).status.value
    for _ in range(500):
        if len(told) >= 4:
            break
        await asyncio.sleep(0.01)
    said["told"] = told
    hearing.cancel()
    await stream.close()
    return said


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1])))))
