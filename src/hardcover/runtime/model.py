"""A released model: raw records in, predictions and what contributed to them out."""

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from . import arrays, features
from .decision import Decision
from .files import KERNELS, MODEL, ReleaseFiles
from .forest import Forest
from .prediction import Prediction, explained, predicted
from .records import Fields
from .shapley import Explainer, Unexplainable

_made = tuple.__new__


class Model:
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

    def __init__(self, folder: Path, module: ModuleType, row_of: Callable | None = None, plain: bool = False):
        self._folder, self._module, self._plain = Path(folder), module, plain
        self._files = ReleaseFiles(self._folder)
        self._row_of = row_of or (lambda _: None)

    @cached_property
    def about(self) -> dict:
        """The release's manifest: version, task, source of the data, metrics, decision, digests, dataset versions."""
        return self._files.manifest()

    @cached_property
    def proof(self) -> dict | None:
        """How notebook, module, pipeline and this wheel compared, to the bit; None where it was not proven."""
        return self._files.proof()

    @cached_property
    def schema(self) -> dict:
        """The JSON Schema of one raw record."""
        return json.loads(self._files.read("schema.json"))

    @property
    def golden(self) -> list[dict]:
        """Records with the scores, in hexadecimal, that they had at release."""
        return json.loads(self._files.read("golden.json"))["rows"]

    @cached_property
    def _fields(self) -> Fields:
        return Fields(self.schema)

    @cached_property
    def evaluator(self) -> Any:
        """What scores rows of inputs: the compiled ``Kernel``, or where it cannot be loaded the ``Forest``, to the same bits."""
        file = next((name for name in KERNELS if name in self.about["files"]), None)
        if file and not self._plain:
            from .kernel import Kernel, NoKernel

            self._files.read(file)
            try:
                return Kernel(self._forest(check=False), str(self._folder / file))
            except NoKernel:
                pass
        return self._forest(check=True)

    def _forest(self, check: bool) -> Forest:
        content: Any = self._files.map(MODEL)
        parts, metadata = arrays.parse(content, MODEL)
        return Forest(dict(parts), metadata, check)

    @cached_property
    def explains(self) -> bool:
        """Whether there are contributions: not for linear trees or very deep ones."""
        try:
            self._explain(bytes(8 * len(self.inputs)))
        except Unexplainable:
            return False
        return True

    @cached_property
    def _explain(self) -> Callable[[bytes], list[float]]:
        if isinstance(self.evaluator, Forest):
            return Explainer(self.evaluator).explain
        return self.evaluator.explain

    @cached_property
    def _score(self) -> Callable[[bytes], list[float]]:
        return self.evaluator.predict

    def remember(self, count: int) -> None:
        """Keep the scores of up to ``count`` different records, the least recently used dropped; 0 keeps none.

        Raises
        ------
        ValueError
            When ``count`` is no whole number, or negative.
        """
        if type(count) is not int or count < 0:
            raise ValueError(f"remember({count!r}): give a number of records, 0 or more")
        self._score = lru_cache(count)(self.evaluator.predict) if count else self.evaluator.predict

    @cached_property
    def _steps(self) -> list[features.Step]:
        return features.resolve(features.discover(self._module), self._fields.properties)

    @cached_property
    def inputs(self) -> list[str]:
        """The names of the model's inputs, in order: raw columns and features."""
        return self.about["inputs"]

    @cached_property
    def decision(self) -> Decision:
        """What follows from scores."""
        return Decision(self.about["decision"], self.evaluator.outputs)

    @cached_property
    def _facts(self) -> tuple[float | None, str]:
        return self.decision.threshold, self.about["version"]

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
        """
        found = [(number, self.predict({**query, **given})) for number, given in enumerate(candidates)]
        return sorted(found, key=lambda each: -each[1].score)[:top]

    def _row(self, record: Mapping[str, object], validate: bool) -> bytes:
        values = features.compute(self._steps, self._fields.encode(record, validate), self._fields.levels)
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

    def scores_of(self, record: Mapping[str, object]) -> list[float]:
        """Score one raw record as ``predict`` does, without what follows from the scores: a float for each output."""
        return self._score(self._row_of(record) or self._row(record, True))


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("many records at once need numpy; install it, or predict one by one") from error
    return numpy
