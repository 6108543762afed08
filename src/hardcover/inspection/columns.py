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
MAX_SHOWN_FAILURES = 1_000
# So many columns are measured together, as long as they have so few cells; and so many values of one are looked at.
BLOCK, MAX_CELLS, SAMPLE = 256, 2_000_000, 5


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
    measured: list[tuple[Summary, Facts]] = []
    # A query costs more than a column of few rows, and a table of all different values as much memory as there are.
    size = max(1, min(BLOCK, MAX_CELLS // max(table.rows, 1)))
    for begin in range(0, len(table.columns), size):
        measured += _measure(table, list(range(begin, min(begin + size, len(table.columns)))))
    typed = column_types.classify([summary for summary, _ in measured])
    for (_, facts), found in zip(measured, typed, strict=True):
        yield _column(table, facts, found)


def _measure(table: Table, places: list[int]) -> Iterator[tuple[Summary, Facts]]:
    """Count how the cells of some columns read."""
    run, names = table.connection.execute, ", ".join(f"c{place}" for place in places)
    run(f"create or replace temp table block as select {names}, line from cells")
    run(
        "create or replace temp table v as select cast(substr(p, 2) as integer) as p, trim(v) as v, count(*)::bigint as n "
        f"from block unpivot include nulls (v for p in ({names})) group by 1, 2"
    )
    missing, ambiguous = _missing(table, places)
    tests = {**READINGS, "zeros": r"0\d+", "any number": READINGS["embedded"] + "|" + READINGS["number"]}
    counts = ", ".join(
        f"coalesce(sum(n) filter (regexp_full_match(v, '{escaped(p)}')), 0)" for p in tests.values()
    )
    clear = f"v is not null and lower(v) not in ({listed(MISSING_AMONG_NUMBERS)})"
    found = {
        place: each
        for place, *each in run(f"select p, count(*), {counts} from v where {clear} group by p").fetchall()
    }
    follow, present, distinct, reading = {}, {}, {}, {}
    for place in places:
        distinct[place], *following = found.get(place, [0] * (len(tests) + 1))
        follow[place] = dict(zip(tests, map(int, following), strict=True))
        present[place] = table.rows - sum(missing[place].values()) - sum(ambiguous[place].values())
        reading[place] = _reading(follow[place], present[place], distinct[place])
        if reading[place] == "text":
            present[place] += sum(ambiguous[place].values())
            distinct[place] += len(ambiguous[place])
        else:
            missing[place] |= ambiguous[place]
    _keep_what_is_there(table, reading)
    shown = _ranked(table, "n desc, v", SHOWN)
    some_of = _ranked(table, "hash(v)", SAMPLE)
    lengths = {
        place: tuple(each)
        for place, *each in run(
            "select p, max(length(v)), avg(length(v)), min(length(v)), avg(length(v) - length(replace(v, ' ', ''))) from w group by p"
        ).fetchall()
    }
    stats = _numbers(table, reading)
    for place in places:
        values = shown.get(place, [])
        sentinels = _sentinels(table, place, reading[place], present[place], stats.get(place, NO_NUMBERS))
        facts = Facts(
            table.columns[place], place, reading[place], table.rows, present[place], missing[place], distinct[place], follow[place],
            stats.get(place, NO_NUMBERS), sentinels, _quarantine(table, place, reading[place], follow[place], present[place]), values,
            lengths.get(place, (0, 0, 0, 0)),
        )  # fmt: skip
        # The forest has learned from statistics of plain numbers only.
        plain = facts.stats if reading[place] not in WRITTEN else NO_NUMBERS
        sample = _sample(facts, [value for value, _ in some_of.get(place, [])])
        yield (
            Summary(facts.name, table.rows, table.rows - facts.present, facts.distinct, *plain, sample),
            facts,
        )


def _missing(table: Table, places: list[int]) -> tuple[dict[int, dict], dict[int, dict]]:
    """Count by column the cells that stand for a missing value everywhere, and those that do so only among numbers."""
    found = table.connection.execute(
        f"select p, coalesce(v, ''), sum(n)::bigint from v where v is null or lower(v) in ({listed(MISSING_AMONG_NUMBERS)}) "
        "group by 1, 2 order by 3 desc, 2"
    ).fetchall()
    always: dict[int, dict] = {place: {} for place in places}
    sometimes: dict[int, dict] = {place: {} for place in places}
    for place, cell, count in found:
        (always if cell.lower() in ALWAYS_MISSING else sometimes)[place][cell] = count
    return always, sometimes


def _keep_what_is_there(table: Table, reading: dict[int, str]) -> None:
    """Put the cells that stand for no missing value, as their column reads, into a table ``w``."""
    kinds: dict[str, list[int]] = {}
    for place, each in reading.items():
        kinds.setdefault(listed(missing_in(each)), []).append(place)
    there = " or ".join(
        f"(p in ({', '.join(map(str, mine))}) and lower(v) not in ({words}))" for words, mine in kinds.items()
    )
    table.connection.execute(
        f"create or replace temp table w as select * from v where v is not null and ({there})"
    )


def _ranked(table: Table, order: str, count: int) -> dict[int, list[tuple[str, int]]]:
    """Return the first values of each column in an order, with their counts."""
    rows = table.connection.execute(
        f"select p, v, n from (select *, row_number() over (partition by p order by {order}) as k from w) where k <= {count} order by p, k"
    ).fetchall()
    found: dict[int, list[tuple[str, int]]] = {}
    for place, value, times in rows:
        found.setdefault(place, []).append((value, times))
    return found


def _sample(facts: Facts, by_hash: list[str]) -> list[str]:
    """Return five values, always the same ones of the same values; fewer are repeated."""
    if facts.distinct > SHOWN:
        return by_hash
    values = sorted((value for value, _ in facts.values), key=lambda value: zlib.crc32(value.encode()))
    return list(itertools.islice(itertools.cycle(values), SAMPLE))


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


def _numbers(table: Table, reading: dict[int, str]) -> dict[int, Stats]:
    """Return mean, deviation, lowest and highest of the columns of numbers."""
    kinds: dict[str, list[int]] = {}
    for place, each in reading.items():
        if each in PLAIN | DIGITS:
            kinds.setdefault(each, []).append(place)
    found: dict[int, Stats] = {}
    for each, places in kinds.items():
        rows = table.connection.execute(
            f"with x as (select p, {as_number('v', each)} as x, n from w where p in ({', '.join(map(str, places))})) "
            "select p, sum(x * n) / sum(n), sum(x * x * n) / sum(n), min(x), max(x) from x where isfinite(x) group by p"
        ).fetchall()
        for place, mean, square, low, high in rows:
            found[place] = (mean, max(square - mean**2, 0.0) ** 0.5, low, high)
    return found


def _sentinels(table: Table, place: int, reading: str, present: int, stats: Stats) -> dict[str, int]:
    """Return numbers such as -999 that come often and lie far from all the others, with their counts."""
    if reading not in {"integer", "number"}:
        return {}
    _, _, low, high = stats
    numbers = f"with w as (select {as_number('v', reading)} as x, n from w where p = {place})"
    found = {}
    # Only the lowest or the highest can lie far from all others.
    for value in {low, high} & set(SENTINELS):
        count, least, most, first, last = table.connection.execute(
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
    return found


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
