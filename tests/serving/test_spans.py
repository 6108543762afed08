"""Spans reach a collector as OpenTelemetry's own exporter sends them, say what was asked, and never with what."""

import gzip
import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hardcover.serving.exchange import Request
from hardcover.serving.spans import is_sampled
from tests.conftest import RECORD
from tests.serving.conftest import PREDICT

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, and keeps the spans and their resources."""

    def __init__(self):
        self.spans, self.resources, self.content = [], [], b""
        super().__init__(("127.0.0.1", 0), Taken)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Taken(BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        self.server.content += content
        for each in ExportTraceServiceRequest.FromString(content).resource_spans:
            self.server.resources.append(facts(each.resource))
            for scope in each.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def facts(of) -> dict:
    """Return attributes by name."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@pytest.fixture
def collector(monkeypatch):
    with Collector() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


def asked(address: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", path, json.dumps(RECORD), {"content-type": "application/json", **headers})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_span_belongs_to_its_clients_trace_and_says_what_was_asked(serve, wheel, collector, release):
    server = serve(wheel, "--span-share", 0)
    assert asked(server.address, PREDICT, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1") == 200
    assert asked(server.address, PREDICT, traceparent=f"00-{TRACE}-{PARENT}-00") == 200
    assert asked(server.address, PREDICT) == 200
    assert asked(server.address, "/nothing", traceparent=f"00-{TRACE}-{PARENT}-01") == 404
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/List")
        with pytest.raises(grpc.RpcError):
            call(b"", timeout=10, metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01")])
    assert server.stop() == 0

    scored, missing, called = collector.spans
    assert scored.name == f"POST {PREDICT}"
    assert (scored.trace_id.hex(), scored.parent_span_id.hex()) == (TRACE, PARENT)
    assert scored.trace_state == "vendor=1"
    assert facts(scored)["http.response.status_code"] == 200
    assert facts(scored)["http.route"] == PREDICT
    assert release.version in facts(scored)["hardcover.release"]
    assert 0 < scored.end_time_unix_nano - scored.start_time_unix_nano < 10**9
    assert missing.name == "POST"
    assert facts(called)["rpc.system"] == "grpc"
    assert collector.resources[0]["service.name"] == "hardcover"
    # Field names and values are in no span.
    assert not [name for name in RECORD if name.encode() in collector.content]


def test_a_share_of_the_requests_has_spans_and_the_environment_names_the_service(
    serve, wheel, collector, monkeypatch
):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "scores")
    server = serve(wheel, "--span-share", 0.5)
    for _ in range(60):
        assert asked(server.address, PREDICT) == 200
    assert server.stop() == 0
    assert 8 < len(collector.spans) < 52
    assert {each["service.name"] for each in collector.resources} == {"scores"}


@pytest.mark.parametrize("parent", ["", "00", "00-a-b-zz", "-" * 500, "00-é-b-01"])
def test_a_traceparent_that_is_none_decides_nothing(parent):
    request = Request(b"POST", b"/", b"", {b"traceparent": parent.encode("latin-1")})
    assert is_sampled(request, 1.0)
    assert not is_sampled(request, 0.0) or parent.endswith("01")


def test_without_a_collector_answers_go_on_and_the_service_ends(serve, wheel, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    server = serve(wheel, "--span-share", 1)
    assert {asked(server.address, PREDICT) for _ in range(10)} == {200}
    server.process.terminate()
    assert server.process.wait(timeout=20) == 0
