"""Check raw records against the release's JSON Schema, and turn them into numbers.

The part of JSON Schema (draft 2020-12) that a release uses: ``properties`` with ``type``, ``minimum``,
``maximum`` and ``enum``, and ``required``. One addition, ``x-rules``, compares two fields of a record.
A category becomes its position in ``enum``; NaN and null both mean missing.
"""

import difflib
import math
import numbers
import operator
from collections.abc import Iterable, Mapping
from typing import NamedTuple

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MAX_SHOWN = 10
# Roles of fields that features read.
NUMERIC = (None, "ingredient")
UNSEEN = -1.0


class Problem(NamedTuple):
    """What is wrong with one field; ``row`` is None for a single record."""

    field: str
    message: str
    row: int | None = None

    def __str__(self) -> str:
        place = "" if self.row is None else f"row {self.row}, "
        return f"{place}{self.field}: {self.message}"


class InvalidRecord(ValueError):
    """A record that the schema refuses.

    Attributes
    ----------
    problems
        Every field's problem; the message shows the first ten.
    """

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        shown = "; ".join(map(str, problems[:MAX_SHOWN]))
        more = f"; and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
        super().__init__(shown + more)

    def __reduce__(self):
        return InvalidRecord, (self.problems,)


def hint(name: object, known: Iterable[str]) -> str:
    """Return which of the ``known`` names may be meant, to put behind a message; empty where none is near."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def names_of(table) -> list[str]:
    """Return the names of columns that ``encode_many`` takes."""
    return getattr(table, "column_names", None) or list(getattr(table, "columns", table))


class Fields:
    """The fields of a record, from its JSON Schema.

    Attributes
    ----------
    properties
        The rules of the fields that are numbers or categories, by name.
    others
        The rules of those that say when it was and about what, for windows; their ``x-role`` tells them apart.
    """

    def __init__(self, schema: dict):
        whole: dict[str, dict] = schema["properties"]
        self.properties = {name: rule for name, rule in whole.items() if rule.get("x-role") in NUMERIC}
        self.others = {name: rule for name, rule in whole.items() if name not in self.properties}
        self.required: set[str] = set(schema.get("required", ()))
        self.rules: list[dict] = schema.get("x-rules", [])
        self.levels = {name: rule["enum"] for name, rule in self.properties.items() if "enum" in rule}
        for name, levels in self.levels.items():
            if len(set(levels)) < len(levels):
                raise ValueError(f"the schema lists a level of {name!r} twice: {levels}")

    def encode(self, record: Mapping[str, object], validate: bool = True) -> dict[str, float]:
        """Turn one record into floats by field; missing becomes NaN, an unseen category -1.

        Raises
        ------
        InvalidRecord
            When ``validate`` and any field is absent, unknown, of another type, out of range or unseen, or a rule
            between two fields does not hold. Without ``validate``, only when a value is no number at all.
        """
        if not isinstance(record, Mapping):
            raise InvalidRecord([Problem("record", f"is a {type(record).__name__}, not a mapping of fields")])
        problems: list[Problem] = []
        values: dict[str, float] = {}
        for name, rule in self.properties.items():
            value = record.get(name)
            if value is None or (isinstance(value, numbers.Real) and value != value):
                values[name] = math.nan
                if validate and name in self.required:
                    problems.append(Problem(name, "is missing"))
                continue
            values[name], complaint = self._number(name, rule, value, validate)
            if complaint:
                problems.append(Problem(name, complaint))
        if validate:
            known = {**self.properties, **self.others}
            problems += [Problem(str(name), _unknown(name, known)) for name in record if name not in known]
            problems += [
                Problem(name, "is missing")
                for name in self.others
                if name in self.required and record.get(name) is None
            ]
            if not problems:
                problems = [
                    Problem(rule["left"], _broken(rule))
                    for rule in self.rules
                    if not _holds(rule, values[rule["left"]], values[rule["right"]])
                ]
        if problems:
            raise InvalidRecord(problems)
        return values

    def _number(self, name: str, rule: dict, value: object, validate: bool) -> tuple[float, str]:
        if name in self.levels:
            if isinstance(value, str) and value in self.levels[name]:
                return float(self.levels[name].index(value)), ""
            complaint = f"{_short(value)} is not one of {', '.join(self.levels[name])}"
            return UNSEEN, complaint if validate else ""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return math.nan, f"{_short(value)} is a {type(value).__name__}, not a number"
        try:
            number = float(value)
        except OverflowError:
            return math.inf, f"{_short(value)} is too large for a float"
        except (ArithmeticError, ValueError):
            return math.nan, f"{_short(value)} is no number of a float"
        return number, _out_of_range(number, rule) if validate else ""

    def encode_many(self, table, validate: bool = True) -> tuple[dict, int]:
        """Turn columns into float64 arrays by field; see ``encode``. Also gives the number of rows.

        ``table`` is a mapping of arrays, or a table that gives its columns by name, such as one of pyarrow, pandas
        or polars.
        """
        import numpy as np

        names = names_of(table)
        columns = {name: np.asarray(table[name]) for name in names if name in self.properties}
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise InvalidRecord([Problem("columns", f"have different lengths: {sorted(lengths)}")])
        rows = lengths.pop() if lengths else 0
        known = {**self.properties, **self.others}
        problems = [Problem(str(name), _unknown(name, known)) for name in names if name not in known]
        problems = problems if validate else []
        values = {}
        for name, _rule in self.properties.items():
            if name not in columns:
                values[name] = np.full(rows, math.nan)
                if name in self.required and validate:
                    problems.append(Problem(name, "is missing from the columns"))
            elif name in self.levels:
                values[name] = self._codes(name, columns[name])
            else:
                values[name], complaints = _numbers(name, columns[name])
                problems += complaints
        if validate and not problems:
            problems = self._check_many(values, columns)
        if problems:
            raise InvalidRecord(problems)
        return values, rows

    def _codes(self, name: str, column):
        import numpy as np

        codes = np.full(len(column), UNSEEN)
        for code, level in enumerate(self.levels[name]):
            codes[column == level] = code
        if column.dtype.kind in "Of":
            codes[np.array([value is None or value != value for value in column], dtype=bool)] = math.nan
        return codes

    def _check_many(self, values: dict, columns: dict) -> list[Problem]:
        import numpy as np

        found: list[Problem] = []
        for name, rule in self.properties.items():
            column = values[name]
            wrong = np.isnan(column) if name in self.required else np.zeros(len(column), dtype=bool)
            found += [Problem(name, "is missing", int(row)) for row in np.flatnonzero(wrong)[:100]]
            if name in self.levels:
                bad = np.flatnonzero(column == UNSEEN)[:100]
                known = ", ".join(self.levels[name])
                found += [
                    Problem(name, f"{_short(columns[name][row])} is not one of {known}", int(row))
                    for row in bad
                ]
            else:
                low, high = rule.get("minimum", -math.inf), rule.get("maximum", math.inf)
                bad = np.flatnonzero((column < low) | (column > high) | np.isinf(column))[:100]
                found += [Problem(name, _out_of_range(float(column[row]), rule), int(row)) for row in bad]
        for rule in self.rules:
            left, right = values[rule["left"]], values[rule["right"]]
            broken = ~(OPERATORS[rule["operator"]](left, right) | np.isnan(left) | np.isnan(right))
            found += [Problem(rule["left"], _broken(rule), int(row)) for row in np.flatnonzero(broken)[:100]]
        return found


def _numbers(name: str, column):
    import numpy as np

    if column.dtype.kind in "fiu":
        return column.astype(np.float64), []
    if column.dtype.kind == "O":
        lost = np.array([value is None for value in column], dtype=bool)
        real = [isinstance(value, numbers.Real) and not isinstance(value, bool) for value in column]
        wrong = np.flatnonzero(~(np.array(real, dtype=bool) | lost))
        if not len(wrong):
            return np.where(lost, math.nan, column).astype(np.float64), []
        complaint = f"{_short(column[wrong[0]])} is not a number"
        return np.full(len(column), math.nan), [Problem(name, complaint, int(wrong[0]))]
    return np.full(len(column), math.nan), [Problem(name, f"is a column of {column.dtype}, not of numbers")]


def _out_of_range(number: float, rule: dict) -> str:
    low, high = rule.get("minimum", -math.inf), rule.get("maximum", math.inf)
    if not low <= number <= high:
        return f"{number!r} is not between {low} and {high}"
    return f"{number!r} is not finite" if math.isinf(number) else ""


def _holds(rule: dict, left: float, right: float) -> bool:
    return left != left or right != right or OPERATORS[rule["operator"]](left, right)


def _broken(rule: dict) -> str:
    return f"must be {rule['operator']} {rule['right']}"


def _unknown(name: object, known: Mapping) -> str:
    return f"is not a field{hint(name, known)}"


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else repr(value[:60])
    return text if len(text) <= 62 else f"{text[:57]}..."
