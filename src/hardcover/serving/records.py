"""Records in, predictions out: one or many, as JSON, JSON lines or Arrow.

A score is written with as many digits as read back to the same float64, so it has the wheel's bits.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from hardcover.runtime.prediction import as_json, present
from hardcover.serving import arrow
from hardcover.serving.exchange import ARROW, JSON, LINES, Answer, Refused, Request
from hardcover.serving.release import Release

_LINES = {LINES, b"application/x-ndjson", b"application/jsonlines", b"application/x-jsonlines"}
_PLAIN = {b"", JSON, b"text/json"}
MAX_RECORDS = 10_000


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


def invalid(problems: list[Any]) -> Refused:
    """Return the refusal that lists every field's problem, as a wheel's ``InvalidRecord`` has them."""
    found = [present(each) for each in problems]
    count = f"{len(found)} problems" if len(found) > 1 else "one problem"
    return Refused(422, f"the record has {count}; see 'problems'", problems=found[:1000])


class Ask(NamedTuple):
    """How records are answered: with ``top`` contributions, after they were observed, after they were checked."""

    explain: bool
    top: int | None = None
    observe: bool = False
    validate: bool = True


PREDICT, EXPLAIN = Ask(False), Ask(True)


class Scored(NamedTuple):
    """An answer, and what it was made of: ``inputs``, a list of records, a table's columns by name, or a table of Arrow; and ``found``, their
    predictions, or the columns ``score`` and ``label``; and how many records were scored that the answer does not name."""

    answer: Answer
    inputs: Any
    found: list | dict[str, Any]
    unnamed: int = 0

    @property
    def rows(self) -> int:
        """How many records were scored."""
        named = self.found if isinstance(self.found, list) else self.found["score"]
        return len(named) + self.unnamed


class Scoring:
    """The answers of one release to records.

    Parameters
    ----------
    release
        What answers.
    count
        Called with each probability, where scores are some.
    """

    def __init__(self, release: Release, count: Callable[[float], None]):
        self.release, self.model = release, release.model
        self.invalid_record = release.module.runtime.InvalidRecord
        self.is_probability = release.task in ("threshold", "classes")
        self.count = count

    def told(self, kind: bytes, body: bytes, lines: bytes = b"") -> Answer:
        """Return an answer that says which release gave it; ``lines``: further header lines."""
        return Answer(200, kind, body, lines + self.release.header)

    def refused(self, error: Exception) -> Refused:
        """Return what a client is told of what the wheel raised.

        Raises
        ------
        Exception
            The error itself, where it is none that a wheel is known to raise.
        """
        return invalid(error.problems) if isinstance(error, self.invalid_record) else refusal_of(error)

    def one(self, record: Any, ask: Ask) -> Any:
        """Answer one record.

        Raises
        ------
        Refused
            With 422, and every field's problem; with 409 where an event differs from one with its key.
        """
        try:
            if ask.observe:
                self.model.observe(record)
            found = self.model.predict(record, explain=ask.explain, top=ask.top, validate=ask.validate)
        except Exception as error:
            raise self.refused(error) from error
        if self.is_probability:
            self.count(found.score)
        return found

    def answer(self, request: Request, explain: bool) -> Scored:
        """Answer a body; of lines, what was scored are those that were good."""
        ask = _ask(request, explain) if request.query else EXPLAIN if explain else PREDICT
        kind = request.headers.get(b"content-type", b"")
        if kind != JSON or b"content-encoding" in request.headers:
            kind = kind_of(request)
        if kind in _PLAIN or kind.endswith(b"+json"):
            given = parsed(request.body)
            if type(given) is list:
                return self._many(given, ask)
            found = self.one(given, ask)
            return Scored(self.told(JSON, orjson.dumps(as_json(found))), [given], [found])
        if kind in _LINES:
            return self._lines(request.body, ask)
        if kind == ARROW:
            if explain or ask.observe:
                raise Refused(415, "Arrow is scored only; explain and observe by JSON")
            return self._arrow(request.body, ask.validate)
        known = ", ".join(each.decode() for each in (JSON, LINES, ARROW))
        detail = f"records come as {known}, not as {kind.decode('ascii', 'replace')[:60]}"
        raise Refused(415, detail, f"accept-post: {known}\r\n".encode())

    def _many(self, records: list, ask: Ask) -> Scored:
        if len(records) > MAX_RECORDS:
            raise Refused(413, f"{len(records)} records in one request; send at most {MAX_RECORDS}")
        found, problems = [], []
        for row, record in enumerate(records):
            try:
                found.append(self.one(record, ask))
            except Refused as refused:
                if refused.status != 422:
                    raise
                problems += [{"row": row, **each} for each in refused.members["problems"]]
        if problems:
            raise Refused(422, f"{len(problems)} problems; see 'problems'", problems=problems[:1000])
        return Scored(self.told(JSON, orjson.dumps([as_json(each) for each in found])), records, found)

    def _lines(self, body: bytes, ask: Ask) -> Scored:
        lines, records, found = [], [], []
        for number, line in enumerate(body.splitlines(), start=1):
            if not line.strip():
                continue
            if number > MAX_RECORDS:
                raise Refused(413, f"over {MAX_RECORDS} lines in one request")
            try:
                record = parsed(line)
                answer = self.one(record, ask)
                lines.append(orjson.dumps(as_json(answer)))
                records.append(record)
                found.append(answer)
            except Refused as refused:
                if refused.status not in (400, 422):
                    raise
                problems = refused.members.get("problems") or [{"field": "record", "message": refused.detail}]
                lines.append(orjson.dumps({"line": number, "problems": problems}))
        return Scored(self.told(LINES, b"\n".join([*lines, b""])), records, found)

    def _arrow(self, body: bytes, validate: bool) -> Scored:
        table = arrow.table(body)
        found = self.columns(table, validate)
        return Scored(self.told(ARROW, arrow.stream(found)), table, found)

    def columns(self, table: Any, validate: bool = True) -> dict[str, Any]:
        """Score a table, or arrays by field; return ``score`` and, where something is decided, ``label``.

        Returns
        -------
        dict
            Arrays of shape (rows,); of several classes ``score`` is the label's probability, and each class has its own, too.

        Raises
        ------
        Refused
            With 422, and each field's problem by row.
        """
        try:
            scores = self.model.predict_many(table, validate=validate)
        except Exception as error:
            raise self.refused(error) from error
        decision = self.model.decision
        if decision.classes:
            at = [decision.position(row) for row in scores.tolist()]
            names = [decision.classes[each] for each in at]
            chosen = scores[range(len(at)), at] if len(at) else scores[:, 0]
            by_class = {name: scores[:, place] for place, name in enumerate(decision.classes)}
            return {"score": chosen, "label": names, **by_class}
        if decision.threshold is None:
            return {"score": scores}
        return {"score": scores, "label": scores >= decision.threshold}


def refusal_of(error: Exception) -> Refused:
    """Return what a client is told of what a wheel raised: wheels bring classes of their own, so it goes by their names."""
    name = type(error).__name__
    if name == "ConflictingEvent":
        return Refused(409, str(error))
    if name == "Unexplainable":
        return Refused(501, f"this model has no contributions: {error}")
    if name in ("HistoriesUnavailable", "DamagedHistories"):
        return Refused(503, str(error), b"retry-after: 1\r\n")
    if isinstance(error, TypeError) and "no windows" in str(error):
        return Refused(404, str(error))
    if isinstance(error, ImportError):
        return Refused(501, str(error))
    raise error


def _ask(request: Request, explain: bool) -> Ask:
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
        elif name in ("observe", "validate") and value in ("true", "false"):
            found[name] = value == "true"
        else:
            known = "top=NUMBER, observe=true, validate=false"
            raise Refused(400, f"the query has {part[:60]!r}; known: {known}")
    return Ask(explain, **found)
