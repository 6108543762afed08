"""The tables of lookups, fitted on rows that no model learns from."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hardcover.errors import DataError
from hardcover.ingest.splits import EARLIER


def fitted(fit: Callable) -> Callable:
    """Return a project's ``fit_lookups`` as a node's function: ``clean`` has the part ``earlier`` alone, and tables come as plain data.

    Raises
    ------
    DataError
        When called, and there is no such row, or a table has two rows of one name or what is no number.
    """

    @functools.wraps(fit)
    def fit_lookups(*given: Any, **named: Any) -> dict[str, dict]:
        asked = inspect.signature(fit).bind(*given, **named).arguments
        found = fit(**{**asked, "clean": _earlier(asked["clean"])})
        return {by: _plain(by, table) for by, table in found.items()}

    return fit_lookups


def _earlier(clean: pd.DataFrame) -> pd.DataFrame:
    rows = clean[clean["split"] == EARLIER]
    if rows.empty:
        fix = f"Let assign_split give some rows the part {EARLIER!r}: a model must not learn from rows that its tables know."
        raise DataError("there are no rows to fit tables on", "node fit_lookups", fix)
    return rows


def _plain(by: str, table: pd.DataFrame) -> dict[str, list | dict]:
    """Return a table as ``runtime.lookups.Tables`` takes it."""
    names = table.index.astype("str")
    if names.hasnans or names.duplicated().any():
        first = names[names.duplicated() | names.isna()][0]
        raise DataError(
            f"the table by {by!r} has {first!r} twice", "node fit_lookups", "Return one row of each name."
        )
    columns = {str(name): [_value(by, str(name), value) for value in table[name]] for name in table}
    rows = zip(*columns.values(), strict=True)
    return {"columns": list(columns), "rows": dict(zip(names, map(list, rows), strict=True))}


def _value(by: str, name: str, value: Any) -> float | list | None:
    if isinstance(value, list | tuple | np.ndarray):
        return [_value(by, name, each) for each in value]
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        fix = "Tables hold numbers, and lists of numbers of one length."
        raise DataError(
            f"{name!r} of the table by {by!r} has {value!r:.60}", "node fit_lookups", fix
        ) from error
    return number if np.isfinite(number) else None
