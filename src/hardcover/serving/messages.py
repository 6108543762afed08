"""The messages of gRPC that the service understands, as protobuf classes and as the descriptors that reflection hands out.

Fields and their numbers are those of the protocols: the Open Inference Protocol
(https://github.com/kserve/open-inference-protocol, open_inference_grpc.proto), gRPC's health checking
(https://github.com/grpc/grpc/blob/master/doc/health-checking.md) and its server reflection
(https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), versions 1 and 1alpha, which have the same messages.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

ENUMS = {"ServingStatus": ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")}
# A field is written "NUMBER TYPE", with "*" for repeated, "{}" for a map from text, "|" for one of several, "@" for one of ENUMS.
_TENSOR = {"name": "1 string", "datatype": "2 string", "shape": "3 *int64"}
_WHOLE_TENSOR = {**_TENSOR, "parameters": "4 {}InferParameter", "contents": "5 InferTensorContents"}
_MODEL = {"name": "1 string", "version": "2 string"}
_INFERENCE: dict[str, dict[str, str]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": "1 bool"},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": "1 bool"},
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": {"ready": "1 bool"},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_MODEL, "extensions": "3 *string"},
    "ModelMetadataRequest": _MODEL,
    "ModelMetadataResponse": {
        "name": "1 string",
        "versions": "2 *string",
        "platform": "3 string",
        "inputs": "4 *ModelMetadataResponse.TensorMetadata",
        "outputs": "5 *ModelMetadataResponse.TensorMetadata",
    },
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelInferRequest": {
        "model_name": "1 string",
        "model_version": "2 string",
        "id": "3 string",
        "parameters": "4 {}InferParameter",
        "inputs": "5 *ModelInferRequest.InferInputTensor",
        "outputs": "6 *ModelInferRequest.InferRequestedOutputTensor",
        "raw_input_contents": "7 *bytes",
    },
    "ModelInferRequest.InferInputTensor": _WHOLE_TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": {
        "name": "1 string",
        "parameters": "2 {}InferParameter",
    },
    "ModelInferResponse": {
        "model_name": "1 string",
        "model_version": "2 string",
        "id": "3 string",
        "parameters": "4 {}InferParameter",
        "outputs": "5 *ModelInferResponse.InferOutputTensor",
        "raw_output_contents": "6 *bytes",
    },
    "ModelInferResponse.InferOutputTensor": _WHOLE_TENSOR,
    "InferParameter": {
        "bool_param": "1 |bool",
        "int64_param": "2 |int64",
        "string_param": "3 |string",
        "double_param": "4 |double",
        "uint64_param": "5 |uint64",
    },
    "InferTensorContents": {
        "bool_contents": "1 *bool",
        "int_contents": "2 *int32",
        "int64_contents": "3 *int64",
        "uint_contents": "4 *uint32",
        "uint64_contents": "5 *uint64",
        "fp32_contents": "6 *float",
        "fp64_contents": "7 *double",
        "bytes_contents": "8 *bytes",
    },
}
_HEALTH = {
    "HealthCheckRequest": {"service": "1 string"},
    "HealthCheckResponse": {"status": "1 @ServingStatus"},
}
_REFLECTION: dict[str, dict[str, str]] = {
    "ServerReflectionRequest": {
        "host": "1 string",
        "file_by_filename": "3 |string",
        "file_containing_symbol": "4 |string",
        "file_containing_extension": "5 |ExtensionRequest",
        "all_extension_numbers_of_type": "6 |string",
        "list_services": "7 |string",
    },
    "ExtensionRequest": {"containing_type": "1 string", "extension_number": "2 int32"},
    "ServerReflectionResponse": {
        "valid_host": "1 string",
        "original_request": "2 ServerReflectionRequest",
        "file_descriptor_response": "4 |FileDescriptorResponse",
        "all_extension_numbers_response": "5 |ExtensionNumberResponse",
        "list_services_response": "6 |ListServiceResponse",
        "error_response": "7 |ErrorResponse",
    },
    "FileDescriptorResponse": {"file_descriptor_proto": "1 *bytes"},
    "ExtensionNumberResponse": {"base_type_name": "1 string", "extension_number": "2 *int32"},
    "ListServiceResponse": {"service": "1 *ServiceResponse"},
    "ServiceResponse": {"name": "1 string"},
    "ErrorResponse": {"error_code": "1 int32", "error_message": "2 string"},
}
# Methods with the messages that they take and return; a star where messages come and go one by one.
_METHODS = {
    INFERENCE: {
        name: (f"{name}Request", f"{name}Response")
        for name in (
            "ServerLive",
            "ServerReady",
            "ModelReady",
            "ServerMetadata",
            "ModelMetadata",
            "ModelInfer",
        )
    },
    HEALTH: {
        "Check": ("HealthCheckRequest", "HealthCheckResponse"),
        "Watch": ("HealthCheckRequest", "*HealthCheckResponse"),
    },
    **{
        service: {"ServerReflectionInfo": ("*ServerReflectionRequest", "*ServerReflectionResponse")}
        for service in REFLECTION
    },
}


def _file(name: str, messages: dict[str, dict[str, str]], service: str) -> FileDescriptorProto:
    package, _, short = service.rpartition(".")
    file = FileDescriptorProto(name=name, package=package, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for full, fields in messages.items():
        outer, _, inner = full.rpartition(".")
        message = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=full)
        made[full] = message
        for field, rule in fields.items():
            _add_field(message, field, rule, f".{package}.{full}", f".{package}.")
    described = file.service.add(name=short)
    for method, (takes, returns) in _METHODS[service].items():
        described.method.add(
            name=method,
            input_type=f".{package}.{takes.strip('*')}",
            output_type=f".{package}.{returns.strip('*')}",
            client_streaming="*" in takes,
            server_streaming="*" in returns,
        )
    return file


def _add_field(message: DescriptorProto, name: str, rule: str, here: str, package: str) -> None:
    number, kind = rule.split(" ")
    plain = kind.lstrip("*{}|@")
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind[0] in "*{":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if kind[0] == "{":
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", "1 string", here, package)
        _add_field(entry, "value", f"2 {plain}", here, package)
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{here}.{entry.name}"
    elif kind[0] == "@":
        field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, f"{here}.{plain}"
        values = message.enum_type.add(name=plain).value
        for at, value in enumerate(ENUMS[plain]):
            values.add(name=value, number=at)
    elif plain[0].isupper():
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, package + plain
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{plain.upper()}")
    if kind[0] == "|":
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        field.oneof_index = 0


# The files that reflection hands out, by the service that each describes.
FILES = {
    INFERENCE: _file("open_inference_grpc.proto", _INFERENCE, INFERENCE),
    HEALTH: _file("grpc/health/v1/health.proto", _HEALTH, HEALTH),
    REFLECTION[0]: _file("grpc/reflection/v1/reflection.proto", _REFLECTION, REFLECTION[0]),
    REFLECTION[1]: _file("grpc/reflection/v1alpha/reflection.proto", _REFLECTION, REFLECTION[1]),
}
# A pool of its own, so that a client in the same process may bring the protocols' own definitions.
POOL = DescriptorPool()
for _each in FILES.values():
    POOL.Add(_each)


def message_of(service: str, name: str) -> Any:
    """Return the class of a message, by its name in the package of a service."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"{service.rpartition('.')[0]}.{name}"))
