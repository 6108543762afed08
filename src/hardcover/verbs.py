"""What each verb of the command does with its options, and what it prints."""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from hardcover import settings, summary

# Of a tree and of wheels, unless all are asked for; together with the headings at most 30.
MOST_LINES, MOST_WHEELS = 20, 6


def run(options: argparse.Namespace) -> int:
    """Do the main job."""
    from hardcover import run as job

    if options.no_verify:
        os.environ["HARDCOVER_DATA_VERIFY"] = "no"
    results = job.run(
        options.case,
        options.stage,
        options.face,
        options.data,
        options.env,
        dict(options.param),
        options.force,
        settings.read("run.prove") == "yes" and not options.no_prove,
        options.export,
        say,
    )
    clear()
    if options.json:
        print(json.dumps(results, indent=2))
        return 0 if _all_proven(results) else 1
    for facts in results:
        if options.why:
            print("\n".join(_whys(facts["nodes"])))
        print("\n".join(summary.lines(facts)))
    return 0 if _all_proven(results) else 1


def _all_proven(results: list[dict]) -> bool:
    return all(facts.get("proof", {}).get("passed", True) for facts in results)


def clean(options: argparse.Namespace) -> int:
    """Remove what killed processes left in the data folder."""
    from hardcover import drafts, lock

    root = Path(settings.read("data.root"))
    with lock.hold():
        removed = drafts.clean(root)
    if options.json:
        print(json.dumps({"removed": [str(path) for path in removed]}))
        return 0
    for path in removed:
        print(f"removed {path}")
    print(f"{len(removed)} leftovers removed from {root}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Compare all committed versions with their manifests; 1 when any differs."""
    from hardcover import versions
    from hardcover.errors import HardcoverError

    folders, problems, size = list(versions.all_committed(Path(settings.read("data.root")))), [], 0
    begin = time.monotonic()
    for number, folder in enumerate(folders, start=1):
        say(f"verifying {number}/{len(folders)}", transient=True)
        try:
            size += sum(facts["bytes"] for facts in versions.verify(folder)["files"].values())
        except HardcoverError as error:
            problems.append({"version": str(folder), "problem": str(error)})
    clear()
    if options.json:
        print(json.dumps({"versions": len(folders), "bytes": size, "problems": problems}, indent=2))
        return 1 if problems else 0
    for problem in problems:
        print(problem["problem"])
    seconds = time.monotonic() - begin
    print(f"{len(folders)} versions, {size / 1e6:.1f} MB in {seconds:.1f} s: {len(problems) or 'no'} damaged")
    return 1 if problems else 0


def lineage(options: argparse.Namespace) -> int:
    """Show where a version came from and what was made of it, or what a run did, or what holds a file."""
    from hardcover import lineage as graph
    from hardcover import provenance

    found = graph.Lineage()
    name = options.what
    run = None
    if name.partition("@")[0] in {item.dataset for item in found.manifests}:
        items = [found.find(name)]
    elif any(other.startswith(name) for other in provenance.runs()):
        run = graph.of_run(name)
        items = [graph.Item(dataset, facts["version"]) for dataset, facts in run["outputs"].items()]
    else:
        items = found.holding(name.removeprefix("sha256:"))
    edges = found.edges(items)
    if options.html:
        from hardcover import cases, lineage_page
        from hardcover.run import PACKAGE, importable

        importable()
        page = lineage_page.page(f"Lineage of {name}", found, edges, items, cases.stage_of_nodes(PACKAGE))
        options.html.write_text(page, encoding="utf-8")
        say(f"wrote {options.html}")
    if options.json or options.send:
        from hardcover import openlineage

        events = openlineage.events(
            found,
            [run["run"]]
            if run
            else {found.manifests[item].get("run") for item in items if item in found.manifests} - {None},
        )
        if options.send:
            openlineage.send(events, options.send)
            say(f"sent {len(events)} events to {options.send}")
        if options.json:
            print(openlineage.as_json(events))
        return 0
    if options.mermaid:
        print(graph.mermaid(edges))
        return 0
    if run:
        lines = _run_lines(run)
    else:
        lines = []
        for item in items:
            lines += [
                "made from",
                *found.tree(item, found.inputs),
                "went into",
                *found.tree(item, found.outputs),
            ]
    if not options.all and len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more lines; --all shows them"]
    wheels = found.wheels(items)
    print("wheels" if wheels else "no wheel holds it")
    for item, wheel in wheels[: None if options.all else MOST_WHEELS]:
        print(f"  {wheel}  {found.describe(item)}")
    if len(wheels) > MOST_WHEELS and not options.all:
        print(f"  … and {len(wheels) - MOST_WHEELS} more; --all shows them")
    print("\n".join(lines))
    return 0


def listing(options: argparse.Namespace) -> int:
    """List runs, versions or cases, newest first."""
    from hardcover import listing as lists

    rows = lists.LISTS[options.what]()
    shown = rows[: options.limit or None]
    if options.json:
        print(json.dumps(shown, indent=2))
        return 0
    print("\n".join(lists.lines(options.what, shown)))
    if len(rows) > len(shown):
        print(f"… and {len(rows) - len(shown)} more; --limit 0 shows all")
    return 0


def prove(options: argparse.Namespace) -> int:
    """Compare the faces of a case by bits; 1 when any differs."""
    from hardcover import proof, prove
    from hardcover.run import PACKAGE, importable

    importable()
    found = prove.prove(options.case, PACKAGE, options.env, options.face, options.rows, options.seed, say)
    clear()
    if options.html:
        options.html.write_text(proof.page(found), encoding="utf-8")
    print(json.dumps(found, indent=2) if options.json else "\n".join(proof.lines(found)))
    return 0 if found["passed"] else 1


def release(options: argparse.Namespace) -> int:
    """Say where a case's proven wheel is, and put its counterparts for other platforms beside it."""
    from hardcover import cases, compiler, prove, publish, stage, wheel
    from hardcover.errors import ReleaseError, UnknownName

    for kind, name, known in (
        ("case", options.case, cases.names()),
        *(("target", target, compiler.TARGETS) for target in options.target),
    ):
        if name not in known:
            raise UnknownName(kind, name, list(known))
    newest = stage.open_context(options.env, None).catalog.load(f"{options.case}.wheel")
    found = prove.proven(options.case)
    if found is None:
        fix = f"Run: hardcover prove {options.case}. A wheel is published with its proof."
        raise ReleaseError(
            f"the newest wheel of {options.case!r} is not proven", wheel.file_name(newest), fix
        )
    paths = {} if options.target else {"this machine": Path(found["published"]["path"])}
    for target in options.target:
        # Zig compiles a platform's C library at the first time, which can take a minute.
        say(f"building the wheel for {target}", transient=True)
        paths[target] = publish.add(found["published"], wheel.for_target(newest, target))
    clear()
    if options.json:
        print(json.dumps({name: str(path) for name, path in paths.items()}, indent=2))
        return 0
    for name, path in paths.items():
        print(f"{name:<16}{path} ({path.stat().st_size:,} bytes)")
    return 0


def reproduce(options: argparse.Namespace) -> int:
    """Run a past run again and compare every output; 1 when any differs."""
    from hardcover import reproduce as again

    found = again.reproduce(options.run, say)
    clear()
    print(json.dumps(found, indent=2) if options.json else "\n".join(again.lines(found)))
    return 0 if found["identical"] else 1


def _run_lines(run: dict) -> list[str]:
    commit = f"{run['commit'][:12]}{' with changes' if run['dirty'] else ''}" if run["commit"] else "none"
    facts = [
        ("run", run["run"]),
        ("face", run["face"]),
        ("started", run["started"]),
        ("commit", commit),
        ("patch", run.get("patch")),
        ("parameters", json.dumps(run["params"]) if run["params"] else "those of conf/"),
        ("environment", run["env"] or "local"),
    ]
    lines = [f"{name:<12} {value}" for name, value in facts if value]
    lines += ["read", *(f"  {name}@{facts['version']}" for name, facts in run["inputs"].items())]
    lines += ["gave", *(f"  {name}@{facts['version']}" for name, facts in run["outputs"].items())]
    return [*lines, "nodes", *(f"  {line}" for line in _whys(run["nodes"]))]


def say(line: str, transient: bool = False) -> None:
    """Print a line of progress; a transient one is overwritten by the next."""
    # A log keeps every line; a line for every cell would drown the rest.
    if transient and not sys.stderr.isatty():
        return
    clear()
    width = shutil.get_terminal_size().columns - 1
    print(line[:width] if transient else line, end="\r" if transient else "\n", file=sys.stderr, flush=True)


def clear() -> None:
    """Remove a transient line."""
    if sys.stderr.isatty():
        print("\x1b[2K", end="\r", file=sys.stderr)


def _whys(nodes: dict[str, dict]) -> list[str]:
    width = max(map(len, nodes), default=0)
    return [
        f"{name:<{width}}  {node['state']:<6}  {'; '.join(node['reasons'])}".rstrip()
        for name, node in nodes.items()
    ]
