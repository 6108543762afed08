"""Frames of HTTP/2 (RFC 9113, sections 4 and 6): cut from a stream of bytes, and made."""

import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
# Flags.
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
# Settings.
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 3, 4, 5, 6
# Errors (section 7).
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 3, 5, 6
REFUSED_STREAM, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 9, 11
# What is taken when nothing else was agreed on; and the largest number of 31 bits.
MAX_FRAME, MAX_NUMBER = 16_384, 2**31 - 1
_HEAD = struct.Struct(">HBBBI")
Frame = tuple[int, int, int, bytes]


class Broken(Exception):
    """A client that does not speak HTTP/2: the connection ends, with the ``code`` of an error."""

    def __init__(self, code: int, detail: str):
        super().__init__(detail)
        self.code = code


class Cutter:
    """Cuts the bytes of one connection into frames."""

    def __init__(self) -> None:
        self._rest, self._has_begun = b"", False

    def frames(self, data: bytes) -> Iterator[Frame]:
        """Return each frame that is whole by now: its type, flags, stream and payload.

        Raises
        ------
        Broken
            When the preface is wrong, or a frame too long.
        """
        data, at = self._rest + data if self._rest else data, 0
        if not self._has_begun:
            if len(data) < len(PREFACE) and PREFACE.startswith(data):
                self._rest = data
                return
            if not data.startswith(PREFACE):
                raise Broken(PROTOCOL_ERROR, "the preface of HTTP/2 is wrong")
            self._has_begun, at = True, len(PREFACE)
        end = len(data)
        while at + 9 <= end:
            high, low, kind, flags, number = _HEAD.unpack_from(data, at)
            until = at + 9 + (high << 8 | low)
            if until - at - 9 > MAX_FRAME:
                raise Broken(FRAME_SIZE_ERROR, f"a frame has over {MAX_FRAME} bytes")
            if until > end:
                break
            yield kind, flags, number & MAX_NUMBER, data[at + 9 : until]
            at = until
        self._rest = data[at:]


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    """Return a frame as bytes; ``number``: its stream."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return the payload without its padding; raises Broken where that is longer than all."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Broken(PROTOCOL_ERROR, "a frame has more padding than bytes")
    return payload[1 : len(payload) - payload[0]]


def settings(**values: int) -> bytes:
    """Return the payload of SETTINGS, by the names of the constants above in lower case."""
    return b"".join(struct.pack(">HI", globals()[name.upper()], value) for name, value in values.items())


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Return each setting and its value; raises Broken where one may not be."""
    if len(payload) % 6:
        raise Broken(FRAME_SIZE_ERROR, "SETTINGS are not of six bytes each")
    for name, value in struct.iter_unpack(">HI", payload):
        if name == INITIAL_WINDOW_SIZE and value > MAX_NUMBER:
            raise Broken(FLOW_CONTROL_ERROR, "the initial window is too large")
        if (name == MAX_FRAME_SIZE and not MAX_FRAME <= value < 2**24) or (name == 2 and value > 1):
            raise Broken(PROTOCOL_ERROR, f"the setting {name} cannot be {value}")
        yield name, value


def goaway(last: int, code: int, detail: str = "") -> bytes:
    """Return GOAWAY: streams after ``last`` are not answered."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + detail[:200].encode())


def reset(number: int, code: int) -> bytes:
    """Return RST_STREAM."""
    return frame(RST_STREAM, 0, number, struct.pack(">I", code))


def more(number: int, size: int) -> bytes:
    """Return WINDOW_UPDATE: room for ``size`` more bytes of a stream, or of the connection, 0."""
    return frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size))
