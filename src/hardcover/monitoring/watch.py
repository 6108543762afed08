"""A pass over what is new: windows are profiled, tests bet on them, and what is wrong is told, in terms of what it costs."""

from typing import Any

import numpy as np
import pandas as pd

from hardcover.modelling import evidence
from hardcover.monitoring import alerts, change, inputs
from hardcover.monitoring.profile import Profile
from hardcover.monitoring.reference import Reference, Scored

FORMAT = "hardcover.watch/1"
# Windows by name, as pandas knows them.
PERIODS = {"hour": "h", "day": "D", "week": "W-MON"}
LENGTHS = {"hour": pd.Timedelta(hours=1), "day": pd.Timedelta(days=1), "week": pd.Timedelta(weeks=1)}
# Standard errors of a one-sided limit of 95 %.
SURE = 1.645
NAMED = 3
_NEXT = {
    "harm": "hardcover cycle {case}",
    "expected harm": "hardcover cycle {case}",
    "estimate": "hardcover monitor {case}",
    "inputs": "hardcover monitor {case}",
    "silence of served": "hardcover collect FOLDER",
    "silence of labels": "hardcover labels {case} --data FILE",
}
_SILENT = {
    "served": ("no answers were collected", "the service, its log, or what collects it"),
    "labels": ("no labels came", "what delivers labels"),
}


def begin(case: str) -> dict[str, Any]:
    """Return the state of a case of which nothing was seen.

    Returns
    -------
    dict
        ``wheel``, the champion, and ``since``, its first window; ``taken`` versions; ``windows``; ``tests``, what was bet; ``episodes`` of alerts, and the events that were ``told``;
        ``decisions``; the ``challenger`` that is compared, and what is ``promoting``, a wheel on its way to be champion; why it ``wants`` a new model; ``last``, when there were answers and labels; and ``passes``, how many.
    """
    state: dict[str, Any] = {
        "format": FORMAT,
        "case": case,
        "wheel": None,
        "since": None,
        "challenger": None,
        "promoting": None,
        "wants": None,
        "passes": 0,
    }
    state |= {"taken": {"served": [], "labels": []}, "windows": [], "tests": {}, "last": {}}
    return state | {"episodes": [], "told": [], "decisions": []}


def due(state: dict[str, Any], options: dict) -> str | None:
    """Return when silence becomes an alert, if nothing comes; None when it is one already, or never does."""
    open_ones = {each["test"] for each in state["episodes"] if each["until"] is None}
    found = [
        pd.Timestamp(state["last"][what]) + limit * LENGTHS[options["window"]]
        for what, limit in (("served", options["silence"]), ("labels", options["label_silence"]))
        if limit and what in state["last"] and f"silence of {what}" not in open_ones
    ]
    return min(found).isoformat() if found else None


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
        self._levels = alerts.levels(options)
        self._groups = inputs.groups_of(reference.profile, len(reference.model.inputs))
        self._bound = inputs.bounds(self._groups, options["moved"], options["broken"])
        columns = dict(zip(reference.model.inputs, reference.holdout.inputs.T, strict=True))
        apart = {name: reference.dependence_of(_ranks(column)) for name, column in columns.items()}
        self._dependence = np.array([apart[group.name] for group in self._groups])
        loss = reference.loss
        error = np.sqrt(loss.var() * reference.dependence / len(loss))
        # As much as is tolerated, or as the holdout cannot tell from its own mean.
        self.tolerated = (
            float(max(loss.mean() * (1 + options["tolerance"]), loss.mean() + SURE * error)) or 1e-12
        )
        usual = {"rows": len(loss), "loss": float(loss.mean()), "tolerated": self.tolerated}
        state["reference"] = {"wheel": wheel, **usual}

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
        places = table.groupby(table["time"].dt.to_period(PERIODS[self.options["window"]])).indices
        for period in sorted(places):
            rows = places[period]
            part = Scored(*(values[rows] for values in scored))
            self._window(period.start_time.isoformat(), table.iloc[rows], part)

    def _window(self, begin: str, table: pd.DataFrame, scored: Scored) -> None:
        reference, rows = self.reference, len(table)
        profile = Profile.of(reference.bins, scored.inputs, scored.raw)
        expected = reference.calibration.losses(scored.score)
        self.state["since"] = self.state["since"] or begin
        last = self.state["last"]
        last["served"] = max(last.get("served", ""), table["time"].max().isoformat())
        window = {
            "begin": begin,
            "rows": rows,
            "wheel": self.state["wheel"],
            "releases": sorted(table["release"].unique()),
            "score": scored.raw.mean(axis=0).tolist(),
            "expected": reference.calibration.mean_loss(scored.score),
            "shifts": change.largest(change.shifts(reference.profile, profile)),
            "labelled": {"rows": 0, "loss": 0.0, "squares": 0.0},
        }
        for known in reversed(self.state["windows"]):
            if (known["begin"], known["wheel"]) == (begin, window["wheel"]):
                _add(known, window)
                break
        else:
            self.state["windows"].append(window)
        self._expected_harm(begin, expected, scored)
        self._inputs(begin, profile)

    def _expected_harm(self, begin: str, expected: np.ndarray, scored: Scored) -> None:
        facts = None
        if self._bet("expected harm", begin, expected, self.tolerated):
            what = "by what scores meant on the holdout, answers cost more"
            facts = self._facts(
                "expected harm", what, self._why(scored), change.excess(expected, self.reference.loss)
            )
        usual = bool(expected.mean() <= self.tolerated)
        self._episodes.see("expected harm", begin, len(expected), facts, usual)

    def _inputs(self, begin: str, profile: Profile) -> None:
        known = self._test("inputs", (len(self._groups), len(inputs.SHARES)))
        bets = inputs.Bets(self._levels["inputs"], np.array(known["logs"], dtype=np.float64))
        counts = inputs.counts_in(self._groups, profile)
        order = bets.see(counts, profile.rows, self._bound, self._dependence, begin > known["window"])
        self.state["tests"]["inputs"] = {"logs": bets.logs.tolist(), "window": max(begin, known["window"])}
        share, facts = counts / profile.rows, None
        beyond = share > self._bound
        if order is not None:
            why = [
                f"{self._groups[place].words()}: {share[place]:.1%} of rows, {self._groups[place].share:.1%} in the holdout"
                for place in order[beyond[order]][:NAMED]
            ]
            facts = self._facts("inputs", "inputs lie where the holdout's do not", why, {})
        self._episodes.see("inputs", begin, profile.rows, facts, not beyond.any())

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
        mine = np.isnan(before) & (table["release"] == reference.version).to_numpy()
        if not mine.any():
            return
        order = np.flatnonzero(mine)[np.argsort(table.loc[mine, "known"].to_numpy(), kind="stable")]
        table, scored = table.iloc[order], reference.scored(inputs_of_rows[order])
        loss = reference.losses(target[order], scored.score)
        expected = reference.calibration.losses(scored.score)
        last = self.state["last"]
        last["labels"] = max(last.get("labels", ""), table["known"].max().isoformat())
        places = table.groupby(table["known"].dt.to_period(PERIODS[self.options["window"]])).indices
        for period in sorted(places):
            rows, begin = places[period], period.start_time.isoformat()
            self._contradiction(begin, loss[rows], expected[rows])
            self._harm(begin, loss[rows], Scored(*(values[rows] for values in scored)))

    def _harm(self, begin: str, loss: np.ndarray, scored: Scored) -> None:
        facts = None
        if self._bet("harm", begin, loss, self.tolerated):
            what = "answers cost more than on the holdout"
            facts = self._facts("harm", what, self._why(scored), change.excess(loss, self.reference.loss))
        self._episodes.see("harm", begin, len(loss), facts, bool(loss.mean() <= self.tolerated))

    def _count(self, table: pd.DataFrame, target: np.ndarray, before: np.ndarray) -> None:
        """Add to windows what the answers cost that labels became known of."""
        loss = self.reference.losses_as_answered(table, target)
        was = self.reference.losses_as_answered(table, before)
        more = {"loss": loss - np.nan_to_num(was), "squares": loss**2 - np.nan_to_num(was) ** 2}
        frame = pd.DataFrame({"rows": np.isnan(before) & ~np.isnan(loss), **more})
        sums = frame.groupby(table["time"].dt.to_period(PERIODS[self.options["window"]]).array).sum()
        windows = {window["begin"]: window for window in reversed(self.state["windows"])}
        for period, sums_of in sums.iterrows():
            known = windows[period.start_time.isoformat()]["labelled"]
            known["rows"] += int(sums_of["rows"])
            known["loss"] += float(sums_of["loss"])
            known["squares"] += float(sums_of["squares"])

    def _contradiction(self, begin: str, loss: np.ndarray, expected: np.ndarray) -> None:
        """Bet on losses being larger than scores said: then they do not mean any more what they meant."""
        usual, facts = float(self.reference.loss.mean()), None
        most = float(max(expected.max(), usual))
        # As much of what scores meant is uncertain as is tolerated of the holdout's loss.
        allowed = self.tolerated - usual
        if self._bet("estimate", begin, loss + (most - expected), most + allowed):
            what = "the estimate no longer holds: labels cost more than scores said"
            why = ["the same inputs have other outcomes than on the holdout"]
            facts = self._facts("estimate", what, why, change.excess(loss, expected))
        usual_now = bool(loss.mean() <= expected.mean() + allowed)
        self._episodes.see("estimate", begin, len(loss), facts, usual_now)

    def close(self, now: pd.Timestamp) -> dict[str, Any]:
        """Look for silence, and return the state after the pass."""
        for what, limit in (("served", self.options["silence"]), ("labels", self.options["label_silence"])):
            last = self.state["last"].get(what)
            if last is None or not limit:
                continue
            silent, facts = now - pd.Timestamp(last) > limit * LENGTHS[self.options["window"]], None
            if silent:
                what_is, why = _SILENT[what]
                facts = self._facts(f"silence of {what}", f"{what_is} since {last[:16]}", [why], {})
            self._episodes.see(f"silence of {what}", now.isoformat(), 0, facts, not silent)
        self._episodes.end(self.state["wheel"], now.isoformat())
        self.state["episodes"] = self._episodes.as_data()
        return self.state

    def _test(self, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
        return self.state["tests"].get(name) or {"logs": np.full(shape, evidence.NOTHING), "window": ""}

    def _bet(self, name: str, begin: str, losses: np.ndarray, mean: float) -> bool:
        known = self._test(name, (len(evidence.SHARES),))
        alarm = evidence.Alarm(self._levels[name], np.array(known["logs"], dtype=np.float64))
        rang = alarm.see(losses, mean, self.reference.dependence, begin > known["window"])
        self.state["tests"][name] = {"logs": alarm.logs.tolist(), "window": max(begin, known["window"])}
        return rang

    def _facts(self, test: str, what: str, why: list[str], loss: dict) -> dict[str, Any]:
        case = self.state["case"]
        unit = {"unit": self.reference.costs.get("unit", "a row")} if loss else {}
        facts = {"case": case, "wheel": self.state["wheel"], "what": what, "why": why}
        return {**facts, "next": _NEXT[test].format(case=case), "loss": {**loss, **unit}}

    def _why(self, scored: Scored) -> list[str]:
        """Name the inputs that the change of the mean score is due to."""
        reference = self.reference
        change_of = scored.raw.mean(axis=0) - reference.holdout.raw.mean(axis=0)
        # Of several classes, the one whose score has moved most is explained.
        output = int(np.abs(change_of).argmax())
        parts = change.causes(
            reference.contributions[:, output],
            reference.explained(scored.inputs)[:, output],
            list(reference.model.inputs),
        )
        return [
            f"{name} moved the mean raw score by {part:+.3f} of {change_of[output]:+.3f}"
            for name, part in list(parts.items())[:NAMED]
        ]


def _ranks(column: np.ndarray) -> np.ndarray:
    return pd.Series(column).rank(na_option="top").to_numpy()


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
