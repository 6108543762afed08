"""A new model is trained when answers do harm, and becomes champion when it is proven better on rows that neither has learned from."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient

from hardcover.errors import HardcoverError
from hardcover.modelling.evidence import SHARES
from hardcover.monitoring import again, cycle, promotion, replay
from hardcover.project.context import open_context
from hardcover.release import publish
from hardcover.tracking import registry
from tests.conftest import ROOT, Place
from tests.monitoring.conftest import BEGIN, CASE, changed, looped
from tests.serving.conftest import often
from tests.store.test_drafts import faults

__all__ = ["faults"]


def alias(place: Place) -> str:
    """Return the wheel that the registry's champion has."""
    client = MlflowClient(place.tracking)
    version = client.get_registered_model(CASE).aliases["champion"]
    return client.get_model_version(CASE, str(version)).tags["wheel"]


def copy_of(place: Place, folder) -> Place:
    return Place(shutil.copytree(place.folder, folder / "place"))


def test_harm_asks_for_a_new_model_which_is_promoted_by_evidence(retrained, monkeypatch):
    looped(retrained.place, monkeypatch)
    trained, promoted = retrained.said["decisions"]
    assert trained["kind"] == "train"
    assert trained["reason"] in {each["id"] for each in retrained.said["open"]}
    assert promoted["outcome"] == "promoted"
    assert promoted["evidence"]["gain"] > 0
    assert promoted["evidence"]["rows"] > 100
    champion = publish.current(CASE)
    assert champion["wheel"] == promoted["challenger"] != promoted["wheel"]
    assert champion["run"] == trained["run"]
    assert publish.history(CASE)[0]["how"] == "cycle"
    assert publish.current(CASE, publish.CHALLENGER) is None
    assert alias(retrained.place) == champion["wheel"]


def test_the_new_champion_is_watched_from_its_own_beginning(retrained, tmp_path, monkeypatch):
    here = looped(copy_of(retrained.place, tmp_path), monkeypatch)
    rows = changed(here.rows(6, 200))
    here.serve(rows)
    here.label(rows)
    found = here.cycle(8)
    assert found["wheel"] == publish.current(CASE)["wheel"]
    # What the one before was blamed for is over, and it is not blamed for what it was.
    assert found["open"] == []
    assert {each["event"] for each in found["events"]} == {"closed"}
    state = cycle.newest_state(CASE)
    assert state["since"] == state["windows"][-1]["begin"]


def test_what_a_pass_saw_and_decided_is_reproduced_and_a_changed_answer_is_told(
    retrained, tmp_path, monkeypatch
):
    here = looped(copy_of(retrained.place, tmp_path), monkeypatch)
    rows = changed(here.rows(6, 100))
    here.serve(rows)
    here.cycle(8)
    for number, parts in ((1, "verdict on"), (2, "windows")):
        found = again.reproduce(CASE, number)
        assert found["identical"], found
        assert any(name.startswith(parts) for name in found["outputs"])
    said = here.place.call("hardcover", "reproduce", f"{CASE}.watch")
    assert said.stdout.startswith(f"pass 2 of {CASE}: identical")
    known = cycle.newest_state(CASE)
    known["windows"][-1]["rows"] += 1
    first = again.state_in(again._places(CASE)[1])
    monkeypatch.setattr(again, "state_in", lambda folder: known if folder.name == found["version"] else first)
    found = again.reproduce(CASE)
    assert not found["identical"]
    assert found["outputs"]["windows"] == "differs"
    with pytest.raises(HardcoverError, match="there was no pass 7"):
        again.reproduce(CASE, 7)


def test_a_model_that_was_asked_for_and_not_trained_is_trained_by_the_next_pass(loop, monkeypatch):
    for day in range(3):
        rows = changed(loop.rows(day, 300))
        loop.serve(rows)
        loop.label(rows)

    def killed(*_) -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr(cycle, "_train", killed)
    with pytest.raises(KeyboardInterrupt):
        loop.cycle(5)
    assert cycle.newest_state(CASE)["wants"]["why"].startswith("harm since")
    monkeypatch.setattr(cycle, "_train", lambda *_: {"run": "1" * 32})
    found = loop.cycle(5.1)
    assert [each["outcome"] for each in found["decisions"]] == ["the same model again"]
    assert loop.cycle(5.2)["version"] is None
    # What lasts asks again, each time after twice as many windows.
    trained, alone = [], {"monitoring.retrain.wait": 2, "monitoring.retrain.fresh": 0}
    for day in range(5, 14):
        rows = changed(loop.rows(day, 200))
        loop.serve(rows)
        loop.label(rows)
        found = loop.cycle(day + 2, params=alone)
        trained += [day for each in found["decisions"] if each["kind"] == "train"]
    assert len(trained) == 1
    assert trained[0] >= 8


def test_a_challenger_that_is_better_and_worse_for_a_segment_is_not_promoted():
    chance = np.random.default_rng(51)
    reference = SimpleNamespace(
        loss=np.full(100, 0.2),
        largest_loss=1.0,
        dependence=1.0,
        levels={"plant": ["a", "b"]},
        model=SimpleNamespace(inputs=["plant"]),
        losses=lambda target, score: (target != (score >= 0.5)).astype(float),
        labels=lambda score: (score >= 0.5).astype(float),
    )
    contest = promotion.Contest(reference, reference, {"error": 0.05, "margin": 0.01, "churn": 0.5})
    plant, target = (chance.random(4000) < 0.2).astype(float), (chance.random(4000) < 0.5).astype(float)
    champion = np.where(chance.random(4000) < 0.25, 1 - target, target)
    # Right where the champion is right half of the time, and wrong in plant b.
    challenger = np.where((plant == 1) & (chance.random(4000) < 0.4), 1 - target, target)
    contest.see(plant[:, None], champion, challenger, target)
    known = contest.as_data()
    assert known["verdict"] == "better"
    assert known["objections"] == ["worse for plant b"]
    assert "but worse for plant b" in promotion.words(known)
    again = promotion.Contest(reference, reference, {"error": 0.05, "margin": 0.01, "churn": 0.1}, known)
    assert again.objections == [
        "worse for plant b",
        f"{known['changed'] / 4000:.1%} other labels, more than promotion.churn",
    ]


def test_after_a_rollback_the_champion_before_is_watched_anew_and_pointer_and_alias_agree(
    retrained, tmp_path, monkeypatch
):
    here = looped(copy_of(retrained.place, tmp_path), monkeypatch)
    promoted = publish.current(CASE)["wheel"]
    here.serve(here.rows(6, 100))
    assert here.cycle(8)["wheel"] == promoted
    assert replay._roll_back(CASE, lambda *_: None, 8)
    assert publish.current(CASE)["wheel"] == alias(here.place) != promoted
    here.serve(here.rows(9, 100))
    found = here.cycle(11)
    assert found["wheel"] == publish.current(CASE)["wheel"] != promoted
    assert cycle.newest_state(CASE)["since"] == beginning(9)
    # There is none before it.
    assert not replay._roll_back(CASE, lambda *_: None, 7)


def test_the_champion_before_returns_where_it_is_proven_better_and_what_followed_follows_no_more(
    notebook_run, retrained, tmp_path, monkeypatch
):
    first = looped(notebook_run.place, monkeypatch).holdout
    here = looped(copy_of(retrained.place, tmp_path), monkeypatch)._replace(holdout=first)
    promoted, before = (publish.line_of(publish.history(CASE))[place]["wheel"] for place in (-1, -2))
    state = cycle.newest_state(CASE)
    assert state["recipe"]["gain"] > 0
    assert (state["guard"]["wheel"], state["guard"]["of"]) == (before, promoted)
    decided = []
    for day in range(6, 12):
        # Machines fail again as they did when the first champion learned.
        rows = here.rows(day, 300)
        here.serve(rows)
        here.label(rows)
        decided += here.cycle(day + 2)["decisions"]
        if publish.current(CASE)["wheel"] == before:
            break
    (returned,) = [each for each in decided if each["kind"] == "promote"]
    assert (returned["challenger"], returned["outcome"]) == (before, "returns")
    assert returned["evidence"]["gain"] > 0
    assert alias(here.place) == before
    state = cycle.newest_state(CASE)
    assert (state["recipe"], state["guard"], state["challenger"]) == (None, None, None)
    assert again.reproduce(CASE)["identical"]


@pytest.mark.parametrize(
    ("verdict", "alone", "recipe", "outcome"),
    [
        ("unknown", "unknown", None, "stays challenger"),
        ("unknown", "unknown", {"since": "then"}, "follows"),
        ("not worse", "not worse", {"since": "then"}, "follows"),
        ("unknown", "worse", {"since": "then"}, "stays challenger"),
        ("better", "unknown", None, "promoted"),
        # Those before it were better; it is not.
        ("better", "worse", None, "stays challenger"),
        ("worse", "better", {"since": "then"}, "dropped"),
    ],
)
def test_what_follows_from_evidence_on_the_series_and_on_the_newest_alone(verdict, alone, recipe, outcome):
    contest = {"verdict": verdict, "objections": [], "alone": {"verdict": alone, "objections": []}}
    assert cycle.outcome_of(contest, recipe) == outcome
    objected = contest | {"objections": ["worse for plant b"]}
    assert cycle.outcome_of(objected, recipe) == ("dropped" if verdict == "worse" else "stays challenger")


def beginning(day: int) -> str:
    """Return the begin of a day's window."""
    return (BEGIN + day * replay.DAY).isoformat()


@pytest.fixture
def contested(retrained, tmp_path, monkeypatch) -> Place:
    """The same before its end: the old champion, a challenger that little speaks for yet, and labels that will; and inputs that are broken."""
    here = looped(copy_of(retrained.place, tmp_path), monkeypatch)
    challenger = publish.current(CASE)
    publish._write(challenger, publish.CHALLENGER)
    champion = publish.promote(publish.before(CASE), "rollback")
    registry.set_champion(CASE, champion["wheel"])
    state = cycle.newest_state(CASE)
    kept = {"wheel": challenger["wheel"], "until": BEGIN.isoformat(), "rows": 0, "gain": 0.0, "changed": 0}
    none = np.zeros(len(SHARES)).tolist()
    state |= {"recipe": None, "guard": None}
    state["challenger"] = {
        **kept,
        "of": champion["wheel"],
        "alone": None,
        "most": 500.0,
        "verdict": "unknown",
        "objections": [],
        "segments": {},
        "better": none,
        "worse": none,
        "not_worse": none,
    }
    state["decisions"] = state["decisions"][:1]
    catalog = open_context("ci", None).catalog
    catalog.in_run = True
    catalog.save(f"{CASE}.watch", state)
    catalog.commit(lambda _: {"node": "cycle", "inputs": {}})
    for day in (6, 7):
        rows = changed(here.rows(day, 300, quality=lambda column: column.where(column.index % 3 != 0, "X")))
        here.serve(rows)
        here.label(rows)
    return here.place


def test_a_pass_that_is_killed_anywhere_is_finished_by_the_next_as_if_nothing_had_been(
    contested, faults, tmp_path
):
    folder = tmp_path / "killed"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.monitoring.passing", contested.folder, folder, str(often(2, 0))]
    environment = {**os.environ, "LD_PRELOAD": str(faults), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tried"] >= 2
    assert found["pointer"] == publish.current(CASE, publish.CHALLENGER)["wheel"]
    assert any(each.endswith("-opened") for each in found["told"])
