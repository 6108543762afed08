"""What was served is compared with the champion's holdout: a change has its cause, and no change has none."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from hardcover.monitoring.change import causes, shifts
from hardcover.runtime.profile import Bins, Profile
from hardcover.serving.prediction_log import Policy, PredictionLog
from tests.conftest import RECORD, Place
from tests.serving.conftest import PREDICT, ask


@pytest.fixture(scope="module")
def holdout(notebook_run) -> pd.DataFrame:
    table = pd.read_parquet(notebook_run.place.newest("03_primary", "clean.parquet"))
    return table[table["split"] == "holdout"][list(RECORD)]


def drawn(holdout: pd.DataFrame, rows: int, seed: int, **changed: float) -> list[dict]:
    """Draw records from the holdout, and add to some fields."""
    table = holdout.sample(rows, replace=True, random_state=seed)
    return table.assign(**{name: table[name] + by for name, by in changed.items()}).to_dict("records")


def monitored(place, *options: str) -> dict:
    return json.loads(place.call("hardcover", "monitor", "maintenance", "--json", *options).stdout)


@pytest.fixture
def served(app, notebook_run, tmp_path, monkeypatch):
    """Answer records at moments, and collect what was logged, in a copy of where the main job ran."""

    def serve(days: dict[int, list[dict]]) -> Place:
        app.log = PredictionLog(Policy(str(tmp_path / "log")), app.counters)
        for day, records in days.items():
            monkeypatch.setattr("time.time_ns", lambda day=day: (1_750_086_400 + day * 86_400) * 10**9)
            assert ask(app, PREDICT, records).status == 200
        monkeypatch.undo()
        app.log.close()
        place = Place(shutil.copytree(notebook_run.place.folder, tmp_path / "place"))
        place.call("hardcover", "collect", str(tmp_path / "log"))
        return place

    return serve


def test_a_change_of_the_mean_score_is_told_by_day_and_divided_among_its_causes(served, release, holdout):
    usual, worn = drawn(holdout, 1500, 1), drawn(holdout, 1500, 2, tool_wear=40.0)
    place = served({0: usual, 1: worn})
    found = monitored(place)
    first, second = found["windows"]
    of_wear = {"tool_wear", "strain", "strain_ratio"}

    assert [first["rows"], second["rows"]] == [1500, 1500]
    assert second["change"][0] > 5 * abs(first["change"][0])
    assert {*list(second["causes"])[:2]} & of_wear
    assert next(iter(second["shifts"])) in of_wear
    assert max(first["shifts"].values()) < 0.05 < 0.1 < second["shifts"]["tool_wear"]
    assert max(shift for name, shift in second["shifts"].items() if name not in {*of_wear, "score"}) < 0.05
    assert first["releases"] == [release.version]
    assert first["missing"] == first["unseen"] == {}
    # Of all windows together it is the same rows.
    (whole,) = monitored(place, "--window", "week")["windows"]
    assert whole["rows"] == 3000
    said = place.call("hardcover", "monitor", "maintenance").stdout
    assert "due to" in said.splitlines()[1]
    assert len(said.splitlines()) == 4


def test_the_parts_add_up_to_the_change_of_the_mean_score(release, holdout):
    names = list(release.model.inputs)
    before, after = (
        release.model.inputs_of(pd.DataFrame(rows))
        for rows in (drawn(holdout, 400, 4), drawn(holdout, 300, 5, torque=5.0))
    )
    parts = causes(release.model.explain_inputs(before), release.model.explain_inputs(after), names)
    change = (
        release.model.score_inputs(after, raw=True).mean()
        - release.model.score_inputs(before, raw=True).mean()
    )
    assert sum(parts.values()) == pytest.approx(change, abs=1e-9)
    assert list(parts) == sorted(parts, key=lambda name: -abs(parts[name]))


def test_rows_of_the_same_kind_have_moved_by_no_more_than_chance_and_others_have():
    chance = np.random.default_rng(7)
    bins = Bins(["x", "score"], [np.linspace(-2, 2, 63).tolist()] * 2)

    def profile(rows: int, by: float = 0.0) -> Profile:
        table = chance.normal(by, 1, (rows, 2))
        return Profile.of(bins, table[:, :1], table[:, 1:])

    reference = profile(5000)
    same = [shifts(reference, profile(rows))["x"] for rows in (50, 500, 5000) for _ in range(30)]
    assert np.mean(same) < 0.02
    moved = [shifts(reference, profile(500, by=0.5))["x"] for _ in range(30)]
    assert min(moved) > 0.04
    # That of two normal distributions half a standard deviation apart is 0.197.
    assert 0.08 < np.mean(moved) < 0.2
    assert shifts(reference, profile(0))["x"] == 0.0


def test_what_is_not_there_is_said(place, here):
    for what, words in (("nothing", "unknown case"), ("maintenance", "no champion")):
        done = place.call("hardcover", "monitor", what, check=False)
        assert done.returncode == 1
        assert words in done.stderr
