"""A project with a case of each task: through all stages, proven by all faces, answering where nothing else is installed."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from hardcover.release import isolated_env
from tests import projects
from tests.conftest import Place, once


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Place, dict]:
    """The project after one run, and what it said of each case."""

    def make(folder: Path) -> list[dict]:
        projects.write(folder / "project")
        done = projects.call(folder / "project", "hardcover", "run", "--pipeline", "--export", "--json")
        return json.loads(done.stdout)

    folder, said = once(tmp_path_factory, "five", make)
    return Place(folder / "project"), {facts["case"]: facts for facts in said}


@pytest.mark.parametrize("task", projects.TABLES)
def test_every_task_is_proven_and_published(finished, task):
    said = finished[1][task]

    assert said["metrics"]["task"] == task
    assert said["proof"]["passed"]
    assert len(said["proof"]["faces"]) == 11
    assert Path(said["proof"]["published"]["path"]).name.startswith(f"small_{task}-")
    assert said["release_report"]["differing_bits"] == 0
    assert said["registration_report"]["better"]


@pytest.mark.parametrize("task", projects.TABLES)
def test_every_task_beats_its_constant(finished, task):
    metrics = finished[1][task]["metrics"]
    name, greater = metrics["primary"]["name"], metrics["primary"]["greater_is_better"]

    ours, constant = metrics["holdout"][name], metrics["baseline"]["constant"][name]
    assert ours > constant if greater else ours < constant
    assert metrics["interval"][name]["low"] <= ours <= metrics["interval"][name]["high"]


@pytest.mark.parametrize("task", projects.TABLES)
def test_every_wheel_answers_a_record_with_nothing_else_installed(finished, task, tmp_path):
    place, said = finished[0], finished[1][task]
    built = Path(said["proof"]["published"]["path"]).read_bytes()
    python, package = isolated_env.install(built, tmp_path), f"small_{task}"
    rows = pd.read_csv(place.folder / "data" / f"{task}.csv")
    program = f"""
import json, sys
from {package} import model
records = [{{name: row[name] for name in model.schema["properties"]}} for row in json.loads(sys.argv[1])]
found = model.predict(records[0], explain=True)
ranked = model.rank({{}}, records, top=2)
assert [each.score for _, each in ranked] == sorted((model.predict(each).score for each in records), reverse=True)[:2]
print(json.dumps([found._asdict(), model.evaluator.raw(model._row(records[0], True)), model.selftest()[1]]))
"""
    records = rows.head(5).to_json(orient="records")
    done = subprocess.run([python, "-I", "-c", program, records], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, raw, differences = json.loads(done.stdout)
    command = [python, "-m", package, "predict", "--explain", "1"]
    record = json.loads(records)[0]
    record = {name: record[name] for name in said_inputs(place, task)}
    line = subprocess.run(command, input=json.dumps(record), capture_output=True, text=True, check=True)

    assert differences == []
    assert json.loads(line.stdout)["score"] == found["score"]
    if task == "multiclass":
        assert found["label"] in projects.COSTED
        assert list(found["scores"]) == list(found["base_value"]) == list(projects.COSTED)
        assert sum(found["scores"].values()) == pytest.approx(1)
        sums = [
            found["base_value"][name] + sum(value for *_, value in found["contributions"][name])
            for name in projects.COSTED
        ]
    else:
        assert (found["label"] in (True, False)) if task == "binary" else found["label"] is None
        sums = [found["base_value"] + sum(value for *_, value in found["contributions"])]
    assert sums == pytest.approx(raw)


def said_inputs(place: Place, task: str) -> list[str]:
    (path,) = place.data.glob(f"03_primary/{task}/schema.json/*/schema.json")
    return list(json.loads(path.read_text())["properties"])


def test_a_split_by_time_is_reported_beside_what_a_random_one_would_have_shown(finished):
    said = finished[1]["regression"]

    assert said["data_report"]["split_by"] == "time, 3 days apart"
    assert set(said["metrics"]["random_split"]) == {"rmse"}
    assert "last_value" in said["metrics"]["baseline"]
