"""An event as histories keep it, and how a record says when it was and about what."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .records import InvalidRecord, Problem
from .window_plan import Plan
from .windows import MICROSECOND

EPOCH, EPOCH_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)
# Times beyond 1900 and 2200 are a wrong clock or a wrong unit.
FIRST, LAST = ((datetime(year, 1, 1) - EPOCH) // MICROSECOND for year in (1900, 2200))
# Later than any time: of a label that is not known yet.
NEVER = 2**63 - 1


class Event(NamedTuple):
    """What a history keeps of one event.

    Attributes
    ----------
    time, received, known
        Microseconds since 1970-01-01 UTC: when it happened, when it arrived, and when its labels were known, else ``NEVER``.
    key
        Its number; of two events with one key, the second is the first again.
    entities
        For each of ``Plan.entities`` the names, as one text; None where one is missing.
    values
        For each of ``Plan.columns`` a float or, of a text column, a text; missing is NaN or None.
    """

    time: int
    received: int
    known: int
    key: str
    entities: tuple[str | None, ...]
    values: tuple[float | str | None, ...]


def microseconds(value: object) -> int:
    """Return a moment as microseconds since 1970-01-01 UTC.

    Parameters
    ----------
    value
        A ``datetime``, or a text by ISO 8601. Without an offset it is UTC; with one, it is brought to UTC.

    Raises
    ------
    ValueError
        When it is neither, or lies before 1900 or after 2200.

    Examples
    --------
    >>> microseconds("2024-03-31T02:30:00+02:00") == microseconds("2024-03-31T00:30:00")
    True
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value[:60]!r} is no time by ISO 8601") from error
    if not isinstance(value, datetime):
        raise ValueError(
            f"{value!r:.60} is a {type(value).__name__}, not a time; give a datetime, or a text by ISO 8601"
        )
    past = value - (EPOCH if value.tzinfo is None else EPOCH_UTC)
    found = (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds
    if not FIRST <= found <= LAST:
        raise ValueError(f"{value} is not between 1900 and 2200; is its unit wrong?")
    return found


class Moment:
    """Reads from a record when it happened, and about what, for the windows of a plan."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._times = [name for name in (plan.time, plan.received) if name]
        # Entities of one column, which are most.
        self._alone = [by[0] for by in plan.entities] if all(len(by) == 1 for by in plan.entities) else None

    def read(self, record: Mapping[str, Any]) -> tuple[int, int, tuple[str | None, ...]]:
        """Return its time, when it was received, and the name of each of the plan's entities.

        A record without ``received`` arrived when it happened.

        Raises
        ------
        InvalidRecord
            Lists what is missing, or no time or name.
        """
        try:
            time = asked = microseconds(record[self.plan.time])
            if self.plan.received and record.get(self.plan.received) is not None:
                asked = microseconds(record[self.plan.received])
            if self._alone is not None:
                names = tuple(map(record.get, self._alone))
                if all(type(name) is str for name in names):
                    return time, asked, names
        except (KeyError, ValueError):
            pass
        return self._read_any(record)

    def _read_any(self, record: Mapping[str, Any]) -> tuple[int, int, tuple[str | None, ...]]:
        problems, moments = [], []
        for name in self._times:
            value = record.get(name)
            if value is None:
                if name == self.plan.time:
                    problems.append(Problem(name, "is missing; windows need it"))
                continue
            try:
                moments.append(microseconds(value))
            except ValueError as error:
                problems.append(Problem(name, str(error)))
        entities = []
        for by in self.plan.entities:
            mine = [record.get(name) for name in by]
            problems += [
                Problem(name, f"{value!r:.60} is a {type(value).__name__}, not the name of an entity")
                for name, value in zip(by, mine, strict=True)
                if value is not None and not isinstance(value, str)
            ]
            entities.append(entity_of(mine))
        if problems:
            raise InvalidRecord(list(dict.fromkeys(problems)))
        return moments[0], moments[-1], tuple(entities)


def entity_of(names: list[str | None]) -> str | None:
    """Return the names of an entity as one text; None where one is missing."""
    if None in names:
        return None
    # The separator of units in ASCII, which no sensible name has.
    return "\x1f".join(map(str, names))


def label_places(plan: Plan) -> list[int]:
    """Return which of the plan's columns are labels."""
    return [plan.columns.index(name) for name in plan.labels]


def same(one: Event, other: Event, labels: list[int]) -> bool:
    """Check whether two events of one key have one content; a label that is not known yet differs from none."""
    if (one.time, one.received, one.entities) != (other.time, other.received, other.entities):
        return False
    if NEVER not in (one.known, other.known) and one.known != other.known:
        return False
    open_labels = labels if NEVER in (one.known, other.known) else []
    return all(
        mine == theirs or (is_missing(mine) and is_missing(theirs)) or number in open_labels
        for number, (mine, theirs) in enumerate(zip(one.values, other.values, strict=True))
    )


def is_missing(value: object) -> bool:
    """Check whether a value is None or NaN; a text that is missing is None, and NaN once it was read back."""
    return value is None or value != value


def packed(event: Event) -> list:
    """Return an event as JSON can hold it; floats read back to the same bits."""
    values = [None if is_missing(value) else value for value in event.values]
    return [event.time, event.received, event.known, event.key, list(event.entities), values]


def unpacked(found: list) -> Event:
    """Return the event that ``packed`` packed."""
    time, received, known, key, entities, values = found
    return Event(
        time, received, known, key, tuple(entities), tuple(math.nan if v is None else v for v in values)
    )


def fingerprint(plan: Plan) -> str:
    """Return what two plans share if one can take the other's events."""
    return json.dumps([plan.entities, plan.columns, sorted(plan.labels)])
