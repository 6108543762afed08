"""Raw files of a case: read them as delivered, match their layout, convert their units.

A layout declares how one source writes the case's columns, in ``conf/base/parameters_<case>.yml``::

    plant_b:
      torque: {column: torque_lbft, unit: lbf.ft}
      machine: {column: Maschine, optional: true}
"""

import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hardcover import settings
from hardcover.errors import SourceError, closest, some
from hardcover.storage import digest
from hardcover.units import UNITS

_MAGIC = {b"PK": "a zip or Excel file", b"\x1f\x8b": "a gzip file", b"%PDF": "a PDF", b"\x89PNG": "a picture"}
# UTF-8 read as Latin-1 and saved again: a lead byte's letter, then a continuation byte's.
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\ufffd")
MOST_UNREADABLE = 0.5


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


def collect(paths: Iterable[str | Path]) -> tuple[pd.DataFrame, list[dict]]:
    """Read raw files one under the other, each keeping its own columns.

    Returns
    -------
    tuple
        The rows with two more columns, ``file`` and ``row`` (from 1), and for each file its name, SHA-256, rows and
        columns.

    Raises
    ------
    SourceError
        When a file cannot be read or is given twice.
    """
    tables, files = [], []
    for path in map(settings.from_project, paths):
        table = read_table(path)
        name = path.name
        if name in [file["name"] for file in files]:
            raise SourceError(f"two raw files are called {name!r}", str(path), "Rename one of them.")
        files.append(
            {"name": name, "sha256": digest(path), "rows": len(table), "columns": list(table.columns)}
        )
        tables.append(table.assign(file=name, row=np.arange(1, len(table) + 1)))
    return pd.concat(tables, ignore_index=True), files


def match_layout(file: dict, layouts: Mapping[str, dict]) -> str:
    """Name the layout whose columns the file has.

    Raises
    ------
    SourceError
        When no layout fits: names what the nearest one misses, and the closest names found.
    """
    missing = {
        name: [
            _column(rule)
            for rule in layout.values()
            if not _is_optional(rule) and _column(rule) not in file["columns"]
        ]
        for name, layout in layouts.items()
    }
    best = min(missing, key=lambda name: (len(missing[name]), name))
    if not missing[best]:
        # Of two that fit, the one that uses more of the file.
        fitting = [name for name in layouts if not missing[name]]
        return max(fitting, key=lambda name: len(present(layouts[name], file)))
    spare = [column for column in file["columns"] if column not in map(_column, layouts[best].values())]
    if 2 * len(missing[best]) > len(layouts[best]):
        raise SourceError(
            f"no layout fits: the nearest, {best!r}, lacks {len(missing[best])} of its {len(layouts[best])} columns; the file "
            f"has {some(map(repr, file['columns']), 12)}",
            file["name"],
            "Add a layout of it under 'layouts' in conf/local/, or in conf/base/ to share it; README.md shows one.",
        )
    found = [f"column {column!r} is missing{_nearest(column, spare)}" for column in missing[best]]
    raise SourceError(
        "; ".join(found[:10]) + (f"; and {len(found) - 10} more" if len(found) > 10 else ""),
        f"{file['name']}, read by layout {best!r}",
        "Rename it in the file, or map it under 'layouts' in conf/local/ (conf/base/ to share it).",
    )


def present(layout: dict, file: dict) -> dict:
    """Give the part of a layout whose columns the file has; only optional ones can be absent."""
    return {name: rule for name, rule in layout.items() if _column(rule) in file["columns"]}


def ignored(file: dict, layouts: Mapping[str, dict]) -> list[str]:
    """List the file's columns that its layout does not map."""
    mapped = {_column(rule) for rule in layouts[match_layout(file, layouts)].values()}
    return [column for column in file["columns"] if column not in mapped]


def _nearest(column: str, spare: list[str]) -> str:
    near = closest(column, spare)
    return f"; found {near!r}" if near else ""


def _column(rule: str | dict) -> str:
    return rule if isinstance(rule, str) else rule["column"]


def _is_optional(rule: str | dict) -> bool:
    return isinstance(rule, dict) and rule.get("optional", False)


def convert(
    table: pd.DataFrame, layout: dict, units: Mapping[str, str], where: str
) -> tuple[pd.DataFrame, pd.Series]:
    """Rename a file's columns and convert numbers to the schema's units.

    Parameters
    ----------
    table
        Rows of one file, as text.
    layout
        The case's column -> the file's column, or ``{column, unit}`` for a measured one.
    units
        The case's measured columns -> the schema's unit.
    where
        The file and layout, for messages.

    Returns
    -------
    tuple
        The converted columns, and for each row what could not be read: ``"torque 'n/a' is not a number"``, or "".

    Raises
    ------
    SourceError
        When a unit is unknown or most values of a column are no numbers.
    """
    converted, unreadable = {}, pd.Series("", index=table.index, dtype="str")
    for name, rule in layout.items():
        texts = table[_column(rule)]
        if name not in units:
            converted[name] = texts
            continue
        factor, offset = _conversion(rule, name, units[name], where)
        numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
        wrong = numbers.isna() & texts.notna()
        given = int(texts.notna().sum())
        if given and wrong.sum() > MOST_UNREADABLE * given:
            raise SourceError(
                f"column {_column(rule)!r} is not numeric: {int(wrong.sum())} of {given} values, such as "
                f"{some([repr(text) for text in texts[wrong].head(3)])}",
                where,
                "Deliver numbers, or map another column under 'layouts' in conf/local/ (conf/base/ to share it).",
            )
        notes = name + " " + texts[wrong].map(repr) + " is not a number; "
        unreadable.loc[wrong] = unreadable.loc[wrong] + notes
        converted[name] = numbers * factor + offset if offset else numbers * factor
    return pd.DataFrame(converted, index=table.index), unreadable.str.removesuffix("; ")


def _conversion(rule: str | dict, name: str, unit: str, where: str) -> tuple[float, float]:
    given = unit if isinstance(rule, str) else rule.get("unit", unit)
    if given not in UNITS or UNITS[given][0] != unit:
        known = [other for other, (target, *_) in UNITS.items() if target == unit]
        raise SourceError(
            f"unit {given!r} of {name!r} cannot become {unit!r}",
            where,
            f"Use one of {some(known)} in conf/base/.",
        )
    return UNITS[given][1:]
