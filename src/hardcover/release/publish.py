"""The folder of released wheels: what is proven, one current version a case, a pointer to it, and an archive.

``dist/<case>.json`` points to the current wheel, and says by which proof and run. Wheels of the same version for other platforms
lie beside it; those of other versions move to ``dist/archive/``.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from hardcover import settings
from hardcover.release import wheel_file
from hardcover.store import disk

FORMAT = "hardcover.pointer/1"
ARCHIVE = "archive"


def folder() -> Path:
    """Return the folder of released wheels."""
    return Path(settings.read("release.dist"))


def current(case: str) -> dict | None:
    """Read a case's pointer; None where nothing was released, or its wheel is gone or changed."""
    try:
        pointer = json.loads((folder() / f"{case}.json").read_text(encoding="utf-8"))
        there = disk.digest(folder() / pointer["wheel"]) == pointer["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return {**pointer, "path": str(folder() / pointer["wheel"])} if there else None


def publish(case: str, built: bytes, proof: dict, facts: dict) -> dict:
    """Release a wheel with its proof in it, point to it, and archive wheels of other versions.

    Parameters
    ----------
    case, built
        The case, and its wheel as it was built.
    proof
        A proof that passed.
    facts
        What the pointer says besides: ``run``, ``commit``, ``registry``.

    Returns
    -------
    dict
        The pointer, with the wheel's ``path``.
    """
    content = wheel_file.with_proof(built, json.dumps(proof, indent=1, sort_keys=True).encode())
    name = wheel_file.file_name(built)
    if not (folder() / name).is_file() or disk.digest_of(content) != disk.digest(folder() / name):
        disk.write_atomically(folder() / name, content)
    pointer = {
        "format": FORMAT,
        "case": case,
        "wheel": name,
        "sha256": disk.digest_of(content),
        "published": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }
    # The wheel first: a pointer never names what is not there.
    _write(pointer)
    package, version = name.split("-")[:2]
    for other in folder().glob(f"{package}-*.whl"):
        if other.name.split("-")[1] != version:
            (folder() / ARCHIVE).mkdir(exist_ok=True)
            other.replace(folder() / ARCHIVE / other.name)
    return {**pointer, "path": str(folder() / name)}


def note(pointer: dict, **facts: str) -> dict:
    """Add to what a pointer says; returns it."""
    pointer = {**pointer, **facts}
    _write(pointer)
    return pointer


def _write(pointer: dict) -> None:
    content = {name: value for name, value in pointer.items() if name != "path"}
    disk.write_atomically(folder() / f"{pointer['case']}.json", json.dumps(content, indent=1).encode())


def add(pointer: dict, built: bytes) -> Path:
    """Put a current wheel's counterpart for another platform beside it, and say in the pointer that it is not proven there.

    Returns its path; this machine's own, which is proven, stays as it is.
    """
    path = folder() / wheel_file.file_name(built)
    if path.name != pointer["wheel"]:
        disk.write_atomically(path, built)
        others = {
            **(current(pointer["case"]) or pointer).get("other_platforms", {}),
            path.name: "not proven: run its selftest there",
        }
        note(pointer, other_platforms=others)
    return path
