"""The parts of a release, each read at first use: what it says of itself, its schema, its evaluator."""

import json
import sys
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import arrays, features
from .confidence import Calibration, NotCalibrated
from .decision import Decision
from .files import ANOMALY, CALIBRATION, KERNELS, MODEL, PROFILE, ReleaseFiles
from .forest import Forest
from .profile import NotProfiled, Profile
from .records import Fields
from .shapley import Explainer, Unexplainable

if TYPE_CHECKING:
    from .counting import Counting
    from .online import Online


class Loaded:
    """A release's folder; ``Model`` answers with it, and says what its parameters are."""

    def __init__(self, folder: Path, module: ModuleType, row_of: Callable | None = None, plain: bool = False):
        self._folder, self._module, self._plain = Path(folder), module, plain
        self._files = ReleaseFiles(self._folder)
        self._row_of = row_of or (lambda _: None)
        self._counting: Counting | None = None
        self._remembered = 0

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
    def _tables(self) -> Any:
        """The tables of the features' lookups, or None. Without any, what reads them is not imported."""
        if f"{__package__}.lookups" not in sys.modules:
            return None
        from . import lookups

        found = lookups.discover(self._module)
        if not found:
            return None
        return lookups.Tables(found, json.loads(self._files.read(lookups.FILE)), self.schema["x-columns"])

    @cached_property
    def _fields(self) -> Fields:
        return Fields(self.schema)

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

    @cached_property
    def evaluator(self) -> Any:
        """What scores rows of inputs: the compiled ``Kernel``, or where it cannot be loaded the ``Forest``, to the same bits."""
        return self._evaluator_of(MODEL)

    def _evaluator_of(self, name: str) -> Any:
        file = next((each for each in KERNELS if each in self.about["files"]), None)
        if file and not self._plain:
            from .kernel import Kernel, NoKernel

            self._files.read(file)
            try:
                return Kernel(self._forest(name, check=False), str(self._folder / file))
            except NoKernel:
                pass
        return self._forest(name, check=True)

    def _forest(self, name: str, check: bool) -> Forest:
        content: Any = self._files.map(name)
        parts, metadata = arrays.parse(content, name)
        return Forest(dict(parts), metadata, check)

    @cached_property
    def calibration(self) -> Calibration:
        """How sure answers are, and how unlike inputs.

        Raises
        ------
        NotCalibrated
            When the release has no such tables.
        """
        return self._own_calibration

    @cached_property
    def _own_calibration(self) -> Calibration:
        if not self.about["files"].keys() >= {ANOMALY, CALIBRATION}:
            raise NotCalibrated("it was released without a calibration; train and release it again")
        return Calibration(json.loads(self._files.read(CALIBRATION)), self.decision.classes)

    def adapt(self, confidence: dict | None) -> None:
        """Answer by other tables of how sure that is, of newer rows than the release knew; None: by its own again.

        Parameters
        ----------
        confidence
            As ``runtime.confidence`` describes them, of the release's own kind and classes; ``hardcover cycle`` makes them.

        Raises
        ------
        NotCalibrated
            When the release has no tables.
        ValueError
            When these are of another kind, or are damaged; its own are used then.
        """
        self.__dict__.pop("calibration", None)
        if confidence is None:
            return
        own = self._own_calibration
        if confidence.get("kind") != own.kind:
            raise ValueError(f"tables of {confidence.get('kind')!r} are for no release of {own.kind!r}")
        self.calibration = own.adapted(confidence)

    @cached_property
    def _unlike(self) -> Any:
        """What scores how unlike inputs are, as ``evaluator`` does."""
        return self._evaluator_of(ANOMALY)

    @cached_property
    def profile(self) -> Profile:
        """How the inputs and scores of the holdout lay in the bins.

        Raises
        ------
        NotProfiled
            When the release has none.
        """
        if PROFILE not in self.about["files"]:
            raise NotProfiled("it was released without a profile; train and release it again")
        try:
            found = Profile.read(self._files.read(PROFILE))
            names, inputs = found.bins.names, len(self.inputs)
            if names[:inputs] != self.inputs or len(names) != inputs + self.evaluator.outputs:
                raise ValueError("its columns are not those of the model")
        except ValueError as error:
            raise arrays.DamagedRelease(f"the release's profile is damaged: {error}") from error
        return found

    def watch(self, counts: Any = None) -> Profile:
        """Count every row that is scored from now on, in the bins of ``profile``; scores keep their bits.

        Parameters
        ----------
        counts
            Memory to count into, 8 bytes for each of ``profile.counts``, such as a part of a mapped file; None: of its own.

        Returns
        -------
        Profile
            It grows with each row that ``predict``, ``rank`` or ``predict_many`` scores, until ``unwatch`` or the next call of this.

        Raises
        ------
        NotProfiled
            When the release has no profile.
        """
        from .counting import counting

        self._counting = counting(self.evaluator, Profile(self.profile.bins, counts))
        self._answer_by(self._remembered)
        return self._counting.profile

    def unwatch(self) -> None:
        """Count no more rows."""
        self._counting = None
        self._answer_by(self._remembered)

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
        self._answer_by(count)

    def _answer_by(self, remembered: int) -> None:
        score, counting = self.evaluator.predict, self._counting
        self._remembered = remembered
        if remembered:
            score = lru_cache(remembered)(score)
        if counting is None:
            self._score = score
        elif not remembered:
            self._score = counting.predict
        else:

            def counted(row: bytes) -> list[float]:
                found = score(row)
                counting.count(row, found)
                return found

            self._score = counted

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
