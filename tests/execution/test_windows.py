"""Cases whose features look at the past: proven by replay, and without a look at what was not known."""

import importlib
import json

import lightgbm as lgb
import numpy as np
import pytest

from hardcover import tasks
from hardcover.modelling import training
from hardcover.project.case import Case
from hardcover.release import events
from hardcover.runtime.records import Fields

CASES = ["alerts", "fraud", "recommendation"]


@pytest.fixture
def run(windows_run):
    return windows_run.place, {facts["case"]: facts for facts in windows_run.said}


@pytest.mark.parametrize("case", CASES)
def test_every_face_and_the_replay_give_the_same_bits(run, case):
    proof = run[1][case]["proof"]
    assert proof["passed"]
    assert {"module", "wheel", "wheel without numpy", "wheel without kernel", "service JSON"} <= set(
        proof["faces"]
    )


@pytest.mark.parametrize("case", CASES)
def test_shuffled_labels_score_as_chance(run, case, monkeypatch):
    here = _entered(run, monkeypatch, case)
    features, plan, name = here.load("features"), here.load("feature_plan"), here.parameter("task")
    target, task = plan["roles"]["target"], tasks.of(name)
    learned = features["split"].isin(["train", "validation"])
    options = {**here.parameter("training"), "rounds": 30, "stopping": "validation"}
    rows = training.rows_of(features, plan, task, "holdout")

    def measured(score):
        decision = task.decision({}, task.classes(None))
        return task.metrics(rows, score, decision, {})[task.primary.name]

    def of_shuffled(seed):
        shuffled, rng = features.copy(), np.random.default_rng(seed)
        shuffled.loc[learned, target] = rng.permutation(features.loc[learned, target])
        given = here.parameter("costs"), here.parameter("split"), name
        model, _ = training.fit(shuffled, plan, options, *given)
        return measured(lgb.Booster(model_str=model).predict(rows.inputs))

    # An order of few rows that learned noise may by chance be that of what is popular, or its reverse.
    found = np.mean([of_shuffled(seed) for seed in range(6)])
    assert found < {"binary": 2, "ranking": 1.5}[name] * measured(np.zeros(len(rows)))


def _entered(run, monkeypatch, case):
    for name, value in run[0].environment.items():
        monkeypatch.setenv(name, value)
    return Case(case, env="ci")


@pytest.mark.parametrize("case", CASES)
def test_a_store_filled_as_of_a_moment_answers_as_the_offline_table(run, monkeypatch, case):
    here = _entered(run, monkeypatch, case)
    clean, plan, schema = here.load("clean"), here.load("feature_plan"), here.load("schema")
    features, module = here.load("features"), importlib.import_module(here.parameter("features_module"))
    roles = plan["roles"]
    received = clean[roles.get("received") or roles["time"]]
    happened = events.happened(clean, roles)
    arrived = received if happened is None else received[happened]
    chosen = clean[clean["split"] == "holdout"].sample(5, random_state=1)
    for row, moment in received.loc[chosen.index].items():
        online = events.online_of(module, schema, plan)
        online.histories.keep = None
        seen = events.fill(online, clean, plan, moment)
        assert seen == (arrived < moment).sum()

        names = [*schema["properties"], *plan["events"]["fields"]]
        (record,) = events.records({name: events.plain(clean.loc[[row], name]) for name in names})
        values = online.inputs(record, Fields(schema).encode(record, validate=False))

        expected = features.loc[row, plan["inputs"]].astype(float)
        assert [values[name].hex() for name in plan["inputs"]] == [each.hex() for each in expected]


def test_materialize_fills_a_store_once(run, tmp_path):
    place = tmp_path / "fraud.db"
    command = ("hardcover", "materialize", "fraud", "--env", "ci", "--into", place, "--json")
    some = json.loads(run[0].call(*command, "--at", "2026-02-01T00:00:00").stdout)
    assert some["new"] == some["observed"] > 1000
    rest = json.loads(run[0].call(*command).stdout)
    assert rest["repeated"] + rest["learned"] == some["observed"]
    assert json.loads(run[0].call(*command).stdout)["new"] == 0


def test_features_are_listed_with_what_uses_them(run):
    found = json.loads(run[0].call("hardcover", "features", "--env", "ci", "--json").stdout)
    named = {each["feature"]: each for each in found}
    assert named["terminal_risk_30d"]["kind"] == "window"
    assert named["terminal_risk_30d"]["meaning"].startswith("share of fraud by terminal")
    assert named["amount"]["unit"] == "EUR"
    assert named["film_year"]["kind"] == "lookup"
    assert named["night"]["cases"] == ["fraud"]
    # Both of the module that cases share.
    assert named["weekend"]["cases"] == ["fraud"]
    assert named["hour"]["cases"] == ["alerts"]
    assert named["night"]["wheels"][0].startswith("casebook_fraud")
    assert len(named["hour"]["quantiles"]) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("maintenance",), "have no windows"),
        (("fraud", "--at", "yesterday"), "no time by ISO 8601"),
        (("frauds",), "Did you mean 'fraud'"),
    ],
)
def test_materialize_says_what_is_wrong(run, arguments, said):
    done = run[0].call("hardcover", "materialize", *arguments, "--env", "ci", check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_alerts_takes_a_benchmarks_spans_as_labels(tmp_path):
    from casebook.alerts import data

    (tmp_path / "cpu.csv").write_text("timestamp,value\n2014-02-14 14:30:00,0.1\n2014-02-14 14:35:00,0.9\n")
    (tmp_path / "windows.json").write_text('{"cpu.csv": [["2014-02-14 14:34:00", "2014-02-14 15:00:00"]]}')
    raw, source = data.read([str(tmp_path / name) for name in ("cpu.csv", "windows.json")], {})
    assert raw["Label"].tolist() == ["0", "1"]
    assert source["files"][0]["columns"] == ["timestamp", "value", "Label"]
