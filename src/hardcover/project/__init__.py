"""A project: its cases, its configuration, its Kedro sessions, and the ``Case`` that notebooks talk to."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.project.case import Case

__all__ = ["Case"]
__getattr__ = lazy.names_of(__name__)
