"""Lineage as a page: the versions grouped by the stage that made them, with arrows that cross no box, and as a list."""

import html
from collections.abc import Iterable
from itertools import pairwise

from hardcover.lineage.graph import Item, Lineage
from hardcover.reporting import pages

FILES, OTHER = "raw files", "other"
WIDTH, HEIGHT, ROOM, LANE, ROW, HEAD = 168, 40, 14, 16, 84, 26
CSS = """
svg text { font: 12px system-ui, sans-serif } svg .small { font-size: 10px; fill: #5c6670 } svg .stage { font-weight: bold; fill: #5c6670 }
svg path { fill: none; stroke: #9aa3ab } svg rect.box { fill: #fff; stroke: #8a9199 } svg .marked rect { stroke: #b3123b; stroke-width: 2 }
svg .file rect { fill: #fdf3dc } svg rect.band { fill: #f5f6f7 } svg { max-width: none }
"""


def page(
    title: str,
    lineage: Lineage,
    edges: list[tuple[Item, Item]],
    marked: Iterable[Item],
    stages: dict[str, str],
) -> str:
    """Draw arrows between versions as one HTML file that loads nothing.

    Parameters
    ----------
    title
        Plain text.
    lineage, edges
        All versions, and the arrows to draw.
    marked
        What was asked about.
    stages
        The stage of each node, by the node's name, in the order of the stages.
    """
    marked = set(marked)
    items = sorted({item for edge in edges for item in edge} | marked)
    groups = _grouped(items, lineage, stages)
    body = (
        f"<h1>{html.escape(title)}</h1>"
        "<p>Each box is a version of a dataset: one saved state, named by the moment when it was made. An arrow leads from a "
        "version to what was made of it; boxes are grouped by the stage whose node made them. Raw files are yellow; what was asked "
        "about has a red frame.</p>"
        f'<div class="wide">{_drawing(groups, edges, lineage, marked)}</div>'
    )
    for stage, members in groups.items():
        rows = [_row(item, lineage, item in marked) for item in members]
        head = ["dataset", "version", "made by", "made from"]
        body += f"<h2>{html.escape(stage)}</h2>{pages.table(head, rows)}"
    return pages.page(title, body, CSS)


def _grouped(items: list[Item], lineage: Lineage, stages: dict[str, str]) -> dict[str, list[Item]]:
    order = [FILES, *dict.fromkeys(stages.values()), "proof", OTHER]

    def stage_of(item: Item) -> str:
        node = lineage.manifests.get(item, {}).get("node") or ""
        return FILES if item.is_file else stages.get(node, "proof" if node == "prove" else OTHER)

    found = {stage: [item for item in items if stage_of(item) == stage] for stage in order}
    return {stage: members for stage, members in found.items() if members}


def _row(item: Item, lineage: Lineage, is_marked: bool) -> list[str]:
    manifest = lineage.manifests.get(item, {})
    name = html.escape(item.dataset)
    rows = f", {manifest['rows']:,} rows" if "rows" in manifest else ""
    by = f"node {manifest['node']}, run {str(manifest.get('run'))[:8]}" if manifest.get("node") else "given"
    sources = ", ".join(html.escape(source.dataset.rpartition(".")[2]) for source in lineage.inputs(item))
    version = f"<code>{html.escape(item.version[:27])}</code>{rows}"
    return [f"<b>{name}</b>" if is_marked else name, version, html.escape(by), sources]


def _drawing(
    groups: dict[str, list[Item]], edges: list[tuple[Item, Item]], lineage: Lineage, marked: set[Item]
) -> str:
    """Lay items out in rows, stages from top to bottom; an arrow over several rows gets a lane in each (Sugiyama 1981)."""
    levels, bands = _levels(groups, edges)
    rows: list[list] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for members in groups.values():
        for item in members:
            rows[levels[item]].append(item)
    chains = []
    for source, item in edges:
        # Arrows from one version share their lanes.
        lanes = [(source, level) for level in range(levels[source] + 1, levels[item])]
        for lane in lanes:
            if lane not in rows[lane[1]]:
                rows[lane[1]].append(lane)
        chains.append([source, *lanes, item])
    _untangle(rows, chains)
    places, width = _places(rows)
    heights = [
        HEAD + 8 + level * ROW + sum(HEAD for first, _ in bands.values() if first <= level)
        for level in range(len(rows))
    ]
    parts = []
    for stage, (first, last) in bands.items():
        top, bottom = heights[first] - HEAD, heights[last] + HEIGHT + 8
        parts.append(f'<rect class="band" x="0" y="{top}" width="{width}" height="{bottom - top}" rx="6"/>')
        parts.append(f'<text class="stage" x="8" y="{top + 17}">{html.escape(stage)}</text>')
    level_of = {member: level for level, row in enumerate(rows) for member in row}
    for chain in chains:
        parts.append(f'<path d="{_line(chain, places, heights, level_of)}"/>')
    for members in groups.values():
        parts += [
            _box(item, places[item], heights[levels[item]], lineage, item in marked) for item in members
        ]
    height = (heights[-1] if heights else 0) + HEIGHT + 16
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _levels(groups: dict[str, list[Item]], edges: list[tuple[Item, Item]]) -> tuple[dict[Item, int], dict]:
    """Put each item one row below the lowest that it was made from, and each stage below the stages before it."""
    sources: dict[Item, list[Item]] = {}
    for source, item in edges:
        sources.setdefault(item, []).append(source)
    levels: dict[Item, int] = {}
    bands: dict[str, tuple[int, int]] = {}
    top = 0
    for stage, members in groups.items():
        mine = set(members)

        def level(item: Item, mine: set = mine, top: int = top) -> int:
            if item not in levels:
                levels[item] = top
                inside = [level(source) + 1 for source in sources.get(item, []) if source in mine]
                levels[item] = max([top, *inside])
            return levels[item]

        bottom = max(level(item) for item in members)
        bands[stage] = (top, bottom)
        top = bottom + 1
    return levels, bands


def _untangle(rows: list[list], chains: list[list]) -> None:
    """Order each row by where its neighbours stand, from the top and from the bottom, a few times (barycenters)."""
    above: dict = {}
    below: dict = {}
    for chain in chains:
        for one, other in pairwise(chain):
            above.setdefault(other, []).append(one)
            below.setdefault(one, []).append(other)
    for _ in range(4):
        for neighbours, order in ((above, range(len(rows))), (below, reversed(range(len(rows))))):
            for level in order:
                where = {
                    member: number / max(1, len(row) - 1) for row in rows for number, member in enumerate(row)
                }

                def center(member, where: dict = where, neighbours: dict = neighbours) -> float:
                    found = [where[other] for other in neighbours.get(member, ())]
                    return sum(found) / len(found) if found else where[member]

                rows[level].sort(key=center)


def _places(rows: list[list]) -> tuple[dict, int]:
    """Place each member of a row by its left end; lanes are narrow. Return the width of the widest row, too."""
    widths = [sum(LANE if type(member) is tuple else WIDTH + ROOM for member in row) for row in rows]
    width = max([*widths, 600]) + 2 * ROOM
    places = {}
    for row, taken in zip(rows, widths, strict=True):
        x = (width - taken) / 2
        for member in row:
            places[member] = round(x)
            x += LANE if type(member) is tuple else WIDTH + ROOM
    return places, width


def _line(chain: list, places: dict, heights: list[int], level_of: dict) -> str:
    """Draw down through the gaps between rows, and straight along lanes within them."""
    source, item = chain[0], chain[-1]
    x, y = places[source] + WIDTH / 2, heights[level_of[source]] + HEIGHT
    parts = [f"M{x},{y}"]
    for lane in chain[1:-1]:
        to_x, to_y = places[lane] + LANE / 2, heights[level_of[lane]] - 2
        parts.append(f"C{x},{(y + to_y) / 2} {to_x},{(y + to_y) / 2} {to_x},{to_y} V{to_y + HEIGHT + 4}")
        x, y = to_x, to_y + HEIGHT + 4
    to_x, to_y = places[item] + WIDTH / 2, heights[level_of[item]]
    parts.append(f"C{x},{(y + to_y) / 2} {to_x},{(y + to_y) / 2} {to_x},{to_y}")
    return " ".join(parts)


def _box(item: Item, x: float, y: float, lineage: Lineage, is_marked: bool) -> str:
    kind = " ".join(filter(None, ("file" if item.is_file else "", "marked" if is_marked else "")))
    name = item.dataset.rpartition(".")[2] if not item.is_file else item.dataset
    return (
        f'<g class="{kind}"><title>{html.escape(lineage.describe(item))}</title>'
        f'<rect class="box" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x + 8}" y="{y + 17}">{html.escape(name[:24])}</text>'
        f'<text x="{x + 8}" y="{y + 32}" class="small">{html.escape(item.version[:24])}</text></g>'
    )
