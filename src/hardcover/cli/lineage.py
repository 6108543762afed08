"""``hardcover lineage``: where a version came from, what was made of it, what a run did."""

import argparse
import json
from pathlib import Path

from hardcover import settings
from hardcover.cli import progress, tables

PURPOSE = "where a version came from, what was made of it, what a run did"
DESCRIPTION = "Show the tree of a version, the record of a run, or the wheels that hold a raw file."
EXAMPLES = """examples:
  hardcover lineage churn.wheel        the newest wheel: from raw files to it
  hardcover lineage churn.raw@2026-11-24T09.21.13.801190Z
  hardcover lineage d0f66511           a run
  hardcover lineage 3f1c0a9e           a raw file by its SHA-256: which wheels hold it?
  hardcover lineage churn.wheel --html lineage.html
  hardcover lineage d0f66511 --json    OpenLineage events
"""
# Of a tree and of wheels, unless all are asked for; together with the headings at most 30.
MAX_LINES, MAX_WHEELS = 20, 6


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "what", metavar="DATASET[@VERSION]|RUN|SHA256", help="the first digits of a run or hash will do"
    )
    parser.add_argument("--all", action="store_true", help="all lines of the trees, not the first 30")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a picture that loads nothing")
    parser.add_argument("--mermaid", action="store_true", help="print a Mermaid flowchart")
    parser.add_argument(
        "--send", metavar="URL", help="send OpenLineage events, which --json prints, to an endpoint"
    )


def do(options: argparse.Namespace) -> int:
    """Show where a version came from and what was made of it, or what a run did, or what holds a file."""
    from hardcover.lineage import graph, run_records

    found, name, run = graph.Lineage(), options.what, None
    if name.partition("@")[0] in {item.dataset for item in found.manifests}:
        items = [found.find(name)]
    elif any(other.startswith(name) for other in run_records.runs()):
        run = graph.of_run(name)
        items = [graph.Item(dataset, facts["version"]) for dataset, facts in run["outputs"].items()]
    else:
        items = found.holding(name.removeprefix("sha256:"))
    edges = found.edges(items)
    if options.html:
        _write_page(options.html, name, found, edges, items)
    if options.json or options.send:
        runs = [run["run"]] if run else found.runs_of(items)
        _events(found, runs, options)
    elif options.mermaid:
        print(graph.mermaid(edges))
    else:
        lines = _run_lines(run) if run else _trees(found, items)
        print("\n".join([*_wheel_lines(found, items, options.all), *_cut(lines, options.all)]))
    return 0


def _write_page(path: Path, name: str, found, edges, items) -> None:
    # The page groups versions by stage, which takes the project's pipelines and so Kedro.
    from hardcover.lineage import drawing
    from hardcover.project import pipelines

    settings.make_importable()
    page = drawing.page(f"Lineage of {name}", found, edges, items, pipelines.stage_of_nodes())
    path.write_text(page, encoding="utf-8")
    progress.say(f"wrote {path}")


def _events(found, runs, options: argparse.Namespace) -> None:
    from hardcover.lineage import openlineage

    events = openlineage.events(found, runs)
    if options.send:
        openlineage.send(events, options.send)
        progress.say(f"sent {len(events)} events to {options.send}")
    if options.json:
        print(openlineage.as_json(events))


def _trees(found, items) -> list[str]:
    lines = []
    for item in items:
        lines += ["made from", *found.tree(item, found.inputs)]
        lines += ["went into", *found.tree(item, found.outputs)]
    return lines


def _cut(lines: list[str], all_of_them: bool) -> list[str]:
    if all_of_them or len(lines) <= MAX_LINES:
        return lines
    return [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more lines; --all shows them"]


def _wheel_lines(found, items, all_of_them: bool) -> list[str]:
    wheels = found.wheels(items)
    shown = wheels if all_of_them else wheels[:MAX_WHEELS]
    lines = ["wheels" if wheels else "no wheel holds it"]
    lines += [f"  {wheel}  {found.describe(item)}" for item, wheel in shown]
    if len(wheels) > len(shown):
        lines.append(f"  … and {len(wheels) - len(shown)} more; --all shows them")
    return lines


def _run_lines(run: dict) -> list[str]:
    commit = f"{run['commit'][:12]}{' with changes' if run['dirty'] else ''}" if run["commit"] else "none"
    facts = [
        ("run", run["run"]),
        ("face", run["face"]),
        ("started", run["started"]),
        ("commit", commit),
        ("patch", run.get("patch")),
        ("parameters", json.dumps(run["params"]) if run["params"] else "those of conf/"),
        ("environment", run["env"] or settings.HOME),
    ]
    lines = [f"{name:<12} {value}" for name, value in facts if value]
    lines += ["read", *(f"  {name}@{facts['version']}" for name, facts in run["inputs"].items())]
    lines += ["gave", *(f"  {name}@{facts['version']}" for name, facts in run["outputs"].items())]
    return [*lines, "nodes", *(f"  {line}" for line in tables.whys(run["nodes"]))]
