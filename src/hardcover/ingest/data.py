"""The data stage: read raw files, unify them, quarantine what is impossible, and split without a leak."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from kedro.pipeline import Pipeline

from hardcover import tasks
from hardcover.errors import DataError
from hardcover.incremental import stages
from hardcover.incremental.stages import Step
from hardcover.ingest import column_mapping as mappings
from hardcover.ingest import lookups, raw_files, splits
from hardcover.ingest import quarantine as refusal
from hardcover.ingest import schema as schemas
from hardcover.ingest import units as conversions
from hardcover.ingest.raw_files import FILE, ROW
from hardcover.ingest.waivers import waived

LATE = pd.Timedelta(hours=1)


def describe(waivers: dict[str, str], *, table: dict) -> dict:
    """Return the JSON Schema of one raw record; ``waivers`` as `waivers.waived` takes them.

    Raises
    ------
    HardcoverError
        As `waivers.waived` does.
    """
    return schemas.to_json_schema(waived(table, waivers))


def read_raw(files: list[str]) -> tuple[pd.DataFrame, dict]:
    """Read raw files.

    Returns
    -------
    tuple
        The rows as text with ``source_file`` and ``source_row``, and the source: its ``kind``, a ``description`` and facts of the ``files``.

    Raises
    ------
    DataError
        When no file is named.
    SourceError
        When one cannot be read.
    """
    return raw_files.collect(files)


def simulated(what: str, files: list[dict], simulator: dict) -> dict:
    """Return the source of simulated rows, as ``read_raw`` returns that of files.

    Parameters
    ----------
    what
        Tells people how much was simulated.
    files
        Facts of the files that the simulator stands in for.
    simulator
        Its parameters.
    """
    return {
        "kind": "simulator",
        "description": f"simulated: {what}",
        "files": files,
        "simulator": simulator,
    }


def unify_files(
    raw: pd.DataFrame, source: dict, column_mapping: dict, units: dict, *, table: dict
) -> pd.DataFrame:
    """Bring all raw rows into the schema's columns and units.

    Parameters
    ----------
    raw, source
        As ``read_raw`` returns them.
    column_mapping, units
        How each source writes the columns, and units that the library does not know, from ``conf/``.
    table
        The schema, as ``schema.as_data`` returns it.

    Returns
    -------
    pandas.DataFrame
        The schema's columns, ``source_file``, ``source_row``, and ``unreadable``: what could not be read.

    Raises
    ------
    SourceError
        When a file fits no mapping, a column is not numeric, or sources disagree on a unit.
    """
    known, wanted = conversions.known(units), schemas.units(table)
    column_mapping = mappings.with_own(column_mapping, table["columns"], source["files"])
    names = {file["name"]: mappings.match(file, column_mapping) for file in source["files"]}
    parts = []
    for file in source["files"]:
        name, mine = names[file["name"]], raw[raw[FILE] == file["name"]]
        mapping = mappings.present(column_mapping[name], file)
        where = f"{file['name']}, read by mapping {name!r}"
        rows, unreadable = mappings.convert(mine, mapping, wanted, where, known)
        rows = _typed(rows.reindex(columns=list(table["columns"])), table)
        parts.append(rows.assign(**{FILE: mine[FILE], ROW: mine[ROW]}, unreadable=unreadable))
    rows = pd.concat(parts, ignore_index=True)
    declared = {name: conversions.declared(column_mapping[used], wanted) for name, used in names.items()}
    conversions.check_units(rows, rows[FILE], declared, schemas.limits(table), known)
    return rows


def days(moments: pd.Series) -> pd.Series:
    """Return times as days since 1970-01-01 with their fractions, float64; what is missing is NaN.

    A number can be in a service's record and in a feature, where a time cannot.

    Examples
    --------
    >>> days(pd.Series(pd.to_datetime(["2024-01-01T12:00", None]))).tolist()
    [19723.5, nan]
    """
    return (moments - pd.Timestamp(0)) / pd.Timedelta(days=1)


def moments(column: pd.Series) -> pd.Series:
    """Return times as datetime64[us] in UTC, what is none as missing: an offset is applied, a time without one is UTC.

    Examples
    --------
    >>> found = moments(pd.Series(["2026-03-29T03:30:00+02:00", "2026-03-29 01:30:00.5", "never"]))
    >>> found.diff()[1], found.isna().tolist()
    (Timedelta('0 days 00:00:00.500000'), [False, False, True])
    """
    found = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    if found.isna().sum() > column.isna().sum():
        # Some other way of writing times, of which the first cell is the example.
        other = pd.to_datetime(column, errors="coerce", utc=True)
        found = other if other.notna().sum() > found.notna().sum() else found
    return found.dt.tz_localize(None).astype("datetime64[us]")


def _typed(rows: pd.DataFrame, table: dict) -> pd.DataFrame:
    for name, facts in table["columns"].items():
        if facts["kind"] == "time":
            rows[name] = moments(rows[name])
        else:
            rows[name] = rows[name].astype("float64" if facts["kind"] == "number" else "str")
    return rows


def quarantine_rows(unified: pd.DataFrame, *, table: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide clean rows from quarantined ones; the latter have ``rejections``, and ``source_file`` and ``source_row``."""
    columns = table["columns"]
    # An empty name is none.
    optional = [name for name, facts in columns.items() if facts["kind"] == "text" and facts["nullable"]]
    rows = unified.assign(**{name: unified[name].replace("", None) for name in optional})
    checked, refused = refusal.quarantine(rows.drop(columns="unreadable"), table, rows["unreadable"])
    whole = [name for name, facts in columns.items() if facts["kind"] == "number" and _is_whole(facts)]
    checked[whole] = checked[whole].astype("Int64")
    if len(checked) + len(refused) != len(unified):
        raise DataError(f"{len(unified)} rows became {len(checked)} clean and {len(refused)} quarantined")
    return checked, refused


def _is_whole(facts: dict) -> bool:
    return "enum" in facts and all(float(value).is_integer() for value in facts["enum"])


def split_rows(checked: pd.DataFrame, split: dict, task: str, *, table: dict) -> tuple[pd.DataFrame, dict]:
    """Add the column ``split`` by a policy of ``splits``; also returns what it was split by.

    Raises
    ------
    DataError, UnknownName
        As ``splits.assign`` does; and when the task cannot be learned from a part's target.
    """
    kind, roles = tasks.of(task), schemas.roles_of(table)
    kind.check_target(checked[roles["target"]], f"{len(checked)} clean rows")
    parts, words = splits.assign(checked, roles, split, kind.has_classes)
    clean = checked.assign(split=parts)
    for part in splits.PARTS:
        rows = clean.loc[clean["split"] == part, roles["target"]]
        kind.check_target(rows, f"the part {part!r} of {len(clean)} clean rows")
    return clean, {"by": words, "policy": split["by"]}


def report_rows(
    raw: pd.DataFrame,
    source: dict,
    clean: pd.DataFrame,
    quarantine: pd.DataFrame,
    split_report: dict,
    column_mapping: dict,
    task: str,
    waivers: dict[str, str],
    *,
    table: dict,
    replaced: dict[str, str] | None = None,
) -> dict:
    """Count what came in, what was refused and why, what was late, and how rows were split."""
    roles, late = schemas.roles_of(table), None
    if "time" in roles and "received" in roles:
        late = int((clean[roles["received"]] - clean[roles["time"]] > LATE).sum())
    column_mapping = mappings.with_own(column_mapping, table["columns"], source["files"])
    ignored = {file["name"]: mappings.ignored(file, column_mapping) for file in source["files"]}
    return {
        "source": source["description"],
        "rows": len(raw),
        "clean": len(clean),
        "quarantined": len(quarantine),
        "rejections": refusal.counts(quarantine["rejections"]),
        "late": late,
        "target": tasks.of(task).describe_target(clean[roles["target"]].dropna()),
        "split_by": split_report["by"],
        "split": {str(part): int(count) for part, count in clean["split"].value_counts().items()},
        "ignored_columns": {name: columns for name, columns in ignored.items() if columns},
        "waivers": waivers,
        "replaced": replaced or {},
    }


def create_pipeline(
    schema: Any,
    *,
    read: Callable = read_raw,
    unify: Callable = unify_files,
    validate: Callable = quarantine_rows,
    assign_split: Callable = split_rows,
    report: Callable = report_rows,
    fit_lookups: Callable | None = None,
) -> Pipeline:
    """Return the data stage's pipeline: from raw files to ``clean``.

    Parameters
    ----------
    schema
        The case's pandera schema; ``schema.as_data`` says what it may have.
    read, unify, validate, assign_split, report
        A project may give functions of its own. Their parameters name what they read: datasets, else parameters of the case; one
        called ``table`` gets the schema as plain data.
    fit_lookups
        Returns the tables of the features' lookups, each by the column that names its rows: a DataFrame with those names as its index,
        numbers, and lists of numbers. As ``clean`` it gets the rows of the part ``earlier`` alone, so that no table knows what a model
        is asked.

    Raises
    ------
    HardcoverError
        As ``schema.as_data`` does.
    """
    given = {
        "read": read,
        "unify": unify,
        "validate": validate,
        "assign_split": assign_split,
        "report": report,
    }
    names = stages.replaced(create_pipeline, given)
    shared = {"table": schemas.as_data(schema), **({"replaced": names} if names else {})}
    ours = {name: stages.bound(function, **shared) for name, function in given.items()}
    return stages.make(
        "data",
        [
            Step("describe", stages.bound(describe, **shared), "schema"),
            Step("read", ours["read"], ["raw", "source"]),
            Step("unify", ours["unify"], "unified"),
            Step("validate", ours["validate"], ["checked", "quarantine"]),
            Step("assign_split", ours["assign_split"], ["clean", "split_report"]),
            Step("report", ours["report"], "data_report"),
            *([Step("fit_lookups", lookups.fitted(fit_lookups), "lookups")] if fit_lookups else []),
        ],
    )
