"""Processes that start warm: forked from one that has imported what notebooks import.

A notebook's kernel spends most of a short stage importing pandas, Kedro, MLflow, LightGBM and SHAP. ``warm_process`` imports them
once and forks a kernel, or calls a module in a fork, for each request; each still is a process of its own, with its own variables,
working directory and modules of the project.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from hardcover import settings
from hardcover.notebooks import warm_process

PROVISIONER = "hardcover-warm"
PROVISIONER_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"


class WarmProvisioner(LocalProvisioner):
    """Ask the warm process for a kernel; jupyter_client does the rest as for any local kernel."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Fork a kernel that listens where the connection file says."""
        environment = {name: str(value) for name, value in (kwargs.get("env") or os.environ).items()}
        connection_file = cmd[cmd.index("-f") + 1]
        request = {"file": connection_file, "env": environment, "cwd": str(kwargs.get("cwd") or Path.cwd())}
        self.process = _Forked(_ask(request))
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Forked:
    """As much of ``subprocess.Popen`` as a provisioner uses, for a process that is no child of ours."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int):
        self.pid = pid

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self) -> int:
        return 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    terminate = kill


class ForkedServer:
    """As much of ``subprocess.Popen`` as is used of the warm process, where that is a fork.

    Parameters
    ----------
    pid
        A child of ours.
    asking, answering
        The ends of pipes to its standard input and from its standard output.
    """

    def __init__(self, pid: int, asking: int, answering: int):
        self.pid = pid
        self.stdin = os.fdopen(asking, "w", encoding="utf-8")
        self.stdout = os.fdopen(answering, encoding="utf-8")

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def communicate(self) -> None:
        """Close the pipes and wait for its end."""
        self.stdin.close()
        self.stdout.close()
        self.wait()


def _fork_server() -> ForkedServer:
    """Fork this process, which is warm itself."""
    requests, asking = os.pipe()
    answering, answers = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            os.close(asking)
            os.close(answering)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            warm_process.answer(warm_process.Requests(requests), os.fdopen(answers, "w", encoding="utf-8"))
        finally:
            os._exit(1)
    os.close(requests)
    os.close(answers)
    return ForkedServer(pid, asking, answering)


def _start_server() -> subprocess.Popen | ForkedServer:
    if warm_process.is_warm:
        return _fork_server()
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    environment = {**os.environ, **settings.kedro_environment(), **inline}
    return subprocess.Popen(
        [sys.executable, "-m", "hardcover.notebooks.warm_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        # Ctrl-C is for us; we end our kernels ourselves.
        start_new_session=True,
    )


_server: subprocess.Popen | ForkedServer | None = None
_asking = threading.Lock()
_before: str | None = None
_depth = 0
_called: set[int] = set()


@contextmanager
def scope() -> Iterator[None]:
    """Keep the warm process, once one was started, until the end of the outermost such block, or of any that fails."""
    global _depth
    _depth += 1
    try:
        yield
    except BaseException:
        # Threads that wait for a kernel or a call would go on waiting.
        _stop()
        raise
    finally:
        _depth -= 1
        if not _depth:
            _stop()


@contextmanager
def warm() -> Iterator[None]:
    """Start the warm process unless there is one, and let kernels and calls come from it until the end of the block."""
    global _server, _before
    with scope():
        if _server is None:
            _server = _start_server()
            _before = os.environ.get(PROVISIONER_VARIABLE)
            os.environ[PROVISIONER_VARIABLE] = PROVISIONER
        yield


def _stop() -> None:
    global _server
    if _server is None:
        return
    os.environ.pop(PROVISIONER_VARIABLE)
    if _before is not None:
        os.environ[PROVISIONER_VARIABLE] = _before
    _server.kill()
    _server.communicate()
    _server = None
    for pid in list(_called):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def call(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    log: Path,
    hear: Callable[[str], None] | None = None,
) -> None:
    """Call ``main`` of a module in a process of its own, and wait for its end.

    Parameters
    ----------
    module, arguments
        ``main`` of the module gets the arguments.
    environment, folder
        Of the process.
    log
        Where what it prints goes, and the traceback of what it raises.
    hear
        Called with each line of it, as it comes.
    """
    asked = {"module": module, "arguments": arguments, "log": str(log)}
    log.touch()
    process = _Forked(_ask({**asked, "env": environment, "cwd": str(folder)}))
    _called.add(process.pid)
    rest = ""
    try:
        with log.open(encoding="utf-8", errors="replace") as said:
            at_work = True
            while at_work:
                at_work = process.poll() is None
                if hear:
                    *lines, rest = (rest + said.read()).split("\n")
                    for line in lines:
                        hear(line)
                time.sleep(0.01)
    finally:
        _called.discard(process.pid)


def interrupt() -> None:
    """Tell what is called to stop, as Ctrl-C would."""
    for pid in list(_called):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)


def is_cold() -> bool:
    """Check whether no warm process is there."""
    return _server is None


def _ask(request: dict) -> int:
    if _server is None:
        raise RuntimeError("kernels and calls come from the warm process only inside warm()")
    with _asking:
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
    if not answer:
        raise RuntimeError(f"the warm process ended with code {_server.wait()}")
    return int(answer)
