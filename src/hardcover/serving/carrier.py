"""What all connections of a worker share: the clock, the queue, and who is turned away while there is too much to do.

While a worker has pauses, a request is answered as soon as it was read. Without one, requests queue, and between two pieces of work
what has come is read: so each joins the queue, or is refused at once, by how long the queue would take. No request waits longer than the
worker's patience, and what is answered is answered in the order of arrival. Where the log is durable, answers are held until they are on
the disk.
"""

import asyncio
import math
import time
from collections import deque
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple

from hardcover.serving.app import ENDPOINTS, WATCHED, App
from hardcover.serving.budgets import Budget, Callers
from hardcover.serving.exchange import PHRASES, Answer, Refused, Request, unlogged
from hardcover.serving.spans import Spans, is_sampled

if TYPE_CHECKING:
    from hardcover.serving import http, http2
    from hardcover.serving.streams import Stream

# Nanoseconds. Work without a pause as long as the first, for as long as the second, makes a queue; the third is a piece of work.
PAUSE, BUSY, PIECE = 50_000, 2_000_000, 150_000
# A piece of work is at least so many times as long as what was read before it took.
SHARE = 8
# Answers that are held at most; and requests of one connection that wait before it is read no further.
MAX_HELD, MAX_WAITING = 4096, 256
_Waiting = tuple["http.Connection | Stream", Request, bool, int]
_Held = tuple["http.Connection | Stream", Answer, Request, bool]


class Limits(NamedTuple):
    """What a worker puts up with.

    Attributes
    ----------
    max_body
        Bytes of a body at most; above, 413.
    patience
        Seconds that a request may wait for others before it; above, 503.
    slow
        Seconds in which a request must have arrived whole; above, 408.
    idle
        Seconds that a connection may be silent between requests.
    budget
        What one caller may ask; above, 429.
    """

    max_body: int = 8 * 2**20
    patience: float = 0.01
    slow: float = 10.0
    idle: float = 75.0
    budget: Budget = Budget()


class Client(asyncio.Protocol):
    """A connection that reads no more from who does not read."""

    __slots__ = ()
    transport: Any

    @property
    def address(self) -> bytes:
        """The client's address, without its port."""
        found = self.transport.get_extra_info("peername")
        return str(found[0] if found else "").encode()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its answers."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if not self.transport.is_closing():
            self.transport.resume_reading()


class Carrier:
    """All connections of a worker: ``app`` answers, within ``limits``; ``spans``, where there are some, are told of requests."""

    def __init__(self, app: App, limits: Limits = Limits()):  # noqa: B008
        self.app, self.max_body, self.slow, self.idle = app, limits.max_body, limits.slow, limits.idle
        self.patience = int(limits.patience * 1e9)
        self.callers = Callers(limits.budget) if any(limits.budget[:2]) else None
        self.connections: set[http.Connection | http2.Connection] = set()
        self.loop = asyncio.get_running_loop()
        self.clock = time.monotonic()
        self.date = b""
        self.spans: Spans | None = None
        self.watchers: set[Stream] = set()
        self.held: list[_Held] = []
        self.has_held = asyncio.Event()
        self.is_busy = False
        self._queue: deque[_Waiting] = deque()
        self._busy_since, self._last, self._worked, self._cost = 0, 0, 0, 0
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
        """Note that bytes are read: whether there was a pause before, in which nothing waited."""
        now = time.perf_counter_ns()
        if now - self._last > PAUSE and not self._queue:
            self._busy_since, self.is_busy = now, False
        else:
            self.is_busy = now - self._busy_since > BUSY

    def turned(self) -> None:
        """Note that what was read is answered, or waits; challengers are asked afterwards."""
        self._last = time.perf_counter_ns()
        if self.app.shadow and not self._queue:
            self.loop.call_soon(self.app.shadow.compare)

    def take(self, connection: "http.Connection | Stream", request: Request, keep: bool) -> Answer | None:
        """Answer a request that was read, or return None and let it wait; ``keep``: whether its connection goes on afterwards."""
        if self.callers is not None and (refusal := self._over_budget(self.callers, connection, request)):
            return refusal
        if not connection.waiting:
            if request.path in WATCHED:
                return self.app.answer(request)
            if len(self._queue) * self._cost > self.patience or len(self.held) > MAX_HELD:
                return self._shed()
            if not self.is_busy:
                answer = self._answer(request)
                return None if self._is_held(connection, answer, request, keep) else answer
        now = time.perf_counter_ns()
        if not self._queue:
            self._worked = now
            self.loop.call_soon(self._work)
        self._queue.append((connection, request, keep, now))
        connection.waiting += 1
        return None

    def _answer(self, request: Request, waited: int = 0) -> Answer:
        answer = self.app.answer(request)
        # What one request costs, by the last few.
        took = self.app.took
        self._cost += (took - self._cost) >> 3
        if self.spans is not None and is_sampled(request, self.spans.share):
            self.spans.note(request, answer, waited, took)
        return answer

    def _over_budget(
        self, callers: Callers, connection: "http.Connection | Stream", request: Request
    ) -> Answer | None:
        # An answer may not overtake those that wait on its connection.
        if request.path in WATCHED or connection.waiting:
            return None
        wait = callers.spend(request, connection.address)
        if not wait:
            return None
        self.app.counters.add("over_budget")
        detail = f"this caller's budget is spent; try again in {wait:.3g} seconds"
        refusal = Refused(429, detail, b"retry-after: %d\r\n" % math.ceil(wait)).answer()
        self.app.counters.request(len(ENDPOINTS) - 1, 429, 0)
        return refusal

    def _shed(self) -> Answer:
        self.app.counters.add("shed")
        return Refused(503, "the service is behind; try again", b"retry-after: 1\r\n").answer()

    def _work(self) -> None:
        queue, now = self._queue, time.perf_counter_ns()
        # However many are turned away in between, most of the time is for those who are not.
        until = now + max(PIECE, SHARE * (now - self._worked))
        while queue and now < until:
            connection, request, keep, came = queue.popleft()
            connection.waiting -= 1
            if connection.is_open:
                answer = self._late(request, now - came) or self._answer(request, now - came)
                if not self._is_held(connection, answer, request, keep):
                    connection.reply(answer, request, keep)
            now = time.perf_counter_ns()
        if queue:
            self.loop.call_soon(self._work)
        self._last = self._worked = now

    def _is_held(
        self, connection: "http.Connection | Stream", answer: Answer, request: Request, keep: bool
    ) -> bool:
        """Hold an answer that may not leave before what was logged is on the disk, nor before others of its connection."""
        log = self.app.log
        if log is None or not log.policy.durable or not (log.is_holding or connection.waiting):
            return False
        connection.waiting += 1
        self.held.append((connection, answer, request, keep))
        self.has_held.set()
        return True

    def take_held(self) -> list[_Held]:
        """Return the answers that are held; what is held from now on waits for the next write."""
        held, self.held = self.held, []
        self.has_held.clear()
        return held

    def let_go(self, held: list[_Held], is_written: bool) -> None:
        """Write answers that were held, or a refusal for each where the log could not take it."""
        for connection, answer, request, keep in held:
            connection.waiting -= 1
            if connection.is_open:
                is_lost = not is_written and answer.status == 200
                connection.reply(unlogged().answer() if is_lost else answer, request, keep)

    def _late(self, request: Request, waited: int) -> Answer | None:
        """Return the answer to what has waited too long: more than expected, or than its client waits."""
        limit = request.headers.get(b"x-request-timeout-ms")
        if limit is not None and limit.isdigit() and waited > int(limit[:9]) * 1_000_000:
            self.app.counters.add("late")
            return Refused(504, "the request's own deadline has passed").answer()
        return self._shed() if waited > 2 * self.patience else None

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

    def tell(self, ends: bool = False) -> None:
        """Tell those who watch whether requests are welcome now; ``ends``: for the last time."""
        for each in list(self.watchers):
            each.tell(ends)

    async def drain(self, grace: float) -> None:
        """Answer what comes on open connections, closing each after its answer, then what is still open after ``grace`` seconds."""
        self.app.draining = True
        self.tell(ends=True)
        for each in list(self.connections):
            each.drain()
        until = time.monotonic() + grace
        while self.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for each in list(self.connections):
            each.end()
        # What was written last leaves before the process does.
        await asyncio.sleep(0.05)
