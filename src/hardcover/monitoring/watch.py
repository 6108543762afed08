"""A pass over what is new: windows are profiled, tests bet on them, and what is wrong is told, in terms of what it costs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from hardcover.monitoring import alerts, change, feed, late, segments
from hardcover.monitoring.feed import PERIODS
from hardcover.monitoring.ledger import NAMED, Ledger
from hardcover.monitoring.reference import Reference, Scored
from hardcover.monitoring.season import Usual
from hardcover.runtime.profile import Profile

FORMAT = "hardcover.watch/1"
_NEXT = {
    "harm": "hardcover cycle {case}",
    "expected harm": "hardcover cycle {case}",
    "estimate": "hardcover monitor {case}",
    "inputs": "hardcover monitor {case}",
    feed.VOLUME: "hardcover monitor {case}",
    feed.SERVED: "hardcover collect FOLDER",
    feed.LABELS: "hardcover labels {case} --data FILE",
}


def begin(case: str) -> dict[str, Any]:
    """Return the state of a case of which nothing was seen.

    Returns
    -------
    dict
        ``wheel``, the champion, and ``since``, its first window; ``taken`` versions; ``windows``; ``tests``, what was bet; ``episodes`` of alerts, and the events that were ``told``;
        ``decisions``; the ``challenger`` that is compared, the champion before that is the new one's ``guard``, the ``recipe`` whose fresh models follow at once, and what is ``promoting``, a wheel on its way to be champion; why it ``wants`` a new model, and what one would have saved, ``fresh`` (`fresh.seen`); newer tables of how sure answers are, ``coverage`` (`coverage.seen`); ``outlook``, what windows cost of whose labels some are still to come (`late.outlook`); ``last``, when there were answers and labels; ``untracked``, windows that the tracking store has not been told of; ``passes``, how many; and of the last one ``now`` and ``conf``, what it went by.
    """
    state: dict[str, Any] = {
        "format": FORMAT,
        "case": case,
        "wheel": None,
        "since": None,
        "challenger": None,
        "promoting": None,
        "guard": None,
        "recipe": None,
        "wants": None,
        "fresh": None,
        "coverage": None,
        "outlook": {},
        "untracked": [],
        "passes": 0,
    }
    state |= {"taken": {"served": [], "labels": []}, "windows": [], "tests": {}, "last": {}}
    return state | {"episodes": [], "told": [], "decisions": []}


class Watch:
    """What is known of a champion's answers, brought up to date pass by pass.

    Parameters
    ----------
    state
        As `begin` or the pass before returns it.
    reference
        The champion.
    options
        ``monitoring`` of ``conf/``.
    """

    def __init__(self, state: dict[str, Any], reference: Reference, options: dict):
        self.state, self.reference, self.options = state, reference, options
        wheel = reference.pointer["wheel"]
        self._episodes = alerts.Episodes(state["episodes"], options["calm"])
        if state["wheel"] != wheel:
            # Another model: what was bet on the one before says nothing of it.
            state |= {"wheel": wheel, "tests": {}, "since": None}
        self._ledger = Ledger(state["tests"], reference, options)
        usual = {"rows": len(reference.loss), "loss": float(reference.loss.mean())}
        state["reference"] = {"wheel": wheel, **usual, "tolerated": self._ledger.tolerated}

    def see(self, table: pd.DataFrame, inputs_of_rows: np.ndarray) -> None:
        """Take in answers, in the order of their windows.

        Parameters
        ----------
        table
            New rows of ``{case}.served``.
        inputs_of_rows
            As the model sees them, shape (rows, inputs).
        """
        if table.empty:
            return
        scored = self.reference.scored(inputs_of_rows)
        for begin, rows, part in self._by_window(table["time"], scored):
            self._window(begin, table.iloc[rows], part)

    def _window(self, begin: str, table: pd.DataFrame, scored: Scored) -> None:
        reference, rows = self.reference, len(table)
        profile = Profile.of(reference.profile.bins, scored.inputs, scored.score)
        expected = reference.meaning.losses(scored.score)
        self.state["since"] = self.state["since"] or begin
        last = self.state["last"]
        last["served"] = max(last.get("served", ""), table["time"].max().isoformat())
        window = {
            "begin": begin,
            "rows": rows,
            "wheel": self.state["wheel"],
            "releases": sorted(table["release"].unique()),
            "score": scored.raw.mean(axis=0).tolist(),
            "expected": reference.meaning.mean_loss(scored.score),
            "shifts": change.largest(
                change.shifts(reference.profile, profile), without=self._ledger.calendar
            ),
            "labelled": {"rows": 0, "loss": 0.0, "squares": 0.0},
        }
        if "nanoseconds" in table:
            window["took"] = feed.took(table["nanoseconds"])
        event = feed.known_events([begin], self.options).get(begin)
        if event is not None:
            window["event"] = event
        for known in reversed(self.state["windows"]):
            if (known["begin"], known["wheel"]) == (begin, window["wheel"]):
                _add(known, window)
                break
        else:
            self.state["windows"].append(window)
        if event is None:
            usual = self._ledger.season.usual(table["time"], scored.inputs)
            self._expected_harm(begin, expected, scored, usual)
            self._inputs(begin, profile, usual)

    def _expected_harm(self, begin: str, expected: np.ndarray, scored: Scored, usual: Usual) -> None:
        facts, most = None, self._ledger.expected_at_most(usual)
        if self._ledger.on_losses("expected harm", begin, expected, most):
            what = "by what scores meant on the holdout, answers cost more"
            more = change.excess(expected, self.reference.loss)
            facts = self._facts("expected harm", what, self._why(scored), more)
        self._episodes.see("expected harm", begin, len(expected), facts, bool(expected.mean() <= most))

    def _inputs(self, begin: str, profile: Profile, usual: Usual) -> None:
        why, is_usual, broken = self._ledger.on_inputs(begin, profile, usual)
        facts = None
        if why is not None:
            facts = self._facts("inputs", "inputs lie where the holdout's do not", why, {}) | {
                "broken": broken
            }
        self._episodes.see("inputs", begin, profile.rows, facts, is_usual)

    def learn(
        self, table: pd.DataFrame, inputs_of_rows: np.ndarray, target: np.ndarray, before: np.ndarray
    ) -> None:
        """Take in labels of answers that were seen.

        Parameters
        ----------
        table, inputs_of_rows
            The answers, as `see` takes them, with ``known``, the time at which the label became known.
        target, before
            Of each, what became known, and what had been known before, NaN where nothing was: a label that corrects another is counted in its
            window, and not bet on again; shape (rows,).
        """
        reference = self.reference
        self._count(table, target, before)
        mine = (table["release"] == reference.version).to_numpy() & ~self._in_known_events(table["time"])
        if not mine.any():
            return
        table, target, before = table[mine], target[mine], before[mine]
        scored, period = reference.scored(inputs_of_rows[mine]), self.options["window"]
        late.learn(self._own_windows, reference, table, target, before, scored.score, period)
        is_new = np.isnan(before)
        if not is_new.any():
            return
        order = np.flatnonzero(is_new)[np.argsort(table.loc[is_new, "known"].to_numpy(), kind="stable")]
        table, scored = table.iloc[order], Scored(*(values[order] for values in scored))
        loss = reference.losses(target[order], scored.score)
        target, last = target[order], self.state["last"]
        last["labels"] = max(last.get("labels", ""), table["known"].max().isoformat())
        for begin, rows, part in self._by_window(table["known"], scored):
            self._contradiction(begin, target[rows], part, loss[rows])
            usual = self._ledger.season.usual(table["time"].iloc[rows], part.inputs)
            self._harm(begin, loss[rows], part, self._ledger.tolerated_of(usual))

    def _harm(self, begin: str, loss: np.ndarray, scored: Scored, most: float) -> None:
        facts = None
        if self._ledger.on_losses("harm", begin, loss, most):
            what, why = "answers cost more than on the holdout", self._why(scored)
            if segment := segments.worst(self.reference, scored.inputs, loss):
                why.append(segment)
            facts = self._facts("harm", what, why, change.excess(loss, self.reference.loss))
        self._episodes.see("harm", begin, len(loss), facts, bool(loss.mean() <= most))

    def _count(self, table: pd.DataFrame, target: np.ndarray, before: np.ndarray) -> None:
        """Add to windows what the answers cost that labels became known of."""
        loss = self.reference.losses_as_answered(table, target)
        was = self.reference.losses_as_answered(table, before)
        more = {"loss": loss - np.nan_to_num(was), "squares": loss**2 - np.nan_to_num(was) ** 2}
        frame = pd.DataFrame({"rows": np.isnan(before) & ~np.isnan(loss), **more})
        sums = frame.groupby(self._windows_of(table["time"]).array).sum()
        windows = {window["begin"]: window for window in reversed(self.state["windows"])}
        for period, sums_of in sums.iterrows():
            known = windows[period.start_time.isoformat()]["labelled"]
            known["rows"] += int(sums_of["rows"])
            known["loss"] += float(sums_of["loss"])
            known["squares"] += float(sums_of["squares"])

    def _contradiction(self, begin: str, target: np.ndarray, scored: Scored, loss: np.ndarray) -> None:
        why, usual = self._ledger.on_estimate(begin, target, scored.score, loss)
        facts = None
        if why is not None:
            what = "the estimate no longer holds: the same scores have other outcomes than on the holdout"
            kind = self.reference.meaning.told_apart(scored.score, target)
            why = [*why, kind] if kind else why
            more = change.excess(loss, self.reference.meaning.losses(scored.score))
            facts = self._facts("estimate", what, why, more)
        self._episodes.see("estimate", begin, len(loss), facts, usual)

    def close(self, now: pd.Timestamp) -> dict[str, Any]:
        """Look at whether data comes, and return the state after the pass."""
        for begin, rows, wrong in feed.volume(self.state, self.options, now):
            facts = None
            if wrong is not None and not feed.known_events([begin], self.options):
                facts = self._facts(feed.VOLUME, "another number of rows than before", [wrong], {})
            self._episodes.see(feed.VOLUME, begin, rows, facts, wrong is None)
        told = {each.test for each in self._episodes.every if each.until is None}
        for test, words in feed.silence(self.state, self.options, now, told):
            facts = None if words is None else self._facts(test, words[0], words[1:], {})
            self._episodes.see(test, now.isoformat(), 0, facts, words is None)
        self._episodes.end(self.state["wheel"], now.isoformat())
        self.state["episodes"] = self._episodes.as_data()
        until, period = self.state["last"].get("labels"), self.options["window"]
        self.state["outlook"] = late.outlook(self._own_windows, self.reference, until, period)
        return self.state

    def _facts(self, test: str, what: str, why: list[str], loss: dict) -> dict[str, Any]:
        case = self.state["case"]
        unit = {"unit": self.reference.costs.get("unit", "a row")} if loss else {}
        facts = {"case": case, "wheel": self.state["wheel"], "what": what, "why": why}
        return {**facts, "next": _NEXT[test].format(case=case), "loss": {**loss, **unit}}

    def _why(self, scored: Scored) -> list[str]:
        """Name the inputs that the change of the mean score is due to."""
        moved, output, parts = self.reference.change_of(scored)
        return [
            f"{name} moved the mean raw score by {part:+.3f} of {moved[output]:+.3f}"
            for name, part in list(parts.items())[:NAMED]
        ]

    @property
    def _own_windows(self) -> list[dict[str, Any]]:
        return [each for each in self.state["windows"] if each["wheel"] == self.state["wheel"]]

    def _windows_of(self, times: pd.Series) -> pd.Series:
        return times.dt.to_period(PERIODS[self.options["window"]])

    def _in_known_events(self, times: pd.Series) -> np.ndarray:
        windows = self._windows_of(times).dt.start_time
        known = feed.known_events([each.isoformat() for each in windows.unique()], self.options)
        return windows.isin(pd.to_datetime(list(known))).to_numpy()

    def _by_window(self, times: pd.Series, scored: Scored) -> Iterator[tuple[str, np.ndarray, Scored]]:
        """Yield the windows of rows, in order: the begin, the rows' places, and the rows."""
        places = times.groupby(self._windows_of(times)).indices
        for period in sorted(places):
            rows = places[period]
            yield period.start_time.isoformat(), rows, Scored(*(values[rows] for values in scored))


def _add(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Add to a window what came of it later."""
    rows = known["rows"] + more["rows"]
    weights = [known["rows"], more["rows"]]
    known["score"] = np.average([known["score"], more["score"]], axis=0, weights=weights).tolist()
    known["expected"] = {
        name: float(np.average([value, more["expected"][name]], weights=weights))
        for name, value in known["expected"].items()
    }
    known["rows"], known["releases"] = rows, sorted({*known["releases"], *more["releases"]})
    known["shifts"] = {**more["shifts"], **known["shifts"]}
    if more.get("took"):
        known["took"] = dict(Counter(known.get("took", {})) + Counter(more["took"]))
