"""A case written into a project from a file and the name of a column."""

import json
import keyword
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from hardcover import settings
from hardcover.errors import HardcoverError, SourceError
from hardcover.inspection import report
from hardcover.project import cases, exported
from hardcover.store import disk
from hardcover.template import answers, notebooks, plan, stamped
from hardcover.template.plan import Proposal

# Files of up to so many bytes in all come along; larger ones stay where they are.
MAX_COPIED, DELIVERED = 500_000_000, Path("data", "01_raw", "delivered")
_RESERVED = {cases.SHARED, cases.ALL, "test", "tests", "conf", "data", "src"}
_SMALL = """# Small and fast: few trees, few resamples.
{case}:
  training: {{rounds: 50, early_stopping: 10, stopping: validation}}
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


def check_free(root: Path, case: str) -> None:
    """Check whether a case can be added to the project at ``root``.

    Raises
    ------
    HardcoverError
        When its name cannot be one, or is taken.
    """
    check_name(case, "case")
    places = [root / "conf" / name / f"parameters_{case}.yml" for name in ("base", "ci", "local")]
    module = root / "src" / settings.package_of(root) / case
    for place in (root / "notebooks" / case, module, *places):
        if place.exists():
            raise HardcoverError(
                f"there is a case {case!r} already", str(place), "Choose another name; nothing was written."
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
) -> Proposal:
    """Inspect files and plan a case; nothing is written.

    Raises
    ------
    SourceError, DataError, UnknownName
        When the files cannot be read, no model can be asked, or a name is unknown.
    """
    found = answers.overridden(report.inspect(files, target, say), task, split, time, entity)
    if found.table.rows < 20:
        raise SourceError(
            f"{report.rows_of(found.table.rows)} too few to learn from and to measure on",
            str(files[0]),
            "Bring more rows.",
        )
    return plan.of(found)


def write(root: Path, case: str, files: Sequence[str], proposal: Proposal) -> list[Path]:
    """Write a case into the project at ``root``, with its data, and export its notebooks; returns the files written.

    Raises
    ------
    HardcoverError
        When the name cannot be one or is taken; then nothing is written.
    """
    check_free(root, case)
    places = _places(root, case, files)
    inside = [str(place.relative_to(root)) for _, place in places if place.is_relative_to(root)]
    proposal = proposal._replace(data=tuple(inside) if len(inside) == len(places) else ())
    ours = texts(case, proposal)
    made = dict(ours)
    if not proposal.data:
        # Where a file lies on this machine is nothing to share.
        local = {case: {"files": [str(place) for _, place in places]}}
        made[f"conf/local/parameters_{case}.yml"] = yaml.safe_dump(local, allow_unicode=True)
    written: list[Path] = []
    package = root / "src" / settings.package_of(root)
    # nbdev writes these anew in their places. To rename a copy back takes no room on a full disk.
    indexes = {
        path: path.with_name(f".{path.name}.kept")
        for path in [*package.glob("_*.py"), *(root / "notebooks").glob("llms.txt")]
    }
    copied: list[Path] = []
    try:
        for path, kept in indexes.items():
            shutil.copyfile(path, kept)
            copied.append(path)
        for file, here in places:
            if here == file:
                continue
            here.parent.mkdir(parents=True, exist_ok=True)
            written.append(here)
            shutil.copyfile(file, here)
        for name, text in made.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            disk.write_atomically(path, text.encode("utf-8"))
        exported.export(root, root / "notebooks" / case)
        stamped.note(root, case, proposal, ours)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        shutil.rmtree(package / case, ignore_errors=True)
        for path in copied:
            indexes[path].replace(path)
        for kept in indexes.values():
            kept.unlink(missing_ok=True)
        for folder in (root / "notebooks" / case, root / DELIVERED / case):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise
    for kept in indexes.values():
        kept.unlink(missing_ok=True)
    return written


def texts(case: str, proposal: Proposal) -> dict[str, str]:
    """Return the files of a case by their path in a project."""
    folder, conf = f"notebooks/{case}", f"parameters_{case}.yml"
    return {
        f"{folder}/01_data.ipynb": notebooks.data(case, proposal),
        f"{folder}/02_features.ipynb": notebooks.features(case, proposal),
        f"conf/base/{conf}": _parameters(case, proposal),
        f"conf/ci/{conf}": _SMALL.format(case=case),
    }


def _places(root: Path, case: str, files: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return each file, and where the project reads it: in itself, or as it lies if those outside are too large to bring in."""
    home, real = root.resolve(), [Path(file).resolve() for file in files]
    outside = [file for file in real if not file.is_relative_to(home)]
    if sum(file.stat().st_size for file in outside) > MAX_COPIED:
        return [(file, file) for file in real]
    names = [file.name for file in outside]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise SourceError(
            f"two files have the name {twice!r}",
            ", ".join(map(str, outside)),
            "Rename one; both are copied into one folder.",
        )
    return [
        (file, root / DELIVERED / case / file.name)
        if file in outside
        else (root / file.relative_to(home),) * 2
        for file in real
    ]


def _stopping(proposal: Proposal) -> str:
    """Return how rounds are stopped: by a portfolio, unless each class has its trees, which takes long."""
    if proposal.question.task != "multiclass":
        return "portfolio   # of three settings the best over folds; then one model learns from training and validation rows"
    return "joint       # over folds; then one model learns from training and validation rows"


def _parameters(case: str, proposal: Proposal) -> str:
    question = proposal.question
    used = {column.name: column.source for column in proposal.planned if column.part not in {"unused", "day"}}
    text = [
        f"# What was proposed from {', '.join(proposal.files)}; every line is yours to change.",
        f"{case}:",
        f"  task: {question.task}          # {question.why}",
        *([f"  files: {json.dumps(list(proposal.data), ensure_ascii=False)}"] if proposal.data else []),
        "  split:",
        f"    by: {question.split}       # {question.why_split}",
        "",
        "  column_mapping:",
        "    file:",
    ]
    text += [f"      {name}: {json.dumps(source, ensure_ascii=False)}" for name, source in used.items()]
    text += [
        "",
        "  training:",
        f"    stopping: {_stopping(proposal)}",
    ]
    leak = next((column.name for column in proposal.planned if column.part == "leak"), None)
    if leak:
        text += [
            "",
            f'  waivers: {{}}         # a leak that is known when the model is asked: {{{leak}: "why it is"}}',
        ]
    if question.task == "binary":
        text += [
            "",
            "  costs:              # per row and decision: say what each really costs",
            "    missed: 1",
            "    false_alarm: 1",
            "    unit: points",
        ]
    return "\n".join(text) + "\n"
