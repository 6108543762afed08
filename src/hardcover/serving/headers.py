"""Header fields of HTTP/2: read from HPACK (RFC 7541) and checked (RFC 9113, section 8), and written.

A client that asks again and again sends the same few bytes: references into a table that it filled with its first request. So fields are
kept by those bytes until the table changes, and are neither decoded nor checked twice.
"""

from typing import NamedTuple

import hpack

from hardcover.serving.exchange import Answer
from hardcover.serving.frames import COMPRESSION_ERROR, Broken

MAX_HEAD, MAX_HEADERS = 16 * 1024, 100
_PSEUDO = {b":method", b":path", b":scheme", b":authority"}
# RFC 9113, section 8.2.2: they tell of a connection of HTTP/1.1.
_FORBIDDEN = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_STATUS = {200: b"\x88", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}
# grpc-timeout: milliseconds of a unit (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
_UNITS = {b"H": 3_600_000.0, b"M": 60_000.0, b"S": 1_000.0, b"m": 1.0, b"u": 1e-3, b"n": 1e-6}


class Head(NamedTuple):
    """What the header fields of a request say; ``headers`` by name, as `exchange.Request` has them."""

    method: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    is_grpc: bool


class Malformed(Exception):
    """Header fields that are no request; their stream is reset."""


class Reader:
    """Reads the blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=MAX_HEAD)
        self._kept: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """Return what a block says.

        Raises
        ------
        Malformed
            When the fields are no request.
        Broken
            When the block is not HPACK, or would be over 16 KiB: no other can be read after it.
        """
        head = self._kept.get(block)
        if head is None:
            head = _checked(self.fields(block))
            # Bytes of 128 to 254 each refer to a whole field and change nothing.
            if len(self._kept) < 64 and min(block) >= 0x80 and max(block) < 0xFF:
                self._kept[block] = head
        return head

    def fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Return names and values; raises Broken."""
        before = self._newest()
        try:
            found = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.HPACKError as error:
            raise Broken(COMPRESSION_ERROR, str(error) or type(error).__name__) from error
        if self._newest() != before:
            self._kept.clear()
        return found

    def _newest(self) -> tuple[int, int]:
        """Return what tells one state of the table from the next: its size, and its newest entry."""
        entries = self._decoder.header_table.dynamic_entries
        return len(entries), id(entries[0]) if entries else 0


def _checked(fields: list[tuple[bytes, bytes]]) -> Head:
    pseudo: dict[bytes, bytes] = {}
    headers: dict[bytes, bytes] = {}
    if len(fields) > MAX_HEADERS:
        raise Malformed(f"there are over {MAX_HEADERS} headers")
    for name, value in fields:
        if name[:1] == b":":
            if headers or name in pseudo or name not in _PSEUDO:
                raise Malformed(f"the field {name[:30]!r} is unknown, comes twice or too late")
            pseudo[name] = value
            continue
        if name in _FORBIDDEN or not name or name != name.lower():
            raise Malformed(f"the field {name[:30]!r} has no place in HTTP/2")
        if name == b"te" and value != b"trailers":
            raise Malformed("te can only be trailers")
        headers[name] = headers[name] + b", " + value if name in headers else value
    path = pseudo.get(b":path", b"")
    if not pseudo.get(b":method") or b":scheme" not in pseudo or path[:1] not in (b"/", b"*"):
        raise Malformed("there is no :method, :scheme or :path")
    if b":authority" in pseudo:
        headers[b"host"] = pseudo[b":authority"]
    path, _, query = path.partition(b"?")
    is_grpc = headers.get(b"content-type", b"").startswith(b"application/grpc")
    timeout = headers.get(b"grpc-timeout")
    if is_grpc and timeout and timeout[:-1].isdigit() and len(timeout) <= 9 and timeout[-1:] in _UNITS:
        milliseconds = int(timeout[:-1]) * _UNITS[timeout[-1:]]
        headers[b"x-request-timeout-ms"] = b"%d" % min(milliseconds, 999_999_999)
    return Head(pseudo[b":method"], path, query, headers, is_grpc)


def status(code: int) -> bytes:
    """Return the field ``:status``."""
    return _STATUS.get(code) or literal(b":status", b"%d" % code)


def literal(name: bytes, value: bytes) -> bytes:
    """Return a field that enters no table (RFC 7541, section 6.2.2)."""
    return b"\x00%s%s%s%s" % (_length(len(name)), name, _length(len(value)), value)


def of(answer: Answer) -> bytes:
    """Return the fields before the body of an answer."""
    kind = literal(b"content-type", answer.kind) + lines(answer.lines)
    return status(answer.status) + kind + literal(b"content-length", b"%d" % len(answer.body))


def lines(given: bytes) -> bytes:
    """Return header lines of HTTP/1.1, each with its line end, as fields."""
    pairs = (line.partition(b": ") for line in given.split(b"\r\n") if line)
    return b"".join(literal(name.lower(), value) for name, _, value in pairs)


def _length(number: int) -> bytes:
    """Return an integer with a prefix of seven bits (RFC 7541, section 5.1)."""
    if number < 127:
        return bytes((number,))
    number -= 127
    found = bytearray(b"\x7f")
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    found.append(number)
    return bytes(found)
