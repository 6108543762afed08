"""Streams of HTTP/2: one request each, put together from its frames, and its answer, taken apart into frames."""

from typing import TYPE_CHECKING

from hardcover.serving import frames, grpc, headers
from hardcover.serving.app import ENDPOINTS
from hardcover.serving.exchange import Answer, Call, Refused, Request, too_large
from hardcover.serving.frames import frame
from hardcover.serving.headers import Head

if TYPE_CHECKING:
    from hardcover.serving.http2 import Connection

# All bodies of a connection together, in those that one request may have.
MAX_BODIES = 4


class Stream:
    """One request and its answer; for the ``Carrier``, a connection.

    Attributes
    ----------
    waiting
        How many requests wait in the carrier's queue, 0 or 1.
    is_open
        Whether the client still wants an answer.
    is_whole
        Whether the client has sent everything.
    window
        Bytes that the client has room for.
    unsent
        What it has no room for, and what comes after it, as `write` takes it.
    told
        The last message of a call that is answered again whenever the answer is another, and that answer.
    """

    __slots__ = (
        "body", "connection", "has_answered", "head", "is_open", "is_whole", "number", "since", "size", "told", "unsent", "waiting", "window",
    )  # fmt: skip

    def __init__(self, connection: "Connection", number: int, head: Head):
        self.connection, self.number, self.head, self.window = (
            connection,
            number,
            head,
            connection.first_window,
        )
        self.body: bytes | bytearray = b""
        self.size, self.waiting, self.is_open, self.is_whole, self.has_answered = 0, 0, True, False, False
        self.since = connection.carrier.clock
        self.told: tuple[bytes | None, bytes] = None, b""
        self.unsent: tuple[bytes, bytes | None] | None = None

    @property
    def address(self) -> bytes:
        """The client's address, without its port."""
        return self.connection.address

    @property
    def _is_conversation(self) -> bool:
        return self.head.is_grpc and self.head.path in grpc.STREAMED

    def take(self, part: bytes, ends: bool) -> None:
        """Take a part of the body."""
        connection, limit = self.connection, self.connection.carrier.max_body
        self.size += len(part)
        connection.held += len(part)
        if self.size > limit:
            self.refuse(too_large(limit))
            return
        if connection.held > MAX_BODIES * limit:
            self.reset(frames.ENHANCE_YOUR_CALM)
            return
        if not self.body:
            self.body = part
        else:
            # Parts that come by and by are put together in place.
            whole = self.body if isinstance(self.body, bytearray) else bytearray(self.body)
            whole += part
            self.body = whole
        if ends:
            self.finish()
        elif self._is_conversation:
            self._converse()

    def finish(self) -> None:
        """Answer the request, which is whole, or let it wait."""
        head, self.is_whole = self.head, True
        length = head.headers.get(b"content-length")
        if length is not None and length != b"%d" % self.size:
            self.reset(frames.PROTOCOL_ERROR)
            return
        if self._is_conversation:
            self._converse()
            return
        body = bytes(self.body)
        try:
            if head.is_grpc:
                request: Request = Call(head.path, head.headers, grpc.only_message(body))
            else:
                request = Request(head.method, head.path, head.query, head.headers, body)
        except Refused as refused:
            self.refuse(refused)
            return
        answer = self.connection.carrier.take(self, request, True)
        if answer is not None:
            self.answer(answer, head.method != b"HEAD")

    def _converse(self) -> None:
        """Answer each message of a call as it comes, and end with the client."""
        head, rest = self.head, bytes(self.body)
        try:
            while (cut := grpc.unframed(rest)) is not None:
                message, rest = cut
                answer = self.connection.carrier.app.answer(Call(head.path, head.headers, message))
                if answer.kind != grpc.KIND:
                    self.answer(answer)
                    return
                self.told = message, answer.body
                self._begin(grpc.head_of(answer))
                self.write(grpc.framed(answer.body), None)
        except Refused as refused:
            self.refuse(refused)
            return
        self.connection.held += len(rest) - self.size
        self.body, self.size, self.since = rest, len(rest), self.connection.carrier.clock
        if self.is_whole and head.path == grpc.WATCH and self.told[0] is not None:
            self.connection.carrier.watchers.add(self)
        elif self.is_whole:
            self._begin(grpc.HEAD)
            self.write(b"", grpc.OK)

    def tell(self, ends: bool = False) -> None:
        """Answer a call again that watches, where the answer is another by now; ``ends``: for the last time."""
        message, before = self.told
        assert message is not None
        answer = self.connection.carrier.app.answer(Call(self.head.path, self.head.headers, message))
        self.told = message, answer.body
        content = grpc.framed(answer.body) if answer.body != before else b""
        if content or ends:
            self.write(content, grpc.OK if ends else None)
            self.connection.flush()

    def reply(self, answer: Answer, request: Request, keep: bool) -> None:
        """Write the answer to a request that waited; the connection goes on whatever ``keep`` says."""
        del keep
        self.answer(answer, request.method != b"HEAD")
        self.connection.flush()

    def answer(self, answer: Answer, body: bool = True) -> None:
        """Write an answer, as far as the client has room for it."""
        if not self.head.is_grpc:
            content = answer.body if body else b""
            self.send_headers(headers.of(answer), ends=not content)
            if content:
                self.write(content, b"")
            else:
                self.forget()
        elif answer.kind == grpc.KIND:
            self._begin(grpc.head_of(answer))
            self.write(grpc.framed(answer.body), grpc.OK)
        else:
            fields = b"" if self.has_answered else grpc.HEAD
            self.send_headers(fields + grpc.trailers(answer), ends=True)
            self.forget()

    def _begin(self, fields: bytes) -> None:
        if not self.has_answered:
            self.has_answered = True
            self.send_headers(fields)

    def send_headers(self, fields: bytes, ends: bool = False) -> None:
        """Write header fields, or trailers that end the answer."""
        flags = frames.END_HEADERS | frames.END_STREAM if ends else frames.END_HEADERS
        self.connection.out.append(frame(frames.HEADERS, flags, self.number, fields))

    def write(self, content: bytes, ending: bytes | None) -> None:
        """Write a part of an answer; afterwards end with ``ending`` as trailers, without any where it is empty, or not yet where it is None."""
        if self.unsent is not None:
            content = self.unsent[0] + content
        connection = self.connection
        room, at, size = min(connection.window, self.window), 0, len(content)
        while at < min(size, room):
            part = content[at : min(at + frames.MAX_FRAME, room)]
            at += len(part)
            flags = frames.END_STREAM if at == size and ending == b"" else 0
            connection.out.append(frame(frames.DATA, flags, self.number, part))
        connection.window -= at
        self.window -= at
        if at < size:
            self.unsent = content[at:], ending
            return
        self.unsent = None
        if ending:
            self.send_headers(ending, ends=True)
        if ending is not None:
            self.forget()

    def go_on(self) -> None:
        """Write what there is room for by now."""
        if self.unsent is not None:
            self.write(b"", self.unsent[1])

    def refuse(self, refused: Refused) -> None:
        """Answer before, or instead of, the app; what the client still sends is not read."""
        answer = refused.answer()
        self.connection.carrier.app.counters.request(len(ENDPOINTS) - 1, answer.status, 0)
        self.answer(answer)
        if not self.is_whole:
            self.connection.out.append(frames.reset(self.number, frames.NO_ERROR))

    def reset(self, code: int) -> None:
        """End without an answer."""
        self.forget()
        self.connection.out.append(frames.reset(self.number, code))

    def forget(self) -> None:
        """Let go of everything."""
        self.is_open = False
        self.connection.carrier.watchers.discard(self)
        self.connection.held -= self.size
        self.connection.streams.pop(self.number, None)
