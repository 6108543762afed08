"""The faces of the service: one server is started on the wheel, and asked over the wire in each way that it understands.

It answers raw rows; rows of model inputs cannot be asked of it.
"""

import io
import json
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from hardcover.errors import ProofFailed
from hardcover.proof.service_client import BATCH, Client, served
from hardcover.proof.subject import Subject
from hardcover.release.in_wheel import records

# So many rows are asked of one by one.
SINGLE = 1_000
# Rows of a request at most; the service takes a million.
PART = 500_000
# So many calls of gRPC, of one row each.
ALONE = 200
LENGTH = "Inference-Header-Content-Length"
_ARROW = "application/vnd.apache.arrow.stream"


def by_json(subject: Subject) -> dict:
    """Ask by JSON: the first rows one by one, the others as lists; infinite numbers, which JSON cannot write, as tensors."""
    rows, classes = list(records(subject.columns)), subject.decision.get("classes")
    finite, infinite = _divided(subject.columns)
    names, parts = classes or ["score"], []
    with served(subject) as client:
        for at in [*([row] for row in finite[:SINGLE]), *_batches(finite[SINGLE:])]:
            given = [rows[row] for row in at]
            _, body = client.post(
                f"/v1/models/{subject.case}/predict?validate=false",
                json.dumps(given[0] if len(at) == 1 else given).encode(),
            )
            found = json.loads(body)
            answers = [found] if len(at) == 1 else found
            score = {
                name: [each["scores"][name] if classes else each["score"] for each in answers]
                for name in names
            }
            label = [_code(each.get("label"), classes) for each in answers]
            parts.append((at, {"score": score, "label": {} if label[0] is None else {"label": label}}))
        if infinite:
            parts.append((infinite, _infer(client, _rows(subject.columns, infinite), subject, binary=True)))
        asked = [row for row in subject.explained if row < len(rows)]
        explained = (
            [] if {*asked} & {*infinite} else [_explained(client, rows[row], subject) for row in asked]
        )
    found = {"rows": len(rows), **_together(parts, len(rows))}
    return found | ({"contributions": explained} if explained and None not in explained else {})


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


def _code(label: Any, classes: list[str] | None) -> float | None:
    if label is None:
        return None
    return float(classes.index(label) if classes else label)


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
    table = pa.table({name: pa.array(values) for name, values in _arrays(subject.columns, subject).items()})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with served(subject) as client:
        path = f"/v1/models/{subject.case}/predict?validate=false"
        _, body = client.post(path, sink.getvalue(), _ARROW)
    found, classes = pa.ipc.open_stream(body).read_all(), subject.decision.get("classes")
    score = {name: found[name].to_pylist() for name in classes or ["score"]}
    given = found["label"].to_pylist() if "label" in found.column_names else None
    label = {} if given is None else {"label": [_code(each, classes) for each in given]}
    return {"rows": found.num_rows, "score": score, "label": label}


def by_tensors(subject: Subject) -> dict:
    """Ask by the Open Inference Protocol, tensors as JSON; the few rows with infinite numbers as bytes."""
    columns = subject.columns
    finite, infinite = _divided(columns)
    rows = len(finite) + len(infinite)
    with served(subject) as client:
        parts = [
            (at, _infer(client, _rows(columns, at), subject, binary))
            for all_at, binary in ((finite, False), (infinite, True))
            for at in _cut(all_at)
        ]
    return {"rows": rows, **_together(parts, rows)}


def _together(parts: list[tuple[list[int], dict]], rows: int) -> dict:
    whole: dict[str, dict[str, list]] = {}
    for at, found in parts:
        for quantity in ("score", "label"):
            for name, values in found[quantity].items():
                column = whole.setdefault(quantity, {}).setdefault(name, [math.nan] * rows)
                for row, value in zip(at, values, strict=True):
                    column[row] = value
    return {"label": {}, **whole}


def by_binary_tensors(subject: Subject) -> dict:
    """Ask by the Open Inference Protocol, tensors as their bytes."""
    rows = len(next(iter(subject.columns.values())))
    with served(subject) as client:
        parts = [
            (at, _infer(client, _rows(subject.columns, at), subject, binary=True))
            for at in _cut([*range(rows)])
        ]
    return {"rows": rows, **_together(parts, rows)}


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
    arrays = _arrays(columns, subject)
    texts = [values for values in arrays.values() if values.dtype == object]
    without = [row for row in rows if any(values[row] is None for values in texts)]
    others = [row for row in rows if row not in {*without}]
    with served(subject) as client:
        alone = [([row], row % 2 == 0) for row in others[:ALONE]]
        for all_at, raw in (*alone, (others[ALONE:SINGLE], False), (others[SINGLE:], True)):
            for at in _cut(all_at):
                parts.append(
                    (at, _called(client, {name: values[at] for name, values in arrays.items()}, raw, subject))
                )
        if without:
            parts.append((without, _infer(client, _rows(columns, without), subject, binary=False)))
    return {"rows": len(rows), **_together(parts, len(rows))}


def _called(client: Client, arrays: dict[str, Any], raw: bool, subject: Subject) -> dict:
    asked = client.infer_request()
    asked.parameters["validate"].bool_param = False
    for name, values in arrays.items():
        is_text = values.dtype == object
        tensor = asked.inputs.add(name=name, shape=[len(values)], datatype="BYTES" if is_text else "FP64")
        if raw:
            asked.raw_input_contents.append(_packed(values) if is_text else values.tobytes())
        elif is_text:
            tensor.contents.bytes_contents.extend(text.encode() for text in values)
        else:
            tensor.contents.fp64_contents.extend(values.tolist())
    answer = client.call(asked)
    tensors, contents = [], []
    for at, each in enumerate(answer.outputs):
        tensor = {"name": each.name, "shape": [*each.shape]}
        if raw:
            contents.append(answer.raw_output_contents[at])
            tensor["parameters"] = {"binary_data_size": len(contents[-1])}
        elif each.datatype == "BYTES":
            tensor["data"] = [text.decode() for text in each.contents.bytes_contents]
        else:
            tensor["data"] = [*(each.contents.fp64_contents or each.contents.bool_contents)]
        tensors.append(tensor)
    return _outputs(tensors, b"".join(contents), subject)


def _arrays(columns: dict[str, list], subject: Subject) -> dict[str, Any]:
    """Return fields as arrays: numbers as float64, of which a missing one is NaN, all else as text."""
    numbers = {
        name
        for name, rule in subject.schema["properties"].items()
        if name not in subject.texts and "string" not in rule.get("type", [])
    }
    return {
        name: np.array([math.nan if value is None else value for value in values], np.float64)
        if name in numbers
        else np.array(values, dtype=object)
        for name, values in columns.items()
    }


def _infer(client: Client, columns: dict[str, list], subject: Subject, binary: bool) -> dict:
    tensors, contents = [], []
    for name, values in _arrays(columns, subject).items():
        is_text = values.dtype == object
        tensor: dict[str, Any] = {
            "name": name,
            "shape": [len(values)],
            "datatype": "BYTES" if is_text else "FP64",
        }
        # A missing text has no bytes.
        if binary and not (is_text and None in values):
            content = _packed(values) if is_text else values.tobytes()
            tensor["parameters"] = {"binary_data_size": len(content)}
            contents.append(content)
        else:
            tensor["data"] = [None if value != value else value for value in values.tolist()]
        tensors.append(tensor)
    asked = {"inputs": tensors, "parameters": {"validate": False, "binary_data_output": binary}}
    header = json.dumps(asked).encode()
    extra = {LENGTH: str(len(header))} if contents else {}
    kind = "application/octet-stream" if contents else "application/json"
    headers, body = client.post(
        f"/v2/models/{subject.case}/infer", b"".join([header, *contents]), kind, **extra
    )
    size = int(headers.get(LENGTH) or len(body))
    return _outputs(json.loads(body[:size])["outputs"], body[size:], subject)


def _outputs(tensors: list[dict], rest: bytes, subject: Subject) -> dict:
    classes = subject.decision.get("classes")
    found: dict[str, dict[str, list]] = {"score": {}, "label": {}}
    for tensor in tensors:
        size = tensor.get("parameters", {}).get("binary_data_size", 0)
        mine, rest = rest[:size], rest[size:]
        if tensor["name"] == "score":
            values = np.frombuffer(mine, "<f8") if size else np.array(tensor["data"], np.float64)
            columns = values.reshape(tensor["shape"][0], -1).T.tolist()
            found["score"] = dict(zip(classes or ["score"], columns, strict=True))
        elif size:
            labels = _unpacked(mine) if classes else np.frombuffer(mine, "?").tolist()
            found["label"] = {"label": [_code(each, classes) for each in labels]}
        else:
            found["label"] = {"label": [_code(each, classes) for each in tensor["data"]]}
    return found


def _packed(texts: Any) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def _unpacked(content: bytes) -> list[str]:
    found, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<I", content, at)
        found.append(content[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found
