"""What a run made or reused: collected from its record, and as the lines that the command prints."""

import json
from pathlib import Path
from typing import Any

from hardcover import proof, provenance, settings

REPORTS = (
    ("01_raw", "source.json"),
    ("08_reporting", "data_report.json"),
    ("08_reporting", "metrics.json"),
    ("08_reporting", "registration_report.json"),
    ("08_reporting", "release_report.json"),
)


def collect(case: str, run_id: str) -> dict:
    """Collect what a run made or reused, from its record: reports, versions, and what each node did and why."""
    root = Path(settings.read("data.root"))
    sessions = provenance.read(run_id)["sessions"]
    outputs = provenance.outputs(run_id)
    facts: dict[str, Any] = {"case": case, "run": run_id}
    found: dict[str, str] = {}
    for layer, name in REPORTS:
        stem = name.partition(".")[0]
        if f"{case}.{stem}" in outputs:
            found[stem] = outputs[f"{case}.{stem}"]["version"]
            path = root / layer / case / name / found[stem] / name
            facts[stem] = json.loads(path.read_text(encoding="utf-8"))
    nodes = {name: node for session in sessions for name, node in session["nodes"].items()}
    states = {name: {"state": node["state"], "reasons": node["reasons"]} for name, node in nodes.items()}
    return {**facts, "versions": found, "nodes": states}


def lines(facts: dict) -> list[str]:
    """Return the summary's lines; a report that lacks what a line says makes that line say so, and no other."""
    rows = []
    for name, report, line in _LINES:
        if report is not None and not facts.get(report):
            continue
        try:
            text = line(facts)
        except (KeyError, TypeError, ValueError) as error:
            text = f"({report} has no {error})"
        rows += [(name if not number else "", part) for number, part in enumerate(text.splitlines())]
    return [f"{name:<18} {value}" for name, value in rows]


def _rows_line(facts: dict) -> str:
    data = facts["data_report"]
    return f"{data['rows']} raw = {data['clean']} clean + {data['quarantined']} quarantined, split by {data['split_by']}"


def _holdout_line(facts: dict) -> str:
    holdout, interval = facts["metrics"]["holdout"], facts["metrics"]["interval"]["average_precision"]
    return (
        f"{holdout['average_precision']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}] on the holdout"
    )


def _folds_line(facts: dict) -> str:
    folds = facts["metrics"]["cross_validation"]
    spread = f"{folds['average_precision_mean']:.3f} ± {folds['average_precision_std']:.3f}"
    return f"{spread}, {folds['folds']} folds"


def _baseline_line(facts: dict) -> str:
    base = facts["metrics"]["baseline"]
    logistic, constant = base["logistic_regression"], base["constant"]
    return f"logistic regression {logistic['average_precision']:.3f}, constant {constant['average_precision']:.3f}"


def _published(facts: dict) -> dict | None:
    return (facts.get("proof") or {}).get("published")


def registry_line(facts: dict) -> str:
    """Return the registered model, its version and what was decided about it."""
    registered, published = facts["registration_report"], _published(facts)
    decision = published["registry"] if published else f"challenger, not proven: {registered['decision']}"
    return f"{registered['model']} version {registered['version']}, {decision}"


def _wheel_line(facts: dict) -> str:
    release, published = facts["release_report"], _published(facts)
    bits = f"{release['rows']} holdout rows equal to the bit with only numpy {release['numpy']}"
    held = f"{release['wheel']}, not published: run hardcover prove {facts['case']}"
    return f"{published['path'] if published else held} ({bits})"


def _proof_line(facts: dict) -> str:
    return "\n".join(proof.lines(facts["proof"]))


def _nodes_line(facts: dict) -> str:
    ran = sum(node["state"] == "ran" for node in facts["nodes"].values())
    return f"{ran} ran, {len(facts['nodes']) - ran} reused"


# Of each line its name, the report that it needs, and what it says.
_LINES = (
    ("case", None, lambda facts: facts["case"]),
    ("source", "source", lambda facts: facts["source"]["description"]),
    ("rows", "data_report", _rows_line),
    ("average precision", "metrics", _holdout_line),
    ("  in folds", "metrics", _folds_line),
    ("baseline", "metrics", _baseline_line),
    ("registry", "registration_report", registry_line),
    ("wheel", "release_report", _wheel_line),
    ("proof", "proof", _proof_line),
    ("nodes", None, _nodes_line),
    ("run", None, lambda facts: facts["run"]),
    ("time", None, lambda facts: f"{facts['seconds']:.0f} s"),
    ("report", "page", lambda facts: facts["page"]),
)
