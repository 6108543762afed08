"""Runs of cases: through their notebooks or as one Kedro pipeline, and what they print and write at the end."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.execution.request import Request
    from hardcover.execution.run import run

__all__ = ["Request", "run"]
__getattr__ = lazy.names_of(__name__)
