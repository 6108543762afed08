"""The module of one notebook, exported when the notebook is saved."""

import ast
from pathlib import Path
from typing import NamedTuple

from hardcover import settings
from hardcover.errors import HardcoverError
from hardcover.notebooks import cells
from hardcover.project import exported

EXPORTED, SAME, REFUSED, NONE = "exported", "unchanged", "kept", "none"


class Outcome(NamedTuple):
    """What became of a notebook's module.

    Attributes
    ----------
    state
        ``exported``; ``unchanged``, when it says the same already; ``kept``, when it could not be exported and is as it was;
        ``none``, when the notebook has none.
    module
        Its path within the project; empty without one.
    why
        Why it was kept; empty otherwise.
    """

    state: str
    module: str = ""
    why: str = ""


def export(notebook: Path) -> Outcome:
    """Export the one module of a notebook as ``nbdev-export`` does, unless a cell of it does not parse.

    Raises nothing: a notebook that was saved is saved, whatever becomes of its module.
    """
    project = settings.project_around(notebook)
    if project is None or ".ipynb_checkpoints" in notebook.parts:
        return Outcome(NONE)
    module = ""
    try:
        if not any(exported.DIRECTIVE in source for source in cells.sources(notebook)):
            return Outcome(NONE)
        target = exported.export_target(notebook)
        module = f"src/{settings.package_of(project)}/{target.replace('.', '/')}.py"
        wrong = _unparsable(cells.sources(notebook, "code"))
        if wrong:
            return Outcome(REFUSED, module, wrong)
        file = project / module
        before = file.read_bytes() if file.exists() else None
        try:
            exported.export(project, notebook.resolve())
        except HardcoverError:
            if before is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(before)
            raise
        return Outcome(SAME if file.read_bytes() == before else EXPORTED, module)
    except (HardcoverError, OSError) as error:
        return Outcome(REFUSED, module, str(error))


def _unparsable(sources: list[str]) -> str:
    """Return which exported code cell does not parse, and where; empty when all do."""
    for number, source in enumerate(sources, 1):
        if not source.startswith(exported.EXPORT):
            continue
        try:
            ast.parse(source)
        except SyntaxError as error:
            line = (error.text or "").strip()
            return f"code cell {number}, line {error.lineno}: {error.msg}: {line}"
    return ""
