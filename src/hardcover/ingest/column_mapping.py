"""How each source writes a case's columns: match a file with its mapping, convert its units.

Mappings are declared in ``conf/base/parameters_<case>.yml``::

    column_mapping:
      plant_b:
        moment: {column: moment_lbft, unit: lbf.ft}
        site: {column: Werk, optional: true}
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hardcover.errors import SourceError, closest, some
from hardcover.ingest.units import UNITS

MAX_UNREADABLE = 0.5


# The mapping of files that have a case's own columns already, such as its clean rows.
OWN = "the case's own columns"


def with_own(
    mappings: Mapping[str, dict], columns: Mapping[str, dict], files: Sequence[dict]
) -> dict[str, dict]:
    """Add the case's own columns as a mapping, when no mapping fits one of the files and this one does.

    Parameters
    ----------
    mappings
        By source.
    columns
        The schema's, as ``schema.as_data`` returns them.
    files
        Facts of files, with ``name`` and ``columns``.
    """
    own: dict[str, Any] = {
        name: {"column": name, "optional": True}
        if facts["nullable"] or facts["role"] in ("leak", "context")
        else name
        for name, facts in columns.items()
    }
    for file in files:
        if not _missing(own, file) and all(_missing(mapping, file) for mapping in mappings.values()):
            return {**mappings, OWN: own}
    return dict(mappings)


def _missing(mapping: dict, file: dict) -> list[str]:
    """List the columns that a mapping needs and the file does not have."""
    needed = (_column(rule) for rule in mapping.values() if not _is_optional(rule))
    return [column for column in needed if column not in file["columns"]]


def match(file: dict, mappings: Mapping[str, dict]) -> str:
    """Name the mapping whose columns the file has.

    Raises
    ------
    SourceError
        When no mapping fits: names what the nearest one misses, and the closest names found.
    """
    missing = {name: _missing(mapping, file) for name, mapping in mappings.items()}
    best = min(missing, key=lambda name: (len(missing[name]), name))
    if not missing[best]:
        # Of two that fit, the one that uses more of the file.
        fitting = [name for name in mappings if not missing[name]]
        return max(fitting, key=lambda name: len(present(mappings[name], file)))
    spare = [column for column in file["columns"] if column not in map(_column, mappings[best].values())]
    if 2 * len(missing[best]) > len(mappings[best]):
        raise SourceError(
            f"no mapping fits: the nearest, {best!r}, lacks {len(missing[best])} of its {len(mappings[best])} columns; the file "
            f"has {some(map(repr, file['columns']), 12)}",
            file["name"],
            "Add one for it under 'column_mapping' in conf/local/, or in conf/base/ to share it; README.md shows one.",
        )
    found = [f"column {column!r} is missing{_nearest(column, spare)}" for column in missing[best]]
    raise SourceError(
        "; ".join(found[:10]) + (f"; and {len(found) - 10} more" if len(found) > 10 else ""),
        f"{file['name']}, read by mapping {best!r}",
        "Rename it in the file, or map it under 'column_mapping' in conf/local/ (conf/base/ to share it).",
    )


def present(mapping: dict, file: dict) -> dict:
    """Return the part of a mapping whose columns the file has; only optional ones can be absent."""
    return {name: rule for name, rule in mapping.items() if _column(rule) in file["columns"]}


def ignored(file: dict, mappings: Mapping[str, dict]) -> list[str]:
    """List the file's columns that its mapping does not name."""
    mapped = {_column(rule) for rule in mappings[match(file, mappings)].values()}
    return [column for column in file["columns"] if column not in mapped]


def _nearest(column: str, spare: list[str]) -> str:
    near = closest(column, spare)
    return f"; found {near!r}" if near else ""


def _column(rule: str | dict) -> str:
    return rule if isinstance(rule, str) else rule["column"]


def _is_optional(rule: str | dict) -> bool:
    return isinstance(rule, dict) and rule.get("optional", False)


def convert(
    table: pd.DataFrame,
    mapping: dict,
    units: Mapping[str, str],
    where: str,
    known: Mapping[str, tuple] = UNITS,
) -> tuple[pd.DataFrame, pd.Series]:
    """Rename a file's columns and convert numbers to the schema's units.

    Parameters
    ----------
    table
        Rows of one file, as text.
    mapping
        The case's column -> the file's column, or ``{column, unit}`` for a measured one.
    units
        The case's measured columns -> the schema's unit.
    where
        The file and mapping, for messages.
    known
        How units convert, as ``units.UNITS`` has it.

    Returns
    -------
    tuple
        The converted columns, and for each row what could not be read: ``"moment 'n/a' is not a number"``, or "".

    Raises
    ------
    SourceError
        When a unit is unknown or most values of a column are no numbers.
    """
    converted, unreadable = {}, pd.Series("", index=table.index, dtype="str")
    for name, rule in mapping.items():
        texts = table[_column(rule)]
        if name not in units:
            converted[name] = texts
            continue
        factor, offset = _conversion(rule, name, units[name], where, known)
        numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
        wrong = numbers.isna() & texts.notna()
        given = int(texts.notna().sum())
        if given and wrong.sum() > MAX_UNREADABLE * given:
            raise SourceError(
                f"column {_column(rule)!r} is not numeric: {int(wrong.sum())} of {given} values, such as "
                f"{some([repr(text) for text in texts[wrong].head(3)])}",
                where,
                "Deliver numbers, or map another column under 'column_mapping' in conf/local/ (conf/base/ to share it).",
            )
        notes = name + " " + texts[wrong].map(repr) + " is not a number; "
        unreadable.loc[wrong] = unreadable.loc[wrong] + notes
        converted[name] = numbers * factor + offset if offset else numbers * factor
    return pd.DataFrame(converted, index=table.index), unreadable.str.removesuffix("; ")


def _conversion(
    rule: str | dict, name: str, unit: str, where: str, known: Mapping[str, tuple]
) -> tuple[float, float]:
    given = unit if isinstance(rule, str) else rule.get("unit", unit)
    if given == unit:
        return 1.0, 0.0
    if given not in known or known[given][0] != unit:
        fitting = [other for other, (target, *_) in known.items() if target == unit]
        what = f"unit {given!r} of {name!r} cannot become {unit!r}"
        fix = f"Use one of {some([unit, *fitting])}, or declare it under 'units' in conf/base/."
        raise SourceError(what, where, fix)
    return known[given][1:]
