"""A released model: raw records in, predictions and what contributed to them out."""

import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import features
from .many import Many
from .prediction import Prediction, explained, predicted
from .records import InvalidRecord

if TYPE_CHECKING:
    from .online import Online

_made = tuple.__new__


class Model(Many):
    """The model in a release's folder; files are read at first use and checked against the manifest.

    Safe to call from many threads. A service that forks its workers should ask for one prediction before, with contributions
    if it returns them: then all workers share what was loaded.

    Parameters
    ----------
    folder
        Holds ``manifest.json`` and the files of ``FILES``.
    module
        The features module of the case.
    row_of
        Made at release: gives the inputs, as bytes, of a record that is plainly right, and None for any other.
    plain
        Whether to evaluate in plain Python even where the compiled kernel can be loaded.

    Raises
    ------
    DamagedRelease
        At first use, when a file is missing or is not the one that was released.
    """

    @property
    def histories(self) -> Any:
        """What entities did, for the windows of the features: ``Histories`` in memory, unless another store was put here.

        Raises
        ------
        TypeError
            When the features have no windows.
        """
        return self._with_windows().histories

    @histories.setter
    def histories(self, store: Any) -> None:
        self._with_windows().histories = store

    def _with_windows(self) -> "Online":
        if self._online is None:
            raise TypeError(f"the features of {self.about['name']} have no windows, so no event is kept")
        return self._online

    def observe(self, event: Mapping[str, object]) -> bool:
        """Keep an event for the windows of later records, or what is known of one now; see ``online.Online.observe``.

        Returns
        -------
        bool
            Whether that was new; an event that comes again is kept once.

        Raises
        ------
        InvalidRecord, ConflictingEvent, TypeError
            When it lacks what windows need, differs from one with its key, or the features have no windows.
        """
        return self._with_windows().observe(event)

    def predict(
        self,
        record: Mapping[str, object],
        *,
        explain: bool = False,
        top: int | None = None,
        confidence: bool = False,
        anomaly: bool = False,
        inputs: bool = False,
        validate: bool = True,
    ) -> Prediction:
        """Score one raw record.

        Parameters
        ----------
        record
            Field -> number or category; see ``schema`` for names, units and ranges.
        explain, top
            Whether to return contributions, and how many at most; None: all.
        confidence, anomaly
            Whether to return how sure the answer is, and how unusual the inputs are.
        inputs
            Whether to return what the model saw.
        validate
            False scores whatever is there: missing as NaN, an unseen category as none of the known.

        Raises
        ------
        InvalidRecord
            Lists every field's problem.
        NotCalibrated
            When the release cannot say how sure it is, or how unusual inputs are.
        """
        row = (self._row_of(record) if validate else None) or self._row(record, validate)
        threshold, version = self._facts
        scores = self._score(row)
        if threshold is not None and not (explain or confidence or anomaly or inputs):
            score = scores[0]
            # As Prediction(...) does, in half of its time.
            return _made(Prediction, (score, score >= threshold, version, None, None, None, None, None, None))
        found = predicted(self.decision, scores, version)
        if explain:
            given = memoryview(row).cast("d")
            found = explained(found, self.inputs, given, self._explain(row), self.decision.classes, top)
        if not (confidence or anomaly or inputs):
            return found
        sure = self.calibration.of(scores) if confidence else None
        rare = self.calibration.p_value(self._unlike.predict(row)[0]) if anomaly else None
        saw = tuple(memoryview(row).cast("d")) if inputs else None
        return _made(Prediction, (*found[:6], sure, rare, saw))

    def rank(
        self, query: Mapping[str, object], candidates: Iterable[Mapping[str, object]], top: int | None = None
    ) -> list[tuple[int, Prediction]]:
        """Order candidates by score, the best first; equals keep their order.

        Parameters
        ----------
        query
            The fields that all candidates share.
        candidates
            The fields of each.
        top
            How many to return; None: all.

        Returns
        -------
        list
            The position of each candidate, and its prediction.

        Raises
        ------
        InvalidRecord
            Lists the problems of the first candidate that is wrong, with its position as ``row``.
        """
        known: dict = {}
        found = []
        for number, given in enumerate(candidates):
            record = {**query, **given}
            try:
                row = self._row_of(record) or self._row(record, True, known=known)
            except InvalidRecord as error:
                raise InvalidRecord([each._replace(row=number) for each in error.problems]) from error
            found.append((number, predicted(self.decision, self._score(row), self._facts[1])))
        return sorted(found, key=lambda each: -each[1].score)[:top]

    def _row(
        self,
        record: Mapping[str, object],
        validate: bool,
        past: Mapping | None = None,
        known: dict | None = None,
    ) -> bytes:
        values = self._fields.encode(record, validate)
        if self._online is None:
            if self._tables is not None:
                values |= self._tables.read(record)
            features.compute(self._steps, values, self._fields.levels)
        else:
            self._online.inputs(record, values, past, known)
        return struct.pack(f"={len(self.inputs)}d", *(values[name] for name in self.inputs))

    def selftest(self) -> tuple[int, list[str]]:
        """Score the golden rows again on this machine: one by one, in plain Python, and together where there is numpy.

        Returns
        -------
        tuple
            How many rows were compared, and a line for each score whose bits differ.
        """
        from .selftest import compare

        return compare(self, Model(self._folder, self._module, plain=True))

    def scores_of(self, record: Mapping[str, object], past: Mapping | None = None) -> list[float]:
        """Score one raw record as ``predict`` does, neither remembered nor counted: a float for each output. ``past``: what its windows hold, if not the histories say."""
        return self.evaluator.predict(self._row_of(record) or self._row(record, True, past))
