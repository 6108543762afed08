"""Answer the rows of a proof with an installed wheel: ``python answer_rows.py PACKAGE WAY``.

``WAY`` is ``numpy``, all rows at once; ``without numpy``, row by row; or ``without kernel``, row by row with the model in plain
Python. Reads ``subject.json`` from the working directory and writes ``answers.json``.
"""

import json
import sys
from importlib import import_module
from pathlib import Path


def main(package: str, way: str) -> None:
    """Answer all rows: features, raw scores, scores, labels and reasons."""
    released = import_module(package)
    model = released.model
    if way == "without kernel":
        model = released.Model(model._folder, released.features, plain=True)
    subject = json.loads(Path("subject.json").read_text())
    answer = together if way == "numpy" else one_by_one
    table, raw, score, reasons = answer(model, subject, way)
    if way == "without numpy":
        assert "numpy" not in sys.modules
    threshold = model.about["threshold"]
    answers = {
        "features": dict(zip(model.inputs, table, strict=True)),
        "raw": raw,
        "score": score,
        "label": [value >= threshold for value in score],
        "reasons": reasons,
    }
    Path("answers.json").write_text(json.dumps(answers))


def together(model, subject: dict, _: str) -> tuple:
    """Answer with arrays."""
    import numpy as np

    arrays = {
        name: np.array(column)
        if name in subject["texts"]
        else np.array([np.nan if value is None else value for value in column])
        for name, column in subject["columns"].items()
    }
    table = model.inputs_of(arrays, validate=False)
    others = np.array(subject["inputs"], dtype=np.float64).reshape(-1, table.shape[1])
    rows = np.concatenate([table, others])
    reasons = model.explain_inputs(rows[subject["explained"]]).tolist() if model.explains else []
    raw, score = model.score_inputs(rows, raw=True), model.score_inputs(rows)
    return table.T.tolist(), raw.tolist(), score.tolist(), reasons


def one_by_one(model, subject: dict, way: str) -> tuple:
    """Answer as ``predict`` does: the code made at release where it is sure, else what works for any schema."""
    table = []
    for row in zip(*subject["columns"].values(), strict=True):
        record = dict(zip(subject["columns"], row, strict=True))
        inputs = None if way == "without kernel" else model._row_of(record)
        table.append(memoryview(inputs or model._row(record, False)).cast("d").tolist())
    rows = [*table, *subject["inputs"]]
    raw = [model.evaluator.raw(row) for row in rows]
    if way == "without kernel":
        score = [model.evaluator.convert(values)[0] for values in raw]
    else:
        score = [model.evaluator.predict(row)[0] for row in rows]
    reasons = [model._explain(rows[number]) for number in subject["explained"]] if model.explains else []
    return list(map(list, zip(*table, strict=True))), [values[0] for values in raw], score, reasons


if __name__ == "__main__":
    main(*sys.argv[1:])
