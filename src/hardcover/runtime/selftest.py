"""The golden rows of a release, scored again on this machine."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from .forest import Forest

if TYPE_CHECKING:
    from .model import Model


def compare(model: "Model", plain: "Model") -> tuple[int, list[str]]:
    """Score the golden rows of ``model`` one by one, together where there is numpy, and by ``plain``, the same in plain Python.

    Returns
    -------
    tuple
        How many rows were compared, and a line for each score whose bits differ.
    """
    golden = model.golden
    records = [row["record"] for row in golden]
    expected = [[float.fromhex(score) for score in row["scores"]] for row in golden]
    # What windows hold depends on histories, so it is kept with the row.
    past = [
        row.get("windows") and {name: _exact(value) for name, value in row["windows"].items()}
        for row in golden
    ]
    ways = {"in plain Python": list(map(plain.scores_of, records, past))}
    if not isinstance(model.evaluator, Forest):
        ways["alone"] = list(map(model.scores_of, records, past))
    if find_spec("numpy") and not any(past):
        columns = {name: [record[name] for record in records] for name in model.schema["properties"]}
        # Where rows are counted, these are not among them.
        scores = model._scored(model.evaluator, model.inputs_of(columns), raw=False)
        ways["in a batch"] = scores.reshape(len(records), -1).tolist()
    differences = [
        f"row {number} {way}: {score!r}, released {expected[number]!r}"
        for way, scores in ways.items()
        for number, score in enumerate(scores)
        if score != expected[number]
    ]
    return len(records), differences


def _exact(value: str | list[str]) -> float | tuple[float, ...]:
    return float.fromhex(value) if isinstance(value, str) else tuple(map(float.fromhex, value))
