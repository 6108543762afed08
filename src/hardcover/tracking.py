"""What MLflow is told when a run's versions are committed.

The catalog says it for each dataset: ``metadata: {mlflow: metrics}`` logs the numbers of a JSON dataset, ``tags``
its texts, ``artifact`` the file itself. Versions are tags of the run. kedro-mlflow opens and ends the run
and logs parameters.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from hardcover import settings

# MLflow's thread that reports usage asks libc for the environment while kedro-mlflow changes it, which now and then is a
# segmentation fault; and nobody here agreed to be counted. MLflow starts it when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def run_id() -> str | None:
    """Give the id of the open MLflow run; None without one. Imports nothing."""
    mlflow = sys.modules.get("mlflow")
    active = mlflow.active_run() if mlflow else None
    return active.info.run_id if active else None


def abandon() -> None:
    """End the open MLflow run as killed; without a run, do nothing."""
    if run_id() is not None:
        sys.modules["mlflow"].end_run("KILLED")


def log(catalog: Any, manifests: dict[str, dict], made: set[str]) -> None:
    """Log committed datasets to the open run; without a run, do nothing.

    Parameters
    ----------
    catalog, manifests
        The run's catalog, and the manifests of what it gave, made or reused.
    made
        The datasets that this run made; files of the others are with the run that did.
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
                mlflow.log_metrics({key: float(value) for key, value in values.items() if _is_number(value)})
            else:
                mlflow.set_tags({key: str(value)[:5000] for key, value in values.items()})
        elif kind == "artifact" and name in made:
            folder = catalog.folder_of(name) / manifest["version"]
            for file in manifest["files"]:
                mlflow.log_artifact(str(folder / file), name.replace(".", "/"))


def _log_inputs(loaded: dict[str, dict]) -> None:
    """Link the run to the versions that it read, as MLflow's dataset inputs."""
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for name, manifest in loaded.items():
        source = json.dumps({"dataset": name, "version": manifest["version"], "sha256": manifest["content"]})
        profile = json.dumps({"num_rows": manifest["rows"]}) if "rows" in manifest else None
        # MLflow cuts digests off at 36 characters.
        dataset = Dataset(name, manifest["content"][:36], "hardcover", source, profile=profile)
        tags = [InputTag("mlflow.data.context", "input"), InputTag("version", manifest["version"])]
        found.append(DatasetInput(dataset, tags))
    if found:
        MlflowClient().log_inputs(run_id(), found)


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


def client():
    """Connect to the tracking store of settings.ini, and make the experiment if it is missing.

    Returns
    -------
    tuple
        The MLflow client and the experiment's id.
    """
    import mlflow
    from mlflow import MlflowClient

    mlflow.set_tracking_uri(settings.read("tracking.uri"))
    connection = MlflowClient()
    name = settings.read("tracking.experiment")
    found = connection.get_experiment_by_name(name)
    if found:
        return connection, found.experiment_id
    return connection, connection.create_experiment(name, artifact_location=artifact_location())


def artifact_location() -> str | None:
    """Where artifacts go when the store is a local database; None leaves it to the tracking server."""
    if not settings.read("tracking.uri").startswith("sqlite:"):
        return None
    place = settings.read("tracking.artifacts")
    return place if "://" in place else Path(place).as_uri()
