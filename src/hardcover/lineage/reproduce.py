"""Rebuild a past run from its record and compare every output, byte for byte.

The run's commit is checked out into a temporary worktree, with the patch that a dirty checkout left; the lock file of
then is installed into an environment of its own; what the run read is put, pinned, into a fresh data folder; the nodes that
ran then run again as a Kedro pipeline, whichever face it was.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardcover import processes, settings
from hardcover.errors import ReproductionFailed, some
from hardcover.lineage import git_state, graph, run_records
from hardcover.reporting.progress import Reporter, silent
from hardcover.store import disk, versions
from hardcover.tracking import server

EXTERNAL = "external"
ENVIRONMENTS = Path(".tools") / "environments"
# What runs in the environment of then, as a file beside this one.
PROGRAM = "run_again.py"


def reproduce(run: str, say: Reporter = silent) -> dict:
    """Run a past run again and compare.

    Parameters
    ----------
    run
        Its id, or the first digits.
    say
        Called with lines of progress.

    Returns
    -------
    dict
        ``run``, ``identical``, ``outputs`` (for each dataset ``identical``, ``differs`` or ``external``: made by a
        node that looks outside, and not compared), ``reasons`` that a difference likely has.

    Raises
    ------
    UnknownName
        When there is no such run on record.
    ReproductionFailed
        When something that it needs cannot be had any more, which is named, or the run fails.
    """
    asked = _asked(graph.of_run(run))
    with tempfile.TemporaryDirectory(prefix="hardcover-reproduce-") as scratch:
        place = Path(scratch)
        _pin(asked, place / "data")
        say(f"checking out commit {asked['commit'][:12]}{' and its patch' if asked['patch'] else ''}")
        with _worktree(asked, place / "checkout") as checkout:
            python = _environment(checkout, asked, say)
            say(f"running {len(asked['ran'])} nodes again")
            tags = _run(asked, checkout, python, place)
        found = _compare(asked, place / "data", tags)
    differs = [name for name, state in found.items() if state == "differs"]
    reasons = _reasons(asked) if differs else []
    return {
        "run": asked["run"],
        "commit": asked["commit"],
        "identical": not differs,
        "outputs": found,
        "reasons": reasons,
    }


def _asked(run: dict) -> dict:
    """Take from a record what is needed to run again, and refuse at once what cannot be had."""
    if not run["commit"]:
        raise ReproductionFailed(
            "the run's code is in no commit", f"run {run['run']}", "Run from a git checkout next time."
        )
    if run["dirty"] and run["patch"] and not run_records.patch_file(run["patch"]).is_file():
        path = run_records.patch_file(run["patch"])
        raise ReproductionFailed("the patch of the run's dirty checkout is missing", str(path), "Restore it.")
    ran = [name for name, node in run["nodes"].items() if node["state"] == "ran"]
    if not ran:
        made_by = sorted({facts["made_by"] for facts in run["outputs"].values()})
        raise ReproductionFailed(
            "the run made nothing, it reused everything",
            f"run {run['run']}",
            f"Reproduce the runs that made it: {some(made_by)}.",
        )
    outputs = {name for node in ran for name in run["nodes"][node]["outputs"] if name in run["outputs"]}
    read = {name: facts for name, facts in {**run["inputs"], **run["outputs"]}.items() if name not in outputs}
    needed = {name for node in ran for name in run["nodes"][node]["inputs"] if name in read}
    return {
        **run,
        "cases": sorted({node.partition(".")[0] for node in ran}),
        "ran": ran,
        "made": {name: run["outputs"][name] for name in sorted(outputs)},
        "read": {name: read[name] for name in sorted(needed)},
    }


def _folder(name: str, version: str) -> Path | None:
    """Find a version's folder by its name; None where it is gone."""
    for dataset in versions.datasets(Path(settings.read("data.root"))):
        folder = dataset / version
        if versions.is_committed(folder) and versions.manifest_of(folder).get("dataset") == name:
            return folder
    return None


def _pin(asked: dict, data: Path) -> None:
    root = Path(settings.read("data.root"))
    gone = []
    for name, facts in asked["read"].items():
        folder = _folder(name, facts["version"])
        if folder is None:
            gone.append(f"{name}@{facts['version']}")
            continue
        versions.verify(folder)
        for path in (path for path in folder.rglob("*") if path.is_file()):
            to = data / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            disk.link(path, to)
    for name, facts in asked["made"].items():
        folder = _folder(name, facts["version"])
        for path, digest in (versions.manifest_of(folder).get("reads") or {}).items() if folder else ():
            if not settings.from_project(path).is_file():
                gone.append(f"the raw file {path}")
            elif disk.digest(settings.from_project(path)) != digest:
                gone.append(f"the raw file {path} as it was (SHA-256 {digest[:12]})")
    if gone:
        gone = sorted(set(gone))
        raise ReproductionFailed(
            f"what the run read is gone: {', '.join(gone[:5])}",
            f"run {asked['run']}",
            "Restore it from a backup.",
        )


@contextmanager
def _worktree(asked: dict, checkout: Path) -> Iterator[Path]:
    _git("worktree", "add", "--quiet", "--detach", str(checkout), asked["commit"])
    try:
        if asked["patch"]:
            patch = run_records.patch_file(asked["patch"])
            _git("-C", str(checkout), "apply", "--binary", "--whitespace=nowarn", str(patch))
        yield checkout
    finally:
        _git("worktree", "remove", "--force", str(checkout))


def _git(*arguments: str) -> None:
    _call(["git", "-C", str(settings.project_root()), *arguments], "check out the run's code")


def _environment(checkout: Path, asked: dict, say: Reporter) -> Path:
    """Install the run's lock file. Environments are cached by its hash."""
    from uv import find_uv_bin

    lock = checkout / git_state.LOCK_FILE
    if not lock.is_file():
        raise ReproductionFailed(
            "the commit has no lock file", str(git_state.LOCK_FILE), "Run with the current one."
        )
    version = ".".join(asked["python"].split(".")[:2])
    name = f"{disk.digest(lock)[:16]}-python{version}"
    folder = settings.project_root() / ENVIRONMENTS / name
    python = folder / "bin" / "python"
    uv, quiet = find_uv_bin(), ["--quiet", "--python", str(python)]
    with disk.locked(folder.with_name(f"{name}.making")):
        if not (folder / ".complete").is_file():
            say(f"installing the locked environment for Python {version}, once")
            interpreter = (
                sys.executable if version == f"{sys.version_info.major}.{sys.version_info.minor}" else version
            )
            _call(
                [uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)],
                "make the environment",
            )
            _call([uv, "pip", "sync", *quiet, "--require-hashes", str(lock)], "install the lock file")
            disk.write_atomically(folder / ".complete", b"")
    return python


def _run(asked: dict, checkout: Path, python: Path, place: Path) -> dict[str, list[str]]:
    request = {
        "project": str(checkout),
        "env": asked["env"],
        "params": asked["params"],
        "pipelines": asked["cases"],
        "nodes": asked["ran"],
        "tags": str(place / "tags.json"),
    }
    (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HARDCOVER_", "KEDRO_", "PYTHONPATH"))
    }
    environment = {
        **kept,
        "HARDCOVER_PROJECT": str(checkout),
        **settings.apart(place),
        "KEDRO_DISABLE_TELEMETRY": "1",
    }
    # The project itself is not in the lock file. Built, not linked, so that a kept environment points nowhere.
    from uv import find_uv_bin

    library = place / "library"
    install = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--python", str(python)]
    _call([find_uv_bin(), *install, "--target", str(library), str(checkout)], "install the project")
    environment["PYTHONPATH"] = os.pathsep.join([str(checkout / "src"), str(library)])
    locks = (folder / git_state.LOCK_FILE for folder in (checkout, settings.project_root()))
    # An MLflow of another version would have other tables.
    if len({lock.read_bytes() for lock in locks if lock.is_file()}) == 1:
        server.copy_tables(place / "mlflow.db")
    program = str(Path(__file__).parent / PROGRAM)
    _call([str(python), program, str(place / "request.json")], "run again", checkout, environment)
    return json.loads((place / "tags.json").read_text(encoding="utf-8"))


def _compare(asked: dict, data: Path, tags: dict[str, list[str]]) -> dict[str, str]:
    again = {}
    for dataset in versions.datasets(data):
        newest = versions.latest(dataset)
        if newest:
            manifest = versions.manifest_of(dataset / newest)
            again[manifest["dataset"]] = manifest["content"]
    outside = {
        name
        for node, facts in asked["nodes"].items()
        if EXTERNAL in tags.get(node, [])
        for name in facts["outputs"]
    }
    found = {}
    for name, facts in asked["made"].items():
        if name in outside:
            found[name] = "external"
        else:
            found[name] = "identical" if again.get(name) == facts["content"] else "differs"
    return found


def _reasons(asked: dict) -> list[str]:
    now, found = git_state.describe(), []
    if asked["platform"] != now["platform"]:
        found.append(f"the platform: {asked['platform']} then, {now['platform']} now")
    if asked["python"] != now["python"]:
        found.append(f"Python: {asked['python']} then, {now['python']} now")
    if asked["left_out"]:
        found.append(f"untracked files too large for the patch: {some(asked['left_out'])}")
    if asked["dirty"] and not asked["patch"]:
        found.append("a dirty checkout whose changes were not kept")
    if asked["face"] == "notebook":
        found.append("a notebook that was not exported: run hardcover prove at that commit")
    return found or ["a library that does not give the same bits twice, or something outside the project"]


def _call(
    command: list[str], purpose: str, folder: Path | None = None, environment: dict | None = None
) -> None:
    processes.call(command, purpose, ReproductionFailed, folder, environment, "See the lines above.")


def lines(found: dict) -> list[str]:
    """Return how a reproduction compared: each output that was not identical, and the verdict."""
    compared = [name for name, state in found["outputs"].items() if state != "external"]
    told = [f"{name}: {state}" for name, state in found["outputs"].items() if state != "identical"]
    if found["identical"]:
        return [
            *told,
            f"identical: {len(compared)} outputs of run {found['run'][:8]}, commit {found['commit'][:12]}",
        ]
    return [*told, *(f"likely reason: {reason}" for reason in found["reasons"])]
