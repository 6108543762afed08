"""HTTP/1.1 on an event loop (RFC 9110, RFC 9112): from bytes of a socket to a request, and back. HTTP/2 begins here, too.

llhttp, the parser of Node.js, reads; what it accepts goes to the ``Carrier``, and answers leave in the order of the requests.
"""

from typing import Any

import httptools

from hardcover.serving.app import ENDPOINTS
from hardcover.serving.carrier import MAX_WAITING, Carrier, Client
from hardcover.serving.exchange import Answer, Refused, Request, too_large

MAX_HEAD, MAX_HEADERS = 16 * 1024, 100
# Seconds that a refused client has to read why.
LINGER = 2.0


class Connection(Client):
    """One connection.

    Attributes
    ----------
    waiting
        How many of its requests wait in the carrier's queue.
    ended, closing
        Whether no further request is read; and whether all that were read are answered, too, so that it closes.
    """

    __slots__ = (
        "body", "carrier", "closing", "ended", "head", "headers", "in_head", "is_new", "method", "out", "parser", "refused", "since", "size", "target",
        "transport", "waiting",
    )  # fmt: skip

    def __init__(self, carrier: Carrier):
        self.carrier = carrier
        self.parser: Any = httptools.HttpRequestParser(self)
        self.transport: Any = None
        self.out: list[bytes] = []
        self.ended, self.closing, self.waiting = False, False, 0
        self.is_new, self.in_head, self.head, self.since = True, False, 0, 0.0
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

    def data_received(self, data: bytes) -> None:
        """Take bytes; write the answers to what is whole."""
        if self.ended:
            return
        if self.is_new:
            self.is_new = False
            if data.startswith(b"PRI "):
                self._become_http2(data)
                return
        self.carrier.turn()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered as any other; no other protocol is spoken here.
            self.ended = True
        except httptools.HttpParserError as error:
            if not self.ended:
                self._refuse(self.refused or Refused(400, f"this is not HTTP/1.1: {error}"))
        if self.in_head:
            self.head += len(data)
            if self.head > MAX_HEAD and not self.ended:
                self._refuse(Refused(431, f"the request's head is over {MAX_HEAD} bytes"))
        self._write()
        self.carrier.turned()

    def _become_http2(self, data: bytes) -> None:
        """Hand the socket over; only who speaks it loads what it takes."""
        from hardcover.serving import calls, http2

        self.carrier.app.learn(calls.routes)
        self.carrier.connections.discard(self)
        self.parser = None
        other = http2.Connection(self.carrier)
        self.transport.set_protocol(other)
        other.connection_made(self.transport)
        other.data_received(data)

    def _write(self) -> None:
        if self.ended and not self.waiting and not self.closing:
            self.closing = True
            if self.refused:
                answer = self.refused.answer()
                self.carrier.app.counters.request(len(ENDPOINTS) - 1, answer.status, 0)
                self.out.append(self.carrier.encoded(answer, False, True))
        if self.out:
            self.transport.write(self.out[0] if len(self.out) == 1 else b"".join(self.out))
            self.out.clear()
        if self.closing:
            # Closing while the client still sends would reset the connection, and the client might never read why.
            if not self.refused:
                self.transport.close()
            elif self.transport.can_write_eof():
                self.transport.write_eof()

    def reply(self, answer: Answer, request: Request, keep: bool) -> None:
        """Write the answer to a request that waited."""
        keep = keep and not self.carrier.app.draining
        self.out.append(self.carrier.encoded(answer, keep, request.method != b"HEAD"))
        self.ended = self.ended or not keep
        self._write()
        if self.waiting == MAX_WAITING - 1:
            self.resume_writing()

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
            self._stop(too_large(self.carrier.max_body))
        expected = headers.get(b"expect")
        if expected is not None:
            if expected.lower() != b"100-continue":
                self._stop(Refused(417, "only 100-continue can be expected"))
            self.out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self.size += len(part)
        if self.size > self.carrier.max_body:
            self._stop(too_large(self.carrier.max_body))
        if not self.body:
            self.body = part
        else:
            # Parts that come by and by are put together in place.
            whole = self.body if isinstance(self.body, bytearray) else bytearray(self.body)
            whole += part
            self.body = whole

    def on_message_complete(self) -> None:
        """Answer, or let the request wait."""
        if self.ended:
            return
        carrier, path = self.carrier, self.target
        query = b""
        if b"?" in path or not path.startswith(b"/"):
            path, query = _divided(path)
        body = bytes(self.body) if isinstance(self.body, bytearray) else self.body
        request = Request(self.method, path, query, self.headers, body)
        keep = self.parser.should_keep_alive() and not carrier.app.draining
        answer = carrier.take(self, request, keep)
        if answer is not None:
            self.out.append(carrier.encoded(answer, keep, self.method != b"HEAD"))
        elif self.waiting == MAX_WAITING:
            self.transport.pause_reading()
        self.ended = not keep
        self._fresh()
        # Negative: idle since then.
        self.since = -carrier.clock

    def _stop(self, refused: Refused) -> None:
        """End the parser's work on this connection, with an answer."""
        self.refused = self.refused or refused
        raise refused

    def _refuse(self, refused: Refused) -> None:
        self.refused, self.ended = refused, True

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

    @property
    def is_open(self) -> bool:
        """Whether there is a client to answer."""
        return self.parser is not None

    def drain(self) -> None:
        """Go on until the next answer, which closes the connection."""

    def end(self) -> None:
        """Close the connection after what was written."""
        self.ended = self.closing = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def _divided(target: bytes) -> tuple[bytes, bytes]:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target, b""
    return url.path or b"/", url.query or b""
