"""Features that are worth having of almost any table: what a day is part of, and differences that have a unit."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hardcover.ingest import any_dialect
from hardcover.inspection.report import Inspection

if TYPE_CHECKING:
    from hardcover.template.plan import Planned

# A cycle is worth a feature where the data saw it more than once.
DAYS_OF_WEEKS, DAYS_OF_YEARS = 28, 450
MAX_PAIRS = 3


class Made(NamedTuple):
    """Features as cells of a notebook: a name for the cells, why, the functions, and their check."""

    name: str
    why: str
    code: str
    check: str


def of_days(found: Inspection, planned: "list[Planned]", taken: set[str]) -> Iterator[Made]:
    """Yield the parts of each time, and how long it is from one to another; ``taken`` are names that a feature cannot have."""
    days = [column for column in planned if column.part == "day"]
    ways = {column.source: column.reads for column in planned if column.part == "context"}
    for day in days:
        span, has_hours = _span(found, day.source, str(ways[day.source]))
        stem, lines, checks = day.name.removesuffix("_day"), [], []
        if has_hours:
            name = any_dialect.identifier(f"{stem}_hour", taken)
            lines.append(
                _function(name, day.name, f"The hour of {stem}, from 0 to 24.", f"{day.name} % 1.0 * 24.0")
            )
            checks.append(f"assert {name}(19723.5) == 12.0")
        if span > DAYS_OF_WEEKS:
            name = any_dialect.identifier(f"{stem}_weekday", taken)
            text = f"The day of the week of {stem}: 0 is Monday, 6 Sunday."
            lines.append(_function(name, day.name, text, f"({day.name} // 1.0 + 3.0) % 7.0"))
            checks.append(f"assert {name}(19723.5) == 0.0  # 2024-01-01 was a Monday")
        if span > DAYS_OF_YEARS:
            for function, text in (("sin", "largest in spring"), ("cos", "largest at New Year")):
                name = any_dialect.identifier(f"{stem}_year_{function}", taken)
                turn = f"math.{function}({day.name} * (2.0 * math.pi / 365.2425))"
                lines.append(_function(name, day.name, f"Where in the year {stem} is: {text}.", turn))
        taken |= {line.split("(")[0].removeprefix("def ") for line in lines}
        if lines:
            why = f"## `{stem}`, taken apart\n\nTrees cut a line of days into before and after; what comes back every day, week or year they see only in parts of it."
            yield Made(f"{day.name}-parts", why, "\n\n".join(lines), "\n".join(checks))
    for first, second in list(combinations(days, 2))[:MAX_PAIRS]:
        stems = [day.name.removesuffix("_day") for day in (first, second)]
        name = any_dialect.identifier(f"{stems[0]}_to_{stems[1]}", taken)
        taken.add(name)
        code = _function(
            name,
            f"{first.name}, {second.name}",
            f"Days from {stems[0]} to {stems[1]}.",
            f"{second.name} - {first.name}",
        )
        why = f"## From `{stems[0]}` to `{stems[1]}`\n\nHow long it is between two times says what neither does alone."
        yield Made(name, why, code, f"assert {name}(1.0, 3.5) == 2.5")


def of_units(planned: "list[Planned]", taken: set[str]) -> Iterator[Made]:
    """Yield differences of two or three columns that have one unit."""
    units: dict[str, list[Planned]] = {}
    for column in planned:
        if column.part == "input" and column.unit != "1":
            units.setdefault(column.unit, []).append(column)
    for unit, columns in units.items():
        if not 2 <= len(columns) <= MAX_PAIRS:
            continue
        for first, second in combinations(columns, 2):
            name = any_dialect.identifier(f"{first.name}_less_{second.name}", taken)
            taken.add(name)
            text = f"{first.name} minus {second.name}, in {unit}."
            code = _function(name, f"{first.name}, {second.name}", text, f"{first.name} - {second.name}")
            why = f"## `{first.name}` beside `{second.name}`\n\nBoth are in {unit}, so their difference means something; a tree needs many splits for it."
            yield Made(name, why, code, f"assert {name}(3.5, 1.0) == 2.5")


def _function(name: str, parameters: str, text: str, result: str) -> str:
    return f'def {name}({parameters}):\n    """{text}"""\n    return {result}'


def _span(found: Inspection, source: str, how: str) -> tuple[float, bool]:
    """Return how many days lie between the first and the last time, and whether there are times of day."""
    place = found.table.columns.index(source)
    cells = found.table.connection.execute(f"select distinct trim(c{place}) as cell from cells").df()["cell"]
    moments = pd.to_datetime(cells, errors="coerce", **any_dialect.DAYS[how]).dropna()
    if moments.empty:
        return 0.0, False
    return (moments.max() - moments.min()) / pd.Timedelta(days=1), bool(
        (moments != moments.dt.normalize()).any()
    )
