"""The wheel that the main job ends with: alone in a fresh environment it gives the same bits."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from hardcover.release import compiler, isolated_env, wheel, wheel_file
from tests.conftest import BIN, ROOT
from tests.runtime.strategies import SPECIAL


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


def test_the_wheel_says_how_sure_it_is_and_how_unusual_a_record_is(fresh_environment):
    asked = [
        RECORD,
        {**RECORD, "torque": 75.0, "rotational_speed": 1300, "tool_wear": 230},
        {**RECORD, "torque": 110.0, "rotational_speed": 2700},
    ]
    lines = "\n".join(map(json.dumps, asked))
    command = [fresh_environment, "-I", "-m", "casebook_maintenance", "predict", "--confidence", "--anomaly"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False, cwd="/")
    code = f"""
import json
from casebook_maintenance import model
columns = {{name: [row[name] for row in {asked}] for name in {RECORD}}}
found = model.confidence_many(columns)
print(json.dumps([found["low"].tolist(), found["labels"].tolist(), model.anomaly_many(columns).tolist(), model.about["confidence"]]))
"""

    sound, failing, wrong = map(json.loads, done.stdout.splitlines())
    low, labels, anomaly, measured = json.loads(in_fresh(fresh_environment, code))

    assert sound["confidence"]["labels"] == [False]
    assert failing["confidence"]["labels"] == [True]
    assert sound["confidence"]["low"] <= sound["confidence"]["high"] < 0.05 < failing["confidence"]["low"]
    assert sound["anomaly"] > 0.05 > 0.01 > wrong["anomaly"]
    assert low == [each["confidence"]["low"] for each in (sound, failing, wrong)]
    assert labels[:2] == [[True, False], [False, True]]
    assert anomaly == [each["anomaly"] for each in (sound, failing, wrong)]
    assert measured["level"] == 0.9
    assert abs(measured["coverage"] - 0.9) < 0.05


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
