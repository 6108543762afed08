"""Score with an installed wheel, where only Python and numpy are installed: ``python check_wheel.py PACKAGE``.

Reads ``record.json``, ``columns.npz`` and ``inputs.npy`` from the working directory; prints the answers as JSON.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

FORBIDDEN = {"pandas", "lightgbm", "mlflow", "kedro", "sklearn", "pickle"}


def main(package: str) -> dict:
    """Return scores, reasons, the self-test's result, and which forbidden modules the wheel loaded."""
    # numpy imports pickle for its own files. A wheel whose features use numpy is not to blame for that.
    features = (
        Path(import_module("importlib.util").find_spec(package).origin).parent / "features.py"
    ).read_text()
    if "numpy" in features:
        import_module("numpy")
    before = set(sys.modules)
    model = import_module(package).model
    model.predict(json.loads(Path("record.json").read_text()), explain=model.explains)
    loaded = FORBIDDEN & (set(sys.modules) - before)
    import numpy as np

    columns, inputs = dict(np.load("columns.npz")), np.load("inputs.npy")
    before = set(sys.modules)
    rows, differences = model.selftest()
    scores, input_scores = model.predict_many(columns, validate=False), model.score_inputs(inputs)
    reasons = model.explain_inputs(inputs[:100]).tolist() if model.explains else []
    loaded |= FORBIDDEN & (set(sys.modules) - before)
    return {
        "scores": scores.tolist(),
        "input_scores": input_scores.tolist(),
        "reasons": reasons,
        "golden": rows,
        "differences": differences,
        "modules": sorted(loaded),
        "evaluator": type(model.evaluator).__name__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
