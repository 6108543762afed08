"""Features as plain functions: a function's name is the feature, its parameters are columns or features.

The functions take floats and float64 arrays alike. Arithmetic gives the same bits for both; powers, exponentials
and logarithms may not, since numpy has its own for arrays. A release tests golden rows both ways and is refused where
they differ.
"""

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import NamedTuple


class UnresolvedFeature(ValueError):
    """A feature whose parameters name nothing, or that needs itself; the message says which."""


class Step(NamedTuple):
    """One feature to compute: its name, its function and the names of its parameters in order."""

    name: str
    function: Callable
    parameters: tuple[str, ...]


def discover(module: ModuleType) -> dict[str, Callable]:
    """Find the feature functions that a module defines: public, not imported, sorted by name.

    The order of the names does not depend on the order of definition, so a notebook whose cells were run out
    of order gives the same columns.
    """
    return {
        name: value
        for name, value in sorted(vars(module).items())
        if isinstance(value, FunctionType)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def resolve(functions: Mapping[str, Callable], columns: Iterable[str]) -> list[Step]:
    """Order the features so that each comes after those it needs.

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

    columns = set(columns)
    parameters = {name: tuple(inspect.signature(function).parameters) for name, function in functions.items()}
    for name, needed in parameters.items():
        if name in columns:
            raise UnresolvedFeature(f"feature {name!r} has the name of a column")
        for parameter in needed:
            if parameter not in columns and parameter not in functions:
                close = difflib.get_close_matches(parameter, [*columns, *functions], n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise UnresolvedFeature(
                    f"feature {name!r} needs {parameter!r}, which is neither a column nor a feature{hint}"
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


def compute(steps: list[Step], values: dict[str, float]) -> dict[str, float]:
    """Add each feature to ``values`` for one row of floats; NaN stands for missing."""
    for name, function, parameters in steps:
        arguments = [values[parameter] for parameter in parameters]
        try:
            result = function(*arguments)
        except (ArithmeticError, ValueError):
            result = _as_array(function, arguments)
        if isinstance(result, complex):
            result = _as_array(function, arguments)
        values[name] = float(result)
    return values


def _as_array(function: Callable, arguments: list[float]) -> float:
    # Python raises where an array gives inf or NaN (1.0 / 0.0), and leaves the reals where it gives NaN
    # ((-8.0) ** 0.5); the array's answer is the one that the model was trained on.
    try:
        import numpy as np
    except ImportError as error:
        what = f"feature {function.__name__!r} of {arguments} leaves the real numbers, which needs numpy; install it"
        raise ImportError(what) from error

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.asarray(function(*(np.array([argument]) for argument in arguments)))[0])


def compute_many(steps: list[Step], values: dict, rows: int) -> dict:
    """Add each feature to ``values`` for float64 arrays of shape (rows,)."""
    import numpy as np

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for name, function, parameters in steps:
            result = np.asarray(function(*(values[parameter] for parameter in parameters)), dtype=np.float64)
            values[name] = np.broadcast_to(result, (rows,))
    return values
