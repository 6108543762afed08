"""Who is champion next: challengers by evidence, fresh ones of a recipe that was proven, and back to the one before where that was better."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from hardcover.errors import ReleaseError
from hardcover.monitoring import answers, promotion
from hardcover.monitoring.cycle import DROPPED, PROMOTED, RETURNS, STAYS, outcome_of
from hardcover.monitoring.promotion import Contest
from hardcover.monitoring.reference import Reference
from hardcover.release import publish

EVIDENCE = ("rows", "gain", "changed", "verdict", "objections")


class Succession:
    """What is known of those who could take the champion's place, in the state of a pass.

    Challengers of one champion are a series: a newer one goes on with the evidence of those before, which says that fresh models are better than
    the one that stands still. Once that is proven, a newer one follows at once, unless what is known of itself speaks against it. The
    champion before is held against its successor, and returns where it is proven better; then nothing follows at once any more.

    Parameters
    ----------
    state
        That of the pass, which is changed.
    champion
        The champion.
    conf
        ``costs`` and ``promotion`` of ``conf/``.
    now
        The time, UTC.
    find
        Returns the pointer of a wheel that is compared; None: by what the folder of wheels says now.
    """

    def __init__(
        self,
        state: dict[str, Any],
        champion: Reference,
        conf: dict,
        now: pd.Timestamp,
        find: Callable[[str], dict] | None = None,
    ):
        self.state, self._champion, self._conf, self._now, self._find = state, champion, conf, now, find

    def see(self, labelled: tuple[pd.DataFrame, np.ndarray] | None) -> None:
        """Compare on labels that are new: rows, and their inputs as the champion sees them."""
        case, wheel = self.state["case"], self.state["wheel"]
        known, guard = self.state["challenger"], self.state.get("guard")
        if self._find is None:
            challenger = publish.current(case, publish.CHALLENGER)
        else:
            challenger = self._find(known["wheel"]) if known else None
        if known is not None and (
            challenger is None or (known["wheel"], known["of"]) != (challenger["wheel"], wheel)
        ):
            known = self.state["challenger"] = None
        if guard is not None and guard["of"] != wheel:
            # Somebody has put another one to use.
            guard = None
            self.state |= {"guard": None, "recipe": None}
        if labelled is None:
            return
        if known is not None and challenger is not None:
            self.state["challenger"] = self._gone_on(known, labelled, challenger)
        if guard is not None:
            try:
                before = (self._find or partial(publish.candidate, case))(guard["wheel"])
            except ReleaseError:
                # Its wheel is gone, so there is nothing to go back to.
                self.state["guard"] = None
            else:
                self.state["guard"] = self._gone_on(guard, labelled, before)

    def _gone_on(
        self, known: dict, labelled: tuple[pd.DataFrame, np.ndarray], pointer: dict[str, Any]
    ) -> dict:
        rows, inputs = labelled
        after = (rows["time"] > pd.Timestamp(known["until"])).to_numpy()
        if not after.any():
            return known
        other = Reference(pointer, self._conf["costs"])
        if not answers.has_inputs(rows, other):
            return known
        contest = Contest(self._champion, other, self._conf["promotion"], known)
        theirs = other.scored(answers.inputs(rows[after], other)).score
        ours = self._champion.scored(inputs[after]).score
        contest.see(inputs[after], ours, theirs, rows.loc[after, "target"].to_numpy(dtype=np.float64))
        return self._facts(contest, known.get("alone"))

    def begin(self, run: dict[str, Any]) -> None:
        """Compare the new model of a run with the champion, on what neither has learned from."""
        wants = self.state["wants"]
        decision = {"kind": "train", "reason": wants["id"], "why": wants["why"], "run": run["run"]}
        self.state["wants"] = None
        challenger = publish.current(self.state["case"], publish.CHALLENGER)
        if challenger is None or challenger["wheel"] == self.state["wheel"]:
            self.decide({**decision, "outcome": "the same model again"})
            return
        self.decide({**decision, "challenger": challenger["wheel"]})
        self.state["challenger"] = self.begun(challenger, self.state["challenger"])

    def begun(self, challenger: dict[str, Any], series: dict | None) -> dict[str, Any]:
        """Return what is known of a new challenger at its beginning: of those before it, ``series``, and of itself ``alone``."""
        # Loaded once: it brings its wheel and its holdout.
        mine = Reference(challenger, self._conf["costs"])
        own = Contest(self._champion, mine, self._conf["promotion"])
        own.backtest()
        alone = {name: value for name, value in own.as_data().items() if name in EVIDENCE}
        # What it says of itself are rows that the series has been compared on already.
        contest = Contest(self._champion, mine, self._conf["promotion"], series) if series else own
        return self._facts(contest, alone)

    def _facts(self, contest: Contest, alone: dict | None) -> dict[str, Any]:
        pair = contest.champion, contest.challenger
        of, wheel = (each.pointer["wheel"] for each in pair)
        until = max(each.learned_until or self._now for each in pair)
        facts = {"wheel": wheel, "of": of, "until": until.isoformat(), "alone": alone}
        return {**facts, **contest.as_data()}

    def conclude(self) -> str | None:
        """Decide what follows from the comparisons; return the wheel that is to be champion, if it is another."""
        guard, known = self.state.get("guard"), self.state["challenger"]
        if guard is not None and guard["verdict"] == "better":
            self._decide_on(guard, RETURNS)
            self.state |= {"recipe": None, "guard": None, "challenger": None, "promoting": guard["wheel"]}
            return guard["wheel"]
        if known is None:
            return None
        outcome = outcome_of(known, self.state.get("recipe"))
        last = next((each for each in reversed(self.state["decisions"]) if each["kind"] == "promote"), {})
        if (last.get("challenger"), last.get("outcome")) != (known["wheel"], outcome):
            self._decide_on(known, outcome)
        if outcome == STAYS:
            return None
        self.state["challenger"] = None
        return None if outcome == DROPPED else self._promote(known, outcome)

    def _promote(self, known: dict[str, Any], outcome: str) -> str:
        self.state |= {"promoting": known["wheel"], "guard": None}
        if self._conf["promotion"]["follow"]:
            self.state["guard"] = self._guard(known["wheel"])
            if outcome == PROMOTED:
                proven = {name: known[name] for name in ("rows", "gain", "changed")}
                self.state["recipe"] = {"since": self._now.isoformat(), **proven}
        return known["wheel"]

    def _guard(self, wheel: str) -> dict[str, Any]:
        """Return the comparison of the champion with its successor at its beginning."""
        successor = Reference(publish.candidate(self.state["case"], wheel), self._conf["costs"])
        contest = Contest(successor, self._champion, self._conf["promotion"])
        return self._facts(contest, None)

    def _decide_on(self, known: dict[str, Any], outcome: str) -> None:
        facts = {"kind": "promote", "challenger": known["wheel"], "outcome": outcome}
        evidence = {name: known[name] for name in EVIDENCE} | {"alone": known["alone"]}
        self.decide({**facts, "words": promotion.words(known), "evidence": evidence})

    def decide(self, decision: dict[str, Any]) -> None:
        """Keep a decision, with who decided when."""
        facts = {"at": self._now.isoformat(), "pass": self.state["passes"], "wheel": self.state["wheel"]}
        self.state["decisions"].append({**facts, **decision})
