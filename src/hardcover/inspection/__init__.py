"""What a file holds: its dialect, the type and role of each column, leaks towards a target, and what a model could be asked."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.inspection.report import Inspection, inspect

__all__ = ["Inspection", "inspect"]
__getattr__ = lazy.names_of(__name__)
