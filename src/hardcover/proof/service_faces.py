"""The faces of the service: one server is started on the wheel, and asked over the wire in each way that it understands.

It answers raw rows; rows of model inputs cannot be asked of it.
"""

import io
import json
import math
from collections.abc import Iterator

import pyarrow as pa

from hardcover.errors import ProofFailed
from hardcover.proof.service_client import BATCH, Client, served
from hardcover.proof.service_tensors import arrays_of, called, code_of, infer
from hardcover.proof.subject import Subject
from hardcover.release.in_wheel import confidence_columns, records
from hardcover.runtime.confidence import Confidence

# So many rows are asked of one by one.
SINGLE = 1_000
# Rows of a request at most; the service takes a million.
PART = 500_000
# So many calls of gRPC, of one row each.
ALONE = 200
_ARROW = "application/vnd.apache.arrow.stream"


def by_json(subject: Subject) -> dict:
    """Ask by JSON: the first rows one by one, the others as lists; infinite numbers, which JSON cannot write, as tensors."""
    rows, classes = list(records(subject.columns)), subject.decision.get("classes")
    finite, infinite = _divided(subject.columns)
    names, parts, calibration = classes or ["score"], [], subject.calibration
    with served(subject) as client:
        for at in [*([row] for row in finite[:SINGLE]), *_batches(finite[SINGLE:])]:
            given = [rows[row] for row in at]
            _, body = client.post(
                f"/v1/models/{subject.case}/predict?{_query(subject)}",
                json.dumps(given[0] if len(at) == 1 else given).encode(),
            )
            found = json.loads(body)
            answers = [found] if len(at) == 1 else found
            score = {
                name: [each["scores"][name] if classes else each["score"] for each in answers]
                for name in names
            }
            label = [code_of(each.get("label"), classes) for each in answers]
            found = {"score": score, "label": {} if label[0] is None else {"label": label}}
            sure = [Confidence(**each["confidence"]) for each in answers if "confidence" in each]
            found["confidence"] = confidence_columns(calibration, sure)
            found["anomaly"] = {"anomaly": [each["anomaly"] for each in answers]}
            parts.append((at, found))
        if infinite:
            parts.append((infinite, infer(client, _rows(subject.columns, infinite), subject, binary=True)))
        profile = client.profile()
        asked = [row for row in subject.explained if row < len(rows)]
        explained = (
            [] if {*asked} & {*infinite} else [_explained(client, rows[row], subject) for row in asked]
        )
    found = {"rows": len(rows), **_together(parts, len(rows)), "profile": profile}
    return found | ({"contributions": explained} if explained and None not in explained else {})


def _query(subject: Subject) -> str:
    known = subject.calibration.kind != "none"
    return f"validate=false&anomaly=true{'&confidence=true' if known else ''}"


def _divided(columns: dict[str, list]) -> tuple[list[int], list[int]]:
    """Return the rows that JSON can write, and those with an infinite number."""
    infinite = {
        row
        for values in columns.values()
        for row, value in enumerate(values)
        if isinstance(value, float) and math.isinf(value)
    }
    rows = range(len(next(iter(columns.values()))))
    return [row for row in rows if row not in infinite], sorted(infinite)


def _batches(rows: list[int]) -> list[list[int]]:
    return [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]


def _rows(columns: dict[str, list], at: list[int]) -> dict[str, list]:
    return {name: [values[row] for row in at] for name, values in columns.items()}


def _explained(client: Client, record: dict, subject: Subject) -> list[float] | None:
    try:
        _, body = client.post(
            f"/v1/models/{subject.case}/explain?validate=false", json.dumps(record).encode()
        )
    except ProofFailed:
        return None
    answer, classes = json.loads(body), subject.decision.get("classes")
    row = []
    for name in classes or [None]:
        given = answer["contributions"][name] if classes else answer["contributions"]
        by_feature = {each["feature"]: each["contribution"] for each in given}
        base = answer["base_value"][name] if classes else answer["base_value"]
        row += [*(by_feature[feature] for feature in subject.plan["inputs"]), base]
    return row


def by_arrow(subject: Subject) -> dict:
    """Ask all rows at once as an Arrow stream."""
    table = pa.table({name: pa.array(values) for name, values in arrays_of(subject.columns, subject).items()})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with served(subject) as client:
        path = f"/v1/models/{subject.case}/predict?{_query(subject)}"
        _, body = client.post(path, sink.getvalue(), _ARROW)
        profile = client.profile()
    found, classes = pa.ipc.open_stream(body).read_all(), subject.decision.get("classes")
    score = {name: found[name].to_pylist() for name in classes or ["score"]}
    given = found["label"].to_pylist() if "label" in found.column_names else None
    label = {} if given is None else {"label": [code_of(each, classes) for each in given]}
    calibration = subject.calibration
    columns = {name: f"confidence_{name}" for name in ("low", "high", "labels")}
    parts = {
        name: found[column].to_pylist() for name, column in columns.items() if column in found.column_names
    }
    rows = zip(*parts.values(), strict=True)
    sure = [Confidence(calibration.level, **dict(zip(parts, row, strict=True))) for row in rows]
    may = confidence_columns(calibration, sure)
    anomaly = {"anomaly": found["anomaly"].to_pylist()}
    told = {"score": score, "label": label, "confidence": may, "anomaly": anomaly, "profile": profile}
    return {"rows": found.num_rows, **told}


def by_tensors(subject: Subject) -> dict:
    """Ask by the Open Inference Protocol, tensors as JSON; the few rows with infinite numbers as bytes."""
    columns = subject.columns
    finite, infinite = _divided(columns)
    rows = len(finite) + len(infinite)
    with served(subject) as client:
        parts = [
            (at, infer(client, _rows(columns, at), subject, binary))
            for all_at, binary in ((finite, False), (infinite, True))
            for at in _cut(all_at)
        ]
        profile = client.profile()
    return {"rows": rows, **_together(parts, rows), "profile": profile}


def _together(parts: list[tuple[list[int], dict]], rows: int) -> dict:
    whole: dict[str, dict[str, list]] = {}
    for at, found in parts:
        for quantity in ("score", "label", "confidence", "anomaly"):
            for name, values in found[quantity].items():
                column = whole.setdefault(quantity, {}).setdefault(name, [math.nan] * rows)
                for row, value in zip(at, values, strict=True):
                    column[row] = value
    return {"label": {}, "confidence": {}, **whole}


def by_binary_tensors(subject: Subject) -> dict:
    """Ask by the Open Inference Protocol, tensors as their bytes."""
    rows = len(next(iter(subject.columns.values())))
    with served(subject) as client:
        parts = [
            (at, infer(client, _rows(subject.columns, at), subject, binary=True))
            for at in _cut([*range(rows)])
        ]
        profile = client.profile()
    return {"rows": rows, **_together(parts, rows), "profile": profile}


def _cut(rows: list[int]) -> Iterator[list[int]]:
    """Yield rows in parts that one request may have."""
    for first in range(0, len(rows), PART):
        yield rows[first : first + PART]


def by_grpc(subject: Subject) -> dict:
    """Ask by the Open Inference Protocol over gRPC: the first rows one by one, then with typed contents, the others with raw ones.

    A missing text is neither; the rows that have one are asked by tensors as JSON.
    """
    columns, parts = subject.columns, []
    rows = range(len(next(iter(columns.values()))))
    arrays = arrays_of(columns, subject)
    texts = [values for values in arrays.values() if values.dtype == object]
    without = [row for row in rows if any(values[row] is None for values in texts)]
    others = [row for row in rows if row not in {*without}]
    with served(subject) as client:
        alone = [([row], row % 2 == 0) for row in others[:ALONE]]
        for all_at, raw in (*alone, (others[ALONE:SINGLE], False), (others[SINGLE:], True)):
            for at in _cut(all_at):
                parts.append(
                    (at, called(client, {name: values[at] for name, values in arrays.items()}, raw, subject))
                )
        if without:
            parts.append((without, infer(client, _rows(columns, without), subject, binary=False)))
        profile = client.profile()
    return {"rows": len(rows), **_together(parts, len(rows)), "profile": profile}
