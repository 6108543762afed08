"""Over two hundred requests of the Open Inference Protocol, good and bad, as each server of it would be asked them by REST and by gRPC."""

import copy
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hardcover.serving.messages import INFERENCE, message_of

DATATYPES = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BF16",
    "BYTES",
]
ABSENT = object()


class View(NamedTuple):
    """How a server knows a model.

    Attributes
    ----------
    name, version
        Of the model.
    columns
        A row of good values by tensor: ``{"torque": [42.8]}``.
    outputs
        Its outputs.
    """

    name: str
    version: str
    columns: dict[str, list]
    outputs: list[str]

    def inputs(self, rows: int = 1) -> list[dict]:
        """Return good tensors of shape [rows, width], the first of numbers."""
        return [
            {
                "name": name,
                "shape": [rows, len(values)],
                "datatype": "BYTES" if isinstance(values[0], str) else "FP64",
                "data": values * rows,
            }
            for name, values in self.columns.items()
        ]


class Ask(NamedTuple):
    """A request by REST."""

    name: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012
    method: str = "POST"


class Call(NamedTuple):
    """A request by gRPC."""

    name: str
    method: str
    message: bytes


def by_rest(view: View) -> Iterator[Ask]:
    """Yield all requests by REST."""
    infer = f"/v2/models/{view.name}/infer"
    for name, body in [*_good(view), *_bad(view), *_bodies(view)]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        yield Ask(name, infer, content, {"content-type": "application/json"})
    for name, content, headers in [*_binary(view), *_headers(view)]:
        yield Ask(name, infer, content, {"content-type": "application/json", **headers})
    yield from _paths(view)


def _good(view: View) -> Iterator[tuple[str, Any]]:
    for rows in (1, 2, 7, 100):
        yield f"good/{rows} rows", {"inputs": view.inputs(rows)}
        nested = view.inputs(rows)
        for each in nested:
            width = each["shape"][1]
            each["data"] = [each["data"][at : at + width] for at in range(0, rows * width, width)]
        yield f"good/{rows} rows, nested", {"inputs": nested}
        yield f"good/{rows} rows, the last tensor first", {"inputs": view.inputs(rows)[::-1]}
    for number in (1, 2):
        outputs = [{"name": name} for name in view.outputs[:number]]
        yield f"good/{number} outputs asked for", {"inputs": view.inputs(), "outputs": outputs}
    yield (
        "good/outputs the other way round",
        {
            "inputs": view.inputs(),
            "outputs": [{"name": name} for name in view.outputs[::-1]],
        },
    )
    yield "good/id", {"id": "42", "inputs": view.inputs()}
    yield "good/no parameters", {"inputs": view.inputs(), "parameters": {}}
    yield "good/a parameter", {"inputs": view.inputs(), "parameters": {"priority": 1}}
    yield "good/an unknown member", {"inputs": view.inputs(), "color": "red"}
    yield "good/integers for doubles", {"inputs": [_whole(each) for each in view.inputs()]}
    yield "good/a tensor's parameter", {"inputs": [{**each, "parameters": {}} for each in view.inputs()]}


def _whole(tensor: dict) -> dict:
    texts = tensor["datatype"] == "BYTES"
    return {**tensor, "data": tensor["data"] if texts else [round(value) for value in tensor["data"]]}


def _bad(view: View) -> Iterator[tuple[str, Any]]:
    """Yield requests in which one thing is changed."""

    def first(member: str, value: Any) -> dict:
        inputs = view.inputs()
        inputs[0][member] = value
        if value is ABSENT:
            del inputs[0][member]
        return {"inputs": inputs}

    width = len(next(iter(view.columns.values())))
    for datatype in [*DATATYPES, "FP65", "fp64", "", None, 5, ABSENT]:
        yield f"datatype/{_said(datatype)}", first("datatype", datatype)
    shapes = {
        "none": [], "rows": [width], "rows, width, 1": [1, width, 1], "a width more": [1, width + 1], "two rows": [2, width], "no rows": [0, width],
        "minus one row": [-1, width], "minus one column": [1, -1], "a text": ["1", width], "1.0": [1.0, width], "1.5": [1.5, width], "null in it": [None, width],
        "a list in it": [[1], width], "2 million rows": [2_000_000, width], "2^64 values": [2**62, 4], "2^63 rows": [2**63, width], "10^30 rows": [10**30, width],
        "null": None, "5": 5, "text": "1", "object": {}, "absent": ABSENT,
    }  # fmt: skip
    for said, shape in shapes.items():
        yield f"shape/{said}", first("shape", shape)
    good = view.inputs()[0]["data"]
    for value in (None, {}, "x", 5, [], [[]], ABSENT):
        yield f"data/{_said(value)}", first("data", value)
    for value in ("a", "1", None, True, {}, 1e308, 5e-324, -0.0, 10**19):
        yield f"data/all {_said(value)}", first("data", [value] * width)
    yield "data/all 10^400", first("data", [10**400] * width)
    yield "data/twice", first("data", good * 2)
    yield "data/two lists", first("data", [good, good])
    yield "data/one too few", first("data", good[1:])
    yield "data/each in lists of its own", first("data", [[[each]] for each in good])
    for name in (None, 5, "", "nothing", "ß", "x" * 10_000, ABSENT):
        yield f"name/{_said(name)}", first("name", name)
    yield "inputs/the first twice", {"inputs": [*view.inputs(), view.inputs()[0]]}
    yield "inputs/the first is missing", {"inputs": view.inputs()[1:]}
    extra = {"name": "extra", "shape": [1, 1], "datatype": "FP64", "data": [1.0]}
    yield "inputs/one too many", {"inputs": [*view.inputs(), extra]}
    for inputs in (None, {}, [], [None], [5], [[]], "x", ABSENT):
        yield f"inputs/{_said(inputs)}", {} if inputs is ABSENT else {"inputs": inputs}
    for outputs in (None, [], [{}], [{"name": "nothing"}], [{"name": 5}], [5], "score", {}):
        yield f"outputs/{_said(outputs)}", {"inputs": view.inputs(), "outputs": outputs}
    for name in ("", "x" * 1000, "ß", 5, None, {}):
        yield f"id/{_said(name)}", {"inputs": view.inputs(), "id": name}
    for parameters in (None, 5, [], "x", {"x": {}}, {"x": None}, {"binary_data_output": "yes"}):
        yield f"parameters/{_said(parameters)}", {"inputs": view.inputs(), "parameters": parameters}


def _said(value: Any) -> str:
    return "absent" if value is ABSENT else json.dumps(value)[:40]


def _bodies(view: View) -> Iterator[tuple[str, bytes]]:
    good = json.dumps({"inputs": view.inputs()})
    first = view.inputs()[0]
    numbers = ", ".join(map(repr, first["data"]))

    def instead(text: str) -> bytes:
        return good.replace(f"[{numbers}]", text, 1).encode()

    yield "body/empty", b""
    yield "body/blank", b" "
    for text in ("x", "[]", "5", "null", '"x"', "{}"):
        yield f"body/{text}", text.encode()
    yield "body/cut off", good[:-1].encode()
    yield "body/half", good[: len(good) // 2].encode()
    yield "body/a second object", (good + good).encode()
    yield "body/a comma at the end", (good[:-1] + ",}").encode()
    yield "body/blanks around", f"  \r\n\t{good}\n ".encode()
    yield "body/byte order mark", b"\xef\xbb\xbf" + good.encode()
    yield "body/UTF-16", good.encode("utf-16")
    yield "body/not UTF-8", good.replace(first["name"], "\udcff", 1).encode(errors="surrogateescape")
    yield "body/NUL", good.encode() + b"\0"
    yield "body/comment", b"/* x */" + good.encode()
    yield "body/single quotes", good.replace('"', "'").encode()
    yield "body/a member twice", (good[:-1] + ', "inputs": []}').encode()
    yield "body/deep", b"[" * 500 + b"]" * 500
    yield "body/a deep value", instead("[" * 500 + "]" * 500)
    width = len(first["data"])
    for text in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "01",
        "+1",
        ".5",
        "0x10",
        "1_000",
        "1e",
        "-",
        "1.7976931348623159e308",
    ):
        yield f"number/{text}", instead("[" + ", ".join([text] * width) + "]")
    yield "number/10,000 digits", instead("[" + ", ".join(["1" * 10_000] * width) + "]")


def _packed(tensors: list[dict]) -> tuple[list[dict], bytes]:
    """Return tensors whose values are bytes, and these."""
    told, parts = [], []
    for each in copy.deepcopy(tensors):
        values = each.pop("data")
        if each["datatype"] == "BYTES":
            parts.append(b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values))
        else:
            parts.append(struct.pack(f"<{len(values)}d", *values))
        told.append({**each, "parameters": {"binary_data_size": len(parts[-1])}})
    return told, b"".join(parts)


def _binary(view: View) -> Iterator[tuple[str, bytes, dict]]:
    """Yield requests with binary tensors."""

    def whole(told: Any, rest: bytes, off: int = 0) -> tuple[bytes, dict]:
        header = json.dumps(told).encode()
        return header + rest, {"inference-header-content-length": str(len(header) + off)}

    for rows in (1, 2, 7, 100):
        told, rest = _packed(view.inputs(rows))
        yield f"binary/good, {rows} rows", *whole({"inputs": told}, rest)
        yield (
            f"binary/good, {rows} rows, bytes back",
            *whole({"inputs": told, "parameters": {"binary_data_output": True}}, rest),
        )
    told, rest = _packed(view.inputs())
    yield (
        "binary/only in the answer",
        *whole({"inputs": view.inputs(), "parameters": {"binary_data_output": True}}, b""),
    )
    yield (
        "binary/the first only",
        *whole({"inputs": [told[0], *view.inputs()[1:]]}, rest[: told[0]["parameters"]["binary_data_size"]]),
    )
    for name, size in (
        ("less", 4),
        ("none", 0),
        ("negative", -8),
        ("text", "8"),
        ("half", 8.5),
        ("more than there is", 10**6),
        ("null", None),
    ):
        changed = copy.deepcopy(told)
        changed[0]["parameters"]["binary_data_size"] = size
        yield f"binary/size {name}", *whole({"inputs": changed}, rest)
    yield "binary/bytes cut off", *whole({"inputs": told}, rest[:-1])
    yield "binary/no bytes", *whole({"inputs": told}, b"")
    yield "binary/bytes left over", *whole({"inputs": told}, rest + b"12345678")
    yield (
        "binary/data, too",
        *whole({"inputs": [{**told[0], "data": view.inputs()[0]["data"]}, *told[1:]]}, rest),
    )
    yield "binary/header's length one less", *whole({"inputs": told}, rest, -1)
    yield "binary/header's length one more", *whole({"inputs": told}, rest, 1)
    nan = struct.pack("<d", float("nan")) * (told[0]["parameters"]["binary_data_size"] // 8)
    yield "binary/NaN", *whole({"inputs": told}, nan + rest[len(nan) :])
    infinite = struct.pack("<d", float("inf")) * (len(nan) // 8)
    yield "binary/infinite", *whole({"inputs": told}, infinite + rest[len(nan) :])


def _headers(view: View) -> Iterator[tuple[str, bytes, dict]]:
    good = json.dumps({"inputs": view.inputs()}).encode()
    for length in ("", "x", "-1", "0", "1.5", "99999999", "9" * 40):
        yield f"header's length/{length[:10]}", good, {"inference-header-content-length": length}
    yield "header's length/all", good, {"inference-header-content-length": str(len(good))}
    for kind in (
        "application/json; charset=utf-8",
        "application/octet-stream",
        "text/plain",
        "application/xml",
        "",
    ):
        yield f"content type/{kind}", good, {"content-type": kind}
    for coding in ("identity", "gzip", "deflate", "br"):
        yield f"content coding/{coding}, said only", good, {"content-encoding": coding}
    yield "accept/xml", good, {"accept": "application/xml"}


def _paths(view: View) -> Iterator[Ask]:
    good = json.dumps({"inputs": view.inputs()}).encode()
    model = f"/v2/models/{view.name}"
    for path in (
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        model,
        f"{model}/ready",
        f"{model}/versions/{view.version}",
    ):
        yield Ask(f"get/{_plain(path, view)}", path, method="GET")
    for path in (
        "/v2/models/nothing", "/v2/models/nothing/ready", f"{model}/versions/99", f"{model}/versions/x", f"{model}/nothing", "/v2/nothing", "/v3", "/", f"{model}/",
        "/v2/", "/v2/models//ready", "/v2/health/none",
    ):  # fmt: skip
        yield Ask(f"get/{_plain(path, view)}", path, method="GET")
    for path in (
        f"{model}/versions/{view.version}/infer", f"{model}/versions/99/infer", "/v2/models/nothing/infer", f"{model}/infer/", f"{model}/infer?x=1", f"{model}/inferx",
        f"/v2/models/{view.name.upper()}/infer", "/v2/models/%6daintenance/infer", f"/v2/models/{'x' * 2000}/infer",
    ):  # fmt: skip
        yield Ask(f"post/{_plain(path, view)}", path, good, {"content-type": "application/json"})
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        yield Ask(f"method/{method} infer", f"{model}/infer", b"" if method == "GET" else good, method=method)
    yield Ask("method/POST metadata", model, b"{}")
    yield Ask("method/POST health", "/v2/health/live", b"{}")


def _plain(path: str, view: View) -> str:
    return path.replace(f"versions/{view.version}", "versions/VERSION")[:60]


def by_grpc(view: View) -> Iterator[Call]:
    """Yield all requests by gRPC."""
    request = message_of(INFERENCE, "ModelInferRequest")
    infer = f"{INFERENCE}/ModelInfer"

    def call(
        name: str, change: Callable[[Any], object] = lambda _: None, rows: int = 1, raw: bool = False
    ) -> Call:
        message = request(model_name=view.name)
        for each in view.inputs(rows):
            tensor = message.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
            if raw:
                message.raw_input_contents.append(_packed([each])[1])
            elif each["datatype"] == "BYTES":
                tensor.contents.bytes_contents.extend(text.encode() for text in each["data"])
            else:
                tensor.contents.fp64_contents.extend(each["data"])
        change(message)
        return Call(f"grpc {'raw' if raw else 'typed'}/{name}", infer, message.SerializeToString())

    for raw in (False, True):
        for rows in (1, 2, 7, 100):
            yield call(f"good, {rows} rows", rows=rows, raw=raw)
        yield call("good, id", lambda m: setattr(m, "id", "42"), raw=raw)
        yield call("good, an output", lambda m: m.outputs.add(name=view.outputs[0]), raw=raw)
        yield call("good, version", lambda m: setattr(m, "model_version", view.version), raw=raw)
        yield call("another model", lambda m: setattr(m, "model_name", "nothing"), raw=raw)
        yield call("no model", lambda m: setattr(m, "model_name", ""), raw=raw)
        yield call("another version", lambda m: setattr(m, "model_version", "99"), raw=raw)
        yield call("an output that is none", lambda m: m.outputs.add(name="nothing"), raw=raw)
        yield call(
            "no inputs", lambda m: (m.ClearField("inputs"), m.ClearField("raw_input_contents")), raw=raw
        )
        for datatype in ("FP32", "INT64", "BYTES", "BOOL", "fp64", ""):
            yield call(
                f"datatype {datatype}", lambda m, d=datatype: setattr(m.inputs[0], "datatype", d), raw=raw
            )
        for shape in ([], [1], [2, 1], [-1, 1], [0, 1], [1, 1, 1, 1], [2**62, 4]):
            yield call(
                f"shape {shape}", lambda m, s=shape: m.inputs[0].shape.__setitem__(slice(None), s), raw=raw
            )
        yield call(
            "the first is missing",
            lambda m: (m.inputs.pop(0), m.raw_input_contents and m.raw_input_contents.pop(0)),
            raw=raw,
        )
        yield call("a name that is none", lambda m: setattr(m.inputs[0], "name", "nothing"), raw=raw)
    yield call("raw contents as well", lambda m: m.raw_input_contents.append(b"12345678"))
    yield call("contents as well", lambda m: m.inputs[0].contents.fp64_contents.append(1.0), raw=True)
    yield call("one raw content less", lambda m: m.raw_input_contents.pop(), raw=True)
    yield call("one raw content more", lambda m: m.raw_input_contents.append(b"12345678"), raw=True)
    yield call(
        "bytes cut off", lambda m: m.raw_input_contents.__setitem__(0, m.raw_input_contents[0][:-1]), raw=True
    )
    yield call("no contents", lambda m: m.inputs[0].ClearField("contents"))
    yield Call("grpc/no message of this kind", infer, b"\xff" * 20)
    yield Call("grpc/an empty message", infer, b"")
    for name, kind, fields in (
        ("ServerLive", "ServerLive", {}), ("ServerReady", "ServerReady", {}), ("ServerMetadata", "ServerMetadata", {}), ("ModelReady", "ModelReady", {"name": view.name}),
        ("ModelReady of none", "ModelReady", {"name": "nothing"}), ("ModelMetadata", "ModelMetadata", {"name": view.name}),
        ("ModelMetadata of none", "ModelMetadata", {"name": "nothing"}), ("ModelMetadata, version", "ModelMetadata", {"name": view.name, "version": view.version}),
        ("ModelMetadata, another version", "ModelMetadata", {"name": view.name, "version": "99"}),
    ):  # fmt: skip
        yield Call(
            f"grpc/{name}",
            f"{INFERENCE}/{kind}",
            message_of(INFERENCE, f"{kind}Request")(**fields).SerializeToString(),
        )
    yield Call("grpc/a method that is none", f"{INFERENCE}/Nothing", b"")
    yield Call("grpc/a service that is none", "nothing.Service/Nothing", b"")
