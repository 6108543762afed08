"""What a function is made of, and the runner that runs only what changed."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.incremental.runner import IncrementalRunner

__all__ = ["IncrementalRunner"]
__getattr__ = lazy.names_of(__name__)
