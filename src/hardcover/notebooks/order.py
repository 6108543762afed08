"""Whether the cells of a notebook ran as they stand in its file, from top to bottom."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_NAMED = 3
ADVICE = "'Restart Kernel and Run All Cells' shows what CI will see."


def problems(history: Sequence[str], cells: Sequence[str]) -> list[str]:
    """Say which cells above the running one did not run as they stand, or ran in another order.

    Parameters
    ----------
    history
        The sources that the kernel ran, in the order of their execution counts; the last one is running.
    cells
        The sources of the notebook's code cells, in the order of its file.

    Returns
    -------
    list
        A sentence for each, at most `MAX_NAMED`; empty where the order is the file's.
    """
    running = [
        place for place, source in enumerate(cells) if history and source.strip() == history[-1].strip()
    ]
    if not running:
        return ["the running cell is not in the notebook's file as it runs: the notebook is not saved"]
    above = [source.strip() for source in cells[: running[-1]]]
    counts: dict[str, list[int]] = {}
    for count, source in enumerate(history[:-1], 1):
        counts.setdefault(source.strip(), []).append(count)
    found, latest = [], (0, 0)
    for place, source in enumerate(above):
        if not source or source.startswith("#| default_exp"):
            continue
        # Of cells that say the same, the last run is the last one's, the run before it that of the one before.
        later = above[place + 1 :].count(source)
        ran = counts.get(source, [])
        line = _first_line(source)
        if not ran:
            found.append(f"code cell {place + 1} has not run as it stands: {line}")
            continue
        count = ran[max(len(ran) - 1 - later, 0)]
        if count < latest[1]:
            found.append(
                f"code cell {place + 1} ran as [{count}], before cell {latest[0]} above it as [{latest[1]}]: {line}"
            )
        else:
            latest = (place + 1, count)
    return found[:MAX_NAMED]


def _first_line(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip() and not line.startswith("#|")]
    line = lines[0] if lines else source
    return line if len(line) <= 60 else line[:57] + "..."


def warn() -> list[str]:
    """Show what is wrong with the order in which this kernel ran its notebook's cells; returns the sentences.

    Only in a kernel that JupyterLab or VS Code started for a notebook.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    notebook = path_of(shell) if shell is not None else None
    if notebook is None:
        return []
    try:
        whole = json.loads(notebook.read_text(encoding="utf-8"))
        cells = ["".join(cell["source"]) for cell in whole["cells"] if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError):
        return []
    found = problems(shell.history_manager.input_hist_raw[1:], cells)
    if found:
        say("This run may not come out the same from top to bottom", found, ADVICE)
    return found


def path_of(shell: Any) -> Path | None:
    """Return the file of the notebook that a kernel runs; None where its front end does not say.

    Jupyter Server says it in ``JPY_SESSION_NAME``, relative to its own folder or to the kernel's; VS Code in ``__vsc_ipynb_file__``.
    """
    named = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not named or not str(named).endswith(".ipynb"):
        return None
    return next((path for path in (Path(named), Path(Path(named).name)) if path.is_file()), None)


def say(title: str, lines: Sequence[str], advice: str) -> None:
    """Show a warning in a notebook, in plain text where its front end has no HTML."""
    import html

    from IPython.display import display

    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    page = (
        "<div class='hardcover-warning' style='border-left: 4px solid #bf8700; padding: .3em .8em; margin: .3em 0'>"
        f"<b>{html.escape(title)}</b><ul style='margin: .2em 0'>{items}</ul>{html.escape(advice)}</div>"
    )
    text = "\n".join([f"{title}:", *(f"  {line}" for line in lines), advice])
    display({"text/html": page, "text/plain": text}, raw=True)
