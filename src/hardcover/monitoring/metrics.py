"""The loop's state as Prometheus reads it (its text format 0.0.4), for node_exporter's textfile collector or any server of files."""

from datetime import datetime
from typing import Any

import pandas as pd

from hardcover.monitoring import chart
from hardcover.monitoring.alerts import TIERS, WARNING

_HELP = {
    "answers_total": ("counter", "Answers that the loop has looked at."),
    "labels_total": ("counter", "Labels that the loop has looked at."),
    "expected_loss": ("gauge", "Mean loss of the newest window, by what scores meant on the holdout."),
    "outlook_loss": (
        "gauge",
        "Mean loss of the newest window, by scores and by what labels showed of other windows.",
    ),
    "loss": ("gauge", "Mean loss of the newest window with labels."),
    "tolerated_loss": ("gauge", "Mean loss up to which nothing is wrong."),
    "covered_ratio": ("gauge", "Labelled answers within what they said may come, where tables follow."),
    "saved_by_a_new_model": (
        "gauge",
        "What a new model would have saved since the last one, where one has a price.",
    ),
    "open_alerts": ("gauge", "Alerts that are open."),
    "pass_timestamp_seconds": ("gauge", "When the loop passed last."),
    "served_timestamp_seconds": ("gauge", "When the newest answer was given."),
}


def text(state: dict[str, Any], passed: datetime) -> str:
    """Return the metrics of a case.

    Parameters
    ----------
    state
        As `watch.begin` describes it, after a pass.
    passed
        When there was a pass last, also one that found nothing new.
    """
    case, windows = state["case"], state["windows"]
    found: dict[str, list[tuple[dict[str, str], float]]] = {name: [] for name in _HELP}
    by_version: dict[str, list[dict]] = {}
    for window in windows:
        by_version.setdefault(window["wheel"].split("-")[1], []).append(window)
    for version, mine in by_version.items():
        found["answers_total"].append(({"version": version}, sum(each["rows"] for each in mine)))
        found["labels_total"].append(({"version": version}, sum(each["labelled"]["rows"] for each in mine)))
    labelled = [window["labelled"] for window in windows if window["labelled"]["rows"]]
    if windows:
        found["expected_loss"].append(({}, windows[-1]["expected"]["estimate"]))
        found["tolerated_loss"].append(({}, state["reference"]["tolerated"]))
        found["served_timestamp_seconds"].append(({}, pd.Timestamp(state["last"]["served"]).timestamp()))
    if windows and (outlook := chart.outlook(windows[-1], state)):
        found["outlook_loss"].append(({}, outlook[0]))
    if covered := state.get("coverage"):
        found["covered_ratio"].append(({}, covered["covered"] / covered["rows"]))
    if fresh := state.get("fresh"):
        found["saved_by_a_new_model"].append(({}, fresh["saved"]))
    if labelled:
        found["loss"].append(({}, labelled[-1]["loss"] / labelled[-1]["rows"]))
    open_ones = {each["test"]: each["tier"] for each in state["episodes"] if each["until"] is None}
    for test in [*TIERS, *(open_ones.keys() - TIERS.keys())]:
        labels = {"tier": TIERS.get(test, WARNING), "test": test}
        found["open_alerts"].append((labels, float(test in open_ones)))
    found["pass_timestamp_seconds"].append(({}, passed.timestamp()))
    lines = []
    for name, (kind, words) in _HELP.items():
        if found[name]:
            lines += [f"# HELP hardcover_{name} {words}", f"# TYPE hardcover_{name} {kind}"]
        for labels, value in found[name]:
            told = ",".join(f'{key}="{_escaped(part)}"' for key, part in {"case": case, **labels}.items())
            lines.append(f"hardcover_{name}{{{told}}} {value!r}")
    return "\n".join([*lines, ""])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def untracked(before: dict[str, Any] | None, after: dict[str, Any]) -> list[list[str]]:
    """Return the windows that the tracking store has to be told of, begin and wheel of each: those that a pass has changed, and those that wait."""
    known = {_name(each): each for each in ([] if before is None else before["windows"])}
    changed = {_name(each) for each in after["windows"] if known.get(_name(each)) != each}
    return sorted(map(list, changed | {tuple(each) for each in after.get("untracked", [])}))


def _name(window: dict[str, Any]) -> tuple[str, str]:
    return window["begin"], window["wheel"]


def track(state: dict[str, Any], run: str | None) -> None:
    """Add what the champion's windows have become to the series of its run; what is not taken waits for the next pass.

    Raises
    ------
    HardcoverError
        When the tracking server does not answer.
    """
    # MLflow takes long to import.
    from hardcover.tracking import mlflow_log

    waiting = {(begin, wheel) for begin, wheel in state["untracked"] if wheel == state["wheel"]}
    mine = [each for each in state["windows"] if _name(each) in waiting]
    mlflow_log.log_series(run, _series(mine))
    state["untracked"] = []


def _series(windows: list[dict[str, Any]]) -> list[tuple[str, float, datetime]]:
    """Return what windows were as points: name, value, and the window's begin."""
    found = []
    for window in windows:
        begin, labelled = datetime.fromisoformat(window["begin"]), window["labelled"]
        found += [
            ("monitor.rows", float(window["rows"]), begin),
            ("monitor.expected_loss", window["expected"]["estimate"], begin),
            ("monitor.labels", float(labelled["rows"]), begin),
        ]
        if labelled["rows"]:
            found.append(("monitor.loss", labelled["loss"] / labelled["rows"], begin))
        found += [(f"monitor.elsewhere.{name}", shift, begin) for name, shift in window["shifts"].items()]
    return found
