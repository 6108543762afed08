"""The supervisor: owns the sockets, keeps workers alive, checks new releases in a process of their own, and lets workers take them over.

A single thread without an event loop, so that forking is safe; workers share what it loaded.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from hardcover.errors import HardcoverError
from hardcover.serving import histories, sources, worker
from hardcover.serving.app import counters_of
from hardcover.serving.release import Served

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
# Seconds between two looks at the pointers of releases.
WATCH = 1.0


class _Child(NamedTuple):
    pid: int
    control: socket.socket
    began: float


def listen(host: str, port: int, workers: int) -> list[socket.socket]:
    """Return a listening socket for each worker, all of one port; the kernel deals connections out (``SO_REUSEPORT``, socket(7)).

    Raises
    ------
    HardcoverError
        When the port is taken, or the address is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            # Without SO_REUSEPORT, so that another server on the same port is noticed.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            port = alone.getsockname()[1]
        found = []
        for _ in range(workers):
            each = socket.socket(family, socket.SOCK_STREAM)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind((host, port))
            each.listen(4096)
            found.append(each)
        return found
    except OSError as error:
        fix = "Give another --port or --host; 0 takes any port that is free."
        raise HardcoverError(f"cannot listen: {error.strerror or error}", f"{host}:{port}", fix) from error


class Supervisor:
    """Serves until it is told to stop.

    Parameters
    ----------
    named
        What to serve.
    host, port, workers
        Where, and by how many processes.
    settings
        How.
    say
        Called with an event's name and facts.

    Raises
    ------
    HardcoverError
        When a wheel is missing or damaged, the port is taken, or histories cannot be kept as asked.
    """

    def __init__(
        self,
        named: Sequence[sources.Source],
        host: str,
        port: int,
        workers: int,
        settings: worker.Settings,
        say: Callable[..., None],
    ):
        self.sources, self.settings, self.say = list(named), settings, say
        self.folder = Path(tempfile.mkdtemp(prefix="hardcover-serving-"))
        try:
            self.wheels = sources.copied(self.sources, self.folder)
            self.served = self._opened(self.wheels)
            for each in self.served:
                for release in each.roles.values():
                    release.check()
            histories.check(settings.histories, [each.champion for each in self.served], workers)
            self.sockets = listen(host, port, workers)
        except BaseException:
            self.close()
            raise
        self.address = f"{host}:{self.sockets[0].getsockname()[1]}"
        self.counters = counters_of(self.served, workers, self.folder)
        self.children: dict[int, _Child] = {}
        self._next = [(0.0, 0.0)] * workers
        self._stamps = [source.stamp() for source in self.sources]
        self._table_stamps, self._tables = list[object](), dict[str, dict]()
        self._look_at_tables()

    def close(self) -> None:
        """Remove what was unpacked."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> None:
        """Keep workers until SIGTERM or SIGINT, then let them answer what came, and end them.

        Raises
        ------
        HardcoverError
            When the first workers cannot start.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for place in range(len(self.sockets)):
                self._start(place)
            going = self._await_ready()
            if going:
                self.say("serving", address=self.address, workers=len(self.sockets), models=self._models())
            while going:
                found = signal.sigtimedwait(SIGNALS, WATCH)
                number = found.si_signo if found else None
                if number in (signal.SIGTERM, signal.SIGINT):
                    break
                self._restart_dead()
                self._look(number == signal.SIGHUP)
            self._stop()
        finally:
            for each in self.children.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self.close()

    def _await_ready(self) -> bool:
        """Wait until all workers answer; False where it is to stop before.

        Raises
        ------
        HardcoverError
            When one ends instead: those that are started for it would, too.
        """
        while self.counters.total("ready") < len(self.children):
            found = signal.sigtimedwait(SIGNALS, 0.01)
            if found and found.si_signo in (signal.SIGTERM, signal.SIGINT):
                return False
            for place, each in list(self.children.items()):
                if os.waitpid(each.pid, os.WNOHANG)[0]:
                    del self.children[place]
                    raise HardcoverError(
                        "a worker cannot start", "it said why above", "Mend that, and serve again."
                    )
        return True

    def _models(self) -> dict[str, str]:
        return {each.champion.name: each.champion.version for each in self.served}

    def _opened(self, wheels: dict[str, str]) -> list[Served]:
        found = worker.served_of(wheels, self.folder, self.settings)
        champions = {each.champion.name for each in found}
        for role in wheels:
            if role.partition(" ")[2] not in champions:
                raise HardcoverError(
                    f"the {role} has no champion", "--challenger", "Serve the champion of its case, too."
                )
        return found

    def _start(self, place: int) -> None:
        mine, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_worker(place, mine, theirs)
        theirs.close()
        self.children[place] = _Child(pid, mine, time.monotonic())

    def _become_worker(self, place: int, mine: socket.socket, control: socket.socket) -> NoReturn:
        code = 1
        try:
            mine.close()
            for each in self.children.values():
                each.control.close()
            for other in self.sockets[:place] + self.sockets[place + 1 :]:
                other.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self.counters.take(place)
            worker.run(self.sockets[place], control, self.served, self.counters, self.folder, self.settings)
            code = 0
        except BaseException as error:
            sys.stderr.write(f"error: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _restart_dead(self) -> None:
        now = time.monotonic()
        for place, each in list(self.children.items()):
            pid, status = os.waitpid(each.pid, os.WNOHANG)
            if pid:
                each.control.close()
                del self.children[place]
                # One that dies at once would die again: wait a little longer each time.
                wait = 0.0 if now - each.began > 5 else min(self._next[place][1] * 2 + 0.1, 10.0)
                self._next[place] = (now + wait, wait)
                self.say("worker died", worker=place, status=os.waitstatus_to_exitcode(status))
        for place, (when, _) in enumerate(self._next):
            if place not in self.children and when <= now:
                self._start(place)

    def _look(self, asked: bool) -> None:
        """Let workers take over what the pointers name now, if that changed and is sound."""
        self._look_at_tables()
        stamps = [source.stamp() for source in self.sources]
        if stamps == self._stamps and not asked:
            return
        self._stamps = stamps
        try:
            wheels = sources.checked(self.sources, self.folder)
            if wheels == self.wheels:
                return
            served = self._opened(wheels)
        except HardcoverError as error:
            self.say("release refused", why=str(error), serving=self._models())
            return
        children, message = list(self.children.values()), {"swap": wheels, "tables": self._tables}
        told = [self._tell(each, message) for each in children]
        wrong = [each["error"] for each in told if "error" in each]
        if wrong:
            self.say("release refused", why=wrong[0], serving=self._models())
            for each in list(self.children.values()):
                self._tell(each, {"swap": self.wheels, "tables": self._tables})
            return
        self.wheels, self.served = wheels, served
        worker.adapt(served, self._tables)
        for each, answer in zip(children, told, strict=True):
            # One that does not answer is replaced, by one that has the new release.
            if not answer:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
        self.say("release took over", models=self._models())

    def _look_at_tables(self) -> None:
        """Let all say how sure answers are by newer tables, if there are some, and they are sound."""
        stamps = [source.stamp_of_tables() for source in self.sources]
        if stamps == self._table_stamps:
            return
        self._table_stamps = stamps
        try:
            found = sources.tables(self.sources)
            worker.adapt(self.served, found)
        except HardcoverError as error:
            self.say("tables refused", why=str(error), serving=self._models())
            worker.adapt(self.served, self._tables)
            return
        self._tables = found
        if [self._tell(each, {"adapt": found}) for each in list(self.children.values())]:
            self.say("tables took over", tables={name: each["version"] for name, each in found.items()})

    def _tell(self, child: _Child, message: dict) -> dict:
        """Send a worker a message and return its answer; one that died meanwhile starts with what is served then."""
        try:
            child.control.settimeout(30)
            child.control.sendall(json.dumps(message).encode() + b"\n")
            with child.control.makefile("rb") as lines:
                line = lines.readline()
            return json.loads(line) if line else {}
        except OSError:
            return {}

    def _stop(self) -> None:
        self.say("draining", grace=self.settings.grace)
        # Each worker closes its own, the last copy, when it has taken the connections that wait there.
        for listener in self.sockets:
            listener.close()
        for each in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGTERM)
        until = time.monotonic() + self.settings.delay + self.settings.grace + 2
        while self.children and time.monotonic() < until:
            for place, each in list(self.children.items()):
                if os.waitpid(each.pid, os.WNOHANG)[0]:
                    del self.children[place]
            found = signal.sigtimedwait(SIGNALS, 0.1) if self.children else None
            if found and found.si_signo in (signal.SIGTERM, signal.SIGINT):
                break
        self.say("stopped", killed=len(self.children))
