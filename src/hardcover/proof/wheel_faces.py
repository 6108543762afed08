"""The faces of a wheel: installed with numpy, alone, and without its compiled kernel."""

import json

import numpy as np

from hardcover.proof.subject import Subject
from hardcover.release import isolated_env, wheel_file


def wheel(subject: Subject) -> dict:
    """Install the wheel and numpy, nothing else, into a fresh environment."""
    return _answer(subject, "numpy", f"numpy=={np.__version__}")


def wheel_without_numpy(subject: Subject) -> dict:
    """Install the wheel alone; each row is computed by itself."""
    return _answer(subject, "without numpy")


def wheel_without_kernel(subject: Subject) -> dict:
    """Install the wheel and what its features need; each row is computed by itself, the model evaluated in plain Python."""
    return _answer(subject, "without kernel", *wheel_file.requirements_of(subject.wheel))


def left_out(wheel: bytes) -> dict[str, str]:
    """Return the faces that a wheel does not have, each with why."""
    why = "its features use numpy"
    return {"wheel without numpy": why} if wheel_file.requirements_of(wheel) else {}


def _answer(subject: Subject, way: str, *requirements: str) -> dict:
    rows = {name: getattr(subject, name) for name in ("columns", "events", "texts", "inputs", "explained")}
    python = isolated_env.install(subject.wheel, subject.folder, *requirements)
    return isolated_env.answers(python, subject.wheel, json.dumps(rows), way, subject.folder)
