"""Polluted files read without being told their dialect, beside DuckDB's own detection: Pollock's weighted score.

The folder has ``csv`` and ``clean``, as the sample of G. Vitagliano et al., "Pollock: a data loading benchmark", VLDB 2023. A
file scores 1 for being read, and precision, recall and F1 of header, records and cells; the weights are how often its pollution
was found in 245,000 files, as the benchmark publishes them.
"""

import csv
from collections import Counter
from pathlib import Path

import duckdb

from hardcover.errors import SourceError
from hardcover.inspection import reading

WEIGHTS = {
    "file_no_payload": 15,
    "file_no_trailing_newline": 184,
    "file_double_trailing_newline": 5,
    "file_no_header": 470,
    "file_header_multirow": 47,
    "file_preamble": 282,
    "file_multitable": 188 / 3,
    "file_header_only": 3,
    "file_one_data_row": 4,
    "file_record_delimiter_0xD": 7,
    "file_record_delimiter_0xA": 1691,
    "file_field_delimiter_0x9": 4,
    "file_field_delimiter_0x3B": 834,
    "file_field_delimiter_0x20": 4,
    "file_field_delimiter_0x2C": 101,
    "file_quotation_char": 11,
    "file_escape_char_0x5C": 1,
    "file_escape_char_0x00": 7,
    "row_": 0.3678,
}


def ours(file: Path) -> tuple[list[list[str]], list[str]]:
    """Return header and rows as Hardcover reads them, and its warnings."""
    try:
        table = reading.read([file])
    except SourceError as error:
        if "empty" in error.what:
            return [[]], [str(error)]
        raise
    cells = ", ".join(f"c{place}" for place in range(len(table.columns)))
    rows = table.connection.execute(f"select {cells} from cells order by line").fetchall()
    return [table.columns, *map(list, rows)], table.warnings


def duckdb_alone(file: Path) -> tuple[list[list[str]], list[str]]:
    """Return header and rows as DuckDB reads them by itself."""
    found = duckdb.sql(f"select * from read_csv('{file}', all_varchar = true)")
    return [found.columns, *map(list, found.fetchall())], []


def score(truth: list[list[str]], header: int, read: list[list[str]]) -> float:
    """Return Pollock's simple score of one file, of 10."""
    parts = [_measures([cell for row in truth[:header] for cell in row], read[0] if read else [])]
    rows = ["|".join(row) for row in truth[header:]], ["|".join(_text(row)) for row in read[1:]]
    parts += [_measures(*rows)]
    parts += [
        _measures(
            [cell for row in truth[header:] for cell in row],
            [cell for row in read[1:] for cell in _text(row)],
        )
    ]
    return 1 + sum(map(sum, parts))


def _text(row: list) -> list[str]:
    return ["" if cell is None else str(cell) for cell in row]


def _measures(truth: list[str], read: list[str]) -> tuple[float, float, float]:
    if not truth:
        return 1.0, 1.0, 1.0
    same = sum((Counter(truth) & Counter(read)).values())
    if not same:
        return 0.0, 0.0, 0.0
    precision, recall = same / len(truth), same / len(read)
    return precision, recall, 2 * precision * recall / (precision + recall)


def table(folder: Path) -> str:
    """Return both scores as Markdown, with the files that were read wrongly and in silence."""
    totals: Counter[str] = Counter()
    simple: Counter[str] = Counter()
    weights, silent, count = 0.0, [], 0
    for file in sorted((folder / "csv").iterdir()):
        weight = next((weight for name, weight in WEIGHTS.items() if file.name.startswith(name)), 1)
        weights, count = weights + weight, count + 1
        with (folder / "clean" / file.name).open(newline="", encoding="utf-8") as stream:
            truth = list(csv.reader(stream))
        header = 0 if file.name in {"file_no_header.csv", "file_no_payload.csv"} else 1
        for name, reader in (("hardcover", ours), ("DuckDB alone", duckdb_alone)):
            try:
                read, warnings = reader(file)
                reached = score(truth, header, read)
            except (SourceError, duckdb.Error) as error:
                warnings, reached = [str(error)], 0.0
            totals[name] += weight * reached
            simple[name] += reached
            if name == "hardcover" and reached < 10 - 1e-9 and not warnings:
                silent.append(file.name)
    lines = [
        f"| {count} polluted files, dialect not told | weighted, of 10 | simple, of 10 |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {totals[name] / weights:.3f} | {simple[name] / count:.3f} |" for name in totals]
    return "\n".join([*lines, "", f"Read wrongly without a warning: {', '.join(silent) or 'none'}."])
