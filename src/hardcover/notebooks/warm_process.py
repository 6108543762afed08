"""The process that others are forked from: ``python -m hardcover.notebooks.warm_process``; hardcover.notebooks.forkserver asks it."""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import warnings
from typing import Any

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
    "papermill",
)
# In a process that was forked for a call.
is_warm = False


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
        requests, later = Requests(0), []
        for module in LATER_STAGES:
            while requests.ready():
                # An early kernel can do without; what is called uses everything.
                request = requests.read()
                if "module" in request:
                    later.append(request)
                else:
                    _fork(request, answers)
            importlib.import_module(module)
    for request in later:
        _fork(request, answers)
    answer(requests, answers)


def answer(requests: "Requests", answers: Any) -> None:
    """Fork for each request, and write each process's number, until requests end."""
    while request := requests.read():
        _fork(request, answers)


class Requests:
    """Requests, each a line of JSON, from a file descriptor, without losing to a buffer what ``select`` should see."""

    def __init__(self, descriptor: int):
        self.descriptor, self.rest = descriptor, b""

    def ready(self) -> bool:
        """Check whether reading would not wait."""
        return b"\n" in self.rest or bool(select.select([self.descriptor], [], [], 0)[0])

    def read(self) -> dict:
        """Return the next request; the process ends with the last."""
        while b"\n" not in self.rest:
            content = os.read(self.descriptor, 1 << 16)
            if not content:
                os._exit(0)
            self.rest += content
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)


def _fork(request: dict, answers: Any) -> None:
    parent = os.getpid()
    gc.freeze()
    pid = os.fork()
    if pid:
        answers.write(f"{pid}\n")
        answers.flush()
        return
    try:
        _end_with(parent)
        os.setsid()
        gc.enable()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What a kernel has to say goes into its notebook; a log of its end would only disturb the progress.
        nothing = os.open(os.devnull, os.O_RDWR)
        said = os.open(request["log"], os.O_WRONLY | os.O_CREAT) if "log" in request else nothing
        for descriptor, file in enumerate((nothing, said, said)):
            os.dup2(file, descriptor)
        answers.close()
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        if "module" in request:
            _call(request["module"], request["arguments"])
        else:
            _become_kernel(request["file"], parent)
    finally:
        os._exit(0)


def _end_with(parent: int) -> None:
    """Let the system end this process when its parent ends, even while it computes (Linux, prctl(2): PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)


def _become_kernel(connection_file: str, parent: int) -> None:
    from ipykernel.kernelapp import IPKernelApp

    # The poller ends the kernel when the warm process is gone, as that ends when ``hardcover run`` does.
    IPKernelApp.launch_instance(["-f", connection_file, f"--IPKernelApp.parent_handle={parent}"])


def _call(module: str, arguments: list[str]) -> None:
    global is_warm
    is_warm = True
    try:
        importlib.import_module(module).main(*arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    # Under its own name, by which forks find it.
    importlib.import_module("hardcover.notebooks.warm_process").serve()
