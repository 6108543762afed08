"""Overrides of parameters: dotted names, and whether ``conf/`` has what is overridden."""

from typing import Any

from hardcover.errors import HardcoverError, UnknownName


def nested(params: dict[str, Any]) -> dict[str, Any]:
    """Turn dotted names into nested mappings.

    Examples
    --------
    >>> nested({"training.rounds": 5, "training.seed": 1})
    {'training': {'rounds': 5, 'seed': 1}}
    """
    result: dict[str, Any] = {}
    for name, value in params.items():
        *outer, last = name.split(".")
        place = result
        for part in outer:
            place = place.setdefault(part, {})
        if isinstance(value, dict) and isinstance(place.get(last), dict):
            place[last] |= value
        else:
            place[last] = value
    return result


def check_parameters(loader: Any) -> None:
    """Refuse runtime parameters that ``conf/`` does not have, or of another type.

    Raises
    ------
    UnknownName, HardcoverError
        Names the parameter, and the closest one that exists or the type that it should have.
    """
    given = loader.runtime_params or {}
    if not given:
        return
    # The loader merges what is given into what it finds, so the known names are read without.
    loader.runtime_params = {}
    known = loader["parameters"]
    loader.runtime_params = given
    _check_names(given, known, "")


def _check_names(given: dict, known: dict, prefix: str) -> None:
    for name, value in given.items():
        if name not in known:
            raise UnknownName("parameter", prefix + name, [prefix + other for other in known])
        kind = next(
            (kind for kind in (bool, int | float, str, list, dict) if isinstance(known[name], kind)), object
        )
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            what = f"parameter {prefix + name!r} is {value!r}, of type {type(value).__name__}"
            fix = f"Expected is a value of type {type(known[name]).__name__}, such as {known[name]!r:.60}."
            raise HardcoverError(what, "", fix)
        if isinstance(value, dict):
            _check_names(value, known[name], f"{prefix}{name}.")
