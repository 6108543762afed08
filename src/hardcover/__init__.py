"""Bind notebooks to pipelines, versions and wheels, and prove that they are the same thing.

What a notebook needs is here and in the rooms: ``ingest``, ``modelling``, ``release``, ``tasks``. Names are imported when first
used, so that ``import hardcover`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.errors import HardcoverError
    from hardcover.incremental.runner import IncrementalRunner
    from hardcover.project.case import Case
    from hardcover.tasks.base import Task

__version__ = "0.1.0"
__all__ = ["Case", "HardcoverError", "IncrementalRunner", "Task"]
__getattr__ = lazy.names_of(__name__)


def load_ipython_extension(shell: Any) -> None:
    """Put the project into a kernel, for ``%load_ext hardcover``; see `hardcover.lab.kernel`."""
    import_module("hardcover.lab.kernel").load(shell)
