"""Facts as lines of text."""


def whys(nodes: dict[str, dict]) -> list[str]:
    """Return a line for each node: its name, whether it ran or was reused, and why."""
    width = max(map(len, nodes), default=0)
    return [
        f"{name:<{width}}  {node['state']:<6}  {'; '.join(node['reasons'])}".rstrip()
        for name, node in nodes.items()
    ]


def aligned(rows: list[list[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
