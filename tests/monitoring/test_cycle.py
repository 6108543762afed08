"""A pass of the loop: quiet while nothing is wrong, one alert for what is, and the same again when it is done again."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from hardcover.cli import main
from hardcover.errors import HardcoverError, RunLocked
from hardcover.monitoring import again, cycle, replay
from hardcover.release import publish
from hardcover.store import run_lock
from hardcover.tracking import server
from tests.monitoring.conftest import BEGIN, CASE, alerts_told, changed

# Failures that no input shows: half of the machines that did not fail do.
OTHERWISE = {"failure": lambda column: column.where(column.index % 4 != 0, 1)}


def tiers(found: dict) -> dict[str, str]:
    return {each["test"]: each["tier"] for each in found["open"]}


def test_with_nothing_wrong_nothing_is_told_and_with_nothing_new_nothing_is_done(loop):
    for day in range(6):
        rows = loop.rows(day, 150)
        loop.serve(rows)
        loop.label(rows)
    found = loop.cycle(7)
    assert (found["rows"], found["labels"], found["open"], found["events"]) == (900, 900, [], [])
    state = cycle.newest_state(CASE)
    assert [window["rows"] for window in state["windows"]] == [150] * 6
    assert sum(window["labelled"]["rows"] for window in state["windows"]) == 900
    later = loop.cycle(7.5)
    assert later["version"] is None
    assert cycle.newest_state(CASE) == state
    assert alerts_told(loop.place) == []


def test_what_is_known_to_be_special_is_counted_and_nothing_is_bet_on_it(loop):
    for day in range(5):
        wrong = OTHERWISE | {"torque": 40.0} if day in (2, 3) else {}
        rows = loop.rows(day, 200 if day != 3 else 900, **wrong)
        loop.serve(rows)
        loop.label(rows)
    first, last = (str((BEGIN + day * pd.Timedelta(days=1)).date()) for day in (2, 3))
    known = [{"from": first, "to": last, "what": "stocktaking"}]
    found = loop.cycle(6, params={"monitoring.known": known})
    assert (found["rows"], found["labels"], found["open"]) == (1700, 1700, [])
    windows = cycle.newest_state(CASE)["windows"]
    assert [each.get("event") for each in windows] == [None, None, "stocktaking", "stocktaking", None]
    assert windows[2]["labelled"]["rows"] == 200
    loop.serve(loop.rows(6, 50))
    with pytest.raises(HardcoverError, match="is no event: 'to'"):
        loop.cycle(7, params={"monitoring.known": [{"from": first}]})


def test_a_new_model_is_asked_for_when_that_pays(loop, monkeypatch):
    monkeypatch.setattr(cycle, "_train", lambda *_: {"run": "1" * 32})
    for day in range(4):
        rows = loop.rows(day, 200, **OTHERWISE)
        loop.serve(rows)
        loop.label(rows)
    dear = loop.cycle(6, params={"costs.retrain": 1e9})
    assert [each["kind"] for each in dear["decisions"]] == ["wait"]
    assert dear["decisions"][0]["why"].endswith("a new model saves; it costs 1e+09")
    for day in (6, 7):
        loop.serve(loop.rows(day, 200))
        found = loop.cycle(day + 2, params={"costs.retrain": 1e9 if day == 6 else 10.0})
        assert [each["kind"] for each in found["decisions"]] == ([] if day == 6 else ["train"])


def test_a_new_model_is_asked_for_once_it_would_have_saved_what_it_costs(loop, monkeypatch):
    monkeypatch.setattr(cycle, "_train", lambda *_: {"run": "1" * 32})
    saved, counted, decisions = [], [], []
    options = {"monitoring.retrain.after": [], "costs.retrain": 900.0}
    for day in range(6):
        rows = changed(loop.rows(day, 150)) if day > 1 else loop.rows(day, 150)
        loop.serve(rows)
        loop.label(rows, days=0)
        found = loop.cycle(day + 1, params=options)
        decisions.append([each["why"] for each in found["decisions"] if each["kind"] == "train"])
        known = cycle.newest_state(CASE)["fresh"]
        saved.append(known["saved"])
        counted.append(known["rows"])
    asked = next(at for at, each in enumerate(decisions) if each)
    # What has changed is known to a new model a day after it came.
    assert asked > 2
    assert all(each < 900.0 for each in saved[:asked])
    assert saved[asked] >= 900.0
    # It was counted from the first label on, and is from the new model on.
    assert counted[asked : asked + 2] == [150 * (asked + 1), 150]
    (why,) = decisions[asked]
    assert re.fullmatch(
        r"a new model would have saved \S+ EUR on \d+ rows since 2026-03-0\dT\S+; it costs 900", why
    )
    for number in (asked, asked + 1):
        assert again.reproduce(CASE, number)["identical"]


def test_how_sure_answers_are_follows_the_labels_where_that_is_asked_for(loop, release):
    asked = {"monitoring.retrain.after": [], "confidence.adapt": 300}
    file = publish.confidence_file(CASE)
    for day in range(5):
        rows = loop.rows(day, 300, **OTHERWISE)
        loop.serve(rows)
        loop.label(rows, days=0)
        loop.cycle(day + 1, params=asked)
        facts = json.loads(file.read_text())
        assert facts["version"] == f"{CASE}.watch@{day + 1}"
    known = cycle.newest_state(CASE)["coverage"]
    assert facts["confidence"] == known["confidence"]
    assert known["rows"] == 1500
    rows = loop.rows(7, 1000, **OTHERWISE)
    columns = {name: rows[name].to_numpy() for name in release.model.schema["properties"]}
    failed = rows["failure"].to_numpy(dtype=int)

    def covered() -> float:
        return release.model.confidence_many(columns)["labels"][range(len(rows)), failed].mean()

    own = covered()
    release.model.adapt(facts["confidence"])
    assert own < 0.8
    assert covered() > 0.88
    release.model.adapt(None)
    assert covered() == own
    for number in (1, 4):
        assert again.reproduce(CASE, number)["identical"]
    # What was not told, or is gone, is told by the next pass, also where nothing is new; without the option nothing is.
    file.unlink()
    loop.cycle(5, params=asked)
    assert json.loads(file.read_text()) == facts
    loop.serve(loop.rows(8, 50))
    loop.cycle(9, params={"confidence.adapt": 0})
    assert not file.exists()


def test_each_window_is_a_point_of_its_champions_run_in_the_tracking_store(loop, monkeypatch):
    run = publish.current(CASE)["run"]
    for day in range(3):
        loop.serve(loop.rows(day, 100))
    said = []
    with monkeypatch.context() as down:
        down.setenv("HARDCOVER_TRACKING_URI", "http://127.0.0.1:9")
        loop.cycle(3, say=lambda text, transient=False: said.append(text))
    assert any("the next pass tries again" in each for each in said)
    assert len(cycle.newest_state(CASE)["untracked"]) == 3
    rows = loop.rows(3, 100)
    loop.serve(rows)
    loop.label(rows)
    loop.cycle(5)
    connection, _ = server.client()
    counted = connection.get_metric_history(run, "monitor.rows")
    begins = [int((BEGIN + day * replay.DAY).timestamp()) for day in range(4)]
    assert [(each.step, each.value) for each in counted] == [(begin, 100.0) for begin in begins]
    (loss,) = connection.get_metric_history(run, "monitor.loss")
    assert loss.step == begins[3]
    assert cycle.newest_state(CASE)["untracked"] == []


def test_broken_inputs_hold_a_new_model_back_for_some_windows_and_that_is_said_once(loop, monkeypatch):
    monkeypatch.setattr(cycle, "_train", lambda *_: {"run": "1" * 32})
    asked = {"monitoring.retrain.hold": 5, "monitoring.retrain.wait": 0}
    found = []
    for day in range(7):
        rows = loop.rows(day, 200, **OTHERWISE, tool_wear=lambda column: column.where(column.index % 3 == 0))
        loop.serve(rows)
        loop.label(rows)
        found.append([each["kind"] for each in loop.cycle(day + 1.5, params=asked)["decisions"]])
    kinds = [kind for each in found for kind in each]
    assert kinds[0] == "hold"
    assert kinds.count("hold") == 1
    assert "train" in kinds
    held, trained = (next(at for at, each in enumerate(found) if kind in each) for kind in ("hold", "train"))
    assert trained - held >= 4
    (hold,) = [each for each in cycle.newest_state(CASE)["decisions"] if each["kind"] == "hold"]
    assert hold["why"].startswith("a new model would learn from broken inputs: tool_wear missing")


def test_outcomes_that_inputs_do_not_show_are_harm_that_labels_find_and_the_estimate_does_not(loop):
    for day in range(4):
        rows = loop.rows(day, 200, **OTHERWISE)
        loop.serve(rows)
        loop.label(rows)
    found = _without_training(loop, 6)
    assert tiers(found) == {"harm": "page", "estimate": "warning"}
    (page,) = [each for each in found["open"] if each["test"] == "harm"]
    assert page["loss"]["low"] > 0
    assert page["loss"]["unit"] == "EUR"
    assert page["next"] == "hardcover cycle maintenance"
    assert page["since"] == (BEGIN + pd.Timedelta(days=1)).isoformat()
    # One alert for one episode, however many bad days follow.
    rows = loop.rows(6, 200, **OTHERWISE)
    loop.serve(rows)
    loop.label(rows)
    later = _without_training(loop, 8)
    assert later["events"] == []
    assert {each["id"] for each in later["open"]} == {each["id"] for each in found["open"]}
    ids = [json.loads(line)["event_id"] for line in alerts_told(loop.place)]
    assert sorted(ids) == sorted({f"{each['id']}-opened" for each in later["open"]})


def _without_training(loop, day: float) -> dict:
    return loop.cycle(day, params={"monitoring.retrain.after": []})


def test_a_replay_of_all_days_in_one_pass_gives_alerts_the_same_ids(loop):
    for day in range(5):
        rows = loop.rows(day, 200, **OTHERWISE, torque=lambda column: column * 1000)
        loop.serve(rows)
        loop.label(rows, days=0)
        _without_training(loop, day + 1)
    first = cycle.newest_state(CASE)
    shutil.rmtree(loop.place.data / "08_reporting" / CASE / "watch.json")
    _without_training(loop, 5)
    repeated = cycle.newest_state(CASE)
    assert first["episodes"]
    assert [each["id"] for each in repeated["episodes"]] == [each["id"] for each in first["episodes"]]
    assert repeated["windows"] == first["windows"]
    assert repeated["tests"] == first["tests"]


def test_a_broken_input_is_a_warning_within_its_window_that_names_it_first(loop):
    for day in range(3):
        loop.serve(loop.rows(day, 200))
    loop.serve(loop.rows(3, 200, torque=lambda column: column * 1000))
    found = _without_training(loop, 4)
    assert found["open"][0]["test"] == "inputs" or "inputs" in tiers(found)
    (warning,) = [each for each in found["open"] if each["test"] == "inputs"]
    assert warning["since"] == (BEGIN + 3 * pd.Timedelta(days=1)).isoformat()
    assert warning["why"][0].startswith(("torque above", "power above", "strain above", "strain_ratio above"))


def test_an_episode_ends_after_calm_windows_and_silence_is_one_of_its_own(loop):
    loop.serve(loop.rows(0, 300, torque=lambda column: column * 1000))
    opened = _without_training(loop, 1)
    assert "inputs" in tiers(opened)
    for day in range(1, 9):
        loop.serve(loop.rows(day, 200))
    closed = _without_training(loop, 9)
    assert "inputs" not in tiers(closed)
    assert {each["event"] for each in closed["events"]} == {"closed"}
    # Each day that is over has rows, or that is told.
    assert _without_training(loop, 9.5)["version"] is None
    empty = _without_training(loop, 10.1)
    assert tiers(empty) == {"volume": "warning"}
    assert "0 rows, never below 200" in empty["open"][0]["why"][0]
    assert _without_training(loop, 14)["version"] is None


def test_where_little_is_known_yet_silence_is_told_after_some_windows(loop):
    for day in range(3):
        loop.serve(loop.rows(day, 100))
    assert _without_training(loop, 3)["open"] == []
    assert _without_training(loop, 4.9)["open"] == []
    silent = _without_training(loop, 5.1)
    assert tiers(silent) == {"silence of served": "warning"}
    assert _without_training(loop, 30)["version"] is None
    loop.serve(loop.rows(31, 100))
    assert "silence of served" in tiers(_without_training(loop, 32))


def test_what_comes_twice_or_from_the_future_or_is_of_nobody_is_counted_and_nothing_is_lost(loop):
    rows = loop.rows(0, 100)
    loop.serve(rows)
    loop.serve(rows.head(30))
    loop.serve(loop.rows(40, 20))
    early = loop.rows(1, 50)
    assert loop.label(early)["unserved"] == 50
    found = loop.cycle(1)
    assert found["rows"] == 100
    assert found["skipped"] == {"twice": 30, "future": 20}
    assert found["labels"] == 0
    # Labels wait for their answers.
    loop.serve(early)
    assert loop.cycle(2)["labels"] == 50
    (_, second) = cycle.newest_state(CASE)["windows"]
    assert second["labelled"]["rows"] == 50


def test_a_label_that_is_corrected_changes_its_window_and_is_not_bet_on_again(loop):
    rows = loop.rows(0, 200, failure=lambda column: column * 0)
    loop.serve(rows)
    assert loop.label(rows)["new"] == 200
    loop.cycle(2)
    before = cycle.newest_state(CASE)
    other = rows.assign(failure=rows["failure"].where(rows.index >= 50, 1))
    told = loop.label(other)
    assert (told["new"], told["corrected"], told["repeated"]) == (0, 50, 150)
    assert loop.cycle(3)["labels"] == 50
    after = cycle.newest_state(CASE)
    assert after["windows"][0]["labelled"]["rows"] == 200
    assert after["windows"][0]["labelled"]["loss"] > before["windows"][0]["labelled"]["loss"]
    assert after["tests"]["harm"] == before["tests"]["harm"]
    (was, now) = (np.array(each["windows"][0]["came"])[:, 1:3] for each in (before, after))
    # By class: labels that are no longer what they were, and those that are.
    assert was.tolist() == [[0, 200]]
    assert {code: now[now[:, 0] == code, 1].sum() for code in (0, 1)} == {0: 150, 1: 50}


def test_a_second_pass_waits_or_says_who_is_at_it(loop, monkeypatch):
    monkeypatch.setenv("HARDCOVER_RUN_WAIT", "0")
    loop.serve(loop.rows(0, 50))
    with run_lock.hold(f"cycle-{CASE}"):
        run_lock._held.clear()
        with pytest.raises(RunLocked):
            loop.cycle(1)


def test_without_a_champion_it_says_what_to_do(loop):
    loop.serve(loop.rows(0, 50))
    (loop.place.dist / "maintenance.json").unlink()
    with pytest.raises(HardcoverError, match="there is no champion"):
        loop.cycle(1)


def test_the_command_says_what_was_seen_and_ends_with_3_while_a_page_is_open(
    loop, tmp_path, monkeypatch, capsys
):
    for day in range(4):
        rows = loop.rows(day, 200, **OTHERWISE)
        loop.serve(rows)
        loop.label(rows)
    monkeypatch.setattr(cycle, "_train", lambda *_: {"run": "1" * 32})
    given = ["cycle", CASE, "--env", "ci", "--metrics", str(tmp_path / "loop.prom")]
    assert main.main(given) == 3
    said = capsys.readouterr().out
    for words in (
        "800 rows, 800 labels",
        "EUR more",
        "next: hardcover cycle",
        "train, the same model again",
    ):
        assert words in said
    assert 'test="harm"} 1.0' in (tmp_path / "loop.prom").read_text()
    for options, words in (
        (["cycle", "nothing"], "unknown case"),
        (["cycle", CASE, "--log", str(tmp_path / "none")], "there is no such folder"),
    ):
        assert main.main(options) == 1
        assert words in capsys.readouterr().err
