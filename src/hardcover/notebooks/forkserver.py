"""Kernels that start warm: forked from a process that has imported what notebooks import.

A notebook's kernel spends most of a short stage importing pandas, Kedro, MLflow, LightGBM and SHAP. ``python -m
hardcover.notebooks.forkserver`` imports them once and forks a kernel for each request that it reads; every kernel still is a
process of its own, with its own variables and working directory.
"""

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from hardcover import settings

# What every kernel needs, and what only later stages do; requests are served between the latter.
EVERY_STAGE = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "hardcover.project.case",
    "pandas",
    "pandera.pandas",
    "pyarrow.parquet",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "kedro_datasets.pandas.parquet_dataset",
    "kedro_datasets.json.json_dataset",
    "kedro_datasets.matplotlib.matplotlib_dataset",
    "kedro_mlflow.framework.hooks",
    "matplotlib.pyplot",
    "sklearn.model_selection",
    "hardcover.tasks.binary",
    "hardcover.ingest.data",
)
LATER_STAGES = (
    "lightgbm",
    "hardcover.modelling.train",
    "mlflow.lightgbm",
    "shap",
    "hardcover.release.stage",
)
PROVISIONER = "hardcover-warm"


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


_server: subprocess.Popen | None = None
_asking = threading.Lock()


@contextmanager
def warm() -> Iterator[None]:
    """Start the warm process, and let kernels come from it until the end of the block."""
    global _server
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    _server = subprocess.Popen(
        [sys.executable, "-m", "hardcover.notebooks.forkserver"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        # Ctrl-C is for us; we end our kernels ourselves.
        start_new_session=True,
    )
    before = os.environ.get("JUPYTER_DEFAULT_PROVISIONER_NAME")
    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = PROVISIONER
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("JUPYTER_DEFAULT_PROVISIONER_NAME")
        else:
            os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = before
        _server.kill()
        _server.communicate()
        _server = None


def is_cold() -> bool:
    """Check whether no warm process is there."""
    return _server is None


def _ask(request: dict) -> int:
    if _server is None:
        raise RuntimeError("kernels come from the warm process only inside warm()")
    with _asking:
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
    if not answer:
        raise RuntimeError(f"the warm process ended with code {_server.wait()}")
    return int(answer)


def serve() -> None:
    """Import what notebooks need, fork a kernel for each line of standard input, end with it."""
    # Forked kernels are not waited for; the system buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What an import prints must not be taken for an answer.
    os.dup2(2, 1)
    from kedro.framework.startup import bootstrap_project

    # Collecting garbage would touch, and so copy, the memory pages that forked kernels share.
    gc.disable()
    # What imports have to say is said again in no kernel.
    with warnings.catch_warnings(record=True):
        for module in EVERY_STAGE:
            importlib.import_module(module)
        # The project's settings, and what Kedro makes of them.
        bootstrap_project(settings.project_root())
        requests = _Lines(0)
        for module in LATER_STAGES:
            while requests.ready():
                _fork(requests.read(), answers)
            importlib.import_module(module)
    while request := requests.read():
        _fork(request, answers)


class _Lines:
    """Lines from a file descriptor, without losing to a buffer what ``select`` should see."""

    def __init__(self, descriptor: int):
        self.descriptor, self.rest = descriptor, b""

    def ready(self) -> bool:
        return b"\n" in self.rest or bool(select.select([self.descriptor], [], [], 0)[0])

    def read(self) -> bytes:
        while b"\n" not in self.rest:
            content = os.read(self.descriptor, 1 << 16)
            if not content:
                os._exit(0)
            self.rest += content
        line, _, self.rest = self.rest.partition(b"\n")
        return line


def _fork(line: bytes, answers: Any) -> None:
    request, parent = json.loads(line), os.getpid()
    gc.freeze()
    pid = os.fork()
    if pid:
        answers.write(f"{pid}\n")
        answers.flush()
        return
    code = 1
    try:
        os.setsid()
        gc.enable()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What a kernel has to say goes into its notebook; a log of its end would only disturb the progress.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        answers.close()
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        from ipykernel.kernelapp import IPKernelApp

        # The poller ends the kernel when the warm process is gone, as that ends when ``hardcover run`` does.
        IPKernelApp.launch_instance(["-f", request["file"], f"--IPKernelApp.parent_handle={parent}"])
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
