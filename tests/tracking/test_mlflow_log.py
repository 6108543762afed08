"""Runs that log the same version at the same moment both have it among their inputs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest

from hardcover.tracking import mlflow_log

AT_ONCE = 4


@pytest.fixture
def store(tmp_path):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


def test_runs_that_log_one_dataset_at_once_all_have_it(store, monkeypatch):
    experiment = store.create_experiment("races")
    ready, mine = threading.Barrier(AT_ONCE), threading.local()
    monkeypatch.setattr(mlflow_log, "run_id", lambda: mine.run)

    def log(loaded):
        mine.run = store.create_run(experiment).info.run_id
        ready.wait()
        mlflow_log._log_inputs(loaded)
        return mine.run

    for number in range(8):
        loaded = {"clean": {"version": f"v{number}", "content": f"{number:064d}"[::-1], "rows": 10}}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            runs = list(pool.map(log, [loaded] * AT_ONCE))
        for run in runs:
            (found,) = store.get_run(run).inputs.dataset_inputs
            assert found.dataset.name == "clean"
