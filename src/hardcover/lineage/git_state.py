"""The state of the checkout that a run starts from: its commit, and a patch of what differs from it."""

import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from hardcover import settings
from hardcover.lineage.run_records import patch_file
from hardcover.store import disk

LOCK_FILE = Path("requirements") / "all.txt"
MAX_UNTRACKED = 10_000_000


def describe() -> dict:
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
        "lock": disk.digest(lock) if lock.is_file() else None,
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
    }
    nothing = {"patch": None, "left_out": []}
    return {**facts, **(_patch() if facts["dirty"] and facts["commit"] else nothing)}


def remote() -> str | None:
    """Return the address of the checkout's remote repository; None without one."""
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
    large = [name for name in large if (root / name).stat().st_size > MAX_UNTRACKED]
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
    digest = disk.digest_of(patch)
    path = patch_file(digest)
    if not path.exists():
        disk.write_atomically(path, patch)
    return {"patch": digest, "left_out": large}
