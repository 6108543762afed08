"""What a file holds: one inspection of all of it, as text, JSON or a page."""

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hardcover.errors import UnknownName, some
from hardcover.inspection import columns, leaks, questions, reading, roles
from hardcover.inspection.column_leaks import Leak
from hardcover.inspection.columns import Column
from hardcover.inspection.questions import Question
from hardcover.inspection.table import Table

MAX_QUARANTINE_SHOWN = 5
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}


class Inspection(NamedTuple):
    """What was found in files: the table, its columns, and, with a target, the question and the leaks."""

    table: Table
    columns: list[Column]
    target: str | None
    question: Question | None
    leaks: list[Leak]
    warnings: list[str]


def inspect(
    files: Sequence[Path | str], target: str | None = None, say: Callable[[str], None] = lambda _: None
) -> Inspection:
    """Read files of one table and look at every column.

    Parameters
    ----------
    target
        The column that a model would predict; without one, neither task nor leaks.
    say
        What is told of each step before it begins.

    Raises
    ------
    SourceError
        If a file cannot be read as a table.
    UnknownName
        If there is no such target.
    """
    say(f"reading {some([Path(file).name for file in files])}")
    table = reading.read(files)
    if target is not None and target not in table.columns:
        raise UnknownName("column", target, table.columns, ", ".join(map(str, files)))
    say(f"looking at {len(table.columns):,} columns of {table.rows:,} rows")
    found = list(columns.describe(table))
    question, leaking = None, []
    if target is not None:
        question = questions.ask(found, target, table.rows)
        say("looking for leaks")
        leaking = list(leaks.find(table, found, target, question))
    return Inspection(
        table, found, target, question, leaking, [*table.warnings, *_warnings(table, found, target)]
    )


def _warnings(table: Table, found: list[Column], target: str | None) -> list[str]:
    warnings = []
    if table.rows < 50:
        warnings.append(f"{rows_of(table.rows)} too few to tell types, and to learn from")
    for column in found:
        if column.failing:
            warnings.append(
                f"{column.name}: {column.failing:,} of {table.rows:,} values are no {column.reading} and go into quarantine"
            )
        if roles.LEFT in column.evidence:
            warnings.append(f"{column.name}: {column.evidence}")
        if column.stand_ins:
            what = some([f"{cell!r} ({count:,})" for cell, count in column.stand_ins.items()])
            warnings.append(f"{column.name}: {what} read as missing")
        if column.sentinels:
            what = some([f"{value} ({count:,})" for value, count in column.sentinels.items()])
            warnings.append(f"{column.name}: {what} look like stand-ins for a missing value")
    unused = [
        column.name
        for column in found
        if column.role in {"text", "list", "not usable"} and column.name != target
    ]
    if unused:
        warnings.append(f"a tabular model cannot use {some(unused)} as it is")
    return warnings


def as_json(found: Inspection) -> dict[str, Any]:
    """Return the inspection as ``hardcover inspect --json`` prints it."""
    return {
        "rows": found.table.rows,
        "dialect": found.table.files,
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "role": column.role,
                "evidence": column.evidence,
                "missing": column.missing,
                "distinct": column.distinct,
            }
            for column in found.columns
        ],
        "leaks": [
            {
                "column": leak.column,
                "kind": leak.kind,
                # JSON has no infinity; an exact copy is as far as can be.
                "severity": round(leak.severity, 1) if math.isfinite(leak.severity) else None,
                "evidence": leak.evidence,
            }
            for leak in found.leaks
        ],
        **questions.as_json(found.question),
        "warnings": found.warnings,
        "quarantine": {
            "lines": found.table.left_out,
            "first": [line._asdict() for line in found.table.quarantine[:100]],
        },
    }


def sections(found: Inspection) -> list[tuple[str, list[list[str]]]]:
    """Return what is told, as titled tables of cells; the first row of each is its head."""
    parts = [("columns", [["column", "role", "missing", "distinct", "evidence"], *(
        [column.name, column.role, f"{column.missing:,}", f"{column.distinct:,}", column.evidence] for column in found.columns
    )])]  # fmt: skip
    if found.question:
        question = found.question
        asked = [["", "", "why"], ["task", question.task or "none", question.why]]
        if question.task:
            asked.append(["split", question.split, question.why_split])
        parts.append(("what a model could be asked", asked))
    if found.leaks:
        parts.append(("suspected leaks", [["column", "kind", "standard errors", "evidence"], *(
            [leak.column, leak.kind, f"{leak.severity:,.0f}" if math.isfinite(leak.severity) else "exact", leak.evidence] for leak in found.leaks
        )]))  # fmt: skip
    if found.table.quarantine:
        shown = found.table.quarantine[:MAX_QUARANTINE_SHOWN]
        more = found.table.left_out + sum(column.failing for column in found.columns) - len(shown)
        rows = [[str(line.line), line.reason, line.text[:60]] for line in shown]
        parts.append(
            (
                "quarantine",
                [["line", "reason", "text"], *rows, *([["", f"and {more:,} more", ""]] if more > 0 else [])],
            )
        )
    return parts


def rows_of(count: int) -> str:
    """Return a count of rows as the beginning of a sentence on them."""
    return "1 row is" if count == 1 else f"{count:,} rows are"


def title(found: Inspection) -> list[str]:
    """Return a line for each file: its rows, columns and dialect."""
    lines = []
    for facts in found.table.files:
        how = facts["format"]
        if how == "text":
            how = f"{facts['encoding']}, {_DELIMITERS[facts['delimiter']]}, {facts['quote']} for quotes"
        lines.append(f"{facts['file']}: {how}, {facts['bytes']:,} bytes")
    lines.append(f"{found.table.rows:,} rows, {len(found.columns):,} columns")
    return lines


def as_html(found: Inspection) -> str:
    """Return the inspection as a page that loads nothing from elsewhere."""
    from hardcover.reporting import pages

    name = some([facts["file"] for facts in found.table.files])
    body = [f"<h1>{html.escape(name)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in title(found))]
    if found.warnings:
        body += [
            "<h2>warnings</h2><ul>",
            *(f"<li>{html.escape(warning)}</li>" for warning in found.warnings),
            "</ul>",
        ]
    for heading, (head, *rows) in sections(found):
        numbers = [
            place
            for place, cell in enumerate(head)
            if cell in {"missing", "distinct", "standard errors", "line"}
        ]
        body += [f"<h2>{heading}</h2>", pages.table(head, [map(html.escape, row) for row in rows], numbers)]
    return pages.page(name, "\n".join(body))
