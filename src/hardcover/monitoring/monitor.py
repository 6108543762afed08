"""What was served, window by window, beside the holdout rows that the champion was measured on."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardcover import settings
from hardcover.errors import HardcoverError
from hardcover.forest import lightgbm_text
from hardcover.lineage import run_records
from hardcover.monitoring.change import causes, shifts
from hardcover.monitoring.profile import Bins, Profile, bins_of
from hardcover.project import cases
from hardcover.release import publish
from hardcover.reporting.progress import Reporter, silent
from hardcover.serving.release import Release
from hardcover.store import versions

# Windows by name, as pandas knows them.
WINDOWS = {"hour": "h", "day": "D", "week": "W-MON"}
# Rows of a window whose contributions are computed at most.
EXPLAINED = 1000


class Rows(NamedTuple):
    """Rows as a model sees them: inputs, shape (rows, inputs), and raw scores, shape (rows, outputs), float64."""

    inputs: np.ndarray
    raw: np.ndarray


def monitor(case: str, window: str = "day", say: Reporter = silent) -> dict[str, Any]:
    """Compare what was served with the champion's holdout.

    Parameters
    ----------
    case, window
        The case, and a name of ``WINDOWS``.

    Returns
    -------
    dict
        ``case``, ``wheel``, ``reference`` (rows, mean raw score, digest of its profile), and ``windows``: of each its begin, rows, releases that
        answered, mean raw score and its change, ``causes`` and ``shifts`` by input, ``missing`` and ``unseen`` counts, and the digest of its profile.

    Raises
    ------
    HardcoverError
        When there is no champion, nothing was collected, features look at the past, or what the champion was trained on is gone.
    """
    cases.check(case)
    pointer = publish.current(case)
    if pointer is None:
        fix = f"Run `hardcover run {case}`, or `hardcover promote {case}`."
        raise HardcoverError("there is no champion", f"case {case!r}", fix)
    served = _served(case)
    with tempfile.TemporaryDirectory(prefix="hardcover-monitor-") as folder:
        release = Release(publish.folder() / pointer["wheel"], Path(folder))
        if release.has_windows:
            fix = "Look at the other cases; what the past held when a record was answered is not logged."
            raise HardcoverError("features of this case look at the past", f"case {case!r}", fix)
        trees, inputs = _holdout(case, pointer["run"], release.model)
        reference = _rows(release.model, inputs)
        outputs = release.model.decision.classes or ["score"]
        bins = bins_of(trees, release.model.inputs, *reference, outputs)
        before = Profile.of(bins, *reference)
        sample = _contributions(release.model, reference.inputs)
        found = []
        for begin, part in served.groupby(served["time"].dt.to_period(WINDOWS[window])):
            say(f"{begin.start_time:%Y-%m-%d %H:%M}, {len(part)} rows", transient=True)
            rows = _rows(release.model, release.model.inputs_of(_columns(part, release), validate=False))
            facts = {"begin": begin.start_time.isoformat(), "releases": sorted(part["release"].unique())}
            found.append(facts | _compared(bins, before, reference, sample, rows, release.model))
    return {
        "case": case,
        "wheel": pointer["wheel"],
        "reference": {
            "rows": before.rows,
            "score": reference.raw.mean(axis=0).tolist(),
            "profile": before.digest,
        },
        "windows": found,
    }


def _compared(
    bins: Bins, before: Profile, reference: Rows, sample: np.ndarray, rows: Rows, model: Any
) -> dict[str, Any]:
    profile = Profile.of(bins, *rows)
    change = rows.raw.mean(axis=0) - reference.raw.mean(axis=0)
    # Of several classes, the one whose score has moved most is explained.
    output = int(np.abs(change).argmax())
    mine = _contributions(model, rows.inputs)
    names = list(model.inputs)
    counted = [(name, profile.by_name[name], edges) for name, edges in zip(names, bins.edges, strict=False)]
    return {
        "rows": profile.rows,
        "score": rows.raw.mean(axis=0).tolist(),
        "change": change.tolist(),
        "explained": bins.names[len(names) + output],
        "causes": causes(sample[:, output], mine[:, output], names),
        "shifts": dict(sorted(shifts(before, profile).items(), key=lambda shift: -shift[1])),
        "missing": {name: int(counts[-1]) for name, counts, _ in counted if counts[-1]},
        "unseen": {name: int(counts[0]) for name, counts, edges in counted if edges[0] == -0.5 and counts[0]},
        "profile": profile.digest,
    }


def _rows(model: Any, inputs: np.ndarray) -> Rows:
    raw = model.score_inputs(inputs, raw=True)
    return Rows(inputs, raw.reshape(len(inputs), -1))


def _contributions(model: Any, inputs: np.ndarray) -> np.ndarray:
    """Return contributions of at most so many rows, evenly spread, shape (rows, outputs, inputs + 1)."""
    few = inputs[:: -(-len(inputs) // EXPLAINED)]
    return model.explain_inputs(few).reshape(len(few), -1, inputs.shape[1] + 1)


def _served(case: str) -> pd.DataFrame:
    place = versions.by_dataset(Path(settings.read("data.root"))).get(f"{case}.served")
    tables = [pd.read_parquet(file) for file in _files(place)] if place else []
    if not tables:
        fix = "Log what is served, `hardcover serve CASE --log FOLDER`, and `hardcover collect FOLDER`."
        raise HardcoverError("nothing was collected of what was served", f"case {case!r}", fix)
    return pd.concat(tables, ignore_index=True)


def _files(place: Path) -> Iterator[Path]:
    for version in versions.committed(place):
        yield from sorted((place / version).glob("*.parquet"))


def _columns(served: pd.DataFrame, release: Release) -> dict[str, np.ndarray]:
    """Return the logged records as columns, missing where the log does not have a field.

    Raises
    ------
    HardcoverError
        When it has none: the service was told to keep no inputs.
    """
    found = {}
    for name, rule in release.fields.items():
        column = served.get(f"input.{name}")
        if "enum" in rule:
            texts = [None] * len(served) if column is None else column.astype(object)
            found[name] = np.array([text if isinstance(text, str) else None for text in texts], dtype=object)
        else:
            numbers = np.nan if column is None else pd.to_numeric(column, errors="coerce")
            found[name] = np.broadcast_to(np.asarray(numbers, dtype=np.float64), len(served))
    if not any(f"input.{name}" in served for name in release.fields):
        raise HardcoverError("the log has no inputs", release.name, "Serve with --log-inputs yes.")
    return found


def _holdout(case: str, run: str, model: Any) -> tuple[lightgbm_text.Trees, np.ndarray]:
    """Return the champion's trees, and its inputs of the holdout rows."""
    outputs = run_records.outputs(run)
    files = {name: run_records.files_of(outputs.get(f"{case}.{name}", {})) for name in ("features", "model")}
    gone = [f"{case}.{name}" for name, found in files.items() if not found]
    if gone:
        fix = "Restore the data folder, or train a new champion."
        raise HardcoverError(f"what the champion was made of is gone: {', '.join(gone)}", f"run {run}", fix)
    table = pd.read_parquet(files["features"][0])
    holdout = table[table["split"] == "holdout"]
    trees = lightgbm_text.parse(files["model"][0].read_text(encoding="utf-8"))
    return trees, holdout[list(model.inputs)].to_numpy(dtype=np.float64)
