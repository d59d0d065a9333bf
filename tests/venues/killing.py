"""Engines in processes of their own, ended with kill -9 at random moments and begun again."""

import asyncio
import os
import signal
import sys
import time

import buses
import floor

from quantlab.live import LiveEngine, RealClock


def child(bundle, make, folder, exchange, last):
    "One start of an engine that reads from a bus, in a process of its own"
    process = os.fork()
    if process == 0:
        try:
            feed = buses.Until(make(), last)
            venue = floor.Exchange(exchange) if exchange else floor.reference(bundle)
            clock = RealClock()
            engine = LiveEngine(bundle, feed, venue, clock=clock, folder=folder, silence=600)
            asyncio.run(engine.run())
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return process


def until_done(start, rng, kills):
    "Kill what is started so many times, at random, then let it end"
    for killed in range(kills + 1):
        process = start()
        if killed < kills:
            time.sleep(rng.uniform(0.05, 0.4))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0, "the engine failed"
            return killed
    raise AssertionError("it was killed at the end")
