"""gRPC (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): messages in their frames, and the status at the end."""

import struct
from urllib.parse import quote

import orjson

from hardcover.serving import headers
from hardcover.serving.exchange import Answer, Refused

KIND = b"application/grpc"
# Whoever asks this is told again whenever the answer is another.
WATCH = b"/grpc.health.v1.Health/Watch"
# Methods whose messages come, and are answered, one by one.
STREAMED = frozenset(
    [
        WATCH,
        *(
            b"/grpc.reflection.%s.ServerReflection/ServerReflectionInfo" % name
            for name in (b"v1", b"v1alpha")
        ),
    ]
)
HEAD = headers.status(200) + headers.literal(b"content-type", KIND)
OK = headers.literal(b"grpc-status", b"0")
# https://github.com/grpc/grpc/blob/master/doc/statuscodes.md, by the status that HTTP would have.
_CODES = {
    400: 3,
    404: 5,
    405: 12,
    408: 4,
    409: 6,
    413: 8,
    415: 12,
    422: 3,
    429: 8,
    431: 8,
    500: 13,
    501: 12,
    503: 14,
    504: 4,
}
_heads: dict[bytes, bytes] = {}


def framed(message: bytes) -> bytes:
    """Return a message after its length."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def unframed(content: bytes) -> tuple[bytes, bytes] | None:
    """Return the first message and what follows it; None where it is not whole.

    Raises
    ------
    Refused
        With 501 where it is compressed.
    """
    if len(content) < 5:
        return None
    compressed, size = struct.unpack_from(">BI", content)
    if compressed:
        raise Refused(501, "the message is compressed; send it as it is")
    if len(content) < 5 + size:
        return None
    return content[5 : 5 + size], content[5 + size :]


def only_message(content: bytes) -> bytes:
    """Return the one message of a call; raises Refused, with 400, where there is another number."""
    cut = unframed(content)
    if cut is None or cut[1]:
        raise Refused(400, "the call has not just one message that is whole")
    return cut[0]


def head_of(answer: Answer) -> bytes:
    """Return the header fields before an answer's message."""
    found = _heads.get(answer.lines)
    if found is None:
        if len(_heads) > 64:
            _heads.clear()
        found = _heads[answer.lines] = HEAD + headers.lines(answer.lines)
    return found


def trailers(answer: Answer) -> bytes:
    """Return the status that a problem, ``application/problem+json``, is told by."""
    problem = orjson.loads(answer.body) if answer.body else {}
    fields = [f"{each['field']}: {each['message']}" for each in problem.get("problems", [])[:10]]
    told = quote(
        ("; ".join(fields) or problem.get("detail", ""))[:1000], safe=" !#$&'()*+,/:;=?@[]-._~\"<>\\^`{|}"
    ).encode()
    code = _CODES.get(answer.status, 2)
    lines = headers.lines(answer.lines)
    return headers.literal(b"grpc-status", b"%d" % code) + headers.literal(b"grpc-message", told) + lines
