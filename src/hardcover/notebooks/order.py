"""Whether the cells of a notebook ran as they stand in its file, from top to bottom."""

from collections.abc import Sequence

from hardcover.errors import HardcoverError
from hardcover.notebooks import cells, front_end

MAX_NAMED = 3
ADVICE = "'Restart Kernel and Run All Cells' shows what CI will see."


def problems(history: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Return which cells above the running one did not run as they stand, or ran in another order.

    Parameters
    ----------
    history
        The sources that the kernel ran, in the order of their execution counts; the last one is running.
    sources
        Those of the notebook's code cells, in the order of its file.

    Returns
    -------
    list
        A sentence for each, at most `MAX_NAMED`; empty where the order is the file's.
    """
    running = [
        place for place, source in enumerate(sources) if history and source.strip() == history[-1].strip()
    ]
    if not running:
        return ["the running cell is not in the notebook's file as it runs: the notebook is not saved"]
    above = [source.strip() for source in sources[: running[-1]]]
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
    shell = front_end.shell()
    notebook = front_end.notebook_of(shell) if shell is not None else None
    if notebook is None:
        return []
    try:
        sources = cells.sources(notebook, "code")
    except HardcoverError:
        return []
    found = problems(shell.history_manager.input_hist_raw[1:], sources)
    if found:
        front_end.warn("This run may not come out the same from top to bottom", found, ADVICE)
    return found
