"""What is there: runs, versions and cases, newest first, with what made them."""

import json
from datetime import UTC, datetime
from pathlib import Path

from hardcover import cases as project
from hardcover import provenance, publish, settings, versions
from hardcover.errors import VersionError
from hardcover.lineage import Lineage


def runs() -> list[dict]:
    """Return each run on record: id, start, what it was of, how, what it did, its commit, and the metrics of what it saved."""
    found = []
    for run in provenance.runs():
        try:
            sessions = provenance.read(run)["sessions"]
        except VersionError:
            continue
        nodes = {name: node["state"] for session in sessions for name, node in session["nodes"].items()}
        ran = sum(state == "ran" for state in nodes.values())
        found.append(
            {
                "run": run,
                "started": sessions[0]["started"],
                "cases": sorted({name.partition(".")[0] for name in nodes}),
                "face": sessions[0]["face"],
                "env": sessions[0]["env"] or settings.HOME,
                "ran": ran,
                "reused": len(nodes) - ran,
                "average_precision": _average_precision(provenance.outputs(run)),
                "commit": sessions[0]["commit"],
                "dirty": sessions[0]["dirty"],
            }
        )
    return sorted(found, key=lambda run: run["started"], reverse=True)


def _average_precision(outputs: dict[str, dict]) -> float | None:
    for name, facts in outputs.items():
        case, _, dataset = name.rpartition(".")
        if dataset == "metrics":
            folder = (
                Path(settings.read("data.root")) / "08_reporting" / case / "metrics.json" / facts["version"]
            )
            try:
                metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
                return metrics["holdout"]["average_precision"]
            except (OSError, ValueError, KeyError):
                return None
    return None


def committed() -> list[dict]:
    """Return each committed version: dataset, name, rows, node, face, run and commit."""
    lineage = Lineage()
    keys = ("rows", "node", "face", "run", "commit", "dirty")
    found = [
        {"dataset": item.dataset, "version": item.version, **{key: manifest.get(key) for key in keys}}
        for item, manifest in lineage.manifests.items()
    ]
    return sorted(found, key=lambda facts: facts["version"], reverse=True)


def cases() -> list[dict]:
    """Return each case: its datasets' newest version, and the wheel that is released, with the registry's decision."""
    root, found = Path(settings.read("data.root")), []
    for case in project.names():
        newest = [versions.latest(folder) for folder in versions.datasets(root) if folder.parent.name == case]
        pointer = publish.current(case) or {}
        facts = {"newest": max(filter(None, newest), default=None), "wheel": pointer.get("wheel")}
        found.append({"case": case, **facts, "registry": pointer.get("registry"), "run": pointer.get("run")})
    return sorted(found, key=lambda facts: facts["newest"] or "", reverse=True)


def lines(what: str, rows: list[dict]) -> list[str]:
    """Return rows as a table; one line says where there is none."""
    if not rows:
        return [f"no {what} in {settings.read('data.root')}"]
    table = [list(_CELLS[what](row)) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _commit(facts: dict) -> str:
    return f"commit {facts['commit'][:8]}{'+' if facts['dirty'] else ''}" if facts.get("commit") else ""


def _run_cells(run: dict):
    started = datetime.fromisoformat(run["started"]).astimezone(UTC)
    yield run["run"][:8]
    yield f"{started:%Y-%m-%d %H:%M}"
    yield "+".join(run["cases"])
    yield f"{run['face']}, {run['env']}"
    yield f"{run['ran']} ran, {run['reused']} reused"
    yield "" if run["average_precision"] is None else f"AP {run['average_precision']:.3f}"
    yield _commit(run)


def _version_cells(facts: dict):
    yield f"{facts['dataset']}@{facts['version']}"
    yield "" if facts["rows"] is None else f"{facts['rows']:,} rows"
    yield f"node {facts['node']}" if facts["node"] else "by hand"
    yield facts["face"] or ""
    yield f"run {facts['run'][:8]}" if facts["run"] else ""
    yield _commit(facts)


def _case_cells(facts: dict):
    yield facts["case"]
    yield f"newest {facts['newest'] or 'nothing yet'}"
    yield facts["wheel"] or "no wheel released"
    yield facts["registry"] or ""


_CELLS = {"runs": _run_cells, "versions": _version_cells, "cases": _case_cells}
LISTS = {"runs": runs, "versions": committed, "cases": cases}
