"""The records of runs: what each was made of and what it gave.

A record is ``<data>/.runs/<run>.json``. It has a session for each Kedro session of the run: one for a pipeline, one a stage
for notebooks. The patch of a dirty checkout stands beside it, named by its SHA-256.
"""

import json
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.errors import UnknownName, VersionError
from hardcover.store import disk

FORMAT = "hardcover.run/1"


def folder() -> Path:
    """Return the folder of the records."""
    return Path(settings.read("data.root")) / ".runs"


def patch_file(digest: str) -> Path:
    """Return where the patch with this SHA-256 is kept."""
    return folder() / f"{digest}.patch"


def record(run: str, session: dict) -> None:
    """Add a session to the record of a run."""
    path = folder() / f"{run}.json"
    with disk.locked(folder()):
        sessions = read(run)["sessions"] if path.exists() else []
        facts = {"format": FORMAT, "run": run, "sessions": [*sessions, session]}
        disk.write_atomically(path, json.dumps(facts, indent=1, sort_keys=True, default=str).encode())


def read(run: str) -> dict:
    """Read the record of a run; the first digits of its id are enough.

    Raises
    ------
    UnknownName
        When there is no such run, or several.
    VersionError
        When the record is damaged.
    """
    found = [name for name in runs() if name.startswith(run)] if run else []
    if len(found) != 1:
        raise UnknownName("run", run, found or runs(), str(folder()))
    path = folder() / f"{found[0]}.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise KeyError(facts["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise VersionError(
            f"the record of a run is damaged: {error}", str(path), "Restore or remove it."
        ) from error
    return facts


def outputs(run: str) -> dict[str, dict]:
    """Return what all sessions of a run saved, by dataset: version, content, folder and files, and the run that made it."""
    return {name: facts for session in read(run)["sessions"] for name, facts in session["outputs"].items()}


def files_of(output: dict) -> list[Path]:
    """List the files of a version that a run saved, as ``outputs`` returns it; empty where the record says no place."""
    if "folder" not in output:
        # Records of older runs.
        return []
    folder = Path(settings.read("data.root")) / output["folder"]
    return [path for path in (folder / name for name in output["files"]) if path.is_file()]


def load_json(output: dict) -> Any:
    """Load the one file of a JSON dataset's version that a run saved; None where it is gone."""
    for path in files_of(output):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def runs() -> list[str]:
    """List the ids of all runs on record, the latest first."""
    files = sorted(folder().glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [path.stem for path in files]
