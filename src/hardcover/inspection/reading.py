"""Files of any format and dialect, read as tables of text."""

import gzip
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from hardcover.errors import SourceError, some
from hardcover.inspection import dialect as dialects
from hardcover.inspection.dialect import Dialect
from hardcover.inspection.records import Records, lines
from hardcover.inspection.table import Table, append, names_of, store

# Above this many bytes DuckDB reads what it can take as it stands; above the second, a sample of the rows.
LARGE, HUGE, SAMPLE_ROWS = 32_000_000, 1_000_000_000, 1_000_000
FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".xlsx": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
}


def read(files: Sequence[Path | str]) -> Table:
    """Read files of one table; columns are matched by name.

    Raises
    ------
    SourceError
        If a file is missing, a folder, unreadable, empty or no table.
    """
    table = Table()
    for number, file in enumerate(map(Path, files)):
        names, part = _read_one(table, file, f"part{number}")
        append(table, names, part, file)
    (table.rows,) = table.connection.execute("select count(*) from cells").fetchone() or (0,)
    return table


def _read_one(table: Table, file: Path, part: str) -> tuple[list[str], str]:
    where = str(file)
    try:
        if file.is_dir():
            raise SourceError("a folder, not a file", where, f"Name its files, such as {file / '*.csv'}.")
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(4)
    except FileNotFoundError:
        near = (
            some(sorted(other.name for other in file.parent.glob(f"*{file.suffix}")))
            if file.parent.is_dir()
            else ""
        )
        fix = f"Beside it: {near}." if near else "Check the path."
        if re.match(r"[A-Za-z]:\\|\\\\", where):
            fix = "A path of Windows is none here; under WSL, C:\\data is /mnt/c/data."
        raise SourceError("there is no such file", where, fix) from None
    except OSError as error:
        raise SourceError(f"the file cannot be read: {error.strerror}", where) from error
    suffixes = [suffix.lower() for suffix in file.suffixes]
    packed = head.startswith(b"\x1f\x8b")
    kind = FORMATS.get(next((s for s in reversed(suffixes) if s != ".gz"), ""), "text")
    kind = "parquet" if head == b"PAR1" else kind
    facts = {"file": file.name, "format": kind, "bytes": size}
    table.files.append(facts)
    try:
        if kind in {"parquet", "json"}:
            return _read_typed(table, file, kind, part)
        if kind == "excel":
            return _read_excel(table, file, part)
        return _read_text(table, file, part, facts, packed)
    except (duckdb.Error, EOFError, gzip.BadGzipFile) as error:
        raise SourceError(f"the {kind} file cannot be read: {str(error).splitlines()[0]}", where) from error


def _read_typed(table: Table, file: Path, kind: str, part: str) -> tuple[list[str], str]:
    connection = table.connection
    source = (
        "read_parquet($1)"
        if kind == "parquet"
        else "read_json_auto($1, sample_size = -1, maximum_object_size = 67108864)"
    )
    described = connection.execute(f"describe select * from {source}", [str(file)]).fetchall()
    names = names_of(table, [name for name, *_ in described], file)
    cells = ", ".join(
        f"{_as_text(_quoted(name), declared)} as c{place}"
        for place, (name, declared, *_) in enumerate(described)
    )
    limit = f"limit {SAMPLE_ROWS}" if file.stat().st_size > HUGE else ""
    if limit:
        table.warnings.append(
            f"{file.name} is larger than memory allows: its first {SAMPLE_ROWS:,} rows were read"
        )
    connection.execute(
        f"create table {part} as select {cells}, row_number() over () as line from {source} {limit}",
        [str(file)],
    )
    return names, part


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_text(name: str, kind: str) -> str:
    if kind.endswith("[]") or kind.startswith(("STRUCT", "MAP")):
        return f"cast(to_json({name}) as varchar)"
    return f"cast({name} as varchar)"


def _read_excel(table: Table, file: Path, part: str) -> tuple[list[str], str]:
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_path(file)
    except python_calamine.CalamineError as error:
        raise SourceError(f"the Excel file cannot be read: {error}", str(file)) from error
    sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    filled = [name for name, rows in sheets.items() if rows]
    if not filled:
        raise SourceError("the workbook is empty", str(file))
    if len(filled) > 1:
        table.warnings.append(f"{file.name} has the sheets {some(filled)}; {filled[0]!r} was read")
    rows = [[_excel_text(cell) for cell in row] for row in sheets[filled[0]]]
    width = max(map(len, rows))
    begin = next((number for number, row in enumerate(rows) if sum(map(bool, row)) > width / 2), 0)
    names = names_of(table, rows[begin], file)
    numbered = ((begin + 2 + number, row) for number, row in enumerate(rows[begin + 1 :]) if any(row))
    store(table, part, len(names), numbered)
    return names, part


def _excel_text(cell: Any) -> str:
    # A workbook has no whole numbers; 3.0 was typed as 3.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).replace(" 00:00:00", "") if cell is not None else ""


def _read_text(table: Table, file: Path, part: str, facts: dict, packed: bool) -> tuple[list[str], str]:
    opened = gzip.open if packed else open
    with opened(file, "rb") as stream:
        head = stream.read(dialects.SAMPLE_BYTES)
    encoding = dialects.encoding_of(head, str(file))
    text = _decoded(head, encoding)
    if not text.strip():
        raise SourceError("the file is empty", str(file), "Export it again, with a line of column names.")
    found = dialects.sniff(text, encoding)
    facts |= {
        "encoding": encoding,
        "delimiter": found.delimiter,
        "quote": found.quote,
        "escape": found.escape,
        "header": found.header,
    }
    if "�" in text or re.search("Ã[\x80-\xbf¤¶¼Ÿ©¨]|â€", text):
        table.warnings.append(
            f"{file.name} holds letters that were damaged before (such as 'Ã©' for 'é'); export it again as UTF-8"
        )
    numbered = _lines(file, opened, encoding)
    rows = Records(file.name, found)
    top = rows.header(numbered)
    if found.before:
        table.warnings.append(f"{file.name}: {lines(found.before)} before the header passed over")
    names = names_of(table, top, file) if top else [f"column_{place + 1}" for place in range(found.columns)]
    if not top:
        table.warnings.append(f"{file.name} has no header; columns are named by their place")
    size = file.stat().st_size
    if (
        size > LARGE
        and not packed
        and encoding in {"utf-8", "utf-8-sig"}
        and _by_duckdb(table, file, part, found, size)
    ):
        return names, part
    store(table, part, len(names), rows.read(numbered))
    table.warnings += rows.warnings()
    table.quarantine += rows.left_out
    table.left_out += sum(rows.lengths.values())
    return names, part


def _decoded(head: bytes, encoding: str) -> str:
    # The last letter may be cut in two.
    return head.decode(encoding, errors="ignore")


def _lines(file: Path, opened: Any, encoding: str) -> Iterator[tuple[int, str]]:
    with opened(file, "rb") as raw, io.TextIOWrapper(raw, encoding=encoding, errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            yield number, line.rstrip("\n").replace("\0", "")


def _by_duckdb(table: Table, file: Path, part: str, found: Dialect, size: int) -> bool:
    """Let DuckDB read a file that it can take whole; False if any line does not fit."""
    if found.blanks or found.columns == 1 or found.escape != found.quote:
        return False
    places = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(found.columns))
    sample = f"using sample reservoir({SAMPLE_ROWS} rows) repeatable (0)" if size > HUGE else ""
    try:
        table.connection.execute(
            f"""create table {part} as select *, row_number() over () + {found.before + found.header} as line from read_csv(
            $file, auto_detect = false, columns = {{{places}}}, header = false, skip = {found.before + found.header},
            delim = $delimiter, quote = $quote, escape = $escape, strict_mode = true) {sample}""",
            {"file": str(file), "delimiter": found.delimiter, "quote": found.quote, "escape": found.escape},
        )
    except duckdb.Error:
        table.connection.execute(f"drop table if exists {part}")
        return False
    if sample:
        table.warnings.append(
            f"{file.name} is {size / 1e9:.1f} GB: {SAMPLE_ROWS:,} rows drawn at random were read"
        )
    return True
