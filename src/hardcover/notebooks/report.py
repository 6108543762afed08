"""Reports: an executed notebook as one HTML file that loads nothing from elsewhere."""

import html
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from hardcover.reporting import pages

TEMPLATES, TEMPLATE = Path(__file__).parent / "templates", "templates/report/index.html.j2"


def to_html(copy: Path) -> Path:
    """Write a report beside an executed copy: one HTML file that loads nothing from elsewhere.

    Code is out of sight until one switch shows all of it, headings have a table of contents, of the parameters the ones in force are
    shown, and what a run that went well wrote to its log is left out.
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
    switch = '<label class="switch"><input type="checkbox" id="show-code"> show the code</label>'
    body = body.replace("</h1>", f"</h1>{switch}{contents}", 1) if "</h1>" in body else switch + body
    css = HtmlFormatter().get_style_defs(".highlight") + REPORT_CSS
    report = copy.with_suffix(".html")
    report.write_text(pages.page(html.unescape(title), body, css), encoding="utf-8")
    return report


REPORT_CSS = """
.highlight { background: #f5f6f7 } a.anchor-link { display: none } .output_area { overflow-x: auto } .output_area pre { background: none }
.switch { color: var(--soft); font-size: .85rem; cursor: pointer } .code { display: none } body:has(#show-code:checked) .code { display: block }
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
