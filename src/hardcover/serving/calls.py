"""What is answered to calls of gRPC: the Open Inference Protocol, health, and reflection."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from hardcover.serving import grpc, inference
from hardcover.serving.exchange import VERSION, Answer, Call, Refused, Request
from hardcover.serving.messages import FILES, HEALTH, INFERENCE, POOL, REFLECTION, message_of
from hardcover.serving.records import Scored

if TYPE_CHECKING:
    from hardcover.serving.app import App

InferRequest = message_of(INFERENCE, "ModelInferRequest")
InferResponse = message_of(INFERENCE, "ModelInferResponse")
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
_UNIMPLEMENTED, _NOT_FOUND = 12, 5
# The field of InferTensorContents that has the values of a datatype.
_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def routes(app: "App", add: Callable) -> None:
    """Add each method's path to the app's table, as `App.learn` asks for."""

    def method(service: str, name: str, answer: Callable, kind: str = "", returned: str = "") -> None:
        takes = message_of(service, kind or f"{name}Request")
        returns = message_of(service, returned or f"{name}Response")
        add(f"/{service}/{name}", "POST", lambda request: _answer(returns(**answer(_parsed(takes, request)))))

    method(INFERENCE, "ServerLive", lambda _: {"live": True})
    method(INFERENCE, "ServerReady", lambda _: {"ready": app.is_ready})
    about = {"name": "hardcover", "version": VERSION, "extensions": ["binary_tensor_data"]}
    method(INFERENCE, "ServerMetadata", lambda _: about)
    method(INFERENCE, "ModelReady", lambda asked: _ready(app, asked))
    method(
        INFERENCE, "ModelMetadata", lambda asked: inference.metadata(_scoring(app, asked.name, asked.version))
    )
    add(f"/{INFERENCE}/ModelInfer", "POST", lambda request: _infer(app, request), "infer")
    method(HEALTH, "Check", lambda asked: _check(app, asked), "HealthCheckRequest", "HealthCheckResponse")
    method(HEALTH, "Watch", lambda asked: _watch(app, asked), "HealthCheckRequest", "HealthCheckResponse")
    for service in REFLECTION:
        method(
            service, "ServerReflectionInfo", _reflected, "ServerReflectionRequest", "ServerReflectionResponse"
        )


def _parsed(kind: Any, request: Request) -> Any:
    if type(request) is not Call:
        raise Refused(415, "this is a method of gRPC, which is asked over HTTP/2 as application/grpc")
    try:
        return kind.FromString(request.body)
    except DecodeError as error:
        raise Refused(400, f"the message is no {kind.DESCRIPTOR.name}") from error


def _answer(message: Any, lines: bytes = b"") -> Answer:
    return Answer(200, grpc.KIND, message.SerializeToString(), lines)


def _scoring(app: "App", name: str, version: str) -> Any:
    served = app.served.get(name)
    if served is None:
        raise Refused(404, f"there is no model {name[:60]!r}; there are {', '.join(app.served)}")
    if version not in ("", served.champion.version):
        raise Refused(404, f"{name} is served in version {served.champion.version}, not {version[:60]!r}")
    return app.scoring(served.champion)


def _ready(app: "App", asked: Any) -> dict:
    _scoring(app, asked.name, asked.version)
    return {"ready": app.is_ready}


def _check(app: "App", asked: Any) -> dict:
    found = _watch(app, asked)
    if found["status"] == SERVICE_UNKNOWN:
        raise Refused(404, f"there is no service {asked.service[:60]!r}")
    return found


def _watch(app: "App", asked: Any) -> dict:
    if asked.service and asked.service not in FILES and asked.service not in app.served:
        return {"status": SERVICE_UNKNOWN}
    return {"status": SERVING if app.is_ready else NOT_SERVING}


def _infer(app: "App", request: Request) -> Answer:
    message = _parsed(InferRequest, request)
    scoring = _scoring(app, message.model_name, message.model_version)
    return app.kept(scoring.release, request, lambda: _inferred(scoring, message))


def _inferred(scoring: Any, message: Any) -> Scored:
    asked, raw = _asked(message)
    outputs, inputs, found = inference.outputs(scoring, asked, raw)
    release = scoring.release
    answer = InferResponse(model_name=release.name, model_version=release.version, id=message.id)
    for each in inference.wanted(asked, outputs):
        tensor = answer.outputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
        if message.raw_input_contents:
            answer.raw_output_contents.append(each.content())
            continue
        values = each.flat()
        if each.datatype == "BYTES":
            values = [text.encode() for text in values]
        getattr(tensor.contents, _CONTENTS[each.datatype]).extend(values)
    return Scored(_answer(answer, release.header), inputs, found)


def _asked(message: Any) -> tuple[dict, bytes]:
    """Return a request as the protocol has it over REST, with its binary tensors."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise Refused(400, f"there are {len(raw)} raw contents for {len(message.inputs)} tensors")
    if not message.inputs:
        raise Refused(400, "the request has no inputs")
    tensors = []
    for at, each in enumerate(message.inputs):
        tensor: dict[str, Any] = {"name": each.name, "datatype": each.datatype, "shape": [*each.shape]}
        if raw:
            tensor["parameters"] = {"binary_data_size": len(raw[at])}
            if each.HasField("contents"):
                raise Refused(400, f"tensor {each.name[:60]!r} has contents twice, raw and not")
        else:
            tensor["data"] = _values(each)
        tensors.append(tensor)
    asked: dict[str, Any] = {"inputs": tensors, "parameters": _parameters(message.parameters)}
    if message.outputs:
        asked["outputs"] = [{"name": each.name} for each in message.outputs]
    return asked, b"".join(raw)


def _values(tensor: Any) -> list:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        return []
    values = getattr(tensor.contents, field)
    if field != "bytes_contents":
        # A missing number is NaN in tensors, and None in records.
        return [None if value != value else value for value in values]
    try:
        return [each.decode() for each in values]
    except UnicodeDecodeError as error:
        raise Refused(400, f"tensor {tensor.name[:60]!r} has a text that is not UTF-8: {error}") from error


def _parameters(given: Any) -> dict[str, Any]:
    found = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("choice")
        found[name] = None if kind is None else getattr(parameter, kind)
    return found


def _reflected(asked: Any) -> dict:
    found = {"valid_host": asked.host, "original_request": asked}
    kind = asked.WhichOneof("choice")
    if kind == "list_services":
        return {**found, "list_services_response": {"service": [{"name": name} for name in FILES]}}
    try:
        if kind == "file_by_filename":
            file = POOL.FindFileByName(asked.file_by_filename)
        elif kind == "file_containing_symbol":
            # A method is none of the pool's symbols, its service is one.
            symbol = asked.file_containing_symbol
            service = symbol.rpartition(".")[0]
            file = POOL.FindFileContainingSymbol(service if service in FILES else symbol)
        else:
            error = {"error_code": _UNIMPLEMENTED, "error_message": "there are no extensions"}
            return {**found, "error_response": error}
    except KeyError:
        return {
            **found,
            "error_response": {"error_code": _NOT_FOUND, "error_message": "there is no such thing"},
        }
    return {**found, "file_descriptor_response": {"file_descriptor_proto": [file.serialized_pb]}}
