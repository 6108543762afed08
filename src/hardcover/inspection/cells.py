"""How the cells of a column can read, and what stands for a missing one."""

from typing import NamedTuple

import numpy as np
import pandas as pd

# Cells that stand for a missing value everywhere, and those that may be a value where a column holds words: Namibia's NA.
ALWAYS_MISSING = ("", "?", "...", "#n/a", "#null!", "nan", "null", "n/a", "<na>")
MISSING_AMONG_NUMBERS = (*ALWAYS_MISSING, "na", "none", "-", "--", ".", "nil", "unknown")
# A reading holds when so large a share of the cells follows it; the others go into quarantine.
MIN_FOLLOWING = 0.95

_DAY, _CLOCK = r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}", r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?"
_MONTH = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[a-z]*"
# How cells can read, the first that holds for the column is taken. RE2's syntax, whole cells.
READINGS = {
    "bracketed list": r"(?s)\[.*\]|\{.*\}",
    "address": r"(https?|ftp)://\S+|www\.\S+|//\S+\.\S+",
    "compact date": r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "code with leading zeros": r"\d+",
    "code with an exponent": r"\d+[eE]\d+",
    "integer": r"[+-]?\d+",
    "number": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?",
    "iso date": rf"\d{{4}}[-/]\d{{2}}|\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}([T ]{_CLOCK})?(Z|[+-]\d{{2}}:?\d{{2}})?",
    "day and month": rf"{_DAY}([T ,]+{_CLOCK})?",
    "named month": rf"(\d{{1,2}}[- ])?{_MONTH}[-., ]+\d{{1,4}}(,? \d{{2,4}})?( {_CLOCK})?|\d{{4}}[- ]{_MONTH}([- ]\d{{1,2}})?|\d{{1,2}}[- ]{_MONTH}",
    "clock": _CLOCK,
    "thousands": r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?",
    "decimal comma": r"[+-]?\d{1,3}([. ]\d{3})*,\d+|[+-]?\d+,\d+",
    "embedded": r"[^\w\s]{0,3}\s*[+-]?\s*[$€£¥#]?\s*[+-]?\(?\d{1,3}([ ,.']?\d{2,3})*([.,]\d+)?\)?\s*([%°$€£]|[a-zA-Z/²³µ°\"]{1,10}\.?)?",
}
# Numbers that are written as people write them, and all that read as numbers.
WRITTEN = ("thousands", "decimal comma", "embedded")
PLAIN = {"integer", "number", *WRITTEN}
# Digits that are no number to reckon with, though they have a lowest and a highest.
DIGITS = {"compact date", "code with leading zeros"}
DATES = {"compact date", "iso date", "day and month", "named month"}


# Numbers that often stand for a missing one.
SENTINELS = (-99999, -9999, -999, -99, -9, -1, 99, 999, 9999, 99999)
# Of a column's values, the most frequent so many are looked at one by one.
SHOWN = 30


Stats = tuple[float, float, float, float]
NO_NUMBERS: Stats = (0.0, 0.0, 0.0, 0.0)


class Facts(NamedTuple):
    """What was counted of a column, before it has a role.

    Attributes
    ----------
    place
        Of the column in its table.
    reading
        How its cells read.
    missing
        Cells that stand for a missing value, with their counts.
    following
        How many cells follow each of `READINGS`.
    stats
        Mean, deviation, lowest and highest of its numbers.
    failing
        How many cells do not follow the reading.
    values
        The most frequent values with their counts.
    lengths
        Of its values the longest, mean and shortest length, and the mean number of blanks.
    """

    name: str
    place: int
    reading: str
    rows: int
    present: int
    missing: dict[str, int]
    distinct: int
    following: dict[str, int]
    stats: Stats
    sentinels: dict[str, int]
    failing: int
    values: list[tuple[str, int]]
    lengths: tuple[float, ...]


def is_missing(cells: pd.Series, stand_ins: tuple[str, ...] = ALWAYS_MISSING) -> np.ndarray:
    """Return where cells are missing or stand for a missing value, as bool."""
    return (cells.isna() | cells.str.lower().isin(stand_ins)).to_numpy()


def missing_in(reading: str) -> tuple[str, ...]:
    """Return the texts that stand for a missing value where cells read so: of words, fewer than of numbers."""
    return ALWAYS_MISSING if reading == "text" else MISSING_AMONG_NUMBERS


def as_number(cell: str, reading: str) -> str:
    """Return the SQL expression for a cell as a double, null where it is none."""
    if reading == "decimal comma":
        cell = f"replace(replace(replace({cell}, '.', ''), ' ', ''), ',', '.')"
    elif reading in {"thousands", "embedded"}:
        # (5) is how accountants write -5.
        cell = f"regexp_replace(regexp_replace(replace({cell}, ',', ''), '^\\D*\\((.*)\\)\\D*$', '-\\1'), '[^0-9.eE+-]|(\\D)$', '', 'g')"
    return f"try_cast({cell} as double)"


def to_numbers(cells: pd.Series, reading: str) -> np.ndarray:
    """Return cells as numbers, float64, NaN where a cell is none; as `as_number` casts them in SQL."""
    text = cells.fillna("").str.strip()
    if reading == "decimal comma":
        text = text.str.replace(r"[. ]", "", regex=True).str.replace(",", ".")
    elif reading in {"thousands", "embedded"}:
        text = text.str.replace(",", "").str.replace(r"^\D*\((.*)\)\D*$", r"-\1", regex=True)
        text = text.str.replace(r"[^0-9.eE+-]|\D$", "", regex=True)
    return pd.to_numeric(text, errors="coerce").to_numpy(float)


def listed(values: tuple[str, ...]) -> str:
    """Return texts as the inside of an SQL list."""
    return ", ".join(f"'{escaped(value)}'" for value in values)


def escaped(text: str) -> str:
    """Return a text as the inside of an SQL literal."""
    return text.replace("'", "''")
