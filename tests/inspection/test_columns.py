"""Columns that other readers damage come out right, or visibly as text; each role says why."""

import random

import pytest

from hardcover.inspection import columns, reading
from hardcover.inspection.cells import as_number
from hardcover.inspection.table import Table

ROWS = 40_000


def nasty() -> dict[str, list[str]]:
    """Return columns as people export them, each with what a reader may break."""
    at_random = random.Random(0)
    pick = lambda values: [at_random.choice(values) for _ in range(ROWS)]  # noqa: E731
    whole = lambda low, high: [at_random.randint(low, high) for _ in range(ROWS)]  # noqa: E731
    days = [
        (at_random.randint(1, 28), at_random.randint(1, 12), at_random.randint(2015, 2025))
        for _ in range(ROWS)
    ]
    amounts = [str(value) for value in whole(1, 900)]
    amounts[35_001] = "see note"
    temperatures = [f"{value / 10:.1f}" for value in whole(100, 300)]
    return {
        "zip": [f"{value:05d}" for value in whole(501, 99_950)],
        "article": [f"{a:02d}E{b:02d}" for a, b in zip(whole(1, 99), whole(1, 20), strict=True)],
        "riken": [f"{value:07d}E{at_random.randint(1, 29):02d}" for value in whole(1_000_000, 2_999_999)],
        "country": pick(["NA", "DE", "US", "ZA"]),
        "day first": [f"{d:02d}/{m:02d}/{y}" for d, m, y in days],
        "month first": [f"{m:02d}/{d:02d}/{y}" for d, m, y in days],
        "day or month": [f"{min(d, 12):02d}/{m:02d}/{y}" for d, m, y in days],
        "compact date": [f"{y}{m:02d}{d:02d}" for d, m, y in days],
        "price": [f"${value // 100:,}.{value % 100:02d}" for value in whole(100, 999_999)],
        "discount": [f"{value / 2:.1f}%" for value in whole(0, 100)],
        "decimal comma": [f"{value // 100},{value % 100:02d}" for value in whole(0, 99_999)],
        "weight": [f"{value} kg" for value in whole(1, 500)],
        "member": pick(["yes", "no"]),
        "account_id": [str(9_007_199_254_740_993 + value) for value in whole(0, 10**6)],
        "amount": amounts,
        "pressure": [at_random.choice(["?", *["1.5", "2.25", "3.125"] * 9]) for _ in range(ROWS)],
        "temperature": [at_random.choice(["-999", *[t] * 19]) for t in temperatures],
        "gene": pick(["MARCH1", "SEPT2", "DEC1", "TP53"]),
        "phone": [f"0{value}" for value in whole(30_000_000, 99_999_999)],
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    table = nasty()
    file = tmp_path_factory.mktemp("nasty") / "nasty.csv"
    lines = [";".join(table), *(";".join(row) for row in zip(*table.values(), strict=True))]
    file.write_text("\n".join(lines), encoding="utf-8")
    read = reading.read([file])
    return read, {column.name: column for column in columns.describe(read)}


RIGHT = {
    "zip": ("code", "categorical", "code with leading zeros"),
    "article": ("code", "categorical", "code with an exponent"),
    "riken": (None, None, "code with an exponent"),
    "country": ("categorical", "categorical", "text"),
    "day first": ("date", "datetime", "day and month"),
    "month first": ("date", "datetime", "day and month"),
    "day or month": ("date", "datetime", "day and month"),
    "compact date": ("date", "datetime", "compact date"),
    "price": ("embedded number", "embedded-number", "embedded"),
    "discount": ("embedded number", "embedded-number", "embedded"),
    "decimal comma": ("embedded number", "embedded-number", "decimal comma"),
    "weight": ("embedded number", "embedded-number", "embedded"),
    "member": ("boolean", "categorical", "text"),
    "account_id": ("entity", "not-generalizable", "integer"),
    "amount": ("numeric", None, "integer"),
    "pressure": (None, None, "number"),
    "temperature": ("numeric", "numeric", "number"),
    "gene": ("categorical", "categorical", "text"),
    "phone": (None, None, "code with leading zeros"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_column_that_others_damage_is_read_right(found, name):
    column = found[1][name]
    role, kind, how = RIGHT[name]
    assert column.reading == how, column
    assert role in {None, column.role}, column
    assert kind in {None, column.type}, column


def test_namibia_is_a_country_and_a_question_mark_is_missing(found):
    assert found[1]["country"].missing == 0
    assert found[1]["country"].distinct == 4
    assert found[1]["pressure"].stand_ins.keys() == {"?"}
    assert found[1]["pressure"].missing == found[1]["pressure"].stand_ins["?"] > 0


def test_a_value_that_only_row_35002_breaks_goes_into_quarantine_with_its_line(found):
    table, by_name = found
    assert by_name["amount"].failing == 1
    (line,) = [line for line in table.quarantine if line.reason.startswith("amount")]
    assert (line.line, line.text) == (35_003, "see note")


def test_the_order_of_day_and_month_is_told_by_parts_above_twelve_and_otherwise_left_open(found):
    assert "day first" in found[1]["day first"].evidence
    assert "month first" in found[1]["month first"].evidence
    assert "cannot be told" in found[1]["day or month"].evidence


def test_minus_999_stands_for_missing_where_it_lies_far_from_all_others(found):
    assert found[1]["temperature"].sentinels.keys() == {"-999"}
    assert not found[1]["amount"].sentinels


def test_an_id_above_two_to_the_53_says_why_it_stays_text(found):
    assert "would not keep its digits" in found[1]["account_id"].evidence


def test_numbers_keep_their_sign_point_and_parentheses():
    table = Table()
    for cell, how, value in [
        ("$1,234.50", "embedded", 1234.5),
        ("(1,200)", "embedded", -1200.0),
        ("-3.5 kg", "embedded", -3.5),
        ("12.5%", "embedded", 12.5),
        ("1.234,50", "decimal comma", 1234.5),
        ("-0,5", "decimal comma", -0.5),
        ("1e3", "number", 1000.0),
        ("twelve", "number", None),
    ]:
        (read,) = table.connection.execute(f"select {as_number('$1', how)}", [cell]).fetchone()
        assert read == value, cell


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("nothing", [""] * 60, "not usable"),
        ("always", ["x"] * 60, "constant"),
        ("row", [str(number) for number in range(60)], "id"),
        ("link", [f"https://example.org/{number}" for number in range(60)], "text"),
        ("tags", [f"[{number}, 2]" for number in range(60)], "list"),
        ("size", ["small", "medium", "large"] * 20, "ordinal"),
        ("opened", ["09:30", "10:15", "17:00"] * 20, "time"),
        ("when", [f"2024-0{1 + number % 9}" for number in range(60)], "date"),
        ("customer_id", [f"C{number % 20}" for number in range(60)], "entity"),
        ("remark", [f"the machine number {n} was loud when it began to run" for n in range(60)], "text"),
    ],
)
def test_a_role_is_told_with_its_evidence(tmp_path, name, values, role):
    file = tmp_path / "one.csv"
    quoted = [f'"{value}"' if value else "" for value in values]
    rows = "\n".join(f"{number % 7}.5,{cell}" for number, cell in enumerate(quoted))
    file.write_text(f"other,{name}\n{rows}\n")
    column = list(columns.describe(reading.read([file])))[1]
    assert (column.name, column.role) == (name, role), column
    assert column.evidence
