"""What the template wrote into a project, kept beside it: the base of a later three-way merge.

A zip archive, ``.template.zip``, that belongs into version control: every stamped file as it was written, and the proposal of each case,
so that a newer template can be rendered without the data.
"""

import io
import json
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

from hardcover.errors import HardcoverError
from hardcover.store import disk
from hardcover.template.plan import Proposal

ARCHIVE, PROJECT = ".template.zip", "pyproject.toml"
_FILES, _PROPOSALS = "files/", "proposals/"
# An archive of the same content is the same bytes.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


class Stamped(NamedTuple):
    """What was written: each file's text by its path, and the proposals by case."""

    texts: dict[str, str]
    proposals: dict[str, Proposal]


def read(root: Path) -> Stamped:
    """Return what the template wrote into the project at ``root``.

    Raises
    ------
    HardcoverError
        When its archive is missing or damaged.
    """
    try:
        with zipfile.ZipFile(root / ARCHIVE) as archive:
            content = {name: archive.read(name).decode("utf-8") for name in archive.namelist()}
    except FileNotFoundError:
        raise HardcoverError(
            "nothing says what the template wrote",
            str(root / ARCHIVE),
            "Restore it from version control. A project that was written without it cannot be upgraded.",
        ) from None
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError) as error:
        raise HardcoverError(
            f"cannot be read: {error}", str(root / ARCHIVE), "Restore it from version control."
        ) from error
    return Stamped(
        {name.removeprefix(_FILES): text for name, text in content.items() if name.startswith(_FILES)},
        {
            Path(name).stem: Proposal.from_json(text)
            for name, text in content.items()
            if name.startswith(_PROPOSALS)
        },
    )


def keep(root: Path, what: Stamped) -> None:
    """Write the archive, whole or not at all."""
    content = {_FILES + name: text for name, text in what.texts.items()}
    content |= {f"{_PROPOSALS}{case}.json": each.to_json() for case, each in what.proposals.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        # In the order of the proposals, which is that of the cases in pyproject.toml.
        for name, text in content.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), text, zipfile.ZIP_DEFLATED)
    disk.write_atomically(root / ARCHIVE, stream.getvalue())


def note(root: Path, case: str, proposal: Proposal, texts: dict[str, str]) -> None:
    """Add a case to the archive and its answers to ``pyproject.toml``; nothing where a project has no archive."""
    if not (root / ARCHIVE).exists():
        return
    before, file = read(root), root / PROJECT
    base = _answered(before.texts[PROJECT], case, proposal)
    keep(root, Stamped(before.texts | texts | {PROJECT: base}, before.proposals | {case: proposal}))
    disk.write_atomically(file, _answered(file.read_text(encoding="utf-8"), case, proposal).encode("utf-8"))


def _answered(text: str, case: str, proposal: Proposal) -> str:
    known = tomllib.loads(text).get("tool", {}).get("hardcover", {}).get("cases", {})
    return text if case in known else text + answers_of(case, proposal)


def answers_of(case: str, proposal: Proposal) -> str:
    """Return the lines of ``pyproject.toml`` that say what a case was written from."""
    question = proposal.question
    said = {
        "target": proposal.target,
        "task": question.task,
        "split": question.split,
        "time": question.time,
        "entity": question.entity,
    }
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in said.items() if value is not None
    ]
    return f"\n[tool.hardcover.cases.{case}]\n" + "\n".join(lines) + "\n"
