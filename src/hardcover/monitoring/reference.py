"""The champion, and what it was measured on: how its inputs lay, what its scores meant, and what its answers cost."""

import json
import tempfile
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardcover import tasks
from hardcover.errors import HardcoverError
from hardcover.forest import lightgbm_text
from hardcover.forest.profile import profile_of
from hardcover.lineage import run_records
from hardcover.modelling.evidence import dependence_of
from hardcover.monitoring.change import causes
from hardcover.monitoring.estimate import Meaning, meaning_of
from hardcover.project import cases
from hardcover.release import publish
from hardcover.runtime.files import PROFILE
from hardcover.runtime.profile import Profile
from hardcover.serving.release import Release
from hardcover.tasks.base import decided, score_columns

# Rows whose contributions are computed at most.
EXPLAINED = 1000
# The share of an input's variance that is within windows, below which the window decides it.
STEADY = 0.05
_NEEDED = ("features", "feature_plan", "model")


class Scored(NamedTuple):
    """Rows as a model sees them: inputs, shape (rows, inputs), raw scores and scores, shape (rows, outputs), float64."""

    inputs: np.ndarray
    raw: np.ndarray
    score: np.ndarray


class Reference:
    """A released model, with the holdout rows that it was measured on.

    Parameters
    ----------
    pointer
        As `publish.current` returns it.
    costs
        Of ``conf/``.

    Attributes
    ----------
    model
        The wheel's.
    task, classes, decision, costs
        The kind of problem, its classes, what is decided, and from which costs.
    plan, features, features_when
        The plan of its features, those of all its rows, and their times, NaT where unknown.
    table
        The holdout's features.
    target
        The holdout's, shape (rows,); a class by its position.
    levels
        Those of categories, by input.
    apart
        Features that are computed from columns alone which are no inputs.
    when
        The holdout's times, NaT where unknown.
    learned_until
        The time of the newest row that the model has learned from, or was stopped by; None where rows have no time.
    holdout
        Its rows as the model sees them.

    Raises
    ------
    HardcoverError
        When what the model was made of is gone.
    """

    def __init__(self, pointer: dict, costs: dict):
        self.pointer, self.costs = pointer, costs
        self.release = Release(publish.found(pointer), Path(_unpacked().name))
        self.model: Any = self.release.model
        files = _files(pointer)
        plan = json.loads(files["feature_plan"].read_text(encoding="utf-8"))
        self.task, self.decision = tasks.of(self.model.about["metrics"]["task"]), self.model.about["decision"]
        self.classes = self.task.classes(plan["classes"] or None)
        target, time = plan["roles"]["target"], plan["roles"].get("time")
        table = self.features = pd.read_parquet(files["features"])
        self.plan, self.levels, self.apart = plan, plan["levels"], _apart(plan)
        is_holdout = table["split"] == "holdout"
        rows = self.table = table[is_holdout]
        self.features_when = table[time] if time in table else pd.Series(pd.NaT, index=table.index)
        learned, self.when = self.features_when[~is_holdout].max(), self.features_when[is_holdout]
        self.learned_until = None if pd.isna(learned) else learned
        self.target = self.task.codes(rows[target], self.classes)
        self.holdout = self.scored(rows[list(self.model.inputs)].to_numpy(dtype=np.float64))
        self._trees = lightgbm_text.parse(files["model"].read_text(encoding="utf-8"))

    @property
    def version(self) -> str:
        """What the release calls itself."""
        return self.release.version

    @property
    def rounds(self) -> int:
        """How many rounds of trees the champion has."""
        return len(self._trees.leaves) // self._trees.outputs

    @property
    def outputs(self) -> list[str]:
        """The names of the scores."""
        return score_columns(self.decision.get("classes", []))

    def scored(self, inputs: np.ndarray) -> Scored:
        """Score rows of inputs."""
        raw = self.model.score_inputs(inputs, raw=True)
        score = self.model.score_inputs(inputs)
        return Scored(inputs, raw.reshape(len(inputs), -1), score)

    def losses(self, target: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Return what answers cost, shape (rows,)."""
        return self.task.losses(target, score, self.decision, self.costs)

    def labels(self, score: np.ndarray) -> np.ndarray:
        """Return what is decided, as numbers; empty where nothing is."""
        return decided(score, self.decision)

    @cached_property
    def largest_loss(self) -> float:
        """The most that an answer can cost; of amounts, twice what any of the holdout did."""
        if not self.task.has_classes:
            return 2 * float(self.loss.max(initial=0.0))
        many = max(2, len(self.decision.get("classes", [])))
        target, label = np.indices((many, many)).reshape(2, -1)
        score = np.eye(many)[label] if self.decision.get("classes") else label.astype(np.float64)
        return float(self.losses(target.astype(np.float64), score).max())

    def losses_as_answered(self, table: pd.DataFrame, target: np.ndarray) -> np.ndarray:
        """Return what answers of ``{case}.served`` cost, whichever release gave them; shape (rows,).

        NaN where the target is, and of several classes, where another release answered: the log has the score of the label alone.
        """
        found = np.full(len(table), np.nan)
        known = ~np.isnan(target)
        if self.decision.get("classes"):
            known &= (table["release"] == self.version).to_numpy()
            label = (
                table["label"]
                .map({name: code for code, name in enumerate(map(str, self.classes))})
                .to_numpy()
            )
            score = np.eye(len(self.classes))[np.nan_to_num(label).astype(int)]
        else:
            score = table["score"].to_numpy(dtype=np.float64)
        found[known] = self.losses(target[known], score[known])
        return found

    @cached_property
    def loss(self) -> np.ndarray:
        """What the answers to the holdout cost, shape (rows,)."""
        return self.losses(self.target, self.holdout.score)

    @cached_property
    def dependence(self) -> float:
        """Of how many labelled rows one counts, seen in the days of the holdout."""
        return self.dependence_of(self.loss)

    def dependence_of(self, values: np.ndarray) -> float:
        """Return of how many rows one counts, for a value of each row of the holdout; 1 where times are unknown."""
        known = self.when.notna().to_numpy()
        if not known.any():
            return 1.0
        days = self.when[known].dt.floor("D").rank(method="dense").astype(int).to_numpy()
        return dependence_of(values[known], days)

    def of_the_calendar(self, period: str) -> set[str]:
        """Return the inputs that follow the clock, not the data: features of columns that are no inputs themselves, such as the number of a day, which hardly vary within a window.

        Parameters
        ----------
        period
            How long a window is, as pandas names it.
        """
        known = self.when.notna().to_numpy()
        windows = self.when[known].dt.to_period(period)
        mine = [name for name in self.model.inputs if name in self.apart]
        if not mine or windows.nunique() < 5:
            return set()
        table = pd.DataFrame(self.holdout.inputs[known], columns=list(self.model.inputs))[mine]
        within = (table - table.groupby(windows.array).transform("mean")).var()
        return {str(name) for name in within.index[within < STEADY * table.var()]}

    @cached_property
    def profile(self) -> Profile:
        """The holdout's: the one that the release brings, or of releases of before the same, made now."""
        if PROFILE in self.model.about["files"]:
            return Profile.read(self.model.profile.content())
        rows = self.holdout
        return profile_of(self._trees, self.model.inputs, rows.inputs, rows.score, self.outputs)

    @cached_property
    def meaning(self) -> Meaning:
        """What scores meant on the holdout."""
        return meaning_of(
            self.task, self.holdout.score, self.target, self.decision, self.costs, self.dependence
        )

    def change_of(self, rows: Scored) -> tuple[np.ndarray, int, dict[str, float]]:
        """Return how the mean raw scores differ from the holdout's, shape (outputs,); of several classes, the one whose score has moved most; and what its change is due to, by input."""
        moved = rows.raw.mean(axis=0) - self.holdout.raw.mean(axis=0)
        output = int(np.abs(moved).argmax())
        mine = self.explained(rows.inputs)[:, output]
        return moved, output, causes(self.contributions[:, output], mine, list(self.model.inputs))

    @cached_property
    def contributions(self) -> np.ndarray:
        """Those of some rows of the holdout, as `explained` returns them."""
        return self.explained(self.holdout.inputs)

    def explained(self, inputs: np.ndarray) -> np.ndarray:
        """Return contributions of at most so many rows, evenly spread, shape (rows, outputs, inputs + 1)."""
        few = inputs[:: -(-len(inputs) // EXPLAINED)]
        return self.model.explain_inputs(few).reshape(len(few), -1, inputs.shape[1] + 1)


def _apart(plan: dict) -> set[str]:
    inputs, functions = set(plan["inputs"]), plan["functions"]

    def roots(name: str) -> set[str]:
        if name not in functions:
            return {name}
        return set().union(*(roots(each) for each in functions[name]["parameters"]))

    return {name for name in functions if not roots(name) & (inputs - functions.keys())}


@cache
def _unpacked() -> tempfile.TemporaryDirectory:
    """Return where wheels are unpacked: for the whole process, since some of their modules are imported when they are first used."""
    return tempfile.TemporaryDirectory(prefix="hardcover-monitor-")


def champion(case: str) -> dict:
    """Return the pointer to a case's champion.

    Raises
    ------
    HardcoverError
        When there is none.
    """
    cases.check(case)
    pointer = publish.current(case)
    if pointer is None:
        fix = f"Run `hardcover run {case}`, or `hardcover promote {case}`."
        raise HardcoverError("there is no champion", f"case {case!r}", fix)
    return pointer


def _files(pointer: dict) -> dict[str, Path]:
    case, outputs = pointer["case"], run_records.outputs(pointer["run"])
    files = {name: run_records.files_of(outputs.get(f"{case}.{name}", {})) for name in _NEEDED}
    gone = [f"{case}.{name}" for name, found in files.items() if not found]
    if gone:
        fix = "Restore the data folder, or train a new champion."
        raise HardcoverError(
            f"what the champion was made of is gone: {', '.join(gone)}", f"run {pointer['run']}", fix
        )
    return {name: found[0] for name, found in files.items()}
