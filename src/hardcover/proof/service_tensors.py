"""Rows as tensors of the Open Inference Protocol, by REST and by gRPC, and its answers as columns."""

import json
import math
import struct
from typing import Any

import numpy as np

from hardcover.proof.service_client import Client
from hardcover.proof.subject import Subject

LENGTH = "Inference-Header-Content-Length"


def code_of(label: Any, classes: list[str] | None) -> float | None:
    """Return a label as a number: its position among the classes, or 0 or 1; None where nothing was decided."""
    if label is None:
        return None
    return float(classes.index(label) if classes else label)


def called(client: Client, arrays: dict[str, Any], raw: bool, subject: Subject) -> dict:
    """Ask by gRPC, with raw contents or typed ones; return the answer's columns by quantity."""
    asked = client.infer_request()
    asked.parameters["validate"].bool_param = False
    for name in _asked_for(subject):
        asked.outputs.add(name=name)
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


def arrays_of(columns: dict[str, list], subject: Subject) -> dict[str, Any]:
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


def infer(client: Client, columns: dict[str, list], subject: Subject, binary: bool) -> dict:
    """Ask by REST, with tensors as bytes or as JSON; return the answer's columns by quantity."""
    tensors, contents = [], []
    for name, values in arrays_of(columns, subject).items():
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
    asked = {
        "inputs": tensors,
        "outputs": [{"name": name} for name in _asked_for(subject)],
        "parameters": {"validate": False, "binary_data_output": binary},
    }
    header = json.dumps(asked).encode()
    extra = {LENGTH: str(len(header))} if contents else {}
    kind = "application/octet-stream" if contents else "application/json"
    headers, body = client.post(
        f"/v2/models/{subject.case}/infer", b"".join([header, *contents]), kind, **extra
    )
    size = int(headers.get(LENGTH) or len(body))
    return _outputs(json.loads(body[:size])["outputs"], body[size:], subject)


def _asked_for(subject: Subject) -> list[str]:
    """Return the outputs to name: all that there are."""
    kind = subject.calibration.kind
    names = ["score", "anomaly", *([] if subject.decision["kind"] == "none" else ["label"])]
    names += ["confidence_low", "confidence_high"] if kind in ("probability", "interval") else []
    return names + (["confidence_labels"] if kind in ("probability", "classes") else [])


def _outputs(tensors: list[dict], rest: bytes, subject: Subject) -> dict:
    classes = subject.decision.get("classes")
    found: dict[str, dict[str, list]] = {"score": {}, "label": {}, "confidence": {}, "anomaly": {}}
    for tensor in tensors:
        size = tensor.get("parameters", {}).get("binary_data_size", 0)
        mine, rest = rest[:size], rest[size:]
        if tensor["name"] == "score":
            values = np.frombuffer(mine, "<f8") if size else np.array(tensor["data"], np.float64)
            columns = values.reshape(tensor["shape"][0], -1).T.tolist()
            found["score"] = dict(zip(classes or ["score"], columns, strict=True))
        elif tensor["name"] == "confidence_labels":
            given = np.frombuffer(mine, "?") if size else np.array(tensor["data"])
            columns = given.reshape(tensor["shape"]).T.astype(float).tolist()
            found["confidence"] |= dict(zip(map(str, subject.calibration.labels), columns, strict=True))
        elif tensor["name"] != "label":
            # JSON has no infinite numbers.
            unbounded = -math.inf if tensor["name"] == "confidence_low" else math.inf
            given = np.frombuffer(mine, "<f8").tolist() if size else tensor["data"]
            quantity, _, name = tensor["name"].rpartition("_")
            found[quantity or "anomaly"][name] = [unbounded if each is None else each for each in given]
        elif size:
            labels = _unpacked(mine) if classes else np.frombuffer(mine, "?").tolist()
            found["label"] = {"label": [code_of(each, classes) for each in labels]}
        else:
            found["label"] = {"label": [code_of(each, classes) for each in tensor["data"]]}
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
