"""evidently, river and driftfdr on the streams of `monitoring_streams`, with their defaults; run by `monitoring.py` in their own environment."""

import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from driftfdr import CalibrationConfig, MeanShift, StreamingMonitor
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from river.drift import ADWIN, KSWIN, PageHinkley

from benchmarks import monitoring_streams as streams
from benchmarks.monitoring_streams import FAULTS, NAMES, Day, Year

warnings.filterwarnings("ignore")
FAULT, STREAMS = 60, 3
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
            # As its users do with many rows: means of buckets.
            for part in np.array_split(loss, 8):
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


if __name__ == "__main__":
    if sys.argv[1] == "report":
        print(json.dumps(report(int(sys.argv[2]), int(sys.argv[3]))))
        sys.exit()
    seen = quiet(int(sys.argv[1]))
    print(json.dumps(seen), flush=True)
    print(json.dumps({**seen, **faults()}))
