"""The main job: four faces, one answer."""

import json
import os
import signal
import urllib.request
from pathlib import Path

import lightgbm as lgb
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.conftest import eventually

PICTURES = {
    "performance": ["calibration", "cost", "precision_recall"],
    "overview": ["beeswarm", "importance"],
    "dependence": ["dependence"],
    "errors": ["false_alarm", "missed"],
}


def test_ends_with_a_summary_of_what_was_done(notebook_run):
    said = notebook_run.said

    data = said["data_report"]
    assert data["rows"] == data["clean"] + data["quarantined"]
    assert data["quarantined"] > 0
    assert said["source"]["kind"] == "simulator"
    metrics = said["metrics"]
    interval = metrics["interval"]["average_precision"]
    assert interval["low"] <= metrics["holdout"]["average_precision"] <= interval["high"]
    baselines = [figures["average_precision"] for figures in metrics["baseline"].values()]
    assert metrics["holdout"]["average_precision"] > max(baselines)
    assert Path(said["proof"]["published"]["path"]).is_file()
    assert said["release_report"]["differing_bits"] == 0


def test_every_version_is_committed_with_where_it_came_from(notebook_run):
    versions = notebook_run.place.versions()

    assert len(versions) > 20
    for folder in versions:
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["run"] == notebook_run.said["run"]
        # A proof is about all faces, and made by none.
        assert manifest["face"] == (None if folder.parent.name.startswith("proof") else "notebook")
        assert manifest["version"] == folder.name
        assert manifest["files"]
    model = json.loads(
        notebook_run.place.newest("06_models", "model.txt").with_name("manifest.json").read_text()
    )
    assert set(model["inputs"]) == {"maintenance.features", "maintenance.feature_plan"}
    assert model["parameters"]["params:maintenance.training"]["rounds"] == 100


def test_kedro_run_gives_the_same_bits_as_the_notebooks(notebook_run, kedro_run):
    for layer, name in (
        ("01_raw", "raw.parquet"),
        ("02_intermediate", "quarantine.parquet"),
        ("03_primary", "clean.parquet"),
        ("03_primary", "schema.json"),
        ("04_feature", "features.parquet"),
        ("04_feature", "feature_plan.json"),
        ("06_models", "model.txt"),
        ("06_models", "release.whl"),
        ("07_model_output", "predictions.parquet"),
        ("07_model_output", "explanations.parquet"),
        ("08_reporting", "metrics.json"),
    ):
        theirs, ours = (run.newest(layer, name).read_bytes() for run in (kedro_run, notebook_run.place))
        assert theirs == ours, name
    for name, pictures in PICTURES.items():
        for picture in pictures:
            pattern = f"08_reporting/maintenance/{name}_figures/*/{name}_figures/{picture}.png"
            theirs, ours = (max(place.data.glob(pattern)) for place in (kedro_run, notebook_run.place))
            assert theirs.read_bytes() == ours.read_bytes(), picture


def test_a_holdout_machine_is_in_no_other_part(notebook_run):
    clean = pd.read_parquet(notebook_run.place.newest("03_primary", "clean.parquet"))

    assert clean.groupby("machine")["split"].nunique().max() == 1
    assert set(clean["split"]) == {"train", "validation", "holdout"}


def test_no_leak_reaches_the_model(notebook_run):
    plan = notebook_run.place.read("04_feature", "feature_plan.json")
    model = lgb.Booster(model_file=str(notebook_run.place.newest("06_models", "model.txt")))

    leaks = {
        "failure",
        "tool_wear_failure",
        "heat_dissipation_failure",
        "power_failure",
        "overstrain_failure",
    }
    assert model.feature_name() == plan["inputs"]
    assert not leaks & set(plan["inputs"])
    assert not leaks & {name for facts in plan["functions"].values() for name in facts["parameters"]}


def test_a_file_gives_a_stratified_split_and_says_so(ai4i_csv, place):
    done = place.call(
        "hardcover", "run", "maintenance", "--pipeline", "--env", "ci", "--data", ai4i_csv, "--json"
    )

    said = json.loads(done.stdout)[0]
    assert said["source"]["kind"] == "file"
    assert "ai4i.csv" in said["source"]["description"]
    assert said["data_report"]["split_by"] == "stratified rows (no machine named)"
    assert said["data_report"]["rows"] == 4000 == said["data_report"]["clean"]
    assert said["release_report"]["differing_bits"] == 0


def test_a_file_cut_in_two_of_different_columns_gives_the_same_rows(ai4i_csv, place, tmp_path):
    table = pd.read_csv(ai4i_csv)
    first, second = table.iloc[:2000], table.iloc[2000:]
    first.to_csv(tmp_path / "first.csv", index=False)
    as_plant_b(second).to_parquet(tmp_path / "second.parquet")
    files = [tmp_path / "first.csv", tmp_path / "second.parquet"]

    done = place.call(
        "hardcover",
        "run",
        "--pipeline",
        "--env",
        "ci",
        "--stage",
        "data",
        "--json",
        "maintenance",
        "--data",
        *files,
    )

    said = json.loads(done.stdout)[0]
    clean = pd.read_parquet(place.newest("03_primary", "clean.parquet"))
    assert said["data_report"]["clean"] == 4000
    assert [file["rows"] for file in said["source"]["files"]] == [2000, 2000]
    assert clean["air_temperature"].to_numpy() == pytest.approx(table["Air temperature [K]"], abs=0.01)
    assert clean["torque"].to_numpy() == pytest.approx(table["Torque [Nm]"], abs=0.01)
    assert clean["humidity"].notna().sum() == 2000


def as_plant_b(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Satz": table["UDI"],
            "Güte": table["Type"],
            "Luft [°C]": (table["Air temperature [K]"] - 273.15).round(2),
            "Prozess [°C]": (table["Process temperature [K]"] - 273.15).round(2),
            "Drehzahl [1/min]": table["Rotational speed [rpm]"],
            "Drehmoment [lbf·ft]": table["Torque [Nm]"] / 1.3558179483314004,
            "Verschleiß [min]": table["Tool wear [min]"],
            "Feuchte [%]": 40.0,
            "Ausfall": table["Machine failure"].astype(int),
        }
    )


def test_mlflow_shows_the_run_whole(notebook_run):
    client = MlflowClient(notebook_run.place.tracking)
    run = client.get_run(notebook_run.said["run"])

    assert run.info.status == "FINISHED"
    figure = notebook_run.said["metrics"]["holdout"]["average_precision"]
    assert run.info.run_name == f"maintenance notebook AP {figure:.3f}"
    assert run.data.tags["wheel"] == notebook_run.said["release_report"]["wheel"]
    assert len(run.data.tags["git_commit"].split()[0]) == 40
    assert run.data.tags["proof"] == "passed"
    assert not [name for name in run.data.params if ".column_mapping" in name]
    everything = {**run.data.tags, **run.data.params}
    assert not [name for name, value in everything.items() if " at 0x" in value]
    assert run.data.params["maintenance.training.num_leaves"] == "7"
    assert (
        run.data.metrics["holdout.average_precision"]
        == notebook_run.said["metrics"]["holdout"]["average_precision"]
    )
    assert run.data.tags["description"] == notebook_run.said["source"]["description"]
    assert (
        run.data.tags["version.maintenance.clean"]
        == notebook_run.place.newest("03_primary", "clean.parquet").parent.name
    )
    assert {item.path for item in client.list_artifacts(run.info.run_id, "reports")} >= {
        f"reports/{name}.{suffix}"
        for name in ("01_data", "02_features", "03_train", "04_explain", "05_release")
        for suffix in ("ipynb", "html")
    }
    pictures = [item.path for item in client.list_artifacts(run.info.run_id, "maintenance/overview_figures")]
    assert pictures == [f"maintenance/overview_figures/{name}.png" for name in PICTURES["overview"]]
    experiment = client.get_experiment_by_name("casebook")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_each_run_of_a_stage_in_one_kernel_is_a_run_of_its_own(place):
    code = """
from casebook.maintenance import data
from hardcover import Case, HardcoverError
for files in (["/no.csv"], [], []):
    try:
        Case("maintenance", env="ci", params={"files": files}).run(data.create_pipeline(), force=True)
    except HardcoverError as error:
        print(error)
"""
    place.call("python", "-c", code)

    client = MlflowClient(place.tracking)
    experiment = client.get_experiment_by_name("casebook")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]


def test_the_registry_has_the_model_with_signature_and_aliases(notebook_run):
    import mlflow

    mlflow.set_tracking_uri(notebook_run.place.tracking)
    client = MlflowClient()
    champion = client.get_model_version_by_alias("maintenance", "champion")
    challenger = client.get_model_version_by_alias("maintenance", "challenger")
    signature = mlflow.models.get_model_info("models:/maintenance@champion").signature

    assert str(challenger.version) == notebook_run.said["registration_report"]["version"]
    assert int(champion.version) <= int(challenger.version)
    assert (
        signature.inputs.input_names() == notebook_run.place.read("04_feature", "feature_plan.json")["inputs"]
    )


def test_the_experiment_is_the_only_one_that_mlflow_ui_offers(notebook_run):
    client = MlflowClient(notebook_run.place.tracking)

    assert [experiment.name for experiment in client.search_experiments()] == ["casebook"]


def test_mlflow_ui_serves_the_store(notebook_run):
    port = "5057"
    store = notebook_run.place.tracking
    with notebook_run.place.start(
        "mlflow", "ui", "--backend-store-uri", store, "--port", port, "--workers", "1", start_new_session=True
    ) as server:
        try:
            url = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search?max_results=5"
            answer = eventually(lambda: urllib.request.urlopen(url, timeout=5).read())
            assert json.loads(answer)["registered_models"][0]["name"] == "maintenance"
        finally:
            # The server has workers of its own.
            os.killpg(server.pid, signal.SIGKILL)


def test_drift_can_be_switched_on(place):
    drift = ("--param", "maintenance.simulator.drift=1.0")
    place.call("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data", *drift)

    clean = pd.read_parquet(place.newest("03_primary", "clean.parquet"))
    assert place.read("01_raw", "source.json")["description"].endswith("drift 1.0")
    by_time = clean.sort_values("measured_at")["torque"]
    half = len(by_time) // 2
    assert by_time[half:].mean() - by_time[:half].mean() > 2
