"""How a server is asked and weighed: a client on a core of its own, closed or open, and what the server's process tree uses."""

import asyncio
import contextlib
import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import uvloop

RECORD = {
    "quality": "M",
    "air_temperature": 298.1,
    "process_temperature": 308.6,
    "rotational_speed": 1551,
    "torque": 42.8,
    "tool_wear": 0,
}


class Client(asyncio.Protocol):
    """One connection that asks the same, and notes how long each answer took."""

    def __init__(self, load: "Load"):
        self.load, self.due, self.rest = load, 0.0, b""

    def connection_made(self, transport) -> None:
        """Begin."""
        self.transport = transport

    def ask(self, due: float) -> None:
        """Send a request that was due at a time."""
        self.due = due
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; when it is whole, note it."""
        whole = self.rest + data if self.rest else data
        head = whole.find(b"\r\n\r\n")
        if head < 0:
            self.rest = whole
            return
        at = whole.lower().find(b"content-length: ", 0, head)
        size = int(whole[at + 16 : whole.find(b"\r", at)])
        if len(whole) < head + 4 + size:
            self.rest = whole
            return
        self.rest = b""
        self.load.note(self, whole[9:12] == b"200")

    def connection_lost(self, _) -> None:
        """Count an end that was not asked for."""
        self.load.lost += time.perf_counter() < self.load.until


class Load:
    """What clients on one core ask of a server, closed by the number of connections or open by a rate."""

    def __init__(self, port: int, path: str, body: bytes, connections: int, lines: str):
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.request, self.port, self.count = head.encode() + body, port, connections
        self.good: list[float] = []
        self.bad: list[float] = []
        self.lost, self.rate, self.until = 0, 0.0, 0.0
        self.free: deque[Client] = deque()

    def note(self, client: Client, good: bool) -> None:
        """Note an answer; ask the next, or wait for when one is due."""
        now = time.perf_counter()
        (self.good if good else self.bad).append(now - client.due)
        if self.rate:
            self.free.append(client)
        elif now < self.until:
            client.ask(now)

    async def run(self, seconds: float, rate: float = 0.0) -> None:
        """Ask for so many seconds; with a rate, by that clock, whatever comes back."""
        loop = asyncio.get_running_loop()
        self.rate = rate
        made = [
            (await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port))[1]
            for _ in range(self.count)
        ]
        self.free.extend(made)
        begin = time.perf_counter()
        self.until, sent = begin + seconds, 0
        if rate == 0:
            for client in made:
                client.ask(begin)
            await asyncio.sleep(seconds)
        while rate and (now := time.perf_counter()) < self.until:
            while self.free and sent < (now - begin) * rate:
                self.free.popleft().ask(begin + sent / rate)
                sent += 1
            # The core is the client's own: it looks again at once.
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        for client in made:
            client.transport.abort()


def asked(
    port: int,
    path: str,
    seconds: float,
    connections: int = 8,
    rate: float = 0.0,
    body: object = RECORD,
    lines: str = "content-type: application/json",
) -> Load:
    """Load a server from core 1; a body that is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    load = Load(port, path, content, connections, lines)
    os.sched_setaffinity(0, {1 % os.cpu_count()})
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(seconds, rate))
    return load


def tree(pid: int) -> list[int]:
    """List a process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += tree(int(child))
    return found


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process tree has used."""
    ticks = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            facts = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(facts[11]) + int(facts[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return the megabytes of a process tree, what is shared divided among those who share it."""
    size = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    size += int(line.split()[1])
    return size / 1024


@contextlib.contextmanager
def running(command: list, environment: dict[str, str]):
    """Run a server on core 0; yields its process, its port, and when it was started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(word).replace("PORT+1", str(port + 1)).replace("PORT+2", str(port + 2)).replace("PORT", str(port))
        for word in command
    ]
    begin = time.perf_counter()
    server = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),
        start_new_session=True,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if server.poll() is not None or time.perf_counter() - begin > 60:
                    sys.exit(f"{' '.join(command)} does not start")
                time.sleep(0.005)
        yield server, port, begin
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def quantile(values: list[float], share: float) -> float:
    """Return a quantile in microseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e6


def first_answer(port: int, path: str, body: object) -> float:
    """Ask until there is a good answer; returns when that was."""
    until, said = time.perf_counter() + 60, b"nothing"
    while time.perf_counter() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            if answer.status == 200:
                return time.perf_counter()
            said = answer.read()
        time.sleep(0.005)
    sys.exit(f"{path} on port {port} answers with {said[:500].decode()}")
