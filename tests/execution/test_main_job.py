"""The main job: four faces, one answer."""

import io
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
import zipfile
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from hardcover.release import compiler, isolated_env, wheel, wheel_file
from tests.conftest import BIN, ROOT
from tests.runtime.strategies import SPECIAL

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


@pytest.fixture(scope="module")
def fresh_environment(notebook_run, tmp_path_factory):
    """An environment with the wheel and numpy, and nothing else."""
    from uv import find_uv_bin

    folder = tmp_path_factory.mktemp("fresh")
    (wheel,) = notebook_run.place.dist.glob("casebook_maintenance-*.whl")
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", BIN / "python", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    needs = [f"numpy=={np.__version__}", str(wheel)]
    subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", python, *needs], check=True)
    listed = subprocess.run(
        [find_uv_bin(), "pip", "list", "--format", "json", "--python", python], capture_output=True
    )
    assert {package["name"] for package in json.loads(listed.stdout)} == {"numpy", "casebook-maintenance"}
    return python


def in_fresh(python: Path, code: str, **options) -> str:
    options = {"cwd": "/", "capture_output": True, "text": True, **options}
    done = subprocess.run([python, "-I", "-c", code], check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


RECORD = {
    "quality": "L",
    "air_temperature": 298.1,
    "process_temperature": 308.6,
    "rotational_speed": 1551,
    "torque": 42.8,
    "tool_wear": 0,
}


def test_the_wheel_answers_from_any_directory(fresh_environment):
    code = f"from casebook_maintenance import model; print(model.predict({RECORD}))"

    answer = in_fresh(fresh_environment, code)

    assert answer.startswith("Prediction(score=0.0")
    assert "label=False" in answer


def test_the_wheel_touches_neither_pickle_nor_pandas_nor_lightgbm_nor_mlflow(fresh_environment):
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pickle", "_pickle", "pandas", "lightgbm", "mlflow", "kedro", "sklearn"):
            raise ImportError(f"{{name}} was asked for")
for name in ("pickle", "_pickle"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
from casebook_maintenance import model
print(model.predict({RECORD}).score)
"""
    assert float(in_fresh(fresh_environment, code)) > 0


def test_the_wheel_answers_and_explains_with_nothing_else_installed(notebook_run, tmp_path):
    (wheel,) = notebook_run.place.dist.glob("casebook_maintenance-*.whl")
    python = isolated_env.install(wheel.read_bytes(), tmp_path)
    code = f"""
import json, math, sys
from casebook_maintenance import model
from casebook_maintenance.runtime.kernel import Kernel
found = model.predict({RECORD}, explain=True)
strongest = model.predict({RECORD}, explain=True, top=2)
(raw,) = model.evaluator.raw(model._row({RECORD}, True))
assert isinstance(model.evaluator, Kernel)
assert strongest.contributions == found.contributions[:2] and strongest.score == found.score
assert [abs(each.contribution) for each in found.contributions] == sorted((abs(each.contribution) for each in found.contributions), reverse=True)
assert math.isclose(found.base_value + sum(each.contribution for each in found.contributions), raw, rel_tol=1e-12)
golden, differences = model.selftest()
assert golden >= 100 and not differences
before = model.predict({RECORD})
model.remember(2)
assert [model.predict({RECORD}) for _ in range(3)] == [before] * 3 and model._score.cache_info().hits == 2
print(json.dumps(sorted(name for name in sys.modules if name.partition(".")[0] in ("numpy", "pickle", "pandas", "lightgbm"))))
try:
    model.predict_many({{"torque": [1.0]}})
except ImportError as error:
    assert "need numpy" in str(error)
"""
    assert json.loads(in_fresh(Path(python), code)) == []
    asked = subprocess.run(
        [python, "-m", "casebook_maintenance", "predict", "--explain", "1"],
        input=json.dumps(RECORD) + "\n{}\n",
        capture_output=True,
        text=True,
        cwd="/",
    )
    first, second = map(json.loads, asked.stdout.splitlines())
    assert asked.returncode == 1
    assert set(first) == {"score", "label", "version", "contributions", "base_value"}
    assert len(first["contributions"]) == 1
    assert len(second["problems"]) == len(RECORD)


def test_a_wheel_for_another_platform_differs_in_its_kernel_alone(notebook_run, monkeypatch, tmp_path):
    place = notebook_run.place
    built = place.newest("06_models", "release.whl").read_bytes()

    # Compilers leave files where they are called.
    monkeypatch.chdir(tmp_path)
    compiler._version.cache_clear()
    other = wheel.for_target(built, "linux-aarch64")
    assert list(tmp_path.iterdir()) == []

    assert wheel_file.file_name(other).endswith("-py3-none-manylinux_2_17_aarch64.whl")
    assert other == wheel.for_target(wheel.for_target(built, "musl-x86_64"), "linux-aarch64")
    contents = []
    for content in (built, other):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    ours, theirs = contents
    changed = {
        name.rpartition("/")[2] for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    }
    assert changed == {"kernel.so", "manifest.json", "WHEEL", "RECORD"}
    # The machine that ELF's header names: 183 is AArch64.
    assert theirs["casebook_maintenance/kernel.so"][18] == 183


def test_the_wheel_scores_the_holdout_and_hostile_rows_to_the_bit(fresh_environment, notebook_run, tmp_path):
    place = notebook_run.place
    booster = lgb.Booster(model_file=str(place.newest("06_models", "model.txt")))
    features = pd.read_parquet(place.newest("04_feature", "features.parquet"))
    clean = pd.read_parquet(place.newest("03_primary", "clean.parquet"))
    plan = place.read("04_feature", "feature_plan.json")
    holdout = (clean["split"] == "holdout").to_numpy()
    raw = {name: clean.loc[holdout, name].to_numpy() for name in RECORD}
    raw["quality"] = raw["quality"].astype(str)
    hostile = hostile_records(np.random.default_rng(0), 10_000)
    np.savez(tmp_path / "rows.npz", **raw)
    np.savez(tmp_path / "hostile.npz", **hostile)
    code = """
import numpy as np
from casebook_maintenance import model
rows, hostile = np.load("rows.npz"), np.load("hostile.npz")
alone = [model.predict({name: hostile[name][row].item() for name in hostile.files}, validate=False).score for row in range(2000)]
np.savez("out.npz", scores=model.predict_many(dict(rows)), hostile=model.predict_many(dict(hostile), validate=False),
         inputs=model.inputs_of(dict(hostile), validate=False), alone=alone)
"""
    in_fresh(fresh_environment, code, cwd=tmp_path)

    answers = np.load(tmp_path / "out.npz")
    expected = booster.predict(features.loc[holdout, plan["inputs"]].to_numpy())
    assert same_bits(answers["scores"], expected)
    assert same_bits(answers["hostile"], booster.predict(answers["inputs"]))
    assert same_bits(answers["alone"], answers["hostile"][:2000])


def same_bits(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return np.array_equal(ours.view(np.uint64), theirs.view(np.uint64))


def hostile_records(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    special = [*SPECIAL, 8.6, 1380.0, 3500.0, 9000.0, 11000.0]
    columns = {name: rng.normal(value, 50, rows) for name, value in RECORD.items() if name != "quality"}
    for column in columns.values():
        mask = rng.random(rows) < 0.2
        column[mask] = rng.choice(special, mask.sum())
    return {**columns, "quality": rng.choice(["L", "M", "H", "X", ""], rows)}


def test_the_wheels_command_line_scores_lines_and_tests_itself(fresh_environment):
    lines = "\n".join([json.dumps(RECORD), json.dumps({**RECORD, "torque": "high"}), "no json"])

    done = subprocess.run(
        [fresh_environment, "-m", "casebook_maintenance", "predict"],
        input=lines,
        capture_output=True,
        text=True,
        cwd="/",
    )
    tested = subprocess.run(
        [fresh_environment, "-m", "casebook_maintenance", "selftest"], capture_output=True, text=True
    )

    good, refused, broken = map(json.loads, done.stdout.splitlines())
    assert 0 < good["score"] < 1
    assert refused["problems"][0]["field"] == "torque"
    assert "is not JSON" in broken["problems"][0]["message"]
    assert done.returncode == 1
    assert tested.returncode == 0
    assert tested.stdout.strip().endswith("golden rows, 0 differences")


def test_the_wheel_is_the_exported_features_module_unchanged(notebook_run):
    with zipfile.ZipFile(
        io.BytesIO(notebook_run.place.newest("06_models", "release.whl").read_bytes())
    ) as wheel:
        shipped = wheel.read("casebook_maintenance/features.py")
        about = json.loads(wheel.read("casebook_maintenance/manifest.json"))

    assert shipped == (ROOT / "src" / "casebook" / "maintenance" / "features.py").read_bytes()
    assert about["source"]["kind"] == "simulator"
    assert about["source"]["description"] == "simulated: 4000 rows, seed 7"


def test_a_changed_model_file_is_refused(fresh_environment):
    found = in_fresh(fresh_environment, "import casebook_maintenance as c; print(c.__file__)").strip()
    path = Path(found).parent / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        code = f"""
from casebook_maintenance import model
try: model.predict({RECORD})
except ValueError as error: print(error)
"""
        assert "is not the file that was released" in in_fresh(fresh_environment, code)
    finally:
        path.write_bytes(content)


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


def eventually(ask, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_two_runs_at_once_both_end_well_and_the_second_says_that_it_waits(place):
    # Forced, as the second would otherwise reuse what the first made.
    command = (
        "hardcover",
        "run",
        "maintenance",
        "--pipeline",
        "--env",
        "ci",
        "--force",
        "--stage",
        "data",
        "features",
    )
    first, second = place.start(*command), place.start(*command)

    said = [process.communicate(timeout=300) for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], said
    assert sum("waiting up to 600 s for another run: process" in error for _, error in said) == 1
    assert len(list(place.data.glob("03_primary/maintenance/clean.parquet/*/manifest.json"))) == 2
    assert all((folder / "manifest.json").exists() for folder in place.versions())


def test_a_run_that_may_not_wait_says_at_once_who_is_at_work(place):
    first = place.start("hardcover", "run", "--env", "ci", "--stage", "data")
    eventually(lambda: (place.data / ".run.lock").read_text() or fail())

    second = place.call("hardcover", "run", "--env", "ci", check=False, env={"HARDCOVER_RUN_WAIT": "0"})

    first.communicate(timeout=300)
    assert first.returncode == 0
    assert second.returncode == 1
    assert f"another run is at work: process {first.pid}" in second.stderr


def test_ctrl_c_leaves_no_unfinished_version_and_no_kernel(place):
    # A shell's background job, in which tests may run, ignores SIGINT, and so do its children.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = place.start("hardcover", "run", "--env", "ci", start_new_session=True, **heard)
    features = "04_feature/maintenance/features.parquet/*/manifest.json"
    # The notebook that made it has cells left, so a stage is running.
    eventually(lambda: any(place.data.glob(features)) or fail())
    os.killpg(process.pid, signal.SIGINT)

    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert re.search(r"error: stopped by Ctrl-C \(case 'maintenance', (after )?stage '\w+'", said), said
    assert "Nothing unfinished was kept" in said
    assert "Traceback" not in said
    assert all((folder / "manifest.json").exists() for folder in place.versions())
    eventually(lambda: fail() if processes_with(str(place.folder)) else True, seconds=20)


def fail():
    raise OSError("not yet")


def processes_with(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            if text in environment and folder.name != str(os.getpid()):
                found.append(folder.name)
        except OSError:
            continue
    return found


def test_what_a_killed_run_started_ends_with_it(place):
    process = place.start("hardcover", "run", "--env", "ci", start_new_session=True)
    # The command, the warm process, and a notebook's kernel.
    eventually(lambda: len(processes_with(str(place.folder))) >= 3 or fail())

    process.kill()
    process.communicate(timeout=30)

    eventually(lambda: fail() if processes_with(str(place.folder)) else True, seconds=5)


def test_a_killed_runs_leftovers_are_never_read_and_are_swept_by_the_next(place):
    process = place.start("kedro", "run", "--pipeline", "maintenance", "--env", "ci", start_new_session=True)
    eventually(lambda: place.versions() or fail())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    left = place.versions()
    assert left
    assert not any((folder / "manifest.json").exists() for folder in left)

    place.call("kedro", "run", "--pipeline", "maintenance.data", "--env", "ci")

    assert all((folder / "manifest.json").exists() for folder in place.versions())
    assert not any(folder.exists() for folder in left)


def test_drift_can_be_switched_on(place):
    drift = ("--param", "maintenance.simulator.drift=1.0")
    place.call("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data", *drift)

    clean = pd.read_parquet(place.newest("03_primary", "clean.parquet"))
    assert place.read("01_raw", "source.json")["description"].endswith("drift 1.0")
    by_time = clean.sort_values("measured_at")["torque"]
    half = len(by_time) // 2
    assert by_time[half:].mean() - by_time[:half].mean() > 2
