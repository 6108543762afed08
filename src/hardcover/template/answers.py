"""What a user says of a case, instead of what was found."""

from typing import Any

from hardcover import tasks
from hardcover.errors import DataError, UnknownName
from hardcover.ingest import splits
from hardcover.inspection.report import Inspection
from hardcover.template.plan import reads_as_days


def overridden(
    found: Inspection, task: str | None, split: str | None, time: str | None, entity: str | None
) -> Inspection:
    """Return an inspection whose question has what the user said instead of what was found.

    Raises
    ------
    UnknownName
        When there is no such column, task or split.
    """
    known = {column.name: column for column in found.columns}
    for given in (time, entity):
        if given is not None and given not in known:
            raise UnknownName("column", given, list(known))
    if time is not None and not reads_as_days(known[time]):
        raise DataError(
            f"its cells do not read as times: {known[time].evidence}",
            f"--time {time!r}",
            "Name a column of dates whose order of day and month can be told; or add the case without --time, and make times in 'unify'.",
        )
    if task is not None and task not in tasks.NAMES:
        raise UnknownName("task", task, tasks.NAMES)
    if split is not None and split not in splits.POLICIES:
        raise UnknownName("split", split, splits.POLICIES)
    question = found.question
    assert question is not None, "a question needs a target"
    changes: dict[str, Any] = {}
    if task is not None:
        changes |= {"task": task, "why": "as said"}
    if time is not None:
        changes |= {"time": time, "split": "time", "why_split": f"by {time}, as said"}
    if entity is not None:
        both = time is not None
        changes |= {
            "entity": entity,
            "split": "entity_time" if both else "entity",
            "why_split": f"by {entity}, as said",
        }
    if split is not None:
        changes |= {"split": split, "why_split": "as said"}
    return found._replace(question=question._replace(**changes))
