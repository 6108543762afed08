"""The same answers behind other servers, to other clients, and where nothing but the service is installed."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import RECORD, ROOT, eventually, free_port
from tests.serving.conftest import PREDICT, ask, often

SERVERS = {
    "uvicorn": ["uvicorn", "hardcover.serving.asgi:app", "--port", "PORT", "--no-access-log"],
    "hypercorn": ["hypercorn", "hardcover.serving.asgi:app", "--bind", "127.0.0.1:PORT"],
    "granian": ["granian", "hardcover.serving.asgi:app", "--interface", "rsgi", "--port", "PORT"],
    "granian by ASGI": ["granian", "hardcover.serving.asgi:app", "--interface", "asgi", "--port", "PORT"],
}
CLIENT = """
import importlib, json, sys
import numpy as np

address, rows, way = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
triton = importlib.import_module(f"tritonclient.{way}")
by_json = {} if way == "http" else {"as_json": True}
with triton.InferenceServerClient(address) as client:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("maintenance")
    known = client.get_model_metadata("maintenance", **by_json)
    found = {}
    for binary in (True, False):
        form = {"binary_data": binary} if way == "http" else {}
        inputs = []
        for each in known["inputs"]:
            text = each["datatype"] == "BYTES"
            values = np.array([row[each["name"]] for row in rows], dtype=object if text else np.float64)
            tensor = triton.InferInput(each["name"], [len(rows)], each["datatype"])
            tensor.set_data_from_numpy(values, **form)
            inputs.append(tensor)
        outputs = [triton.InferRequestedOutput(each["name"], **form) for each in known["outputs"]]
        answer = client.infer("maintenance", inputs, outputs=outputs, request_id="7")
        assert answer.get_response(**by_json)["id"] == "7"
        found[str(binary)] = [answer.as_numpy("score").tolist(), answer.as_numpy("label").tolist()]
    try:
        client.infer("nothing", inputs)
    except triton.InferenceServerException as error:
        found["unknown"] = error.status()
print(json.dumps(found))
"""


def fetch(address: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    given = {"content-type": "application/json"} | headers
    request = urllib.request.Request(f"http://{address}{path}", body, given)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("name", SERVERS)
def test_another_server_gives_the_same_answers(others, wheel, app, name):
    port = free_port()
    command = [str(port) if each == "PORT" else each.replace("PORT", str(port)) for each in SERVERS[name]]
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HARDCOVER_SERVE": str(wheel)}
    address = f"127.0.0.1:{port}"
    with subprocess.Popen(
        [others / command[0], *command[1:]],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            assert eventually(lambda: fetch(address, "/readyz")[0] == 200, 20)
            for path, body in (
                (PREDICT, RECORD),
                (PREDICT, [RECORD, RECORD]),
                (PREDICT, {**RECORD, "torque": "x"}),
                ("/v1/models/maintenance/explain?top=2", RECORD),
                ("/nowhere", RECORD),
            ):
                expected = ask(app, path, body)
                assert fetch(address, path, json.dumps(body).encode()) == (expected.status, expected.body)
            assert fetch(address, PREDICT, b" " * (9 * 2**20))[0] == 413
        finally:
            server.terminate()


@pytest.mark.parametrize(("way", "unknown"), [("http", "404"), ("grpc", "StatusCode.NOT_FOUND")])
def test_tritons_own_client_is_answered_with_the_wheels_bits(others, serve, wheel, release, way, unknown):
    server = serve(wheel)
    rows = [
        {**RECORD, "torque": torque, "quality": quality} for torque in (12.5, 42.8, 70.1) for quality in "LMH"
    ]
    expected = [release.model.predict(row) for row in rows]
    command = [others / "python", "-c", CLIENT, server.address, json.dumps(rows), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    answer = [[each.score for each in expected], [each.label for each in expected]]
    assert found == {"True": answer, "False": answer, "unknown": unknown}


def test_schemathesis_finds_no_answer_that_the_description_does_not_have(others, serve, wheel, tmp_path):
    address = serve(wheel).address
    # What a row must be besides, as one field above another, no JSON Schema says; so what it allows may be refused.
    options = ["--exclude-checks", "positive_data_acceptance", "--phases", "coverage,fuzzing", "--seed", "1"]
    command = [others / "st", "run", f"http://{address}/openapi.json", *options, "--no-color"]
    count = ["--max-examples", str(often(10, 15_000)), "--continue-on-failure"]
    done = subprocess.run([*command, *count], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout


@pytest.mark.parametrize("body", [RECORD, [RECORD] * 3000])
def test_curl_is_answered_by_http_2_as_by_http_1(serve, wheel, tmp_path, body):
    address = serve(wheel).address
    (tmp_path / "body.json").write_text(json.dumps(body))
    options = ["--silent", "--header", "content-type: application/json", "--data", f"@{tmp_path}/body.json"]
    asked = [*options, "--write-out", "\\n%{http_version} %{http_code}", f"http://{address}{PREDICT}"]
    first, second = (
        subprocess.run(["curl", way, *asked], capture_output=True, check=True).stdout.rpartition(b"\n")
        for way in ("--http1.1", "--http2-prior-knowledge")
    )

    assert (first[2], second[2]) == (b"1.1 200", b"2 200")
    assert first[0] == second[0]


@pytest.mark.parametrize("way", ["hardcover serve", "python -m"])
def test_the_service_needs_nothing_but_its_extra_and_the_wheel(wheel, tmp_path, way):
    uv = ROOT / ".tools" / "bin" / "uv"
    python = tmp_path / "env" / "bin" / "python"
    needed = ["httptools", "orjson", "uvloop", "numpy"]
    locked = (ROOT / "requirements" / "all.txt").read_text().splitlines()
    pins = [
        line.split(" ")[0]
        for line in locked
        if line.split("==")[0] in needed and "python_full_version >=" not in line
    ]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env"], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "hatchling", *pins, wheel], check=True)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", ROOT], check=True)
    subprocess.run([uv, "pip", "uninstall", "--quiet", "--python", python, "hatchling"], check=True)
    port = free_port()
    command = {
        "hardcover serve": [tmp_path / "env" / "bin" / "hardcover", "serve", wheel],
        "python -m": [python, "-m", "casebook_maintenance", "serve"],
    }[way]
    address = f"127.0.0.1:{port}"
    with subprocess.Popen([*command, "--port", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL) as server:
        try:
            assert eventually(lambda: fetch(address, "/readyz")[0] == 200, 20)
            assert fetch(address, PREDICT, json.dumps(RECORD).encode())[0] == 200
            modules = Path(f"/proc/{server.pid}/maps").read_text()
            assert "pandas" not in modules
        finally:
            server.terminate()
