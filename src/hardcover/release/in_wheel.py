"""Answer rows with an installed wheel: ``python in_wheel.py PACKAGE WAY``.

``WAY`` is ``numpy``, all rows at once; ``without numpy``, row by row; or ``without kernel``, row by row with the model in plain
Python. Reads ``rows.json`` from the working directory and writes ``answers.json``. Needs nothing but the wheel.
"""

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

FORBIDDEN = {"pandas", "lightgbm", "mlflow", "kedro", "sklearn", "pickle"}


def main(package: str, way: str) -> None:
    """Answer all rows: features, raw scores, scores, labels and contributions; and run the self-test."""
    # numpy imports pickle for its own files. A wheel whose features use numpy is not to blame for that.
    features = (Path(find_spec(package).origin).parent / "features.py").read_text()
    if "numpy" in features:
        import_module("numpy")
    before = set(sys.modules)
    released = import_module(package)
    model = released.model
    if way == "without kernel":
        model = released.Model(model._folder, released.features, plain=True)
    rows = json.loads(Path("rows.json").read_text())
    record = {name: column[0] for name, column in rows["columns"].items()}
    model.predict(record, explain=model.explains, validate=False)
    loaded = FORBIDDEN & (set(sys.modules) - before)
    if way == "numpy":
        import_module("numpy")
    before = set(sys.modules)
    golden, differences = model.selftest()
    answer = together if way == "numpy" else one_by_one
    table, raw, score, contributions = answer(model, rows, way)
    loaded |= FORBIDDEN & (set(sys.modules) - before)
    if way == "without numpy":
        assert "numpy" not in sys.modules
    classes, numpy = model.decision.classes, sys.modules.get("numpy")
    labels = model.decision.codes(score)
    answers = {
        "features": dict(zip(model.inputs, table, strict=True)),
        "raw": by_output(raw, classes),
        "score": by_output(score, classes),
        "label": {"label": labels} if labels else {},
        "contributions": contributions,
        "golden": golden,
        "differences": differences,
        "modules": sorted(loaded),
        "evaluator": type(model.evaluator).__name__,
        "python": sys.version.split()[0],
        "numpy": numpy and numpy.__version__,
    }
    Path("answers.json").write_text(json.dumps(answers))


def by_output(rows: list, classes: list) -> dict:
    """Return a list for each output: of one ``score``, of several by class."""
    return dict(zip(classes or ["score"], map(list, zip(*rows, strict=True)), strict=True))


def together(model, rows: dict, _: str) -> tuple:
    """Answer with arrays."""
    import numpy as np

    arrays = {
        name: np.array(column)
        if name in rows["texts"]
        else np.array([np.nan if value is None else value for value in column])
        for name, column in rows["columns"].items()
    }
    table = model.inputs_of(arrays, validate=False)
    others = np.array(rows["inputs"], dtype=np.float64).reshape(-1, table.shape[1])
    inputs = np.concatenate([table, others])
    contributions = []
    if model.explains:
        explained = model.explain_inputs(inputs[rows["explained"]])
        contributions = explained.reshape(len(explained), -1).tolist()
    raw, score = (model.score_inputs(inputs, raw=way).reshape(len(inputs), -1) for way in (True, False))
    return table.T.tolist(), raw.tolist(), score.tolist(), contributions


def one_by_one(model, rows: dict, way: str) -> tuple:
    """Answer as ``predict`` does: the code made at release where it is sure, else what works for any schema."""
    table = []
    for row in zip(*rows["columns"].values(), strict=True):
        record = dict(zip(rows["columns"], row, strict=True))
        inputs = None if way == "without kernel" else model._row_of(record)
        table.append(memoryview(inputs or model._row(record, False)).cast("d").tolist())
    every = [*table, *rows["inputs"]]
    raw = [model.evaluator.raw(row) for row in every]
    if way == "without kernel":
        score = [model.evaluator.convert(values) for values in raw]
    else:
        score = [model.evaluator.predict(row) for row in every]
    explained = rows["explained"] if model.explains else []
    contributions = [model._explain(every[number]) for number in explained]
    return list(map(list, zip(*table, strict=True))), raw, score, contributions


if __name__ == "__main__":
    main(*sys.argv[1:])
