"""A released model: raw records in, predictions out."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from . import arrays, features
from .forest import Forest
from .records import Fields

FILES = ("model.safetensors", "schema.json", "golden.json")
PROOF = "proof.json"


class Prediction(NamedTuple):
    """The answer for one record.

    Attributes
    ----------
    score
        The probability of the target, 0 to 1.
    label
        Whether the score reaches the release's threshold.
    version
        The release that answered.
    """

    score: float
    label: bool
    version: str


class Model:
    """The model in a release's folder; files are read at first use and checked against the manifest.

    Parameters
    ----------
    folder
        Holds ``manifest.json`` and the files of ``FILES``.
    module
        The features module of the case.

    Raises
    ------
    DamagedRelease
        At first use, when a file is missing or is not the one that was released.
    """

    def __init__(self, folder: Path, module: ModuleType):
        self._folder, self._module = Path(folder), module

    @cached_property
    def about(self) -> dict:
        """The release's manifest: version, source of the data, metrics, threshold, digests, dataset versions."""
        try:
            return json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise arrays.DamagedRelease(f"cannot read {self._folder / 'manifest.json'}: {error}") from error

    @cached_property
    def proof(self) -> dict | None:
        """How notebook, module, pipeline and this wheel compared, to the bit; None where nobody proved it."""
        try:
            return json.loads((self._folder / PROOF).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _checked(self, name: str) -> bytes:
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise arrays.DamagedRelease(f"cannot read {path}: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.about["files"].get(name):
            raise arrays.DamagedRelease(f"{path} is not the file that was released; install the wheel again")
        return content

    @cached_property
    def schema(self) -> dict:
        """The JSON Schema of one raw record."""
        return json.loads(self._checked("schema.json"))

    @cached_property
    def _fields(self) -> Fields:
        return Fields(self.schema)

    @cached_property
    def _forest(self) -> Forest:
        return Forest(*arrays.parse(self._checked("model.safetensors"), "model.safetensors"))

    @cached_property
    def _steps(self) -> list[features.Step]:
        return features.resolve(features.discover(self._module), self._fields.properties)

    @cached_property
    def inputs(self) -> list[str]:
        """The names of the model's inputs, in order: raw columns and features."""
        return self.about["inputs"]

    def predict(self, record: Mapping[str, object], *, validate: bool = True) -> Prediction:
        """Score one raw record.

        Parameters
        ----------
        record
            Field -> number or category; see ``schema`` for names, units and ranges.
        validate
            False scores whatever is there: missing as NaN, an unseen category as none of the known.

        Raises
        ------
        InvalidRecord
            Lists every field's problem.
        """
        values = features.compute(self._steps, self._fields.encode(record, validate))
        score = self._forest.score(self._forest.raw([values[name] for name in self.inputs]))
        return Prediction(score, score >= self.about["threshold"], self.about["version"])

    def predict_many(self, columns, *, validate: bool = True):
        """Score many raw records at once, to the same bits as ``predict``.

        Parameters
        ----------
        columns
            A mapping of arrays of shape (rows,), or a table of pyarrow, pandas or polars.

        Returns
        -------
        numpy.ndarray
            Scores, shape (rows,), float64.

        Raises
        ------
        InvalidRecord
            Lists problems by row and field.
        """
        return self.score_inputs(self.inputs_of(columns, validate=validate))

    def inputs_of(self, columns, *, validate: bool = True):
        """Compute the model's inputs from raw columns: shape (rows, inputs), float64."""
        import numpy as np

        values, rows = self._fields.encode_many(columns, validate)
        values = features.compute_many(self._steps, values, rows)
        return np.column_stack([values[name] for name in self.inputs])

    def score_inputs(self, inputs):
        """Score rows of model inputs, shape (rows, inputs); any float is accepted, NaN and infinities too."""
        return self._forest.score_many(self._forest.raw_many(inputs))

    def selftest(self) -> tuple[int, list[str]]:
        """Score the golden rows again on this machine, one by one and together.

        Returns
        -------
        tuple
            How many rows were compared, and a line for each score whose bits differ.
        """
        golden = json.loads(self._checked("golden.json"))["rows"]
        records = [row["record"] for row in golden]
        expected = [float.fromhex(row["score"]) for row in golden]
        together = self.predict_many(
            {name: [record[name] for record in records] for name in self._fields.properties}
        )
        differences = []
        for number, record in enumerate(records):
            for way, score in (
                ("alone", self.predict(record).score),
                ("in a batch", float(together[number])),
            ):
                if score != expected[number]:
                    differences.append(f"row {number} {way}: {score!r}, released {expected[number]!r}")
        return len(records), differences
