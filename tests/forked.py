"""Commands in forks of a process that has imported the other libraries already: two thirds of a short command's time.

Every command still is a process of its own, with its own folder, environment, modules of Hardcover and of the project, and exit
code. What is imported before is only what neither edits; ``Place.start``, and commands with ``fresh=True``, start from nothing.
"""

import contextlib
import gc
import importlib
import inspect
import json
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = (
    "pandas",
    "pandera.pandas",
    "pyarrow.parquet",
    "matplotlib.pyplot",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.linear_model",
    "scipy.stats",
    "lightgbm",
    "shap",
    "mlflow",
    "mlflow.lightgbm",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "alembic.command",
    "mlflow.pyfunc",
    "kedro.io",
    "kedro.config",
    "kedro.pipeline.node",
    "click",
    "rich.console",
    "rich.traceback",
    "omegaconf",
    "kedro_datasets.pandas.parquet_dataset",
    "kedro_datasets.json.json_dataset",
    "kedro_datasets.matplotlib.matplotlib_dataset",
)


class Forks:
    """The process to fork from, started when first asked."""

    def __init__(self):
        self._server: subprocess.Popen | None = None
        self._address = ""

    def run(self, program: list[str], env: dict, cwd: Path, timeout: float) -> subprocess.CompletedProcess:
        """Run a Python program in a fork, as ``subprocess.run`` does with ``capture_output`` and ``text``."""
        if self._server is None:
            self._begin()
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as said,
        ):
            request = {"argv": program, "env": env, "cwd": str(cwd)}
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(self._address)
                files = [given.fileno(), out.fileno(), said.fileno()]
                text = json.dumps(request).encode()
                socket.send_fds(line, [len(text).to_bytes(8, "big")], files)
                line.sendall(text)
                pid = int.from_bytes(line.recv(8), "big")
                line.settimeout(timeout)
                try:
                    answer = line.recv(8)
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise
            assert answer, f"{program}: the process ended without a word"
            out.seek(0)
            said.seek(0)
            code = int.from_bytes(answer, "big", signed=True)
            return subprocess.CompletedProcess(program, code, out.read().decode(), said.read().decode())

    def _begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._address = f"{self._folder.name}/forks"
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "KEDRO_DISABLE_TELEMETRY": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=self._folder.name,
        )
        assert self._server.stdout.readline() == b"ready\n"

    def end(self) -> None:
        """Let the process end."""
        if self._server is not None:
            self._server.stdin.close()
            self._server.wait(30)
            self._server.stdout.close()
            self._folder.cleanup()


def serve(address: str) -> None:
    """Answer requests until standard input is closed."""
    for name in LIBRARIES:
        importlib.import_module(name)
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"hardcover", "casebook"}, "what tests edit may not be loaded before they do"
    # Kedro configures logging as the environment says when this is imported.
    assert "kedro.framework.project" not in sys.modules
    # Kedro's settings ask who called them, for which inspect looks once at each of the thousands of modules.
    inspect.stack()
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    # With the tests that asked, whatever still runs ends.
    watched = os.fork()
    if watched:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
        os.kill(watched, signal.SIGKILL)
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        line, _ = listener.accept()
        head, files, _, _ = socket.recv_fds(line, 8, 3)
        text = line.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        # The child of a child, so that the one in between waits for it and reports its code.
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pid = os.fork()
            if pid == 0:
                line.close()
                listener.close()
                _become(json.loads(text), files)
            line.sendall(pid.to_bytes(8, "big"))
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                line.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, "big", signed=True))
            os._exit(0)
        line.close()
        for file in files:
            os.close(file)


class Spare:
    """A fork that has nothing but the libraries either, and waits to become the process that a run's kernels are forked from."""

    COMMAND = ("-m", "hardcover.notebooks.warm_process")

    def __init__(self):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid:
            theirs.close()
            self._line = ours
            return
        ours.close()
        text, files, _, _ = socket.recv_fds(theirs, 1 << 20, 2)
        if not text:
            os._exit(0)
        try:
            os.setsid()
            for target, file in enumerate(files):
                os.dup2(file, target)
                os.close(file)
            os.environ.clear()
            os.environ.update(json.loads(text))
            # Known when it is imported, which it was.
            importlib.import_module("matplotlib").rcParams["backend"] = os.environ["MPLBACKEND"]
            importlib.import_module("hardcover.notebooks.warm_process").serve()
        finally:
            os._exit(1)

    def start(self, environment: dict[str, str]):
        """Begin; returns what stands for the process where it is asked for."""
        reading, asking = os.pipe()
        answering, writing = os.pipe()
        socket.send_fds(self._line, [json.dumps(environment).encode()], [reading, writing])
        for file in (reading, writing):
            os.close(file)
        self._line.close()
        # Who asks has imported it, from wherever the project is.
        return sys.modules["hardcover.notebooks.forkserver"].ForkedServer(self.pid, asking, answering)


def _with_warm(spare: Spare) -> type:
    """Return what starts processes, the warm one by a spare fork; the libraries that it would import first are three seconds of a run."""
    left = [spare]

    class Popen(subprocess.Popen):
        def __new__(cls, args, *others, **options):
            if left and isinstance(args, list) and tuple(args[1:]) == Spare.COMMAND:
                return left.pop().start(options["env"])
            return super().__new__(cls)

    return Popen


def _become(request: dict, files: list[int]) -> None:
    """Run the program of a request with its files, folder and environment, and exit as it would."""
    code = 1
    try:
        os.setpgid(0, 0)
        for target, file in enumerate(files):
            os.dup2(file, target)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = request["argv"]
        given = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        others = (place for place in sys.path[1:] if place not in given)
        sys.path[:] = [str(Path(sys.argv[0]).parent), *given, *others]
        random.seed()
        importlib.import_module("numpy").random.seed()
        subprocess.Popen = _with_warm(Spare())
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        code = _ended(code)
        os._exit(code)


def _ended(code: int) -> int:
    """Do what an interpreter does at its end: wait for threads, call what was registered, write what is buffered."""
    import atexit
    import threading

    with contextlib.suppress(BaseException):
        threading._shutdown()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
