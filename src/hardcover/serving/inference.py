"""The Open Inference Protocol, version 2: over REST, with its binary tensors, and what `calls` has in common with that.

https://github.com/kserve/open-inference-protocol, and for tensors outside of the JSON
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md. A field of the record is a tensor of
its name, of shape [rows] or [rows, 1]; answers are the tensors ``score`` and ``label``, and those of ``MORE`` that a request names among its outputs.
"""

import logging
from collections.abc import Iterator
from typing import Any

import orjson

from hardcover.serving import tensors
from hardcover.serving.asked import Ask, kind_of, parsed
from hardcover.serving.exchange import BINARY, JSON, Answer, Refused, Request
from hardcover.serving.records import LABELS, Scored, Scoring
from hardcover.serving.tensors import Output

_log = logging.getLogger("hardcover.serving")
LENGTH = b"inference-header-content-length"
# FP64 of shape [rows], but the labels that may come, BOOL of shape [rows, labels], in the order of the classes.
MORE = ("confidence_low", "confidence_high", LABELS, "anomaly")


def metadata(scoring: Scoring) -> dict:
    """Return what the protocol tells of a model: its inputs and outputs, with datatypes and shapes."""
    release, classes = scoring.release, scoring.model.decision.classes
    inputs = [
        {"name": name, "datatype": "FP64" if _is_number(rule) else "BYTES", "shape": [-1]}
        for name, rule in release.fields.items()
    ]
    shape = [-1, len(classes)] if classes else [-1]
    outputs = [{"name": "score", "datatype": "FP64", "shape": shape}]
    if classes or scoring.model.decision.threshold is not None:
        outputs.append({"name": "label", "datatype": "BYTES" if classes else "BOOL", "shape": [-1]})
    return {
        "name": release.name,
        "versions": [release.version],
        "platform": "hardcover",
        "inputs": inputs,
        "outputs": outputs,
    }


def _is_number(rule: dict) -> bool:
    kinds = rule.get("type", [])
    return (
        "number" in kinds or "integer" in kinds if isinstance(kinds, list) else kinds in ("number", "integer")
    )


def infer(scoring: Scoring, request: Request) -> Scored:
    """Answer a request for inference.

    Raises
    ------
    Refused
        With 400 where the request does not follow the protocol, 422 where a value is not what the model takes.
    """
    kind_of(request)
    header, rest = _header(request)
    asked = _request(header)
    given, inputs, found = outputs(scoring, asked, rest)
    return Scored(_response(asked, given, scoring), inputs, found)


def outputs(scoring: Scoring, asked: dict, rest: bytes) -> tuple[dict[str, Output], list | dict, list | dict]:
    """Score the tensors of a request, of which binary ones are in ``rest``; return the outputs by name, and what was scored, as `Scored` has it.

    Raises
    ------
    Refused
        As `infer`.
    """
    named = {each["name"] for each in asked.get("outputs", [])} & {*MORE}
    ask = Ask(
        validate=asked.get("parameters", {}).get("validate") is not False,
        confidence=bool(named - {"anomaly"}),
        anomaly="anomaly" in named,
    )
    few = tensors.records(asked["inputs"], rest)
    if few:
        try:
            predictions = scoring.watched.whole(lambda: [scoring.one(record, ask) for record in few])
            return of_predictions(scoring, predictions), few, predictions
        except Exception:
            # What is wrong is told by row, as of a table.
            _log.debug("records are scored as a table", exc_info=True)
    columns, rest = tensors.arrays(asked, rest)
    if rest:
        raise Refused(400, f"{len(rest)} bytes follow the last binary tensor")
    found = scoring.columns(columns, ask)
    classes, scores = scoring.model.decision.classes, found["score"]
    if classes:
        import numpy as np

        scores = np.column_stack([found[name] for name in classes])
    given = {"score": Output("score", "FP64", [*scores.shape], scores)}
    if "label" in found:
        given["label"] = Output("label", "BYTES" if classes else "BOOL", [len(scores)], found["label"])
    for name in MORE:
        if name in found:
            kind = "BOOL" if name == LABELS else "FP64"
            given[name] = Output(name, kind, [*found[name].shape], found[name])
    return given, columns, found


def of_predictions(scoring: Scoring, predictions: list) -> dict[str, Output]:
    """Return predictions as outputs by name."""
    classes, rows = scoring.model.decision.classes, len(predictions)
    if classes:
        scores = [each.scores[name] for each in predictions for name in classes]
        shape = [rows, len(classes)]
    else:
        scores, shape = [each.score for each in predictions], [rows]
    given = {"score": Output("score", "FP64", shape, scores)}
    if classes or scoring.model.decision.threshold is not None:
        labels = [each.label for each in predictions]
        given["label"] = Output("label", "BYTES" if classes else "BOOL", [rows], labels)
    if rows and predictions[0].confidence is not None:
        given |= _confidence([each.confidence for each in predictions], scoring)
    if rows and predictions[0].anomaly is not None:
        given["anomaly"] = Output("anomaly", "FP64", [rows], [each.anomaly for each in predictions])
    return given


def _confidence(found: list, scoring: Scoring) -> dict[str, Output]:
    given, rows, labels = {}, len(found), scoring.model.calibration.labels
    if scoring.model.calibration.kind != "classes":
        bounds = zip(*(each.bounds for each in found), strict=True)
        for name, values in zip(("confidence_low", "confidence_high"), bounds, strict=True):
            given[name] = Output(name, "FP64", [rows], [*values])
    if labels:
        may = [label in each.labels for each in found for label in labels]
        given[LABELS] = Output(LABELS, "BOOL", [rows, len(labels)], may)
    return given


def _header(request: Request) -> tuple[bytes, bytes]:
    length = request.headers.get(LENGTH)
    if length is None:
        return request.body, b""
    if not length.isdigit() or len(length) > 12 or int(length) > len(request.body):
        raise Refused(400, "Inference-Header-Content-Length is not the length of a JSON header in this body")
    return request.body[: int(length)], request.body[int(length) :]


def _request(header: bytes) -> dict:
    asked = parsed(header)
    if type(asked) is not dict or type(asked.get("inputs")) is not list or not asked["inputs"]:
        raise Refused(400, "the request has no 'inputs', a list of tensors")
    for name, kind in (("id", str), ("outputs", list), ("parameters", dict)):
        if name in asked and type(asked[name]) is not kind:
            raise Refused(400, f"'{name}' of the request is no {'text' if kind is str else kind.__name__}")
    for tensor in [*asked["inputs"], *asked.get("outputs", [])]:
        if type(tensor) is not dict or type(tensor.get("name")) is not str:
            raise Refused(400, "a tensor has no 'name'")
        if type(tensor.get("parameters", {})) is not dict:
            raise Refused(400, f"'parameters' of tensor {tensor['name'][:60]!r} are no object")
    return asked


def wanted(asked: dict, found: dict[str, Output]) -> Iterator[Output]:
    """Return the outputs that a request names, or all; raises Refused, with 400, where there is none of a name."""
    for each in asked.get("outputs") or [{"name": name} for name in found]:
        if each["name"] not in found:
            raise Refused(400, f"there is no output {each['name'][:60]!r}; there are {', '.join(found)}")
        yield found[each["name"]]._replace(parameters=each.get("parameters", {}))


def _response(asked: dict, found: dict[str, Output], scoring: Scoring) -> Answer:
    every = asked.get("parameters", {}).get("binary_data_output") is True
    told, binary = [], []
    for each in wanted(asked, found):
        tensor: dict[str, Any] = {"name": each.name, "datatype": each.datatype, "shape": each.shape}
        if each.parameters.get("binary_data", every) is True:
            content = each.content()
            tensor["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            tensor["data"] = each.flat()
        told.append(tensor)
    release = scoring.release
    facts = {"model_name": release.name, "model_version": release.version, "outputs": told}
    if "id" in asked:
        facts["id"] = asked["id"]
    header = orjson.dumps(facts)
    if not binary:
        return scoring.told(JSON, header)
    line = b"inference-header-content-length: %d\r\n" % len(header)
    return scoring.told(BINARY, b"".join([header, *binary]), line)
