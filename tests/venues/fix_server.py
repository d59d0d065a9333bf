"""A FIX acceptor as a program: folder, port, prices as JSON, and whether it fills at once."""

import asyncio
import json
import sys

from quantlab.venues import FixAcceptor


async def serve(folder, port, prices, fills):
    "Until it is killed"
    async with FixAcceptor(folder, json.loads(prices), port=int(port), fills=fills == "fills"):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
