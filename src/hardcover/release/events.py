"""A case's rows as the records that a wheel with windows takes: asked about, and observed."""

from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from hardcover.runtime import features, lookups, window_plan, windows
from hardcover.runtime.online import Online
from hardcover.runtime.records import Fields


def schema_with_fields(schema: dict, plan: dict) -> dict:
    """Return the JSON Schema of a record with the fields that windows and lookups need: when it was, and about what.

    Parameters
    ----------
    schema
        As ``ingest.schema.to_json_schema`` returns it.
    plan
        The feature plan.
    """
    added, required = {}, []
    for name in fields_beside(plan):
        facts = schema["x-columns"][name]
        # An input that they go by is a field already.
        if name in schema["properties"]:
            continue
        optional = facts["nullable"] or facts["role"] in ("received", "key")
        kind = ["string", "null"] if optional else "string"
        form = {"format": "date-time"} if facts["kind"] == "time" else {}
        added[name] = {"type": kind, **form, "x-role": facts["role"]}
        required += [] if optional else [name]
    if not added:
        return schema
    return {
        **schema,
        "properties": {**schema["properties"], **added},
        "required": [*schema["required"], *required],
    }


def fields_beside(plan: dict) -> list[str]:
    """Return the columns that a record has for the sake of windows and lookups."""
    return list(dict.fromkeys([*(plan.get("events") or {}).get("fields", []), *plan.get("tables", {})]))


def happened(rows: pd.DataFrame, roles: dict[str, str]) -> np.ndarray | None:
    """Return which rows are events, shape (rows,), bool; None where all are, since no column says otherwise."""
    return rows[roles["event"]].to_numpy(dtype=np.float64) == 1 if roles.get("event") in rows else None


def observed(rows: pd.DataFrame, plan: dict) -> dict[str, list] | None:
    """Return those of the rows that happened as events: lists by field that JSON can hold, in order of arrival.

    None where nothing has windows.
    """
    facts = plan.get("events")
    if not facts:
        return None
    which = happened(rows, plan["roles"])
    rows = rows if which is None else rows[which]
    names = dict.fromkeys(
        [*facts["fields"], *facts["columns"], *([facts["known"]] if facts["known"] else [])]
    )
    ordered = rows.loc[_arrival(rows, plan["roles"]).sort_values(kind="stable").index]
    return {name: plain(ordered[name]) for name in names}


def _arrival(rows: pd.DataFrame, roles: dict[str, str]) -> pd.Series:
    """Return when each row arrived: when it happened, where nothing else is said."""
    return rows[roles.get("received") or roles["time"]].fillna(rows[roles["time"]])


def plain(column: pd.Series) -> list:
    """Return a column as JSON can hold it: times by ISO 8601, what is missing as None."""
    if column.dtype.kind == "M":
        texts = np.datetime_as_string(column.to_numpy().astype("datetime64[us]"), unit="us")
        return [None if text == "NaT" else text for text in texts.tolist()]
    values = column.astype(object).where(column.notna(), None)
    return [value.item() if hasattr(value, "item") else value for value in values]


def online_of(module: ModuleType, schema: dict, plan: dict) -> Online | None:
    """Return the windows of a features module with histories in memory; None where there are none.

    Parameters
    ----------
    module
        The features module.
    schema, plan
        The case's JSON Schema and its feature plan.
    """
    found, columns = windows.discover(module), schema["x-columns"]
    if not found:
        return None
    fields, tables = Fields(schema), lookups.Tables(lookups.discover(module), plan.get("tables", {}), columns)
    beside = [*window_plan.columns_beside(found, columns), *tables.names]
    steps = features.resolve(features.discover(module), [*fields.properties, *beside])
    parameters = {step.name: step.parameters for step in steps}
    return Online(window_plan.resolve(found, columns, parameters, tables), fields, steps, tables)


def fill(online: Online, clean: pd.DataFrame, plan: dict, until: pd.Timestamp | None) -> int:
    """Observe what had arrived before a moment, with the labels that were known by then; returns how many events that were.

    Parameters
    ----------
    online
        As ``online_of`` returns it, with the histories to fill; events that they have already are passed over.
    clean, plan
        The case's clean rows and its feature plan.
    until
        The moment, UTC; None: all.
    """
    facts = plan["events"]
    rows = clean if until is None else clean[_arrival(clean, plan["roles"]) < until]
    labels = [name for name in online.plan.labels if name in rows]
    if until is not None and facts["known"]:
        unknown = ~(rows[facts["known"]] < until)
        rows = rows.assign(**{name: rows[name].mask(unknown) for name in [facts["known"], *labels]})
    count = 0
    for record in records(observed(rows, plan) or {}):
        count += online.observe(record)
    return count


def past_of(
    rows: pd.DataFrame, clean: pd.DataFrame, module: ModuleType, schema: dict, plan: dict
) -> list[dict] | None:
    """Return what the windows of some rows hold, as the runtime answers it; None where nothing has windows.

    Parameters
    ----------
    rows
        Some of ``clean``.
    clean
        All events.
    module
        The features module.
    schema, plan
        The JSON Schema and the feature plan.
    """
    online = online_of(module, schema, plan)
    if online is None:
        return None
    fields, looks = Fields(schema), online.plan
    online.histories.keep = None
    related = np.zeros(len(clean), dtype=bool)
    for by in looks.entities:
        mine = pd.MultiIndex.from_frame(rows[list(by)])
        related |= pd.MultiIndex.from_frame(clean[list(by)]).isin(mine)
    fill(online, clean[related], plan, None)
    names = [*fields.properties, *plan["events"]["fields"], *plan["events"]["columns"]]
    asked = {name: plain(rows[name]) for name in dict.fromkeys(names) if name not in looks.labels}
    answers = []
    for record in records(asked):
        values = online.inputs(
            record, fields.encode({k: record[k] for k in fields.properties}, validate=False)
        )
        answers.append({name: values[name] for name in looks.windows})
    return answers


def records(columns: dict[str, list]) -> list[dict[str, Any]]:
    """Return the rows of lists by field."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
