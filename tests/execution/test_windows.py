"""Cases whose features look at the past: proven by replay, and without a look at what was not known."""

import json

import lightgbm as lgb
import numpy as np
import pytest

from hardcover import tasks
from hardcover.modelling import training
from hardcover.project.case import Case
from tests.conftest import Place, once

CASES = ["alerts", "fraud"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    def make(folder):
        command = ("hardcover", "run", *CASES, "--env", "ci", "--pipeline", "--json")
        done = Place(folder).call(*command, env={"HARDCOVER_RUN_PROVE": "yes"})
        return json.loads(done.stdout)

    folder, said = once(tmp_path_factory, "windows", make)
    return Place(folder), {facts["case"]: facts for facts in said}


@pytest.mark.parametrize("case", CASES)
def test_every_face_and_the_replay_give_the_same_bits(run, case):
    proof = run[1][case]["proof"]
    assert proof["passed"]
    assert {"module", "wheel", "wheel without numpy", "wheel without kernel"} <= set(proof["faces"])


@pytest.mark.parametrize("case", CASES)
def test_shuffled_labels_score_as_chance(run, case, monkeypatch):
    for name, value in run[0].environment.items():
        monkeypatch.setenv(name, value)
    here = Case(case, env="ci")
    features, plan = here.load("features"), here.load("feature_plan")
    target, part = plan["roles"]["target"], features["split"]
    learned = part.isin(["train", "validation"])
    shuffled = features.copy()
    shuffled.loc[learned, target] = np.random.default_rng(1).permutation(features.loc[learned, target])
    options = {**here.parameter("training"), "rounds": 30, "stopping": "validation"}

    model, _ = training.fit(
        shuffled, plan, options, here.parameter("costs"), here.parameter("split"), "binary"
    )

    task = tasks.of("binary")
    rows = training.rows_of(features, plan, task, "holdout")
    score = lgb.Booster(model_str=model).predict(rows.inputs)
    precision = task.metrics(rows, score, task.decision({}, task.classes(None)), {})["average_precision"]
    assert precision < 4 * rows.target.mean()
