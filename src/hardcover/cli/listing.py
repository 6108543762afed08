"""``hardcover list``: runs, versions and cases, newest first, with what made them."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from hardcover import settings
from hardcover.cli import tables
from hardcover.errors import VersionError
from hardcover.lineage import run_records
from hardcover.lineage.graph import Lineage
from hardcover.project import cases as project
from hardcover.release import publish
from hardcover.store import versions

PURPOSE = "runs, versions or cases, newest first"
DESCRIPTION = "List runs with what they did, versions with what made them, or cases with what is released."
EXAMPLES = """examples:
  hardcover list                          the last runs: their ids are what lineage and reproduce take
  hardcover list versions --limit 50
  hardcover list cases
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("what", nargs="?", choices=("runs", "versions", "cases"), default="runs")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="lines at most (default 20; 0: all)"
    )


def do(options: argparse.Namespace) -> int:
    """List runs, versions or cases, newest first."""
    rows = LISTS[options.what]()
    shown = rows[: options.limit or None]
    if options.json:
        print(json.dumps(shown, indent=2))
        return 0
    print("\n".join(lines(options.what, shown)))
    if len(rows) > len(shown):
        print(f"… and {len(rows) - len(shown)} more; --limit 0 shows all")
    return 0


def runs() -> list[dict]:
    """Return each run on record: id, start, what it was of, how, what it did, its commit, and the primary metric of what it saved."""
    found = []
    for run in run_records.runs():
        try:
            sessions = run_records.read(run)["sessions"]
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
                "metric": _primary_metric(run_records.outputs(run)),
                "commit": sessions[0]["commit"],
                "dirty": sessions[0]["dirty"],
            }
        )
    return sorted(found, key=lambda run: run["started"], reverse=True)


def _primary_metric(outputs: dict[str, dict]) -> dict | None:
    """Return name, short form and value of the metric that models are compared by; None without a model."""
    for name, output in outputs.items():
        if name.rpartition(".")[2] == "metrics":
            try:
                metrics = run_records.load_json(output)
                primary = metrics["primary"]
                value = metrics["holdout"][primary["name"]]
                return {"name": primary["name"], "short": primary["short"], "value": value}
            except (OSError, ValueError, KeyError, TypeError):
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
        folders = [
            folder for name, folder in versions.by_dataset(root).items() if name.startswith(f"{case}.")
        ]
        newest = [versions.latest(folder) for folder in folders]
        pointer = publish.current(case) or {}
        facts = {"newest": max(filter(None, newest), default=None), "wheel": pointer.get("wheel")}
        found.append({"case": case, **facts, "registry": pointer.get("registry"), "run": pointer.get("run")})
    return sorted(found, key=lambda facts: facts["newest"] or "", reverse=True)


def lines(what: str, rows: list[dict]) -> list[str]:
    """Return rows as a table; one line says where there is none."""
    if not rows:
        return [f"no {what} in {settings.read('data.root')}"]
    return tables.aligned([list(_CELLS[what](row)) for row in rows])


def _commit(facts: dict) -> str:
    return f"commit {facts['commit'][:8]}{'+' if facts['dirty'] else ''}" if facts.get("commit") else ""


def _run_cells(run: dict):
    started = datetime.fromisoformat(run["started"]).astimezone(UTC)
    yield run["run"][:8]
    yield f"{started:%Y-%m-%d %H:%M}"
    yield "+".join(run["cases"])
    yield f"{run['face']}, {run['env']}"
    yield f"{run['ran']} ran, {run['reused']} reused"
    metric = run["metric"]
    yield f"{metric['short']} {metric['value']:.3f}" if metric else ""
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
