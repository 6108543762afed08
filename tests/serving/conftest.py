"""A released wheel, the service around it in this process, and servers as operators start them."""

import http.client
import json
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hardcover.serving.app import ENDPOINTS, App
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import JSON, Answer, Request
from hardcover.serving.release import Release, Served
from tests.conftest import RECORD, Place, environment, eventually

PREDICT = "/v1/models/maintenance/predict"
BODY = json.dumps(RECORD)


def often(few: int, many: int) -> int:
    """Return how many times something is done: few, or many in `make soak`."""
    return many if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else few


def examples(few: int, many: int) -> settings:
    """Return settings for so many examples, or so many in `make soak`."""
    return settings(
        max_examples=often(few, many),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(scope="session")
def wheel(notebook_run) -> Path:
    """The wheel of the main job, with its proof."""
    (found,) = notebook_run.place.dist.glob("casebook_maintenance-*.whl")
    return found


@pytest.fixture(scope="session")
def release(wheel, tmp_path_factory) -> Release:
    found = Release(wheel, tmp_path_factory.mktemp("unpacked"))
    found.check()
    return found


@pytest.fixture
def app(release) -> App:
    return App([Served(release)], Counters(1, ENDPOINTS, release.fields))


def ask(
    app: App, path: str, body: object = b"", kind: bytes = JSON, method: str = "POST", **headers: bytes
) -> Answer:
    """Ask the app, without any socket; a body that is no bytes is sent as JSON."""
    path, _, query = path.partition("?")
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {
        b"content-type": kind,
        **{name.replace("_", "-").encode(): value for name, value in headers.items()},
    }
    return app.answer(Request(method.encode(), path.encode(), query.encode(), given, content))


class Server:
    """``hardcover serve`` in a process of its own, and what it said."""

    def __init__(self, place: Place, *arguments: object):
        command = ("hardcover", "serve", *map(str, arguments), "--port", "0", "--json")
        self.process = place.start(*command, stdout=subprocess.DEVNULL)
        self.said: list[dict] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.until("serving")["address"]

    def _read(self) -> None:
        for line in self.process.stderr:
            self._lines.put(line)

    def until(self, event: str) -> dict:
        """Wait for an event that the server tells of."""
        while True:
            line = self._lines.get(timeout=30)
            assert line.startswith("{"), line
            self.said.append(json.loads(line))
            if self.said[-1]["event"] == event:
                return self.said[-1]

    def ask(
        self, path: str = PREDICT, body: object = RECORD, method: str = "POST"
    ) -> tuple[int, bytes, dict]:
        """Ask by a connection of its own; returns status, body and headers."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            content = json.dumps(body) if method == "POST" else None
            connection.request(method, path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """List the processes that answer."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self) -> int:
        """End it as an operator does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@pytest.fixture
def serve(place) -> Iterator:
    """Start servers that end with the test."""
    started: list[Server] = []

    def start(*arguments: object) -> Server:
        started.append(Server(place, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
            eventually(lambda each=each: not each.process.stderr.closed)


class Load(threading.Thread):
    """A client that asks over and over on a connection that it keeps, and counts what it sees."""

    def __init__(self, address: str, named: bool = False):
        super().__init__(daemon=True)
        self.address, self.going, self.gives_names = address, True, named
        self.named: list[tuple[str, float]] = []
        self.answers: list[tuple[str, str]] = []
        self.refused, self.shed, self.broken = 0, 0, []

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        while self.going:
            fresh = connection.sock is None
            name = {"x-request-id": uuid.uuid4().hex} if self.gives_names else {}
            try:
                connection.request("POST", PREDICT, BODY, {"content-type": "application/json", **name})
                answer = connection.getresponse()
                content = answer.read()
            except ConnectionRefusedError:
                self.refused += 1
                connection.close()
                time.sleep(0.01)
                continue
            except (OSError, http.client.HTTPException) as error:
                self.broken.append((fresh, repr(error)))
                connection.close()
                continue
            # On a machine that does much else, a worker may be behind.
            if answer.status == 503:
                self.shed += 1
                continue
            assert answer.status == 200, content
            self.named += [(each, time.time()) for each in name.values()]
            self.answers.append((json.loads(content)["version"], answer.headers["hardcover-release"]))
        connection.close()

    def end(self) -> None:
        self.going = False
        self.join(timeout=20)


@pytest.fixture
def load():
    started: list[Load] = []

    def start(address: str, clients: int = 3) -> list[Load]:
        started.extend(Load(address) for _ in range(clients))
        for each in started:
            each.start()
        return started

    yield start
    for each in started:
        each.end()


@pytest.fixture(scope="session")
def others() -> Path:
    """The programs of ``.tools/serving``, with what requirements/serving.txt locks."""
    return environment("serving")
