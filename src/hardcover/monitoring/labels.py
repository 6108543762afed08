"""Labels that come late: what became known of answers, each version what is new or corrected."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hardcover import tasks
from hardcover.errors import HardcoverError, SourceError, closest, some
from hardcover.ingest.raw_files import read_table
from hardcover.lineage import git_state, run_records
from hardcover.monitoring import answers
from hardcover.monitoring.answers import KEY, LABELS, SERVED
from hardcover.monitoring.reference import champion
from hardcover.project.context import open_context
from hardcover.store import disk, run_lock

# When a label became known, where the file says it.
KNOWN = "known"
SHOWN = 5


def take(case: str, files: list[Path], env: str | None = None) -> dict[str, Any]:
    """Save what files say of answers as a version of ``{case}.labels``.

    A file has the columns ``id``, the request's, ``row`` in the request where it had several records, the case's target, and where
    it is known ``known``, the time at which the label was. A label that is there already is not saved again; one that says something else than before is a
    correction, and the newest counts.

    Returns
    -------
    dict
        ``new``, ``corrected``, ``repeated``, ``unserved`` (kept, though no answer of that ``id`` and ``row`` was collected yet), ``refused`` with
        the first few reasons, and the ``version``; None where nothing was new.

    Raises
    ------
    SourceError
        When a file cannot be read, lacks a column, or no row of it is a label; nothing is saved.
    """
    pointer = champion(case)
    plan = run_records.load_json(run_records.outputs(pointer["run"]).get(f"{case}.feature_plan", {}))
    if plan is None:
        fix = "Restore the data folder, or train a new champion."
        raise HardcoverError("the champion's feature plan is gone", f"run {pointer['run']}", fix)
    with run_lock.alone():
        found, refused, task = [], [], task_of(case, env)
        for file in files:
            table, wrong = _read(file, plan, task)
            found.append(table)
            refused += wrong
        fresh = pd.concat(found, ignore_index=True)
        twice = fresh.groupby(KEY)["target"].transform("nunique") > 1
        if twice.any():
            names = sorted(
                {f"id {name}, row {row}" for name, row in fresh.loc[twice, KEY].itertuples(index=False)}
            )
            refused += [f"{name}: labels that contradict each other" for name in names]
        fresh = fresh[~twice].drop_duplicates(KEY, keep="last")
        before = newest(case)
        joined = fresh.merge(
            before[[*KEY, "target"]], on=KEY, how="left", suffixes=("", "_before"), indicator=True
        )
        there = (joined["_merge"] == "both").to_numpy()
        repeated = there & (joined["target"] == joined["target_before"]).to_numpy()
        kept = joined.loc[~repeated, [*KEY, "target", KNOWN]].sort_values(KEY, ignore_index=True)
        known = answers.read(case, SERVED, answers.known(case, SERVED), KEY)[KEY].drop_duplicates()
        unserved = len(kept) - len(kept.merge(known, on=KEY))
        version = _save(case, kept, files, env) if len(kept) else None
    return {
        "new": int((~there).sum()),
        "corrected": int((there & ~repeated).sum()),
        "repeated": int(repeated.sum()),
        "unserved": int(unserved),
        "refused": len(refused),
        "reasons": refused[:SHOWN],
        "version": version,
    }


def newest(case: str, which: list[str] | None = None) -> pd.DataFrame:
    """Return the newest label of each answer: ``id``, ``row``, ``target``, ``known``, and the ``version`` that it came with.

    Parameters
    ----------
    which
        Versions, oldest first; None: all.
    """
    table = answers.read(case, LABELS, answers.known(case, LABELS) if which is None else which)
    if table.empty:
        empty = {"id": "str", "row": "int64", "target": "float64", KNOWN: "datetime64[us]", "version": "str"}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()})
    return table.drop_duplicates(KEY, keep="last").sort_values(KEY, ignore_index=True)


def task_of(case: str, env: str | None) -> tasks.Task:
    """Return the task of a case, as ``conf/`` has it."""
    return tasks.of(open_context(env, None).params[case]["task"])


def _read(file: Path, plan: dict, task: tasks.Task) -> tuple[pd.DataFrame, list[str]]:
    """Return a file's labels, a class by its position, and why rows were refused."""
    table, target = read_table(file), plan["roles"]["target"]
    for name in ("id", target):
        if name not in table:
            near = closest(name, list(table.columns))
            what = f"column {name!r} is missing" + (
                f"; found {near!r}" if near else f"; found {some(map(repr, table))}"
            )
            raise SourceError(
                what, str(file), f"Deliver columns id, {target}, and row where a request had several records."
            )
    classes = task.classes(plan["classes"] or None)
    values = (
        table[target]
        if classes and isinstance(classes[0], str)
        else pd.to_numeric(table[target], errors="coerce")
    )
    found = pd.DataFrame(
        {
            "id": table["id"].astype("str"),
            "row": pd.to_numeric(
                table["row"] if "row" in table else pd.Series(0, table.index), errors="coerce"
            ),
            "target": task.codes(values, classes),
            KNOWN: _moments(table),
        }
    )
    allowed = found["target"].isin(range(len(classes))) if classes else np.isfinite(found["target"])
    no_row = found["row"].isna() | (found["row"] % 1 != 0)
    good = allowed & ~no_row & table["id"].notna() & found[KNOWN].notna()
    wrong = [
        f"line {line + 2} of {file.name}: "
        + (
            "no id"
            if pd.isna(table["id"].iloc[line])
            else f"{target} {table[target].iloc[line]!r}"
            if not allowed.iloc[line]
            else "row or time is none"
        )
        for line in np.flatnonzero(~good)
    ]
    if not good.any():
        expected = f"one of {some(map(repr, classes))}" if classes else "a number"
        raise SourceError(f"no row is a label: {wrong[0]}", str(file), f"A label is {expected}.")
    return found[good].astype({"row": "int64"}), wrong


def _moments(table: pd.DataFrame) -> pd.Series:
    if KNOWN not in table:
        return pd.Series(pd.Timestamp(datetime.now(UTC)).tz_localize(None), table.index).astype(
            "datetime64[us]"
        )
    found = pd.to_datetime(table[KNOWN], errors="coerce", utc=True, format="ISO8601")
    return found.dt.tz_localize(None).astype("datetime64[us]")


def _save(case: str, kept: pd.DataFrame, files: list[Path], env: str | None) -> str:
    catalog: Any = open_context(env, None).catalog
    catalog.in_run = True
    catalog.save(f"{case}.{LABELS}", kept)
    delivered = {file.name: disk.digest(file) for file in files}
    facts = {
        "node": "labels",
        "face": "service",
        "inputs": {},
        "delivered": delivered,
        **git_state.describe(),
    }
    manifests = catalog.commit(lambda _: facts)
    return manifests[f"{case}.{LABELS}"]["version"]
