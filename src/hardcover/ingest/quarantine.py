"""Quarantine: the rows that a schema refuses, each with all its rejections."""

from collections.abc import Iterable

import pandas as pd
import pandera.pandas as pa

from hardcover.errors import DataError, some
from hardcover.ingest.schema import as_pandera


def quarantine(rows: pd.DataFrame, schema: dict, unreadable: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide rows into those that keep to the schema and those that do not.

    Parameters
    ----------
    rows
        Unified rows with a unique index.
    schema
        Column, uniqueness and cross-column checks, as ``schema.as_data`` returns them.
    unreadable
        What is known to be wrong with a row already, or "".

    Returns
    -------
    tuple
        The clean rows, in the schema's columns, and the refused rows with one more column, ``rejections``: all that is
        wrong, separated by "; ". Together they are all rows.

    Raises
    ------
    DataError
        When every row is refused; the most frequent rejections are named.
    """
    try:
        as_pandera(schema).validate(rows, lazy=True)
        failures = pd.DataFrame({"index": [], "rejection": []})
    except pa.errors.SchemaErrors as error:
        failures = _failures(error.failure_cases, rows)
    known = unreadable[unreadable != ""]
    found = pd.concat(
        [known.rename("rejection").rename_axis("index").reset_index(), failures], ignore_index=True
    )
    # A value that could not be read is missing, too; the first rejection says more.
    found = found.drop_duplicates()
    refused = rows.index.isin(found["index"])
    if refused.all():
        counts = found["rejection"].str.replace(r"'[^']*'|[-\d.e+]{4,}", "…", regex=True).value_counts()
        most = some([f"{rejection} ({count})" for rejection, count in counts.items()])
        raise DataError(
            f"all {len(rows)} rows are quarantined: {most}",
            f"schema {schema['name']!r}",
            "Check the units and columns under 'column_mapping' in conf/base/.",
        )
    joined = found.groupby("index", sort=False)["rejection"].agg("; ".join)
    clean = rows.loc[~refused, list(schema["columns"])].reset_index(drop=True)
    return clean, rows.loc[refused].assign(rejections=joined).reset_index(drop=True)


def _failures(cases: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    whole = cases[cases["index"].isna()]
    if len(whole):
        first = whole.iloc[0]
        what = f"column {first['column'] or first['failure_case']!r} fails {first['check']!r} as a whole"
        raise DataError(what, "schema", "Check the source under 'column_mapping' in conf/base/.")
    names = cases["column"].astype("str")
    checks = cases["check"].astype("str")
    values = cases["failure_case"].map(repr)
    texts = names + " " + values + " fails " + checks
    texts = texts.mask(checks == "not_nullable", names + " is missing")
    texts = texts.mask(checks.str.contains("unique"), names + " " + values + " comes twice")
    texts = texts.mask(cases["schema_context"] == "DataFrameSchema", checks + " does not hold")
    frame = pd.DataFrame({"index": cases["index"].astype(rows.index.dtype), "rejection": texts})
    return frame.drop_duplicates().sort_values(["index", "rejection"], ignore_index=True)


def counts(rejections: Iterable[str]) -> dict[str, int]:
    """Count the rejections of refused rows, the values in them left out, most frequent first."""
    series = pd.Series([part for text in rejections for part in text.split("; ")], dtype="str")
    kinds = series.str.replace(r" ('[^']*'|\S+) (?=fails|is not|comes)", " ", regex=True)
    return {kind: int(count) for kind, count in kinds.value_counts().items()}
