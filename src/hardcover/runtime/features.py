"""Features as plain functions: a function's name is the feature, its parameters are columns or features.

The functions are called for one row, with ``scalars.Number`` and ``scalars.Level``, or for all rows at once, with
``columns.Column``. Both give the same bits. A function that cannot take columns, such as one with an ``if``, is called row by
row.
"""

import builtins
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import NamedTuple

from . import functions as elementwise
from .records import hint
from .scalars import Level, NotElementwise, Number

SHARED = "shared"


class UnresolvedFeature(ValueError):
    """A feature whose parameters name nothing, or that needs itself; the message says which."""


class Step(NamedTuple):
    """One feature to compute: its name, its function and the names of its parameters in order."""

    name: str
    function: Callable
    parameters: tuple[str, ...]


def load(package: str, folder: Path) -> ModuleType:
    """Import the ``features.py`` of a release, in which ``hardcover`` means the release's own package.

    The file is the one of the project, unchanged: ``from hardcover.runtime.functions import log1p`` finds the copy in the wheel,
    whether or not Hardcover is installed, by an ``__import__`` of the module's own
    (https://docs.python.org/3/reference/executionmodel.html#builtins-and-restricted-execution). In the same way
    ``from ..shared.clock import hour`` finds ``shared/clock.py``.
    """
    return _loaded(package, folder, "features")


def _loaded(package: str, folder: Path, name: str) -> ModuleType:
    module = ModuleType(f"{package}.{name}")
    module.__file__, module.__package__ = str(folder.joinpath(*name.split("."))) + ".py", package

    def imported(name, space=None, local=None, names=(), level=0):
        if level == 2:
            return sys.modules.get(f"{package}.{name}") or _loaded(package, folder, name)
        if level == 0 and name.partition(".")[0] == "hardcover":
            name = package + name.removeprefix("hardcover")
        return builtins.__import__(name, space, local, names, level)

    vars(module)["__builtins__"] = {**vars(builtins), "__import__": imported}
    sys.modules[module.__name__] = module
    exec(SourceFileLoader(module.__name__, module.__file__).get_code(module.__name__), vars(module))
    return module


def discover(module: ModuleType, hidden: str = "_") -> dict[str, Callable]:
    """Find the feature functions that a module defines, or imports of one that cases share: public, sorted by name.

    Names that begin with ``hidden`` are helpers; with ``""``, helpers are found, too.

    The order of the names does not depend on the order of definition, so a notebook whose cells were run out
    of order gives the same columns.
    """
    return {
        name: value
        for name, value in sorted(vars(module).items())
        if isinstance(value, FunctionType)
        and (value.__module__ == module.__name__ or is_shared(value.__module__))
        and not (hidden and name.startswith(hidden))
    }


def is_shared(module: str) -> bool:
    """Check whether a module is one that cases share: ``package.shared.name``, or another case's ``package.case.features``.

    Examples
    --------
    >>> is_shared("house.shared.clock"), is_shared("house.fraud.features"), is_shared("hardcover.runtime.functions")
    (True, True, False)
    """
    package, *path = module.split(".")
    return path[:1] == [SHARED] or (package != "hardcover" and path[1:] == ["features"])


def with_ieee_math(functions: Mapping[str, Callable]) -> dict[str, Callable]:
    """Return the functions with a ``math`` that takes columns and answers for every float.

    ``math`` and what was imported from it are replaced in the functions' globals, for the helpers in their module, too. The
    module itself stays as it is.
    """
    spaces: dict[int, dict] = {}
    return {
        name: _in_space(function, _with_ieee_math(function.__globals__, spaces))
        if isinstance(function, FunctionType)
        else function
        for name, function in functions.items()
    }


def _with_ieee_math(names: dict, spaces: dict[int, dict]) -> dict:
    if id(names) not in spaces:
        found = spaces[id(names)] = dict(names)
        for name, value in names.items():
            if value is math:
                found[name] = elementwise
            elif isinstance(value, BuiltinFunctionType) and value.__module__ == "math":
                found[name] = elementwise.ieee(value)
            elif isinstance(value, FunctionType) and value.__globals__ is names:
                found[name] = _in_space(value, found)
    return spaces[id(names)]


def _in_space(function: FunctionType, space: dict) -> FunctionType:
    made = FunctionType(function.__code__, space, None, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def resolve(functions: Mapping[str, Callable], columns: Iterable[str]) -> list[Step]:
    """Order the features so that each comes after those it needs, and give their functions a ``math`` for every float.

    Raises
    ------
    UnresolvedFeature
        When a parameter is neither a column nor a feature, a feature has a column's name, or features need
        each other in a circle.

    Examples
    --------
    >>> resolve({"ratio": lambda area, width: area / width, "area": lambda width: width**2}, ["width"])[0].name
    'area'
    """
    # Not needed for a first answer, and slow to import.
    import inspect

    columns, functions = set(columns), with_ieee_math(functions)
    parameters = {name: tuple(inspect.signature(function).parameters) for name, function in functions.items()}
    for name, needed in parameters.items():
        if name in columns:
            raise UnresolvedFeature(f"feature {name!r} has the name of a column")
        for parameter in needed:
            if parameter not in columns and parameter not in functions:
                near = hint(parameter, [*columns, *functions])
                raise UnresolvedFeature(
                    f"feature {name!r} needs {parameter!r}, which is neither a column nor a feature{near}"
                )
    steps: dict[str, Step] = {}
    while len(steps) < len(functions):
        ready = [
            name
            for name, needed in parameters.items()
            if name not in steps and all(parameter in columns or parameter in steps for parameter in needed)
        ]
        if not ready:
            circle = sorted(set(parameters) - set(steps))
            raise UnresolvedFeature(f"features need each other in a circle: {', '.join(circle)}")
        steps |= {name: Step(name, functions[name], parameters[name]) for name in ready}
    return list(steps.values())


def compute(
    steps: list[Step], values: dict[str, float], levels: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Add each feature to ``values`` for one row of floats, or tuples of them; NaN stands for missing.

    ``levels`` has the names of those columns that are categories. A feature that raises an ``ArithmeticError`` or a
    ``ValueError`` is missing.
    """
    given = {
        name: Level(value, levels[name])
        if name in levels
        else tuple(map(Number, value))
        if type(value) is tuple
        else Number(value)
        for name, value in values.items()
    }
    for name, function, parameters in steps:
        given[name] = _one(function, [given[parameter] for parameter in parameters])
        values[name] = float(given[name])
    return values


def _one(function: Callable, arguments: Sequence[Number]) -> Number:
    try:
        result = function(*arguments)
    except (ArithmeticError, ValueError):
        return Number(math.nan)
    if isinstance(result, complex):
        return Number(math.nan)
    try:
        return Number(result)
    except OverflowError:
        return Number(math.nan)
    except (TypeError, ValueError) as error:
        raise NotElementwise(f"it returns {result!r:.60}, which is no number") from error


def compute_many(steps: list[Step], values: dict, rows: int, levels: Mapping[str, Sequence[str]]) -> dict:
    """Add each feature to ``values`` for float64 arrays of shape (rows,), to the same bits as ``compute``.

    What is a tuple for one row has the shape (rows, length).
    """
    import numpy as np

    from .columns import Column, NeedsRows

    def _columns(array, names):
        return Column(array, names) if array.ndim == 1 else tuple(map(Column, array.T))

    with np.errstate(all="ignore"):
        for name, function, parameters in steps:
            given = [_columns(values[parameter], levels.get(parameter)) for parameter in parameters]
            try:
                result = function(*given)
            except (NeedsRows, ArithmeticError, ValueError):
                table = zip(*map(_rows, given), strict=True)
                found = (_one(function, row) for row in table)
                values[name] = np.fromiter(found, np.float64, rows)
                continue
            if not isinstance(result, Column | float | int | np.number | np.bool_):
                raise NotElementwise(f"it returns {type(result).__name__}, not a number a row")
            array = (
                result.array
                if isinstance(result, Column)
                else np.float64(_one(lambda found=result: found, []))
            )
            values[name] = np.ascontiguousarray(np.broadcast_to(array, (rows,)))
    return values


def _rows(given) -> Iterable:
    return zip(*(column.rows() for column in given), strict=True) if type(given) is tuple else given.rows()


def needed_by(names: Iterable[str], steps: list[Step]) -> list[Step]:
    """Return those of the steps, in order, that the features among ``names`` need, and themselves."""
    wanted, found = set(names), []
    for step in reversed(steps):
        if step.name in wanted:
            wanted.update(step.parameters)
            found.insert(0, step)
    return found
