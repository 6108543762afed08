"""evidently, river, driftfdr and lfmm on the streams of `monitoring_streams`, with their defaults; run by `monitoring.py` in their own environment."""

import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from driftfdr import ECUSUM, CalibratedDetector, CalibrationConfig, MeanShift, StreamingMonitor
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from lfmm.estimators import CBPE, DelayAdjustedCBPE, HazardAdjustedCBPE, History, LatestCompleteCohort
from river.drift import ADWIN, KSWIN, PageHinkley

from benchmarks import monitoring_streams as streams
from benchmarks.monitoring_streams import (
    FAULTS,
    KINDS,
    LEVEL,
    NAMES,
    QUIET,
    REFERENCE_ROWS,
    ROWS,
    TOLERANCES,
    Day,
    Year,
)

warnings.filterwarnings("ignore")
FAULT, STREAMS = 60, 3
# Rows whose losses are a value for driftfdr, as its users do with many rows.
BUCKET = 25
DEFINITION = DataDefinition(numerical_columns=NAMES[:-1], categorical_columns=NAMES[-1:])


def dataset(day: Day) -> Dataset:
    """Return rows as evidently takes them."""
    table = pd.DataFrame(day.inputs, columns=NAMES)
    return Dataset.from_pandas(
        table.assign(kind=table["kind"].astype(int).astype(str)), data_definition=DEFINITION
    )


def drifted(day: Day, reference: Dataset) -> tuple[bool, list[str]]:
    """Return whether evidently says that the data set drifts, and which columns do, the most drifted by its score first."""
    if not len(day.label):
        return False, []
    try:
        found = Report([DataDriftPreset()]).run(dataset(day), reference).dict()["metrics"]
    except ValueError:
        # It refuses a column without a value.
        return True, []
    columns: dict[str, float] = {}
    whole = False
    for each in found:
        value, name = each["value"], each["metric_name"]
        if name.startswith("DriftedColumnsCount"):
            whole = value["share"] >= 0.5
        elif name.startswith("ValueDrift"):
            column = name.split("column=")[1].split(",")[0]
            # More than 1,000 rows of a reference: a distance, which drifts above 0.1.
            if value >= 0.1:
                columns[column] = value
    return whole, sorted(columns, key=lambda name: -columns[name])


def quiet(years: int) -> dict:
    """Count alarms in model-years with nothing wrong."""
    told: Counter[str] = Counter()
    seconds = 0.0
    for seed in range(years):
        year = Year(seed)
        reference = dataset(year.reference())
        detectors = {
            "river ADWIN": ADWIN(),
            "river Page-Hinkley": PageHinkley(),
            "river KSWIN": KSWIN(seed=1),
        }
        monitor = StreamingMonitor(
            model_ids=["m"],
            detector_factory=lambda: MeanShift(3),
            procedure="bonferroni",
            alpha=0.05,
            n_ref=300,
            window=100,
            horizon=5,
            calibration=CalibrationConfig(tolerance=0.05),
        )
        for number in range(streams.DAYS):
            day = year.day(number)
            loss = streams.losses(day.label, streams.score(day.inputs))
            for name, detector in detectors.items():
                for value in loss:
                    detector.update(value)
                    told[name] += bool(detector.drift_detected)
            for part in loss.reshape(-1, BUCKET):
                told["driftfdr"] += len(monitor.update({"m": float(part.mean())}))
            begin = time.perf_counter()
            whole, columns = drifted(day, reference)
            seconds += time.perf_counter() - begin
            told["evidently, data set"] += whole
            told["evidently, any column"] += bool(columns)
    found = {
        f"{name}, alarms a year with nothing wrong": round(count / max(1, years), 2)
        for name, count in told.items()
    }
    return {
        **found,
        "evidently, seconds a window of 200 x 9": round(seconds / max(1, years) / streams.DAYS, 3),
    }


def faults() -> dict:
    """Count the faults that evidently flags on their first day, whatever it flags on others, and names first."""
    found = named = 0
    for fault, causes in FAULTS.values():
        soon = right = 0
        for seed in range(STREAMS):
            year, chance = Year(1000 + seed), np.random.default_rng([72, 1000 + seed])
            reference = dataset(year.reference())
            for number in range(FAULT + 1):
                day = year.day(number)
            whole, columns = drifted(fault(day, None, chance, 0), reference)
            soon += whole or bool(columns)
            right += bool(columns) and columns[0] in causes
        found, named = found + (soon == STREAMS), named + (right == STREAMS)
    return {"evidently, faults on whose day something drifts": found, "evidently, faults named first": named}


def report(rows: int, columns: int) -> dict:
    """Measure a report of numbers against as many of a reference."""
    chance = np.random.default_rng(75)
    names = [f"x{number}" for number in range(columns)]
    tables = [pd.DataFrame(chance.normal(size=(rows, columns)), columns=names) for _ in range(2)]
    definition = DataDefinition(numerical_columns=names)
    begin = time.perf_counter()
    current, reference = (Dataset.from_pandas(table, data_definition=definition) for table in tables)
    Report([DataDriftPreset()]).run(current, reference).dict()
    return {"seconds": time.perf_counter() - begin}


def _alarm(kind: str, tolerance: float, seed: int, more: float, days: int) -> int | None:
    """Return on which day driftfdr's sequential detector of means of 25 losses has an alarm, from 1; None without one."""
    chance = np.random.default_rng([76, seed])
    reference = KINDS[kind](chance, REFERENCE_ROWS, 1.0)
    calibration = CalibrationConfig(tolerance=tolerance * float(reference.mean()))
    detector = CalibratedDetector(ECUSUM(), calibration=calibration, seed=seed, sequential=True)
    for part in reference.reshape(-1, BUCKET):
        detector.update(float(part.mean()))
    # A window's worth of the level.
    level = detector.window * BUCKET / ROWS / LEVEL
    for day in range(days):
        loss = KINDS[kind](chance, ROWS, more if day >= QUIET else 1.0)
        for part in loss.reshape(-1, BUCKET):
            chance_of_it = detector.update(float(part.mean()))
            if chance_of_it is not None and chance_of_it < level:
                return day + 1
    return None


def harm(many: int) -> dict:
    """Measure how soon a tenth more loss is found, and how often there is an alarm with nothing wrong."""
    return {
        f"{kind} {tolerance}": streams.told(
            [_alarm(kind, tolerance, seed, 1.1, QUIET + LEVEL) for seed in range(many)],
            [_alarm(kind, tolerance, seed, 1.0, LEVEL) for seed in range(many)],
        )
        for kind in KINDS
        for tolerance in TOLERANCES
    }


def late(file: str, learned: float, measured: float, weeks: list[int]) -> dict:
    """Estimate at the end of each week what share of its answers is wrong, by labels that were known by then."""
    table = pd.read_parquet(file)
    begin, end = (int(share * len(table)) for share in (learned, measured))
    held, first = table.iloc[begin:end], np.unique(table["week"].iloc[end:])[1]
    makers = {
        "lfmm's CBPE": CBPE,
        "delay-adjusted": DelayAdjustedCBPE,
        "its hazards": HazardAdjustedCBPE,
        "latest complete week": lambda: LatestCompleteCohort(freq="W-SUN", min_rows=20),
    }
    estimators = {
        name: make().fit(held["score"].to_numpy(), held["target"].to_numpy(), 0.5)
        for name, make in makers.items()
    }
    found: dict[str, list[float]] = {name: [] for name in makers}
    for week in weeks:
        now = pd.Period(ordinal=week, freq="W-SUN").end_time
        mine = table[table["week"] == week]
        past = table[(table["week"] < week) & (table["week"] >= first)]
        known = (past["known"] <= now).to_numpy()
        history = History(
            past["score"].to_numpy(),
            np.where(known, past["target"], np.nan),
            past["when"].to_numpy("datetime64[ns]"),
            np.where(known, past["known"].to_numpy("datetime64[ns]"), np.datetime64("NaT")),
            np.datetime64(now),
        )
        for name, estimator in estimators.items():
            asked = "accuracy", mine["score"].to_numpy(), history
            right = estimator.estimate(*asked) if len(past) else np.nan
            # None has been complete yet.
            found[name].append(1 - float(estimator.ref["accuracy"] if np.isnan(right) else right))
    return found


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what in ("harm", "late", "report"):
        print(json.dumps({"harm": harm, "late": late, "report": report}[what](*map(json.loads, given))))
        sys.exit()
    seen = quiet(int(sys.argv[1]))
    print(json.dumps(seen), flush=True)
    print(json.dumps({**seen, **faults()}))
