"""Collect what a service logged into versions of the dataset ``{case}.served``, each answer once."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from hardcover.errors import HardcoverError
from hardcover.lineage import git_state
from hardcover.project import cases
from hardcover.project.context import open_context
from hardcover.reporting.progress import Reporter, silent
from hardcover.serving import prediction_log
from hardcover.store import disk, run_lock, versions


def collect(folder: Path, env: str | None = None, say: Reporter = silent) -> dict[str, Any]:
    """Collect all segments that no worker writes any more, then remove them.

    A segment counts once its answers are in a committed version, whose manifest names it with its digest: so a kill between that and its
    removal counts none twice.

    Returns
    -------
    dict
        ``segments``, how many; ``answers`` and ``version`` by case.

    Raises
    ------
    HardcoverError
        When there is no such folder, a segment is damaged, or of a case that this project does not have; nothing is removed then.
    """
    if not folder.is_dir():
        fix = "Give the folder of hardcover serve --log."
        raise HardcoverError("there is no such folder", str(folder), fix)
    with run_lock.alone():
        catalog = open_context(env, None).catalog
        catalog.in_run = True
        found = prediction_log.segments(folder)
        known: dict[str, set[str]] = {}
        made: dict[str, Any] = {"segments": len(found), "cases": {}}
        rows: dict[str, list[dict]] = defaultdict(list)
        named: dict[str, dict[str, str]] = defaultdict(dict)
        for number, path in enumerate(found, start=1):
            say(f"reading {number}/{len(found)}", transient=True)
            digest = disk.digest(path)
            by_case: dict[str, list[dict]] = defaultdict(list)
            for event in prediction_log.read(path):
                by_case[event["case"]].append(event)
            for case, events in by_case.items():
                if case not in known:
                    cases.check(case)
                    known[case] = _collected(catalog, case)
                if digest not in known[case]:
                    rows[case] += events
                    named[case][path.name] = digest
        made_by = {"node": "collect", "face": "service", "inputs": {}, **git_state.describe()} if rows else {}
        for case, events in rows.items():
            facts = {**made_by, "segments": named[case]}
            catalog.save(f"{case}.served", table(events))
            manifests = catalog.commit(lambda _, facts=facts: facts)
            version = manifests[f"{case}.served"]["version"]
            made["cases"][case] = {"answers": len(events), "version": version}
        for path in found:
            path.unlink()
    return made


def _collected(catalog: Any, case: str) -> set[str]:
    """Return the digests of the segments that versions hold already."""
    place = catalog.folder_of(f"{case}.served")
    manifests = (
        versions.manifest_of(place / version) for version in (versions.committed(place) if place else ())
    )
    return {digest for each in manifests for digest in each.get("segments", {}).values()}


def table(events: list[dict]) -> pd.DataFrame:
    """Return answers as a table, in the order of their times.

    Returns
    -------
    pandas.DataFrame
        ``time`` (datetime64[us], UTC), ``id``, ``row`` of the request, ``release``, ``digest``, ``score``, ``label`` as text,
        ``nanoseconds``, ``contributions`` as JSON where they were asked for, and the inputs as ``input.FIELD``, or ``inputs_sha256``.
    """
    flat = []
    for event in events:
        inputs = event.pop("inputs", None)
        inputs = inputs if isinstance(inputs, dict) else {}
        found = {name: value for name, value in event.items() if name != "case"}
        if "contributions" in found:
            found["contributions"] = json.dumps(found["contributions"])
        if found["label"] is not None:
            found["label"] = str(found["label"])
        flat.append(found | {f"input.{name}": value for name, value in inputs.items()})
    frame = pd.DataFrame(flat)
    frame["time"] = pd.to_datetime(frame["time"], unit="us").astype("datetime64[us]")
    # What came as a number here and as text there is text.
    for name in frame.columns:
        kinds = {type(value) for value in frame[name].dropna()}
        if len(kinds) > 1 and not kinds <= {int, float}:
            frame[name] = frame[name].map(lambda value: value if value is None else str(value))
    return frame.sort_values(["time", "id", "row"], ignore_index=True)
