"""One worker: an event loop that answers until it is told to stop, and takes over other releases in between."""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hardcover.errors import HardcoverError
from hardcover.serving import histories
from hardcover.serving.app import App
from hardcover.serving.carrier import Carrier, Limits
from hardcover.serving.counters import Counters
from hardcover.serving.http import Connection
from hardcover.serving.prediction_log import INTERVAL, Policy, PredictionLog
from hardcover.serving.release import Release, Served
from hardcover.serving.spans import Spans

# Seconds for handshakes that have begun.
HANDSHAKE = 0.05
_SO_ATTACH_FILTER = 26
# Load byte 13; where it has bit 2, return 0, else everything.
_DROP_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class Settings(NamedTuple):
    """How workers serve: what `carrier.Carrier` and `release.Served` take, where histories are, how long a drain lasts, and of which share of the
    requests there are spans; None: of none, whatever clients say."""

    histories: str | None = None
    keep_all: bool = False
    share: float = 0.0
    by: str | None = None
    limits: Limits = Limits()
    delay: float = 0.0
    grace: float = 10.0
    log: Policy | None = None
    span_share: float | None = None


def served_of(wheels: dict[str, str], folder: Path, settings: Settings) -> list[Served]:
    """Open wheels by role and name, ``{"champion fraud": path}``, and put champions and challengers together."""
    opened = {role: Release(Path(path), folder) for role, path in wheels.items()}
    found = []
    for role, release in opened.items():
        kind, _, name = role.partition(" ")
        if kind == "champion":
            found.append(Served(release, opened.get(f"challenger {name}"), settings.share, settings.by))
    return found


def adapt(served: Iterable[Served], tables: dict[str, dict]) -> None:
    """Let releases say how sure answers are by newer tables, by case, where these are of their wheels."""
    for each in served:
        for release in each.roles.values():
            release.adapt(tables.get(release.name))


def run(
    listener: socket.socket,
    control: socket.socket,
    served: list[Served],
    counters: Counters,
    folder: Path,
    settings: Settings,
) -> None:
    """Serve until SIGTERM, SIGINT, or the end of the supervisor: the whole of a worker's process.

    Parameters
    ----------
    listener
        Listens already; the supervisor keeps it open when this worker dies.
    control
        Lines of JSON from the supervisor: ``{"swap": wheels, "tables": tables}`` or ``{"adapt": tables}``; each is answered with a line, ``{"swapped": true}`` or ``{"error": …}``.
    served, counters, folder, settings
        What to answer with, this worker's row taken already; where wheels are unpacked; and how.
    """
    import uvloop

    # What was loaded before the fork stays shared only as long as it is not written to.
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Worker(listener, control, served, counters, folder, settings).serve())


class _Worker:
    def __init__(self, listener: socket.socket, control: socket.socket, *facts: Any):
        self.listener, self.control = listener, control
        self.served, self.counters, self.folder, self.settings = facts

    async def serve(self) -> None:
        loop, settings = asyncio.get_running_loop(), self.settings
        for each in self.served:
            histories.attach(each.champion, settings.histories, settings.keep_all)
        self.app = App(self.served, self.counters)
        if settings.log:
            self.app.log = PredictionLog(settings.log, self.counters)
        self.carrier = carrier = Carrier(self.app, settings.limits)
        if settings.span_share is not None:
            carrier.spans = Spans(settings.span_share)
        stop = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop.set)
        # The loop closes what it is given; the listener itself must stay usable for the last ones that wait.
        server = await loop.create_server(lambda: Connection(carrier), sock=self.listener.dup(), backlog=4096)
        ended = asyncio.Event()
        writer = asyncio.create_task(self._log(carrier, ended)) if settings.log else None
        self.control.setblocking(False)
        told = asyncio.create_task(self._listen(stop))
        self.counters.add("ready")
        await stop.wait()
        self.counters.add("ready", -1)
        self.app.ready = False
        carrier.tell()
        await asyncio.sleep(settings.delay)
        # The door first: a client that is told to come again on another connection finds it closed, not a queue that no worker serves.
        server.close()
        _turn_away(self.listener)
        await asyncio.sleep(HANDSHAKE)
        await self._accept_the_last(carrier)
        self.listener.close()
        await carrier.drain(settings.grace)
        told.cancel()
        if carrier.spans:
            await loop.run_in_executor(None, carrier.spans.close)
        if writer:
            ended.set()
            carrier.has_held.set()
            await writer

    async def _log(self, carrier: Carrier, ended: asyncio.Event) -> None:
        """Write the log some times a second, in a thread: a disk that is slow holds up no answer. Close it at the end.

        Where answers are held for it, it is written at once, for all that came during the write before.
        """
        loop, log = asyncio.get_running_loop(), self.app.log
        assert log
        woken = carrier.has_held if log.policy.durable else ended
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), INTERVAL)
            held = carrier.take_held()
            is_written = await loop.run_in_executor(None, log.write, log.lines())
            carrier.let_go(held, is_written)
        log.close()

    async def _accept_the_last(self, carrier: Carrier) -> None:
        """Take the connections that were made before the door closed."""
        loop = asyncio.get_running_loop()
        self.listener.setblocking(False)
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            await loop.connect_accepted_socket(lambda: Connection(carrier), connection)

    async def _listen(self, stop: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection(sock=self.control)
        while line := await reader.readline():
            try:
                asked = json.loads(line)
                if "adapt" in asked:
                    adapt(self.app.served.values(), asked["adapt"])
                else:
                    self._swap(asked["swap"], asked["tables"])
                    self.carrier.tell()
                answer: dict[str, Any] = {"swapped": True}
            except Exception as error:
                answer = {"error": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
        # The supervisor is gone.
        stop.set()
        writer.close()

    def _swap(self, wheels: dict[str, str], tables: dict[str, dict]) -> None:
        new = served_of(wheels, self.folder, self.settings)
        adapt(new, tables)
        for each in new:
            before = self.app.served.get(each.champion.name)
            if before is None or before.champion.digest != each.champion.digest:
                _hand_over(before.champion if before else None, each.champion, self.settings)
        self.app.take(new)
        self.counters.add("swaps")


def _turn_away(listener: socket.socket) -> None:
    """Let the kernel drop who knocks from now on, so that no connection is made between the last that is taken and the end of the socket.

    A client that knocks again, a second later, finds the door closed. The filter (socket(7), SO_ATTACH_FILTER) looks at the flags of the TCP
    header, byte 13, and drops SYN; handshakes that have begun end.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in _DROP_SYN))
    with contextlib.suppress(OSError):
        facts = struct.pack("@HP", len(_DROP_SYN), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, facts)


def _hand_over(old: Release | None, new: Release, settings: Settings) -> None:
    """Hand a release the events that the one before it kept.

    Raises
    ------
    HardcoverError
        When it looks at other windows, which cannot be computed from what was kept.
    """
    if not new.has_windows:
        return
    histories.attach(new, settings.histories, settings.keep_all)
    if settings.histories is None and old is not None and old.has_windows:
        number, path = tempfile.mkstemp(prefix="hardcover-histories-")
        os.close(number)
        try:
            old.model.histories.save(path)
            new.model.histories.restore(path)
        except Exception as error:
            fix = "Start the service anew with it, or keep events in a store by --histories."
            raise HardcoverError(
                f"{new.version} cannot take over the events in memory: {error}", new.name, fix
            ) from error
        finally:
            Path(path).unlink(missing_ok=True)
