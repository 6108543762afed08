"""Answers whose labels are known, as a champion that has not learned from them sees them: those of before a pass, and those that the pass brings."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardcover.monitoring import answers
from hardcover.monitoring.answers import KEY
from hardcover.monitoring.reference import Reference


class Labelled(NamedTuple):
    """Rows in the order of time: inputs, shape (rows, inputs); targets, shape (rows,), a class by its position; and times."""

    inputs: np.ndarray
    target: np.ndarray
    when: pd.Series


class Known:
    """What is known at a pass.

    Parameters
    ----------
    champion
        Whose rows are left out, all those that it was made and measured with.
    new
        Answers whose labels the pass brings, with ``time`` and ``target``, and their inputs; None where it brings none.
    labels, served
        The labels that were known before, and the versions of answers.
    """

    def __init__(
        self,
        champion: Reference,
        new: tuple[pd.DataFrame, np.ndarray] | None,
        labels: pd.DataFrame,
        served: list[str],
    ):
        self.champion, self._labels, self._served = champion, labels, served
        newest = champion.features_when.max()
        self._newest = None if pd.isna(newest) else newest
        self.new: Labelled | None = None
        if new is not None and (later := self._are_later(new[0])).any():
            order = np.flatnonzero(later)[np.argsort(new[0].loc[later, "time"].to_numpy(), kind="stable")]
            rows = new[0].iloc[order]
            self.new = Labelled(new[1][order], rows["target"].to_numpy(dtype=np.float64), rows["time"])

    def _are_later(self, rows: pd.DataFrame) -> np.ndarray:
        if self._newest is None:
            return np.ones(len(rows), dtype=bool)
        return (rows["time"] > self._newest).to_numpy(dtype=bool)

    def kept(self, before: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what a pass before has found, if that is of this champion."""
        return before if before and before["wheel"] == self.champion.pointer["wheel"] else None

    @cached_property
    def new_score(self) -> np.ndarray:
        """The champion's scores of the new ones."""
        assert self.new is not None
        return self.champion.scored(self.new.inputs).score

    @cached_property
    def _past(self) -> pd.DataFrame:
        labels, case = self._labels, self.champion.pointer["case"]
        rows = answers.find(case, self._served, labels) if len(labels) else labels.assign(time=pd.NaT)
        return rows[self._are_later(rows)].sort_values(["time", *KEY], ignore_index=True)

    def before(self, most: int) -> Labelled:
        """Return those of before, the newest ``most``."""
        rows, nothing = self._past.tail(most), np.empty((0, len(self.champion.model.inputs)))
        inputs = answers.inputs(rows, self.champion) if len(rows) else nothing
        return Labelled(inputs, rows["target"].to_numpy(dtype=np.float64), rows["time"])
