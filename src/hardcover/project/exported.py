"""Whether notebooks and the modules that they export define the same things, and how to export."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hardcover import settings
from hardcover.errors import HardcoverError, some
from hardcover.incremental import definitions
from hardcover.notebooks import cells

DIRECTIVE, EXPORT = "#| default_exp", "#| export"
COMMAND = "nbdev-export"
# Kedro's name of the pipeline of all cases.
ALL = "__default__"


def export_target(notebook: Path) -> str:
    """Return the module that a notebook exports to, from its ``#| default_exp`` cell.

    Raises
    ------
    HardcoverError
        When the notebook is not JSON or has no such cell.
    """
    lines = [line.strip() for cell in cells.sources(notebook) for line in cell.splitlines()]
    targets = [line.removeprefix(DIRECTIVE).strip() for line in lines if line.startswith(DIRECTIVE)]
    if not targets:
        fix = f"Add a cell '{DIRECTIVE} case.stage'."
        raise HardcoverError("the notebook exports no module", str(notebook), fix)
    return targets[0]


def differing(notebook: Path, module: str) -> list[str]:
    """List the names that a notebook's exported cells and its module define differently; imports neither.

    A name that cells define which are not exported counts, where the module has it, too. Comments and docstrings do not.
    """
    sources = cells.sources(notebook, "code")
    space, written = definitions.space_of(module), definitions.of_notebook(sources)
    exported = definitions.of_notebook(cell for cell in sources if cell.startswith(EXPORT))
    if space is None:
        return sorted(exported.statements)
    found = {*exported.statements} ^ ({*space.statements} - {"__all__"})
    for name, statements in space.statements.items():
        ours = [written.normal(part) for part in written.statements.get(name, [])]
        if name != "__all__" and [space.normal(part) for part in statements] != ours:
            found.add(name)
    if exported.imports != space.imports:
        found |= {name for name, _ in {*exported.imports.items()} ^ {*space.imports.items()}}
    return sorted(found)


def _notebooks_of(cases: Iterable[str]) -> list[Path]:
    """List the notebooks of cases, and those that all cases share."""
    folders = sorted((settings.project_root() / "notebooks").glob("[!_.]*/"))
    asked = {*cases}
    mine = [
        folder
        for folder in folders
        if ALL in asked or folder.name in asked or not any(folder.glob("*_data.ipynb"))
    ]
    return [path for folder in mine for path in sorted(folder.glob("*.ipynb"))]


def check(cases: Iterable[str]) -> None:
    """Refuse to run modules of cases, or of ``ALL``, that are not what their notebooks say.

    Raises
    ------
    HardcoverError
        Names each notebook, its module and what differs, and the command that exports.
    """
    found = []
    for notebook in _notebooks_of(cases):
        if not any(DIRECTIVE in cell for cell in cells.sources(notebook, "code")):
            continue
        module = f"{settings.package_name()}.{export_target(notebook)}"
        names = differing(notebook, module)
        if names:
            shown = notebook.relative_to(settings.project_root())
            found.append(f"{shown} and module {module} differ in {some(map(repr, names))}")
    if found:
        fix = f"Run again with --export, or run {Path(sys.executable).parent / COMMAND}; 'git checkout' undoes an edit."
        raise HardcoverError("; ".join(found), "", fix)


def export(root: Path | None = None, only: Path | None = None) -> None:
    """Export all notebooks of a project, by default of this one, as ``nbdev-export`` does; or only one of them, or those of one folder.

    Raises
    ------
    HardcoverError
        When that fails, with its last lines.
    """
    command = [str(Path(sys.executable).parent / COMMAND), *(["--path", str(only)] if only else [])]
    done = subprocess.run(
        command, cwd=root or settings.project_root(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise HardcoverError(
            f"cannot export the notebooks: {last}", command[0], "Mend the notebook it names."
        )
