"""What answers cost before their labels come, beside lfmm: real streams whose labels come late, and one class of them sooner; part of `monitoring.py`."""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from benchmarks.monitoring_estimates import peers
from benchmarks.retraining import Stream, streams, trained
from hardcover import tasks
from hardcover.modelling.evidence import dependence_of
from hardcover.monitoring import late
from hardcover.monitoring.estimate import meaning_of
from hardcover.monitoring.feed import PERIODS

COSTS = {"missed": 1.0, "false_alarm": 1.0}
TASK = tasks.of("binary")
DECISION = TASK.decision(COSTS, [0, 1])
# Days until labels are known; or the second class in 20 on average, and the first in 60.
DELAYS: list[int | str] = [30, 180, 365, "by class"]
# Shares of the rows that a model learns from, and up to where it is measured.
LEARNED, MEASURED = 0.25, 0.4
PERIOD, FEWEST = "week", 20


class Known(NamedTuple):
    """Rows in the order of time: their scores, what came, when they were, and when that was known."""

    score: np.ndarray
    target: np.ndarray
    when: pd.DatetimeIndex
    known: pd.DatetimeIndex


def _when(stream: Stream, folder: Path) -> pd.DatetimeIndex:
    if stream.name == "Elec2":
        return pd.DatetimeIndex(pd.read_csv(folder / "elec2.csv")["timestamp"])
    if stream.name == "hotels":
        times = pd.read_parquet(folder / "hotel_bookings.parquet", columns=["timestamp"])["timestamp"]
        return pd.DatetimeIndex(times).sort_values()
    # A day of weather is two hours here, so that a week has rows enough to say what it cost.
    return pd.Timestamp("2000-01-03") + pd.to_timedelta(2 * np.arange(len(stream.target)), unit="h")


def _delayed(target: np.ndarray, delay: int | str) -> pd.TimedeltaIndex:
    if isinstance(delay, int):
        return pd.to_timedelta(np.full(len(target), delay), unit="D")
    chance = np.random.default_rng(79)
    days = np.where(
        target == 1, chance.exponential(20, len(target)), 50 + chance.exponential(10, len(target))
    )
    return pd.to_timedelta(days, unit="D")


class Watched:
    """A model that was measured once, and the weeks after that."""

    def __init__(self, rows: Known):
        self.rows = rows
        # The numbers of the weeks of rows, and of those in which they became known.
        self.week, self.came = (each.to_period(PERIODS[PERIOD]).asi8 for each in (rows.when, rows.known))
        begin, end = (int(share * len(rows.target)) for share in (LEARNED, MEASURED))
        held = slice(begin, end)
        self.loss = TASK.losses(rows.target, rows.score, DECISION, COSTS)
        days = pd.Series(rows.when[held]).dt.floor("D").rank(method="dense").astype(int).to_numpy()
        measured = {"loss": self.loss[held], "dependence": dependence_of(self.loss[held], days)}
        self.reference = SimpleNamespace(**measured, task=TASK, target=rows.target[held], classes=[0, 1])
        facts = rows.target[held], DECISION, COSTS, measured["dependence"]
        self.meaning = meaning_of(TASK, rows.score[held], *facts)
        # The first and the last week are not whole.
        self.weeks = np.unique(self.week[end:])[1:-1]
        self.places = {each: np.flatnonzero(self.week == each) for each in self.weeks}
        self.excess = self.loss - self.meaning.losses(rows.score)

    def estimated(self, week: int) -> tuple[bool, list[float], list[float]]:
        """Return whether labels say something at a week's end, and what the week costs with its limits: by scores and labels, and by scores alone."""
        rows, windows = self.rows, []
        end = pd.Period(ordinal=week, freq=PERIODS[PERIOD]).end_time
        is_known, seen = rows.known <= end, []
        for each in self.weeks[self.weeks <= week]:
            mine = self.places[each]
            window = {
                "begin": pd.Period(ordinal=each, freq=PERIODS[PERIOD]).start_time.isoformat(),
                "rows": len(mine),
                "expected": self.meaning.mean_loss(rows.score[mine]),
            }
            mine = mine[is_known[mine]]
            if len(mine):
                late.count(window, self.came[mine] - each, rows.target[mine], self.excess[mine])
                seen.append(rows.known[mine].max())
            windows.append({**window, "labelled": {"rows": len(mine)}})
        alone, until = windows[-1]["expected"], str(max(seen)) if seen else None
        found = late.outlook(windows, cast(Any, self.reference), until, PERIOD)
        together = found.get(windows[-1]["begin"], alone)
        return bool(found), *(
            [each[name] for name in ("estimate", "low", "high")] for each in (together, alone)
        )


def estimates(folder: Path) -> None:
    """Print mean absolute errors of a week's share of wrong answers at its end, and how often intervals cover it."""
    for stream in streams(folder):
        if stream.task != "binary":
            continue
        score = np.asarray(trained(stream, int(LEARNED * len(stream.target))).predict(stream.inputs))
        when = _when(stream, folder)
        for delay in DELAYS:
            rows = Known(score, stream.target, when, when + _delayed(stream.target, delay))
            watched = Watched(rows)
            file = Path(tempfile.mkdtemp()) / "rows.parquet"
            pd.DataFrame({**rows._asdict(), "week": watched.week}).to_parquet(file)
            weeks = [each for each in watched.weeks if len(watched.places[each]) >= FEWEST]
            facts = [watched.estimated(each) for each in weeks]
            has = np.array([each[0] for each in facts])
            if not has.any():
                continue
            asked = np.array(weeks)[has].tolist()
            arguments = map(json.dumps, (str(file), LEARNED, MEASURED, asked))
            theirs = peers("monitoring", "monitoring_peers.py", "late", *arguments)
            truth = np.array([watched.loss[watched.places[each]].mean() for each in asked])
            told = np.array([each[1:] for each in facts if each[0]])
            errors = {"ours": told[:, 0, 0], "by scores alone": told[:, 1, 0]}
            errors |= {name: np.array(values) for name, values in theirs.items()}
            words = ", ".join(
                f"{name} {np.abs(values - truth).mean():.4f}" for name, values in errors.items()
            )
            covers = ((truth >= told[:, :, 1].T) & (truth <= told[:, :, 2].T)).mean(axis=1)
            print(
                f"  {stream.name}, labels late {delay if isinstance(delay, str) else f'by {delay} days'}, {len(asked)} weeks: {words}; covered {covers[0]:.0%}, by scores alone {covers[1]:.0%}",
                flush=True,
            )
