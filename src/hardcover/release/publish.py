"""The folder of released wheels: what is proven, pointers to what is in use and to what would replace it, and an archive.

``dist/<case>.json`` points to the champion's wheel, and says by which proof and run, and which wheels were champions before;
``dist/<case>.challenger.json`` points to one that is proven and not champion. Their wheels lie in ``dist/``, with those of the same version
for other platforms; all others in ``dist/archive/``.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.errors import ReleaseError
from hardcover.release import wheel_file
from hardcover.store import disk

FORMAT = "hardcover.pointer/1"
ARCHIVE = "archive"
CHAMPION, CHALLENGER = "champion", "challenger"
# So many changes of a champion are kept.
KEPT = 100
_DERIVED = ("path", "role")


def folder() -> Path:
    """Return the folder of released wheels."""
    return Path(settings.read("release.dist"))


def pointer_file(case: str, role: str = CHAMPION) -> Path:
    """Return the file that points to a case's wheel."""
    return folder() / (f"{case}.json" if role == CHAMPION else f"{case}.{role}.json")


def confidence_file(case: str) -> Path:
    """Return the file with newer tables of how sure a champion's answers are than its wheel's own, where ``hardcover cycle`` makes some."""
    return folder() / f"{case}.confidence.json"


def current(case: str, role: str = CHAMPION) -> dict | None:
    """Read a case's pointer; None where there is none, or its wheel is gone or changed."""
    try:
        pointer = json.loads(pointer_file(case, role).read_text(encoding="utf-8"))
        there = disk.digest(folder() / pointer["wheel"]) == pointer["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _told(pointer, role) if there else None


def pointers(case: str) -> list[Path]:
    """Return the files of a case that point to wheels."""
    files = (pointer_file(case, role) for role in (CHAMPION, CHALLENGER))
    return [file for file in files if file.is_file()]


def publish(case: str, built: bytes, proof: dict, facts: dict) -> dict:
    """Release a wheel with its proof in it, and point to it as challenger.

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
        The pointer, with the wheel's ``path`` and ``role``.
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
        "published": _now(),
        **facts,
    }
    # The wheel first: a pointer never names what is not there.
    _write(pointer, CHALLENGER)
    _tidy(case, name)
    return _told(pointer, CHALLENGER)


def promote(pointer: dict, how: str) -> dict:
    """Point to a wheel as champion; the champion before it goes to the archive, and can come back.

    Parameters
    ----------
    pointer
        As ``publish``, ``candidate`` or ``before`` return it.
    how
        ``run``, ``promote`` or ``rollback``.

    Returns
    -------
    dict
        The champion's pointer; of its ``history``, newest first, each entry says ``at``, ``how``, and what the pointer said.
    """
    case, name = pointer["case"], pointer["wheel"]
    # Whatever was archived of its version comes back before it is pointed to.
    package, version = name.split("-")[:2]
    for other in (folder() / ARCHIVE).glob(f"{package}-{version}-*.whl"):
        other.replace(folder() / other.name)
    facts = {
        name: value for name, value in pointer.items() if name not in (*_DERIVED, "history", "at", "how")
    }
    changes = shortened([{"at": _now(), "how": how, **facts}, *history(case)])
    _write({**facts, "history": changes}, CHAMPION)
    if (challenger := current(case, CHALLENGER)) and challenger["sha256"] == pointer["sha256"]:
        pointer_file(case, CHALLENGER).unlink()
    _tidy(case, name)
    return _told({**facts, "history": changes}, CHAMPION)


def shortened(changes: list[dict], most: int = KEPT) -> list[dict]:
    """Drop what is too old of a history, newest first: what was rolled back, with its rollback, before any champion that a rollback may come to."""
    kept = changes[::-1]
    while len(kept) > most:
        gone = [0]
        open_ones: list[int] = []
        # The newest says how the one in use came to be.
        for at, each in enumerate(kept[:-1]):
            if each["how"] != "rollback":
                open_ones.append(at)
            elif open_ones:
                gone = [open_ones[-1], at]
                break
        kept = [each for at, each in enumerate(kept) if at not in gone]
    return kept[::-1]


def line_of(changes: list[dict]) -> list[dict]:
    """Return what rollbacks come to, by a history, newest first: the champions one after the other, the one in use last."""
    line: list[dict] = []
    for each in reversed(changes):
        if each["how"] != "rollback":
            line.append(each)
        elif line:
            line.pop()
    return line


def history(case: str) -> list[dict]:
    """Return how the champions of a case changed, newest first."""
    try:
        return json.loads(pointer_file(case).read_text(encoding="utf-8")).get("history", [])
    except (OSError, ValueError, AttributeError):
        return []


def candidate(case: str, name: str | None = None) -> dict:
    """Return what ``promote`` takes for a case's challenger, or for the wheel of a file name or version.

    Raises
    ------
    ReleaseError
        When there is no challenger, or no proven wheel, or more than one, of that name.
    """
    if name is None:
        if found := current(case, CHALLENGER):
            return found
        fix = f"Run: hardcover run {case}. Or name one of its earlier wheels; hardcover history {case} lists them."
        raise ReleaseError(f"{case!r} has no challenger", str(folder()), fix)
    pointers = {each["wheel"]: each for each in [*history(case), current(case, CHALLENGER) or {}] if each}
    known = [each for each in pointers.values() if name in (each["wheel"], each["wheel"].split("-")[1])]
    if len(known) != 1:
        fix = f"Known: {', '.join(pointers) or 'none'}."
        raise ReleaseError(f"no wheel of {case!r} is called {name!r}", str(folder()), fix)
    return _there(known[0])


def before(case: str) -> dict:
    """Return what ``promote`` takes for the champion before the one that is in use.

    Raises
    ------
    ReleaseError
        When there was none.
    """
    line = line_of(history(case))
    if len(line) < 2:
        fix = f"hardcover history {case} lists what was in use."
        raise ReleaseError(f"{case!r} has no champion before this one", str(pointer_file(case)), fix)
    return _there(line[-2])


def _there(pointer: dict) -> dict:
    found(pointer)
    return pointer


def found(pointer: dict) -> Path:
    """Return where a pointer's wheel lies: in the folder, or in its archive.

    Raises
    ------
    ReleaseError
        When it is gone, or another one than the pointer's ``sha256`` says.
    """
    for place in (folder() / pointer["wheel"], folder() / ARCHIVE / pointer["wheel"]):
        if place.is_file() and pointer.get("sha256") in (None, disk.digest(place)):
            return place
    fix = f"Restore it, or run: hardcover reproduce {pointer.get('run')}, which builds it again."
    raise ReleaseError("the wheel is gone, or not the one that was released", pointer["wheel"], fix)


def _tidy(case: str, name: str) -> None:
    """Move wheels of a case to the archive that no pointer names."""
    named = [current(case, role) for role in (CHAMPION, CHALLENGER)]
    kept = {each["wheel"].split("-")[1] for each in named if each} | {name.split("-")[1]}
    for other in folder().glob(f"{name.split('-')[0]}-*.whl"):
        if other.name.split("-")[1] not in kept:
            (folder() / ARCHIVE).mkdir(exist_ok=True)
            other.replace(folder() / ARCHIVE / other.name)


def _told(pointer: dict, role: str) -> dict:
    return {**pointer, "path": str(folder() / pointer["wheel"]), "role": role}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def note(pointer: dict, **facts: Any) -> dict:
    """Add to what a pointer says; returns it."""
    pointer = {**pointer, **facts}
    _write(pointer, pointer["role"])
    return pointer


def _write(pointer: dict, role: str) -> None:
    content = {name: value for name, value in pointer.items() if name not in _DERIVED}
    disk.write_atomically(pointer_file(pointer["case"], role), json.dumps(content, indent=1).encode())


def add(pointer: dict, built: bytes) -> Path:
    """Put a released wheel's counterpart for another platform beside it, and say in the pointer that it is not proven there.

    Returns its path; this machine's own, which is proven, stays as it is.
    """
    path = folder() / wheel_file.file_name(built)
    if path.name != pointer["wheel"]:
        disk.write_atomically(path, built)
        found = current(pointer["case"], pointer["role"]) or pointer
        others = {**found.get("other_platforms", {}), path.name: "not proven: run its selftest there"}
        note(found, other_platforms=others)
    return path
