"""HTML pages that load nothing from elsewhere and can be read on a phone: one look for reports, proofs, lineage, front pages."""

import base64
import html
from collections.abc import Iterable
from pathlib import Path

CSS = """
:root { color-scheme: light; --ink: #222; --soft: #5c6670; --line: #d9dde1; --accent: #b3123b; --good: #1a7f37; --paper: #fff }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; padding: 1.2rem; max-width: 68rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .4rem 0 1rem } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem }
p, li, dd { max-width: 48rem } a { color: #2f6690 } code { font-size: .9em; overflow-wrap: anywhere } td code { white-space: nowrap }
figure { margin: 1rem 0 } img, svg { max-width: 100%; height: auto } figcaption, .soft { color: var(--soft); font-size: .9rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem; border: 0 } caption { text-align: left; color: var(--soft) }
th, td { border: 0; padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
nav { border: 1px solid var(--line); border-radius: 6px; padding: .6rem 1rem; margin: 1rem 0 } nav ul { margin: .3rem 0; padding-left: 1.2rem }
pre { overflow-x: auto; background: #f5f6f7; padding: .6rem .8rem; border-radius: 4px; font-size: .85rem; line-height: 1.4; margin: .4rem 0 }
details { margin: .4rem 0 } summary { color: var(--soft); cursor: pointer; font-size: .85rem } .good { color: var(--good) } .bad { color: var(--accent) }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; align-items: start }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem } dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 600px) { body { padding: .8rem } dl { grid-template-columns: 1fr } dt { margin-top: .4rem } }
"""


def page(title: str, body: str, css: str = "") -> str:
    """Return a whole page; ``title`` is plain text, ``body`` is HTML."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{CSS}{css}</style><body>\n{body}\n</body></html>\n"
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: Iterable[int] = ()) -> str:
    """Return a table that scrolls by itself where it is too wide; cells are HTML, columns ``numbers`` are set to the right."""
    numbers = set(numbers)

    def line(cells: Iterable[str], tag: str) -> str:
        kinds = (' class="number"' if number in numbers else "" for number, _ in enumerate(head))
        return (
            "<tr>"
            + "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=False))
            + "</tr>"
        )

    head = list(head)
    body = "".join(line(row, "td") for row in rows)
    return f'<div class="wide"><table>{line(head, "th")}{body}</table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names with what they are, as a list of definitions; the values are HTML."""
    return f"<dl>{''.join(f'<dt>{html.escape(name)}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>"


def embedded(picture: Path) -> str:
    """Return a PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
