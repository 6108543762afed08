"""Raw files, read as delivered: every value as text."""

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from hardcover import settings
from hardcover.errors import DataError, SourceError, closest, some
from hardcover.store.disk import digest

_MAGIC = {b"PK": "a zip or Excel file", b"\x1f\x8b": "a gzip file", b"%PDF": "a PDF", b"\x89PNG": "a picture"}
# Columns that are added to the rows, to find them again.
FILE, ROW = "source_file", "source_row"
# UTF-8 read as Latin-1 and saved again: a lead byte's letter, then a continuation byte's.
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\ufffd")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV or Parquet file as delivered: every value as text, missing as NA.

    Parameters
    ----------
    path
        A UTF-8 CSV file separated by comma, semicolon or tab, or a Parquet file; told apart by content.

    Returns
    -------
    pandas.DataFrame
        Columns of dtype ``str``, at least one row.

    Raises
    ------
    SourceError
        When the file is absent, empty, has no rows, is of another kind or is not clean UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        near = (
            closest(path.name, [other.name for other in path.parent.iterdir()])
            if path.parent.is_dir()
            else None
        )
        hint = f"Did you mean {near!r}?" if near and near != path.name else "Check --data."
        raise SourceError(f"the raw file {str(path)!r} {kind}", "", hint)
    content = path.read_bytes()
    if not content.strip():
        raise SourceError("the raw file is empty", str(path), "Deliver it again.")
    table = _parquet(content, path) if content[:4] == b"PAR1" else _csv(content, path)
    if not len(table):
        raise SourceError("the raw file has a header and no rows", str(path), "Deliver it again.")
    repeated = table.columns[table.columns.duplicated()].tolist()
    if repeated:
        raise SourceError(f"columns come twice: {some(repeated)}", str(path), "Rename one of each.")
    return table


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        columns = {name: table[name].cast(pa.string()) for name in table.column_names}
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"cannot read Parquet: {str(error)[:200]}", str(path), "Deliver it again."
        ) from error
    return pa.table(columns).to_pandas().astype("str")


def _csv(content: bytes, path: Path) -> pd.DataFrame:
    for magic, kind in _MAGIC.items():
        if content.startswith(magic):
            raise SourceError(f"the raw file is {kind}, not CSV or Parquet", str(path), "Export it as CSV.")
    fix = "Save the file as UTF-8."
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.start + 4]
        raise SourceError(f"the raw file is not UTF-8: {found!r}", f"{path}, line {line}", fix) from error
    if "\0" in text:
        raise SourceError("the raw file is binary, not CSV or Parquet", str(path), "Export it as CSV.")
    broken = _MOJIBAKE.search(text)
    if broken:
        line = text.count("\n", 0, broken.start()) + 1
        sample = text[max(0, broken.start() - 12) : broken.end() + 3].strip()
        raise SourceError(f"the raw file has mojibake: {sample!r}", f"{path}, line {line}", fix)
    header = text.lstrip().partition("\n")[0]
    separator = max(",;\t", key=header.count)
    if separator not in header or header.lstrip().startswith(("{", "[", "<")):
        raise SourceError(
            f"the raw file is not CSV or Parquet: its first line is {header[:60]!r}",
            str(path),
            "Export it as CSV.",
        )
    try:
        # The header alone first: pandas renames repeated columns.
        names = (
            pd.read_csv(io.StringIO(header), sep=separator, header=None, dtype="str")
            .iloc[0]
            .astype("str")
            .tolist()
        )
        body = io.StringIO(text.lstrip().partition("\n")[2])
        table = pd.read_csv(
            body,
            sep=separator,
            header=None,
            dtype="str",
            keep_default_na=False,
            na_values=[""],
            index_col=False,
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=names)
    except pd.errors.ParserError as error:
        raise SourceError(
            f"a line has too many fields: {error}", str(path), "Quote values with separators."
        ) from error
    if table.shape[1] != len(names):
        what = f"the header has {len(names)} columns, the rows have {table.shape[1]}"
        raise SourceError(what, str(path), "Quote values with separators.")
    table.columns = names
    return table


def numbered(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of a file as `read_table` reads them, and their numbers from 1."""
    table = read_table(path)
    return table, np.arange(1, len(table) + 1)


def collect(
    paths: Iterable[str | Path], read: Callable[[Path], tuple[pd.DataFrame, np.ndarray]] = numbered
) -> tuple[pd.DataFrame, dict]:
    """Read raw files one under the other, each keeping its own columns.

    Parameters
    ----------
    read
        What returns a file's rows as text, and for each row the number by which it is found in the file.

    Returns
    -------
    tuple
        The rows with two more columns, ``FILE`` and ``ROW``, and the source: its ``kind``, a ``description``, and of each of the
        ``files`` its name, SHA-256, rows and columns.

    Raises
    ------
    DataError
        When no file is named.
    SourceError
        When a file cannot be read or is given twice.
    """
    tables: list[pd.DataFrame] = []
    files: list[dict] = []
    for path in map(settings.from_project, paths):
        table, numbers = read(path)
        name = path.name
        if name in [file["name"] for file in files]:
            raise SourceError(f"two raw files are called {name!r}", str(path), "Rename one of them.")
        files.append(
            {"name": name, "sha256": digest(path), "rows": len(table), "columns": list(table.columns)}
        )
        tables.append(table.assign(**{FILE: name, ROW: numbers}))
    if not tables:
        fix = "Name raw files with --data, or as 'files' in conf/base/."
        raise DataError("there is nothing to read", "parameter files", fix)
    description = "file: " + ", ".join(f"{file['name']} (sha256 {file['sha256'][:12]})" for file in files)
    return pd.concat(tables, ignore_index=True), {"kind": "file", "description": description, "files": files}
