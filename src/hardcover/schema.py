"""A case's schema: written in pandera, carried in the wheel as JSON Schema, enforced by quarantine.

A column's ``metadata`` say its role (``input``, ``target``, ``leak``, ``key`` or ``context``) and its unit. Only
inputs reach the model; a leak is kept for analysis and never is a feature.
"""

from collections.abc import Iterable

import pandas as pd
import pandera.pandas as pa

from hardcover.errors import DataError, HardcoverError, some
from hardcover.runtime.records import OPERATORS

ROLES = ("input", "target", "leak", "key", "context")


def rule(left: str, comparison: str, right: str) -> pa.Check:
    """Make a check that compares two columns of a row; missing values pass.

    Examples
    --------
    >>> rule("process_temperature", ">", "air_temperature").name
    'process_temperature > air_temperature'
    """
    compare = OPERATORS[comparison]
    return pa.Check(
        lambda rows: compare(rows[left], rows[right]) | rows[left].isna() | rows[right].isna(),
        name=f"{left} {comparison} {right}",
        ignore_na=False,
    )


def columns_with(schema: pa.DataFrameSchema, *roles: str) -> list[str]:
    """List the columns that have one of the ``roles``, in the schema's order."""
    return [name for name, column in schema.columns.items() if (column.metadata or {}).get("role") in roles]


def units(schema: pa.DataFrameSchema) -> dict[str, str]:
    """Map each measured column to its unit."""
    found = {name: (column.metadata or {}).get("unit") for name, column in schema.columns.items()}
    return {name: unit for name, unit in found.items() if unit}


def limits(schema: pa.DataFrameSchema) -> dict[str, tuple[float, float]]:
    """Map each measured column to its lowest and highest possible value."""
    found = {name: _constraints(schema.columns[name]) for name in units(schema)}
    return {
        name: (facts.get("minimum", float("-inf")), facts.get("maximum", float("inf")))
        for name, facts in found.items()
    }


def to_json_schema(schema: pa.DataFrameSchema) -> dict:
    """Give the JSON Schema (draft 2020-12) of one raw record: the input columns, in the schema's order.

    Checks that are understood: ``ge``, ``le``, ``in_range``, ``isin`` on columns, ``rule`` on the frame. The target's
    name is kept as ``x-target``.

    Raises
    ------
    HardcoverError
        When a column has no known role or a check of another kind, which a record could not be held to.
    """
    for name, column in schema.columns.items():
        if (column.metadata or {}).get("role") not in ROLES:
            raise HardcoverError(
                f"column {name!r} has no role", f"schema {schema.name!r}", f"Use one of {some(ROLES)}."
            )
    inputs = columns_with(schema, "input")
    rules = [
        dict(zip(("left", "operator", "right"), check.name.split(" "), strict=True))
        for check in schema.checks
    ]
    (target,) = columns_with(schema, "target")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema.name,
        "type": "object",
        "properties": {name: _property(schema.columns[name]) for name in inputs},
        "required": [name for name in inputs if not schema.columns[name].nullable],
        "additionalProperties": False,
        "x-rules": [check for check in rules if check["left"] in inputs and check["right"] in inputs],
        "x-target": target,
    }


def _property(column: pa.Column) -> dict:
    facts = _constraints(column)
    described = {"description": column.description} if column.description else {}
    unit = (column.metadata or {}).get("unit")
    described |= {"x-unit": unit} if unit else {}
    if "enum" in facts:
        return {"type": "string", **facts, **described}
    return {"type": ["number", "null"] if column.nullable else "number", **facts, **described}


def _constraints(column: pa.Column) -> dict:
    facts: dict = {}
    for check in column.checks:
        numbers = check.statistics
        if (
            check.name == "in_range"
            and check.statistics.get("include_min")
            and check.statistics.get("include_max")
        ):
            facts |= {"minimum": numbers["min_value"], "maximum": numbers["max_value"]}
        elif check.name == "greater_than_or_equal_to":
            facts["minimum"] = numbers["min_value"]
        elif check.name == "less_than_or_equal_to":
            facts["maximum"] = numbers["max_value"]
        elif check.name == "isin":
            facts["enum"] = list(numbers["allowed_values"])
        else:
            what = f"check {check.name!r} of column {column.name!r} cannot be carried to JSON Schema"
            raise HardcoverError(what, "", "Use ge, le, in_range or isin.")
    return facts


def quarantine(
    rows: pd.DataFrame, schema: pa.DataFrameSchema, reasons: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the rows that keep to the schema from those that do not.

    Parameters
    ----------
    rows
        Unified rows with a unique index.
    schema
        Column, uniqueness and cross-column checks.
    reasons
        What is known to be wrong with a row already, or "".

    Returns
    -------
    tuple
        The clean rows, in the schema's columns, and the refused rows with one more column, ``reasons``: all of them,
        separated by "; ". Together they are all rows.

    Raises
    ------
    DataError
        When every row is refused; the most frequent reasons are named.
    """
    try:
        schema.validate(rows, lazy=True)
        failures = pd.DataFrame({"index": [], "reason": []})
    except pa.errors.SchemaErrors as error:
        failures = _failures(error.failure_cases, rows)
    known = reasons[reasons != ""]
    found = pd.concat(
        [known.rename("reason").rename_axis("index").reset_index(), failures], ignore_index=True
    )
    # A value that could not be read is missing, too; the first reason says more.
    found = found.drop_duplicates()
    refused = rows.index.isin(found["index"])
    if refused.all():
        counts = found["reason"].str.replace(r"'[^']*'|[-\d.e+]{4,}", "…", regex=True).value_counts()
        most = some([f"{reason} ({count})" for reason, count in counts.items()])
        raise DataError(
            f"all {len(rows)} rows are quarantined: {most}",
            f"dataset {schema.name!r}",
            "Check the units and columns under 'layouts' in conf/base/.",
        )
    joined = found.groupby("index", sort=False)["reason"].agg("; ".join)
    clean = rows.loc[~refused, list(schema.columns)].reset_index(drop=True)
    return clean, rows.loc[refused].assign(reasons=joined).reset_index(drop=True)


def _failures(cases: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    whole = cases[cases["index"].isna()]
    if len(whole):
        first = whole.iloc[0]
        what = f"column {first['column'] or first['failure_case']!r} fails {first['check']!r} as a whole"
        raise DataError(what, "schema", "Check the layout under 'layouts' in conf/base/.")
    names = cases["column"].astype("str")
    checks = cases["check"].astype("str")
    values = cases["failure_case"].map(repr)
    texts = names + " " + values + " fails " + checks
    texts = texts.mask(checks == "not_nullable", names + " is missing")
    texts = texts.mask(checks.str.contains("unique"), names + " " + values + " comes twice")
    texts = texts.mask(cases["schema_context"] == "DataFrameSchema", checks + " does not hold")
    frame = pd.DataFrame({"index": cases["index"].astype(rows.index.dtype), "reason": texts})
    return frame.drop_duplicates().sort_values(["index", "reason"], ignore_index=True)


def counts(reasons: Iterable[str]) -> dict[str, int]:
    """Count the reasons of refused rows, the values in them left out, most frequent first."""
    series = pd.Series([part for text in reasons for part in text.split("; ")], dtype="str")
    kinds = series.str.replace(r" ('[^']*'|\S+) (?=fails|is not|comes)", " ", regex=True)
    return {kind: int(count) for kind, count in kinds.value_counts().items()}
