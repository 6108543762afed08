"""What a newer template writes, merged into a project's files: three ways, from what the template wrote before."""

import tomllib
from pathlib import Path
from typing import NamedTuple

from hardcover.errors import HardcoverError
from hardcover.project import exported
from hardcover.store import disk
from hardcover.template import merge, new, stamped
from hardcover.template.stamped import Stamped

# What becomes of a file.
ADDED, REPLACED, MERGED, CONFLICT, REMOVED, KEPT = (
    "added",
    "replaced",
    "merged",
    "conflict",
    "removed",
    "kept",
)


class Change(NamedTuple):
    """What an upgrade does to a file, and why; ``text`` is its new content, None where there is none to write."""

    path: str
    kind: str
    why: str
    text: str | None


def plan(root: Path) -> list[Change]:
    """Return what an upgrade of the project at ``root`` would do; nothing is written.

    Raises
    ------
    HardcoverError
        When it was not stamped, its archive is missing, or conflicts of an earlier upgrade are not resolved.
    """
    before = stamped.read(root)
    after = _rendered(root, before)
    marked = [path for path in before.texts if _is_marked(root / path)]
    if marked:
        raise HardcoverError(
            f"a conflict of an earlier upgrade is not resolved: {', '.join(marked)}",
            str(root),
            f"Choose between the lines after {merge.MARKS[0]!r} and before {merge.MARKS[1]!r}, then run again.",
        )
    found = []
    for path in {**after, **before.texts}:
        base, theirs, file = before.texts.get(path), after.get(path), root / path
        ours = file.read_text(encoding="utf-8") if file.is_file() else None
        change = _changed(path, base, ours, theirs)
        if change:
            found.append(change)
    return sorted(found)


def apply(root: Path, changes: list[Change]) -> None:
    """Write what ``plan`` found, and export the notebooks if no conflict is left in them.

    A file is written whole or not at all; after a kill, the same command goes on where it was.
    """
    before = stamped.read(root)
    after, known = _rendered(root, before), dict(before.texts)
    for change in changes:
        file = root / change.path
        if change.kind == REMOVED:
            file.unlink(missing_ok=True)
        elif change.text is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            disk.write_atomically(file, change.text.encode("utf-8"))
        # File by file: after a kill, what was merged is not merged again.
        known.pop(change.path, None)
        if change.path in after:
            known[change.path] = after[change.path]
        stamped.keep(root, Stamped(known, before.proposals))
    stamped.keep(root, Stamped(after, before.proposals))
    if changes and not any(change.kind == CONFLICT and change.path.endswith(".ipynb") for change in changes):
        exported.export(root)


def _rendered(root: Path, before: Stamped) -> dict[str, str]:
    file = root / stamped.PROJECT
    try:
        facts = tomllib.loads(file.read_text(encoding="utf-8"))
        package, example = facts["tool"]["kedro"]["package_name"], facts["tool"]["hardcover"]["example"]
    except (OSError, ValueError, KeyError) as error:
        raise HardcoverError(
            "does not say what the project was written from",
            str(file),
            "[tool.kedro] needs package_name and [tool.hardcover] needs example; restore them from version control.",
        ) from error
    return new.texts(package, example, before.proposals)


def _changed(path: str, base: str | None, ours: str | None, theirs: str | None) -> Change | None:
    if base == theirs or ours == theirs:
        return None
    if theirs is None:
        if ours == base:
            return Change(path, REMOVED, "the template has it no longer", None)
        return Change(path, KEPT, "the template has it no longer, and it was edited here", None)
    if ours is None:
        if base is None:
            return Change(path, ADDED, "new in the template", theirs)
        return Change(path, KEPT, "removed here; the template changed it", None)
    if ours == base:
        return Change(path, REPLACED, "not edited here", theirs)
    join = merge.notebooks if path.endswith(".ipynb") else merge.lines
    merged = join(base or "", ours, theirs)
    if merged.text == ours:
        return None
    if merged.conflicts:
        places = "one place" if merged.conflicts == 1 else f"{merged.conflicts} places"
        return Change(path, CONFLICT, f"both sides changed {places}", merged.text)
    return Change(path, MERGED, "edited here, changed in the template elsewhere", merged.text)


def _is_marked(file: Path) -> bool:
    return file.is_file() and merge.is_marked(file.read_text(encoding="utf-8"))
