"""Kinds of problems: binary, multiclass, regression, count, ranking. Each is one ``Task``, which every stage asks."""

from typing import TYPE_CHECKING

from hardcover import lazy
from hardcover.errors import UnknownName

if TYPE_CHECKING:
    from hardcover.tasks.base import Metric, Names, Rows, Task
    from hardcover.tasks.measures import Areas, areas

NAMES = ("binary", "multiclass", "regression", "count", "ranking")
__all__ = ["NAMES", "Areas", "Metric", "Names", "Rows", "Task", "areas", "of"]
__getattr__ = lazy.names_of(__name__)


def of(name: str) -> "Task":
    """Return the task of a name, as ``task`` in ``conf/`` has it.

    Raises
    ------
    UnknownName
        When there is none of this name.
    """
    # scikit-learn and matplotlib take long to import. All five: a node's fingerprint follows these imports.
    from hardcover.tasks import binary, count, multiclass, ranking, regression

    every = (binary.TASK, multiclass.TASK, regression.TASK, count.TASK, ranking.TASK)
    found = {task.name: task for task in every}
    if name not in found:
        raise UnknownName("task", name, NAMES, "parameter task")
    return found[name]
