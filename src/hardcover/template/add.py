"""A case written into a project from a file and the name of a column."""

import json
import keyword
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from hardcover.errors import HardcoverError, SourceError
from hardcover.inspection import report
from hardcover.inspection.report import Inspection
from hardcover.project import cases, exported
from hardcover.store import disk
from hardcover.template import notebooks, plan
from hardcover.template.plan import Planned

# Files of up to so many bytes in all come along; larger ones stay where they are.
MAX_COPIED, DELIVERED = 500_000_000, Path("data", "01_raw", "delivered")
_RESERVED = {cases.SHARED, "test", "tests", "conf", "data", "src"}


_SMALL = """# Small and fast: few trees, few resamples.
{case}:
  training: {{rounds: 50, early_stopping: 10}}
  evaluation: {{folds: 3, bootstrap: 50}}
  explanation: {{dependence: 1}}
"""


def check_name(name: str, what: str) -> None:
    """Check whether a name can be that of a Python package.

    Raises
    ------
    HardcoverError
        Otherwise, with one that could.
    """
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) and not keyword.iskeyword(name) and name not in _RESERVED:
        return
    better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "own"
    better = (
        f"my_{better}" if better[0].isdigit() or keyword.iskeyword(better) or better in _RESERVED else better
    )
    raise HardcoverError(
        f"{name!r} cannot be the name of a {what}",
        "",
        f"Use letters, digits and underscores, such as {better!r}.",
    )


def propose(
    files: Sequence[str],
    target: str,
    *,
    task: str | None = None,
    split: str | None = None,
    time: str | None = None,
    entity: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Inspection, list[Planned]]:
    """Inspect files and plan a case; nothing is written.

    Raises
    ------
    SourceError, DataError, UnknownName
        When the files cannot be read, no model can be asked, or a name is unknown.
    """
    found = plan.overridden(report.inspect(files, target, say), task, split, time, entity)
    if found.table.rows < 20:
        raise SourceError(
            f"{found.table.rows} rows are too few to learn from and to measure on",
            str(files[0]),
            "Bring more rows.",
        )
    return found, plan.of(found)


def write(
    root: Path, case: str, files: Sequence[str], found: Inspection, planned: list[Planned]
) -> list[Path]:
    """Write a case into the project at ``root``, with its data, and export its notebooks; returns the files written.

    Raises
    ------
    HardcoverError
        When the name cannot be one or is taken; then nothing is written.
    """
    check_name(case, "case")
    texts = {
        root / "notebooks" / case / "01_data.ipynb": notebooks.data(case, found, planned),
        root / "notebooks" / case / "02_features.ipynb": notebooks.features(case, planned),
        root / "conf" / "base" / f"parameters_{case}.yml": _parameters(case, files, found, planned, root),
    }
    texts[root / "conf" / "ci" / f"parameters_{case}.yml"] = _SMALL.format(case=case)
    taken = [path for path in texts if path.exists()]
    if (root / "notebooks" / case).exists() or taken:
        there = taken[0] if taken else root / "notebooks" / case
        raise HardcoverError(
            f"there is a case {case!r} already", str(there), "Choose another name; nothing was written."
        )
    local = [str(file) for file in _elsewhere(root, files)]
    if local:
        # Where a file lies on this machine is nothing to share.
        settled = yaml.safe_dump({case: {"files": local}}, allow_unicode=True)
        texts[root / "conf" / "local" / f"parameters_{case}.yml"] = settled
    written: list[Path] = []
    try:
        for file, here in _copies(root, case, files).items():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, here)
            written.append(here)
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write_atomically(path, text.encode("utf-8"))
            written.append(path)
        exported.export(root)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        for folder in (root / "notebooks" / case, root / DELIVERED / case):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise
    return written


def _is_inside(root: Path, file: str) -> bool:
    return Path(file).resolve().is_relative_to(root.resolve())


def _elsewhere(root: Path, files: Sequence[str]) -> list[Path]:
    """Return all files if those outside the project are too large to bring in."""
    outside = [file for file in files if not _is_inside(root, file)]
    large = sum(Path(file).stat().st_size for file in outside) > MAX_COPIED
    return [Path(file).resolve() for file in files] if large else []


def _copies(root: Path, case: str, files: Sequence[str]) -> dict[Path, Path]:
    """Return the files that are brought into the project, and where to."""
    if _elsewhere(root, files):
        return {}
    places = zip(files, _delivered(root, case, files), strict=True)
    return {Path(file): here for file, here in places if not _is_inside(root, file)}


def _delivered(root: Path, case: str, files: Sequence[str]) -> list[Path]:
    """Return where each file is in the project."""
    return [
        root / Path(file).resolve().relative_to(root.resolve())
        if _is_inside(root, file)
        else root / DELIVERED / case / Path(file).name
        for file in files
    ]


def _parameters(
    case: str, files: Sequence[str], found: Inspection, planned: list[Planned], root: Path
) -> str:
    question = found.question
    assert question is not None
    inside = [] if _elsewhere(root, files) else _delivered(root, case, files)
    used = {column.name: column.source for column in planned if column.part != "unused"}
    text = [
        f"# What was proposed from {', '.join(facts['file'] for facts in found.table.files)}; every line is yours to change."
    ]
    text += [f"{case}:", f"  task: {question.task}          # {question.why}"]
    if inside:
        text.append(
            f"  files: {json.dumps([str(path.relative_to(root)) for path in inside], ensure_ascii=False)}"
        )
    text += [
        "  split:",
        f"    by: {question.split}       # {question.why_split}",
        "",
        "  column_mapping:",
        "    file:",
    ]
    text += [f"      {name}: {json.dumps(source, ensure_ascii=False)}" for name, source in used.items()]
    if question.task == "binary":
        text += [
            "",
            "  costs:              # per row and decision: say what each really costs",
            "    missed: 1",
            "    false_alarm: 1",
            "    unit: points",
        ]
    return "\n".join(text) + "\n"
