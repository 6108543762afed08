"""What MLflow is told when a run's versions are committed.

The catalog says it for each dataset: ``metadata: {mlflow: metrics}`` logs the numbers of a JSON dataset, ``tags``
its texts, ``artifact`` the file itself. Versions are tags of the run. kedro-mlflow opens and ends the run
and logs parameters.
"""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardcover.tracking.server import client, raise_unless_absent, run_id

# A tag of the run: the metric that models are compared by.
PRIMARY = "primary_metric"
UNPROVEN = ", proof failed"
# As many runs as log the same dataset at once, at most, before one gives up.
ATTEMPTS = 5
# Points of a request at most (MLflow's REST API, "Log Batch").
MOST = 1000
# MLflow asks a server that is down for minutes.
HURRIED = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def log(catalog: Any, manifests: dict[str, dict], made: set[str], session: dict) -> None:
    """Log committed datasets to the open run and name it after case, face and result; without a run, do nothing.

    Parameters
    ----------
    catalog, manifests
        The run's catalog, and the manifests of what it saved, made or reused.
    made
        The datasets that this run made; files of the others are with the run that did.
    session
        Says the ``face``, the ``commit`` and whether the checkout was ``dirty``.
    """
    if run_id() is None:
        return
    import mlflow

    mlflow.set_tags({f"version.{name}": manifest["version"] for name, manifest in manifests.items()})
    _log_inputs({name: manifest for name, manifest in catalog.loaded.items() if name not in made})
    for name, manifest in manifests.items():
        dataset = catalog[name]
        kind = (getattr(dataset, "metadata", None) or {}).get("mlflow")
        if kind in ("metrics", "tags"):
            values = dict(flatten(catalog.load(name)))
            if kind == "metrics":
                mlflow.set_tag(PRIMARY, json.dumps(catalog.load(name).get("primary", {})))
                mlflow.log_metrics({key: float(value) for key, value in values.items() if _is_number(value)})
            else:
                mlflow.set_tags({key: str(value)[:5000] for key, value in values.items()})
        elif kind == "artifact" and name in made:
            folder = catalog.folder_of(name) / manifest["version"]
            for file in manifest["files"]:
                mlflow.log_artifact(str(folder / file), name.replace(".", "/"))
    commit = (
        f"{session['commit']}{' with changes' if session['dirty'] else ''}" if session["commit"] else None
    )
    found = {"mlflow.source.git.commit": session["commit"], "git_commit": commit}
    for name in manifests:
        if name.endswith(".release_report"):
            found["wheel"] = catalog.load(name)["wheel"]
    cases = "+".join(sorted({name.partition(".")[0] for name in manifests}))
    found["mlflow.runName"] = run_name(cases, session["face"])
    mlflow.set_tags({name: value for name, value in found.items() if value})


def run_name(cases: str, face: str) -> str:
    """Name the open run: ``fraud pipeline AP 0.930``; before there is a model, without its primary metric."""
    # Only called where MLflow is imported already.
    from mlflow import MlflowClient

    data = MlflowClient().get_run(run_id()).data
    primary = json.loads(data.tags.get(PRIMARY, "{}"))
    value = data.metrics.get(f"holdout.{primary.get('name')}")
    return f"{cases} {face}" if value is None else f"{cases} {face} {primary['short']} {value:.3f}"


def name_failed(pipelines: list[str] | None, face: str) -> None:
    """Name the open run as failed; without a run, do nothing."""
    if run_id() is not None:
        cases = "+".join(sorted({name.partition(".")[0] for name in pipelines or ()})) or "all"
        sys.modules["mlflow"].set_tag("mlflow.runName", f"{cases} {face} failed")


def log_proof(run: str | None, passed: bool, files: list[Path]) -> None:
    """Tell a finished run whether its wheel was proven; a failed proof makes it a failed run.

    Does nothing where the run is not in this tracking store.
    """
    from mlflow.exceptions import MlflowException

    if run is None:
        return
    connection, _ = client()
    try:
        found = connection.get_run(run)
    except MlflowException as error:
        raise_unless_absent(error)
        return
    if found.info.lifecycle_stage != "active":
        return
    name = found.info.run_name.removesuffix(UNPROVEN)
    connection.set_tag(run, "proof", "passed" if passed else "failed")
    # Unlike set_terminated, this keeps when the run ended; a later proof that passes undoes it.
    connection.update_run(run, "FINISHED" if passed else "FAILED", name if passed else name + UNPROVEN)
    for file in files:
        connection.log_artifact(run, str(file), "proof")


def log_series(run: str | None, points: Sequence[tuple[str, float, datetime]]) -> None:
    """Add points to series of a finished run: name, value, and the time, UTC, whose seconds are the step. Does nothing where the run is not in this tracking store.

    Raises
    ------
    HardcoverError
        When the tracking server does not answer.
    """
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    if run is None or not points:
        return
    seconds = [int(when.replace(tzinfo=UTC).timestamp()) for _, _, when in points]
    found = [Metric(name, value, 1000 * at, at) for (name, value, _), at in zip(points, seconds, strict=True)]
    before = {name: os.environ.get(name) for name in HURRIED}
    try:
        os.environ.update({name: value for name, value in HURRIED.items() if before[name] is None})
        connection, _ = client()
        for first in range(0, len(found), MOST):
            connection.log_batch(run, metrics=found[first : first + MOST])
    except MlflowException as error:
        raise_unless_absent(error)
    finally:
        for name in (name for name, value in before.items() if value is None):
            os.environ.pop(name, None)


def _log_inputs(loaded: dict[str, dict]) -> None:
    """Link the run to the versions that it read, as MLflow's dataset inputs."""
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    found = []
    for name, manifest in loaded.items():
        source = json.dumps({"dataset": name, "version": manifest["version"], "sha256": manifest["content"]})
        profile = json.dumps({"num_rows": manifest["rows"]}) if "rows" in manifest else None
        # MLflow cuts digests off at 36 characters.
        dataset = Dataset(name, manifest["content"][:36], "hardcover", source, profile=profile)
        tags = [InputTag("mlflow.data.context", "input"), InputTag("version", manifest["version"])]
        found.append(DatasetInput(dataset, tags))
    for attempt in range(ATTEMPTS if found else 0):
        try:
            MlflowClient().log_inputs(run_id(), found)
            return
        except MlflowException as error:
            # MLflow looks for a dataset and then adds it; where two runs do so at once, the second finds it when it looks again.
            if "UNIQUE constraint failed: datasets" not in str(error) or attempt == ATTEMPTS - 1:
                raise


def flatten(values: dict, prefix: str = ""):
    """Yield the leaves of nested mappings as ``("outer.inner", value)``.

    Examples
    --------
    >>> list(flatten({"a": {"b": 1}, "c": 2}))
    [('a.b', 1), ('c', 2)]
    """
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
