"""A case written into a project from a file and the name of a column."""

import json
import keyword
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from hardcover import settings
from hardcover.errors import HardcoverError, SourceError
from hardcover.inspection import report
from hardcover.inspection.report import Inspection
from hardcover.project import cases, exported
from hardcover.store import disk
from hardcover.template import notebooks, plan
from hardcover.template.plan import Planned

_RESERVED = {cases.SHARED, "test", "tests", "conf", "data", "src"}


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


def write(case: str, files: Sequence[str], found: Inspection, planned: list[Planned]) -> list[Path]:
    """Write a case into the project, and export its notebooks; returns the files written.

    Raises
    ------
    HardcoverError
        When the name cannot be one or is taken; then nothing is written.
    """
    check_name(case, "case")
    root = settings.project_root()
    texts = {
        root / "notebooks" / case / "01_data.ipynb": notebooks.data(case, found, planned),
        root / "notebooks" / case / "02_features.ipynb": notebooks.features(case, planned),
        root / "conf" / "base" / f"parameters_{case}.yml": _parameters(case, files, found, planned, root),
    }
    taken = [path for path in texts if path.exists()]
    if (root / "notebooks" / case).exists() or taken:
        there = taken[0] if taken else root / "notebooks" / case
        raise HardcoverError(
            f"there is a case {case!r} already", str(there), "Choose another name; nothing was written."
        )
    outside = [
        str(Path(file).resolve()) for file in files if not Path(file).resolve().is_relative_to(root.resolve())
    ]
    if outside:
        # Where a file lies on this machine is nothing to share.
        texts[root / "conf" / "local" / f"parameters_{case}.yml"] = yaml.safe_dump(
            {case: {"files": outside}}, allow_unicode=True
        )
    written = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write_atomically(path, text.encode("utf-8"))
            written.append(path)
        exported.export()
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        if not any((root / "notebooks" / case).iterdir()):
            (root / "notebooks" / case).rmdir()
        raise
    return written


def _parameters(
    case: str, files: Sequence[str], found: Inspection, planned: list[Planned], root: Path
) -> str:
    question = found.question
    assert question is not None
    inside = [Path(file).resolve() for file in files if Path(file).resolve().is_relative_to(root.resolve())]
    used = {column.name: column.source for column in planned if column.part != "unused"}
    text = [
        f"# What was proposed from {', '.join(facts['file'] for facts in found.table.files)}; every line is yours to change."
    ]
    text += [f"{case}:", f"  task: {question.task}          # {question.why}"]
    if inside:
        text.append(
            f"  files: {json.dumps([str(path.relative_to(root.resolve())) for path in inside], ensure_ascii=False)}"
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
