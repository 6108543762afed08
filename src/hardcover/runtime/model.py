"""A released model: raw records in, predictions and what contributed to them out."""

import struct
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import features
from .forest import Forest
from .loaded import Loaded
from .prediction import Prediction, explained, predicted
from .records import InvalidRecord

if TYPE_CHECKING:
    from .online import Online

_made = tuple.__new__


class Model(Loaded):
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

    @cached_property
    def _past(self) -> dict:
        """The windows of the features. Without any, what they are made of is not imported."""
        if f"{__package__}.windows" not in sys.modules:
            return {}
        from .windows import discover

        return discover(self._module)

    @cached_property
    def _steps(self) -> list[features.Step]:
        columns = [*self._fields.properties, *(self._tables.names if self._tables else ())]
        if self._past:
            from .window_plan import columns_beside

            columns += columns_beside(self._past, self.schema["x-columns"])
        return features.resolve(features.discover(self._module), columns)

    @cached_property
    def _online(self) -> "Online | None":
        if not self._past:
            return None
        from .online import Online
        from .window_plan import resolve

        parameters = {step.name: step.parameters for step in self._steps}
        plan = resolve(self._past, self.schema["x-columns"], parameters, self._tables)
        return Online(plan, self._fields, self._steps, self._tables)

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
        validate: bool = True,
    ) -> Prediction:
        """Score one raw record.

        Parameters
        ----------
        record
            Field -> number or category; see ``schema`` for names, units and ranges.
        explain, top
            Whether to return contributions, and how many at most; None: all.
        validate
            False scores whatever is there: missing as NaN, an unseen category as none of the known.

        Raises
        ------
        InvalidRecord
            Lists every field's problem.
        """
        row = (self._row_of(record) if validate else None) or self._row(record, validate)
        threshold, version = self._facts
        scores = self._score(row)
        if threshold is not None and not explain:
            score = scores[0]
            # As Prediction(...) does, in half of its time.
            return _made(Prediction, (score, score >= threshold, version, None, None, None))
        found = predicted(self.decision, scores, version)
        if not explain:
            return found
        given = memoryview(row).cast("d")
        return explained(found, self.inputs, given, self._explain(row), self.decision.classes, top)

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

    def predict_many(self, columns: Any, *, validate: bool = True) -> Any:
        """Score many raw records at once, to the same bits as ``predict``.

        Parameters
        ----------
        columns
            A mapping of arrays of shape (rows,), or a table of pyarrow, pandas or polars.

        Returns
        -------
        numpy.ndarray
            Scores, shape (rows,), or (rows, classes) of several classes, float64.

        Raises
        ------
        InvalidRecord
            Lists problems by row and field.
        """
        return self.score_inputs(self.inputs_of(columns, validate=validate))

    def explain_many(self, columns: Any, *, validate: bool = True) -> Any:
        """Explain many raw records at once, to the same bits as ``predict``; takes and raises what ``predict_many`` does.

        Returns
        -------
        numpy.ndarray
            Contributions to the raw scores, shape (rows, inputs + 1), float64, the base value last; of several classes
            (rows, classes, inputs + 1).
        """
        return self.explain_inputs(self.inputs_of(columns, validate=validate))

    def inputs_of(self, columns: Any, *, validate: bool = True) -> Any:
        """Compute the model's inputs from raw columns: shape (rows, inputs), float64."""
        np = _numpy()

        values, rows = self._fields.encode_many(columns, validate)
        if self._online is not None:
            return self._online.inputs_of(columns, values, rows, self.inputs)
        if self._tables is not None:
            values |= self._tables.read_many(columns, rows)
        values = features.compute_many(self._steps, values, rows, self._fields.levels)
        return np.column_stack([values[name] for name in self.inputs])

    def score_inputs(self, inputs: Any, raw: bool = False) -> Any:
        """Score rows of model inputs, shape (rows, inputs); any float is accepted, NaN and infinities too."""
        np = _numpy()

        if isinstance(self.evaluator, Forest):
            score = self.evaluator.raw if raw else self.evaluator.predict
            rows = np.asarray(inputs, dtype=np.float64)
            found = np.array([score(row.tobytes()) for row in rows], dtype=np.float64)
            found = found.reshape(len(rows), self.evaluator.outputs)
            return found[:, 0] if self.evaluator.outputs == 1 else found
        return self.evaluator.predict_many(inputs, raw)

    def explain_inputs(self, inputs: Any) -> Any:
        """Explain rows of model inputs, shape (rows, inputs), as ``explain_many`` does."""
        np = _numpy()

        if isinstance(self.evaluator, Forest):
            rows = np.asarray(inputs, dtype=np.float64)
            found = np.array([self._explain(row.tobytes()) for row in rows], dtype=np.float64)
        else:
            found = self.evaluator.explain_many(inputs)
        outputs, width = self.evaluator.outputs, len(self.inputs) + 1
        return found.reshape((-1, width) if outputs == 1 else (-1, outputs, width))

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
        """Score one raw record as ``predict`` does: a float for each output. ``past``: what its windows hold, if not the histories say."""
        return self._score(self._row_of(record) or self._row(record, True, past))


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("many records at once need numpy; install it, or predict one by one") from error
    return numpy
