"""HTTP/2 on an event loop (RFC 9113), for clients that begin with its preface: gRPC's, and others that prefer it.

Requests go to the same ``Carrier`` as those of HTTP/1.1. What a client can make a worker keep or do is bounded: streams, header blocks, bodies,
answers that it does not read, and frames that bring no request.
"""

from collections.abc import Callable
from typing import Any

from hardcover.serving import frames, headers
from hardcover.serving.app import ENDPOINTS
from hardcover.serving.carrier import Carrier, Client
from hardcover.serving.exchange import Refused
from hardcover.serving.frames import Broken, frame
from hardcover.serving.headers import Malformed
from hardcover.serving.streams import MAX_BODIES, Stream

MAX_STREAMS = 128
# Frames in a row that bring no request.
MAX_IDLE_FRAMES = 2_000
# Seconds between the word that the connection will end and its last stream: what the client sent by then is answered.
FAREWELL = 0.1


class Connection(Client):
    """One connection of HTTP/2; takes over from one of `http` whose first bytes are the preface.

    Attributes
    ----------
    streams
        Those that are not answered whole, by number.
    window, first_window
        Bytes that the client has room for: on the connection, and on a stream that begins.
    held
        Bytes of bodies that are kept.
    last
        The last stream that the client began.
    """

    def __init__(self, carrier: Carrier):
        self.carrier = carrier
        self.transport: Any = None
        self.cutter, self.reader = frames.Cutter(), headers.Reader()
        self.streams: dict[int, Stream] = {}
        self.out: list[bytes] = []
        self.ended, self.is_leaving = False, False
        self.last, self.window, self.first_window = 0, 65_535, 65_535
        self._block: tuple[int, int, bytearray] | None = None
        self._idle, self._taken, self.held = 0, 0, 0
        self.since = carrier.clock

    def connection_made(self, transport: Any) -> None:
        """Begin: say what is taken."""
        self.transport = transport
        self.carrier.connections.add(self)
        room = min(self.carrier.max_body + frames.MAX_FRAME, frames.MAX_NUMBER)
        said = frames.settings(
            max_concurrent_streams=MAX_STREAMS,
            initial_window_size=room,
            max_header_list_size=headers.MAX_HEAD,
        )
        self.out.append(frame(frames.SETTINGS, 0, 0, said))
        self.out.append(frames.more(0, min(MAX_BODIES * room, frames.MAX_NUMBER - 65_535)))

    def connection_lost(self, _: Exception | None) -> None:
        """Let go of everything."""
        self.carrier.connections.discard(self)
        self.carrier.app.counters.add("connections", -1)
        self._drop_all()

    def data_received(self, data: bytes) -> None:
        """Take bytes; write the answers to what is whole."""
        if self.ended:
            return
        self.carrier.turn()
        try:
            for kind, flags, number, payload in self.cutter.frames(data):
                if self._block is not None and kind != frames.CONTINUATION:
                    raise Broken(frames.PROTOCOL_ERROR, "a header block is not continued")
                self._take(kind, flags, number, payload)
                if self._idle > MAX_IDLE_FRAMES:
                    raise Broken(frames.ENHANCE_YOUR_CALM, "too many frames that bring no request")
        except Broken as error:
            self.carrier.app.counters.request(len(ENDPOINTS) - 1, 400, 0)
            self.end(error.code, str(error))
        self.flush()
        self.carrier.turned()

    def flush(self) -> None:
        """Hand what was written to the socket, and close it after the last stream of a connection that ends."""
        if self.out:
            self.transport.write(self.out[0] if len(self.out) == 1 else b"".join(self.out))
            self.out.clear()
        if self.is_leaving and not self.streams and not self.transport.is_closing():
            self.ended = True
            self.transport.close()

    def _drop_all(self) -> None:
        self.carrier.watchers.difference_update(self.streams.values())
        for each in self.streams.values():
            each.is_open = False
        self.streams.clear()
        self.ended = True

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        # A type that is not known is ignored.
        take, of_stream, size = _TAKE.get(kind, _UNKNOWN)
        if of_stream is not None and of_stream != bool(number):
            raise Broken(frames.PROTOCOL_ERROR, f"a frame of type {kind} on stream {number}")
        if size is not None and size != len(payload):
            raise Broken(frames.FRAME_SIZE_ERROR, f"a frame of type {kind} has {len(payload)} bytes")
        take(self, flags, number, payload)

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        if number % 2 == 0:
            raise Broken(frames.PROTOCOL_ERROR, "a client's streams have odd numbers")
        payload = frames.unpadded(flags, payload)
        if flags & frames.WITH_PRIORITY:
            if len(payload) < 5 or int.from_bytes(payload[:4], "big") & frames.MAX_NUMBER == number:
                raise Broken(frames.PROTOCOL_ERROR, "the priority of a stream is wrong")
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._begin(flags, number, payload)
        else:
            self._block = number, flags, bytearray(payload)

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Broken(frames.PROTOCOL_ERROR, "CONTINUATION of no header block")
        _, first, block = self._block
        self._idle += 1
        block += payload
        if len(block) > headers.MAX_HEAD:
            raise Broken(frames.ENHANCE_YOUR_CALM, f"a header block is over {headers.MAX_HEAD} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._begin(first, number, bytes(block))

    def _begin(self, flags: int, number: int, block: bytes) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            # Trailers say nothing that is needed here, but may change the table.
            self.reader.fields(block)
            if stream.is_whole or not flags & frames.END_STREAM:
                raise Broken(frames.PROTOCOL_ERROR, "HEADERS in the middle of a request")
            stream.finish()
            return
        if number <= self.last:
            raise Broken(frames.STREAM_CLOSED, f"HEADERS on stream {number}, which is closed")
        self.last, self.since = number, self.carrier.clock
        try:
            head = self.reader.read(block)
        except Malformed:
            self.out.append(frames.reset(number, frames.PROTOCOL_ERROR))
            self.carrier.app.counters.request(len(ENDPOINTS) - 1, 400, 0)
            self._idle += 1
            return
        if len(self.streams) >= MAX_STREAMS or self.is_leaving:
            self.out.append(frames.reset(number, frames.REFUSED_STREAM))
            self._idle += 1
            return
        stream = self.streams[number] = Stream(self, number, head)
        if flags & frames.END_STREAM:
            self._idle = 0
            stream.finish()
        elif head.headers.get(b"expect", b"").lower() == b"100-continue":
            stream.send_headers(headers.literal(b":status", b"100"))

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        self._must_have_begun(number)
        self._taken += len(payload)
        if self._taken > self.carrier.max_body // 2:
            self.out.append(frames.more(0, self._taken))
            self._taken = 0
        payload = frames.unpadded(flags, payload)
        stream = self.streams.get(number)
        if not payload or stream is None:
            self._idle += 1
        if stream is None or stream.is_whole:
            self.out.append(frames.reset(number, frames.STREAM_CLOSED))
            return
        if flags & frames.END_STREAM:
            self._idle = 0
        stream.take(payload, bool(flags & frames.END_STREAM))

    def _must_have_begun(self, number: int) -> None:
        if number > self.last:
            raise Broken(frames.PROTOCOL_ERROR, f"stream {number} has not begun")

    def _take_idle(self, flags: int, number: int, payload: bytes) -> None:
        self._idle += 1

    def _take_rst_stream(self, flags: int, number: int, payload: bytes) -> None:
        self._must_have_begun(number)
        self._idle += 1
        if number in self.streams:
            self.streams[number].forget()

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        self._idle += 1
        if flags & frames.ACK:
            if payload:
                raise Broken(frames.FRAME_SIZE_ERROR, "an acknowledgement has a payload")
            return
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                for each in self.streams.values():
                    each.window += value - self.first_window
                self.first_window = value
        self.out.append(frame(frames.SETTINGS, frames.ACK, 0, b""))
        for each in list(self.streams.values()):
            each.go_on()

    def _take_push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise Broken(frames.PROTOCOL_ERROR, "a client promises nothing")

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        self._idle += 1
        if not flags & frames.ACK:
            self.out.append(frame(frames.PING, frames.ACK, 0, payload))

    def _take_goaway(self, flags: int, number: int, payload: bytes) -> None:
        self.is_leaving = True

    def _take_window_update(self, flags: int, number: int, payload: bytes) -> None:
        size = int.from_bytes(payload, "big") & frames.MAX_NUMBER
        if number:
            self._must_have_begun(number)
            stream = self.streams.get(number)
            if stream is None:
                return
            stream.window += size
            if not size or stream.window > frames.MAX_NUMBER:
                stream.reset(frames.FLOW_CONTROL_ERROR if size else frames.PROTOCOL_ERROR)
                return
        else:
            self.window += size
            if not size or self.window > frames.MAX_NUMBER:
                raise Broken(
                    frames.FLOW_CONTROL_ERROR if size else frames.PROTOCOL_ERROR, "a window is wrong"
                )
        before = len(self.out)
        for each in list(self.streams.values()):
            each.go_on()
        self._idle += len(self.out) == before

    def check(self, now: float) -> None:
        """End what arrives, or is read, too slowly, and a connection on which no request has come for long."""
        slow, idle = self.carrier.slow, self.carrier.idle
        for each in list(self.streams.values()):
            late = now - each.since > slow
            if late and each.unsent is not None:
                each.reset(frames.ENHANCE_YOUR_CALM)
            elif late and not each.is_whole:
                each.refuse(Refused(408, f"the request did not arrive within {slow:g} seconds"))
        if not self.streams and now - self.since > (idle if self.last else slow):
            self.end()
        self.flush()

    def drain(self) -> None:
        """Take no further request: answer what the client sent until it knew, and close."""
        if self.is_leaving or self.ended:
            return
        self.out.append(frames.goaway(frames.MAX_NUMBER, frames.NO_ERROR))
        self.flush()
        self.carrier.loop.call_later(FAREWELL, self._farewell)

    def _farewell(self) -> None:
        if not self.ended:
            self.is_leaving = True
            self.out.append(frames.goaway(self.last, frames.NO_ERROR))
            self.flush()

    def end(self, code: int = frames.NO_ERROR, detail: str = "") -> None:
        """Close the connection after what was written."""
        if self.transport is not None and not self.transport.is_closing():
            self.out.append(frames.goaway(self.last, code, detail))
            self._drop_all()
            self.is_leaving = True
            self.flush()


_Rule = tuple[Callable[[Connection, int, int, bytes], None], bool | None, int | None]
# What takes a frame, whether it is of a stream, and its size, where that is fixed.
_TAKE: dict[int, _Rule] = {
    frames.DATA: (Connection._take_data, True, None),
    frames.HEADERS: (Connection._take_headers, True, None),
    frames.PRIORITY: (Connection._take_idle, True, 5),
    frames.RST_STREAM: (Connection._take_rst_stream, True, 4),
    frames.SETTINGS: (Connection._take_settings, False, None),
    frames.PUSH_PROMISE: (Connection._take_push_promise, None, None),
    frames.PING: (Connection._take_ping, False, 8),
    frames.GOAWAY: (Connection._take_goaway, False, None),
    frames.WINDOW_UPDATE: (Connection._take_window_update, None, 4),
    frames.CONTINUATION: (Connection._take_continuation, True, None),
}
_UNKNOWN: _Rule = (Connection._take_idle, None, None)
