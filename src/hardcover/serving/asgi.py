"""The same answers behind other servers: ASGI for uvicorn and hypercorn, RSGI for granian.

``uvicorn hardcover.serving.asgi:app`` and ``granian --interface rsgi hardcover.serving.asgi:app`` serve what ``HARDCOVER_SERVE``
names, separated by blanks: wheels, or cases of the project. https://asgi.readthedocs.io/en/latest/specs/www.html,
https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hardcover.errors import HardcoverError
from hardcover.serving import sources, worker
from hardcover.serving.app import ENDPOINTS, App
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import Answer, Refused, Request

VARIABLE = "HARDCOVER_SERVE"
MAX_BODY = 8 * 2**20


class Gateway:
    """An ASGI and RSGI application around an ``App``."""

    def __init__(self, app: App, max_body: int = MAX_BODY):
        self.app, self.max_body = app, max_body

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answer by ASGI 3.0."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            headers: dict[bytes, bytes] = {}
            for name, value in scope["headers"]:
                headers[name] = headers[name] + b", " + value if name in headers else value
            parts, size, more = [], 0, True
            while more and size <= self.max_body:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
            path = scope.get("raw_path") or scope["path"].encode()
            request = Request(
                scope["method"].encode(),
                path.partition(b"?")[0],
                scope["query_string"],
                headers,
                b"".join(parts),
            )
            answer = self._answer(request)
            lines = [*_lines(answer), (b"content-length", b"%d" % len(answer.body))]
            await send({"type": "http.response.start", "status": answer.status, "headers": lines})
            body = b"" if request.method == b"HEAD" else answer.body
            await send({"type": "http.response.body", "body": body})

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer by RSGI 1."""
        headers = {name.encode(): value.encode("latin-1") for name, value in scope.headers.items()}
        if int(headers.get(b"content-length", b"0")) > self.max_body:
            answer = _too_large(self.max_body)
        else:
            path, query = scope.path.encode(), scope.query_string.encode()
            request = Request(scope.method.encode(), path, query, headers, await protocol())
            answer = self._answer(request)
        lines = [(name.decode(), value.decode("latin-1")) for name, value in _lines(answer)]
        protocol.response_bytes(answer.status, lines, answer.body)

    def _answer(self, request: Request) -> Answer:
        if len(request.body) > self.max_body:
            return _too_large(self.max_body)
        answer = self.app.answer(request)
        if self.app.has_more:
            self.app.compare()
        return answer

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            kind = message["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def _too_large(limit: int) -> Answer:
    return Refused(413, f"the body is over {limit} bytes").answer()


def _lines(answer: Answer) -> list[tuple[bytes, bytes]]:
    found = [(b"content-type", answer.kind)]
    for line in answer.lines.splitlines():
        name, _, value = line.partition(b": ")
        found.append((name, value))
    return found


def gateway(names: list[str]) -> Gateway:
    """Return an application that answers with wheels, or the current releases of cases.

    Raises
    ------
    HardcoverError
        When there is none, or one is damaged.
    """
    if not names:
        fix = "Set it to wheels, or to cases of this project, separated by blanks."
        raise HardcoverError("nothing to serve", VARIABLE, fix)
    folder = Path(tempfile.mkdtemp(prefix="hardcover-serving-"))
    named = [sources.Source.of(name) for name in names]
    served = worker.served_of(sources.copied(named, folder), folder, worker.Settings())
    for each in served:
        each.champion.check()
    fields = [name for each in served for name in each.champion.fields]
    return Gateway(App(served, Counters(1, ENDPOINTS, fields)))


def __getattr__(name: str) -> Gateway:
    """Make ``app`` when a server asks for it."""
    if name != "app":
        raise AttributeError(name)
    made = globals()["app"] = gateway(os.environ.get(VARIABLE, "").split())
    return made
