"""Execute stage notebooks headlessly, keep the executed copy and a self-contained report of each."""

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hardcover import errors
from hardcover.errors import HardcoverError, StageFailed

Progress = Callable[[int, int, float], None]


def execute(notebook: Path, copy: Path, parameters: dict, stage: str, progress: Progress) -> None:
    """Run a notebook by papermill in a fresh kernel, in the notebook's own folder.

    Parameters
    ----------
    notebook, copy
        The notebook, and where its executed copy goes, saved after each cell.
    parameters
        Values for the cell tagged ``parameters``.
    stage
        Names the stage in messages.
    progress
        Called with the number of cells done, of all cells, and the seconds since the start.

    Raises
    ------
    HardcoverError
        When no cell has the tag ``parameters``: papermill would run on defaults in silence.
    StageFailed
        When a cell raises.
    """
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets.config import Config

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            complete, total, begin = nb_man.cell_complete, len(nb_man.nb.cells), time.monotonic()

            def cell_complete(cell, cell_index=None, **more):
                complete(cell, cell_index, **more)
                progress((cell_index or 0) + 1, total, time.monotonic() - begin)

            nb_man.cell_complete = cell_complete
            # Sockets in a folder of our own: no other user of this machine can listen or send.
            with tempfile.TemporaryDirectory(prefix="hardcover-") as folder:
                config = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
                return super().execute_managed_notebook(nb_man, kernel_name, config=config, **options)

    papermill_engines.register("hardcover", Engine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    tags = [tag for cell in _cells(notebook) for tag in cell["metadata"].get("tags", [])]
    if tags.count("parameters") != 1:
        fix = "Tag the cell with the defaults; nbdev-clean keeps tags only if pyproject.toml allows it."
        raise HardcoverError(
            f"{tags.count('parameters')} cells are tagged 'parameters', not one", str(notebook), fix
        )
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            notebook, copy, parameters, engine_name="hardcover", progress_bar=False, cwd=notebook.parent
        )
    except KeyboardInterrupt:
        # The kernel dies while nbclient still waits for a cell, which asyncio would report at the end.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise
    except papermill.PapermillExecutionError as error:
        # Our own errors say it all; the class's name would add nothing.
        ours = hasattr(errors, error.ename)
        message = error.evalue if ours else f"{error.ename}: {error.evalue}"
        source, trace = "" if ours else error.source, "\n".join(error.traceback)
        raise StageFailed(stage, message.strip(), error.cell_index + 1, source, str(copy), trace) from error


def _cells(notebook: Path) -> list:
    import nbformat

    return nbformat.read(notebook, as_version=4).cells
