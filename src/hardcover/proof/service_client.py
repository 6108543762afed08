"""The one service of a proof, and a client that asks it."""

import http.client
import json
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardcover import processes
from hardcover.errors import ProofFailed
from hardcover.proof.subject import Subject
from hardcover.release import wheel_file
from hardcover.release.in_wheel import records
from hardcover.serving.messages import INFERENCE, message_of

# So many records or events at once.
BATCH = 5_000


class Client:
    """One connection that is kept, to the model of one case."""

    def __init__(self, address: str, case: str):
        self.address, self.case = address, case
        self.connection = http.client.HTTPConnection(address, timeout=600)
        self.channel: Any = None
        self._before: dict[str, list[int]] = {}

    def post(
        self, path: str, body: bytes, kind: str = "application/json", **headers: str
    ) -> tuple[Any, bytes]:
        """Return the answer's headers and body.

        Raises
        ------
        ProofFailed
            When the service refuses.
        """
        given = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self._ask("POST", path, body, given)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[Any, bytes]:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise ProofFailed(
                f"the service says {answer.status}: {content[:300].decode(errors='replace')}", path
            )
        return answer.headers, content

    def begin(self) -> None:
        """Count rows from here on."""
        self._before = self._counts()

    def profile(self) -> dict[str, list[int]]:
        """Return how the rows that were asked since lay in the bins."""
        return {
            name: [now - then for now, then in zip(counts, self._before[name], strict=True)]
            for name, counts in self._counts().items()
        }

    def _counts(self) -> dict[str, list[int]]:
        _, content = self._ask("GET", f"/v1/models/{self.case}/profile", None, {})
        return json.loads(content)["counts"]

    def infer_request(self) -> Any:
        """Return an empty ModelInferRequest for the model."""
        return message_of(INFERENCE, "ModelInferRequest")(model_name=self.case)

    def call(self, asked: Any) -> Any:
        """Return the ModelInferResponse to a request, by gRPC; raises ProofFailed when the service refuses."""
        import grpc

        returns = message_of(INFERENCE, "ModelInferResponse")
        if self.channel is None:
            options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
            self.channel = grpc.insecure_channel(self.address, options)
        infer = self.channel.unary_unary(
            f"/{INFERENCE}/ModelInfer", type(asked).SerializeToString, returns.FromString
        )
        try:
            return infer(asked, timeout=600)
        except grpc.RpcError as error:
            raise ProofFailed(
                f"the service says {error.code().name}: {error.details()[:300]}", "gRPC"
            ) from error

    def close(self) -> None:
        """End the connections."""
        self.connection.close()
        if self.channel is not None:
            self.channel.close()


# Of one face after the other, since the service counts the rows of all.
_asking = threading.Lock()
_running: dict[Path, tuple[subprocess.Popen, str]] = {}


@contextmanager
def served(subject: Subject) -> Iterator[Client]:
    """Ask the one service of a proof, alone; it is started with all events that windows look at when the first face asks, and `end` ends it.

    Raises
    ------
    ProofFailed
        When it does not start.
    """
    with _asking:
        if subject.folder.parent not in _running:
            _start(subject)
        client = Client(_running[subject.folder.parent][1], subject.case)
        try:
            client.begin()
            yield client
        finally:
            client.close()


def _start(subject: Subject) -> None:
    wheel = subject.folder / wheel_file.file_name(subject.wheel)
    wheel.write_bytes(subject.wheel)
    command = processes.ours("serve", str(wheel), "--port", "0", "--json", "--keep-all")
    command += ["--max-body", "1000", "--patience", "60000"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert server.stderr
    line = server.stderr.readline()
    told = json.loads(line) if line.startswith("{") else {}
    if told.get("event") != "serving":
        server.communicate()
        raise ProofFailed(f"the service does not start: {line.strip()[:500]}", wheel.name)
    _running[subject.folder.parent] = server, told["address"]
    if subject.events:
        client = Client(told["address"], subject.case)
        _observe(client, subject.events)
        client.close()


def end(folder: Path) -> None:
    """End the service that was started for the proof in a scratch folder, if one was."""
    server, _ = _running.pop(folder, (None, ""))
    if server is not None:
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()


def _observe(client: Client, events: dict[str, list]) -> None:
    """Tell the service of all events in another order than they arrived in."""
    every = list(records(events))
    random.Random(2).shuffle(every)
    for first in range(0, len(every), BATCH):
        client.post(f"/v1/models/{client.case}/events", json.dumps(every[first : first + BATCH]).encode())
