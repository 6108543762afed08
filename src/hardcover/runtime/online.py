"""Windows in service: events in, and what a record's windows hold out."""

import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import features
from .events import NEVER, Event, Moment, is_missing, microseconds
from .histories import Histories
from .records import Fields, InvalidRecord, Problem, names_of
from .window_plan import DAY_IN_MICROSECONDS, Plan

if TYPE_CHECKING:
    from .lookups import Tables


class Online:
    """The windows of a model, and the histories that answer them.

    Parameters
    ----------
    plan
        What windows look at.
    fields
        The fields of a record.
    steps
        All features in order, with the windows and lookups as columns.
    tables
        The tables of lookups, if there are any.

    Attributes
    ----------
    histories
        Where events are kept; in memory unless another store is put here.
    """

    def __init__(
        self, plan: Plan, fields: Fields, steps: list[features.Step], tables: "Tables | None" = None
    ):
        self.plan, self._fields, self._moment, self._tables = plan, fields, Moment(plan), tables
        self._first = features.needed_by(plan.columns, steps)
        self._later = [step for step in steps if step not in self._first]
        functions = {step.name for step in steps}
        self._given = [name for name in plan.raw(functions) if name not in fields.properties]
        self._read = {*fields.properties}
        # Windows look at numbers of the record alone.
        self._is_plain = not self._first and not {*plan.columns} & (
            plan.texts | plan.lookups | fields.levels.keys()
        )
        self.histories: Any = Histories(plan)

    def observe(self, record: Mapping[str, Any]) -> bool:
        """Keep an event, or what is known of one now; returns whether that is new.

        Parameters
        ----------
        record
            The fields that windows look at, with the entities, the time and the key; and of what counts from when it was known, that
            time. Or the key, that time and what is known, of an event that is kept.

        Raises
        ------
        InvalidRecord
            Lists what is missing or of another kind.
        ConflictingEvent
            When an event with its key is kept and differs.
        """
        if self.plan.known is not None and self.plan.time not in record and self.plan.key in record:
            return self._learn(record)
        return self.histories.observe(self.event(record))

    def event(self, record: Mapping[str, Any]) -> Event:
        """Return a record as an event; raises ``InvalidRecord`` as ``observe`` does."""
        if not isinstance(record, Mapping):
            raise InvalidRecord([Problem("event", f"is a {type(record).__name__}, not a mapping of fields")])
        key = record.get(self.plan.key)
        if not isinstance(key, str) or not key:
            raise InvalidRecord(
                [Problem(str(self.plan.key), f"{key!r:.60} does not name the event; give a text")]
            )
        time, received, entities = self._moment.read(record)
        own = self._plain(record) if self._is_plain else None
        if own is not None:
            return Event(time, received, self._known_at(record), key, entities, own)
        values = self._fields.encode({name: record.get(name) for name in self._read}, validate=False)
        values[self.plan.time] = time / DAY_IN_MICROSECONDS
        if self._tables is not None:
            values |= self._tables.read(record)
        if self._first:
            features.compute(self._first, values, self._fields.levels)
        own, known = self._own(record, values), self._known_at(record)
        for name, value in zip(self.plan.columns, own, strict=True):
            if isinstance(value, float) and math.isinf(value):
                raise InvalidRecord([Problem(name, "is not finite; windows take numbers that are")])
        return Event(time, received, known, key, entities, own)

    def _plain(self, record: Mapping[str, Any]) -> tuple | None:
        """Return what windows look at of an event that is plainly right; None for any other."""
        found = []
        for name in self.plan.columns:
            value = record.get(name)
            if type(value) is float and value - value == 0.0:
                # Of two zeros, one is kept, so that no order decides which.
                found.append(value + 0.0)
            elif value is None and name in self.plan.labels:
                found.append(math.nan)
            else:
                return None
        return tuple(found)

    def _known_at(self, record: Mapping[str, Any]) -> int:
        moment = record.get(self.plan.known) if self.plan.known is not None else None
        if moment is None:
            told = [name for name in self.plan.labels if not is_missing(record.get(name))]
            if told:
                raise InvalidRecord([Problem(str(self.plan.known), f"is missing, but {told[0]!r} is given")])
            return NEVER
        try:
            return microseconds(moment)
        except ValueError as error:
            raise InvalidRecord([Problem(str(self.plan.known), str(error))]) from error

    def _own(self, record: Mapping[str, Any], values: dict[str, float]) -> tuple:
        """Return what windows may look at of a record, in the plan's order."""
        found: list[float | str | None] = []
        for name in self.plan.columns:
            if name in self.plan.texts:
                value = record.get(name)
                if value is not None and not isinstance(value, str):
                    raise InvalidRecord(
                        [Problem(name, f"{value!r:.60} is a {type(value).__name__}, not a text")]
                    )
                found.append(value)
            else:
                number = _number(name, record.get(name)) if name in self._given else values[name]
                # Of two zeros, one is kept, so that no order decides which.
                found.append(number + 0.0)
        return tuple(found)

    def _learn(self, record: Mapping[str, Any]) -> bool:
        there = self.histories.event(record[self.plan.key])
        if there is None:
            self.histories.counts["late"] += 1
            return False
        values = list(there.values)
        for name in self.plan.labels:
            if name in record:
                values[self.plan.columns.index(name)] = _number(name, record[name]) + 0.0
        return self.histories.observe(there._replace(known=self._known_at(record), values=tuple(values)))

    def inputs(
        self,
        record: Mapping[str, Any],
        values: dict[str, float],
        past: Mapping[str, Any] | None = None,
        known: dict | None = None,
    ) -> dict[str, float]:
        """Add to a record's encoded values its windows, and all features.

        ``past`` stands in for the histories; ``known`` is what ``Histories.answer`` takes.

        Raises
        ------
        InvalidRecord
            When the time is missing, or a time or the name of an entity is none.
        ValueError
            When a window begins before events that were dropped.
        """
        time, asked, entities = self._moment.read(record)
        values[self.plan.time] = time / DAY_IN_MICROSECONDS
        if self._tables is not None:
            values |= self._tables.read(record)
        if self._first:
            features.compute(self._first, values, self._fields.levels)
        if past is None and self._is_plain and self.plan.labels.isdisjoint(record):
            own = self._plain(record)
            if own is not None:
                values.update(
                    zip(
                        self.plan.windows,
                        self.histories.answer(time, asked, entities, own, known),
                        strict=True,
                    )
                )
                return features.compute(self._later, values, self._fields.levels) if self._later else values
        if past is None:
            unknown = (
                record
                if self.plan.labels.isdisjoint(record)
                else {**record, **dict.fromkeys(self.plan.labels)}
            )
            own = _finite(self._own(unknown, values))
            found = self.histories.answer(time, asked, entities, own, known)
            past = dict(zip(self.plan.windows, found, strict=True))
        values.update(past)
        for name, parts in self.plan.vectors.items():
            values[name] = tuple(values[part] for part in parts)  # type: ignore[assignment]
        return features.compute(self._later, values, self._fields.levels) if self._later else values

    def inputs_of(self, columns: Any, values: dict, rows: int, inputs: list[str]) -> Any:
        """Return the model's inputs of raw columns, shape (rows, inputs): windows row by row, features for all at once."""
        import numpy as np

        names = names_of(columns)
        wanted = {*self.plan.fields, *self._given, *self.plan.texts} - self.plan.labels
        asked = {name: np.asarray(columns[name]) for name in names if name in wanted}
        asked = {
            name: column.astype("datetime64[us]") if column.dtype.kind == "M" else column
            for name, column in asked.items()
        }
        every = [{name: _plain(column[row]) for name, column in asked.items()} for row in range(rows)]
        moments = list(map(self._moment.read, every))
        values[self.plan.time] = np.array([time for time, *_ in moments]) / DAY_IN_MICROSECONDS
        if self._tables is not None:
            values |= self._tables.read_many(columns, rows)
        features.compute_many(self._first, values, rows, self._fields.levels)
        numbers = [name for name in self.plan.columns if name in values]
        found: list[list] = []
        for row, (record, (time, received, entities)) in enumerate(zip(every, moments, strict=True)):
            own = self._own(record, {name: float(values[name][row]) for name in numbers})
            found.append(self.histories.answer(time, received, entities, _finite(own)))
        for slot, name in enumerate(self.plan.windows):
            values[name] = np.array([answer[slot] for answer in found], dtype=np.float64)
        for name, parts in self.plan.vectors.items():
            values[name] = np.column_stack([values[part] for part in parts])
        features.compute_many(self._later, values, rows, self._fields.levels)
        return np.column_stack([values[name] for name in inputs])


def _plain(value: Any) -> Any:
    """Return a value of an array as Python's own; missing as None."""
    value = value.item() if hasattr(value, "item") else value
    return None if value is None or value != value else value


def _finite(own: tuple) -> tuple:
    """Return a row's own values; one that is not finite is missing to windows."""
    return tuple(math.nan if isinstance(value, float) and math.isinf(value) else value for value in own)


def _number(name: str, value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidRecord([Problem(name, f"{value!r:.60} is a {type(value).__name__}, not a number")])
    return float(value)
