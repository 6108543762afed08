"""Use a wheel where nothing else is installed."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hardcover.errors import ReleaseError

# What runs in the environment, as a file beside this one.
_CHECK = "programs/check_wheel.py"


def score(wheel: bytes, name: str, columns: dict, record: dict, inputs: Any) -> dict:
    """Install a wheel with numpy and nothing else into a fresh environment, and score there.

    Parameters
    ----------
    wheel, name
        The wheel, and its file name.
    columns
        Raw columns, arrays of shape (rows,); categories as text.
    record
        One raw record, scored and explained alone before numpy is imported.
    inputs
        Rows of model inputs, shape (rows, inputs), float64.

    Returns
    -------
    dict
        ``scores``, ``input_scores`` and the ``reasons`` of the first 100 inputs; ``golden`` rows compared and their
        ``differences``; the forbidden ``modules`` that were loaded; the class of the ``evaluator``; and the versions of Python
        and numpy.

    Raises
    ------
    ReleaseError
        When the environment cannot be made or the wheel fails in it.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="hardcover-fresh-") as folder:
        python = install(wheel, name, Path(folder), f"numpy=={np.__version__}")
        np.savez(Path(folder) / "columns.npz", **columns)
        np.save(Path(folder) / "inputs.npy", inputs)
        (Path(folder) / "record.json").write_text(json.dumps(record), encoding="utf-8")
        program = str(Path(__file__).parent / _CHECK)
        command = [python, "-I", program, name.partition("-")[0]]
        answer = json.loads(call(command, "score with the wheel", folder))
    if answer["modules"]:
        raise ReleaseError(
            f"the wheel loads {answer['modules']}",
            name,
            "Keep them out of the features notebook; hardcover.runtime.functions has what features need.",
        )
    return answer


def install(wheel: bytes, name: str, folder: Path, *requirements: str) -> str:
    """Make an environment in ``folder`` with a wheel and just these requirements; gives its Python.

    Raises
    ------
    ReleaseError
        When the environment cannot be made.
    """
    from uv import find_uv_bin

    python = str(folder / "env" / "bin" / "python")
    (folder / name).write_bytes(wheel)
    call([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, "env"], "make an environment", folder)
    command = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--python",
        python,
        name,
        *requirements,
    ]
    try:
        # What was just installed lies in uv's cache; no network is needed.
        call([*command, "--offline"], "install the wheel", folder)
    except ReleaseError:
        call(command, "install the wheel", folder)
    return python


def call(command: list[str], purpose: str, folder: str | Path, **options: Any) -> str:
    """Run a command in a folder; gives what it printed.

    Raises
    ------
    ReleaseError
        When it fails, with its last lines.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise ReleaseError(
            f"cannot {purpose}: {last}", Path(command[0]).name, "Mend what the last line names."
        )
    return done.stdout
