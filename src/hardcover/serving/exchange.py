"""A request and its answer, as every carrier hands them over; and what is said when a request is refused (RFC 9457)."""

import sys
from typing import Any, NamedTuple

import orjson

# The package above, imported already.
VERSION: str = sys.modules["hardcover"].__version__
JSON = b"application/json"
LINES = b"application/jsonl"
ARROW = b"application/vnd.apache.arrow.stream"
BINARY = b"application/octet-stream"
PROBLEM = b"application/problem+json"
TEXT = b"text/plain; charset=utf-8"


# RFC 9110, section 15, and RFC 6585.
PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Request:
    """What a client asks.

    Attributes
    ----------
    method, path, query
        As they were sent: ``b"POST"``, ``b"/v1/models/fraud/predict"``, ``b"top=3"``.
    headers
        Values by name in lower case. Of a name that comes twice, values are joined by a comma (RFC 9110, section 5.2).
    body
        The whole body.
    """

    __slots__ = ("body", "headers", "method", "path", "query")

    def __init__(
        self, method: bytes, path: bytes, query: bytes = b"", headers: dict | None = None, body: bytes = b""
    ):
        self.method, self.path, self.query = method, path, query
        self.headers: dict[bytes, bytes] = headers if headers is not None else {}
        self.body = body


class Call(Request):
    """What a client asks by gRPC: ``path`` is its method, ``body`` the one message."""

    __slots__ = ()

    def __init__(self, path: bytes, headers: dict[bytes, bytes], message: bytes):
        super().__init__(b"POST", path, b"", headers, message)


class Answer(NamedTuple):
    """What a client gets: status, content type, body, and further header lines, each with its line end."""

    status: int
    kind: bytes
    body: bytes
    lines: bytes = b""


class Refused(Exception):
    """A request that is answered with a problem.

    Parameters
    ----------
    status
        Of HTTP (RFC 9110).
    detail
        What happened and what to do, for people.
    lines
        Further header lines, such as ``Allow``.
    members
        Facts for programs, such as ``problems`` by field.
    """

    def __init__(self, status: int, detail: str, lines: bytes = b"", **members: Any):
        super().__init__(detail)
        self.status, self.detail, self.lines, self.members = status, detail, lines, members

    def answer(self) -> Answer:
        """Return the answer: ``application/problem+json``, RFC 9457."""
        facts = {"title": PHRASES[self.status], "status": self.status, "detail": self.detail}
        return Answer(self.status, PROBLEM, orjson.dumps({**facts, **self.members}), self.lines)


def too_large(limit: int) -> Refused:
    """Return the refusal of a body of more than ``limit`` bytes."""
    return Refused(413, f"the body is over {limit} bytes")


def unlogged() -> Refused:
    """Return the refusal of what cannot be logged, and must be."""
    return Refused(503, "answers cannot be logged, and must be", b"retry-after: 5\r\n")
