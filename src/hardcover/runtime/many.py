"""Many records at once, as arrays, to the same bits as one by one."""

from typing import Any

from . import features
from .forest import Forest
from .loaded import Loaded


class Many(Loaded):
    """The answers of a release to tables."""

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

    def confidence_many(self, columns: Any, *, validate: bool = True) -> dict[str, Any]:
        """Return how sure many answers are, to the same bits as ``predict``; takes and raises what ``predict_many`` does.

        Returns
        -------
        dict
            As ``Calibration.of_many`` has it: ``low`` and ``high``, shape (rows,), float64, and ``labels``, shape (rows, labels), of bool.

        Raises
        ------
        NotCalibrated
            When the release cannot say how sure it is.
        """
        return self.calibration.of_many(self.predict_many(columns, validate=validate))

    def anomaly_many(self, columns: Any, *, validate: bool = True) -> Any:
        """Return how unusual the inputs of many raw records are, shape (rows,), to the same bits as ``predict``; takes and raises what it does."""
        return self.anomaly_inputs(self.inputs_of(columns, validate=validate))

    def anomaly_inputs(self, inputs: Any) -> Any:
        """Return how unusual rows of model inputs are, shape (rows,), as ``anomaly_many`` does."""
        return self.calibration.p_values(self._scored(self._unlike, inputs, raw=False))

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
        counting = None if raw else self._counting
        return self._scored(counting or self.evaluator, inputs, raw)

    def _scored(self, evaluator: Any, inputs: Any, raw: bool) -> Any:
        np = _numpy()

        if hasattr(evaluator, "predict_many"):
            return evaluator.predict_many(inputs, raw)
        score = evaluator.raw if raw else evaluator.predict
        rows = np.asarray(inputs, dtype=np.float64)
        found = np.array([score(row.tobytes()) for row in rows], dtype=np.float64)
        found = found.reshape(len(rows), evaluator.outputs)
        return found[:, 0] if evaluator.outputs == 1 else found

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


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("many records at once need numpy; install it, or predict one by one") from error
    return numpy
