"""Feeds over a WebSocket, against a real server on this computer: what is told comes out, through
all that a line does to it, and neither garbage nor a key comes out with it."""

import asyncio
import http
import inspect
import json
import logging
import warnings
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import serve

from quantlab import live
from quantlab.errors import DataError, DataWarning, QuantlabError, SpecificationError
from quantlab.live import (
    Faults,
    Feed,
    FeedStatistics,
    PlayedServer,
    Quote,
    RealClock,
    Received,
    Request,
    Trade,
    WebSocketFeed,
    numbered,
    read_message,
    read_request,
    watched,
    write_messages,
    write_request,
)
from quantlab.live.messages import REASONS, Candle

SHAPES = ("alpaca", "binance")
SECRET = {"TEST_FEED_KEY": "PKA1B2C3D4E5F6", "TEST_FEED_SECRET": "sEcReT/0123456789+x"}


class QuickClock(RealClock):
    "Notes how long it was to wait, and does not"

    def __init__(self):
        self.waits = []

    async def sleep(self, seconds):
        self.waits.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    for name, value in SECRET.items():
        monkeypatch.setenv(name, value)


def run(coroutine, seconds=30):
    "What a coroutine gives, unless it hangs; nothing of it is left running"

    async def bounded():
        async with asyncio.timeout(seconds):
            found = await coroutine
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return found

    return asyncio.run(bounded())


def a_day(n=60, seed=0):
    "Quotes and trades of two assets, to the millisecond"
    rng = np.random.default_rng(seed)
    times = pd.Timestamp("2026-01-05 14:30", tz="UTC") + pd.to_timedelta(
        np.arange(n) * 100 + rng.integers(0, 100, n), unit="ms"
    )
    day = []
    for i, (time, price) in enumerate(zip(times, (100 + rng.normal(0, 1, n)).round(2).tolist())):
        asset = "AAA" if i % 3 else "BBB"
        size = float(rng.integers(1, 9))
        quote = Quote(time, asset, price - 0.01, price + 0.01, size, size)
        day.append(quote if i % 2 else Trade(time, asset, price, size))
    return day


def feed_of(url, shape, **arguments):
    names = tuple(SECRET) if shape == "alpaca" else None
    given = {"clock": QuickClock(), "key": names, "end_on_close": True} | arguments
    return WebSocketFeed(url, shape, given.pop("assets", ["AAA", "BBB"]), **given)


GOOD_LINE = Faults()


async def heard(day, shape, faults=GOOD_LINE, **arguments):
    "What a feed makes of a play, and what it says of itself"
    async with PlayedServer(day, shape, faults=faults, key=tuple(SECRET.values())) as server:
        feed = feed_of(server.url, shape, **arguments)
        return [event async for event in feed.events()], feed.statistics


async def told_by(venue, shape, **arguments):
    "What a feed makes of a venue that is a coroutine of a socket"
    async with serve(venue, "127.0.0.1", 0, close_timeout=0.5) as server:
        port = server.sockets[0].getsockname()[1]
        feed = feed_of(f"ws://127.0.0.1:{port}", shape, **arguments)
        return [event async for event in feed.events()], feed.statistics


# -- messages ----------------------------------------------------------------------------------


prices = st.floats(1e-8, 1e14).filter(lambda x: x < 1e15)
sizes = st.one_of(st.just(0.0), st.floats(1e-8, 1e14))
names = st.text("ABCXYZ./-0123456789", min_size=1, max_size=12)
milliseconds = st.integers(631_152_060_000, 7_258_118_399_999)


def moment(number, shape):
    unit = "ms" if shape == "binance" else "ns"
    return pd.Timestamp(number, unit=unit, tz="UTC").as_unit("ns")


@st.composite
def anything_told(draw, shape):
    times = milliseconds if shape == "binance" else milliseconds.map(lambda t: t * 10**6 + t % 997)
    number, name = draw(times), draw(names)
    kind = draw(st.sampled_from(["trade", "quote", "candle"]))
    identity = draw(st.integers(0, 2**63 - 1))
    if kind == "trade":
        event = Trade(moment(number, shape), name, draw(prices), draw(prices))
        if shape == "alpaca":
            return Received(event, identity, draw(st.sampled_from(["", "D", "V"])))
        return Received(event, identity, draw(st.sampled_from(["trade", "aggTrade"])), counts=True)
    if kind == "quote":
        bid, ask = sorted([draw(prices), draw(prices)])
        event = Quote(moment(number, shape), name, bid, ask, draw(sizes), draw(sizes))
        return Received(event) if shape == "alpaca" else Received(event, identity, "bookTicker")
    low, opened, close, high = sorted(draw(prices) for _ in range(4))
    return Received(
        Candle(moment(number, shape), name, opened, high, low, close, draw(sizes)), None
    )


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_told_is_read_as_it_was(shape, data):
    told = data.draw(st.lists(anything_told(shape), max_size=3))
    read = [read_message(text, shape) for text in write_messages(told, shape)]
    assert [r for reading in read for r in reading.received] == told
    assert not any(reading.refused or reading.controls for reading in read)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["t", "q", "b", "trade", "bookTicker", "kline", "success", "error", "1m"])
    | st.sampled_from([10**400, 1e308, 5e-324, -0.0, "0.1", "1e5", "nan", "2026-01-05T00:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*"TStpsbqaABukeEohlcvixM", "bp", "data"]), inner)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=60) | st.text(max_size=60) | values.map(json.dumps))
def test_whatever_arrives_is_read_or_refused_by_a_name(shape, text):
    reading = read_message(text, shape)
    assert set(reading.refused) <= set(REASONS)
    assert all(isinstance(r.event, (Trade, Quote, Candle)) for r in reading.received)
    request = read_request(text, shape)
    assert request is None or isinstance(request, Request)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_message_with_one_other_value_never_gives_a_number_that_was_not_told(shape, data):
    "Of a good message one value is changed: its event has what the message says, or there is none"
    [text] = write_messages([data.draw(anything_told(shape))], shape)
    message = json.loads(text)
    part = message[0] if shape == "alpaca" else message["data"]
    part = part.get("k", part) if data.draw(st.booleans()) else part
    name = data.draw(st.sampled_from(sorted(part)))
    part[name] = data.draw(values)
    for received in read_message(json.dumps(message), shape).received:
        [again] = write_messages([received], shape)
        kept = json.loads(again)
        kept = kept[0] if shape == "alpaca" else kept["data"]
        kept = kept.get("k", kept) if part is not message and name not in kept else kept
        if name in kept and name not in ("E", "T", "t", "e"):
            assert kept[name] == part[name] or float(kept[name]) == float(part[name])


def test_numbers_that_are_none_are_refused_by_their_name():
    good = {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "1.5", "q": "2", "T": 1_700_000_000_000}
    assert len(read_message(json.dumps(good), "binance").received) == 1
    for name, wrong, reason in [
        *[("p", p, "wrong price") for p in (1.5, "", "-1", "nan", "inf", "1e3", "0", "1_0", None)],
        *[("q", q, "wrong size") for q in (2, "0", "-2", " 2", "٢", "9" * 21, True)],
        *[("T", t, "wrong time") for t in ("1700000000000", 1.7e12, -1, 10**16, True, None)],
        *[("s", s, "wrong asset") for s in ("", " ", "A B", 5, None, "A" * 65, "\ud800", "A\n")],
        *[("t", i, "wrong id") for i in (-1, 2**63, 1.0, "1", None, False)],
    ]:
        reading = read_message(json.dumps(good | {name: wrong}), "binance")
        assert (reading.received, reading.refused) == ((), (reason,)), (name, wrong)
    for name in good.keys() - {"e"}:
        left = {k: v for k, v in good.items() if k != name}
        assert read_message(json.dumps(left), "binance").refused == ("missing key",)


# -- over a line -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_what_goes_in_comes_out(shape):
    day = a_day(300)
    events, statistics = run(heard(day, shape))
    assert events == day
    assert (statistics.connections, statistics.duplicates, dict(statistics.refused)) == (1, 0, {})


@pytest.mark.parametrize("shape", SHAPES)
def test_only_what_was_asked_for_is_handed_on(shape):
    events, _ = run(heard(a_day(), shape, assets=["BBB"]))
    assert {event.asset for event in events} == {"BBB"}
    told = numbered(a_day(), shape)

    async def careless(socket):
        "Tells all, whatever was asked for"
        if shape == "binance":  # which is asked first: a line that is shut by then tells nothing
            await socket.recv()
        for text in write_messages(told, shape):
            await socket.send(text)

    events, statistics = run(told_by(careless, shape, assets=["BBB"]))
    assert {event.asset for event in events} == {"BBB"} and len(events) == 20
    assert statistics.refused["not asked for"] == 40


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_through_cuts_each_numbered_event_is_told_exactly_once(shape, seed):
    rng, day = np.random.default_rng(seed), a_day(120, seed)
    places = lambda n: tuple(sorted(map(int, rng.choice(119, n, replace=False))))
    faults = Faults(cut=places(4), rewind=1_000, twice=places(10))
    events, statistics = run(heard(day, shape, faults))
    trades = [event for event in events if isinstance(event, Trade)]
    assert trades == [event for event in day if isinstance(event, Trade)]
    assert statistics.connections == 5 and statistics.duplicates > 0
    assert not statistics.missing
    if shape == "binance":
        assert events == day
    else:  # quotes have no ids there: at least once
        assert set(events) == set(day) and len(events) >= len(day)


def test_what_is_lost_on_the_way_is_counted():
    trades = numbered([event for event in a_day() if isinstance(event, Trade)], "binance")
    lost = [r for r in trades if (r.event.asset, r.id) not in {("AAA", 4), ("AAA", 5), ("BBB", 3)}]
    events, statistics = run(heard(lost, "binance"))
    assert events == [r.event for r in lost]
    assert dict(statistics.missing) == {"AAA": 2, "BBB": 1}


def test_trades_that_change_places_are_all_told_and_an_old_quote_is_not():
    day = [event for event in a_day() if event.asset == "AAA"]
    trades = [event for event in day if isinstance(event, Trade)]
    events, statistics = run(heard(trades, "binance", Faults(swapped=(0, 5))))
    assert sorted(events, key=lambda e: e.time) == trades and events != trades
    assert (statistics.late, dict(statistics.missing)) == (2, {})
    quotes = [event for event in day if isinstance(event, Quote)]
    events, statistics = run(heard(quotes, "binance", Faults(swapped=(3,))))
    assert (statistics.late, len(events)) == (1, len(quotes) - 1)
    assert [e.time for e in events] == sorted(e.time for e in events)


@pytest.mark.parametrize("shape", SHAPES)
def test_garbage_is_counted_and_stops_nothing(shape):
    rubbish = ["", "{", "[]", "[[]]", "nul", "[{}]", "9" * 5_000, "[" * 10_000, b"\xff\xfe", b"\0"]
    faults = Faults(garbage={3 * n: text for n, text in enumerate(rubbish)})
    day = a_day()
    events, statistics = run(heard(day, shape, faults))
    assert events == day
    assert set(statistics.refused) <= set(REASONS)
    assert len(rubbish) - 1 <= sum(statistics.refused.values()) <= len(rubbish)


def test_a_message_beyond_all_size_costs_a_connection_and_no_more():
    day = a_day(20)
    faults = Faults(garbage={5: "x" * (2**20 + 1)})
    events, statistics = run(heard(day, "binance", faults))
    assert events[:5] == day[:5] and set(events) <= set(day)
    assert statistics.connections == 2


def test_a_slow_reader_is_told_and_loses_old_quotes_alone():
    time = pd.Timestamp("2026-01-05 14:30", tz="UTC")
    at = lambda n: time + pd.Timedelta(milliseconds=n)
    day = [Quote(at(n), "AAA", 1.0 + n, 2.0 + n, 1.0, 1.0) for n in range(400)]
    for n in range(0, 400, 10):
        day.insert(n + n // 10, Trade(at(n), "AAA", 1.0 + n, 1.0))

    async def slow():
        async with PlayedServer(day, "binance") as server:
            feed, events = feed_of(server.url, "binance", room=50), []
            async with aclosing(feed.events()) as coming:
                async for event in coming:
                    if not events:
                        await asyncio.sleep(1.0)
                    events.append(event)
            return events, feed.statistics

    with pytest.warns(DataWarning, match="is too slow: 50 events wait") as said:
        events, statistics = run(slow())
    assert len(said) == 1
    assert [e for e in events if isinstance(e, Trade)] == [e for e in day if isinstance(e, Trade)]
    assert statistics.dropped_quotes == len(day) - len(events) > 100
    assert events[-1] == day[-1] and statistics.most_waiting == 50


def test_where_only_trades_wait_the_line_waits_too():
    trades = [event for event in a_day(400) if isinstance(event, Trade)]

    async def slow():
        async with PlayedServer(trades, "binance") as server:
            feed, events = feed_of(server.url, "binance", room=5), []
            async for event in feed.events():
                await asyncio.sleep(0.0005)
                events.append(event)
            return events, feed.statistics

    events, statistics = run(slow())
    assert events == trades
    assert (statistics.dropped_quotes, statistics.most_waiting) == (0, 5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_silent_line_a_deaf_one_and_a_slow_start(shape):
    day = a_day(30)
    faults = Faults(silent=(10,), deaf=(20,), rewind=2, slow_start=0.1)
    events, statistics = run(heard(day, shape, faults, silence=1.5, ping=1.0))
    assert [e for e in events if isinstance(e, Trade)] == [e for e in day if isinstance(e, Trade)]
    assert statistics.connections == 3


def test_a_venue_that_does_not_greet_is_given_up():
    with pytest.raises(DataError, match="in 2 attempts in a row, the last time because: nothing"):
        run(heard(a_day(), "alpaca", Faults(slow_start=0.6), opening=0.2, attempts=2))


def test_waits_double_up_to_the_longest_and_are_the_same_for_a_seed():
    async def nobody(seed):
        clock = QuickClock()
        feed = feed_of("ws://127.0.0.1:9", "binance", clock=clock, attempts=9, seed=seed)
        with pytest.raises(DataError, match="brought nothing in 9 attempts in a row"):
            [event async for event in feed.events()]
        return clock.waits

    waits = run(nobody(1))
    assert len(waits) == 8
    assert all(top / 2 <= w <= top for w, top in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60]))
    assert waits == run(nobody(1)) != run(nobody(2))


def test_what_brings_events_begins_to_count_anew():
    day = a_day(40)
    clock = QuickClock()
    events, statistics = run(
        heard(day, "binance", Faults(cut=(5, 10, 15, 20, 25, 30)), attempts=2, clock=clock)
    )
    assert statistics.connections == 7 and max(clock.waits) <= 1.0


# -- doors -------------------------------------------------------------------------------------


def test_the_network_is_refused_before_anything_is_opened(monkeypatch):
    opened = []
    monkeypatch.setattr("socket.socket.connect", lambda *a: opened.append(a))
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: opened.append(a))
    for url in ["wss://stream.binance.com:9443/stream", "ws://10.0.0.1", "ws://127.0.0.1.nip.io"]:
        with pytest.raises(SpecificationError, match="stays on 127.0.0.1 unless .* allow_network"):
            feed_of(url, "binance")
        with pytest.raises(SpecificationError, match="unless"):
            feed_of(url, "binance", allow_network=1)
    with pytest.raises(SpecificationError, match="over the network use wss://"):
        feed_of("ws://stream.data.alpaca.markets/v2/iex", "alpaca", allow_network=True)
    assert "stream.binance.com" in repr(
        feed_of("wss://stream.binance.com/stream", "binance", allow_network=True)
    )
    assert not opened


@pytest.mark.parametrize(
    ("status", "words", "attempts"),
    [
        (http.HTTPStatus.NOT_FOUND, r"refused the connection \(HTTP status 404\)", 1),
        (http.HTTPStatus.UNAUTHORIZED, r"refused the connection \(HTTP status 401\)", 1),
        (http.HTTPStatus.FOUND, r"refused the connection \(HTTP status 302\)", 1),
        (http.HTTPStatus.SERVICE_UNAVAILABLE, "in 3 attempts .* HTTP status 503", 3),
    ],
)
def test_an_answer_to_the_handshake_ends_it_or_is_tried_again(status, words, attempts):
    asked = []

    async def refused():
        def answer(connection, request):
            asked.append(request.path)
            response = connection.respond(status, "no")
            response.headers["Location"] = f"ws://{request.headers['Host']}/elsewhere"
            return response

        async with serve(lambda socket: None, "127.0.0.1", 0, process_request=answer) as server:
            port = server.sockets[0].getsockname()[1]
            feed = feed_of(f"ws://127.0.0.1:{port}/here", "binance", attempts=3)
            return [event async for event in feed.events()]

    with pytest.raises(DataError, match=words):
        run(refused())
    assert asked == ["/here"] * attempts  # and no redirection was followed


def test_a_refused_key_ends_in_one_sentence():
    with pytest.raises(DataError) as caught:
        run(heard(a_day(), "alpaca", Faults(refuse_key=True)))
    assert str(caught.value) == (
        "The feed was refused, the venue said: 402 auth failed; the key is in TEST_FEED_KEY and "
        "TEST_FEED_SECRET."
    )
    assert caught.value.__cause__ is None


def test_a_refused_request_ends_it_and_a_full_house_is_tried_again():
    async def refuses(socket):
        await socket.recv()
        await socket.send('{"code": 2, "msg": "Invalid request: too many parameters"}')
        await socket.wait_closed()

    with pytest.raises(DataError, match="2 Invalid request: too many parameters.$"):
        run(told_by(refuses, "binance"))

    async def is_full(socket):
        await socket.send('[{"T":"error","code":406,"msg":"connection limit exceeded"}]')
        await socket.wait_closed()

    with pytest.raises(DataError, match="in 2 attempts in a row.*406 connection limit exceeded"):
        run(told_by(is_full, "alpaca", attempts=2))


def _all_said(error):
    "All that an exception and those behind it say"
    said = []
    while error is not None:
        said += [str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", ""))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


@pytest.mark.parametrize("mood", ["good", "refuses", "repeats", "closes with it", "garbage"])
def test_the_key_is_in_no_exception_no_repr_and_no_log(mood, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client", "asyncio", "quantlab", "quantlab.live"):
        caplog.set_level(logging.DEBUG, logger=name)
    said = []

    async def venue(socket):
        await socket.send('[{"T":"success","msg":"connected"}]')
        asked = await socket.recv()
        assert SECRET["TEST_FEED_SECRET"] in json.loads(asked)["secret"]
        if mood == "refuses":
            await socket.send('[{"T":"error","code":402,"msg":"auth failed"}]')
        if mood == "repeats":
            await socket.send(json.dumps([{"T": "error", "code": 402, "msg": "x" * 150 + asked}]))
        if mood == "closes with it":
            await socket.close(1008, SECRET["TEST_FEED_SECRET"])
        if mood == "garbage":
            await socket.send(asked)
        await socket.send('[{"T":"success","msg":"authenticated"}]')
        await socket.recv()

    async def listen():
        async with serve(venue, "127.0.0.1", 0, logger=_shut(), close_timeout=0.5) as server:
            port = server.sockets[0].getsockname()[1]
            feed = feed_of(f"ws://127.0.0.1:{port}", "alpaca", attempts=2)
            try:
                said.extend([event async for event in feed.events()])
            except QuantlabError as error:
                said.append(_all_said(error))
            said.extend([repr(feed), str(feed.statistics)])
            parts = [vars(feed), vars(feed._line), vars(feed._caller)]
            said.extend(map(repr, parts))

    run(listen())
    out = capsys.readouterr()
    everything = "\n".join([*map(str, said), caplog.text, out.out, out.err])
    assert "TEST_FEED_SECRET" in everything
    for secret in SECRET.values():
        assert secret not in everything and json.dumps(secret)[1:-1] not in everything


def _shut():
    "A log for the server of the test, which would write down what it hears"
    log = logging.Logger("shut")
    log.disabled = True
    return log


def test_a_request_and_a_server_do_not_show_their_keys():
    request = Request("authenticate", key="PKX", secret="hush")
    assert "PKX" not in repr(request) and "hush" not in repr(request)
    assert "hush" not in repr(PlayedServer([], "alpaca", key=("PKX", "hush")))


def test_one_reader_at_a_time_and_one_who_leaves_early_leaves_nothing_open():
    async def leave():
        async with PlayedServer(a_day(300), "binance") as server:
            feed = feed_of(server.url, "binance")
            async with aclosing(feed.events()) as coming:
                await anext(coming)
                with pytest.raises(SpecificationError, match="one reader at a time"):
                    await anext(feed.events())
            async with aclosing(feed.events()) as coming:  # and it can be read again
                return await anext(coming)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(run(leave()), (Quote, Trade))


def test_a_reader_that_is_stopped_leaves_nothing_open():
    async def stopped():
        async with PlayedServer([], "binance", faults=Faults(slow_start=5.0)) as server:
            feed = feed_of(server.url, "binance")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0), aclosing(feed.events()) as coming:
                    await anext(coming)
            return feed.statistics

    assert run(stopped()).connections == 1


def test_the_watch_of_the_wing_reads_it_as_any_feed():
    day = a_day(30)

    async def watching():
        async with PlayedServer(day, "binance") as server:
            feed = feed_of(server.url, "binance")
            return [event async for event in watched(feed, RealClock(), seconds=20)]

    assert run(watching()) == day


def test_statistics_are_a_record_and_cannot_be_changed():
    _, statistics = run(heard(a_day(20), "binance"))
    assert isinstance(statistics, FeedStatistics) and statistics.events == 20
    assert isinstance(feed_of("ws://127.0.0.1:9", "binance"), Feed)
    with pytest.raises(AttributeError):
        statistics.events = 5
    assert replace(statistics, events=5).events == 5


# -- bad input ---------------------------------------------------------------------------------


TRADE = Trade(pd.Timestamp("2026-01-05 14:30", tz="UTC"), "AAA", 1.0, 1.0)
WORDS = {"a list": ["alpaca"], "another": "kraken", "nothing": None, "a number": 5}
GOOD = {
    read_message: {"text": "[]", "shape": "alpaca"},
    write_messages: {"received": [Received(TRADE, 1)], "shape": "alpaca"},
    write_request: {"request": Request("subscribe"), "shape": "alpaca"},
    read_request: {"text": "{}", "shape": "alpaca"},
    numbered: {"events": [TRADE], "shape": "alpaca"},
    PlayedServer: {"events": [TRADE], "shape": "alpaca"},
    WebSocketFeed: {
        "url": "ws://127.0.0.1:9",
        "shape": "alpaca",
        "assets": ["AAA"],
        "clock": RealClock(),
    },
    Faults: {},
}
NOT_POSITIVE = {"zero": 0, "negative": -1, "nan": np.nan, "infinite": np.inf, "text": "1"}
NOT_A_COUNT = {"zero": 0, "half": 1.5, "truth": True, "nothing": None, "text": "1"}
NOT_A_PLACE = {"one": 5, "negative": (-1,), "half": (1.5,), "nothing": None, "text": ("1",)}
BAD = {
    read_message: {"text": {"a number": 5, "nothing": None}, "shape": WORDS},
    write_messages: {"received": {"one": TRADE, "of others": [5], "nothing": None}, "shape": WORDS},
    write_request: {"request": {"text": "subscribe", "nothing": None}, "shape": WORDS},
    read_request: {"text": {"a number": 5, "nothing": None}, "shape": WORDS},
    numbered: {"events": {"one": TRADE, "of others": [5], "nothing": None}, "shape": WORDS},
    PlayedServer: {
        "events": {"one": TRADE, "of others": [5], "nothing": None},
        "shape": WORDS,
        "speed": NOT_POSITIVE,
        "faults": {"nothing": None, "a mapping": {}},
        "key": {"text": "key", "one": ("key",), "numbers": (1, 2)},
    },
    WebSocketFeed: {
        "url": {"nothing": None, "a page": "http://127.0.0.1", "empty": "", "far": "wss://a.b"},
        "shape": WORDS,
        "assets": {"none": [], "empty": [""], "numbers": [5], "nothing": None},
        "clock": {"nothing": None, "a time": TRADE.time},
        "key": {"text": "KEY", "one": ("KEY",), "a key": ("PK/1", "x y"), "numbers": (1, 2)},
        "room": NOT_A_COUNT,
        "attempts": NOT_A_COUNT,
        **dict.fromkeys(("first_wait", "longest_wait", "ping", "silence", "opening"), NOT_POSITIVE),
        "end_on_close": {"number": 1, "nothing": None},
        "seed": {"negative": -1, "half": 0.5, "nothing": None},
    },
    Faults: {
        **dict.fromkeys(("cut", "twice", "swapped", "silent", "deaf"), NOT_A_PLACE),
        "garbage": NOT_A_PLACE | {"of numbers": {3: 5}},
        "rewind": {"negative": -1, "half": 0.5},
        "slow_start": {"negative": -1, "nan": np.nan, "text": "1"},
        "refuse_key": {"number": 1, "nothing": None},
    },
}
ROWS = [
    pytest.param(call, name, value, id=f"{call.__name__}-{name}-{what}")
    for call, parameters in BAD.items()
    for name, bad in parameters.items()
    for what, value in bad.items()
]


@pytest.mark.parametrize("call", GOOD, ids=lambda call: call.__name__)
def test_the_good_call_works(call):
    call(**GOOD[call])


@pytest.mark.parametrize(("call", "name", "value"), ROWS)
def test_bad_input_ends_in_one_sentence(call, name, value):
    with pytest.raises(QuantlabError) as caught:
        call(**GOOD[call] | {name: value})
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and len(said) < 300


def test_every_public_function_of_the_feeds_has_a_row():
    rooms = {"messages", "access", "websocket_feed", "played"}
    ours = {
        getattr(live, name)
        for name in live.__all__
        if getattr(getattr(live, name), "__module__", "").rpartition(".")[2] in rooms
    }
    assert {f for f in ours if inspect.isfunction(f)} | {PlayedServer, WebSocketFeed} <= set(BAD)
