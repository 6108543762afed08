"""Feast, in an environment of its own, loads what is exported for it, and finds the values of the offline table."""

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from hardcover.errors import HardcoverError
from hardcover.project.case import Case
from hardcover.release import feast
from tests.conftest import environment

PROGRAM = """
import json, sys
import pandas as pd
from feast import FeatureStore

asked = pd.read_parquet("asked.parquet")
store = FeatureStore(repo_path="feast")
views = {view.name: sorted(field.name for field in view.features) for view in store.list_feature_views()}
found = store.get_historical_features(asked, store.get_feature_service("fraud")).to_df()
store.materialize(asked["event_timestamp"].min().to_pydatetime(), asked["event_timestamp"].max().to_pydatetime())
wanted = ["fraud_customer:customer_count_7d"]
online = store.get_online_features(wanted, [{"customer": asked["customer"].iloc[-1]}]).to_dict()
print(json.dumps({"views": views, "found": json.loads(found.to_json(orient="records", double_precision=15)), "online": online}))
"""


@pytest.fixture(scope="session")
def feast_python() -> Path:
    """The Python of ``.tools/feast``, with what requirements/feast.txt locks."""
    return environment("feast") / "python"


def test_feast_finds_what_the_offline_table_has(windows_run, feast_python, tmp_path, monkeypatch):
    done = windows_run.place.call(
        "hardcover", "features", "fraud", "--env", "ci", "--feast", tmp_path / "feast", "--json"
    )
    views = json.loads(done.stdout)["views"]
    for name, value in windows_run.place.environment.items():
        monkeypatch.setenv(name, value)
    here = Case("fraud", env="ci")
    features, clean = here.load("features"), here.load("clean")
    rows = clean[clean["split"] == "holdout"].sort_values("received_at").tail(30)
    rows = rows.drop_duplicates(["customer", "received_at"])
    asked = rows[["transaction", "customer", "terminal"]].astype("str")
    asked["event_timestamp"] = rows["received_at"].dt.tz_localize("UTC")
    asked.to_parquet(tmp_path / "asked.parquet")
    variables = {**os.environ, "FEAST_USAGE": "False", "IS_TEST": "True"}
    command = [str(feast_python.parent / "feast"), "apply"]
    subprocess.run(command, cwd=tmp_path / "feast", env=variables, check=True, capture_output=True)

    said = subprocess.run(
        [feast_python, "-c", PROGRAM],
        cwd=tmp_path,
        env=variables,
        check=True,
        capture_output=True,
        text=True,
    )

    found = json.loads(said.stdout.splitlines()[-1])
    assert (
        sorted(found["views"]) == sorted(views) == ["fraud_customer", "fraud_terminal", "fraud_transaction"]
    )
    fields = [name for each in found["views"].values() for name in each]
    assert sorted(fields) == sorted(here.load("feature_plan")["inputs"])
    theirs = pd.DataFrame(found["found"]).set_index("transaction").loc[asked["transaction"]]
    ours = features.set_index("transaction").loc[asked["transaction"]]
    for name in here.load("feature_plan")["inputs"]:
        pd.testing.assert_series_equal(
            theirs[name].astype("float64"), ours[name].astype("float64"), check_index_type=False, rtol=1e-14
        )
    last = asked["customer"].iloc[-1]
    assert found["online"] == {"customer": [last], "customer_count_7d": [ours["customer_count_7d"].iloc[-1]]}


def test_an_export_never_overwrites(windows_run, tmp_path):
    (tmp_path / "feast").mkdir()
    command = ("hardcover", "features", "fraud", "--env", "ci", "--feast", tmp_path / "feast")
    done = windows_run.place.call(*command, check=False)
    assert done.returncode == 1
    assert "it is there already" in done.stderr
    assert (
        "of one case" in windows_run.place.call("hardcover", "features", "--feast", "x", check=False).stderr
    )


def test_rows_without_a_time_are_not_for_feast(tmp_path):
    with pytest.raises(HardcoverError, match="which row and when"):
        feast.export("orders", None, None, {"roles": {"key": "order"}}, feast, tmp_path / "feast", {})
    assert not list(tmp_path.iterdir())
