"""Whether anything changed since a run, decided without importing Kedro, pandas or LightGBM: from a record, as ninja does.

After a run that left nothing to do, the record holds all that planning reads: sources, notebooks and configuration, settings,
installed distributions, files that parameters name or could name, and the versions that stand for the results. A file counts as it
was where size, inode and times are; where they differ, or are too young to tell, its SHA-256 decides. Whatever is not plainly
unchanged is planned in full.
"""

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.execution.request import Request
from hardcover.project import cases
from hardcover.store import disk

FORMAT = "hardcover.unchanged/1"
FOLDER = ".unchanged"
# A file that was written within a clock's tick of being looked at may have been written again since (git's "racy" entries).
TICK = 2_000_000_000
LARGE = 50_000_000
SKIPPED = {"__pycache__", ".ipynb_checkpoints", ".virtual_documents"}
_ENVIRONMENT = re.compile(r"oc\.env:\s*([A-Za-z_]\w*)")


def _path(request: Request) -> Path:
    asked = [
        cases.chosen(request.cases),
        list(request.stages),
        list(request.data),
        request.env,
        dict(request.params),
    ]
    name = disk.digest_of(json.dumps([*asked, request.prove], sort_keys=True, default=str))[:16]
    return Path(settings.read("data.root")) / FOLDER / f"{name}.json"


def state_of_sources() -> dict[str, Any]:
    """Return all that planning reads besides data: taken before a run, so that an edit during it is seen by the next.

    Returns
    -------
    dict
        ``files`` with what was seen of each, and ``facts``: settings, variables, the interpreter, installed distributions.
    """
    return {"files": dict(_seen(_sources())), "facts": _facts()}


def _sources() -> Iterator[Path]:
    root = settings.project_root()
    for name in ("src", "notebooks", "conf"):
        yield from _below(root / name)
    yield from (root / name for name in ("pyproject.toml", "settings.ini", "requirements/all.txt"))
    library = Path(__file__).parent.parent
    if library.is_relative_to(root) and not library.is_relative_to(root / "src"):
        yield from _below(library)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (Path(place) / name for name in names)


def _facts() -> dict[str, Any]:
    root = settings.project_root()
    configuration = [path for path in _below(root / "conf") if path.suffix in {".yml", ".yaml", ".json"}]
    named = {
        name for path in configuration for name in _ENVIRONMENT.findall(path.read_text(errors="replace"))
    }
    chosen = {
        name: value
        for name, value in os.environ.items()
        if name in named or name.startswith(("HARDCOVER_", "KEDRO_", "PYTHON"))
    }
    return {
        "environment": chosen,
        "settings": settings.all_values(),
        "python": [sys.version, sys.executable],
        # Names of distributions have their versions.
        "installed": [[place, _distributions(place)] for place in sys.path],
        "library": str(Path(__file__).parent),
    }


def _distributions(place: str) -> str:
    try:
        names = sorted(
            entry.name
            for entry in os.scandir(place or ".")
            if entry.name.endswith((".dist-info", ".egg-info", ".pth"))
        )
    except OSError:
        names = []
    return disk.digest_of("\n".join(names))


def _seen(paths: Iterable[Path]) -> Iterator[tuple[str, list | None]]:
    """Yield for each path its size, inode and times, and its SHA-256; None where there is no file."""
    now = time.time_ns()
    for path in paths:
        known = _stat(path)
        if known is None:
            yield str(path), None
            continue
        # What is young is told by its content alone; what is old and large by its times, or it is planned in full.
        young = max(known[2:]) > now - TICK
        yield (
            str(path),
            [None if young else known, disk.digest(path) if young or known[0] < LARGE else None],
        )


def _stat(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns] if path.is_file() else None


def _is_as_seen(path: str, before: list | None) -> bool:
    now = _stat(Path(path))
    if before is None or now is None:
        return before is None and now is None
    known, digest = before
    return known == now or (digest is not None and disk.digest(Path(path)) == digest)


def record(
    request: Request, sources: dict, results: list[dict], texts: Iterable[str], folders: Iterable[Path]
) -> None:
    """Keep that a request leaves nothing to do.

    Parameters
    ----------
    request
        What was asked.
    sources
        What ``state_of_sources`` returned before the run.
    results
        What the run returned.
    texts
        All texts among the parameters: a file of such a name would be read.
    folders
        Of the versions that stand for the results, and of what else must be there: the published wheel, the front page.
    """
    named = {settings.from_project(text) for text in texts if 0 < len(text) < 1000 and "\0" not in text}
    datasets = [folder.parent for folder in folders]
    there = [
        path for folder in folders for path in ([folder] if folder.is_file() else sorted(_below(folder)))
    ]
    facts = {
        "format": FORMAT,
        "sources": sources,
        "files": dict(_seen([*named, *there])),
        "newest": {str(folder): _newest(folder) for folder in datasets},
        "results": results,
    }
    content = json.dumps(facts, default=str)
    text = json.dumps({"digest": disk.digest_of(content), "content": content})
    disk.write_atomically(_path(request), text.encode())


def _newest(dataset: Path) -> list[str]:
    """List the versions of a dataset, any of which a run could prefer."""
    try:
        return sorted(entry.name for entry in os.scandir(dataset) if not entry.name.startswith("."))
    except OSError:
        return []


def results_of(request: Request) -> list[dict] | None:
    """Return what a request would return again, where nothing changed; None where that must be planned.

    Every node is then reused, and the run is the one that is on record.
    """
    try:
        kept = json.loads(_path(request).read_text(encoding="utf-8"))
        if disk.digest_of(kept["content"]) != kept["digest"]:
            return None
        facts = json.loads(kept["content"])
        if facts["format"] != FORMAT or facts["sources"]["facts"] != json.loads(json.dumps(_facts())):
            return None
        before = facts["sources"]["files"]
        if {str(path) for path in _sources()} != before.keys():
            return None
        if not all(_is_as_seen(path, seen) for path, seen in [*before.items(), *facts["files"].items()]):
            return None
        if any(_newest(Path(folder)) != names for folder, names in facts["newest"].items()):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for result in facts["results"]:
        result["nodes"] = {name: {"state": "reused", "reasons": []} for name in result["nodes"]}
    return facts["results"]


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in nested lists and mappings."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, str):
        yield value
