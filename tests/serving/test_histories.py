"""Events that come over the wire, for windows: kept when a release changes, shared by workers where they lie in a store."""

import json
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Place
from tests.serving.test_serve import publish, variant

EVENTS, PREDICT = "/v1/models/fraud/events", "/v1/models/fraud/predict"


@pytest.fixture(scope="module")
def fraud(windows_run) -> tuple[Path, list[dict]]:
    """The released wheel of fraud, and payments as a service sees them."""
    (wheel,) = windows_run.place.dist.glob("casebook_fraud-*.whl")
    (file,) = windows_run.place.data.glob("03_primary/fraud/clean.parquet/*/clean.parquet")
    rows = pd.read_parquet(file).sort_values("received_at").head(300)
    fields = ["transaction", "at", "received_at", "customer", "terminal", "amount"]
    rows = rows[[name for name in fields if name in rows]]
    return wheel, json.loads(rows.to_json(orient="records", date_format="iso", date_unit="us"))


def scored(server, record: dict) -> float:
    status, body, _ = server.ask(PREDICT, record)
    assert status == 200, body
    return json.loads(body)["score"]


def test_events_come_once_and_a_wrong_one_is_named(serve, fraud):
    wheel, events = fraud
    server = serve(wheel)
    assert json.loads(server.ask(EVENTS, events[:200])[1]) == {"new": 200}
    assert json.loads(server.ask(EVENTS, events[199])[1]) == {"new": 0}
    assert server.ask(EVENTS, {**events[0], "amount": 1.25})[0] == 409
    assert server.ask(EVENTS, {"amount": 1.25})[0] == 422


def test_a_release_that_takes_over_knows_the_events_of_the_one_before(serve, fraud, place: Place, tmp_path):
    wheel, events = fraud
    place.dist.mkdir(parents=True, exist_ok=True)
    first, second = (place.dist / wheel.name.replace("-py3", f"-{number}py3") for number in (0, 1))
    shutil.copy(wheel, first)
    shutil.copy(variant(wheel, tmp_path / "other", 1), second)
    publish(first, place.dist, "fraud")
    server = serve("fraud", "--keep-all")
    empty = scored(server, events[299])
    server.ask(EVENTS, events[:299])
    known = scored(server, events[299])

    publish(second, place.dist, "fraud")
    server.process.send_signal(signal.SIGHUP)
    server.until("release took over")

    assert scored(server, events[299]) == known != empty


def test_workers_share_events_in_a_store_and_are_refused_without(serve, fraud, place: Place, tmp_path):
    wheel, events = fraud
    server = serve(wheel, "--workers", 2, "--keep-all", "--histories", f"sqlite:{tmp_path / 'events.db'}")
    server.ask(EVENTS, events[:299])
    assert len({scored(server, events[299]) for _ in range(20)}) == 1

    done = place.call("hardcover", "serve", str(wheel), "--workers", "2", check=False, fresh=True, timeout=30)
    assert done.returncode == 1
    assert "--histories sqlite:PATH" in done.stderr
