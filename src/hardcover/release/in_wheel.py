"""Answer rows with an installed wheel: ``python in_wheel.py PACKAGE WAY``.

``WAY`` is ``numpy``, all rows at once; ``without numpy``, row by row; ``without kernel``, row by row with the model in plain
Python; or ``on SQLite`` or ``on Valkey HOST:PORT``, row by row, with the events that windows look at in that store. Events come in order
without numpy, shuffled otherwise. Reads ``rows.json`` from the working directory and writes ``answers.json``. Needs nothing but the wheel.
"""

import json
import random
import struct
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

FORBIDDEN = {"pandas", "lightgbm", "mlflow", "kedro", "sklearn", "pickle"}


def main(package: str, way: str) -> None:
    """Answer all rows: features, raw scores, scores, labels, how sure and how unusual, the profile of raw rows, contributions; and run the self-test."""
    # numpy imports pickle for its own files. A wheel whose features use numpy is not to blame for that.
    folder = Path(find_spec(package).origin).parent
    of_features = {*folder.glob("shared/*.py"), *folder.rglob("features.py")} - {*folder.glob("runtime/*.py")}
    if any("numpy" in path.read_text() for path in of_features):
        import_module("numpy")
    before = set(sys.modules)
    released = import_module(package)
    model = released.model
    if way == "without kernel":
        model = released.Model(model._folder, released.features, plain=True)
    rows = json.loads(Path("rows.json").read_text())
    if way.startswith("on "):
        model.histories = store_of(package, model, way)
    if rows["events"] and way != "without numpy":
        observe_shuffled(model, rows["events"])
    record = {name: column[0] for name, column in rows["columns"].items()}
    known = model.calibration.kind != "none"
    model.predict(record, explain=model.explains, confidence=known, anomaly=True, validate=False)
    loaded = FORBIDDEN & (set(sys.modules) - before)
    if way == "numpy":
        import_module("numpy")
    before = set(sys.modules)
    golden, differences = model.selftest()
    answer = together if way == "numpy" else one_by_one
    table, raw, score, contributions, may, anomaly, profile = answer(model, rows, way)
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
        "confidence": may,
        "anomaly": {"anomaly": anomaly},
        "profile": profile,
        "contributions": contributions,
        "golden": golden,
        "differences": differences,
        "modules": sorted(loaded),
        "evaluator": type(model.evaluator).__name__,
        "python": sys.version.split()[0],
        "numpy": numpy and numpy.__version__,
        "histories": model.histories.sizes() if rows["events"] and way == "numpy" else None,
    }
    Path("answers.json").write_text(json.dumps(answers))


def by_output(rows: list, classes: list) -> dict:
    """Return a list for each output: of one ``score``, of several by class."""
    return dict(zip(classes or ["score"], map(list, zip(*rows, strict=True)), strict=True))


def together(model, rows: dict, _: str) -> tuple:
    """Answer with arrays."""
    import numpy as np

    numeric = model._fields.properties.keys() - set(rows["texts"])
    arrays = {
        name: np.array([np.nan if value is None else value for value in column])
        if name in numeric
        else np.array(column, dtype=object if None in column else None)
        for name, column in rows["columns"].items()
    }
    table = model.inputs_of(arrays, validate=False)
    others = np.array(rows["inputs"], dtype=np.float64).reshape(-1, table.shape[1])
    inputs = np.concatenate([table, others])
    contributions = []
    if model.explains:
        explained = model.explain_inputs(inputs[rows["explained"]])
        contributions = explained.reshape(len(explained), -1).tolist()
    raw, profile = model.score_inputs(inputs, raw=True), model.watch()
    of_table = model.score_inputs(table)
    model.unwatch()
    score = np.concatenate([of_table, model.score_inputs(others)])
    may = confidence_of_arrays(model.calibration, score)
    raw, score = (values.reshape(len(inputs), -1).tolist() for values in (raw, score))
    anomaly = model.anomaly_inputs(inputs).tolist()
    return table.T.tolist(), raw, score, contributions, may, anomaly, profile.by_name


def one_by_one(model, rows: dict, way: str) -> tuple:
    """Answer as ``predict`` does: the code made at release where it is sure, else what works for any schema."""
    table: list = [None] * len(next(iter(rows["columns"].values())))
    for number, record in (
        replayed(model, rows) if way == "without numpy" else enumerate(records(rows["columns"]))
    ):
        inputs = None if way == "without kernel" else model._row_of(record)
        table[number] = memoryview(inputs or model._row(record, False)).cast("d").tolist()
    every = [*table, *rows["inputs"]]
    raw, profile = [model.evaluator.raw(row) for row in every], model.watch()
    if way == "without kernel":
        score = [model.evaluator.convert(values) for values in raw]
        for row, scores in zip(table, score, strict=False):
            profile.count(row, scores)
    else:
        score = [model._score(struct.pack(f"={len(row)}d", *row)) for row in table]
    model.unwatch()
    score += [model.evaluator.predict(row) for row in every[len(score) :]]
    explained = rows["explained"] if model.explains else []
    contributions = [model._explain(every[number]) for number in explained]
    known = [] if model.calibration.kind == "none" else map(model.calibration.of, score)
    may = confidence_columns(model.calibration, [*known])
    anomaly = [model.calibration.p_value(model._unlike.predict(row)[0]) for row in every]
    columns = list(map(list, zip(*table, strict=True)))
    return columns, raw, score, contributions, may, anomaly, profile.by_name


def confidence_columns(calibration, found: list) -> dict:
    """Return bounds, and for each label 1 where it may come: a list of each; nothing where nothing is known."""
    columns = {str(label): [float(label in each.labels) for each in found] for label in calibration.labels}
    if calibration.kind in ("probability", "interval"):
        columns |= {name: [each.bounds[at] for each in found] for at, name in enumerate(("low", "high"))}
    return columns


def confidence_of_arrays(calibration, scores) -> dict:
    """Return the same of arrays of scores."""
    if calibration.kind == "none":
        return {}
    found = calibration.of_many(scores)
    labels = found.pop("labels").T.astype(float).tolist() if "labels" in found else []
    columns = dict(zip(map(str, calibration.labels), labels, strict=True))
    return columns | {name: values.tolist() for name, values in found.items()}


def records(columns: dict) -> Iterator[dict]:
    """Yield the rows of lists by field."""
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def store_of(package: str, model, way: str):
    """Return an empty store of histories; a server's keys begin with the wheel's name, so that none of it meets another's."""
    plan = model._online.plan
    if way == "on SQLite":
        store = import_module(f"{package}.runtime.histories_sqlite")
        return store.SqliteHistories(plan, "histories.db")
    store, valkey = import_module(f"{package}.runtime.histories_valkey"), import_module("valkey")
    host, _, port = way.removeprefix("on Valkey ").partition(":")
    return store.ValkeyHistories(plan, valkey.Valkey(host, int(port)), package)


def observe_shuffled(model, events: dict) -> None:
    """Observe all events in another order than they arrived in; what a row may see is told by its time alone."""
    every = list(records(events))
    random.Random(1).shuffle(every)
    model.histories.keep = None
    for event in every:
        model.observe(event)


def replayed(model, rows: dict) -> Iterator[tuple[int, dict]]:
    """Yield each row when it was asked, after all that had arrived by then was observed, labels when they were known."""
    asked = list(enumerate(records(rows["columns"])))
    if not rows["events"]:
        yield from asked
        return
    model.histories.keep = None
    plan = model._online.plan

    def arrival(record: dict) -> str:
        return (plan.received and record[plan.received]) or record[plan.time]

    messages = []
    for event in records(rows["events"]):
        if plan.known and event[plan.known] and event[plan.known] > arrival(event):
            told = {plan.known, *plan.labels}
            messages.append((event[plan.known], 1, {name: event[name] for name in (plan.key, *told)}))
            event = {name: value for name, value in event.items() if name not in told}
        messages.append((arrival(event), 0, event))
    messages.sort(key=lambda message: message[:2])
    asked.sort(key=lambda row: arrival(row[1]))
    number = 0
    for row in asked:
        while number < len(messages) and messages[number][0] <= arrival(row[1]):
            model.observe(messages[number][2])
            number += 1
        yield row


if __name__ == "__main__":
    main(*sys.argv[1:])
