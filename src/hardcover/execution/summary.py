"""What a run made or reused: collected from its record, and as the lines that the command prints."""

from typing import Any

from hardcover.lineage import run_records
from hardcover.proof import report as proof_report

REPORTS = ("source", "data_report", "metrics", "registration_report", "release_report")
# Above this share of refused rows, the rest may tell another story than all of them.
MANY_REFUSED = 0.05


def collect(case: str, run_id: str) -> dict:
    """Collect what a run made or reused, from its record: reports, versions, and what each node did and why."""
    sessions, outputs = run_records.read(run_id)["sessions"], run_records.outputs(run_id)
    mine = {name: outputs[f"{case}.{name}"] for name in REPORTS if f"{case}.{name}" in outputs}
    facts: dict[str, Any] = {"case": case, "run": run_id}
    facts |= {name: found for name, output in mine.items() if (found := run_records.load_json(output))}
    nodes = {name: node for session in sessions for name, node in session["nodes"].items()}
    states = {name: {"state": node["state"], "reasons": node["reasons"]} for name, node in nodes.items()}
    return {**facts, "versions": {name: output["version"] for name, output in mine.items()}, "nodes": states}


def lines(facts: dict) -> list[str]:
    """Return the summary's lines; a report that lacks what a line says makes that line say so, and no other."""
    rows = []
    for name, needed, line in _lines_of(facts):
        if needed is not None and not facts.get(needed):
            continue
        try:
            text = line(facts)
        except (KeyError, TypeError, ValueError) as error:
            text = f"({needed} has no {error})"
        rows += [(name if not number else "", part) for number, part in enumerate(text.splitlines())]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}} {value}" for name, value in rows]


def _rows_line(facts: dict) -> str:
    data = facts["data_report"]
    asked = data["clean"] + data["quarantined"] - data["rows"]
    raw = f"{data['rows']} raw" + (f" and {asked} that are asked about" if asked else "")
    line = f"{raw} = {data['clean']} clean + {data['quarantined']} quarantined, split by {data['split_by']}"
    if data["quarantined"] <= MANY_REFUSED * data["rows"] or not data["rejections"]:
        return line
    reason, count = max(data["rejections"].items(), key=lambda item: item[1])
    return f"{line}\nwarning: {data['quarantined'] / data['rows']:.0%} of the rows are refused, {count} of them since {reason[:120]}"


def _primary(facts: dict) -> dict:
    return facts["metrics"]["primary"]


def holdout_line(facts: dict) -> str:
    """Return the primary metric on the holdout with its interval."""
    name = _primary(facts)["name"]
    value, interval = facts["metrics"]["holdout"][name], facts["metrics"]["interval"][name]
    return f"{value:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def folds_line(facts: dict) -> str:
    """Return the primary metric in folds: mean and standard deviation."""
    folds, name = facts["metrics"]["cross_validation"], _primary(facts)["name"]
    return f"{folds[f'{name}_mean']:.3f} ± {folds[f'{name}_std']:.3f}, {folds['folds']} folds"


def _baseline_line(facts: dict) -> str:
    name = _primary(facts)["name"]
    found = {base: values[name] for base, values in facts["metrics"]["baseline"].items()}
    return ", ".join(f"{base.replace('_', ' ')} {value:.3f}" for base, value in found.items())


def _random_line(facts: dict) -> str:
    value = facts["metrics"]["random_split"][_primary(facts)["name"]]
    return f"{value:.3f} is what mixing entities and times would have shown"


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
    role = (
        ""
        if not published or published["role"] == "champion"
        else f", challenger: hardcover promote {facts['case']} puts it to use"
    )
    return f"{published['path'] if published else held} ({bits}){role}"


def _histories_line(facts: dict) -> str:
    kept = facts["release_report"]["histories"]
    return f"{kept['bytes_per_entity']:,} bytes an entity in memory, of {kept['entities']:,} entities and {kept['events']:,} events"


def _proof_line(facts: dict) -> str:
    return "\n".join(proof_report.lines(facts["proof"]))


def _nodes_line(facts: dict) -> str:
    ran = sum(node["state"] == "ran" for node in facts["nodes"].values())
    return f"{ran} ran, {len(facts['nodes']) - ran} reused"


def _lines_of(facts: dict) -> list[tuple]:
    """Return of each line its name, the report that it needs, and what it says."""
    metric = facts.get("metrics", {}).get("primary", {}).get("label", "metric")
    lines = [
        ("case", None, lambda facts: facts["case"]),
        ("source", "source", lambda facts: facts["source"]["description"]),
        ("rows", "data_report", _rows_line),
        (metric, "metrics", lambda facts: f"{holdout_line(facts)} on the holdout"),
        ("  in folds", "metrics", folds_line),
        ("  baselines", "metrics", _baseline_line),
        ("  random split", "metrics", _random_line),
        ("registry", "registration_report", registry_line),
        ("wheel", "release_report", _wheel_line),
        ("histories", "release_report", _histories_line),
        ("proof", "proof", _proof_line),
        ("nodes", None, _nodes_line),
        ("run", None, lambda facts: facts["run"]),
        ("time", None, lambda facts: f"{facts['seconds']:.0f} s"),
        ("report", "page", lambda facts: facts["page"]),
    ]
    without = {"histories"} - facts.get("release_report", {}).keys()
    without |= set() if "random_split" in facts.get("metrics", {}) else {"  random split"}
    return [line for line in lines if line[0] not in without]


def table(results: list[dict]) -> list[list[str]]:
    """Return one line for each case, below a head: its metric beside the best baseline, its wheel and what the proof said."""
    head = ["case", "metric", "holdout", "best baseline", "proof", "wheel", "time"]
    return [head, *(_row(facts) for facts in results)]


def _row(facts: dict) -> list[str]:
    metrics, proof, published = facts.get("metrics"), facts.get("proof"), _published(facts)
    found = [_primary(facts)["label"], holdout_line(facts), _best_baseline(facts)] if metrics else [""] * 3
    said = "not asked" if not proof else "passed" if proof["passed"] else "failed"
    wheel = published["path"].rpartition("/")[2] if published else "not published"
    return [facts["case"], *found, said, wheel, f"{facts['seconds']:.0f} s"]


def _best_baseline(facts: dict) -> str:
    primary, found = _primary(facts), facts["metrics"]["baseline"]
    choose = max if primary["greater_is_better"] else min
    base = choose(found, key=lambda name: found[name][primary["name"]])
    return f"{found[base][primary['name']]:.3f} {base.replace('_', ' ')}"
