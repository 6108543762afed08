"""Days go by: each row is answered once by the champion of its day, its label comes late, and each pass sees what was there by then."""

import pandas as pd
import pytest

from hardcover.errors import DataError
from hardcover.monitoring import cycle, replay
from hardcover.monitoring.replay import Plan
from hardcover.project import context
from tests.monitoring.conftest import CASE

FEW = {"monitoring.retrain.after": [], "monitoring.retrain.fresh": 0}


@pytest.fixture
def runs(loop, monkeypatch) -> list[tuple]:
    """The runs that a replay asks for, which are left out: the place has a champion already."""
    asked: list[tuple] = []

    def note(case: str, data: list[str], params: dict, env: str | None, purpose: str, *options: str) -> None:
        learned = [pd.read_parquet(file) for file in data]
        asked.append((options, *(table["measured_at"].max() for table in learned)))

    monkeypatch.setattr(cycle, "run", note)
    return asked


def test_days_go_by(runs):
    said: list[str] = []
    plan = Plan(days=60, learn=30, step=10, delay=4)
    found = replay.replay(CASE, plan, [], FEW, "ci", lambda text, transient=False: said.append(text))
    state = found["state"]
    assert (found["days"], state["passes"]) == (60, 3)
    clean = context.open_context("ci", None).catalog.load(f"{CASE}.clean")
    begin, end = clean["measured_at"].min().floor("D"), clean["measured_at"].max()
    later = clean["measured_at"] >= begin + (end - begin) / 2
    served = sum(window["rows"] for window in state["windows"])
    assert abs(served - later.sum()) <= 2
    assert sum(window["labelled"]["rows"] for window in state["windows"]) < served
    labelled = [window["begin"] for window in state["windows"] if window["labelled"]["rows"]]
    assert pd.Timestamp(labelled[-1]) < pd.Timestamp(state["now"]) - 4 * replay.DAY
    # What answers cost whose labels have not come is told by those before.
    without = {window["begin"] for window in state["windows"] if not window["labelled"]["rows"]}
    assert without <= set(state["outlook"])
    # The first champion learns from nothing that it is asked about later.
    (first, *_), (second, newest) = runs
    assert first == ("--stage", "data", "features")
    assert second == ()
    assert newest < begin + (end - begin) / 2 + pd.Timedelta(hours=1)
    # The same days give the same state.
    assert cycle.newest_state(CASE) == state


def test_rows_without_days_enough_are_refused(runs):
    with pytest.raises(DataError, match=r"the data spans \d+ days"):
        replay.replay(CASE, Plan(learn=1000), [], FEW, "ci")
    with pytest.raises(DataError, match="rows without a time"):
        replay._in_days(pd.DataFrame({"x": [1.0]}), {}, 10)


def test_features_that_look_at_the_past_keep_their_pace(windows_run, monkeypatch):
    for name, value in windows_run.place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cycle, "run", lambda *asked: "")
    with pytest.raises(DataError, match="the data does not span 1000 days, and the features of 'fraud' look"):
        replay.replay("fraud", Plan(days=1000), [], {}, "ci")


def test_what_conf_sets_for_a_replay_is_set_unless_options_or_files_are_there(here, monkeypatch):
    asked = []

    def stop(case: str, data: list[str], params: dict, *others: object) -> str:
        asked.append(params)
        raise DataError("enough", "", "")

    monkeypatch.setattr(cycle, "run", stop)
    for data, params in (([], {}), ([], {"simulator.drift": 0.5}), (["rows.csv"], {})):
        with pytest.raises(DataError, match="enough"):
            replay.replay(CASE, Plan(), data, params, "ci")
    assert asked == [{"simulator.drift": 1.0}, {"simulator.drift": 0.5}, {}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("nothing",), "unknown case 'nothing'"),
        ((CASE, "--step", "0"), "out of range"),
        ((CASE, "--days", "-3"), "out of range"),
        ((CASE, "--folder", "mine"), "no earlier replay"),
    ],
)
def test_what_cannot_be_replayed_is_said_and_nobodys_folder_is_removed(place, options, words):
    mine = place.folder / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    given = [str(mine) if each == "mine" else each for each in options]
    done = place.call("hardcover", "simulate", *given, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert (mine / "thesis.txt").read_text() == "mine"
