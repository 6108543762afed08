"""What was served, and what became known of it later: the versions of ``{case}.served`` and ``{case}.labels``."""

from pathlib import Path

import numpy as np
import pandas as pd

from hardcover import settings
from hardcover.errors import HardcoverError
from hardcover.monitoring.reference import Reference
from hardcover.store import versions

SERVED, LABELS = "served", "labels"
# What tells one answer from another: the request, and the row in it.
KEY = ["id", "row"]


def known(case: str, name: str) -> list[str]:
    """Return the versions of a dataset of a case, oldest first."""
    place = _place(case, name)
    return sorted(versions.committed(place)) if place else []


def read(case: str, name: str, which: list[str], columns: list[str] | None = None) -> pd.DataFrame:
    """Return the rows of some versions, one after the other, with the ``version`` of each; empty without versions.

    Parameters
    ----------
    case, name
        The case, and the dataset's.
    which
        The versions.
    columns
        What is read; None: all.
    """
    place, tables = _place(case, name), []
    for version in which:
        assert place is not None
        files = sorted((place / version).glob("*.parquet"))
        tables += [pd.read_parquet(file, columns=columns).assign(version=version) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*KEY, "version"])


def find(case: str, which: list[str], wanted: pd.DataFrame) -> pd.DataFrame:
    """Return the answers of some requests, each once, with what ``wanted`` says of them besides ``id`` and ``row``; versions without any are not read."""
    ids = read(case, SERVED, which, KEY)
    mine = ids.merge(wanted[KEY], on=KEY) if len(ids) else ids
    rows = read(case, SERVED, sorted(mine["version"].unique())).drop_duplicates(KEY)
    return rows.drop(columns="version").merge(wanted, on=KEY)


def _place(case: str, name: str) -> Path | None:
    return versions.by_dataset(Path(settings.read("data.root"))).get(f"{case}.{name}")


def served(case: str) -> pd.DataFrame:
    """Return all that was served.

    Raises
    ------
    HardcoverError
        When nothing was collected.
    """
    table = read(case, SERVED, known(case, SERVED))
    if table.empty:
        fix = "Log what is served, `hardcover serve CASE --log FOLDER`, and `hardcover collect FOLDER`."
        raise HardcoverError("nothing was collected of what was served", f"case {case!r}", fix)
    return table


def inputs(table: pd.DataFrame, reference: Reference) -> np.ndarray:
    """Return the logged records as a model sees them, shape (rows, inputs), float64: missing where the log does not have a field.

    Raises
    ------
    HardcoverError
        When it has none: the service was told to keep no inputs.
    """
    if reference.release.has_windows:
        return _seen(table, reference)
    fields, found = reference.release.fields, {}
    if not any(f"input.{name}" in table for name in fields):
        raise HardcoverError("the log has no inputs", reference.release.name, "Serve with --log-inputs yes.")
    for name, rule in fields.items():
        column = table.get(f"input.{name}")
        if "enum" in rule:
            texts = [None] * len(table) if column is None else column.astype(object)
            found[name] = np.array([text if isinstance(text, str) else None for text in texts], dtype=object)
        else:
            numbers = np.nan if column is None else pd.to_numeric(column, errors="coerce")
            found[name] = np.broadcast_to(np.asarray(numbers, dtype=np.float64), len(table))
    return reference.model.inputs_of(found, validate=False)


def has_inputs(table: pd.DataFrame, reference: Reference) -> bool:
    """Check whether the log has what a model sees; where features look at the past, it has what the model saw that answered."""
    return not reference.release.has_windows or {*reference.release.seen} <= {*table.columns}


def _seen(table: pd.DataFrame, reference: Reference) -> np.ndarray:
    if not has_inputs(table, reference):
        lost = sorted({*reference.release.seen} - {*table.columns})
        what = f"the log lacks what the model saw: {', '.join(lost[:5])}"
        fix = "Serve with --log-inputs yes, and a wheel that was released by this version."
        raise HardcoverError(what, reference.release.name, fix)
    return table[reference.release.seen].to_numpy(dtype=np.float64)


def fresh(table: pd.DataFrame, known: pd.DataFrame, now: pd.Timestamp) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows that count, in the order of time, and how many do not: sent ``twice``, or from the ``future``."""
    twice = table.duplicated(KEY).to_numpy()
    if len(known):
        twice = twice | pd.MultiIndex.from_frame(table[KEY]).isin(pd.MultiIndex.from_frame(known[KEY]))
    future = (table["time"] > now).to_numpy() & ~twice
    kept = table[~twice & ~future].sort_values(["time", *KEY], ignore_index=True)
    return kept, {"twice": int(twice.sum()), "future": int(future.sum())}
