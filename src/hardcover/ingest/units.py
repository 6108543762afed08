"""Units of measured columns: how they convert, and whether sources use those they declare."""

from collections.abc import Mapping

import pandas as pd

from hardcover.errors import SourceError

# unit -> (unit of the schema, factor, offset): value x factor + offset.
# NIST SP 811 (2008), appendix B.8: exact definitions of degree Celsius, degree Fahrenheit, pound-force and foot.
UNITS = {
    "K": ("K", 1.0, 0.0),
    "degC": ("K", 1.0, 273.15),
    "degF": ("K", 5 / 9, 459.67 * 5 / 9),
    "Nm": ("Nm", 1.0, 0.0),
    "lbf.ft": ("Nm", 4.4482216152605 * 0.3048, 0.0),
    "rpm": ("rpm", 1.0, 0.0),
    "1/s": ("rpm", 60.0, 0.0),
    "min": ("min", 1.0, 0.0),
    "h": ("min", 60.0, 0.0),
    "%": ("%", 1.0, 0.0),
    "1": ("1", 1.0, 0.0),
}
MIN_ROWS = 30


def known(declared: Mapping[str, Mapping]) -> dict[str, tuple[str, float, float]]:
    """Return all units: those above, and what ``units`` in ``conf/`` declares.

    Parameters
    ----------
    declared
        Unit -> ``{to, factor, offset}``: the schema's unit, and value x factor + offset; factor 1 and offset 0 may be left out.
    """
    ours = {
        name: (facts["to"], float(facts.get("factor", 1.0)), float(facts.get("offset", 0.0)))
        for name, facts in declared.items()
    }
    return UNITS | ours


def declared(mapping: Mapping[str, str | dict], units: Mapping[str, str]) -> dict[str, str]:
    """Map each measured column of a mapping to the unit that the source is declared to use."""
    rules = {name: rule for name, rule in mapping.items() if name in units}
    return {
        name: units[name] if isinstance(rule, str) else rule.get("unit", units[name])
        for name, rule in rules.items()
    }


def check_units(
    table: pd.DataFrame,
    by: pd.Series,
    declared_by: Mapping[str, Mapping[str, str]],
    limits: Mapping[str, tuple[float, float]],
    units: Mapping[str, tuple[str, float, float]] = UNITS,
) -> None:
    """Refuse sources whose values look as if they were in another unit than declared.

    A source is refused where its median lies outside the column's limits, or far from the other sources' (more than 0.75
    of their spread), and reading it in another known unit would explain it (inside the limits; within 0.15 of the
    spread). The spread is the interquartile range / 1.349, a normal distribution's standard deviation.

    Parameters
    ----------
    table
        Converted rows of all sources.
    by
        The source of each row.
    declared_by
        Source -> measured column -> the unit that its mapping declares.
    limits
        Each measured column's lowest and highest possible value.
    units
        How units convert, as ``known`` returns it.

    Raises
    ------
    SourceError
        Names the column, the source, the medians and the unit that would fit.
    """
    for column in limits:
        groups = {name: values.dropna() for name, values in table[column].groupby(by)}
        groups = {name: values for name, values in groups.items() if len(values) >= MIN_ROWS}
        for name, values in groups.items():
            unit = declared_by[name].get(column, "")
            if unit not in units:
                continue
            others = pd.concat([other for key, other in groups.items() if key != name] or [values.iloc[:0]])
            fitting = _fitting_unit(values.median(), others, unit, limits[column], units)
            if fitting:
                rest = f", the other sources' is {others.median():.4g}" if len(others) else ""
                raise SourceError(
                    f"sources disagree on the unit of {column!r}: declared in {unit!r}, source {name!r} has the median "
                    f"{values.median():.4g} {units[unit][0]}{rest}; read in {fitting!r} it would fit",
                    f"source {name!r}",
                    "Correct the unit under 'column_mapping' in conf/base/, or deliver the values in it.",
                )


def _fitting_unit(
    median: float, others: pd.Series, unit: str, limits: tuple[float, float], units: Mapping[str, tuple]
) -> str | None:
    low, high = limits
    spread = (others.quantile(0.75) - others.quantile(0.25)) / 1.349 if len(others) else 0.0
    outside = not low <= median <= high
    if not outside and not (spread and abs(median - others.median()) > 0.75 * spread):
        return None
    target, factor, offset = units[unit]
    as_delivered = (median - offset) / factor
    for other, (other_target, other_factor, other_offset) in units.items():
        reread = as_delivered * other_factor + other_offset
        near = spread and abs(reread - others.median()) <= 0.15 * spread
        alone = outside and not spread and low <= reread <= high
        if other_target == target and other != unit and (near or alone):
            return other
    return None
