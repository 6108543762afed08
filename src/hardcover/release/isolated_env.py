"""Install and run a wheel in an isolated environment, and ask it for answers there."""

import json
import sys
from pathlib import Path

from hardcover import processes
from hardcover.errors import ReleaseError
from hardcover.release import wheel_file

# What runs in the environment, as a file beside this one.
PROGRAM = "in_wheel.py"
# Relative to the largest contribution, for values rounded in another order.
RELATIVE_TOLERANCE = 1e-10


def install(wheel: bytes, folder: Path, *requirements: str) -> str:
    """Make an environment in ``folder`` with a wheel and just these requirements; returns its Python.

    Raises
    ------
    ReleaseError
        When the environment cannot be made.
    """
    # Only who installs needs it, and finding its program takes a while.
    from uv import find_uv_bin

    uv, python, name = find_uv_bin(), str(folder / "env" / "bin" / "python"), wheel_file.file_name(wheel)
    (folder / name).write_bytes(wheel)
    command = [uv, "venv", "--quiet", "--python", sys.executable, "env"]
    processes.call(command, "make an environment", ReleaseError, folder)
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, name, *requirements]
    try:
        # What was just installed lies in uv's cache; no network is needed.
        processes.call([*command, "--offline"], "install the wheel", ReleaseError, folder)
    except ReleaseError:
        processes.call(command, "install the wheel", ReleaseError, folder)
    return python


def answers(python: str, wheel: bytes, rows: str, way: str, folder: Path) -> dict:
    """Let an installed wheel answer rows.

    Parameters
    ----------
    python, wheel
        The environment's Python, and the wheel that is installed there.
    rows
        JSON: ``columns``, raw rows as lists by field; ``texts``, the fields that are text; ``inputs``, rows of model inputs; and
        ``explained``, which of all rows, raw ones first, are explained.
    way
        ``numpy``: all rows at once; ``without numpy``: one by one; ``without kernel``: one by one, the model in plain Python.
    folder
        For the files that go in and out.

    Returns
    -------
    dict
        ``features`` by name, ``raw``, ``score``, ``label`` and ``contributions``; ``golden`` rows that the self-test compared and
        their ``differences``; the class of the ``evaluator``; the versions of ``python`` and ``numpy``.

    Raises
    ------
    ReleaseError
        When the wheel fails, or loads a module that a service should not need.
    """
    (folder / "rows.json").write_text(rows, encoding="utf-8")
    command = [python, "-I", str(Path(__file__).parent / PROGRAM), wheel_file.package_of(wheel), way]
    processes.call(command, f"score with the wheel ({way})", ReleaseError, folder)
    found = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    if found["modules"]:
        fix = "Keep them out of the features notebook; hardcover.runtime.functions has what features need."
        raise ReleaseError(f"the wheel loads {found['modules']}", wheel_file.file_name(wheel), fix)
    return found
