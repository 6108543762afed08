"""The sources of a notebook's cells, read from its file without nbformat."""

import json
from pathlib import Path

from hardcover.errors import HardcoverError


def sources(notebook: Path, kind: str | None = None) -> list[str]:
    """Return the sources of a notebook's cells in their order, of one ``kind`` (``code`` or ``markdown``) or of all.

    Raises
    ------
    HardcoverError
        When the file cannot be read, or is no notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if kind in (None, cell["cell_type"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HardcoverError("not a readable notebook", str(notebook), "Restore it from git.") from error
