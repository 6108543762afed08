"""Frames in, frames out: requests by HTTP/2 get the answers of HTTP/1.1, and what breaks the protocol ends with its code, and ends alone."""

import asyncio
import itertools
import json
import struct
from collections.abc import Iterable

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.serving.carrier import Carrier, Limits
from hardcover.serving.http import Connection
from tests.conftest import RECORD
from tests.serving.conftest import PREDICT, ask, examples
from tests.serving.test_http import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ENDS, HEAD_ENDS, PADDED, PRIORITISED = 1, 4, 8, 32
PROTOCOL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM = 1, 3, 5, 6, 7, 9, 11
BODY = json.dumps(RECORD).encode()


class Client(Wire):
    """The side of the client, which takes frames apart by a decoder of its own."""

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        found, rest = [], self.written
        while rest:
            size = int.from_bytes(rest[:3], "big")
            kind, flags, number = struct.unpack_from(">BBI", rest, 3)
            found.append((kind, flags, number, rest[9 : 9 + size]))
            rest = rest[9 + size :]
        return found

    def answers(self) -> dict[int, tuple[int, dict, bytes]]:
        """Return status, headers and body by stream, of those that have ended."""
        decoder, heads, bodies, ended = hpack.Decoder(), {}, {}, {}
        for kind, flags, number, payload in self.frames():
            if kind == HEADERS:
                heads.setdefault(number, {}).update(decoder.decode(payload))
            if kind == DATA:
                bodies[number] = bodies.get(number, b"") + payload
            if kind in (HEADERS, DATA) and flags & ENDS:
                ended[number] = (int(heads[number][":status"]), heads[number], bodies.get(number, b""))
        return ended

    def codes(self, kind: int) -> list[tuple[int, int]]:
        """Return stream and code of each RST_STREAM, or the last stream and code of each GOAWAY."""
        if kind == RST:
            return [(number, *struct.unpack(">I", each)) for k, _, number, each in self.frames() if k == RST]
        return [struct.unpack_from(">II", each) for k, _, _, each in self.frames() if k == GOAWAY]


def frame(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, number) + payload


class Sender:
    """Makes the frames of requests, with the table of one connection."""

    def __init__(self):
        self.encoder = hpack.Encoder()

    def head(self, method: str = "POST", path: str = PREDICT, **headers: str) -> bytes:
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")]
        return self.encoder.encode(
            [*fields, *((name.replace("_", "-"), value) for name, value in headers.items())]
        )

    def post(self, number: int, body: bytes = BODY, **headers: str) -> bytes:
        block = self.head(content_type="application/json", **headers)
        return frame(HEADERS, HEAD_ENDS, number, block) + frame(DATA, ENDS, number, body)

    def get(self, number: int, path: str = "/livez", method: str = "GET") -> bytes:
        return frame(HEADERS, HEAD_ENDS | ENDS, number, self.head(method, path))


def talk(app, parts: Iterable[bytes], then=None, settings: bytes = b"", **options) -> Client:
    """Send the preface, then the parts one after the other; ``then`` is called with the connection and the carrier."""

    async def run() -> Client:
        client, carrier = Client(), Carrier(app, Limits(**options))
        client.protocol = Connection(carrier)
        client.protocol.connection_made(client)
        for part in (PREFACE + frame(SETTINGS, 0, 0, settings), *parts):
            client.protocol.data_received(part)
        if then is not None:
            await then(client, carrier)
        while any(each.waiting for each in client.protocol.streams.values()):
            await asyncio.sleep(0)
        client.protocol.connection_lost(None)
        return client

    return asyncio.run(run())


def test_requests_are_answered_as_by_http_1(app):
    sender, expected = Sender(), ask(app, PREDICT, RECORD)
    requests = [
        *(sender.post(1 + 2 * at) for at in range(5)),
        sender.get(11),
        sender.get(13, method="HEAD"),
        sender.get(15, "/nowhere"),
    ]

    answers = talk(app, requests).answers()

    for number in (1, 3, 5, 7, 9):
        status, headers, body = answers[number]
        assert (status, body) == (200, expected.body)
        assert headers["hardcover-release"] in expected.lines.decode()
    assert answers[11][::2] == (200, b"alive\n")
    assert answers[13][::2] == (200, b"")
    assert answers[15][0] == 404


@examples(60, 10_000)
@given(cuts=st.lists(st.integers(1, 900), max_size=12), pad=st.integers(0, 200))
def test_however_bytes_are_cut_the_answers_are_the_same(app, cuts, pad):
    sender = Sender()
    first, block = sender.post(1), sender.head(content_type="application/json")
    padded = bytes([pad]) + BODY + bytes(pad)
    whole = b"".join(
        [
            first,
            frame(HEADERS, PRIORITISED, 3, bytes(4) + b"\x10" + block[:4]),
            frame(CONTINUATION, 0, 3, block[4:5]),
            frame(CONTINUATION, HEAD_ENDS, 3, block[5:]),
            frame(99, 0, 3, b"unknown types are ignored"),
            frame(DATA, PADDED, 3, padded),
            frame(DATA, ENDS, 3),
            frame(PING, 0, 0, b"12345678"),
        ]
    )
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    parts = [whole[at:until] for at, until in itertools.pairwise(edges)]

    client = talk(app, parts)

    assert [answer[::2] for answer in client.answers().values()] == [
        (200, ask(app, PREDICT, RECORD).body)
    ] * 2
    assert (PING, 1, 0, b"12345678") in client.frames()


def test_an_answer_waits_for_the_room_that_the_client_gives(app):
    sender = Sender()
    small = struct.pack(">HI", 4, 1000)
    asked = frame(HEADERS, HEAD_ENDS | ENDS, 1, sender.head("GET", "/openapi.json"))
    whole = ask(app, "/openapi.json", method="GET").body

    client = talk(app, [asked], settings=small)
    first = b"".join(payload for kind, _, _, payload in client.frames() if kind == DATA)
    assert first == whole[:1000]
    assert not client.answers()

    updates = [frame(WINDOW, 0, 1, struct.pack(">I", 700))] * (len(whole) // 700)
    assert talk(app, [asked, *updates], settings=small).answers()[1][2] == whole
    grown = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 60_000))
    assert talk(app, [asked, grown], settings=small).answers()[1][2] == whole


def test_a_large_body_comes_in_parts_and_one_that_is_too_large_is_refused(app):
    sender = Sender()
    many = json.dumps([RECORD] * 200).encode()
    head = frame(HEADERS, HEAD_ENDS, 1, sender.head(content_type="application/json"))
    parts = [frame(DATA, 0, 1, many[at : at + 1000]) for at in range(0, len(many), 1000)]

    assert talk(app, [head, *parts, frame(DATA, ENDS, 1)]).answers()[1][0] == 200
    client = talk(app, [head, *parts, sender.get(3)], max_body=5000)
    assert client.answers()[1][0] == 413
    assert (1, 0) in client.codes(RST)
    assert client.answers()[3][0] == 200


def head_of(*fields: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode(fields)


GOOD = ((":method", "GET"), (":scheme", "http"), (":path", "/livez"))
MALFORMED = {
    "no method": head_of(*GOOD[1:]),
    "no path": head_of(*GOOD[:2]),
    "a path that is none": head_of(*GOOD[:2], (":path", "livez")),
    "a pseudo-field twice": head_of(*GOOD, (":path", "/readyz")),
    "a pseudo-field too late": head_of(*GOOD[:2], ("x", "y"), GOOD[2]),
    "a pseudo-field of answers": head_of(*GOOD, (":status", "200")),
    "a name in upper case": head_of(*GOOD, ("X-Name", "y")),
    "connection": head_of(*GOOD, ("connection", "close")),
    "transfer-encoding": head_of(*GOOD, ("transfer-encoding", "chunked")),
    "te of another kind": head_of(*GOOD, ("te", "gzip")),
    "a length that is not the body's": head_of(*GOOD, ("content-length", "7")),
    "too many headers": head_of(*GOOD, *((f"x{at}", "y") for at in range(200))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_reset_and_the_connection_goes_on(app, name):
    client = talk(app, [frame(HEADERS, HEAD_ENDS | ENDS, 1, MALFORMED[name]), Sender().get(3)])

    assert client.codes(RST) == [(1, PROTOCOL)]
    assert client.answers()[3][0] == 200


LIVEZ = Sender().get(1)
BEGUN = frame(HEADERS, HEAD_ENDS, 1, Sender().head())
BROKEN = {
    "a frame that is too long": ([frame(PING, 0, 0, bytes(20_000))], SIZE),
    "HEADERS on no stream": ([frame(HEADERS, HEAD_ENDS, 0, Sender().head())], PROTOCOL),
    "HEADERS on an even stream": ([frame(HEADERS, HEAD_ENDS, 2, Sender().head())], PROTOCOL),
    "HEADERS on a closed stream": ([LIVEZ, Sender().get(1)], CLOSED),
    "HEADERS in the middle": ([BEGUN, BEGUN], PROTOCOL),
    "more padding than bytes": ([BEGUN, frame(DATA, PADDED, 1, b"\x09abc")], PROTOCOL),
    "a stream that depends on itself": (
        [frame(HEADERS, HEAD_ENDS | PRIORITISED, 1, struct.pack(">IB", 1, 0) + Sender().head())],
        PROTOCOL,
    ),
    "DATA on an idle stream": ([frame(DATA, 0, 5, b"x")], PROTOCOL),
    "DATA on no stream": ([frame(DATA, 0, 0, b"x")], PROTOCOL),
    "RST_STREAM on an idle stream": ([frame(RST, 0, 5, bytes(4))], PROTOCOL),
    "RST_STREAM of another size": ([BEGUN, frame(RST, 0, 1, bytes(3))], SIZE),
    "SETTINGS of another size": ([frame(SETTINGS, 0, 0, bytes(5))], SIZE),
    "SETTINGS on a stream": ([frame(SETTINGS, 0, 1)], PROTOCOL),
    "an acknowledgement with a payload": ([frame(SETTINGS, 1, 0, bytes(6))], SIZE),
    "a window that is too large": ([frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31))], FLOW),
    "a frame size that is too small": ([frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 100))], PROTOCOL),
    "a promise": ([BEGUN, frame(PUSH, HEAD_ENDS, 1, bytes(4))], PROTOCOL),
    "PING of another size": ([frame(PING, 0, 0, bytes(7))], SIZE),
    "PING on a stream": ([frame(PING, 0, 1, bytes(8))], PROTOCOL),
    "WINDOW_UPDATE by nothing": ([frame(WINDOW, 0, 0, bytes(4))], PROTOCOL),
    "WINDOW_UPDATE by too much": ([frame(WINDOW, 0, 0, struct.pack(">I", 2**31 - 1))] * 2, FLOW),
    "CONTINUATION of nothing": ([frame(CONTINUATION, HEAD_ENDS, 1, b"\x82")], PROTOCOL),
    "a block that is not continued": ([frame(HEADERS, 0, 1, Sender().head()), frame(PING, 0, 0, bytes(8))], PROTOCOL),
    "a block that never ends": (
        [frame(HEADERS, 0, 1, Sender().head()), *[frame(CONTINUATION, 0, 1, bytes(9000))] * 2],
        CALM,
    ),
    "an index that is not in the table": ([frame(HEADERS, HEAD_ENDS, 1, b"\xfe")], COMPRESSION),
    "a block that is cut": ([frame(HEADERS, HEAD_ENDS, 1, b"\x00\x7f")], COMPRESSION),
    "a header bomb": ([frame(HEADERS, HEAD_ENDS, 1, b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 9000)], COMPRESSION),
    "a flood of pings": ([frame(PING, 0, 0, bytes(8)) * 3000], CALM),
    "a flood of settings": ([frame(SETTINGS, 0, 0) * 3000], CALM),
    "a flood of empty frames": ([BEGUN, frame(DATA, 0, 1) * 3000], CALM),
    "streams that begin and are reset": (
        [b"".join(frame(HEADERS, HEAD_ENDS, at, b"\x83\x86\x84") + frame(RST, 0, at, bytes(4)) for at in range(1, 6001, 2))],
        CALM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_protocol_ends_the_connection_with_its_code(app, name):
    parts, code = BROKEN[name]
    client = talk(app, parts)

    assert [each for _, each in client.codes(GOAWAY)] == [code]
    assert client.closed
    assert talk(app, [LIVEZ]).answers()[1][0] == 200


@examples(60, 10_000)
@given(
    parts=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                frame,
                st.integers(0, 11),
                st.integers(0, 255),
                st.integers(0, 9),
                st.one_of(
                    st.binary(max_size=40), st.sampled_from([MALFORMED["connection"], head_of(*GOOD), BODY])
                ),
            ),
        ),
        max_size=12,
    )
)
def test_whatever_comes_the_worker_goes_on(app, parts):
    client = talk(app, parts)

    assert not client.frames() or client.frames()[0][0] == SETTINGS
    assert not client.protocol.streams
    assert app.counters.total("connections") == 0
    assert not [status for status, *_ in client.answers().values() if status >= 500]
    assert talk(app, [LIVEZ]).answers()[1][0] == 200


def test_no_more_streams_than_told_wait_for_their_ends(app):
    sender = Sender()
    begun = [frame(HEADERS, HEAD_ENDS, 1 + 2 * at, sender.head()) for at in range(130)]

    client = talk(app, begun)

    assert client.codes(RST) == [(257, REFUSED), (259, REFUSED)]


def test_a_request_that_arrives_too_slowly_is_refused_and_an_idle_connection_closed(app):
    async def later(client, carrier):
        client.protocol.check(carrier.clock + 5)

    client = talk(app, [BEGUN], then=later, slow=3)
    assert client.answers()[1][0] == 408

    async def idle(client, carrier):
        client.protocol.check(carrier.clock + 100)

    client = talk(app, [LIVEZ], then=idle)
    assert client.codes(GOAWAY) == [(1, 0)]
    assert client.closed


def test_a_drain_answers_what_was_sent_before_the_client_knew(app):
    sender = Sender()

    async def drain(client, carrier):
        ended = asyncio.create_task(carrier.drain(5))
        await asyncio.sleep(0.02)
        client.protocol.data_received(sender.post(3))
        await ended

    client = talk(app, [sender.post(1)], then=drain)
    app.draining = False

    assert [status for status, *_ in client.answers().values()] == [200, 200]
    assert client.codes(GOAWAY) == [(2**31 - 1, 0), (3, 0)]
    assert client.closed


def test_a_watch_ends_with_its_client_however_its_frames_came(app):
    sender = Sender()
    block = sender.head(path="/grpc.health.v1.Health/Watch", content_type="application/grpc", te="trailers")
    parts = [
        frame(HEADERS, HEAD_ENDS, 1, block),
        frame(DATA, 0, 1, b"\0\0\0"),
        frame(DATA, 0, 1, b"\0\0"),
        frame(DATA, ENDS, 1, b""),
        frame(HEADERS, HEAD_ENDS | ENDS, 3, block),
    ]
    carriers = []

    async def leave(client, carrier):
        carriers.append(carrier)
        assert len(carrier.watchers) == 1
        app.ready = False
        carrier.tell()
        carrier.tell()
        app.ready = True

    client = talk(app, parts, leave)
    told = [content for kind, _, number, content in client.frames() if (kind, number) == (DATA, 1)]
    assert b"".join(told) == b"\0\0\0\0\x02\x08\x01" + b"\0\0\0\0\x02\x08\x02"
    assert not carriers[0].watchers
