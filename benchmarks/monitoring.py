"""Monitoring: pages in model-years with nothing wrong, faults and harm found, verdicts on challengers, and estimates without labels and before they come, beside the peers.

    python benchmarks/monitoring.py [--years 200] [--peer-years 20] [--data FOLDER]     with elec2.csv, weather.csv, bike.csv and hotel_bookings.parquet

Peers run in environments of their own (`requirements/monitoring.txt`, `requirements/nannyml.txt`) on the same rows, from the same seeds.
"""

import argparse
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import monitoring_alarms, monitoring_late
from benchmarks import monitoring_streams as streams
from benchmarks.monitoring_estimates import estimates, peers
from benchmarks.monitoring_streams import FAULTS, Day, Year
from hardcover import tasks
from hardcover.forest.profile import bins_of
from hardcover.monitoring import watch
from hardcover.monitoring.change import shifts
from hardcover.monitoring.reference import Reference, Scored
from hardcover.runtime.profile import Profile

HERE = Path(__file__).parent
OPTIONS = {
    "window": "day",
    "tolerance": 0.05,
    "moved": 0.2,
    "broken": 0.02,
    "pages_per_year": 4,
    "warnings_per_year": 4,
    "calm": 7,
    "silence": 3,
    "known": [],
    "label_silence": 0,
}
BEGIN, DAY = pd.Timestamp("2025-01-06"), pd.Timedelta(days=1)
# Days after which labels are known, the day on which a fault begins, and days in which it must be found.
DELAY, FAULT, SOON = 1, 60, 2


class Linear(Reference):
    """The model of the streams, with what it was measured on."""

    def __init__(self, day: Day):
        self.pointer, self.costs = (
            {"wheel": "a-1-b", "case": "stream"},
            {"missed": streams.MISSED, "false_alarm": streams.FALSE_ALARM},
        )
        self.release = SimpleNamespace(version="1")
        self.task = tasks.of("binary")
        self.decision, self.classes = self.task.decision(self.costs, [0, 1]), [0, 1]
        self.model = SimpleNamespace(inputs=streams.NAMES, about={"files": {}})
        category = SimpleNamespace(
            feature=np.array([len(streams.NAMES) - 1]), threshold=np.zeros(1), decision=np.ones(1, dtype=int)
        )
        self._trees: Any = category
        self.target, self.when = day.label, pd.Series(BEGIN + pd.to_timedelta(day.time, unit="D"))
        self.apart: set[str] = set()
        self.levels = {"kind": ["a", "b", "c", "d"]}
        self.holdout = self.scored(day.inputs)

    @property
    def version(self) -> str:
        """The only one."""
        return "1"

    def scored(self, inputs: np.ndarray) -> Scored:
        """Score rows."""
        return Scored(inputs, streams.raw_score(inputs).reshape(-1, 1), streams.score(inputs))

    def explained(self, inputs: np.ndarray) -> np.ndarray:
        """Return what each number adds to the log-odds."""
        parts = np.zeros((len(inputs), 1, len(streams.NAMES) + 1))
        parts[:, 0, : streams.NUMBERS] = np.nan_to_num(inputs[:, :-1]) * streams.WEIGHTS
        return parts


def watched(seed: int, days: int, fault: str | None = None) -> dict:
    """Watch a year by daily passes; returns the state."""
    year = Year(seed)
    reference, state, waiting = Linear(year.reference()), watch.begin("stream"), []
    chance, before = np.random.default_rng([72, seed]), None
    watching = watch.Watch(state, reference, OPTIONS)
    for number in range(days):
        day = year.day(number)
        if fault is not None and number >= FAULT:
            day = FAULTS[fault][0](day, before, chance, number - FAULT)
        before, now = day, BEGIN + (number + 1) * DAY
        table = pd.DataFrame(
            {
                "time": BEGIN + pd.to_timedelta(day.time, unit="D"),
                "release": "1",
                "score": streams.score(day.inputs),
            }
        )
        watching.see(table, day.inputs)
        waiting.append((table.assign(known=table["time"] + DELAY * DAY), day))
        if number >= DELAY:
            late, theirs = waiting.pop(0)
            if len(late):
                watching.learn(late, theirs.inputs, theirs.label, np.full(len(late), np.nan))
        state = watching.close(now)
    return state


def ours_quiet(years: int) -> dict[str, float]:
    """Count what is told in model-years with nothing wrong."""
    told: Counter[str] = Counter()
    paged = 0
    for seed in range(years):
        episodes = watched(seed, streams.DAYS)["episodes"]
        told.update(each["tier"] for each in episodes)
        paged += any(each["tier"] == "page" for each in episodes)
        _say(f"{seed + 1}/{years} model-years, {dict(told)}")
    return {
        "pages a year": told["page"] / years,
        "warnings a year": told["warning"] / years,
        "years with a page": paged / years,
    }


def ours_faults() -> dict[str, tuple[int, int]]:
    """Find each fault in ten streams; returns how often it was found soon, and named first."""
    found = {}
    for name, (_, causes) in FAULTS.items():
        soon = named = 0
        for seed in range(10):
            late = DELAY if causes[0] in ("labels",) else 0
            state = watched(1000 + seed, FAULT + SOON + late + (12 if name == "slow wear" else 0), name)
            since = (BEGIN + FAULT * DAY).isoformat()
            mine = [each for each in state["episodes"] if each["since"] >= since]
            soon += bool(mine)
            named += bool(mine) and _cause(mine).startswith(causes)
        found[name] = (soon, named)
        _say(f"{name}: {found[name]}")
    return found


def _cause(episodes: list[dict]) -> str:
    """Return what the alerts name first: what data shows before what labels show, as the page lists them."""
    by_test = {each["test"]: each for each in episodes}
    if "volume" in by_test or "silence of served" in by_test:
        return "rows"
    if "inputs" in by_test:
        return by_test["inputs"]["why"][0].split(" ")[0]
    if "expected harm" in by_test:
        return by_test["expected harm"]["why"][0].split(" ")[0]
    return "labels"


def report(rows: int, columns: int) -> tuple[float, float]:
    """Measure a profile of numbers, its digest, and its distance from a stored one; returns seconds and how many MB it took besides the rows."""
    chance = np.random.default_rng(75)
    few = chance.normal(size=(5000, columns))
    nothing = SimpleNamespace(feature=np.empty(0), threshold=np.empty(0), decision=np.empty(0, dtype=int))
    names = [f"x{number}" for number in range(columns)]
    bins = bins_of(cast(Any, nothing), names, few, few[:, :1], ["score"])
    stored = Profile.of(bins, few, few[:, :1])
    # Rows come in parts, as versions of what was served do; making them is not measured.
    seconds, whole, size = 0.0, None, max(1, rows // 30)
    tracemalloc.start()
    for _ in range(0, rows, size):
        part = chance.normal(size=(size, columns))
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        begin = time.perf_counter()
        mine = Profile.of(bins, part, part[:, :1])
        whole = mine if whole is None else whole + mine
        seconds += time.perf_counter() - begin
    most = (tracemalloc.get_traced_memory()[1] - held) / 1e6 + part.nbytes / 1e6
    begin = time.perf_counter()
    assert whole is not None
    shifts(stored, whole)
    _ = whole.digest
    return seconds + time.perf_counter() - begin, most


def _say(text: str) -> None:
    print(f"\r{text:<100}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--peer-years", type=int, default=20)
    parser.add_argument("--data", type=Path, help="real streams, for estimates before labels come")
    options = parser.parse_args()
    begin = time.perf_counter()
    quiet = ours_quiet(options.years)
    print(
        f"\nHardcover, {options.years} model-years with nothing wrong, {time.perf_counter() - begin:.0f} s: "
        + ", ".join(f"{key} {value:.3g}" for key, value in quiet.items())
    )
    faults = ours_faults()
    soon, named = (sum(each[at] >= 9 for each in faults.values()) for at in (0, 1))
    print(
        f"\nHardcover, {len(faults)} faults: {soon} found within a window in 9 of 10 streams, {named} with the right cause first"
    )
    for name, (found, right) in faults.items():
        if min(found, right) < 9:
            print(f"  {name}: found {found} of 10, named {right}")
    monitoring_alarms.alarms(100)
    monitoring_alarms.contests(2000)
    estimates(150)
    if options.data is not None:
        print("what a week's answers cost, at its end: mean absolute errors")
        monitoring_late.estimates(options.data)
    seconds, memory = report(300_000, 1000)
    print(
        f"a report of 300,000 x 1,000 against a stored profile: {seconds:.1f} s, {memory:.0f} MB with the rows of a part"
    )
    seconds, _ = report(350_000, 100)
    theirs = peers("monitoring", "monitoring_peers.py", "report", "350000", "100").get(
        "seconds", float("nan")
    )
    print(
        f"one of 350,000 x 100: {seconds:.2f} s, evidently {theirs:.0f} s, {theirs / seconds:.0f} times as long"
    )
    for name, program in (("monitoring", "monitoring_peers.py"), ("nannyml", "monitoring_nannyml.py")):
        for key, value in peers(name, program, str(options.peer_years)).items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
