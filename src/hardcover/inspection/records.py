"""The records of a text: lines that fit as they are, lines that fit in one reading only, and lines that are left out."""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from hardcover.inspection.dialect import Dialect

MAX_KEPT_LINES, MAX_JOINED_LINES = 1_000, 100


class Line(NamedTuple):
    """A line that did not become a row: the file, its number from 1, why, and its beginning."""

    file: str
    line: int
    reason: str
    text: str


class Records:
    """The records of a text; a line that does not fit is mended where only one reading fits, or left out with its reason."""

    def __init__(self, file: str, found: Dialect):
        self.file, self.dialect = file, found
        self.left_out: list[Line] = []
        self.mended = self.repeated = 0
        self.lengths: Counter[int] = Counter()
        self._top: list[str] = []
        delimiter, quote = re.escape(found.delimiter), found.quote
        cell = rf" *{quote}(?:[^{quote}]|{quote}{quote}|\\.)*{quote} *|[^{quote}{delimiter}]*"
        self._rfc = re.compile(rf"(?:{cell})(?:{delimiter}(?:{cell}))*", re.S)

    def header(self, lines: Iterator[tuple[int, str]]) -> list[str]:
        """Read up to the end of the header; returns its names, stacked lines joined by a blank."""
        filled = (line for _, line in lines if line.strip())
        for _ in range(self.dialect.before):
            next(filled)
        tops = [
            next(csv.reader([next(filled)], **self.dialect.options())) for _ in range(self.dialect.header)
        ]
        if not tops:
            return []
        width = self.dialect.columns
        tops = [(row + [""] * width)[: max(width, 1)] for row in tops]
        self._top = tops[-1]
        return [" ".join(filter(None, parts)) for parts in zip(*tops, strict=True)]

    def read(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
        """Return each record with the number of its first line."""
        for line, cells in self._records(lines):
            if self._top and cells == self._top:
                self.repeated += 1
                continue
            yield line, cells

    def warnings(self) -> Iterator[str]:
        """Return what was mended, repeated or left out, in sentences."""
        if any(self.dialect.quote in name for name in self._top):
            yield f"{self.file}: a stray quote in the header is part of a name"
        if self.mended:
            yield (f"{self.file}: {lines(self.mended)} read with a stray quote as a letter")
        if self.repeated:
            yield (f"{self.file}: the header again in {lines(self.repeated)}; the rows below were kept")
        if self.lengths:
            (cells, count), *_ = self.lengths.most_common(1)
            total = sum(self.lengths.values())
            second = "; perhaps a second table" if count > 10 and count > 0.9 * total else ""
            yield (
                f"{self.file}: {lines(total)} left out for not having {self.dialect.columns} cells ({count} with {cells}{second})"
            )

    def _records(self, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
        ahead: list[tuple[int, str]] = []
        width = self.dialect.columns
        while True:
            number, line = ahead.pop(0) if ahead else next(lines, (0, ""))
            if not number:
                return
            if not line.strip():
                continue
            cells = self._strict(line)
            if cells is None or len(cells) != width or self._shifted(line, cells):
                cells = self._joined(line, lines, ahead) or self._fitted(line, cells)
            if cells is None:
                found = next(csv.reader([line], **self.dialect.options()))
                self.lengths[len(found)] += 1
                wrong = f"{len(found)} cells, not {width}" if len(found) != width else "a stray quote"
                if len(self.left_out) < MAX_KEPT_LINES:
                    self.left_out.append(Line(self.file, number, wrong, line[:200]))
                continue
            yield number, cells

    def _shifted(self, line: str, cells: list[str]) -> bool:
        """Tell whether quotes within cells without quotes around them, which RFC 4180 forbids, may have hidden a delimiter."""
        quote = self.dialect.quote
        if not any(quote in cell for cell in cells) or self._rfc.fullmatch(line):
            return False
        return sum(cell.count(quote) % 2 for cell in cells) > 1 or not self.dialect.fits(cells)

    def _strict(self, line: str) -> list[str] | None:
        if self.dialect.escape == "\\":
            # Before anything but a quote or itself, a backslash is a letter.
            line = re.sub(rf"\\(?![\\{self.dialect.quote}])", r"\\\\", line)
        try:
            return next(csv.reader([line], strict=True, **self.dialect.options()))
        except csv.Error:
            return None

    def _joined(
        self, line: str, lines: Iterator[tuple[int, str]], ahead: list[tuple[int, str]]
    ) -> list[str] | None:
        """Read a cell that goes over several lines, if with them the record has its cells."""
        if line.count(self.dialect.quote) % 2 == 0:
            return None
        text, used = line, 0
        while used < MAX_JOINED_LINES:
            if used == len(ahead):
                following = next(lines, None)
                if following is None:
                    return None
                ahead.append(following)
            text += "\n" + ahead[used][1]
            used += 1
            # Only a line with a quote can end the cell.
            if self.dialect.quote in ahead[used - 1][1]:
                cells = self._strict(text)
                if cells is not None and len(cells) == self.dialect.columns:
                    del ahead[:used]
                    return cells
        return None

    def _fitted(self, line: str, cells: list[str] | None) -> list[str] | None:
        if self.dialect.quote in line:
            readings = _readings(line, self.dialect)
            fitting = list(itertools.islice(filter(self.dialect.fits, readings), 2))
            if fitting:
                self.mended += 1
                return fitting[0]
        return None


def _readings(line: str, found: Dialect) -> Iterator[list[str]]:
    """Return the ways to read a line as a record when a quote may also be a letter; the fewest such letters first."""
    delimiter, quote, width = found.delimiter, found.quote, found.columns
    end = rf"(?={re.escape(delimiter)}|$)"
    inner = rf"(?:[^{quote}]|{quote}{quote})*" if found.escape == quote else rf"(?:[^{quote}\\]|\\.)*"
    closed = re.compile(rf"{quote}({inner}){quote}{end}", re.S)

    def cell_at(start: int) -> tuple[int, str]:
        stop = line.find(delimiter, start)
        stop = len(line) if stop < 0 else stop
        return stop, line[start:stop]

    def rest(start: int, left: int, letters: int) -> Iterator[list[str]]:
        if found.blanks:
            start += len(line[start:]) - len(line[start:].lstrip(" "))
        options = []
        if line.startswith(quote, start):
            if match := closed.match(line, start):
                options.append((match.end(), match[1].replace(quote * 2, quote), 0))
            options.append((*cell_at(start), 1))
        else:
            options.append((*cell_at(start), 0))
        for stop, cell, used in options:
            if used > letters:
                continue
            if stop == len(line):
                if left == 1:
                    yield [cell]
            elif left > 1:
                for cells in rest(stop + 1, left - 1, letters - used):
                    yield [cell, *cells]

    for letters in range(min(line.count(quote), 4) + 1):
        found_any = False
        for cells in rest(0, width, letters):
            found_any = True
            yield cells
        if found_any:
            return


def lines(count: int) -> str:
    """Return a count of lines in words."""
    return "1 line" if count == 1 else f"{count:,} lines"
