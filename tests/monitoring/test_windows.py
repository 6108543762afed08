"""Cases whose features look at the past are watched by what the model saw when it answered, which the service's log keeps."""

import json
import logging
import shutil

import numpy as np
import pandas as pd

from hardcover.errors import HardcoverError
from hardcover.monitoring import answers, cycle
from hardcover.monitoring.reference import Reference
from hardcover.release import publish
from hardcover.serving import arrow
from hardcover.serving.app import ENDPOINTS, App
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import ARROW
from hardcover.serving.prediction_log import Policy, PredictionLog
from hardcover.serving.release import Release, Served
from tests.conftest import ROOT, Place
from tests.serving.conftest import ask

PREDICT = "/v1/models/fraud/predict"


def test_what_the_model_saw_is_logged_collected_and_watched(windows_run, tmp_path, monkeypatch):
    place = Place(shutil.copytree(windows_run.place.folder, tmp_path / "place"))
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    (file,) = place.data.glob("03_primary/fraud/clean.parquet/*/clean.parquet")
    rows = pd.read_parquet(file).sort_values("received_at").head(120)
    fields = ["transaction", "at", "received_at", "customer", "terminal", "amount"]
    events = json.loads(rows[fields].to_json(orient="records", date_format="iso", date_unit="us"))
    reference = Reference(publish.current("fraud"), {})
    release = Release(publish.found(publish.current("fraud")), tmp_path / "unpacked")
    app = App([Served(release)], Counters(1, ENDPOINTS, release.fields))
    app.log = PredictionLog(Policy(str(tmp_path / "log")), app.counters)
    for event in events[:100]:
        assert ask(app, f"{PREDICT}?observe=true", event).status == 200
    # Of these no past is observed, and a table is answered as records are.
    table = {name: [event[name] for event in events[100:]] for name in fields}
    told = ask(app, PREDICT, arrow.stream(table), ARROW)
    app.log.close()
    place.call("hardcover", "collect", tmp_path / "log")

    served = answers.served("fraud")
    seen = answers.inputs(served, reference)
    assert seen.shape == (120, len(release.model.inputs))
    assert np.array_equal(reference.model.score_inputs(seen), served["score"].to_numpy())
    assert len({*map(tuple, seen)}) > 100
    assert [name for name in arrow.table(told.body).column_names if name.startswith("seen")] == []

    found = cycle.cycle("fraud", env="ci")
    assert found["rows"] == 120
    (window,) = cycle.newest_state("fraud")["windows"]
    assert window["rows"] == 120
    lost = served.drop(columns=f"seen.{release.model.inputs[0]}")
    assert not answers.has_inputs(lost, reference)
    try:
        answers.inputs(lost, reference)
    except HardcoverError as error:
        assert f"lacks what the model saw: seen.{release.model.inputs[0]}" in str(error)
