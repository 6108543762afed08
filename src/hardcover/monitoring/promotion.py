"""Champion and challenger on the same rows, which neither has learned from: better, not worse, worse, or not known yet."""

from typing import Any

import numpy as np

from hardcover.modelling.evidence import SHARES, Comparison, growth, log_mean
from hardcover.monitoring import segments
from hardcover.monitoring.reference import Reference


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
        self.champion, self.challenger, self._options = champion, challenger, options
        usual = float(champion.loss.mean()) or 1e-12
        most = max(champion.largest_loss, challenger.largest_loss, usual)
        self._comparison = Comparison(most, options["margin"] * usual)
        self.rows, self._gain, self._changed = 0, 0.0, 0
        # What was bet on each segment being no worse.
        self._segments: dict[str, np.ndarray] = {}
        if known:
            for name in ("better", "not_worse", "worse"):
                setattr(self._comparison, name, np.array(known[name], dtype=np.float64))
            self.rows, self._gain, self._changed = known["rows"], known["gain"], known["changed"]
            self._comparison.most = known["most"]
            self._segments = {name: np.array(logs) for name, logs in known["segments"].items()}

    def see(
        self, inputs: np.ndarray, champion: np.ndarray, challenger: np.ndarray, target: np.ndarray
    ) -> None:
        """Compare on more rows: the champion's inputs, the scores of both, and what became known."""
        losses = self.champion.losses(target, champion), self.challenger.losses(target, challenger)
        most = self._comparison.most
        ours, theirs = (np.minimum(loss, most) for loss in losses)
        self._comparison.see(ours, theirs, self.champion.dependence)
        for name, mine in segments.of(self.champion, inputs):
            known = self._segments.get(name, np.zeros(len(SHARES)))
            loss = most - (ours - theirs)[mine]
            self._segments[name] = known + growth(loss, most, self.champion.dependence)
        self.rows += len(target)
        self._gain += float((ours - theirs).sum())
        self._changed += int((self.champion.labels(champion) != self.challenger.labels(challenger)).sum())

    def backtest(self) -> None:
        """Compare on the challenger's holdout, as far as it is newer than all that the champion has learned from."""
        until, names = self.champion.learned_until, list(self.champion.model.inputs)
        if until is None or not set(names) <= set(self.challenger.table):
            return
        rows = (self.challenger.when > until).to_numpy()
        if not rows.any() or self.champion.levels != {
            name: self.challenger.levels.get(name) for name in self.champion.levels
        }:
            return
        inputs = self.challenger.table.loc[rows, names].to_numpy(dtype=np.float64)
        ours = self.champion.scored(inputs).score
        self.see(inputs, ours, self.challenger.holdout.score[rows], self.challenger.target[rows])

    @property
    def verdict(self) -> str:
        """``better``, ``not worse``, ``worse`` or ``unknown``."""
        return self._comparison.verdict(self._options["error"])

    @property
    def objections(self) -> list[str]:
        """What speaks against a promotion though the challenger is better: segments in which it is proven worse (Holm's first step), and too many other labels."""
        needed = np.log(max(1, len(self._segments)) / self._options["error"])
        found = [f"worse for {name}" for name, logs in self._segments.items() if log_mean(logs) >= needed]
        changed = self._changed / max(1, self.rows)
        if changed > self._options["churn"]:
            found.append(f"{changed:.1%} other labels, more than promotion.churn")
        return found

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = {name: getattr(self._comparison, name).tolist() for name in ("better", "not_worse", "worse")}
        facts = {"rows": self.rows, "gain": self._gain, "changed": self._changed, "verdict": self.verdict}
        facts |= {"objections": self.objections, "most": self._comparison.most}
        return {**facts, **found, "segments": {name: logs.tolist() for name, logs in self._segments.items()}}


def words(known: dict[str, Any]) -> str:
    """Return what a comparison has seen, as `Contest.as_data` returns it."""
    if not known["rows"]:
        return "no row yet that neither has learned from"
    mean, changed = known["gain"] / known["rows"], known["changed"] / known["rows"]
    but = f"; but {', '.join(known['objections'])}" if known["objections"] else ""
    return f"{known['verdict']}: {mean:+.4g} less loss a row on {known['rows']} rows, {changed:.1%} other labels{but}"
