"""The role of a column, by rules that can be read, each with the evidence that it found."""

from hardcover.errors import some
from hardcover.inspection import column_types
from hardcover.inspection.cells import DATES, WRITTEN, Facts
from hardcover.inspection.table import Table

# Orders of day and month in which a column's dates cannot be read.
UNDECIDED, LEFT = ("mixed", "unknown"), "left as text"
# Digits that a float keeps.
EXACT_DIGITS = 15
_BOOLEANS = (
    {"yes", "no"},
    {"true", "false"},
    {"y", "n"},
    {"t", "f"},
    {"0", "1"},
    {"on", "off"},
    {"ja", "nein"},
)
_SCALES = (
    ("very low", "low", "medium", "moderate", "normal", "high", "very high", "extreme"),
    ("tiny", "small", "medium", "large", "huge"),
    ("xs", "s", "m", "l", "xl", "xxl"),
    ("very poor", "poor", "fair", "average", "good", "very good", "great", "premium", "excellent", "ideal"),
    ("never", "rarely", "seldom", "sometimes", "often", "usually", "always"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("very unsatisfied", "unsatisfied", "neutral", "satisfied", "very satisfied"),
    ("none", "mild", "moderate", "severe", "critical"),
)
_NAMES_OF_IDS = {
    "id",
    "key",
    "uuid",
    "guid",
    "rownames",
    "index",
    "identifier",
    "serial",
    "number",
    "no",
    "nr",
    "num",
}
_NAMES_OF_ENTITIES = {
    "customer",
    "user",
    "client",
    "patient",
    "device",
    "account",
    "member",
    "store",
    "subject",
}


def role_of(facts: Facts, typed: str, days: str | None) -> tuple[str, str, str]:
    """Return role, type and evidence; ``typed`` is the type by name and statistics, ``days`` what `days_of` returns."""
    rows, present, distinct, reading = facts.rows, facts.present, facts.distinct, facts.reading
    words = set(column_types.words_of(facts.name))
    if not present:
        return "not usable", "not-generalizable", "no values at all"
    if distinct == 1:
        value = facts.values[0][0]
        if present == rows:
            return "constant", "not-generalizable", f"always {value!r}"
        return (
            "constant",
            "not-generalizable",
            f"{value!r} or nothing ({_share(rows - present, rows)} missing)",
        )
    if rows - present > column_types.MAX_MISSING * rows:
        return "not usable", "not-generalizable", f"{_share(rows - present, rows)} missing"
    if reading == "bracketed list":
        return "list", "list", f"in brackets, such as {_short(facts)}"
    if reading == "address":
        return "text", "url", f"web addresses, such as {_short(facts)}"
    if reading in DATES:
        return "date", "datetime", _of_dates(facts, str(days))
    if reading == "clock":
        return "time", "datetime", f"times of day, such as {_short(facts)}"
    folded = _folded(facts)
    if distinct == 2 and any(folded <= pair for pair in _BOOLEANS):
        yes = " or ".join(sorted(value for value, _ in facts.values))
        return (
            "boolean",
            "categorical",
            f"{yes}, {_share(facts.values[0][1], present)} {facts.values[0][0]}",
        )
    if found := _as_id(facts, words):
        return found
    if reading == "code with leading zeros":
        return "code", "categorical", f"code: leading zeros, such as {_short(facts)}"
    if reading == "code with an exponent":
        return "code", "categorical", f"code: digits around an E, such as {_short(facts)}"
    if reading in WRITTEN:
        return "embedded number", "embedded-number", f"numbers within text, such as {_short(facts)}"
    if scale := scale_of(facts):
        return "ordinal", "categorical", "in order: " + ", ".join(scale)
    if reading in {"integer", "number"}:
        return _of_numbers(facts, typed, words)
    return _of_words(facts, typed)


def _folded(facts: Facts) -> set[str]:
    return {value.lower() for value, _ in facts.values}


def scale_of(facts: Facts) -> list[str]:
    """Return a column's values in lower case and in their order, the lowest first, where they are steps of a known scale."""
    folded = _folded(facts)
    scale = next((s for s in _SCALES if 2 < facts.distinct == len(folded) and folded <= set(s)), ())
    return [step for step in scale if step in folded]


def _as_id(facts: Facts, words: set[str]) -> tuple[str, str, str] | None:
    present, distinct, reading = facts.present, facts.distinct, facts.reading
    named = bool(words & _NAMES_OF_IDS) or facts.name.endswith(("id", "Id", "ID"))
    last = (column_types.words_of(facts.name) or [""])[-1]
    longest, mean_length, shortest, blanks = facts.lengths
    low, high = facts.stats[2:]
    whole = reading in {"integer", "code with leading zeros"}
    if distinct == present and present > 10:
        by_one = whole and high - low == present - 1
        if by_one or (whole and (named or longest > 9)):
            return (
                "id",
                "not-generalizable",
                "id: all different" + (", counting up by one" if by_one else "") + _exact(facts),
            )
        if (
            reading == "text"
            and blanks < 0.5
            and mean_length < 50
            and (named or shortest == longest or present > 50)
        ):
            return "id", "not-generalizable", f"id: all different, such as {_short(facts)}"
    if whole and longest > EXACT_DIGITS:
        return (
            "entity",
            "not-generalizable",
            f"entity: {longest} digits, {distinct:,} of them" + _exact(facts),
        )
    repeating = 10 < distinct < 0.9 * present
    of_entity = last in _NAMES_OF_ENTITIES or last == "id" or facts.name.lower().endswith("id")
    if repeating and of_entity and (whole or reading == "text") and distinct > 0.001 * present:
        return (
            "entity",
            "not-generalizable",
            f"entity: {distinct:,} of them, {present / distinct:.1f} rows each",
        )
    return None


def _exact(facts: Facts) -> str:
    return (
        "; kept as text, since a float would not keep its digits" if facts.lengths[0] > EXACT_DIGITS else ""
    )


def _of_numbers(facts: Facts, typed: str, words: set[str]) -> tuple[str, str, str]:
    distinct, (mean, _, low, high) = facts.distinct, facts.stats
    sentinels = "".join(
        f"; {value} in {count:,} rows stands for missing" for value, count in facts.sentinels.items()
    )
    if facts.reading == "integer":
        # What is left without the sentinels decides what the numbers are.
        kind = "count: non-negative integers" if low >= 0 else "integers"
        if typed == "categorical" or (typed == "context-specific" and distinct <= 10):
            labels = some([value for value, _ in facts.values], 6)
            return "categorical", typed, f"few integers that name something: {labels}{sentinels}"
        kind_of = typed if typed in {"numeric", "context-specific"} else "numeric"
        return "numeric", kind_of, f"{kind}, {distinct:,} values, mean {mean:.4g}{sentinels}"
    return (
        "numeric",
        "numeric",
        f"numbers from {low:.6g} to {high:.6g}, {distinct:,} values, mean {mean:.4g}{sentinels}",
    )


def _of_words(facts: Facts, typed: str) -> tuple[str, str, str]:
    distinct, present = facts.distinct, facts.present
    blanks = facts.lengths[3]
    if typed == "sentence" or (blanks >= 3 and distinct > 0.5 * present):
        return (
            "text",
            "sentence",
            f"sentences of {blanks + 1:.0f} words: a tabular model cannot use them as they are",
        )
    if typed == "list":
        return "list", "list", f"several values in a cell, such as {_short(facts)}"
    if typed in {"url", "datetime", "embedded-number"}:
        role = {"url": "text", "datetime": "date", "embedded-number": "embedded number"}[typed]
        numeric = sum(
            facts.following[name]
            for name in ("number", "embedded", "iso date", "day and month", "named month")
        )
        if numeric > 0.5 * present or typed == "url":
            return (
                "text",
                typed,
                f"{role} by most of its cells, others are not: {LEFT}, such as {_short(facts)}",
            )
    if distinct > 0.5 * present and present > 20:
        known = typed in {"not-generalizable", "context-specific"}
        return (
            "not usable",
            typed if known else "not-generalizable",
            f"{distinct:,} different texts in {present:,} rows, such as {_short(facts)}",
        )
    labels = some([value for value, _ in facts.values], 4)
    named = "context-specific" if typed == "context-specific" else "categorical"
    return "categorical", named, f"{distinct:,} different: {labels}"


def _of_dates(facts: Facts, days: str) -> str:
    how = {
        "iso date": "year, month, day",
        "compact date": "yyyymmdd",
        "named month": "with the month's name",
        "day first": "day first (a first part above 12)",
        "month first": "month first (a second part above 12)",
        "mixed": "some day first and some month first",
        "unknown": "day or month first cannot be told (no part above 12)",
    }[days]
    return f"dates, {how}, such as {_short(facts)}" + (f": {LEFT}" if days in UNDECIDED else "")


def days_of(table: Table, facts: Facts) -> str | None:
    """Return how a column's dates read: a name of `DATES`, of day and month the order or one of `UNDECIDED`; None without dates."""
    if facts.reading != "day and month":
        return facts.reading if facts.reading in DATES else None
    part = r"regexp_extract(c{0}, '^\s*(\d{{1,2}})[-/.](\d{{1,2}})', {1})"
    first, second = (f"max(try_cast({part.format(facts.place, number)} as integer))" for number in (1, 2))
    day, month = table.connection.execute(f"select {first} > 12, {second} > 12 from cells").fetchone() or (
        False,
        False,
    )
    return "mixed" if day and month else "day first" if day else "month first" if month else "unknown"


def _short(facts: Facts) -> str:
    value = facts.values[0][0]
    return repr(value if len(value) <= 40 else value[:37] + "...")


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.3g} %"
