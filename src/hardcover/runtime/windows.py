"""Windows: what an entity did before a moment, as it was known at that moment.

A window is declared in a features module by its name, beside the functions, and is used as a parameter like a column::

    from datetime import timedelta
    from hardcover.runtime import windows

    spent_week = windows.total("amount", by="customer", over=timedelta(days=7))
    terminal_risk = windows.share("fraud", by="terminal", over=timedelta(days=30), delay=timedelta(days=7))

    def unusual(amount, spent_week):
        return amount / spent_week

One declaration has one meaning, in training and in a service:

- A row at ``time`` is answered when it is ``received``. Of its entity's events it sees those that were received before, strictly:
  what arrives in the same microsecond was not there yet. A target, or what is known with it, counts from when it was ``known``.
- Of these, a duration takes the events after ``time - delay - over``, up to and with ``time - delay``; a number of rows takes the
  last of those up to ``time - delay``, by the order of (time, received, key). None takes all.
- Missing values are left out, and so are rows without an entity. An aggregate of nothing is missing, but a count and a total are 0.
- Totals, means and variances are correctly rounded (as ``math.fsum``), so the order of events changes no bit.

A window whose name begins with an underscore is for functions only; the model gets the others as inputs. Beside windows, functions may
take the column of the role ``time``: as days since 1970-01-01 UTC, so that ``at % 1 * 24`` is the hour.
"""

import difflib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import ModuleType
from typing import NamedTuple

AGGREGATES = (
    "count", "total", "mean", "minimum", "maximum", "deviation", "last", "distinct", "since", "share", "recent",
)  # fmt: skip
LABELS = ("target", "leak")
# What a record of a case with windows has besides the inputs: when, about what, and the number of the event.
FIELDS = ("time", "received", "known", "key")
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
DAY_IN_MICROSECONDS = DAY // MICROSECOND


class UnresolvedWindow(ValueError):
    """A window that names nothing, or that could not be told at its moment; the message says which."""


class Window(NamedTuple):
    """One aggregate of an entity's past events; made by ``count``, ``mean`` and the others."""

    aggregate: str
    column: str | None
    by: tuple[str, ...]
    over: timedelta | int | None
    delay: timedelta
    itself: bool

    @property
    def span(self) -> int | None:
        """Microseconds from the window's start to its end; None where it goes by rows, or is all the past."""
        return self.over // MICROSECOND if isinstance(self.over, timedelta) else None

    @property
    def rows(self) -> int | None:
        """How many rows it has at most; None where it goes by time, or is all the past."""
        return self.over if isinstance(self.over, int) else None

    def __str__(self) -> str:
        what = self.aggregate if self.column is None else f"{self.aggregate} of {self.column}"
        length = {True: f"the last {self.over} rows", False: f"{self.over}"}[isinstance(self.over, int)]
        return "".join(
            [
                f"{what} by {', '.join(self.by)}, over {'all the past' if self.over is None else length}",
                f", delayed by {self.delay}" if self.delay else "",
                ", the row itself included" if self.itself else "",
            ]
        )


def _made(
    aggregate: str,
    column: str | None,
    by: str | tuple[str, ...],
    over: timedelta | int | None,
    delay: timedelta = timedelta(0),
    itself: bool = False,
) -> Window:
    names = (by,) if isinstance(by, str) else tuple(by)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"by={by!r}: name the column of the entity, or several")
    if isinstance(over, bool) or not isinstance(over, timedelta | int | None):
        raise ValueError(f"over={over!r}: give a timedelta, a number of rows, or None for all the past")
    if over is not None and over <= (timedelta(0) if isinstance(over, timedelta) else 0):
        raise ValueError(f"over={over!r}: a window is longer than nothing")
    if not isinstance(delay, timedelta) or delay < timedelta(0):
        raise ValueError(f"delay={delay!r}: give a timedelta of 0 or more; the future is not known")
    if itself and delay:
        raise ValueError("itself=True: a window that ends before the row cannot have the row in it")
    return Window(aggregate, column, names, over, delay, bool(itself))


def count(by, over, column=None, delay=timedelta(0), itself=False):
    """Return how many events there were, or how many with a value of ``column``.

    Parameters
    ----------
    by
        The column that names the entity, or several.
    over
        A ``timedelta``, a number of rows, or None for all the past.
    column
        What is aggregated: a raw column, or a function of the row's own columns.
    delay
        How long before the row the window ends.
    itself
        Whether the row itself is in it.

    Raises
    ------
    ValueError
        When the length is not above 0, the delay is below 0, or a delayed window should have the row itself.
    """
    return _made("count", column, by, over, delay, itself)


def total(column, by, over, delay=timedelta(0), itself=False):
    """Return the correctly rounded sum of a column; 0.0 of nothing. See ``count`` for parameters."""
    return _made("total", column, by, over, delay, itself)


def mean(column, by, over, delay=timedelta(0), itself=False):
    """Return the correctly rounded mean of a column. See ``count`` for parameters."""
    return _made("mean", column, by, over, delay, itself)


def minimum(column, by, over, delay=timedelta(0), itself=False):
    """Return the smallest value of a column. See ``count`` for parameters."""
    return _made("minimum", column, by, over, delay, itself)


def maximum(column, by, over, delay=timedelta(0), itself=False):
    """Return the largest value of a column. See ``count`` for parameters."""
    return _made("maximum", column, by, over, delay, itself)


def deviation(column, by, over, delay=timedelta(0), itself=False):
    """Return the standard deviation with n - 1, the root of the correctly rounded variance; missing below two values.

    See ``count`` for parameters.
    """
    return _made("deviation", column, by, over, delay, itself)


def last(column, by, over=None, delay=timedelta(0)):
    """Return the latest value of a column that is not missing. See ``count`` for parameters."""
    return _made("last", column, by, over, delay)


def distinct(column, by, over, delay=timedelta(0), itself=False):
    """Return how many different values a column of numbers or text has had. See ``count`` for parameters."""
    return _made("distinct", column, by, over, delay, itself)


def since(by, column=None, over=None, delay=timedelta(0)):
    """Return the seconds since the last event, or the last at which ``column`` is neither 0 nor missing.

    See ``count`` for parameters.
    """
    return _made("since", column, by, over, delay)


def share(column, by, over, delay=timedelta(0), itself=False):
    """Return the share of events at which a column is not 0, of those that have a value. See ``count`` for parameters."""
    return _made("share", column, by, over, delay, itself)


def recent(column, by, rows, delay=timedelta(0), itself=False):
    """Return the last ``rows`` values of a column, the newest first, missing where there is none.

    A tuple, for functions: ``def slope(_recent_load): return _recent_load[0] - _recent_load[-1]``. Name it with an underscore.
    """
    if not isinstance(rows, int):
        raise ValueError(f"rows={rows!r}: give a number of rows")
    return _made("recent", column, by, rows, delay, itself)


def discover(module: ModuleType) -> dict[str, Window]:
    """Find the windows that a module declares, sorted by name."""
    return {name: value for name, value in sorted(vars(module).items()) if isinstance(value, Window)}


def columns_beside(windows: Mapping[str, Window], columns: Mapping[str, Mapping]) -> list[str]:
    """Return what functions may take besides numbers and categories: the windows and, beside these, the time."""
    times = [name for name, facts in columns.items() if facts["role"] == "time"] if windows else []
    return [*windows, *times]


class Plan(NamedTuple):
    """What is kept of events, and how: made of a case's windows and its schema.

    Attributes
    ----------
    windows
        By name.
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

    @property
    def inputs(self) -> list[str]:
        """The windows that the model gets."""
        return [name for name in self.windows if not name.startswith("_")]

    def raw(self, features: Iterable[str]) -> list[str]:
        """The columns that windows look at and that are no ``features``."""
        return [name for name in self.columns if name not in set(features)]

    @property
    def fields(self) -> list[str]:
        """The columns that an event has for the windows' sake: entities, times and its key."""
        names = [name for by in self.entities for name in by]
        return list(dict.fromkeys([*names, *(name for name in (self.time, self.received, self.key) if name)]))


def resolve(
    windows: Mapping[str, Window], columns: Mapping[str, Mapping], features: Mapping[str, Iterable[str]]
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

    Raises
    ------
    UnresolvedWindow
        When a name is taken or is none, no column has the role ``time``, a window looks at a function of windows, or at a target
        whose schema does not say when it was known.

    Examples
    --------
    >>> columns = {"card": {"kind": "text", "role": "entity"}, "at": {"kind": "time", "role": "time"}}
    >>> resolve({"seen": count(by="card", over=timedelta(hours=1))}, columns, {}).entities
    [('card',)]
    """
    roles = {rule["role"]: name for name, rule in columns.items() if rule["role"] in FIELDS}
    if windows and "time" not in roles:
        raise UnresolvedWindow(
            "windows need to know when an event was; no column of the schema has the role 'time'"
        )
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
    return Plan(dict(windows), *places, entities, list(used), labels, texts)  # type: ignore[arg-type]


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
        close = difflib.get_close_matches(column, list(known), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UnresolvedWindow(f"window {name!r} needs {column!r}, which is no column{hint}")
