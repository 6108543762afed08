"""The Open Inference Protocol, version 2: over REST, with its binary tensors, and what `calls` has in common with that.

https://github.com/kserve/open-inference-protocol, and for tensors outside of the JSON
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md. A field of the record is a tensor of
its name, of shape [rows] or [rows, 1]; answers are the tensors ``score`` and ``label``.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from hardcover.serving.exchange import BINARY, JSON, Answer, Refused, Request
from hardcover.serving.records import Scoring, kind_of, parsed

LENGTH = b"inference-header-content-length"
# Datatypes of the protocol, as numpy names them; little-endian, as the binary tensors are.
NUMBERS = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
MAX_ROWS = 1_000_000


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


def infer(scoring: Scoring, request: Request) -> tuple[Answer, int]:
    """Answer a request for inference; also returns the number of rows.

    Raises
    ------
    Refused
        With 400 where the request does not follow the protocol, 422 where a value is not what the model takes.
    """
    kind_of(request)
    header, rest = _header(request)
    asked = _request(header)
    found, rows = outputs(scoring, asked, rest)
    return _response(asked, found, scoring), rows


def outputs(scoring: Scoring, asked: dict, rest: bytes) -> tuple[dict[str, Any], int]:
    """Score the tensors of a request, of which binary ones are in ``rest``; return the outputs by name, and the number of rows.

    Raises
    ------
    Refused
        As `infer`.
    """
    columns, rest = _columns(asked, rest)
    if rest:
        raise Refused(400, f"{len(rest)} bytes follow the last binary tensor")
    rows = len(next(iter(columns.values())))
    found = scoring.columns(columns, asked.get("parameters", {}).get("validate") is not False)
    classes = scoring.model.decision.classes
    given: dict[str, Any] = {"score": found["score"]}
    if classes:
        import numpy as np

        given["score"] = np.column_stack([found[name] for name in classes])
    if "label" in found:
        given["label"] = found["label"]
    return given, rows


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


def _columns(asked: dict, rest: bytes) -> tuple[dict[str, Any], bytes]:
    columns: dict[str, Any] = {}
    for tensor in asked["inputs"]:
        name = tensor["name"]
        if name in columns:
            raise Refused(400, f"the tensor {name[:60]!r} comes twice")
        columns[name], rest = _tensor(tensor, rest)
    sizes = {len(column) for column in columns.values()}
    if len(sizes) != 1:
        raise Refused(400, f"the tensors have different numbers of rows: {sorted(sizes)}")
    return columns, rest


def _tensor(tensor: dict, rest: bytes) -> tuple[Any, bytes]:
    try:
        import numpy as np
    except ImportError as error:
        raise Refused(501, "this service has no numpy, which tensors need; send records as JSON") from error
    name, shape, datatype = f"tensor {tensor['name'][:60]!r}", tensor.get("shape"), tensor.get("datatype")
    right = type(shape) is list and all(type(size) is int and size >= 0 for size in shape)
    if not right or not shape or any(size != 1 for size in shape[1:]):
        raise Refused(
            400, f"{name} has the shape {str(shape)[:60]}; fields have the shape [rows] or [rows, 1]"
        )
    rows = shape[0]
    if rows > MAX_ROWS:
        raise Refused(413, f"{rows} rows in one request; send at most {MAX_ROWS}")
    if datatype != "BYTES" and datatype not in NUMBERS:
        raise Refused(
            400, f"{name} has the datatype {str(datatype)[:60]!r}; known: BYTES, {', '.join(NUMBERS)}"
        )
    size = tensor.get("parameters", {}).get("binary_data_size")
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(rest) or "data" in tensor:
            raise Refused(400, f"{name} has a 'binary_data_size' that does not fit the body")
        mine, rest = rest[:size], rest[size:]
        return (
            _texts(mine, rows, name) if datatype == "BYTES" else _numbers(mine, datatype, rows, name)
        ), rest
    data = tensor.get("data")
    if type(data) is not list:
        raise Refused(400, f"{name} has no 'data', a list of values")
    flat = (
        [each for part in data for each in part]
        if data and all(type(part) is list for part in data)
        else data
    )
    if len(flat) != rows:
        raise Refused(400, f"{name} has {len(flat)} values and the shape {shape}")
    if datatype == "BYTES":
        if not all(each is None or type(each) is str for each in flat):
            raise Refused(400, f"{name} of BYTES has values that are no text")
        return np.array(flat, dtype=object), rest
    if not all(each is None or type(each) in (float, int, bool) for each in flat):
        raise Refused(400, f"{name} of {datatype} has values that are no numbers")
    # A number in JSON is a double; narrower datatypes are what the client declared.
    found = np.array([float("nan") if each is None else each for each in flat], dtype=np.float64)
    return found, rest


def _numbers(content: bytes, datatype: str, rows: int, name: str) -> Any:
    import numpy as np

    dtype = np.dtype(NUMBERS[datatype])
    if len(content) != rows * dtype.itemsize:
        raise Refused(
            400, f"{name} has {len(content)} bytes; {rows} of {datatype} are {rows * dtype.itemsize}"
        )
    return np.frombuffer(content, dtype).astype(np.float64)


def _texts(content: bytes, rows: int, name: str) -> Any:
    """Read texts, each after its length as four bytes, little-endian."""
    import numpy as np

    found: list[str] = []
    at = 0
    while at < len(content) and len(found) <= rows:
        if at + 4 > len(content):
            break
        (size,) = struct.unpack_from("<I", content, at)
        if at + 4 + size > len(content):
            break
        try:
            found.append(content[at + 4 : at + 4 + size].decode())
        except UnicodeDecodeError as error:
            raise Refused(400, f"{name} has a text that is not UTF-8: {error}") from error
        at += 4 + size
    if at != len(content) or len(found) != rows:
        raise Refused(400, f"{name} of BYTES does not hold {rows} texts, each after its length")
    return np.array(found, dtype=object)


class Output(NamedTuple):
    """One tensor of an answer: numbers as an array of float64 or bool, or a list of texts."""

    name: str
    values: Any
    parameters: dict

    @property
    def datatype(self) -> str:
        """The protocol's name for what it holds."""
        return "FP64" if self.name == "score" else "BYTES" if isinstance(self.values, list) else "BOOL"

    @property
    def shape(self) -> list[int]:
        """[rows], or [rows, classes]."""
        return [len(self.values)] if isinstance(self.values, list) else [*self.values.shape]

    def flat(self) -> list:
        """Return all values, row by row."""
        return self.values if isinstance(self.values, list) else self.values.ravel().tolist()

    def content(self) -> bytes:
        """Return the values as the protocol has them in bytes."""
        return _packed(self.values) if isinstance(self.values, list) else self.values.tobytes()


def wanted(asked: dict, found: dict[str, Any]) -> Iterator[Output]:
    """Return the outputs that a request names, or all; raises Refused, with 400, where there is none of a name."""
    for each in asked.get("outputs") or [{"name": name} for name in found]:
        if each["name"] not in found:
            raise Refused(400, f"there is no output {each['name'][:60]!r}; there are {', '.join(found)}")
        yield Output(each["name"], found[each["name"]], each.get("parameters", {}))


def _response(asked: dict, found: dict[str, Any], scoring: Scoring) -> Answer:
    every = asked.get("parameters", {}).get("binary_data_output") is True
    tensors, binary = [], []
    for each in wanted(asked, found):
        tensor: dict[str, Any] = {"name": each.name, "datatype": each.datatype, "shape": each.shape}
        if each.parameters.get("binary_data", every) is True:
            content = each.content()
            tensor["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            tensor["data"] = each.flat()
        tensors.append(tensor)
    release = scoring.release
    facts = {"model_name": release.name, "model_version": release.version, "outputs": tensors}
    if "id" in asked:
        facts["id"] = asked["id"]
    header = orjson.dumps(facts)
    if not binary:
        return scoring.told(JSON, header)
    line = b"inference-header-content-length: %d\r\n" % len(header)
    return scoring.told(BINARY, b"".join([header, *binary]), line)


def _packed(texts: list[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)
