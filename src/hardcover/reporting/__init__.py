"""What people look at: HTML pages, pictures, lines of progress."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.reporting import pictures

__all__ = ["pictures"]
__getattr__ = lazy.names_of(__name__)
