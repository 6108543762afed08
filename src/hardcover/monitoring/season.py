"""What is usual of rows by their key, such as the weekday or the plant: a window is compared with rows of the holdout of the same keys, in the same mix, never with one average."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hardcover.errors import HardcoverError
from hardcover.monitoring.reference import Reference

OF_TIMES = ("hour", "weekday", "month")
# A key counts as if so many rows of the whole holdout had it, too: what few rows say of one is not believed.
WHOLE = 50


class Usual(NamedTuple):
    """What is usual of some rows: the share of them in each group of values, shape (groups,), and the mean loss, as it was and as it was expected."""

    shares: np.ndarray
    loss: float
    expected: float


class Season:
    """The keys of a holdout.

    Parameters
    ----------
    reference
        The champion, with its holdout.
    by
        What makes a key: of ``OF_TIMES``, or inputs that are categories; nothing: all rows have the same.
    inside
        Which rows of the holdout lie in each group of values, shape (groups, rows), as 0 and 1.

    Attributes
    ----------
    dependence, dependence_of_loss
        Of how many rows one counts, beside what is usual of them: for each group, shape (groups,), and for the loss.

    Raises
    ------
    HardcoverError
        When a name is neither.
    """

    def __init__(self, reference: Reference, by: list[str], inside: np.ndarray):
        names = list(reference.model.inputs)
        for name in by:
            if name not in OF_TIMES and not (name in names and reference.levels.get(name)):
                known = [*OF_TIMES, *(each for each in names if reference.levels.get(each))]
                raise HardcoverError(
                    f"{name!r} makes no season", "monitoring.season", f"Name some of: {', '.join(known)}."
                )
        self._by, self._places = list(by), {name: names.index(name) for name in by if name not in OF_TIMES}
        expected = reference.meaning.losses(reference.holdout.score)
        values = np.vstack([inside, reference.loss, expected])
        keys = self._keys(reference.when, reference.holdout.inputs)
        self._numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
        of_rows = np.array([self._numbers[key] for key in keys])
        sums = np.zeros((len(values), len(self._numbers) + 1))
        for number in range(len(self._numbers)):
            sums[:, number] = values[:, of_rows == number].sum(axis=1)
        rows = np.append(np.bincount(of_rows, minlength=len(self._numbers)), 0)
        # The last one stands for keys that the holdout has not.
        self._usual = (sums + WHOLE * values.mean(axis=1, keepdims=True)) / (rows + WHOLE)
        left = values[:-1] - self._usual[:-1, of_rows]
        *of_groups, self.dependence_of_loss = (reference.dependence_of(each) for each in left)
        self.dependence = np.array(of_groups)

    def _keys(self, when: pd.Series, inputs: np.ndarray) -> list[tuple]:
        parts = [
            inputs[:, self._places[name]]
            if name in self._places
            else (when.dt.day_of_week if name == "weekday" else getattr(when.dt, name)).fillna(-1).to_numpy()
            for name in self._by
        ]
        return [*zip(*parts, strict=True)] if parts else [()] * len(inputs)

    def usual(self, when: pd.Series, inputs: np.ndarray) -> Usual:
        """Return what is usual of rows with such times and inputs."""
        last = len(self._numbers)
        of_rows = [self._numbers.get(key, last) for key in self._keys(when, inputs)]
        mean = self._usual @ (np.bincount(of_rows, minlength=last + 1) / len(of_rows))
        return Usual(mean[:-2], float(mean[-2]), float(mean[-1]))
