"""What a function is made of: its own source, all that it reaches inside the project, and libraries' versions.

Source is read, not run: comments, layout and docstrings do not count, a changed helper counts for all its callers, and
a notebook's function has the fingerprint of the same function in the module that the notebook exports. A file that a text
names from the module's folder, such as a template or a program in C, counts by its bytes.
"""

import ast
import functools
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from hardcover.errors import FeatureError
from hardcover.incremental.definitions import Namespace, is_scope, space_of
from hardcover.store import disk

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Code(NamedTuple):
    """A function's fingerprint.

    Attributes
    ----------
    hash
        One SHA-256 over the parts.
    parts
        A short hash of each definition reached, by name; ``module:name`` where it is another module's.
    libraries
        Versions of the libraries that the parts import, and of Python.
    """

    hash: str
    parts: dict[str, str]
    libraries: dict[str, str]


def code_of(function: Callable) -> Code:
    """Return the fingerprint of a function, a partial, or a function that was made inside another.

    Raises
    ------
    FeatureError
        When its source cannot be found, or it holds a value that has no stable form.

    Examples
    --------
    >>> import math
    >>> code_of(math.factorial).parts
    {'math:factorial': 'library'}
    """
    parts: dict[str, str] = {}
    reach = _Reach()
    for label, item in _pieces(function, ""):
        if isinstance(item, types.FunctionType):
            reach.start(item)
            parts |= {f"{label}{name}": digest for name, digest in reach.parts.items()}
        else:
            parts[label] = item
    libraries = {name: version_of(name) for name in sorted(reach.libraries)}
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(parts.items()))
    return Code(disk.digest_of(text), dict(sorted(parts.items())), {"python": PYTHON, **libraries})


def _pieces(value: Any, label: str) -> Iterator[tuple[str, Any]]:
    """Take a callable apart into functions with source, and hashes of the values that it holds."""
    if isinstance(value, functools.partial):
        yield from _pieces(value.func, label)
        yield from _pieces([value.args, value.keywords], f"{label}partial.")
    elif isinstance(value, types.MethodType):
        yield from _pieces(value.__func__, label)
        yield from _pieces(vars(value.__self__), f"{label}self.")
    elif isinstance(value, types.FunctionType):
        # functools.wraps says what is wrapped; the wrapper holds it in its closure anyway.
        yield label, value
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            if cell.cell_contents is not value:
                yield from _pieces(cell.cell_contents, f"{label}{name}.")
    elif isinstance(value, types.BuiltinFunctionType | type):
        yield f"{label}{value.__module__}:{value.__qualname__}", "library"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _pieces(inner, f"{label}{key}.")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _pieces(inner, f"{label}{number}.")
    elif isinstance(value, types.ModuleType):
        yield f"{label}module", value.__name__
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes | timedelta):
        yield f"{label}value", disk.digest_of(repr(value))[:16]
    elif callable(value) and hasattr(value, "__dict__"):
        yield from _pieces(type(value).__call__, label)
        yield from _pieces(vars(value), f"{label}self.")
    else:
        what = f"{label.rstrip('.')!r} holds a {type(value).__name__}, which has no stable fingerprint"
        raise FeatureError(what, "", "Pass it as a parameter, or tag the node 'always'.")


class _Reach:
    """Follow names from a function through the project."""

    def __init__(self):
        self.parts: dict[str, str] = {}
        self.libraries: set[str] = set()

    def start(self, function: types.FunctionType) -> None:
        self.parts, self._home = {}, function.__module__
        space = space_of(function.__module__)
        if space is None:
            self._library(function.__module__)
            self.parts[f"{function.__module__}:{function.__qualname__}"] = "library"
            return
        first, *inner = function.__qualname__.replace(".<locals>", "").split(".")
        statements = space.statements.get(first)
        if not statements:
            what = f"the source of {function.__qualname__!r} cannot be found"
            raise FeatureError(what, f"module {function.__module__}", "Define it in a notebook or a module.")
        for name in inner:
            if isinstance(statements[0], ast.ClassDef):
                # A method reaches the others through self.
                break
            statements = _definitions(statements, name) or statements
        self._add(space, function.__qualname__.rpartition(".")[2], statements)

    def _library(self, module: str) -> None:
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names:
            self.libraries.add(top)

    def _add(self, space: Namespace, name: str, statements: list[ast.stmt]) -> None:
        label = name if space.name == self._home else f"{space.name}:{name}"
        if label in self.parts:
            return
        self.parts[label] = disk.digest_of("".join(space.normal(part) for part in statements))[:16]
        for file in space.files_named(statements):
            self.parts[f"{label}:{file.name}"] = disk.digest(file)[:16]
        for part in statements:
            self._follow(space, part)

    def _follow(self, space: Namespace, statement: ast.stmt) -> None:
        uses = space.uses(statement)
        for name, rest in uses.names:
            if name in uses.imports:
                self._reach(*uses.imports[name], rest)
            elif name in space.statements:
                self._add(space, name, space.statements[name])
            elif name in space.imports:
                self._reach(*space.imports[name], rest)

    def _reach(self, module: str, name: str | None, rest: tuple[str, ...]) -> None:
        """Follow ``module`` [``.name``] and the attributes taken from it."""
        space = space_of(module)
        if space is None:
            self._library(module)
            return
        path = (name, *rest) if name else rest
        if path and path[0] in space.statements:
            self._add(space, path[0], space.statements[path[0]])
        elif path and path[0] in space.imports and space.imports[path[0]] != (module, path[0]):
            self._reach(*space.imports[path[0]], path[1:])
        elif path and space_of(f"{module}.{path[0]}"):
            self._reach(f"{module}.{path[0]}", None, path[1:])
        else:
            # Something else is done with the module; then all of it counts.
            for each in space.with_submodules():
                for other, statements in each.statements.items():
                    self._add(each, other, statements)


def _definitions(statements: Iterable[ast.stmt], name: str) -> list[ast.stmt]:
    return [
        part
        for statement in statements
        for part in ast.walk(statement)
        if is_scope(part) and part.name == name and part is not statement
    ]


@cache
def version_of(library: str) -> str:
    """Return the version of the library that has a top-level module of this name; ``"?"`` where none is known."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        pass
    named = getattr(sys.modules.get(library), "__version__", None)
    if isinstance(named, str):
        return named
    owners = metadata.packages_distributions().get(library)
    return metadata.version(owners[0]) if owners else "?"
