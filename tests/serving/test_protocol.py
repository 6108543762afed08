"""The protocol as others speak it: KServe's client, and over three hundred requests, good and bad, to ours, to Triton's server and to omle-server."""

import http.client
import json
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from tests.conftest import RECORD, ROOT, Place, environment, eventually, free_port
from tests.serving import conftest as served
from tests.serving.protocol import Ask, Call, View, by_grpc, by_rest

OK, REFUSED, FAILED, DIED = "answered", "refused", "failed", "died"
FAILURES = {"INTERNAL": FAILED, "UNKNOWN": FAILED, "DEADLINE_EXCEEDED": FAILED, "UNAVAILABLE": DIED}
CLIENT = """
import asyncio, json, sys
import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient, RESTConfig

address, rows = sys.argv[1], json.loads(sys.argv[2])

def request(binary):
    inputs = []
    for name, first in rows[0].items():
        text = isinstance(first, str)
        tensor = InferInput(name, [len(rows)], "BYTES" if text else "FP64")
        values = np.array([row[name] for row in rows], dtype=object if text else np.float64)
        tensor.set_data_from_numpy(values, binary_data=binary)
        inputs.append(tensor)
    return InferRequest("maintenance", inputs, request_id="7")

async def main():
    base, answers = f"http://{address}", []
    rest, calls = InferenceRESTClient(RESTConfig(protocol="v2", retries=0)), InferenceGRPCClient(address)
    assert await rest.is_server_live(base) and await rest.is_model_ready(base, "maintenance")
    assert await calls.is_server_ready() and await calls.is_model_ready("maintenance")
    for binary in (False, True):
        answers.append(await rest.infer(base, request(binary), model_name="maintenance"))
        answers.append(await calls.infer(request(binary)))
    assert {each.id for each in answers} == {"7"}
    await calls.close()
    print(json.dumps([[tensor.as_numpy().tolist() for tensor in each.outputs] for each in answers]))

asyncio.run(main())
"""


class Deviation(NamedTuple):
    """Requests by which another server does something else than ours does, and why."""

    server: str
    requests: tuple[str, ...]
    ours: str
    theirs: str
    reason: str


DEVIATIONS = [
    Deviation(
        "Triton",
        (
            *("body/*", "inputs/*", "name/*", "data/*", "number/*", "outputs/*", "parameters/*", "id/*", "shape/*", "datatype/*"),
            *("binary/size *", "binary/header's length*", "header's length/1.5"),
        ),
        REFUSED,
        FAILED,
        "JSON that does not parse, or with a member of another type, is 500",
    ),
    Deviation(
        "Triton",
        ("data/all *", "binary/NaN", "binary/infinite"),
        REFUSED,
        FAILED,
        "what the model itself refuses is an error of its backend, 500",
    ),
    Deviation("Triton", ("content coding/br*",), REFUSED, FAILED, "a content coding that it does not know is 500"),
    Deviation(
        "Triton",
        ("body/byte order mark", "body/NUL", "body/a member twice"),
        REFUSED,
        OK,
        "JSON is read leniently: a byte order mark, what follows NUL, a member twice",
    ),
    Deviation("Triton", ("data/each in lists*",), REFUSED, OK, "values may lie in lists within lists of any depth"),
    Deviation(
        "Triton",
        ("datatype/*INT*", 'datatype/"BOOL"', "data/all true"),
        OK,
        FAILED,
        "a tensor must have the very datatype of the model; here any that holds numbers will do",
    ),
    Deviation(
        "Triton",
        ('datatype/"FP*',),
        OK,
        REFUSED,
        "a tensor must have the very datatype of the model; here any that holds numbers will do",
    ),
    Deviation(
        "Triton",
        ("shape/rows", "shape/rows, width, 1", "grpc */shape [[]1]", "grpc */shape [[]1, 1, 1, 1]"),
        OK,
        REFUSED,
        "a field's tensor has the shape [rows, 1] only; here [rows], too",
    ),
    Deviation("Triton", ('parameters/{"x": *',), OK, REFUSED, "an unknown parameter must be a text, a number or a boolean"),
    Deviation("Triton", ('parameters/{"binary*',), OK, FAILED, "'binary_data_output' that is no boolean is 500; here it is none"),
    Deviation("Triton", ("grpc raw/one raw content more",), REFUSED, OK, "raw contents that belong to no tensor are passed over"),
    Deviation("Triton", ("grpc/ModelReady of none",), REFUSED, OK, "an unknown model is not ready; here it is not found"),
    Deviation("Triton", ("grpc/no message*",), REFUSED, FAILED, "bytes that are no message are INTERNAL, by gRPC's library"),
    Deviation("Triton", ("get//",), OK, REFUSED, "there is no page"),
    Deviation("Triton", ("post//v2/models/%6d*",), OK, REFUSED, "paths are not decoded"),
    Deviation(
        "omle-server",
        ("name/*", "id/*", "outputs/*", "parameters/*", "inputs/*", "datatype/*", "grpc */*"),
        REFUSED,
        OK,
        "names, datatypes, ids, outputs and parameters are not looked at: the first tensor is the input, and all outputs come back",
    ),
    Deviation(
        "omle-server",
        ("data/*", "number/*", "shape/*", "body/*", "binary/no bytes"),
        REFUSED,
        OK,
        "what it cannot read of a body is left out, and the rest is scored",
    ),
    Deviation("omle-server", ("data/*", "shape/*", "grpc */shape*"),
        REFUSED,
        DIED,
        "no values, or a shape that is larger than they are, may end the server"),
    Deviation("omle-server", ("binary/good*", "binary/the first only"), OK, REFUSED, "there are no binary tensors by REST"),
    Deviation("omle-server", ("header's length/*", "content coding/*"), REFUSED, OK, "these headers are not looked at"),
    Deviation("omle-server", ("get//v2/models/*/ready",), REFUSED, FAILED, "a model that is none is not ready, 503; here it is not found"),
    Deviation("omle-server", ("grpc/ModelReady of none",), REFUSED, OK, "an unknown model is not ready; here it is not found"),
    Deviation("omle-server", ("grpc/no message*",), REFUSED, FAILED, "bytes that are no message are INTERNAL, by gRPC's library"),
    Deviation("omle-server", ("get//",), OK, REFUSED, "there is no page"),
]  # fmt: skip


class Server(NamedTuple):
    """Where a server answers by REST and by gRPC, and how it knows the model."""

    rest: str
    calls: str
    view: View


def asked(address: str, ask: Ask) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(ask.method, ask.path, ask.body or None, ask.headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_ready(address: str, name: str) -> bool:
    """Whether the model can be asked, of the server that calls itself so."""
    try:
        _, about = asked(address, Ask("", "/v2", method="GET"))
        status, _ = asked(address, Ask("", "/v2/models/maintenance/ready", method="GET"))
    except http.client.HTTPException:
        return False
    return status == 200 and name in about.decode()


def view_of(version: str) -> View:
    """Return how servers of the wheel know it: a tensor for each field, numbers first."""
    first = {"torque": RECORD["torque"], **RECORD}
    columns = {name: [value if isinstance(value, str) else float(value)] for name, value in first.items()}
    return View("maintenance", version, columns, ["score", "label"])


@pytest.fixture(scope="module")
def programs() -> Path:
    return environment("protocol")


@pytest.fixture(scope="module")
def triton(programs, wheel, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("triton")
    zipfile.ZipFile(wheel).extractall(folder / "wheel")
    program = ROOT / "tests" / "serving" / "triton.py"
    # Its sockets lie in its home, and have at most 107 letters.
    home = tempfile.mkdtemp(prefix="triton-")
    variables = {"PATH": "/usr/bin:/bin", "HOME": home}
    # A port that was free may be taken by the time that it starts.
    for _ in range(3):
        ports = [str(free_port()) for _ in range(3)]
        found = Server(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", view_of("1"))
        with (folder / "log").open("w") as log:
            command = [programs / "python", program, folder / "wheel", *ports]
            process = subprocess.Popen(command, env=variables, cwd=folder, stdout=log, stderr=log)
        eventually(lambda: process.poll() is not None or is_ready(found.rest, "triton"), every=0.2)  # noqa: B023
        if process.poll() is None:
            break
    if process.poll() is not None:
        pytest.skip(f"Triton's server does not start on this machine: {(folder / 'log').read_text()[-300:]}")
    yield found
    process.terminate()
    process.wait(timeout=60)
    shutil.rmtree(home)


class Omle:
    """omle-server with the case's model, started again whenever it has ended."""

    def __init__(self, model: Path, folder: Path):
        programs, converted = environment("omle"), folder / "maintenance.omle"
        subprocess.run([programs / "omle-convert", model, converted], check=True, capture_output=True)
        web, calls = free_port(), free_port()
        ports = ["--rest-port", str(web), "--grpc-port", str(calls)]
        self.command = [
            programs / "omle-server",
            "--model",
            converted,
            *ports,
            "--rest-threads",
            "1",
            "--grpc-threads",
            "16",
        ]
        inputs = next(line for line in model.read_text().splitlines() if line.startswith("feature_names="))
        view = View("maintenance", "1", {"X": [1.0] * len(inputs.split())}, ["y_pred", "y_prob"])
        self.server = Server(f"127.0.0.1:{web}", f"127.0.0.1:{calls}", view)
        self.process: subprocess.Popen | None = None
        self.revive()

    def revive(self) -> None:
        """Start it, after the end of the one that died."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: is_ready(self.server.rest, "omle-server"), every=0.05)


@pytest.fixture(scope="module")
def omle(notebook_run, tmp_path_factory) -> Iterator[Omle]:
    model = max(notebook_run.place.data.glob("06_models/maintenance/model.txt/*/model.txt"))
    found = Omle(model, tmp_path_factory.mktemp("omle"))
    yield found
    found.process.kill()
    found.process.wait()


def outcome_of_rest(address: str, ask: Ask) -> tuple[str, bytes]:
    try:
        status, body = asked(address, ask)
    except (OSError, http.client.HTTPException):
        return DIED, b""
    return OK if status < 300 else REFUSED if status < 500 else FAILED, body


def outcome_of_call(channel: grpc.Channel, call: Call) -> tuple[str, bytes]:
    try:
        return OK, channel.unary_unary(f"/{call.method}")(call.message, timeout=20, wait_for_ready=True)
    except grpc.RpcError as error:
        return FAILURES.get(error.code().name, REFUSED), b""


def outcomes(
    server: Server, mine: dict[str, tuple[str, bytes]], revive: Callable[[], None] = lambda: None
) -> dict[str, tuple[str, bytes]]:
    """Ask everything; returns what came of it, and the answers, by the request's name.

    What differs from ours is asked again: the request before may have ended the server, and omle-server does not always do the same.
    """

    def settled(name: str, ask: Callable[[], tuple[str, bytes]]) -> tuple[str, bytes]:
        for _ in range(3):
            what, body = ask()
            if what == DIED:
                revive()
            if not mine or what == mine[name][0]:
                break
        return what, body

    found = {}
    for ask in by_rest(server.view):
        found[ask.name] = settled(ask.name, lambda ask=ask: outcome_of_rest(server.rest, ask))
    with grpc.insecure_channel(server.calls) as channel:
        for call in by_grpc(server.view):
            found[call.name] = settled(call.name, lambda call=call: outcome_of_call(channel, call))
    return found


@pytest.fixture(scope="module")
def ours(wheel, release, tmp_path_factory) -> Iterator[Server]:
    server = served.Server(Place(tmp_path_factory.mktemp("ours")), wheel)
    yield Server(server.address, server.address, view_of(release.version))
    server.process.kill()
    server.process.wait()


def test_good_requests_are_told_from_bad_ones_and_where_others_differ_is_listed(ours, triton, omle):
    mine = outcomes(ours, {})
    assert len(mine) > 300
    assert {what for what, _ in mine.values()} == {OK, REFUSED}
    assert {what for name, (what, _) in mine.items() if "good" in name} == {OK}

    theirs = {"Triton": outcomes(triton, mine), "omle-server": outcomes(omle.server, mine, omle.revive)}
    unlisted, used = [], set()
    for server, found in theirs.items():
        assert set(found) == set(mine)
        for name, (what, _) in found.items():
            if what == mine[name][0]:
                continue
            reasons = [
                each
                for each in DEVIATIONS
                if (each.server, each.ours, each.theirs) == (server, mine[name][0], what)
                and any(fnmatchcase(name, pattern) for pattern in each.requests)
            ]
            used.update(reasons)
            if not reasons:
                unlisted.append(f"{server}: {name} is {what}, here it is {mine[name][0]}")
    assert not unlisted
    assert [each.reason for each in DEVIATIONS if each not in used] == []
    # Triton asks the same wheel.
    for name in mine:
        if name.startswith("good/"):
            scores = [json.loads(found[name][1])["outputs"] for found in (mine, theirs["Triton"])]
            here, there = (
                [each["data"] for each in sorted(outputs, key=lambda each: each["name"])]
                for outputs in scores
            )
            assert here == there, name


def test_the_documentation_lists_each_deviation_with_its_reason():
    told = (ROOT / "docs" / "serving.md").read_text()
    missing = [
        f"| {each.server} | {each.reason} |"
        for each in DEVIATIONS
        if f"| {each.server} | {each.reason} |" not in told
    ]
    assert not missing


def test_kserves_client_gets_the_wheels_answers_by_rest_and_by_grpc(programs, ours, release):
    rows = [{**RECORD, "torque": torque} for torque in (12.5, 42.8, 70.1)]
    command = [programs / "python", "-c", CLIENT, ours.rest, json.dumps(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [release.model.predict(row) for row in rows]
    expected = [[each.score for each in found], [each.label for each in found]]
    assert json.loads(done.stdout.splitlines()[-1]) == [expected] * 4
