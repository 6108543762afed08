"""What each column of a table holds: how its cells read, its type, its role, and the evidence for both."""

import itertools
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from hardcover.inspection import column_types, roles
from hardcover.inspection.cells import (
    ALWAYS_MISSING,
    DIGITS,
    MIN_FOLLOWING,
    MISSING_AMONG_NUMBERS,
    NO_NUMBERS,
    PLAIN,
    READINGS,
    SENTINELS,
    SHOWN,
    WRITTEN,
    Facts,
    Stats,
    as_number,
    escaped,
    listed,
    missing_in,
)
from hardcover.inspection.column_types import Summary
from hardcover.inspection.records import Line
from hardcover.inspection.table import Table

# When a column has more of them, its name in the warnings says how many.
MAX_SHOWN_FAILURES, BLOCK = 1_000, 256


class Column(NamedTuple):
    """What a column holds.

    Attributes
    ----------
    name, type, role, evidence
        One of the nine `column_types.TYPES`, a role in plain words, and one line that says why.
    missing, distinct
        Cells without a value, those that stand for one counted, and different values.
    reading
        How its cells read: a name of `READINGS`, or ``text``.
    stand_ins
        Cells that say that a value is missing, with their counts, such as ``?``.
    sentinels
        Numbers far from all others that stand for a missing value, with their counts, such as -999.
    failing
        How many cells do not follow the reading and went into quarantine.
    facts
        ``low``, ``high`` and ``mean`` of numbers; ``values``, the most frequent ones with their counts; ``scale``, the values of
        an ordinal column in lower case, the lowest first; ``days``, as `roles.days_of` returns it.
    """

    name: str
    type: str
    role: str
    evidence: str
    missing: int
    distinct: int
    reading: str
    stand_ins: dict[str, int]
    sentinels: dict[str, int]
    failing: int
    facts: dict[str, Any]


def describe(table: Table) -> Iterator[Column]:
    """Return each column of a table; lines with values that fail their reading go into its quarantine."""
    measured = []
    for place in range(len(table.columns)):
        if place % BLOCK == 0:
            # To find a column costs as much as the table has columns.
            block = ", ".join(f"c{each}" for each in range(place, min(place + BLOCK, len(table.columns))))
            table.connection.execute(f"create or replace temp table block as select {block}, line from cells")
        measured.append(_measure(table, place))
    typed = column_types.classify([summary for summary, _ in measured])
    for (_, facts), found in zip(measured, typed, strict=True):
        yield _column(table, facts, found)


def _measure(table: Table, place: int) -> tuple[Summary, Facts]:
    """Count how a column's cells read."""
    run = table.connection.execute
    run(
        f"create or replace temp table v as select trim(c{place}) as v, count(*)::bigint as n from block group by 1"
    )
    missing, ambiguous = _missing(table)
    clear = f"v is not null and lower(v) not in ({listed(MISSING_AMONG_NUMBERS)})"
    tests = {**READINGS, "zeros": r"0\d+", "any number": READINGS["embedded"] + "|" + READINGS["number"]}
    counts = ", ".join(
        f"coalesce(sum(n) filter (regexp_full_match(v, '{escaped(p)}')), 0)" for p in tests.values()
    )
    distinct, *following = run(f"select count(*), {counts} from v where {clear}").fetchone() or ()
    follow = dict(zip(tests, map(int, following), strict=True))
    present = table.rows - sum(missing.values()) - sum(ambiguous.values())
    reading = _reading(follow, present, distinct)
    if reading == "text":
        present, distinct = present + sum(ambiguous.values()), distinct + len(ambiguous)
    else:
        missing |= ambiguous
    here = f"v is not null and lower(v) not in ({listed(missing_in(reading))})"
    shown = run(f"select v, n from v where {here} order by n desc, v limit {SHOWN}").fetchall()
    lengths = run(
        f"select max(length(v)), avg(length(v)), min(length(v)), avg(length(v) - length(replace(v, ' ', ''))) from v where {here}"
    ).fetchone()
    numeric = reading in PLAIN | DIGITS
    stats, sentinels = _numbers(table, reading, here, present) if numeric else (NO_NUMBERS, {})
    facts = Facts(
        table.columns[place], place, reading, table.rows, present, missing, distinct, follow, stats, sentinels,
        _quarantine(table, place, reading, follow, present), shown, lengths or (0, 0, 0, 0),
    )  # fmt: skip
    # The forest has learned from statistics of plain numbers only.
    plain = stats if reading not in WRITTEN else NO_NUMBERS
    return Summary(
        facts.name, table.rows, table.rows - present, distinct, *plain, _sample(table, here, facts)
    ), facts


def _missing(table: Table) -> tuple[dict[str, int], dict[str, int]]:
    """Count the cells that stand for a missing value everywhere, and those that do so only among numbers."""
    found = table.connection.execute(
        f"select coalesce(v, ''), sum(n)::bigint from v where v is null or lower(v) in ({listed(MISSING_AMONG_NUMBERS)}) "
        "group by 1 order by 2 desc, 1"
    ).fetchall()
    always = {cell: count for cell, count in found if cell.lower() in ALWAYS_MISSING}
    return always, {cell: count for cell, count in found if cell not in always}


def _sample(table: Table, here: str, facts: Facts) -> list[str]:
    """Return five values, always the same ones of the same values; fewer are repeated."""
    if facts.distinct > SHOWN:
        found = table.connection.execute(f"select v from v where {here} order by hash(v) limit 5").fetchall()
        return [value for (value,) in found]
    values = sorted((value for value, _ in facts.values), key=lambda value: zlib.crc32(value.encode()))
    return list(itertools.islice(itertools.cycle(values), 5))


def _reading(counts: dict[str, int], present: int, distinct: int) -> str:
    """Return how the cells read: the first of `READINGS` that nearly all follow, else ``text``."""
    enough = MIN_FOLLOWING * present
    for reading in READINGS if present else ():
        if counts[reading] < enough:
            continue
        # Numbers of eight digits are dates only if all of them could be.
        if reading == "compact date" and (counts[reading] < present or distinct < 3):
            continue
        if reading == "code with leading zeros" and not counts["zeros"]:
            continue
        return reading
    if present and counts["decimal comma"] and counts["decimal comma"] + counts["integer"] >= enough:
        return "decimal comma"
    return "embedded" if present and counts["any number"] >= enough else "text"


def _numbers(table: Table, reading: str, here: str, present: int) -> tuple[Stats, dict[str, int]]:
    """Return mean, deviation, lowest and highest, and numbers such as -999 that come often and lie far from all the others."""
    numbers = f"with w as (select {as_number('v', reading)} as x, n from v where {here})"
    run = table.connection.execute
    mean, square, low, high = (
        run(
            f"{numbers} select sum(x * n) / sum(n), sum(x * x * n) / sum(n), min(x), max(x) from w where isfinite(x)"
        ).fetchone()
        or (None,) * 4
    )
    if mean is None:
        return NO_NUMBERS, {}
    found = {}
    # Only the lowest or the highest can lie far from all others.
    for value in {low, high} & set(SENTINELS) if reading in {"integer", "number"} else ():
        count, least, most, first, last = run(
            f"{numbers} select sum(n) filter (x = {value}), min(x) filter (x <> {value}), max(x) filter (x <> {value}), "
            f"quantile_cont(x, 0.05) filter (x <> {value}), quantile_cont(x, 0.95) filter (x <> {value}) from w"
        ).fetchone() or (0, None, None, None, None)
        if least is None or least == most or count < max(2, 0.001 * present):
            continue
        width = max(last - first, 1e-9)
        away = least - value if value < least else value - most
        # A negative number where nothing else is, or one that lies away by more than all the others together.
        if (value < 0 <= least and away >= min(width, -value)) or away > 2 * width:
            found[f"{value:g}"] = int(count)
    return (mean, max(square - mean**2, 0.0) ** 0.5, low, high), found


def _quarantine(table: Table, place: int, reading: str, counts: dict[str, int], present: int) -> int:
    """Keep the cells that do not follow their column's reading, with line and reason; return how many there are."""
    if reading == "text" or counts[reading] == present:
        return 0
    cell = f"trim(c{place})"
    follows = f"regexp_full_match({cell}, '{escaped(READINGS[reading])}')"
    if reading in {"number", "embedded", "decimal comma"}:
        follows = f"{as_number(cell, reading)} is not null"
    failing = f"from block where {cell} is not null and lower({cell}) not in ({listed(MISSING_AMONG_NUMBERS)}) and not {follows}"
    lines = table.connection.execute(f"select line, {cell} {failing} order by line").fetchall()
    file = table.files[0]["file"] if len(table.files) == 1 else ""
    reason = f"{table.columns[place]}: not a {reading}"
    table.quarantine += [Line(file, line, reason, text[:200]) for line, text in lines[:MAX_SHOWN_FAILURES]]
    return len(lines)


def _column(table: Table, facts: Facts, typed: str) -> Column:
    days = roles.days_of(table, facts)
    role, found, evidence = roles.role_of(facts, typed, days)
    mean, _, low, high = facts.stats
    return Column(
        facts.name,
        found,
        role,
        evidence,
        facts.rows - facts.present,
        facts.distinct,
        facts.reading,
        {cell: count for cell, count in facts.missing.items() if cell},
        facts.sentinels,
        facts.failing,
        {
            "mean": mean,
            "low": low,
            "high": high,
            "values": facts.values,
            "scale": roles.scale_of(facts),
            "days": days,
        },
    )
