"""What a run was made of and what it gave: the state of the checkout, and the records of runs.

A record is ``<data>/.runs/<run>.json``. It has a session for each Kedro session of the run: one for a pipeline, one a stage
for notebooks. The patch of a dirty checkout stands beside it, named by its SHA-256.
"""

import json
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from hardcover import settings, storage
from hardcover.errors import UnknownName, VersionError

FORMAT = "hardcover.run/1"
LOCK_FILE = Path("requirements") / "all.txt"
LARGEST_UNTRACKED = 10_000_000


def folder() -> Path:
    """Give the folder of the records."""
    return Path(settings.read("data.root")) / ".runs"


def checkout() -> dict:
    """Describe the code and the machine of this process.

    Returns
    -------
    dict
        ``commit``; ``dirty``, whether files differ from it; ``patch``, the SHA-256 of the difference, which is kept;
        ``left_out``, untracked files too large for it; ``lock``, the SHA-256 of the lock file; ``python`` and
        ``platform``. None for what is unknown, as outside git.
    """
    lock = settings.project_root() / LOCK_FILE
    status = _git("status", "--porcelain")
    facts = {
        "commit": _text(_git("rev-parse", "HEAD")),
        "dirty": None if status is None else bool(status.strip()),
        "lock": storage.digest(lock) if lock.is_file() else None,
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
    }
    nothing = {"patch": None, "left_out": []}
    return {**facts, **(_patch() if facts["dirty"] and facts["commit"] else nothing)}


def remote() -> str | None:
    """Give the address of the checkout's remote repository; None without one."""
    return _text(_git("remote", "get-url", "origin"))


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode().strip()


def _git(*arguments: str, **environment: str) -> bytes | None:
    command = ["git", "-C", str(settings.project_root()), *arguments]
    everything = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", **environment}
    try:
        done = subprocess.run(command, capture_output=True, env=everything, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _patch() -> dict:
    """Keep the difference to the commit, untracked files included, without touching the repository."""
    root = settings.project_root()
    untracked = (_git("ls-files", "-oz", "--exclude-standard", "--full-name") or b"").decode().split("\0")
    large = [name for name in untracked if name and (root / name).is_file()]
    large = [name for name in large if (root / name).stat().st_size > LARGEST_UNTRACKED]
    index, objects = (root / _text(_git("rev-parse", "--git-path", name)) for name in ("index", "objects"))
    with tempfile.TemporaryDirectory(prefix="hardcover-patch-") as scratch:
        if index.is_file():
            shutil.copyfile(index, f"{scratch}/index")
        (Path(scratch) / "objects").mkdir()
        elsewhere = {
            "GIT_INDEX_FILE": f"{scratch}/index",
            "GIT_OBJECT_DIRECTORY": f"{scratch}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        _git("add", "--all", "--", ".", *(f":(exclude,literal){name}" for name in large), **elsewhere)
        patch = _git("diff", "--cached", "--binary", "--full-index", "HEAD", **elsewhere)
    if not patch:
        return {"patch": None, "left_out": large}
    digest = storage.digest_of(patch)
    path = patch_file(digest)
    if not path.exists():
        storage.write_atomically(path, patch)
    return {"patch": digest, "left_out": large}


def patch_file(digest: str) -> Path:
    """Give where the patch with this SHA-256 is kept."""
    return folder() / f"{digest}.patch"


def record(run: str, session: dict) -> None:
    """Add a session to the record of a run."""
    path = folder() / f"{run}.json"
    with storage.locked(folder()):
        sessions = read(run)["sessions"] if path.exists() else []
        facts = {"format": FORMAT, "run": run, "sessions": [*sessions, session]}
        storage.write_atomically(path, json.dumps(facts, indent=1, sort_keys=True, default=str).encode())


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
    """Return what all sessions of a run saved, by dataset: version, content, and the run that made it."""
    return {name: facts for session in read(run)["sessions"] for name, facts in session["outputs"].items()}


def no_origin(_: str) -> dict:
    """Give the facts of nothing: for the commit of a run that made nothing and reused all."""
    return {}


def runs() -> list[str]:
    """List the ids of all runs on record, the latest first."""
    files = sorted(folder().glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [path.stem for path in files]
