"""The Open Inference Protocol, health and reflection by gRPC, asked by gRPC's own client."""

import signal
import struct
import threading
import time
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from hypothesis import given
from hypothesis import strategies as st

from hardcover.serving import calls
from hardcover.serving.exchange import Call
from hardcover.serving.messages import HEALTH, INFERENCE, REFLECTION, message_of
from tests.conftest import RECORD
from tests.serving.conftest import Server, examples, often
from tests.serving.test_serve import publish, variant

CODE = grpc.StatusCode
ROWS = [
    {**RECORD, "torque": torque, "quality": quality} for torque in (12.5, 42.8, 70.1) for quality in "LMH"
]


class Client:
    """Calls by one channel."""

    def __init__(self, address: str):
        self.channel = grpc.insecure_channel(address)

    def call(self, method: str, of: str = INFERENCE, kind: str = "", **fields):
        """Ask by a method's own messages, or by those of ``kind``."""
        asked = message_of(of, f"{kind or method}Request")(**fields)
        returns = message_of(of, f"{kind or method}Response")
        call = self.channel.unary_unary(f"/{of}/{method}", type(asked).SerializeToString, returns.FromString)
        return call(asked, timeout=10)

    def raw(self, content: bytes, path: str = f"/{INFERENCE}/ModelInfer", **options) -> bytes:
        """Ask by the bytes of a message."""
        return self.channel.unary_unary(path)(content, timeout=10, **options)

    def reflect(self, service: str, **fields):
        """Ask for a description, by a call of messages that come one by one."""
        method = self.channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            message_of(service, "ServerReflectionRequest").SerializeToString,
            message_of(service, "ServerReflectionResponse").FromString,
        )
        asked = message_of(service, "ServerReflectionRequest")(**fields)
        (first, second) = method(iter([asked, asked]), timeout=10)
        assert first == second
        return first


def request(rows: list[dict], raw: bool, leave: str = "", **fields):
    """Return a ModelInferRequest for records, without the tensor ``leave``."""
    asked = message_of(INFERENCE, "ModelInferRequest")(**{"model_name": "maintenance", **fields})
    for name in {*RECORD} - {leave}:
        values = [row[name] for row in rows]
        is_text = type(values[0]) is str
        tensor = asked.inputs.add(name=name, datatype="BYTES" if is_text else "FP64", shape=[len(rows)])
        if raw and is_text:
            packed = [struct.pack("<I", len(each)) + each.encode() for each in values]
            asked.raw_input_contents.append(b"".join(packed))
        elif raw:
            asked.raw_input_contents.append(struct.pack(f"<{len(rows)}d", *values))
        elif is_text:
            tensor.contents.bytes_contents.extend(each.encode() for each in values)
        else:
            tensor.contents.fp64_contents.extend(values)
    return asked


@pytest.fixture
def server(serve, wheel) -> Server:
    return serve(wheel)


@pytest.fixture
def client(server) -> Iterator[Client]:
    found = Client(server.address)
    yield found
    found.channel.close()


@pytest.mark.parametrize("raw", [True, False])
def test_tensors_get_the_wheels_bits(client, release, raw):
    expected = [release.model.predict(row) for row in ROWS]
    asked = request(ROWS, raw, id="7", model_version=release.version)

    answer = message_of(INFERENCE, "ModelInferResponse").FromString(client.raw(asked.SerializeToString()))

    assert (answer.id, answer.model_name, answer.model_version) == ("7", "maintenance", release.version)
    assert [(each.name, each.datatype, [*each.shape]) for each in answer.outputs] == [
        ("score", "FP64", [9]),
        ("label", "BOOL", [9]),
    ]
    if raw:
        score, label = (
            struct.unpack(f"<9{kind}", each)
            for kind, each in zip("d?", answer.raw_output_contents, strict=True)
        )
    else:
        score = answer.outputs[0].contents.fp64_contents
        label = answer.outputs[1].contents.bool_contents
    assert [*score] == [each.score for each in expected]
    assert [*label] == [each.label for each in expected]


def test_the_service_tells_what_it_is(client, release):
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", name="maintenance").ready
    assert client.call("ServerMetadata").name == "hardcover"
    known = client.call("ModelMetadata", name="maintenance")
    assert [*known.versions] == [release.version]
    assert {each.name for each in known.inputs} == {*RECORD}
    for service in ("", INFERENCE, "maintenance"):
        assert client.call("Check", HEALTH, "HealthCheck", service=service).status == 1


@pytest.mark.parametrize("service", REFLECTION)
def test_reflection_describes_what_can_be_called(client, service):
    listed = client.reflect(service, list_services="*").list_services_response
    assert {each.name for each in listed.service} == {INFERENCE, HEALTH, *REFLECTION}

    for symbol in (INFERENCE, f"{INFERENCE}.ModelInfer", "inference.ModelInferRequest"):
        described = client.reflect(service, file_containing_symbol=symbol)
        (content,) = described.file_descriptor_response.file_descriptor_proto
    pool = DescriptorPool()
    pool.Add(FileDescriptorProto.FromString(content))
    assert len(pool.FindServiceByName(INFERENCE).methods) == 6
    assert client.reflect(service, file_by_filename="no.proto").error_response.error_code == 5
    assert client.reflect(service, all_extension_numbers_of_type="x").error_response.error_code == 12


GOOD = request([RECORD], True).SerializeToString()
REFUSED = {
    "another model": (request([RECORD], True, model_name="x"), CODE.NOT_FOUND, "there are maintenance"),
    "another version": (request([RECORD], True, model_version="9"), CODE.NOT_FOUND, "not '9'"),
    "no inputs": (b"\x0a\x0bmaintenance", CODE.INVALID_ARGUMENT, "no inputs"),
    "a wrong value": (request([{**RECORD, "torque": -5.0}], True), CODE.INVALID_ARGUMENT, "torque: "),
    "a missing tensor": (request([RECORD], False, leave="torque"), CODE.INVALID_ARGUMENT, "torque: "),
    "no message": (b"\xff\xff\xff", CODE.INVALID_ARGUMENT, "ModelInferRequest"),
    "an empty message": (b"", CODE.NOT_FOUND, ""),
    "too many bytes": (b"\x0a" + bytes(9 * 2**20), CODE.RESOURCE_EXHAUSTED, ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_with_its_status(client, name):
    asked, code, words = REFUSED[name]
    with pytest.raises(grpc.RpcError) as told:
        client.raw(asked if isinstance(asked, bytes) else asked.SerializeToString())

    assert told.value.code() is code
    assert words in told.value.details()
    assert client.raw(GOOD)


def test_who_watches_is_told_when_requests_are_no_longer_welcome(serve, wheel):
    server = serve(wheel, "--delay", 0.3)
    asked, returned = (message_of(HEALTH, f"HealthCheck{kind}") for kind in ("Request", "Response"))
    with grpc.insecure_channel(server.address) as channel:
        watch = channel.unary_stream(f"/{HEALTH}/Watch", asked.SerializeToString, returned.FromString)
        told = {service: watch(asked(service=service), timeout=20) for service in ("", "maintenance", "x")}
        assert {service: next(each).status for service, each in told.items()} == {
            "": 1,
            "maintenance": 1,
            "x": 3,
        }
        gone = watch(asked(), timeout=20)
        assert next(gone).status == 1
        gone.cancel()
        server.process.send_signal(signal.SIGTERM)
        # Before its connection ends.
        assert [next(told[service]).status for service in ("", "maintenance")] == [2, 2]
        for each in told.values():
            assert list(each) == []
            assert each.code() is CODE.OK
    assert server.process.wait(timeout=20) == 0


def test_what_is_not_answered_is_told_so(client):
    for path, options in (
        ("/inference.GRPCInferenceService/ModelLoad", {}),
        (f"/{INFERENCE}/ModelInfer", {"compression": grpc.Compression.Gzip}),
    ):
        with pytest.raises(grpc.RpcError) as told:
            client.raw(GOOD, path, **options)
        assert told.value.code() is CODE.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as told:
        client.call("Check", HEALTH, "HealthCheck", service="x")
    assert told.value.code() is CODE.NOT_FOUND


@examples(100, 20_000)
@given(cut=st.integers(0, len(GOOD)), noise=st.binary(max_size=20), at=st.integers(0, len(GOOD)))
def test_whatever_the_message_the_answer_is_no_error_of_ours(app, cut, noise, at):
    app.learn(calls.routes)
    garbled = GOOD[:at] + noise + GOOD[at + len(noise) :]

    answer = app.answer(Call(f"/{INFERENCE}/ModelInfer".encode(), {}, garbled[:cut] or noise))

    assert answer.status in (200, 400, 404, 422)


class Load(threading.Thread):
    """A client that calls over and over, and counts what it sees."""

    def __init__(self, address: str):
        super().__init__(daemon=True)
        self.client, self.going = Client(address), True
        self.versions: list[str] = []
        self.broken: list[str] = []
        self.start()

    def run(self) -> None:
        while self.going:
            try:
                answer = self.client.raw(GOOD)
            except grpc.RpcError as error:
                # The door is closed: no call was taken.
                if "failed to connect" not in error.details().lower():
                    self.broken.append(f"{error.code().name}: {error.details()}")
                time.sleep(0.01)
                continue
            self.versions.append(message_of(INFERENCE, "ModelInferResponse").FromString(answer).model_version)

    def end(self) -> None:
        self.going = False
        self.join(20)
        self.client.channel.close()


@pytest.mark.parametrize("_", range(often(1, 50)))
def test_what_is_called_when_the_end_comes_is_answered(serve, wheel, _):
    server = serve(wheel, "--workers", 2, "--grace", 5)
    clients = [Load(server.address) for _ in range(3)]
    time.sleep(0.5)
    code = server.stop()
    for each in clients:
        each.end()

    assert code == 0
    assert [each.broken for each in clients] == [[], [], []]
    assert all(each.versions for each in clients)


def test_a_new_release_takes_over_between_two_calls(serve, wheel, place, tmp_path):
    place.dist.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(2):
        made = variant(wheel, tmp_path / f"w{number}", number)
        names.append(place.dist / made.name.replace("-py3", f"-{number}py3"))
        made.rename(names[-1])
    publish(names[0], place.dist)
    server = serve("maintenance")
    client = Load(server.address)
    for number in range(1, often(4, 200)):
        publish(names[number % 2], place.dist)
        server.process.send_signal(signal.SIGHUP)
        server.until("release took over")
    client.end()

    assert client.broken == []
    assert len(client.versions) > 10
