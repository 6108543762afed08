"""The module of one notebook, exported when the notebook is saved."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from hardcover import settings
from hardcover.errors import HardcoverError
from hardcover.project import exported

EXPORTED, SAME, REFUSED, NONE = "exported", "unchanged", "kept", "none"
_DIRECTIVE = "#| export"


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
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if not any(exported.DIRECTIVE in "".join(cell["source"]) for cell in cells):
            return Outcome(NONE)
        target = exported.export_target(notebook)
        module = f"src/{settings.package_of(project)}/{target.replace('.', '/')}.py"
        wrong = _unparsable(cells)
        if wrong:
            return Outcome(REFUSED, module, wrong)
        file = project / module
        before = file.read_bytes() if file.exists() else None
        why = _nbdev(project, notebook)
        if why:
            if before is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(before)
            return Outcome(REFUSED, module, why)
        return Outcome(SAME if file.read_bytes() == before else EXPORTED, module)
    except (HardcoverError, OSError, ValueError, KeyError, TypeError) as error:
        return Outcome(REFUSED, module, str(error))


def _unparsable(cells: list[dict]) -> str:
    """Return which exported cell does not parse, and where; empty when all do."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        source = "".join(cell["source"])
        if not source.startswith(_DIRECTIVE):
            continue
        try:
            ast.parse(source)
        except SyntaxError as error:
            line = (error.text or "").strip()
            return f"code cell {number}, line {error.lineno}: {error.msg}: {line}"
    return ""


def _nbdev(project: Path, notebook: Path) -> str:
    """Export one notebook; returns what went wrong, empty when nothing did."""
    command = [Path(sys.executable).with_name(exported.COMMAND), "--path", notebook.resolve()]
    done = subprocess.run(list(map(str, command)), cwd=project, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]
