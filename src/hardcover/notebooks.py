"""Execute stage notebooks headlessly, keep the executed copy and a self-contained report of each."""

import html
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hardcover import errors, pages
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
            # Sockets in a folder of our own: nobody else on this machine can listen or send.
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


TEMPLATES, TEMPLATE = Path(__file__).parent / "templates", "templates/report/index.html.j2"


def to_html(copy: Path) -> Path:
    """Write a report beside an executed copy: one HTML file that loads nothing from elsewhere.

    Code is folded, headings have a table of contents, of the parameters the ones in force are shown, and what a run that went well
    wrote to its log is left out.
    """
    import nbformat
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    # It would remark on each picture without an alternative text.
    logger = logging.getLogger("hardcover.reports")
    logger.setLevel(logging.ERROR)
    exporter = HTMLExporter(
        log=logger, embed_images=True, extra_template_basedirs=[str(TEMPLATES)], template_name="report"
    )
    notebook = nbformat.read(copy, as_version=4)
    notebook.cells = list(_shown(notebook.cells))
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": copy.stem}})
    headings = [
        (level, anchor, re.sub(r"<[^>]*>", "", text))
        for level, anchor, text in re.findall(r'<h([12]) id="([^"]*)">(.*?)<a class="anchor-link"', body)
    ]
    title = next((text for level, _, text in headings if level == "1"), copy.stem)
    items = "".join(
        f'<li><a href="#{anchor}">{text}</a></li>' for level, anchor, text in headings if level == "2"
    )
    contents = f"<nav><b>Contents</b><ul>{items}</ul></nav>" if items else ""
    body = body.replace("</h1>", f"</h1>{contents}", 1)
    css = HtmlFormatter().get_style_defs(".highlight") + REPORT_CSS
    report = copy.with_suffix(".html")
    report.write_text(pages.page(html.unescape(title), body, css), encoding="utf-8")
    return report


REPORT_CSS = """
.highlight { background: #f5f6f7 } a.anchor-link { display: none } .output_area { overflow-x: auto } .output_area pre { background: none }
.cell { margin: .5rem 0 } table.dataframe td, table.dataframe th { text-align: right }
"""


def _shown(cells: list) -> Iterator:
    failed = any(output.output_type == "error" for cell in cells for output in cell.get("outputs", []))
    before = None
    injected = any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells)
    for cell in cells:
        if injected and "parameters" in cell.metadata.get("tags", []):
            continue
        # Directives of nbdev are for its exporter; as Markdown they would be headings.
        cell.source = re.sub(r"\A(#\|.*\n?)+", "", cell.source)
        if not failed and cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        if not cell.source.strip():
            continue
        # Neighbours that show nothing are folded together.
        if before is not None and cell.cell_type == "code" == before.cell_type and not before.outputs:
            cell.source = f"{before.source}\n\n\n{cell.source}"
        elif before is not None:
            yield before
        before = cell
    if before is not None:
        yield before
