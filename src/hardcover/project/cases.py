"""Which cases and stages a project has; imports nothing that takes time.

A case is a folder of ``notebooks/`` with a data notebook; the notebooks of ``notebooks/model`` serve all cases.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hardcover import settings
from hardcover.errors import UnknownName
from hardcover.project import exported

SHARED, ALL = "model", "all"
NOTEBOOKS = "notebooks"


class Stage(NamedTuple):
    """One stage of one case: its name, the notebook that it is written in, and its exported module."""

    name: str
    notebook: Path
    module: str


def names() -> list[str]:
    """List the cases: folders of ``notebooks/`` other than the shared one."""
    folders = (settings.project_root() / NOTEBOOKS).iterdir()
    return sorted(folder.name for folder in folders if folder.is_dir() and _is_case(folder))


def _is_case(folder: Path) -> bool:
    return (
        folder.name != SHARED and not folder.name.startswith((".", "_")) and any(folder.glob("*_data.ipynb"))
    )


def chosen(named: Sequence[str]) -> list[str]:
    """Return the cases that are named; where none is, those of ``run.cases`` in settings.ini; ``all`` is every case.

    Raises
    ------
    UnknownName
        Offers the closest.
    """
    wanted = list(named) or settings.read("run.cases").split()
    if ALL in wanted or not wanted:
        return names()
    check(*wanted)
    return wanted


def check(*cases: str) -> None:
    """Check whether cases exist.

    Raises
    ------
    UnknownName
        Offers the closest.
    """
    known = names()
    for case in cases:
        if case not in known:
            raise UnknownName("case", case, known)


def stages(case: str) -> list[Stage]:
    """List the stages of a case, in the order of their notebooks' numbers."""
    root, package = settings.project_root() / NOTEBOOKS, settings.package_name()
    found = [path for folder in (case, SHARED) for path in sorted((root / folder).glob("[0-9]*_*.ipynb"))]
    return [
        Stage(path.stem.partition("_")[2], path, f"{package}.{exported.export_target(path)}")
        for path in found
    ]
