"""A table of text, in DuckDB: nothing is cast before each column was looked at as it stands in the file."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hardcover.errors import SourceError, some
from hardcover.inspection.records import Line

CHUNK = 50_000


class Table:
    """Rows as text, with the files that they came from.

    Attributes
    ----------
    connection
        DuckDB's; its table ``cells`` has a text column ``c0``, ``c1``, ... for each of ``columns``, and ``line``.
    columns
        Names, all different and none empty.
    rows
        How many there are.
    files
        Facts of each: ``file``, ``format``, ``bytes``, and of a text ``encoding``, ``delimiter``, ``quote``, ``escape``, ``header``.
    quarantine
        The first lines that did not become rows; ``left_out`` counts them all.
    warnings
        Sentences on what was changed or guessed while reading.
    """

    def __init__(self) -> None:
        # What does not fit into memory goes where temporary files go, not into the working directory.
        self.connection = duckdb.connect(
            config={"temp_directory": str(Path(tempfile.gettempdir()) / "hardcover")}
        )
        # Two threads keep memory low, and answers do not depend on how many there are.
        self.connection.execute("set threads = 2; set preserve_insertion_order = true")
        self.columns: list[str] = []
        self.rows = self.left_out = 0
        self.files: list[dict[str, Any]] = []
        self.quarantine: list[Line] = []
        self.warnings: list[str] = []


def append(table: Table, names: list[str], part: str, file: Path) -> None:
    """Put one file's rows below those before it."""
    connection = table.connection
    if not table.columns:
        table.columns = names
        connection.execute(f"alter table {part} rename to cells")
        return
    new = [name for name in names if name not in table.columns]
    missing = [name for name in table.columns if name not in names]
    if len(new) == len(names):
        raise SourceError(
            f"no column in common with {table.files[0]['file']}",
            str(file),
            "Inspect files of different tables apart.",
        )
    if new or missing:
        parts = [f"lacks {some(missing)}"] if missing else []
        parts += [f"adds {some(new)}"] if new else []
        table.warnings.append(f"{file.name} {' and '.join(parts)}")
    for name in new:
        connection.execute(f"alter table cells add column c{len(table.columns)} varchar")
        table.columns.append(name)
    places = {name: f"c{place}" for place, name in enumerate(names)}
    cells = ", ".join(places.get(name, "null") + f" as c{place}" for place, name in enumerate(table.columns))
    (last,) = connection.execute("select coalesce(max(line), 0) from cells").fetchone() or (0,)
    connection.execute(f"insert into cells by name select {cells}, line + {last} as line from {part}")
    connection.execute(f"drop table {part}")


def store(table: Table, part: str, width: int, rows: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Put rows, each with the number of its line, into a table ``part`` of the connection."""
    columns = ", ".join([*(f"c{place} varchar" for place in range(width)), "line bigint"])
    table.connection.execute(f"create table {part} ({columns})")
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, CHUNK)):
        cells = zip(*(row for _, row in chunk), strict=True)
        arrays = {f"c{place}": pa.array(column, pa.string()) for place, column in enumerate(cells)}
        arrays["line"] = pa.array([line for line, _ in chunk], pa.int64())
        # DuckDB finds the table by the name of the variable.
        chunk_of_cells = pa.table(arrays)
        table.connection.register("chunk_of_cells", chunk_of_cells)
        table.connection.execute(f"insert into {part} select * from chunk_of_cells")
        table.connection.unregister("chunk_of_cells")


def names_of(table: Table, given: Sequence[str], file: Path) -> list[str]:
    """Return a name for each column, all different and none empty; what was changed is warned of."""
    names: dict[str, None] = {}
    again: Counter[str] = Counter()
    for place, name in enumerate(given):
        clean = " ".join(name.split()) or f"column_{place + 1}"
        if not name.strip():
            table.warnings.append(f"{file.name}: column {place + 1} has no name and is called {clean}")
        first = clean
        while clean in names:
            again[first] += 1
            clean = f"{first}_{again[first] + 1}"
        if clean != first:
            table.warnings.append(f"{file.name} has two columns {first!r}; the later one is {clean}")
        names[clean] = None
    return list(names)
