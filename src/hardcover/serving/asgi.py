"""The same answers behind other servers: ASGI for uvicorn and hypercorn, RSGI for granian.

``uvicorn hardcover.serving.asgi:app`` and ``granian --interface rsgi hardcover.serving.asgi:app`` serve what ``HARDCOVER_SERVE``
names, separated by blanks: wheels, or cases of the project. https://asgi.readthedocs.io/en/latest/specs/www.html,
https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from hardcover.errors import HardcoverError
from hardcover.serving import sources, worker
from hardcover.serving.app import App, counters_of
from hardcover.serving.carrier import Limits
from hardcover.serving.exchange import Answer, Request, too_large

VARIABLE = "HARDCOVER_SERVE"


class Gateway:
    """An ASGI and RSGI application around an ``App``.

    Parameters
    ----------
    make
        Returns the app; called when the server starts.
    max_body
        Bytes of a body at most; above, 413.
    """

    def __init__(self, make: Callable[[], App], max_body: int = Limits().max_body):
        self.make, self.max_body = make, max_body

    @cached_property
    def app(self) -> App:
        """What answers."""
        return self.make()

    def __rsgi_init__(self, _: Any) -> None:
        """Make the app before the first request, by RSGI."""
        self.app  # noqa: B018

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answer by ASGI 3.0."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            headers: dict[bytes, bytes] = {}
            for name, value in scope["headers"]:
                headers[name] = headers[name] + b", " + value if name in headers else value
            body, more = _Body(self.max_body), True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body.take(message.get("body", b""))
                more = message.get("more_body", False)
            path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
            answer = self._answer(scope["method"].encode(), path, scope["query_string"], headers, body)
            lines = [*_lines(answer), (b"content-length", b"%d" % len(answer.body))]
            await send({"type": "http.response.start", "status": answer.status, "headers": lines})
            content = b"" if scope["method"] == "HEAD" else answer.body
            await send({"type": "http.response.body", "body": content})

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer by RSGI 1."""
        headers = {name.encode(): value.encode("latin-1") for name, value in scope.headers.items()}
        body = _Body(self.max_body)
        async for part in protocol:
            body.take(part)
        path, query = scope.path.encode(), scope.query_string.encode()
        answer = self._answer(scope.method.encode(), path, query, headers, body)
        lines = [(name.decode(), value.decode("latin-1")) for name, value in _lines(answer)]
        protocol.response_bytes(answer.status, lines, answer.body)

    def _answer(self, method: bytes, path: bytes, query: bytes, headers: dict, body: "_Body") -> Answer:
        if body.size > self.max_body:
            return too_large(self.max_body).answer()
        answer = self.app.answer(Request(method, path, query, headers, b"".join(body.parts)))
        if self.app.shadow:
            self.app.shadow.compare()
        return answer

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            kind = message["type"]
            if kind == "lifespan.startup":
                self.app  # noqa: B018
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


class _Body:
    """A body that comes in parts. What is too much is read and let go, so that the client reads why."""

    def __init__(self, limit: int):
        self.limit, self.size = limit, 0
        self.parts: list[bytes] = []

    def take(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self.limit:
            self.parts.clear()
        else:
            self.parts.append(part)


def _lines(answer: Answer) -> list[tuple[bytes, bytes]]:
    found = [(b"content-type", answer.kind)]
    for line in answer.lines.splitlines():
        name, _, value = line.partition(b": ")
        found.append((name, value))
    return found


def named() -> list[str]:
    """Return what the variable names.

    Raises
    ------
    HardcoverError
        When it names nothing.
    """
    names = os.environ.get(VARIABLE, "").split()
    if not names:
        fix = "Set it to wheels, or to cases of this project, separated by blanks."
        raise HardcoverError("nothing to serve", VARIABLE, fix)
    return names


def made(names: list[str]) -> App:
    """Return an app that answers with wheels, or with the champions of cases.

    Raises
    ------
    HardcoverError
        When a wheel is missing or damaged.
    """
    folder = Path(tempfile.mkdtemp(prefix="hardcover-serving-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = [sources.Source.of(name) for name in names]
    served = worker.served_of(sources.copied(found, folder), folder, worker.Settings())
    for each in served:
        each.champion.check()
    return App(served, counters_of(served, 1))


app = Gateway(lambda: made(named()))
