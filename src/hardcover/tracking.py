"""What MLflow is told when a run's versions are committed.

The catalog says it for each dataset: ``metadata: {mlflow: metrics}`` logs the numbers of a JSON dataset, ``tags``
its texts, ``artifact`` the file itself. Versions are tags of the run. kedro-mlflow opens and ends the run
and logs parameters.
"""

import json
import logging
import math
import os
import sys
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.errors import HardcoverError

# MLflow's thread that reports usage asks libc for the environment while kedro-mlflow changes it, which now and then is a
# segmentation fault; and nobody here agreed to be counted. MLflow starts it when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


UNPROVEN = ", proof failed"


def run_id() -> str | None:
    """Give the id of the open MLflow run; None without one. Imports nothing."""
    mlflow = sys.modules.get("mlflow")
    active = mlflow.active_run() if mlflow else None
    return active.info.run_id if active else None


def abandon() -> None:
    """End the open MLflow run as killed; without a run, do nothing."""
    if run_id() is not None:
        sys.modules["mlflow"].end_run("KILLED")


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
    """Name the open run: ``maintenance pipeline AP 0.930``; before there is a model, without its figure."""
    from mlflow import MlflowClient

    figure = MlflowClient().get_run(run_id()).data.metrics.get("holdout.average_precision")
    return f"{cases} {face}" if figure is None else f"{cases} {face} AP {figure:.3f}"


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
        _raise_unless_absent(error)
        return
    if found.info.lifecycle_stage != "active":
        return
    name = found.info.run_name.removesuffix(UNPROVEN)
    connection.set_tag(run, "proof", "passed" if passed else "failed")
    # Unlike set_terminated, this keeps when the run ended; a later proof that passes undoes it.
    connection.update_run(run, "FINISHED" if passed else "FAILED", name if passed else name + UNPROVEN)
    for file in files:
        connection.log_artifact(run, str(file), "proof")


def _raise_unless_absent(error: Exception) -> None:
    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
        fix = "See that the tracking server of settings.ini answers, then run: hardcover prove."
        raise HardcoverError(
            f"the tracking server failed: {error}", settings.read("tracking.uri"), fix
        ) from error


def promote(registered: dict, wheel: str, commit: str | None, passed: bool) -> str:
    """Tell the registry what was proven; a proven model that beat the champion it was compared with becomes champion.

    Parameters
    ----------
    registered
        The report of the train stage: ``model``, ``version``, ``average_precision``, whether it is ``better``, the champion's
        version that it was compared ``against`` (None: there was none), and the ``decision`` in words.
    wheel, commit
        The wheel's file name, and the commit of its code; the registry shows them with the version.
    passed
        Whether the proof did; if not, nothing is promoted.

    Returns
    -------
    str
        The decision in words.
    """
    from mlflow.exceptions import MlflowException

    connection, _ = client()
    name, version, figure = (
        registered["model"],
        registered["version"],
        registered.get("average_precision", math.nan),
    )
    try:
        champion = connection.get_registered_model(name).aliases.get("champion")
        facts = {
            "average_precision": f"{figure:.4f}",
            "wheel": wheel,
            "git_commit": commit or "none",
            "proof": "passed" if passed else "failed",
        }
        for key, value in facts.items():
            connection.set_model_version_tag(name, version, key, value)
        description = f"AP {figure:.3f} on the holdout, {wheel}, commit {(commit or 'none')[:8]}"
        connection.update_model_version(name, version, description)
        if not passed:
            return "not promoted: its proof failed"
        if not registered.get("better"):
            return registered["decision"]
        if str(champion) not in (str(registered.get("against")), version):
            return (
                f"stays challenger: version {champion} became champion meanwhile; run the train stage again"
            )
        connection.set_registered_model_alias(name, "champion", version)
    except MlflowException as error:
        _raise_unless_absent(error)
        return "this tracking store does not have the version, so nothing was promoted"
    return f"promoted to champion: {registered['decision']}"


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

    # Each of a fresh store's tables is announced otherwise.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(settings.read("tracking.uri"))
    connection = MlflowClient()
    name = settings.read("tracking.experiment")
    found = connection.get_experiment_by_name(name)
    if found:
        return connection, found.experiment_id
    place = artifact_location()
    made = connection.create_experiment(name, artifact_location=place)
    # In a local store of our own, MLflow's empty default experiment would stand beside it and be opened by mistake.
    if place and not connection.search_runs(["0"], max_results=1):
        connection.delete_experiment("0")
    return connection, made


def artifact_location() -> str | None:
    """Where artifacts go when the store is a local database; None leaves it to the tracking server."""
    if not settings.read("tracking.uri").startswith("sqlite:"):
        return None
    place = settings.read("tracking.artifacts")
    return place if "://" in place else Path(place).as_uri()
