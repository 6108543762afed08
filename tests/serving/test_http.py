"""Bytes of a socket in, bytes out: what is not HTTP/1.1 is refused, whatever else is on the way is answered."""

import asyncio
import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.serving.budgets import MAX_CALLERS, Budget, Callers
from hardcover.serving.carrier import Carrier, Limits
from hardcover.serving.exchange import Request
from hardcover.serving.http import Connection
from tests.conftest import RECORD
from tests.serving.conftest import PREDICT, examples

BODY = json.dumps(RECORD).encode()


class Wire:
    """The side of the client: what was written, and whether the connection was ended."""

    def __init__(self):
        self.written, self.closed, self.aborted, self.ended, self.reading = b"", False, False, False, True
        self.protocol = None

    def get_extra_info(self, name):
        return ("192.0.2.7", 4711) if name == "peername" else None

    def set_protocol(self, protocol):
        self.protocol = protocol

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def abort(self):
        self.aborted = True

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def answers(self) -> list[tuple[int, dict, bytes]]:
        """Take what was written apart by the lengths that it tells."""
        found, rest = [], self.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            size = int(headers.get(b"content-length", 0))
            body, rest = rest[:size], rest[size:]
            found.append((int(first.split()[1]), headers, body))
        return found


def post(body: bytes = BODY, path: str = PREDICT, **headers: str) -> bytes:
    given = {"host": "x", "content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value is not None)
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def talk(app, *parts: bytes, first=None, then=None, **options) -> Wire:
    """Send parts one after the other on one connection; ``first`` is called with the carrier, ``then`` with connection and carrier."""

    async def run() -> Wire:
        wire, carrier = Wire(), Carrier(app, Limits(**options))
        if first is not None:
            first(carrier)
        connection = Connection(carrier)
        connection.connection_made(wire)
        for part in parts:
            (wire.protocol or connection).data_received(part)
        if then is not None:
            then(connection, carrier)
        # Where the machine was slow, some wait in the queue.
        while connection.waiting:
            await asyncio.sleep(0)
        (wire.protocol or connection).connection_lost(None)
        return wire

    return asyncio.run(run())


def test_a_request_is_answered_and_the_connection_kept(app):
    wire = talk(app, post(), post())
    assert [status for status, *_ in wire.answers()] == [200, 200]
    assert not wire.closed
    assert (
        wire.answers()[0][1][b"hardcover-release"]
        .decode()
        .startswith(json.loads(wire.answers()[0][2])["version"])
    )


@examples(60, 10_000)
@given(cuts=st.lists(st.integers(1, 700), max_size=12))
def test_however_bytes_are_cut_the_answers_are_the_same(app, cuts):
    chunked = (
        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (PREDICT.encode(), BODY[:5], len(BODY) - 5, BODY[5:])
    )
    whole = post() + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + chunked
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    wire = talk(app, *(whole[one:other] for one, other in pairwise(edges)))

    found = wire.answers()
    assert [status for status, *_ in found] == [200, 200, 200]
    assert found[0][2] == found[2][2]
    assert found[1][2] == b"alive\n"


HOSTILE = {
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "length and chunks": (post(**{"transfer-encoding": "chunked"}), 400),
    "two lengths": (post().replace(b"content-length:", b"content-length: 5\r\ncontent-length:"), 400),
    "negative length": (post(**{"content-length": "-1"}), 400),
    "huge length": (post(**{"content-length": "9" * 30}), 400),
    "unknown coding": (post(**{"transfer-encoding": "cow", "content-length": None}), 400),
    "space before colon": (b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "folded header": (b"GET /livez HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
    "zero byte": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", 400),
    "bare newline in target": (b"GET /li\nvez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "not http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "unknown method": (b"BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "many headers": (
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(200)) + b"\r\n",
        431,
    ),
    "endless header": (b"GET /livez HTTP/1.1\r\nHost: x\r\na: " + b"b" * 20_000, 431),
    "endless target": (b"GET /" + b"a" * 20_000, 431),
    "body too large": (post(**{"content-length": str(9 * 2**20)}), 413),
    "expects more": (post(**{"expect": "200-ok"}), 417),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_http_is_refused_and_the_connection_ended(app, name):
    sent, status = HOSTILE[name]
    wire = talk(app, sent, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [found for found, *_ in wire.answers()] == [status]
    assert wire.ended or wire.closed


def test_a_chunked_body_is_bounded_as_well(app):
    part = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PREDICT.encode()
    wire = talk(app, head, *[part] * 20, max_body=65_536)
    assert [status for status, *_ in wire.answers()] == [413]


def test_head_upgrade_and_old_versions_are_answered_as_any_other(app):
    head = talk(app, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    upgrade = talk(
        app, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    old = talk(app, b"GET /livez HTTP/1.0\r\n\r\n")
    absolute = talk(app, b"GET http://x/livez?a=1 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert head.written.endswith(b"content-length: 6\r\n\r\n")
    assert [each.answers()[0][0] for each in (upgrade, old, absolute)] == [200, 200, 200]
    assert upgrade.closed
    assert old.closed
    assert not absolute.closed


def test_who_waits_for_leave_to_send_a_body_gets_it(app):
    wire = talk(app, post(**{"expect": "100-continue"}))
    assert wire.written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_does_not_read_is_not_read(app):
    def full(connection, _):
        connection.pause_writing()
        assert not connection.transport.reading
        connection.resume_writing()
        assert connection.transport.reading

    talk(app, post(), then=full)


@pytest.mark.parametrize(
    ("sent", "after", "status", "ended"),
    [
        (b"", 11, 408, True),
        (b"POST / HT", 11, 408, True),
        (post()[:-5], 11, 408, True),
        (post()[:-5], 9, None, False),
        (post(), 70, 200, False),
        (post(), 80, 200, True),
    ],
)
def test_what_comes_too_slowly_is_ended_what_is_only_silent_later(app, sent, after, status, ended):
    wire = talk(app, sent, then=lambda connection, carrier: connection.check(carrier.clock + after))
    assert [found for found, *_ in wire.answers()] == ([] if status is None else [status])
    assert (wire.ended or wire.closed) == ended


def busy(carrier: Carrier, cost: int = 10**9) -> None:
    """Let a carrier believe that it has worked without a pause, and what a request costs."""
    carrier.turn = lambda: None
    carrier.is_busy, carrier._cost = True, cost


def test_a_worker_that_is_behind_says_so_at_once_but_answers_those_who_watch(app):
    async def run():
        wires, carrier = [Wire() for _ in range(3)], Carrier(app)
        busy(carrier)
        connections = [Connection(carrier) for _ in wires]
        for connection, wire in zip(connections, wires, strict=True):
            connection.connection_made(wire)
        connections[0].data_received(post())
        connections[1].data_received(post())
        connections[2].data_received(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        at_once = [[status for status, *_ in wire.answers()] for wire in wires]
        await asyncio.sleep(0.01)
        return at_once, wires

    at_once, wires = asyncio.run(run())
    assert at_once == [[], [503], [200]]
    assert wires[0].answers()[0][0] == 200
    assert wires[1].answers()[0][1][b"retry-after"] == b"1"
    assert app.counters.total("shed") == 1


def test_what_waits_is_answered_in_order_and_a_refusal_after_it(app):
    sent = post() + post(path="/nowhere") + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + b"no http"
    wire = talk(app, sent, first=lambda carrier: busy(carrier, cost=1))
    assert [status for status, *_ in wire.answers()] == [200, 404, 200, 400]
    assert wire.ended


def test_a_request_whose_own_deadline_has_passed_is_not_answered(app):
    sent = post(**{"x-request-timeout-ms": "3"}) + post(**{"x-request-timeout-ms": "300"})
    wire = talk(app, sent, first=lambda carrier: busy(carrier, cost=1), then=lambda *_: time.sleep(0.005))
    assert [status for status, *_ in wire.answers()] == [504, 200]
    assert app.counters.total("late") == 1


def test_while_draining_each_answer_ends_its_connection(app):
    def drain(connection, carrier):
        app.draining = True
        connection.data_received(post())

    wire = talk(app, then=drain)
    assert wire.answers()[0][0] == 200
    assert wire.answers()[0][1][b"connection"] == b"close"
    assert wire.closed


@examples(300, 100_000)
@given(
    parts=st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.sampled_from([post(), post()[:40], b"\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n"]),
        ),
        max_size=6,
    )
)
def test_no_bytes_make_the_carrier_fail(app, parts):
    wire = talk(app, *parts)
    # What began as HTTP/2 is another test's.
    assert wire.protocol or all(status < 500 for status, *_ in wire.answers())
    assert app.counters.total("connections") == 0


def test_a_caller_who_asks_too_much_is_told_when_to_come_again(app):
    before = app.counters.total("over_budget")
    explain = PREDICT.replace("predict", "explain")
    health = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    mine, other = post(), post(**{"x-caller": "other"})
    wire = talk(
        app, mine, mine, mine, other, health, post(path=explain), post(path=explain), budget=Budget(1, 0.1)
    )

    assert [status for status, *_ in wire.answers()] == [200, 200, 429, 200, 200, 200, 429]
    refused = wire.answers()[2]
    assert refused[1][b"retry-after"] == b"1"
    assert b"budget" in refused[2]
    assert app.counters.total("over_budget") == before + 2
    assert not wire.closed


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 2)), max_size=60), st.floats(0.1, 20))
def test_no_caller_gets_more_than_a_bucket_and_what_was_refilled_since(asks, rate):
    callers, now, given, first = Callers(Budget(rate)), 0.0, {}, {}
    for caller, wait in asks:
        now += wait
        name = str(caller).encode()
        later = callers.spend(Request(b"POST", PREDICT.encode(), b"", {b"x-caller": name}), b"", now)
        first.setdefault(name, now)
        given[name] = given.get(name, 0) + (later == 0)
        assert given[name] <= max(2 * rate, 1) + (now - first[name]) * rate + 1e-6
        # Who waits as long as told is answered.
        if later:
            again = Request(b"POST", PREDICT.encode(), b"", {b"x-caller": name})
            assert later <= 1 / rate + 1e-9
            now += later + 1e-9
            assert callers.spend(again, b"", now) == 0
            given[name] += 1


def test_callers_that_are_forgotten_make_room():
    callers = Callers(Budget(1))
    for number in range(MAX_CALLERS + 500):
        callers.spend(Request(b"GET", b"/x"), str(number).encode(), 0.0)
    assert len(callers._left) == MAX_CALLERS
