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

from datetime import timedelta
from types import ModuleType
from typing import NamedTuple

AGGREGATES = (
    "count", "total", "mean", "minimum", "maximum", "deviation", "last", "distinct", "since", "share", "recent",
)  # fmt: skip
MICROSECOND = timedelta(microseconds=1)


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
