"""The dialect of a text table: encoding, delimiter, quotes, header, and what stands before and after the rows.

The measure by which candidates are compared is the consistency measure of G. van den Burg et al., "Wrangling messy CSV
files by detecting row and type patterns", 2019: how regular the rows are, times how many cells are of a known type.
"""

import codecs
import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hardcover.errors import SourceError

SAMPLE_BYTES, SAMPLE_LINES = 1_000_000, 2_000
DELIMITERS = (",", ";", "\t", "|", " ")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# What other files begin with, so that none of them is read as a damaged table.
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"\x89PNG": "PNG",
    b"\x7fELF": "program",
    b"\xd0\xcf\x11\xe0": "old Excel",
    b"SQLite format 3": "SQLite",
}
_KINDS = {
    "number": re.compile(r"[+-]?[$€£]?[+-]?(\d+|\d{1,3}([,.' ]\d{3})+)([.,]\d+)?([eE][+-]?\d+)?\s?[%$€£]?"),
    "date": re.compile(
        r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}[- ][A-Za-z]{3}[- ]\d{2,4}"
    ),
    "time": re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?"),
    "moment": re.compile(r"\d[\d/.-]{7,9}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?"),
    "address": re.compile(r"https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+"),
}
_WORDS = re.compile(r"[^\W_][\w .,'&/()%°#:+*!?-]*")


class Dialect(NamedTuple):
    """How a file writes its table.

    Attributes
    ----------
    encoding
        A name that Python knows.
    delimiter, quote, escape
        One character each; ``escape`` is the quote itself where it is doubled.
    blanks
        Whether blanks after a delimiter belong to it.
    before, header
        Lines before the header, and lines of the header: 0 without one, 2 or more where it is stacked.
    columns
        Cells of most rows.
    kinds
        For each column `kind_of` its cells, or None where they are words or mixed.
    """

    encoding: str
    delimiter: str
    quote: str = '"'
    escape: str = '"'
    blanks: bool = False
    before: int = 0
    header: int = 1
    columns: int = 1
    kinds: tuple[str | None, ...] = ()

    def fits(self, cells: Sequence[str]) -> bool:
        """Tell whether every cell is empty or of its column's kind."""
        return all(
            kind is None or not cell.strip() or kind_of(cell) == kind
            for cell, kind in zip(cells, self.kinds, strict=True)
        )

    def options(self) -> dict:
        """Return what `csv.reader` needs to read it."""
        doubled = self.escape == self.quote
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "doublequote": doubled,
            "escapechar": None if doubled else self.escape,
            "skipinitialspace": self.blanks,
        }


def encoding_of(head: bytes, where: str) -> str:
    """Return the encoding of a text.

    Raises
    ------
    SourceError
        If it is no text; what it is, is said where it can be told.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise SourceError(
                f"a {kind} file, not a table of text", where, "Export the table as CSV or Parquet."
            )
    if head.count(0) > len(head) // 4:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > 4 * min(even, odd):
            return "utf-16-le" if odd > even else "utf-16-be"
    if sum(byte < 9 or 13 < byte < 32 for byte in head) > len(head) // 50:
        raise SourceError("not a table of text", where, "Export the table as CSV, Excel or Parquet.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _single_byte(head)
    return "utf-8"


def _single_byte(head: bytes) -> str:
    import charset_normalizer

    best = charset_normalizer.from_bytes(head[:100_000]).best()
    # Without a reason for another, what Western spreadsheets write; it has no undefined bytes in latin-1.
    guess = best.encoding if best else "cp1252"
    try:
        head.decode(guess)
    except (UnicodeDecodeError, LookupError):
        return "latin-1"
    return guess


def sniff(text: str, encoding: str) -> Dialect:
    """Return the dialect of a text that holds at least one line with something in it."""
    lines = [line for line in text.splitlines() if line.strip()][:SAMPLE_LINES]
    sample = "\n".join(lines)
    found = max(
        (_candidate(lines, sample, delimiter, encoding) for delimiter in DELIMITERS), key=lambda pair: pair[0]
    )[1]
    rows = list(csv.reader(lines, strict=False, **found.options()))
    before = _before(rows, found.columns)
    body = [row for row in rows[before + 1 :] if len(row) == found.columns]
    kinds = tuple(_kind_of_column([row[place] for row in body]) for place in range(found.columns))
    return found._replace(before=before, header=_header_lines(rows[before:], body, kinds), kinds=kinds)


def _candidate(lines: list[str], sample: str, delimiter: str, encoding: str) -> tuple[float, Dialect]:
    quote = _quote(sample, delimiter)
    escaped, doubled = (
        sample.count("\\" + quote),
        len(re.findall(f"[^{quote}\\n]{quote}{quote}[^{quote}\\n]", sample)),
    )
    escaped -= len(re.findall(rf"\\{quote}(?=\s*({re.escape(delimiter)}|$))", sample, re.M)) if doubled else 0
    blanks = delimiter == " " or (
        delimiter not in "\t" and sample.count(delimiter + " ") > 0.9 * sample.count(delimiter) > 0
    )
    dialect = Dialect(encoding, delimiter, quote, "\\" if escaped > doubled else quote, blanks)
    rows = list(csv.reader(lines, strict=False, **dialect.options()))
    counts = Counter(map(len, rows))
    regular = sum(count * (cells - 1) / cells for cells, count in counts.items() if cells) / len(counts)
    cells = [cell.strip() for row in rows for cell in row]
    known = sum(1.0 if not cell or kind_of(cell) else 0.7 if _WORDS.fullmatch(cell) else 0 for cell in cells)
    # One column is what is left when no delimiter makes a table.
    score = max(regular, 1e-3) * known / max(len(cells), 1) * (0.5 if delimiter == " " else 1)
    wide = {cells: count for cells, count in counts.items() if cells > 1}
    columns = max(wide, key=wide.__getitem__) if wide and sum(wide.values()) > len(rows) / 2 else 1
    return score, dialect._replace(columns=columns)


def _quote(sample: str, delimiter: str) -> str:
    edge = re.escape(delimiter)
    found = {
        quote: len(re.findall(rf"(?:^|{edge}) ?{quote}[^{quote}\n]*{quote}(?={edge}|$)", sample, re.M))
        for quote in ('"', "'")
    }
    return "'" if found["'"] > found['"'] else '"'


def kind_of(cell: str) -> str | None:
    """Return the kind of a cell that is more than words, such as ``number`` or ``date``; None for any other text.

    Examples
    --------
    >>> kind_of("$1,234.50"), kind_of("28/01/2018"), kind_of("boots")
    ('number', 'date', None)
    """
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(cell.strip())), None)


def _before(rows: Sequence[Sequence[str]], columns: int) -> int:
    """Count the rows above the header: notes, which fill one cell of many, and rows of another length."""
    for number, row in enumerate(rows):
        filled = sum(bool(cell.strip()) for cell in row)
        if columns < 3 or (filled > 1 and (len(row) == columns or filled > columns / 2)):
            return number
    return 0


def _header_lines(
    rows: Sequence[Sequence[str]], body: Sequence[Sequence[str]], kinds: Sequence[str | None]
) -> int:
    """Count the lines of the header by what sets it apart: words where its columns hold numbers or dates."""
    columns = len(kinds)
    if not body:
        return 0 if any(kind_of(cell) for cell in rows[0]) else 1
    typed = [place for place, kind in enumerate(kinds) if kind]
    lines = 0
    for row in rows[:4]:
        cells = [cell.strip() for cell in row]
        filled = [place for place in typed if place < len(cells) and cells[place]]
        alike = [cells[place] for place in filled if kind_of(cells[place]) == kinds[place]]
        # A name may be a number; a row is of the kinds of its columns.
        if len(cells) < columns or (2 * len(alike) >= max(len(filled), 1) and not _are_years(alike)):
            break
        if not typed:
            # Words above words: a header, unless its own words come again below.
            again = sum(
                cells[place] in {line[place].strip() for line in body}
                for place in range(columns)
                if cells[place]
            )
            return 0 if again > columns / 4 else 1
        lines += 1
        # Numbers may be names too, such as years; a second line of them is a row.
        if all(not cells[place] for place in typed):
            break
    else:
        return 1
    return lines


def _are_years(cells: list[str]) -> bool:
    """Tell whether numbers are the names of columns: years, each one later or earlier than the last."""
    if len(cells) < 2 or not all(re.fullmatch(r"(1[89]|20)\d\d", cell) for cell in cells):
        return False
    return {int(later) - int(earlier) for earlier, later in itertools.pairwise(cells)} in (
        {1},
        {-1},
    )


def _kind_of_column(cells: list[str]) -> str | None:
    filled = [cell for cell in cells if cell.strip()]
    found = Counter(kind_of(cell) for cell in filled)
    kind, count = found.most_common(1)[0] if found else (None, 0)
    return kind if count > 0.7 * len(filled) else None
