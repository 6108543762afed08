"""A case's schema: written in pandera, kept as plain data, carried in the wheel as JSON Schema, enforced by quarantine.

A column's ``metadata`` say its role and its unit:

``input``
    The model may use it, and features.
``ingredient``
    Features may use it, and a service's record has it; the model does not see it. Such as the number of a day, which lies
    beyond everything learned once a model is in use, while its weekday does not.
``target``
    What is predicted; one column.
``leak``
    Known only with or after the target: kept for analysis, never a feature, unless ``waivers`` in ``conf/`` say why.
``key``
    Names the row.
``entity``
    What the row is about, such as a machine, a card or a patient: splits keep its rows together.
``time``, ``received``, ``known``
    When it happened, when it arrived, and when its target and leaks were known; windows see no event earlier.
``event``
    Whether it happened, 1 or 0; without one, all rows did. What did not is only asked about, and no window sees it.
``query``
    Of a ranking: rows with the same one are ranked against each other.
``weight``
    How much the row counts.
``context``
    Anything else that is kept.
"""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from hardcover.errors import HardcoverError, some
from hardcover.ingest.raw_files import FILE, ROW
from hardcover.runtime.records import OPERATORS

ROLES = (
    "input",
    "ingredient",
    "target",
    "leak",
    "key",
    "entity",
    "time",
    "received",
    "known",
    "event",
    "query",
    "weight",
    "context",
)
# The roles of what a service's record has.
ASKED = ("input", "ingredient")
# Of these, a schema has one column or none.
SINGLE = ("target", "key", "entity", "time", "received", "known", "event", "query", "weight")
# Names that the library gives to columns of its own.
RESERVED = {FILE, ROW, "split", "unreadable", "rejections", "score"}
DTYPES = {"number": float, "text": str, "time": "datetime64[us]"}


def measured(
    unit: str, low: float, high: float, description: str, role: str = "input", **options: Any
) -> pa.Column:
    """Describe a number from ``low`` to ``high`` in ``unit``; unless ``nullable``, it may not be missing."""
    metadata = {"role": role, "unit": unit}
    return pa.Column(
        float, pa.Check.in_range(low, high), metadata=metadata, description=description, **options
    )


def number(unit: str, description: str, role: str = "input", nullable: bool = True) -> pa.Column:
    """Describe a number in ``unit`` of which no limits are known yet, so no row is refused for it."""
    return pa.Column(float, nullable=nullable, metadata={"role": role, "unit": unit}, description=description)


def flag(role: str, description: str, nullable: bool = False) -> pa.Column:
    """Describe a column of zeros and ones."""
    metadata = {"role": role, "unit": "1"}
    return pa.Column(
        float, pa.Check.isin([0, 1]), nullable=nullable, metadata=metadata, description=description
    )


def category(role: str, levels: list[str], description: str, **options: Any) -> pa.Column:
    """Describe a column that has one of a few texts."""
    return pa.Column(str, pa.Check.isin(levels), metadata={"role": role}, description=description, **options)


def text(role: str, description: str, **options: Any) -> pa.Column:
    """Describe a column of text."""
    return pa.Column(str, metadata={"role": role}, description=description, **options)


def moment(role: str, description: str, nullable: bool = True) -> pa.Column:
    """Describe a column of times, to the microsecond."""
    return pa.Column("datetime64[us]", nullable=nullable, metadata={"role": role}, description=description)


def rule(left: str, comparison: str, right: str) -> pa.Check:
    """Make a check that compares two columns of a row; missing values pass.

    Examples
    --------
    >>> rule("highest", ">=", "lowest").name
    'highest >= lowest'
    """
    compare = OPERATORS[comparison]
    return pa.Check(
        lambda rows: compare(rows[left], rows[right]) | rows[left].isna() | rows[right].isna(),
        name=f"{left} {comparison} {right}",
        ignore_na=False,
    )


def as_data(schema: pa.DataFrameSchema) -> dict:
    """Return a schema as plain data: ``name``, ``columns`` by name, ``rules``.

    Of a column: ``kind`` (number, text or time), ``role``, ``nullable``, and where it has them ``unit``, ``unique``, ``minimum``,
    ``maximum``, ``enum`` and ``description``. Checks that are understood: ``ge``, ``le``, ``in_range``, ``isin`` on columns,
    ``rule`` on the frame.

    Raises
    ------
    HardcoverError
        When a column has a name of the library's own, no known role, another type or a check of another kind; when a role that one column has is given twice.
    """
    where = f"schema {schema.name!r}"
    columns = {name: _column(name, column, where) for name, column in schema.columns.items()}
    for role in SINGLE:
        found = [name for name, facts in columns.items() if facts["role"] == role]
        if len(found) > 1 or (role == "target" and not found):
            raise HardcoverError(
                f"{len(found)} columns are the {role}", where, f"Give the role {role!r} to one."
            )
    rules = [check.name.split(" ") for check in schema.checks]
    for parts in rules:
        if len(parts) != 3 or parts[1] not in OPERATORS or not {parts[0], parts[2]} <= columns.keys():
            raise HardcoverError(
                f"the check {' '.join(parts)!r} compares no two columns", where, "Use schema.rule."
            )
    named = [dict(zip(("left", "operator", "right"), parts, strict=True)) for parts in rules]
    return {"name": schema.name, "columns": columns, "rules": named}


def _column(name: str, column: pa.Column, where: str) -> dict:
    metadata = column.metadata or {}
    if name in RESERVED:
        fix = "Give it another name in the schema, and map it under 'column_mapping' in conf/."
        raise HardcoverError(f"the column name {name!r} is the library's own", where, fix)
    if metadata.get("role") not in ROLES:
        raise HardcoverError(f"column {name!r} has no role", where, f"Use one of {some(ROLES, 12)}.")
    dtype = pd.api.types.pandas_dtype(column.dtype.type)
    kinds = {"number": dtype.kind in "f", "text": dtype.kind in "OU", "time": dtype.kind == "M"}
    kind = next((kind for kind, fits in kinds.items() if fits), None)
    if kind is None:
        raise HardcoverError(
            f"column {name!r} is of type {column.dtype}", where, "Use float, str or datetime64[us]."
        )
    constraints = _constraints(column)
    if metadata["role"] in ASKED and kind != "number" and "enum" not in constraints:
        fix = "Name its levels (schema.category), or give it the role 'context'."
        raise HardcoverError(f"the input {name!r} is {kind} without known levels", where, fix)
    facts = {"kind": kind, "role": metadata["role"], "nullable": bool(column.nullable)}
    optional = {
        "unit": metadata.get("unit"),
        "unique": bool(column.unique),
        "description": column.description,
    }
    return {**facts, **{key: value for key, value in optional.items() if value}, **constraints}


def _constraints(column: pa.Column) -> dict:
    facts: dict = {}
    for check in column.checks:
        numbers = check.statistics
        inclusive = numbers.get("include_min", True) and numbers.get("include_max", True)
        if check.name == "in_range" and inclusive:
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


def as_pandera(schema: dict) -> pa.DataFrameSchema:
    """Return the pandera schema of plain data."""
    columns = {}
    for name, facts in schema["columns"].items():
        checks = []
        if "enum" in facts:
            checks.append(pa.Check.isin(facts["enum"]))
        if "minimum" in facts and "maximum" in facts:
            checks.append(pa.Check.in_range(facts["minimum"], facts["maximum"]))
        elif "minimum" in facts:
            checks.append(pa.Check.ge(facts["minimum"]))
        elif "maximum" in facts:
            checks.append(pa.Check.le(facts["maximum"]))
        columns[name] = pa.Column(
            DTYPES[facts["kind"]],
            checks,
            nullable=facts["nullable"],
            unique=facts.get("unique", False),
            # The first of equal rows is kept.
            report_duplicates="exclude_first",
        )
    checks = [rule(each["left"], each["operator"], each["right"]) for each in schema["rules"]]
    return pa.DataFrameSchema(columns, checks=checks, name=schema["name"])


def columns_with(schema: dict, *roles: str) -> list[str]:
    """List the columns that have one of the ``roles``, in the schema's order."""
    return [name for name, facts in schema["columns"].items() if facts["role"] in roles]


def roles_of(schema: dict) -> dict[str, str]:
    """Map each role that only one column can have to that column."""
    return {facts["role"]: name for name, facts in schema["columns"].items() if facts["role"] in SINGLE}


def units(schema: dict) -> dict[str, str]:
    """Map each number to its unit; without one, ``1``."""
    numbers = {name: facts for name, facts in schema["columns"].items() if facts["kind"] == "number"}
    return {name: facts.get("unit", "1") for name, facts in numbers.items()}


def limits(schema: dict) -> dict[str, tuple[float, float]]:
    """Map each number to its lowest and highest possible value."""
    found = {name: schema["columns"][name] for name in units(schema)}
    infinite = float("inf")
    return {
        name: (facts.get("minimum", -infinite), facts.get("maximum", infinite))
        for name, facts in found.items()
    }


def to_json_schema(schema: dict) -> dict:
    """Return the JSON Schema (draft 2020-12) of one raw record: inputs and ingredients, in the schema's order.

    Besides: ``x-rules`` between them, ``x-unit`` of a number, ``x-role`` of an ingredient, ``x-roles``, which column has which role,
    ``x-classes``, the target's values where they are few, and ``x-columns``, what windows may look at.
    """
    inputs, roles = columns_with(schema, *ASKED), roles_of(schema)
    rules = [each for each in schema["rules"] if each["left"] in inputs and each["right"] in inputs]
    classes = schema["columns"][roles["target"]].get("enum")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema["name"],
        "type": "object",
        "properties": {name: _property(schema["columns"][name]) for name in inputs},
        "required": [name for name in inputs if not schema["columns"][name]["nullable"]],
        "additionalProperties": False,
        "x-rules": rules,
        "x-roles": roles,
        **({"x-classes": classes} if classes else {}),
        "x-columns": {
            name: {key: facts[key] for key in ("kind", "role", "nullable")}
            for name, facts in schema["columns"].items()
        },
    }


def _property(facts: dict) -> dict:
    kept = {key: facts[key] for key in ("minimum", "maximum", "enum") if key in facts}
    described = {"description": facts["description"]} if "description" in facts else {}
    described |= {"x-unit": facts["unit"]} if "unit" in facts else {}
    described |= {"x-role": facts["role"]} if facts["role"] == "ingredient" else {}
    if facts["kind"] == "text":
        return {"type": "string", **kept, **described}
    if "enum" in kept:
        levels = kept.pop("enum")
        kept |= {"minimum": min(levels), "maximum": max(levels)}
    return {"type": ["number", "null"] if facts["nullable"] else "number", **kept, **described}
