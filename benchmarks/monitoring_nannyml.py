"""NannyML on the streams of `monitoring_streams`, with its defaults: its alerts, and its estimates beside ours; run by `monitoring.py` in its own environment."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

import nannyml

from benchmarks import monitoring_streams as streams
from benchmarks.monitoring_streams import FAULTS, NAMES, Day, Year

warnings.filterwarnings("ignore")
FAULT, STREAMS = 60, 3
COSTS = {"business_value_matrix": [[0, -streams.FALSE_ALARM], [-streams.MISSED, 0]]}
# What an estimate alerts by: the value grows with a chunk's rows, which are others in the reference.
METRICS = ["roc_auc", "f1", "average_precision"]
ESTIMATED = [*METRICS, "business_value"]


def table(days: list[Day]) -> pd.DataFrame:
    """Return rows as NannyML takes them."""
    whole = Day(*(np.concatenate(parts) for parts in zip(*days, strict=True)))
    found = pd.DataFrame(whole.inputs, columns=NAMES)
    proba = streams.score(whole.inputs)
    when = pd.Timestamp("2025-01-06") + pd.to_timedelta(whole.time, unit="D")
    return found.assign(
        kind=found["kind"].astype(int).astype(str),
        proba=proba,
        pred=(proba >= streams.THRESHOLD).astype(int),
        y=whole.label.astype(int),
        time=when,
    )


def calculators(reference: pd.DataFrame) -> tuple[Any, Any]:
    """Fit what estimates performance and what sees drift, by chunks of a day."""
    cbpe = nannyml.CBPE(
        y_pred_proba="proba",
        y_pred="pred",
        y_true="y",
        timestamp_column_name="time",
        problem_type="classification_binary",
        metrics=METRICS,
        chunk_period="D",
        **COSTS,
    )
    univariate = nannyml.UnivariateDriftCalculator(
        column_names=NAMES,
        timestamp_column_name="time",
        continuous_methods=["jensen_shannon"],
        categorical_methods=["jensen_shannon"],
        chunk_period="D",
    )
    return cbpe.fit(reference), univariate.fit(reference)


def alerts(fitted: tuple[Any, Any], rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the days with an alert of an estimate, those with one of drift, and the columns by how far they drift on the last."""
    found = fitted[0].estimate(rows).filter(period="analysis").to_df()
    estimated = np.array([found[(metric, "alert")].astype(bool) for metric in METRICS]).any(axis=0)
    shifts = fitted[1].calculate(rows).filter(period="analysis").to_df()
    moved = {name: shifts[(name, "jensen_shannon", "alert")].astype(bool).to_numpy() for name in NAMES}
    far = {
        name: float(shifts[(name, "jensen_shannon", "value")].iloc[-1]) for name in NAMES if moved[name][-1]
    }
    return estimated, np.array(list(moved.values())).any(axis=0), sorted(far, key=lambda name: -far[name])


def quiet(years: int) -> dict:
    """Count alerts in model-years with nothing wrong, by chunks of a day."""
    estimated = drifted = 0
    for seed in range(years):
        year = Year(seed)
        fitted = calculators(table([year.reference()]))
        found = alerts(fitted, table([year.day(number) for number in range(streams.DAYS)]))
        estimated, drifted = estimated + int(found[0].sum()), drifted + int(found[1].sum())
    return {
        "NannyML CBPE, days with an alert a year with nothing wrong": round(estimated / years, 2),
        "NannyML univariate drift, likewise": round(drifted / years, 2),
    }


def faults() -> dict:
    """Count the faults on whose first day something alerts, and those that are named first."""
    soon, right = dict.fromkeys(FAULTS, 0), dict.fromkeys(FAULTS, 0)
    for seed in range(STREAMS):
        fitted = calculators(table([Year(1000 + seed).reference()]))
        for name, (fault, causes) in FAULTS.items():
            year, chance = Year(1000 + seed), np.random.default_rng([72, 1000 + seed])
            year.reference()
            for number in range(FAULT + 1):
                day = year.day(number)
            rows = fault(day, None, chance, 0)
            if len(rows.label):
                estimated, moved, columns = alerts(fitted, table([rows]))
                soon[name] += bool(estimated.any() or moved.any())
                right[name] += bool(columns) and columns[0] in causes
    return {
        "NannyML, faults on whose day something alerts": sum(count == STREAMS for count in soon.values()),
        "NannyML, faults named first": sum(count == STREAMS for count in right.values()),
    }


def estimates(file: str) -> dict:
    """Estimate metrics of chunks of 2,000 rows whose inputs have moved; returns them by chunk, for `monitoring.py` to compare."""
    rows = pd.read_parquet(file)
    found: dict[str, list] = {metric: [] for metric in ESTIMATED}
    for seed, part in rows.groupby("seed"):
        reference = part[part["part"] == "reference"]
        cbpe = nannyml.CBPE(
            y_pred_proba="proba",
            y_pred="pred",
            y_true="y",
            problem_type="classification_binary",
            metrics=ESTIMATED,
            chunk_size=2000,
            **COSTS,
        )
        made = cbpe.fit(reference).estimate(part[part["part"] == "later"]).filter(period="analysis").to_df()
        for metric in ESTIMATED:
            found[metric] += [
                [int(seed), *row]
                for row in zip(
                    made[(metric, "value")],
                    made[(metric, "lower_confidence_boundary")],
                    made[(metric, "upper_confidence_boundary")],
                    strict=True,
                )
            ]
    return found


if __name__ == "__main__":
    print(
        json.dumps(
            estimates(sys.argv[2]) if sys.argv[1] == "estimates" else {**quiet(int(sys.argv[1])), **faults()}
        )
    )
