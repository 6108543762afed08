"""A released model: raw records in, predictions and reasons out."""

import hashlib
import json
import mmap
import struct
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from . import arrays, features
from .forest import Forest
from .records import Fields
from .shapley import Explainer, Unexplainable

FILES = ("model.safetensors", "schema.json", "golden.json")
KERNELS = ("kernel.so", "kernel.dylib", "kernel.dll")
PROOF = "proof.json"


class Reason(NamedTuple):
    """What one input of the model contributes to a raw score: its exact Shapley value."""

    feature: str
    value: float
    contribution: float


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
    reasons, base_value
        Where asked for: the inputs' contributions to the raw score, the strongest first, and what all records have in
        common. Contributions and base value add up to the raw score. None otherwise.
    """

    score: float
    label: bool
    version: str
    reasons: list[Reason] | None = None
    base_value: float | None = None


class Model:
    """The model in a release's folder; files are read at first use and checked against the manifest.

    Safe to call from many threads. A service that forks its workers should ask for one prediction before, with reasons if it
    gives them: then all workers share what was loaded.

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
        self._row_of = row_of or (lambda _: None)

    @cached_property
    def about(self) -> dict:
        """The release's manifest: version, source of the data, metrics, threshold, digests, dataset versions."""
        try:
            found = json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))
            if not {"files", "inputs", "threshold", "version"} <= found.keys():
                raise ValueError("it is not what was released")
            return found
        except (OSError, ValueError, AttributeError) as error:
            raise arrays.DamagedRelease(f"cannot read {self._folder / 'manifest.json'}: {error}") from error

    @cached_property
    def proof(self) -> dict | None:
        """How notebook, module, pipeline and this wheel compared, to the bit; None where nobody proved it."""
        try:
            return json.loads((self._folder / PROOF).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _demand_digest(self, path: Path, content: bytes | mmap.mmap) -> None:
        if hashlib.sha256(content).hexdigest() != self.about["files"].get(path.name):
            raise arrays.DamagedRelease(f"{path} is not the file that was released; install the wheel again")

    def _checked(self, name: str) -> bytes:
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise arrays.DamagedRelease(f"cannot read {path}: {error}") from error
        self._demand_digest(path, content)
        return content

    @cached_property
    def schema(self) -> dict:
        """The JSON Schema of one raw record."""
        return json.loads(self._checked("schema.json"))

    @cached_property
    def _fields(self) -> Fields:
        return Fields(self.schema)

    @cached_property
    def _arrays(self) -> tuple[dict, dict]:
        path = self._folder / "model.safetensors"
        try:
            with path.open("rb") as file:
                # A copy of what is written to, which is nothing: C wants memory that could be.
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise arrays.DamagedRelease(f"cannot read {path}: {error}") from error
        self._demand_digest(path, content)
        return arrays.parse(content, "model.safetensors")

    @cached_property
    def evaluator(self):
        """What scores rows of inputs: the compiled ``Kernel``, or where it cannot be loaded the ``Forest``, to the same bits."""
        file = next((name for name in KERNELS if name in self.about["files"]), None)
        if file and not self._plain:
            from .kernel import Kernel, NoKernel

            self._checked(file)
            try:
                return Kernel(Forest(*self._arrays, check=False), str(self._folder / file))
            except NoKernel:
                pass
        return Forest(*self._arrays)

    @cached_property
    def explains(self) -> bool:
        """Whether there are reasons: not for linear trees or very deep ones."""
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
    def _facts(self) -> tuple[float, str]:
        return self.about["threshold"], self.about["version"]

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
            Whether to give reasons, and how many at most; None gives all.
        validate
            False scores whatever is there: missing as NaN, an unseen category as none of the known.

        Raises
        ------
        InvalidRecord
            Lists every field's problem.
        """
        row = (self._row_of(record) if validate else None) or self._row(record, validate)
        threshold, version = self._facts
        score = self._score(row)[0]
        if not explain:
            return Prediction(score, score >= threshold, version)
        *values, base = self._explain(row)
        given = memoryview(row).cast("d")
        reasons = [Reason(*facts) for facts in zip(self.inputs, given, values, strict=True)]
        reasons.sort(key=lambda reason: -abs(reason.contribution))
        return Prediction(score, score >= threshold, version, reasons[:top], base)

    def _row(self, record: Mapping[str, object], validate: bool) -> bytes:
        values = features.compute(self._steps, self._fields.encode(record, validate), self._fields.levels)
        return struct.pack(f"={len(self.inputs)}d", *(values[name] for name in self.inputs))

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

    def explain_many(self, columns, *, validate: bool = True):
        """Explain many raw records at once, to the same bits as ``predict``.

        Returns
        -------
        numpy.ndarray
            Contributions to the raw scores, shape (rows, inputs + 1), float64; the base value last.

        Raises
        ------
        InvalidRecord
            As ``predict_many`` does.
        """
        return self.explain_inputs(self.inputs_of(columns, validate=validate))

    def inputs_of(self, columns, *, validate: bool = True):
        """Compute the model's inputs from raw columns: shape (rows, inputs), float64."""
        np = _numpy()

        values, rows = self._fields.encode_many(columns, validate)
        values = features.compute_many(self._steps, values, rows, self._fields.levels)
        return np.column_stack([values[name] for name in self.inputs])

    def score_inputs(self, inputs, raw: bool = False):
        """Score rows of model inputs, shape (rows, inputs); any float is accepted, NaN and infinities too."""
        np = _numpy()

        if isinstance(self.evaluator, Forest):
            score = self.evaluator.raw if raw else self.evaluator.predict
            rows = np.asarray(inputs, dtype=np.float64)
            return np.array([score(row.tobytes())[0] for row in rows], dtype=np.float64)
        return self.evaluator.predict_many(inputs, raw)

    def explain_inputs(self, inputs):
        """Explain rows of model inputs, shape (rows, inputs), as ``explain_many`` does."""
        np = _numpy()

        if isinstance(self.evaluator, Forest):
            rows = np.asarray(inputs, dtype=np.float64)
            found = np.array([self._explain(row.tobytes()) for row in rows], dtype=np.float64)
            return found.reshape(len(rows), len(self.inputs) + 1)
        return self.evaluator.explain_many(inputs)

    def selftest(self) -> tuple[int, list[str]]:
        """Score the golden rows again on this machine: one by one, in plain Python, and together where there is numpy.

        Returns
        -------
        tuple
            How many rows were compared, and a line for each score whose bits differ.
        """
        from importlib.util import find_spec

        golden = json.loads(self._checked("golden.json"))["rows"]
        records = [row["record"] for row in golden]
        expected = [float.fromhex(row["score"]) for row in golden]
        ways = {"alone": [self.predict(record).score for record in records]}
        if isinstance(self.evaluator, Forest):
            ways["in plain Python"] = ways.pop("alone")
        else:
            plain = Model(self._folder, self._module, plain=True)
            ways["in plain Python"] = [plain.predict(record).score for record in records]
        if find_spec("numpy"):
            columns = {name: [record[name] for record in records] for name in self._fields.properties}
            ways["in a batch"] = self.predict_many(columns).tolist()
        differences = [
            f"row {number} {way}: {score!r}, released {expected[number]!r}"
            for way, scores in ways.items()
            for number, score in enumerate(scores)
            if score != expected[number]
        ]
        return len(records), differences


def _numpy():
    try:
        import numpy
    except ImportError as error:
        raise ImportError("many records at once need numpy; install it, or predict one by one") from error
    return numpy
