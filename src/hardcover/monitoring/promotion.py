"""Champion and challenger on the same rows, which neither has learned from: better, not worse, worse, or not known yet."""

from typing import Any

import numpy as np
import pandas as pd

from hardcover.lineage import run_records
from hardcover.modelling.evidence import Comparison
from hardcover.monitoring.reference import Reference


def learned_until(reference: Reference) -> pd.Timestamp | None:
    """Return the time of the newest row that a model has learned from, or was stopped by; None where rows have no time."""
    case, run = reference.pointer["case"], reference.pointer["run"]
    outputs = run_records.outputs(run)
    time = run_records.load_json(outputs[f"{case}.feature_plan"])["roles"].get("time")
    (file, *_) = run_records.files_of(outputs[f"{case}.features"])
    table = pd.read_parquet(file)
    if time not in table:
        return None
    found = table.loc[table["split"] != "holdout", time].max()
    return None if pd.isna(found) else found


class Contest:
    """A comparison that goes on from pass to pass.

    Parameters
    ----------
    champion, challenger
        Both models.
    options
        ``promotion`` of ``conf/``.
    known
        As `as_data` returned it after the pass before; None to begin.
    """

    def __init__(self, champion: Reference, challenger: Reference, options: dict, known: dict | None = None):
        self.champion, self.challenger, self._error = champion, challenger, options["error"]
        usual = float(champion.loss.mean()) or 1e-12
        most = max(champion.largest_loss, challenger.largest_loss, usual)
        self._comparison = Comparison(most, options["margin"] * usual)
        self.rows, self._gain, self._changed = 0, 0.0, 0
        if known:
            for name in ("better", "not_worse", "worse"):
                setattr(self._comparison, name, np.array(known[name], dtype=np.float64))
            self.rows, self._gain, self._changed = known["rows"], known["gain"], known["changed"]
            self._comparison.most = known["most"]

    def see(self, champion: np.ndarray, challenger: np.ndarray, target: np.ndarray) -> None:
        """Compare on more rows: the scores of both, and what became known, shape (rows,)."""
        losses = self.champion.losses(target, champion), self.challenger.losses(target, challenger)
        ours, theirs = (np.minimum(loss, self._comparison.most) for loss in losses)
        self._comparison.see(ours, theirs, self.champion.dependence)
        self.rows += len(target)
        self._gain += float((ours - theirs).sum())
        self._changed += int((self.champion.labels(champion) != self.challenger.labels(challenger)).sum())

    def backtest(self) -> None:
        """Compare on the challenger's holdout, as far as it is newer than all that the champion has learned from."""
        until, names = learned_until(self.champion), list(self.champion.model.inputs)
        if until is None or not set(names) <= set(self.challenger.table):
            return
        rows = (self.challenger.when > until).to_numpy()
        if not rows.any() or self.champion.levels != {
            name: self.challenger.levels.get(name) for name in self.champion.levels
        }:
            return
        ours = self.champion.scored(self.challenger.table.loc[rows, names].to_numpy(dtype=np.float64)).score
        self.see(ours, self.challenger.holdout.score[rows], self.challenger.target[rows])

    @property
    def verdict(self) -> str:
        """``better``, ``not worse``, ``worse`` or ``unknown``."""
        return self._comparison.verdict(self._error)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = {name: getattr(self._comparison, name).tolist() for name in ("better", "not_worse", "worse")}
        facts = {"rows": self.rows, "gain": self._gain, "changed": self._changed, "verdict": self.verdict}
        return {**facts, "most": self._comparison.most, **found}


def words(known: dict[str, Any]) -> str:
    """Return what a comparison has seen, as `Contest.as_data` returns it."""
    if not known["rows"]:
        return "no row yet that neither has learned from"
    mean, changed = known["gain"] / known["rows"], known["changed"] / known["rows"]
    return (
        f"{known['verdict']}: {mean:+.4g} less loss a row on {known['rows']} rows, {changed:.1%} other labels"
    )
