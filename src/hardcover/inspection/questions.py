"""What a model of a table could be asked: the task of a target, and how its rows should be split."""

from typing import Any, NamedTuple

from hardcover.inspection import column_types
from hardcover.inspection.cells import PLAIN
from hardcover.inspection.columns import Column
from hardcover.inspection.roles import UNDECIDED

MAX_CLASSES = 100
# With fewer different times, parts and folds in their order would have one or two each.
MIN_TIMES = 20
_SCALES = {"rating", "ratings", "score", "stars", "quality", "grade", "rank", "points", "level"}
# What integers name when they name classes.
_CLASSES = {"class", "classes", "label", "labels", "type", "category", "species", "kind"}
_COUNTS = {"count", "counts", "cnt", "rentals", "visits", "claims", "births", "calls", "orders"}


class Question(NamedTuple):
    """A task and a split, each with its reason.

    Attributes
    ----------
    task
        ``binary``, ``multiclass``, ``regression`` or ``count``; None where no model can be asked, and ``why`` says so.
    positive
        Of a binary task the class that is predicted, the rarer one unless its name says otherwise.
    split, time, entity
        A policy of `ingest.splits`, and the columns that it needs.
    """

    task: str | None
    why: str
    positive: str | None
    split: str
    why_split: str
    time: str | None
    entity: str | None


def ask(columns: list[Column], target: str, rows: int) -> Question:
    """Return what a model of the target could be asked."""
    column = next(column for column in columns if column.name == target)
    task, why, positive = _task(column, rows)
    others = [other for other in columns if other.name != target]
    days = [other for other in others if other.role == "date" and other.facts["days"] not in UNDECIDED]
    time = next((day.name for day in days if day.distinct >= MIN_TIMES), None)
    entity = next((other.name for other in others if other.role == "entity"), None)
    # The future of a known entity is asked for more often than that of an unknown one, so time comes first.
    if time:
        by, why_split = "time", f"by {time}: the model will see later rows than it learned from"
    elif entity:
        by, why_split = "entity", f"by {entity}: rows of one {entity} are alike"
    else:
        by = "stratified" if task in {"binary", "multiclass"} else "random"
        why_split = "no column with a time or an entity"
    return Question(task, why, positive, by, why_split, time, entity)


def _task(column: Column, rows: int) -> tuple[str | None, str, str | None]:
    values, counts = column.facts["values"], dict(column.facts["values"])
    present = rows - column.missing
    words = set(column_types.words_of(column.name))
    if column.role in {"constant", "not usable"} and column.distinct <= 1:
        same = "missing in all rows" if column.distinct == 0 else "always the same"
        return None, f"{column.name} is {same}: there is nothing to learn", None
    if column.role in {"id", "text", "list", "not usable"}:
        return None, f"{column.name} is {column.role} ({column.evidence}): no table predicts it", None
    if column.role in {"date", "time"}:
        return None, f"{column.name} is a {column.role}: predict a duration, in a column of its own", None
    if column.distinct == 2:
        positive = _positive(values)
        return "binary", f"two values, {positive!r} in {100 * counts[positive] / present:.3g} %", positive
    whole = column.reading in {"integer", "compact date"} or (
        column.reading == "number"
        and column.facts["low"] == int(column.facts["low"])
        and column.distinct <= 20
        and all(float(value).is_integer() for value, _ in values)
    )
    if column.reading in PLAIN:
        if words & _SCALES:
            return (
                "regression",
                f"a scale from {column.facts['low']:g} to {column.facts['high']:g}: its order counts, so it is no set of classes",
                None,
            )
        named = bool(words & _CLASSES) and column.reading == "integer" and column.distinct <= MAX_CLASSES
        if named or (column.type == "categorical" and not words & _COUNTS):
            return _classes(column, present)
        if (
            whole
            and column.facts["low"] >= 0
            and (words & _COUNTS or (column.facts["low"] <= 1 and column.distinct > 10))
        ):
            return "count", f"non-negative integers, mean {column.facts['mean']:.3g}", None
        return "regression", f"numbers from {column.facts['low']:g} to {column.facts['high']:g}", None
    return _classes(column, present)


def _classes(column: Column, present: int) -> tuple[str | None, str, str | None]:
    if column.distinct > MAX_CLASSES or column.distinct > present / 5:
        return (
            None,
            f"{column.name} has {column.distinct:,} classes in {present:,} rows: too few rows of each to learn from",
            None,
        )
    return "multiclass", f"{column.distinct} classes", None


def _positive(values: list[tuple[str, int]]) -> str:
    for yes in (
        "1",
        "1.0",
        "yes",
        "true",
        "y",
        "t",
        "on",
        "positive",
        "bad",
        "default",
        "churn",
        "failed",
        "up",
    ):
        found = next((value for value, _ in values if value.lower() == yes), None)
        if found is not None:
            return found
    return min(values, key=lambda pair: (pair[1], pair[0]))[0]


def as_json(question: Question | None) -> dict[str, Any]:
    """Return ``task`` and ``split`` as the command's JSON has them."""
    if question is None:
        return {"task": None, "split": None}
    return {
        "task": {"name": question.task, "why": question.why, "positive": question.positive},
        "split": {
            "by": question.split,
            "why": question.why_split,
            "time": question.time,
            "entity": question.entity,
        },
    }
