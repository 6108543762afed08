"""Model-years to watch: rows with a daily and a weekly season that depend on the day before, a model that is right about them, and faults; numpy only, for all environments."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DAYS, ROWS, REFERENCE = 365, 200, 5000
NUMBERS, LEVELS = 8, [0.5, 0.3, 0.15, 0.05]
NAMES = [f"x{number}" for number in range(NUMBERS)] + ["kind"]
WEIGHTS = np.array([1.2, -0.9, 0.7, 0.5, -0.4, 0.3, 0.2, 0.0])
OF_KINDS = np.array([0.0, 0.4, -0.5, 0.8])
BIAS, MISSED, FALSE_ALARM = -2.2, 5.0, 1.0
THRESHOLD = FALSE_ALARM / (FALSE_ALARM + MISSED)


class Day(NamedTuple):
    """A day's rows: inputs, shape (rows, 9), the last one a category; what came of them; and their times, as days."""

    inputs: np.ndarray
    label: np.ndarray
    time: np.ndarray


def raw_score(inputs: np.ndarray) -> np.ndarray:
    """Return the model's log-odds, which are right; what is missing or unseen adds nothing."""
    kinds = np.where(inputs[:, -1] >= 0, inputs[:, -1], 0).astype(int)
    return (
        BIAS + np.nan_to_num(inputs[:, :-1]) @ WEIGHTS + OF_KINDS[np.minimum(kinds, 3)] * (inputs[:, -1] >= 0)
    )


def score(inputs: np.ndarray) -> np.ndarray:
    """Return the model's probabilities."""
    return 1 / (1 + np.exp(-raw_score(inputs).clip(-500, 500)))


def losses(label: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return what each answer costs."""
    alarm = found >= THRESHOLD
    return np.where(label == 1, np.where(alarm, 0.0, MISSED), np.where(alarm, FALSE_ALARM, 0.0))


class Year:
    """A year of one model, from a seed; nothing is wrong with it."""

    def __init__(self, seed: int):
        self._chance = np.random.default_rng([71, seed])
        self._weekly = self._chance.uniform(0, 0.3, NUMBERS)
        self._daily = self._chance.uniform(0, 0.4, NUMBERS)
        self._phase = self._chance.uniform(0, 2 * np.pi, (2, NUMBERS))
        self._today = np.zeros(NUMBERS)

    def _rows(self, days: np.ndarray, wander: np.ndarray) -> Day:
        angle = 2 * np.pi * days[:, None]
        season = self._daily * np.sin(angle + self._phase[0]) + self._weekly * np.sin(
            angle / 7 + self._phase[1]
        )
        numbers = season + wander + self._chance.normal(0, 1, (len(days), NUMBERS))
        # One of another kind, which the model does not use.
        numbers[:, -1] = np.exp(numbers[:, -1])
        kind = self._chance.choice(len(LEVELS), len(days), p=LEVELS)
        inputs = np.column_stack([numbers, kind])
        return Day(inputs, (self._chance.random(len(days)) < score(inputs)).astype(float), days)

    def reference(self) -> Day:
        """Return the rows that the model was measured on: of the 100 days before."""
        day = np.sort(self._chance.integers(-100, 0, REFERENCE))
        walk = [self._walk() for _ in range(100)]
        return self._rows(day + self._chance.random(REFERENCE), np.array(walk)[day + 100])

    def _walk(self) -> np.ndarray:
        """Let each number's daily mean wander: an autoregression of 0.6, with a standard deviation of 0.15."""
        self._today = 0.6 * self._today + self._chance.normal(0, 0.15 * 0.8, NUMBERS)
        return self._today

    def day(self, number: int) -> Day:
        """Return a day's rows; days are asked for in order."""
        times = number + np.sort(self._chance.random(ROWS))
        return self._rows(times, self._walk())


def _inputs(change: Callable[[np.ndarray, np.random.Generator], None]) -> Callable:
    def broken(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
        inputs = day.inputs.copy()
        change(inputs, chance)
        return day._replace(inputs=inputs)

    return broken


def _labels(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable:
    def broken(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
        return day._replace(label=change(day.label, chance))

    return broken


def _set(column: int, of: Callable[[np.ndarray], object]) -> Callable:
    def change(inputs: np.ndarray, chance: np.random.Generator) -> None:
        inputs[:, column] = of(inputs[:, column])

    return _inputs(change)


def _some(column: int, share: float, value: float) -> Callable:
    def change(inputs: np.ndarray, chance: np.random.Generator) -> None:
        inputs[chance.random(len(inputs)) < share, column] = value

    return _inputs(change)


def _swap(first: int, second: int) -> Callable:
    def change(inputs: np.ndarray, chance: np.random.Generator) -> None:
        inputs[:, [first, second]] = inputs[:, [second, first]] + [0.0, 0.0]

    return _inputs(change)


def _again(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
    return Day(*(np.concatenate([part, part]) for part in day))


def _half(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
    return Day(*(part[::2] for part in day))


def _none(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
    return Day(*(part[:0] for part in day))


def _plant(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
    inputs = day.inputs.copy()
    theirs = chance.random(len(inputs)) < 0.3
    inputs[theirs, -1], inputs[theirs, 0] = -1, inputs[theirs, 0] + 1.5
    return day._replace(inputs=inputs)


def _wear(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
    inputs = day.inputs.copy()
    inputs[:, 2] += 0.1 * age
    return day._replace(inputs=inputs)


def _other(column: int) -> Callable:
    def broken(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
        odds = raw_score(day.inputs) - 2 * day.inputs[:, column] * WEIGHTS[column]
        return day._replace(label=(chance.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float))

    return broken


def _more(day: Day, before: Day, chance: np.random.Generator, age: int) -> Day:
    odds = raw_score(day.inputs) + 1.2
    return day._replace(label=(chance.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float))


# By name: what happens to a day, and what an alert has to name first: an input, or one of "rows", "labels".
FAULTS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "unit x1000": (_set(0, lambda column: column * 1000), ("x0",)),
    "unit /1000": (_set(1, lambda column: column / 1000), ("x1",)),
    "kelvin for celsius": (_set(2, lambda column: column + 273.15), ("x2",)),
    "stuck at a value": (_set(0, lambda column: 0.3), ("x0",)),
    "stuck at zero": (_set(7, lambda column: 0.0), ("x7",)),
    "stuck at -999": (_some(3, 1.0, -999.0), ("x3",)),
    "some -999": (_some(3, 0.1, -999.0), ("x3",)),
    "null burst": (_some(1, 0.3, np.nan), ("x1",)),
    "all null": (_some(4, 1.0, np.nan), ("x4",)),
    "a few nulls": (_some(5, 0.08, np.nan), ("x5",)),
    "sign lost": (_set(0, np.abs), ("x0",)),
    "sign turned, offset": (_set(1, lambda column: 2 - column), ("x1",)),
    "offset": (_set(0, lambda column: column + 1.5), ("x0",)),
    "gain": (_set(2, lambda column: column * 4), ("x2",)),
    "rounded": (_set(3, np.round), ("x3",)),
    "clipped": (_set(0, lambda column: np.minimum(column, 0.0)), ("x0",)),
    "swapped columns": (_swap(0, 7), ("rows", "labels", "x0", "x7")),
    "category renamed": (_set(-1, lambda column: np.where(column == 1, -1, column)), ("kind",)),
    "category lost": (_set(-1, lambda column: np.zeros(len(column))), ("kind",)),
    "new category": (_some(-1, 0.3, -1.0), ("kind",)),
    "new plant": (_plant, ("kind", "x0")),
    "slow wear": (_wear, ("x2",)),
    "doubled feed": (_again, ("rows",)),
    "half of the feed": (_half, ("rows",)),
    "no feed": (_none, ("rows",)),
    "labels flipped": (_labels(lambda label, _: 1 - label), ("labels",)),
    "labels all 0": (_labels(lambda label, _: np.zeros(len(label))), ("labels",)),
    "a third of labels flipped": (
        _labels(lambda label, chance: np.where(chance.random(len(label)) < 0.3, 1 - label, label)),
        ("labels",),
    ),
    "another relation": (_other(0), ("labels",)),
    "more of it": (_more, ("labels",)),
}


def _wrong(chance: np.random.Generator, rows: int, more: float) -> np.ndarray:
    return (chance.random(rows) < 0.2 * more).astype(float)


def _amounts(chance: np.random.Generator, rows: int, more: float) -> np.ndarray:
    return np.abs(chance.normal(0, more, rows))


def _costs(chance: np.random.Generator, rows: int, more: float) -> np.ndarray:
    place = chance.random(rows)
    return np.where(place < 0.06 * more, MISSED, np.where(place < 0.16 * more, FALSE_ALARM, 0.0))


# Losses of rows, so many times what is usual in the mean: of a fifth of wrong answers, of amounts with normal errors, and of costs.
KINDS = {"wrong answers": _wrong, "errors of amounts": _amounts, "costs": _costs}
# Days with one false alarm at most, on average; quiet ones before a harm; rows within which it is to be found; rows that say what is usual; what is tolerated.
LEVEL, QUIET, SOON, REFERENCE_ROWS, TOLERANCES = 250, 30, 5000, 7500, (0.0, 0.05)


def told(harmed: list[int | None], quiet: list[int | None]) -> str:
    """Return in words how soon a harm was found, by the day of the first alarm of each stream, and how many streams without one have an alarm."""
    rows = np.array(
        [np.inf if day is None else (day - QUIET) * ROWS for day in harmed if day is None or day > QUIET]
    )
    false = sum(day is not None for day in quiet)
    return f"{(rows <= SOON).mean():.0%}, {np.median(rows):,.0f}, {false / len(quiet):.0%}"
