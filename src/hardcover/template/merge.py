"""Three texts become one: the base that both sides came from, and what each made of it."""

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hardcover.errors import HardcoverError

OURS, THEIRS = "this project", "the template"
MARKS = ("<" * 7 + " ", ">" * 7 + " ")


class Merged(NamedTuple):
    """A text, and how many places of it both sides changed, which are marked in it."""

    text: str
    conflicts: int


def lines(base: str, ours: str, theirs: str) -> Merged:
    """Merge texts line by line, as ``git merge-file`` does, with its marks where both sides changed.

    Raises
    ------
    HardcoverError
        When git is not installed.
    """
    if base == theirs or ours == theirs:
        return Merged(ours, 0)
    if base == ours:
        return Merged(theirs, 0)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for file, text in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(text.encode("utf-8"))
        command = ["git", "merge-file", "-p", "-q", "-L", OURS, "-L", "base", "-L", THEIRS, *map(str, files)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            raise HardcoverError(
                "git is needed to merge and is not installed", "", "Install it, then run again."
            ) from None
    # Its exit code is the number of conflicts; from 128 on it is a failure.
    if done.returncode < 0 or done.returncode >= 128:
        raise HardcoverError(f"git merge-file failed: {done.stderr.decode().strip()}", "", "")
    return Merged(done.stdout.decode("utf-8"), done.returncode)


def notebooks(base: str, ours: str, theirs: str) -> Merged:
    """Merge notebooks cell by cell, by the cells' ids; a conflict is marked within its cell, so that JupyterLab opens the notebook.

    Cells keep our order. A new one of theirs comes after the cell that it follows there. A cell that one side removed is gone
    unless the other changed it. Our outputs and metadata stay. What is no notebook is merged line by line.
    """
    try:
        parts = [_cells(text) for text in (base, ours, theirs)]
    except (ValueError, KeyError, TypeError):
        return lines(base, ours, theirs)
    before, here, there = parts
    conflicts, whole = 0, json.loads(ours)
    made: dict[str, dict[str, Any]] = {}
    for name, cell in here.items():
        old, new = before.get(name), there.get(name)
        if new is None and old is not None and _source(old) == _source(cell):
            continue
        if new is None:
            conflicts += old is not None
            made[name] = cell
            continue
        merged = lines(_source(old) if old else "", _source(cell), _source(new))
        conflicts += merged.conflicts
        kind = new["cell_type"] if old and old["cell_type"] == cell["cell_type"] else cell["cell_type"]
        made[name] = cell if merged.text == _source(cell) else cell | {"source": merged.text.splitlines(True)}
        made[name]["cell_type"] = kind
    order = list(made)
    previous: str | None = None
    for name, cell in there.items():
        if (
            name not in made
            and name not in here
            and (name not in before or _source(before[name]) != _source(cell))
        ):
            # New in the template, or removed here while the template changed it.
            conflicts += name in before
            made[name] = cell
            order.insert(order.index(previous) + 1 if previous in order else 0, name)
        if name in made:
            previous = name
    whole["cells"] = [made[name] for name in order]
    return Merged(json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n", conflicts)


def _cells(text: str) -> dict[str, dict[str, Any]]:
    """Return a notebook's cells by id; those without one by their place."""
    cells = json.loads(text)["cells"]
    found = {cell.get("id", f"cell {number}"): cell for number, cell in enumerate(cells)}
    if len(found) < len(cells):
        raise ValueError("two cells have one id")
    return found


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def is_marked(text: str) -> bool:
    """Check whether a text, or a cell of a notebook, still has a conflict's marks."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = "\n".join(map(_source, _cells(text).values()))
    return all(any(line.startswith(mark) for line in text.splitlines()) for mark in MARKS)
