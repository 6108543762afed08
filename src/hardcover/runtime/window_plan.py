"""What windows need to be kept of events: their names checked against a case's schema."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from .records import hint
from .windows import MICROSECOND, Window

if TYPE_CHECKING:
    from .lookups import Tables

LABELS = ("target", "leak")
# What a record of a case with windows has besides the inputs: when, about what, and the number of the event.
FIELDS = ("time", "received", "known", "key")
# What can be said of each number of a vector.
OF_VECTORS = ("total", "mean", "minimum", "maximum", "deviation", "last")
DAY_IN_MICROSECONDS = timedelta(days=1) // MICROSECOND


class UnresolvedWindow(ValueError):
    """A window that names nothing, or that could not be told at its moment; the message says which."""


def columns_beside(windows: Mapping[str, Window], columns: Mapping[str, Mapping]) -> list[str]:
    """Return what functions may take besides numbers, categories and lookups: the windows and, beside these, the time."""
    times = [name for name, facts in columns.items() if facts["role"] == "time"] if windows else []
    return [*windows, *times]


class Plan(NamedTuple):
    """What is kept of events, and how: made of a case's windows and its schema.

    Attributes
    ----------
    windows
        By name; one that looks at a vector is here once for each of its numbers.
    time, received, known, key
        The columns of these roles; all but ``time`` may be None.
    entities
        Each combination of columns that some window goes by.
    columns
        What windows aggregate: raw columns and functions of the row.
    labels
        Those of the columns that count from when they were known.
    texts
        Those of the columns that are text.
    vectors
        The windows of each vector, by the name that functions take them by.
    lookups
        Those of the columns that are looked up.
    named
        The columns of a record that lookups go by.
    """

    windows: dict[str, Window]
    time: str
    received: str | None
    known: str | None
    key: str | None
    entities: list[tuple[str, ...]]
    columns: list[str]
    labels: frozenset[str]
    texts: frozenset[str]
    vectors: dict[str, list[str]]
    lookups: frozenset[str]
    named: list[str]

    @property
    def inputs(self) -> list[str]:
        """The windows that the model gets."""
        return [name for name in self.windows if not name.startswith("_")]

    def raw(self, features: Iterable[str]) -> list[str]:
        """The columns that windows look at and that are neither ``features`` nor looked up."""
        return [name for name in self.columns if name not in {*features, *self.lookups}]

    @property
    def fields(self) -> list[str]:
        """The columns that an event has for the windows' sake: entities, what lookups go by, times and its key."""
        names = [name for by in self.entities for name in by]
        return list(
            dict.fromkeys(
                [*names, *self.named, *(name for name in (self.time, self.received, self.key) if name)]
            )
        )


def resolve(
    windows: Mapping[str, Window],
    columns: Mapping[str, Mapping],
    features: Mapping[str, Iterable[str]],
    tables: "Tables | None" = None,
) -> Plan:
    """Check windows against a schema, and say what is kept of events.

    Parameters
    ----------
    windows
        By name, as ``discover`` finds them.
    columns
        ``kind`` (number, text or time) and ``role`` of each column of the schema, by name.
    features
        The parameters of each feature function, by name.
    tables
        The tables of lookups, if there are any.

    Raises
    ------
    UnresolvedWindow
        When a name is taken or is none, no column has the role ``time``, a window looks at a function of windows, or at a target
        whose schema does not say when it was known.

    Examples
    --------
    >>> from hardcover.runtime.windows import count
    >>> columns = {"card": {"kind": "text", "role": "entity"}, "at": {"kind": "time", "role": "time"}}
    >>> resolve({"seen": count(by="card", over=timedelta(hours=1))}, columns, {}).entities
    [('card',)]
    """
    roles = {rule["role"]: name for name, rule in columns.items() if rule["role"] in FIELDS}
    if windows and "time" not in roles:
        raise UnresolvedWindow(
            "windows need to know when an event was; no column of the schema has the role 'time'"
        )
    looked = tables.names if tables else []
    taken = sorted({*looked} & {*features, *windows})
    if taken:
        raise UnresolvedWindow(f"lookup {taken[0]!r} has the name of a feature or a window")
    windows, vectors = _one_for_each_number(windows, tables.sizes if tables else {})
    features = {**features, **dict.fromkeys(looked, ())}
    used: dict[str, None] = {}
    for name, window in windows.items():
        if window.aggregate == "recent" and not name.startswith("_"):
            raise UnresolvedWindow(
                f"window {name!r} is a tuple, which no model takes; name it _{name}, for functions"
            )
        if name in columns or name in features:
            raise UnresolvedWindow(f"window {name!r} has the name of a column or a feature")
        for by in window.by:
            _known(name, by, columns)
            if columns[by]["kind"] == "time":
                raise UnresolvedWindow(f"window {name!r} goes by {by!r}, which is a time, not an entity")
        if window.column is not None:
            _check_column(name, window, windows, columns, features)
            used[window.column] = None
    labels = frozenset(name for name in used if columns.get(name, {}).get("role") in LABELS)
    for name, window in windows.items():
        if window.column in labels and "known" not in roles:
            raise UnresolvedWindow(
                f"window {name!r} looks at {window.column!r}, and nothing says when that was known; "
                "give a column of the schema the role 'known'"
            )
        if window.column in labels and window.itself:
            raise UnresolvedWindow(
                f"window {name!r} has the row's own {window.column!r} in it, which is not known yet"
            )
    texts = frozenset(name for name in used if columns.get(name, {}).get("kind") == "text")
    entities = list(dict.fromkeys(window.by for window in windows.values()))
    places = [roles.get(role) for role in FIELDS]
    lookups, named = frozenset(looked) & {*used}, tables.fields if tables else []
    return Plan(dict(windows), *places, entities, list(used), labels, texts, vectors, lookups, named)  # type: ignore[arg-type]


def _one_for_each_number(
    windows: Mapping[str, Window], sizes: Mapping[str, int]
) -> tuple[dict[str, Window], dict[str, list[str]]]:
    """Return a window for each number of the vectors that windows look at, and their names by vector."""
    found: dict[str, Window] = {}
    vectors: dict[str, list[str]] = {}
    for name, window in windows.items():
        size = sizes.get(str(window.column))
        if size is None:
            found[name] = window
            continue
        if window.aggregate not in OF_VECTORS or not name.startswith("_"):
            raise UnresolvedWindow(
                f"window {name!r} takes the {window.aggregate} of a vector; it can be {', '.join(OF_VECTORS)}, "
                "for functions, so its name begins with an underscore"
            )
        # There are no vectors without lookups, which a wheel that has none does not carry.
        from .lookups import entries

        vectors[name] = entries(name, size)
        each = (window._replace(column=column) for column in entries(str(window.column), size))
        found |= zip(vectors[name], each, strict=True)
    return found, vectors


def _check_column(name: str, window: Window, windows: Mapping, columns: Mapping, features: Mapping) -> None:
    column = str(window.column)
    if column in windows:
        raise UnresolvedWindow(f"window {name!r} looks at the window {column!r}; it can look at columns only")
    if column not in features:
        _known(name, column, [*columns, *features])
        kind = columns[column]["kind"]
        if kind == "time" or (kind == "text" and window.aggregate not in ("count", "distinct")):
            raise UnresolvedWindow(f"window {name!r} takes the {window.aggregate} of {column!r}, a {kind}")
        return
    waiting, seen = [column], set()
    while waiting:
        each = waiting.pop()
        for parameter in features.get(each, ()):
            if parameter in windows:
                raise UnresolvedWindow(
                    f"window {name!r} looks at {column!r}, which needs the window {parameter!r}; "
                    "it can look at functions of the row's own columns only"
                )
            if parameter not in seen:
                seen.add(parameter)
                waiting.append(parameter)


def _known(name: str, column: str, known: Iterable[str]) -> None:
    if column not in known:
        raise UnresolvedWindow(f"window {name!r} needs {column!r}, which is no column{hint(column, known)}")
