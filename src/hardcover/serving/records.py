"""Records in, predictions out: one or many, as JSON, JSON lines or Arrow.

A score is written with as many digits as read back to the same float64, so it has the wheel's bits.
"""

from typing import Any, NamedTuple

import orjson

from hardcover.runtime.prediction import as_json, present
from hardcover.serving import arrow
from hardcover.serving.asked import EXPLAIN, PREDICT, Ask, ask_of, kind_of, parsed
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import ARROW, JSON, LINES, Answer, Refused, Request
from hardcover.serving.profiles import Watched
from hardcover.serving.release import SEEN, Release

_LINES = {LINES, b"application/x-ndjson", b"application/jsonlines", b"application/x-jsonlines"}
_PLAIN = {b"", JSON, b"text/json"}
MAX_RECORDS = 10_000
LABELS = "confidence_labels"


def invalid(problems: list[Any]) -> Refused:
    """Return the refusal that lists every field's problem, as a wheel's ``InvalidRecord`` has them."""
    found = [present(each) for each in problems]
    count = f"{len(found)} problems" if len(found) > 1 else "one problem"
    return Refused(422, f"the record has {count}; see 'problems'", problems=found[:1000])


class Scored(NamedTuple):
    """An answer, and what it was made of: ``inputs``, a list of records, a table's columns by name, or a table of Arrow; and ``found``, their
    predictions, or columns, of which ``score`` and ``label`` are two; and how many records were scored that the answer does not name."""

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
    counters
        Where probabilities and profiles are counted.
    """

    def __init__(self, release: Release, counters: Counters):
        self.release, self.model = release, release.model
        self.invalid_record = release.module.runtime.InvalidRecord
        self.is_probability = release.task in ("threshold", "classes")
        self.knows_more = hasattr(type(self.model), "anomaly_many")
        # What the past held when a record was answered, nothing else can tell later.
        self._keeps = {"inputs": True} if self.knows_more and release.has_windows else {}
        self.count, self.watched = counters.score, Watched(release, counters)

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
            if ask.confidence or ask.anomaly:
                self._demand_more()
                more = ask.more | self._keeps
            else:
                more = self._keeps
            found = self.model.predict(
                record, explain=ask.explain, top=ask.top, validate=ask.validate, **more
            )
        except Refused:
            raise
        except Exception as error:
            raise self.refused(error) from error
        if self.is_probability:
            self.count(found.score)
        return found

    def answer(self, request: Request, explain: bool) -> Scored:
        """Answer a body; of lines, what was scored are those that were good."""
        ask = ask_of(request, explain) if request.query else EXPLAIN if explain else PREDICT
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
            return self._arrow(request.body, ask)
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

    def _arrow(self, body: bytes, ask: Ask) -> Scored:
        table = arrow.table(body)
        found = self.columns(table, ask)
        told = {name: values for name, values in found.items() if name != SEEN}
        if LABELS in found:
            labels = self.model.calibration.labels
            told[LABELS] = [
                [label for label, may in zip(labels, row, strict=True) if may]
                for row in found[LABELS].tolist()
            ]
        return Scored(self.told(ARROW, arrow.stream(told)), table, found)

    def columns(self, table: Any, ask: Ask) -> dict[str, Any]:
        """Score a table, or arrays by field; return ``score`` and, where something is decided, ``label``.

        Returns
        -------
        dict
            Arrays of shape (rows,); of several classes ``score`` is the label's probability, and each class has its own, too. Where asked
            for ``confidence_low`` and ``confidence_high``, ``confidence_labels`` of shape (rows, labels), and ``anomaly``. Where features look
            at the past ``seen``, the model's inputs, of shape (rows, inputs), for the log.

        Raises
        ------
        Refused
            With 422, and each field's problem by row.
        """
        try:
            inputs = self.model.inputs_of(table, validate=ask.validate)
            scores = self.model.score_inputs(inputs)
            more = self._more(inputs, scores, ask)
        except Refused:
            raise
        except Exception as error:
            raise self.refused(error) from error
        decision = self.model.decision
        if decision.classes:
            at = [decision.position(row) for row in scores.tolist()]
            names = [decision.classes[each] for each in at]
            chosen = scores[range(len(at)), at] if len(at) else scores[:, 0]
            by_class = {name: scores[:, place] for place, name in enumerate(decision.classes)}
            return {"score": chosen, "label": names, **by_class, **more}
        if decision.threshold is None:
            return {"score": scores, **more}
        return {"score": scores, "label": scores >= decision.threshold, **more}

    def _more(self, inputs: Any, scores: Any, ask: Ask) -> dict[str, Any]:
        found: dict[str, Any] = {SEEN: inputs} if self._keeps else {}
        if ask.confidence or ask.anomaly:
            self._demand_more()
        if ask.confidence:
            known = self.model.calibration.of_many(scores)
            found |= {f"confidence_{name}": values for name, values in known.items()}
        if ask.anomaly:
            found["anomaly"] = self.model.anomaly_inputs(inputs)
        return found

    def _demand_more(self) -> None:
        if not self.knows_more:
            raise Refused(
                501, "this release knows neither confidence nor anomaly; train and release it again"
            )


def refusal_of(error: Exception) -> Refused:
    """Return what a client is told of what a wheel raised: wheels bring classes of their own, so it goes by their names."""
    name = type(error).__name__
    if name == "ConflictingEvent":
        return Refused(409, str(error))
    if name == "Unexplainable":
        return Refused(501, f"this model has no contributions: {error}")
    if name == "NotCalibrated":
        return Refused(501, f"this model cannot say: {error}")
    if name in ("HistoriesUnavailable", "DamagedHistories"):
        return Refused(503, str(error), b"retry-after: 1\r\n")
    if isinstance(error, TypeError) and "no windows" in str(error):
        return Refused(404, str(error))
    if isinstance(error, ImportError):
        return Refused(501, str(error))
    raise error
