"""Cells as people write them, made into cells that a schema reads: numbers with a point, days as year-month-day, one kind of missing."""

import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hardcover.errors import SourceError, UnknownName
from hardcover.ingest import raw_files
from hardcover.inspection import reading
from hardcover.inspection.cells import MISSING_AMONG_NUMBERS, WRITTEN, is_missing, to_numbers

NUMBERS = ("number", *WRITTEN)
# How pandas reads the days of a column; the order of day and month is never guessed cell by cell.
DAYS: dict[str, dict] = {
    "day first": {"dayfirst": True, "format": "mixed"},
    "month first": {"dayfirst": False, "format": "mixed"},
    "iso date": {"format": "ISO8601"},
    "compact date": {"format": "%Y%m%d"},
    "named month": {"format": "mixed", "dayfirst": True},
}


def read_any(files: Iterable[str | Path]) -> tuple[pd.DataFrame, dict]:
    """Read raw files of one table in any dialect, as ``hardcover inspect`` does: every cell as text, without blanks around it.

    Returns
    -------
    tuple
        As `ingest.read_raw` returns them: the rows with ``source_file`` and ``source_row``, the line of the file; and the source,
        whose ``left_out`` has the first lines that were no rows.

    Raises
    ------
    DataError
        When no file is named.
    SourceError
        When a file cannot be read, holds no rows, or is given twice.
    """
    left_out: list[dict] = []

    def read(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
        table = reading.read([path])
        if not table.rows:
            raise SourceError("the raw file has a header and no rows", str(path), "Deliver it again.")
        cells = ", ".join(f"trim(c{place}) as c{place}" for place in range(len(table.columns)))
        rows = table.connection.execute(f"select {cells}, line from cells order by line").df()
        lines = rows.pop("line").to_numpy()
        rows.columns = table.columns
        left_out.extend(line._asdict() for line in table.quarantine)
        return rows.astype("str").mask(lambda cells: cells.isna() | (cells == "")), lines

    raw, source = raw_files.collect(files, read)
    return raw, {**source, "left_out": left_out}


def plain(raw: pd.DataFrame, reads: Mapping[str, str | Mapping]) -> pd.DataFrame:
    """Return raw rows with plain cells, still as text; a cell that does not follow its column stays as it is, to be refused.

    Parameters
    ----------
    raw
        Rows as text, as `read_any` returns them.
    reads
        How a column's cells read: one of `NUMBERS` or `DAYS`, or for a flag or a category the plain text of each of its
        cells, such as ``{"yes": "1", "no": "0"}``. Columns that are not named stay as they are.

    Raises
    ------
    UnknownName
        When there is no such way to read.
    """
    made = raw.copy()
    for name, how in reads.items():
        if name not in raw:
            continue
        cells = raw[name].str.strip()
        if isinstance(how, Mapping):
            made[name] = cells.map(lambda cell, known=how: known.get(cell, cell), na_action="ignore")
            continue
        if how not in (*NUMBERS, *DAYS):
            raise UnknownName("way to read", how, (*NUMBERS, *DAYS), f"column {name!r}")
        cells = cells.mask(is_missing(cells, MISSING_AMONG_NUMBERS))
        made[name] = _as_days(cells, how) if how in DAYS else _as_numbers(cells, how)
    return made


def without(raw: pd.DataFrame, sentinels: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Return raw rows where the numbers that stand for a missing one, such as -999, are missing, by column."""
    made = raw.copy()
    for name, values in sentinels.items():
        numbers = pd.to_numeric(made[name], errors="coerce")
        made[name] = made[name].mask(numbers.isin([float(value) for value in values]))
    return made


def _as_numbers(cells: pd.Series, how: str) -> pd.Series:
    if how == "number":
        return cells
    numbers = to_numbers(cells, how)
    # The shortest text that reads as the same number.
    text = pd.Series([repr(number) for number in numbers.tolist()], index=cells.index, dtype="str")
    return text.where(np.isfinite(numbers), cells)


def _as_days(cells: pd.Series, how: str) -> pd.Series:
    days = pd.to_datetime(cells, errors="coerce", **DAYS[how])
    return days.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").astype("str").where(days.notna(), cells)


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """Return a column's name as an identifier of letters, digits and underscores that is not taken.

    Examples
    --------
    >>> identifier("Air temperature [K]"), identifier("2019"), identifier("a b", ["a_b"])
    ('air_temperature_k', 'c_2019', 'a_b_2')
    """
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", ascii_only)
    plain_name = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_") or "column"
    if plain_name[0].isdigit() or keyword.iskeyword(plain_name):
        plain_name = f"c_{plain_name}"
    found, number, known = plain_name, 1, set(taken)
    while found in known:
        number += 1
        found = f"{plain_name}_{number}"
    return found
