"""Lookups: what is known of a thing by its name, such as facts, statistics and vectors, in tables that travel with the model.

A lookup is declared in a features module by its name, beside the functions, and is used as a parameter like a column::

    from hardcover.runtime import lookups, windows
    from hardcover.runtime.functions import dot

    film_year = lookups.number("year", by="film")
    _taste = lookups.vector("taste", by="film", size=16)
    _lately = windows.mean("_taste", by="user", over=10)

    def near_lately(_taste, _lately):
        return dot(_taste, _lately)

- Tables are made in the data notebook, of the rows of the part ``earlier``, which no model learns from; see ``ingest.data``.
- What a table does not name is missing; of a vector, every number is.
- Windows may look at lookups, too, and do so at each number of a vector by itself.

A lookup whose name begins with an underscore is for functions and windows only; the model gets the others as inputs.
"""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from .records import InvalidRecord, Problem, hint, names_of

FILE = "lookups.json"


class UnresolvedLookup(ValueError):
    """A lookup that no table has, or of another size; the message says which."""


class Lookup(NamedTuple):
    """A column of the table that goes by the column ``by``; made by ``number`` and ``vector``. ``size`` is None for a number."""

    column: str
    by: str
    size: int | None

    def __str__(self) -> str:
        return f"{self.column} of {self.by}, looked up" + (f", {self.size} numbers" if self.size else "")


def number(column: str, by: str) -> Lookup:
    """Return a number that is looked up.

    Parameters
    ----------
    column
        The column of the table.
    by
        The text column of the record that names the table's rows.
    """
    return Lookup(_name(column, "column"), _name(by, "by"), None)


def vector(column: str, by: str, size: int) -> Lookup:
    """Return ``size`` numbers that are looked up, as a tuple. Name it with an underscore. See ``number`` for parameters."""
    if type(size) is not int or size < 1:
        raise ValueError(f"size={size!r}: give how many numbers it has, 1 or more")
    return Lookup(_name(column, "column"), _name(by, "by"), size)


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what}={value!r}: name one column")
    return value


def discover(module: ModuleType) -> dict[str, Lookup]:
    """Find the lookups that a module declares, sorted by name."""
    return {name: value for name, value in sorted(vars(module).items()) if isinstance(value, Lookup)}


def entries(name: str, size: int) -> list[str]:
    """Return the names of a vector's numbers.

    Examples
    --------
    >>> entries("_taste", 2)
    ['_taste[0]', '_taste[1]']
    """
    return [f"{name}[{place}]" for place in range(size)]


class Tables:
    """The tables of a model's lookups.

    Parameters
    ----------
    lookups
        By name, as ``discover`` finds them.
    tables
        By the column that names the rows: ``columns``, a list of names, and ``rows``, of each name a list with a number or a list of
        numbers for each column; None is missing.
    columns
        ``kind`` and ``role`` of each column of the schema, by name.

    Raises
    ------
    UnresolvedLookup
        When there is no such table or column, a vector has another size, or a name is taken.
    """

    def __init__(
        self,
        lookups: Mapping[str, Lookup],
        tables: Mapping[str, Mapping],
        columns: Mapping[str, Mapping],
    ):
        self.lookups = dict(lookups)
        self._found: dict[str, dict[str, dict[str, Any]]] = {}
        self._missing: dict[str, dict[str, Any]] = {}
        for name, lookup in self.lookups.items():
            if name in columns:
                raise UnresolvedLookup(f"lookup {name!r} has the name of a column")
            if columns.get(lookup.by, {}).get("kind") != "text":
                raise UnresolvedLookup(f"lookup {name!r} goes by {lookup.by!r}, which is no column of text")
            if lookup.size and not name.startswith("_"):
                raise UnresolvedLookup(
                    f"lookup {name!r} is a vector, which no model takes; name it _{name}, for functions"
                )
            table = tables.get(lookup.by)
            if table is None:
                made = ", ".join(map(repr, tables)) or "none"
                raise UnresolvedLookup(
                    f"lookup {name!r} needs a table by {lookup.by!r}; fit_lookups made {made}"
                )
            place = _place(name, lookup, table["columns"])
            mine = self._found.setdefault(lookup.by, {})
            for key, row in table["rows"].items():
                mine.setdefault(key, {}).update(_read(name, lookup, key, row[place]))
            self._missing.setdefault(lookup.by, {}).update(
                _read(name, lookup, "", [math.nan] * lookup.size if lookup.size else math.nan)
            )

    @property
    def fields(self) -> list[str]:
        """The columns of a record that tables go by."""
        return list(self._missing)

    @property
    def inputs(self) -> list[str]:
        """The lookups that the model gets."""
        return [name for name in self.lookups if not name.startswith("_")]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the vectors, by name."""
        return {name: lookup.size for name, lookup in self.lookups.items() if lookup.size}

    @property
    def names(self) -> list[str]:
        """What functions may take: numbers and vectors, and each number of a vector."""
        return [*self.lookups, *(each for name, size in self.sizes.items() for each in entries(name, size))]

    def read(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is looked up for a record, by name: floats, and tuples of them.

        Raises
        ------
        InvalidRecord
            When what the record names a row by is no text.
        """
        values: dict[str, Any] = {}
        for by, missing in self._missing.items():
            key = record.get(by)
            if key is None or key != key:
                values |= missing
            elif isinstance(key, str):
                values |= self._found[by].get(key, missing)
            else:
                raise InvalidRecord([Problem(by, f"{key!r:.60} is a {type(key).__name__}, not a text")])
        return values

    def read_many(self, columns: Any, rows: int) -> dict[str, Any]:
        """Return what is looked up for many rows, float64: of a number of shape (rows,), of a vector (rows, size).

        Parameters
        ----------
        columns
            As ``Fields.encode_many`` takes them; those that tables go by are texts, None or NaN where one is missing. A column that is
            not there is missing in all ``rows``.
        """
        import numpy as np

        values: dict[str, Any] = {}
        there = names_of(columns)
        for by, missing in self._missing.items():
            given = np.asarray(columns[by]) if by in there else [None] * rows
            keys = [None if key is None or key != key else str(key) for key in given]
            places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
            numbers = np.fromiter(map(places.__getitem__, keys), np.int64, len(keys))
            found = [missing if key is None else self._found[by].get(key, missing) for key in places]
            for name in missing:
                each = np.array([row[name] for row in found], dtype=np.float64)
                values[name] = np.ascontiguousarray(each[numbers])
        return values


def _place(name: str, lookup: Lookup, columns: list[str]) -> int:
    if lookup.column not in columns:
        raise UnresolvedLookup(
            f"lookup {name!r} needs {lookup.column!r}, which the table by {lookup.by!r} does not have{hint(lookup.column, columns)}"
        )
    return columns.index(lookup.column)


def _read(name: str, lookup: Lookup, key: str, value: Any) -> dict[str, Any]:
    if lookup.size is None:
        if isinstance(value, list):
            raise UnresolvedLookup(f"lookup {name!r} is a number, but the table has a list for {key!r}")
        return {name: math.nan if value is None else float(value)}
    if value is None:
        value = [None] * lookup.size
    if not isinstance(value, list) or len(value) != lookup.size:
        size = len(value) if isinstance(value, list) else "one"
        raise UnresolvedLookup(
            f"lookup {name!r} has {lookup.size} numbers, but the table has {size} for {key!r}"
        )
    vector = tuple(math.nan if each is None else float(each) for each in value)
    return {name: vector, **dict(zip(entries(name, lookup.size), vector, strict=True))}
