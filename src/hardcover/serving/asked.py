"""What a request asks for: the kind of its body, what that holds, and how it is to be answered."""

import json
from typing import Any, NamedTuple

import orjson

from hardcover.serving.exchange import Refused, Request


def kind_of(request: Request) -> bytes:
    """Return the media type of a body, in lower case, without parameters.

    Raises
    ------
    Refused
        With 415 where the body is compressed.
    """
    if request.headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Refused(415, "the body is compressed; send it as it is", b"accept-encoding: identity\r\n")
    return request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def parsed(body: bytes) -> Any:
    """Return what a JSON body holds.

    Raises
    ------
    Refused
        With 400 where it is not JSON, or an object names a member twice (RFC 8259, section 4, leaves open which would count).
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    # A member that came twice is there once by now, and its quotes are missing when it is written again; an escape may put others in their place.
    try:
        if orjson.dumps(found).count(b'"') == body.count(b'"') and b"\\u0022" not in body:
            return found
        json.loads(body, object_pairs_hook=_once)
    except (RecursionError, orjson.JSONEncodeError) as error:
        raise Refused(400, "the body is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8: {error}") from error
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(400, f"an object has the member {twice[:60]!r} twice")
    return found


class Ask(NamedTuple):
    """How records are answered: with ``top`` contributions, with how sure that is and how unusual, after they were observed, after they were
    checked."""

    explain: bool = False
    top: int | None = None
    observe: bool = False
    validate: bool = True
    confidence: bool = False
    anomaly: bool = False

    @property
    def more(self) -> dict[str, bool]:
        """What is asked of ``predict`` besides; releases of before know none of it."""
        return {name: True for name in ("confidence", "anomaly") if getattr(self, name)}


PREDICT, EXPLAIN = Ask(), Ask(explain=True)


def ask_of(request: Request, explain: bool) -> Ask:
    """Read the options of a query.

    Raises
    ------
    Refused
        With 400 where one is unknown, or is no number or no yes or no.
    """
    found: dict[str, Any] = {}
    for part in request.query.decode("ascii", "replace").split("&"):
        name, _, value = part.partition("=")
        if name == "top" and value.isdigit() and len(value) < 7:
            found[name] = int(value)
        elif name in ("observe", "validate", "confidence", "anomaly") and value in ("true", "false"):
            found[name] = value == "true"
        else:
            known = "top=NUMBER, observe=true, validate=false, confidence=true, anomaly=true"
            raise Refused(400, f"the query has {part[:60]!r}; known: {known}")
    return Ask(explain, **found)
