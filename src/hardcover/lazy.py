"""Public names of a room, imported from their modules when they are first used, so that importing a room costs nothing."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def names_of(room: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` (PEP 562) of a room, which lists its names below ``if TYPE_CHECKING``.

    So type checkers, and readers, see plain imports.

    Parameters
    ----------
    room
        ``__name__`` of the package.
    """

    def get(name: str) -> Any:
        home = _homes(sys.modules[room].__file__).get(name)
        if home is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module, inner = home
        # A name may be that of a module in the room.
        return import_module(f"{room}.{inner}") if module == room else getattr(import_module(module), inner)

    return get


@cache
def _homes(file: str) -> dict[str, tuple[str, str]]:
    """Map each name to its module and its name there."""
    guarded = [
        part for part in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(part, ast.If)
    ]
    imports = [part for block in guarded for part in block.body if isinstance(part, ast.ImportFrom)]
    return {
        alias.asname or alias.name: (part.module or "", alias.name)
        for part in imports
        for alias in part.names
    }
