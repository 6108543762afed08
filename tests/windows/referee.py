"""What a window means, written down as plainly as it can be: slow, and the judge of both engines."""

import math
from fractions import Fraction

from hardcover.runtime.events import Event
from hardcover.runtime.window_plan import Plan
from hardcover.runtime.windows import MICROSECOND, Window


def answer(plan: Plan, events: list[Event], row: Event) -> dict:
    """Return what each window holds for a row, of the events that it could see."""
    return {name: one(plan, window, events, row) for name, window in plan.windows.items()}


def one(plan: Plan, window: Window, events: list[Event], row: Event):
    place = plan.entities.index(window.by)
    column = None if window.column is None else plan.columns.index(window.column)
    is_label = window.column in plan.labels
    end = row.time - window.delay // MICROSECOND
    mine = [
        event
        for event in sorted(events, key=lambda event: (event.time, event.received, event.key))
        if row.entities[place] is not None
        and event.entities[place] == row.entities[place]
        and (event.known if is_label else event.received) < row.received
        and event.time <= end
        and (window.span is None or event.time > end - window.span)
    ]
    if window.itself:
        mine.append(row)
    if window.rows is not None:
        mine = mine[-window.rows :]
    if window.aggregate == "since":
        hits = [event for event in mine if column is None or is_true(event.values[column])]
        return (row.time - hits[-1].time) / 1e6 if hits else math.nan
    if column is None:
        return float(len(mine))
    values = [event.values[column] for event in mine]
    if window.aggregate == "recent":
        return (*reversed(values), *[math.nan] * (window.rows - len(values)))
    return OF_VALUES[window.aggregate]([value for value in values if value is not None and value == value])


def is_true(value) -> bool:
    return value == value and value != 0


def mean(values: list[float]) -> float:
    return as_float(sum(map(Fraction, values), Fraction(0)) / len(values)) if values else math.nan


def deviation(values: list[float]) -> float:
    if len(values) < 2:
        return math.nan
    exact = list(map(Fraction, values))
    middle = sum(exact) / len(exact)
    return math.sqrt(as_float(sum((each - middle) ** 2 for each in exact) / (len(exact) - 1)))


def as_float(number: Fraction) -> float:
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return math.inf if number > 0 else -math.inf


OF_VALUES = {
    "count": lambda values: float(len(values)),
    "total": lambda values: as_float(sum(map(Fraction, values), Fraction(0))),
    "mean": mean,
    "minimum": lambda values: min(values, default=math.nan),
    "maximum": lambda values: max(values, default=math.nan),
    "deviation": deviation,
    "last": lambda values: values[-1] if values else math.nan,
    "distinct": lambda values: float(len(set(values))),
    "share": lambda values: sum(value != 0 for value in values) / len(values) if values else math.nan,
}
