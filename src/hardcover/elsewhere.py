"""Use a wheel where nothing else is installed."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hardcover.errors import ReleaseError

_SCORE = """
import json, sys
forbidden = {{"pandas", "lightgbm", "mlflow", "kedro", "sklearn", "pickle"}}
from {package} import model
model.predict(json.load(open("record.json")), explain=model.explains)
loaded = forbidden & set(sys.modules)
import numpy
columns = dict(numpy.load("columns.npz"))
inputs = numpy.load("inputs.npy")
# numpy imports pickle for its own files; what comes after is ours.
before = set(sys.modules)
rows, differences = model.selftest()
scores = model.predict_many(columns, validate=False)
input_scores = model.score_inputs(inputs)
reasons = model.explain_inputs(inputs[:100]) if model.explains else numpy.zeros((0, 0))
loaded |= forbidden & (set(sys.modules) - before)
print(json.dumps({{"scores": scores.tolist(), "input_scores": input_scores.tolist(), "reasons": reasons.tolist(),
                   "golden": rows, "differences": differences, "modules": sorted(loaded),
                   "evaluator": type(model.evaluator).__name__,
                   "python": sys.version.split()[0], "numpy": numpy.__version__}}))
"""


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
        script = _SCORE.format(package=name.partition("-")[0])
        answer = json.loads(call([python, "-I", "-c", script], "score with the wheel", folder))
    if answer["modules"]:
        raise ReleaseError(
            f"the wheel loads {answer['modules']}",
            name,
            "Keep them out of the features notebook.",
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
        raise ReleaseError(f"cannot {purpose}: {last}", " ".join(command[:4]), "See the lines above.")
    return done.stdout
