"""The tracking server of settings.ini, and the run that is open on it."""

import logging
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from hardcover import settings
from hardcover.errors import HardcoverError

# MLflow's thread that reports usage asks libc for the environment while kedro-mlflow changes it, which now and then is a
# segmentation fault; and this project agreed to no reporting of usage. MLflow starts it when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def run_id() -> str | None:
    """Return the id of the open MLflow run; None without one. Imports nothing."""
    mlflow = sys.modules.get("mlflow")
    active = mlflow.active_run() if mlflow else None
    return active.info.run_id if active else None


def abandon() -> None:
    """End the open MLflow run as killed; without a run, do nothing."""
    if run_id() is not None:
        sys.modules["mlflow"].end_run("KILLED")


def raise_unless_absent(error: Exception) -> None:
    """Raise an error of the tracking server, unless it says that something is not there."""
    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
        fix = "See that the tracking server of settings.ini answers, then run: hardcover prove."
        raise HardcoverError(
            f"the tracking server failed: {error}", settings.read("tracking.uri"), fix
        ) from error


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
    default = connection.get_experiment_by_name("Default")
    unused = default and default.lifecycle_stage == "active"
    if place and unused and not connection.search_runs([default.experiment_id], max_results=1):
        connection.delete_experiment(default.experiment_id)
    return connection, made


def copy_tables(store: Path) -> None:
    """Make an empty store with the tables of settings.ini's, where that is an SQLite file; else do nothing.

    MLflow takes a fresh file through the whole history of its tables, which is seconds; one whose tables are of its own version it
    takes as it is.
    """
    uri = settings.read("tracking.uri")
    known = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not known.is_file():
        return
    with closing(sqlite3.connect(known)) as source, closing(sqlite3.connect(store)) as made:
        order = "CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END"
        statements = source.execute(
            f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY {order}"
        )
        for (statement,) in statements.fetchall():
            made.execute(statement)
        # What MLflow's history leaves in tables that are empty otherwise.
        for table in ("alembic_version", "workspaces"):
            for row in source.execute(f"SELECT * FROM {table}"):
                made.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        made.commit()


def artifact_location() -> str | None:
    """Where artifacts go when the store is a local database; None leaves it to the tracking server."""
    if not settings.read("tracking.uri").startswith("sqlite:"):
        return None
    place = settings.read("tracking.artifacts")
    return place if "://" in place else Path(place).as_uri()
