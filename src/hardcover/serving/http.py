"""HTTP/1.1 on an event loop (RFC 9110, RFC 9112): from bytes of a socket to a request, and back.

llhttp, the parser of Node.js, reads; what it accepts is answered at once, in the order of arrival. A worker that is behind says so
instead of queueing: see ``Carrier.is_behind``.
"""

import asyncio
import time
from email.utils import formatdate
from typing import Any

import httptools

from hardcover.serving.app import ENDPOINTS, WATCHED, App
from hardcover.serving.exchange import PHRASES, Answer, Refused, Request

MAX_HEAD, MAX_HEADERS = 16 * 1024, 100
# Seconds that a refused client has to read why.
LINGER = 2.0
# Nanoseconds: without a pause as long as the first, work goes on; after the second, what comes next may have waited.
PAUSE, BUSY = 50_000, 2_000_000


class Carrier:
    """All connections of a worker.

    Parameters
    ----------
    app
        Answers.
    max_body
        Bytes of a body at most; above, 413.
    patience
        Seconds that a request may have waited for others before it; above, 503.
    slow
        Seconds in which a request must have arrived whole; above, 408.
    idle
        Seconds that a connection may be silent between requests.
    """

    def __init__(
        self,
        app: App,
        max_body: int = 8 * 2**20,
        patience: float = 0.01,
        slow: float = 10.0,
        idle: float = 75.0,
    ):
        self.app, self.max_body, self.slow, self.idle = app, max_body, slow, idle
        self.patience = int(patience * 1e9)
        self.connections: set[Connection] = set()
        self.loop = asyncio.get_running_loop()
        self.clock = time.monotonic()
        self.date = b""
        self._began, self._busy, self._last = 0, 0, 0
        self._heads: dict[tuple[int, bytes], bytes] = {}
        self._tick()

    def _tick(self) -> None:
        """Once a second: tell the time, and end connections that are too slow."""
        self.clock = time.monotonic()
        self.date = b"date: %s\r\ncontent-length: " % formatdate(usegmt=True).encode()
        for each in list(self.connections):
            each.check(self.clock)
        self.loop.call_later(1.0, self._tick)

    def turn(self) -> None:
        """Note that bytes are read.

        After a pause nothing had been waiting. After work without one, all that the loop reads before it comes to ``_turned`` had been
        waiting together; to be told of that costs a system call, so it is asked for only then.
        """
        now = time.perf_counter_ns()
        if now - self._last > PAUSE:
            self._busy = now
        elif self._began == 0 and now - self._busy > BUSY:
            self._began = now
            self.loop.call_soon(self._turned)

    def _turned(self) -> None:
        self._began = 0

    def turned(self) -> None:
        """Note that what was read is answered; challengers are asked afterwards."""
        self._last = time.perf_counter_ns()
        if self.app.has_more:
            self.loop.call_soon(self.app.compare)

    def is_behind(self, request: Request) -> Refused | None:
        """Return why a request is not worth parsing any more, before it is; None where it is."""
        if self._began == 0:
            return None
        waited = time.perf_counter_ns() - self._began
        if waited > self.patience and request.path not in WATCHED:
            self.app.counters.add("shed")
            return Refused(503, "the service is behind; try again", b"retry-after: 1\r\n")
        limit = request.headers.get(b"x-request-timeout-ms")
        if limit is not None and limit.isdigit() and waited > int(limit[:9]) * 1_000_000:
            self.app.counters.add("late")
            return Refused(504, "the request's own deadline has passed")
        return None

    def encoded(self, answer: Answer, keep: bool, body: bool) -> bytes:
        """Return an answer as bytes of HTTP/1.1."""
        key = (answer.status, answer.kind)
        head = self._heads.get(key)
        if head is None:
            reason = PHRASES[answer.status].encode()
            head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\n" % (answer.status, reason, answer.kind)
            self._heads[key] = head
        closing = b"" if keep else b"connection: close\r\n"
        content = answer.body if body else b""
        return b"%s%s%s%s%d\r\n\r\n%s" % (head, answer.lines, closing, self.date, len(answer.body), content)

    async def drain(self, grace: float) -> None:
        """Answer what comes on open connections, closing each after its answer, then what is still open after ``grace`` seconds."""
        self.app.draining = True
        until = time.monotonic() + grace
        while self.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for each in list(self.connections):
            each.end()
        # What was written last leaves before the process does.
        await asyncio.sleep(0.05)


class Connection(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "body", "carrier", "closing", "head", "headers", "in_head", "method", "out", "parser", "refused", "since", "size", "target",
        "transport",
    )  # fmt: skip

    def __init__(self, carrier: Carrier):
        self.carrier = carrier
        self.parser: Any = httptools.HttpRequestParser(self)
        self.transport: Any = None
        self.out: list[bytes] = []
        self.closing, self.in_head, self.head, self.since = False, False, 0, 0.0
        self.refused: Refused | None = None
        self._fresh()

    def _fresh(self) -> None:
        self.target, self.size = b"", 0
        self.body: bytes | bytearray = b""
        self.headers: dict[bytes, bytes] = {}

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.since = self.carrier.clock
        self.carrier.connections.add(self)
        self.carrier.app.counters.add("connections")

    def connection_lost(self, _: Exception | None) -> None:
        """Let go of everything."""
        self.carrier.connections.discard(self)
        self.carrier.app.counters.add("connections", -1)
        self.parser = None
        self._fresh()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its answers."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take bytes; write the answers to what is whole."""
        if self.closing:
            return
        self.carrier.turn()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered as any other; no other protocol is spoken here.
            self.closing = True
        except httptools.HttpParserError as error:
            if not self.closing:
                self._refuse(self.refused or Refused(400, f"this is not HTTP/1.1: {error}"))
        if self.in_head:
            self.head += len(data)
            if self.head > MAX_HEAD and not self.closing:
                self._refuse(Refused(431, f"the request's head is over {MAX_HEAD} bytes"))
        self._write()
        self.carrier.turned()

    def _write(self) -> None:
        if self.out:
            self.transport.write(self.out[0] if len(self.out) == 1 else b"".join(self.out))
            self.out.clear()
        if self.refused:
            # Closing while the client still sends would reset the connection, and the client might never read why.
            if self.transport.can_write_eof():
                self.transport.write_eof()
        elif self.closing:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.in_head, self.head = True, 0
        self.since = self.carrier.clock
        self._fresh()

    def on_url(self, url: bytes) -> None:
        """Take the target, or a part of it."""
        self.target = self.target + url if self.target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        name = name.lower()
        headers = self.headers
        if name in headers:
            if name == b"host":
                self._stop(Refused(400, "there are two Host headers"))
            value = headers[name] + b", " + value
        headers[name] = value
        if len(headers) > MAX_HEADERS:
            self._stop(Refused(431, f"there are over {MAX_HEADERS} headers"))

    def on_headers_complete(self) -> None:
        """Refuse what can be refused before its body."""
        self.in_head, headers, parser = False, self.headers, self.parser
        self.method = parser.get_method()
        if parser.get_http_version() == "1.1" and b"host" not in headers:
            self._stop(Refused(400, "there is no Host header"))
        length = headers.get(b"content-length")
        if (
            length is not None
            and len(length) > 5
            and length.isdigit()
            and int(length[:20]) > self.carrier.max_body
        ):
            self._stop(_too_large(self.carrier.max_body))
        expected = headers.get(b"expect")
        if expected is not None:
            if expected.lower() != b"100-continue":
                self._stop(Refused(417, "only 100-continue can be expected"))
            self.out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if not self.size:
            self.body = part
        elif self.size + len(part) > self.carrier.max_body:
            self._stop(_too_large(self.carrier.max_body))
        else:
            # Parts that come by and by are put together in place.
            whole = self.body if isinstance(self.body, bytearray) else bytearray(self.body)
            whole += part
            self.body = whole
        self.size += len(part)

    def on_message_complete(self) -> None:
        """Answer."""
        if self.closing:
            return
        carrier, path = self.carrier, self.target
        query = b""
        if b"?" in path or not path.startswith(b"/"):
            path, query = _divided(path)
        body = bytes(self.body) if isinstance(self.body, bytearray) else self.body
        request = Request(self.method, path, query, self.headers, body)
        late = carrier.is_behind(request)
        answer = late.answer() if late else carrier.app.answer(request)
        keep = self.parser.should_keep_alive() and not carrier.app.draining
        self.out.append(carrier.encoded(answer, keep, self.method != b"HEAD"))
        self.closing = not keep
        self._fresh()
        # Negative: idle since then.
        self.since = -carrier.clock

    def _stop(self, refused: Refused) -> None:
        """End the parser's work on this connection, with an answer."""
        self.refused = self.refused or refused
        raise refused

    def _refuse(self, refused: Refused) -> None:
        self.refused, answer = refused, refused.answer()
        self.carrier.app.counters.request(len(ENDPOINTS) - 1, answer.status, 0)
        self.out.append(self.carrier.encoded(answer, False, True))
        self.closing = True

    def check(self, now: float) -> None:
        """End the connection where a request arrives too slowly, or none has come for long."""
        quiet = now - abs(self.since)
        if self.closing:
            # The client was told, and does not close.
            if quiet > LINGER:
                self.transport.abort()
        elif self.since < 0:
            if quiet > self.carrier.idle:
                self.end()
        elif quiet > self.carrier.slow:
            self._refuse(Refused(408, f"the request did not arrive within {self.carrier.slow:g} seconds"))
            self._write()

    def end(self) -> None:
        """Close the connection after what was written."""
        self.closing = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is over {limit} bytes")


def _divided(target: bytes) -> tuple[bytes, bytes]:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target, b""
    return url.path or b"/", url.query or b""
