"""`hardcover tune` writes the settings that are best in folds, says what they won, and keeps all else of the file."""

import json

import pytest
import yaml

from hardcover.cli import tune
from hardcover.modelling import portfolio
from hardcover.modelling.portfolio import Tried
from tests import projects

LINES = ["    num_leaves: 10", '    stopping: "joint"']


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("c:\n  task: binary\n\n  training:   # mine\n    stopping: joint  # so\n    seed: 4\n\n  costs: {}\n",
         "c:\n  task: binary\n\n  training:   # mine\n    # won\n    num_leaves: 10\n    stopping: \"joint\"\n    seed: 4\n\n  costs: {}\n"),
        ("c:\n  training:\n", "c:\n  training:\n    # won\n    num_leaves: 10\n    stopping: \"joint\"\n"),
        ("c:\n  training: {seed: 4}\n", None),
        ("c:\n  task: binary\n", None),
        (None, None),
    ],
)  # fmt: skip
def test_lines_go_below_training_in_place_of_those_of_the_same_name(tmp_path, before, after):
    file = tmp_path / "parameters_c.yml"
    if before is not None:
        file.write_text(before)
    assert tune._write(file, "won", LINES) == (after is not None)
    assert (file.read_text() if file.exists() else None) == (after or before)


def test_the_best_is_the_least_loss_and_of_a_ranking_the_most_gain():
    found = [
        Tried("a", {}, 0.5, 0.1, 9, 1.0),
        Tried("b", {"x": 1}, 0.4, 0.1, 9, 1.0),
        Tried("c", {"x": 2}, 0.4, 0.1, 9, 1.0),
    ]
    assert portfolio.best(found, greater_is_better=False).name == "b"
    assert portfolio.best(found, greater_is_better=True).name == "a"


@pytest.mark.parametrize("task", ["binary", "ranking"])
def test_a_case_is_tuned_and_its_next_run_has_what_won(tmp_path, task):
    project = projects.write(tmp_path / "small", [task])
    file = project / "conf" / "base" / f"parameters_{task}.yml"
    whole = yaml.safe_load(file.read_text())
    # Two trees of two leaves: anything else is better.
    trees = whole[task].pop("training") | {"rounds": 2, "num_leaves": 2, "stopping": "joint"}
    text = (
        yaml.safe_dump(whole)
        + "  training:\n"
        + "".join(f"    {name}: {json.dumps(value)}\n" for name, value in trees.items())
    )
    file.write_text(text)
    said = json.loads(projects.call(project, "hardcover", "tune", task, "--minutes", "0.5", "--json").stdout)
    assert [each["name"] for each in said["tried"]] == [portfolio.CONFIGURED, *portfolio.PORTFOLIO][
        : len(said["tried"])
    ]
    assert said["best"] != portfolio.CONFIGURED
    assert said["written"]
    tuned = yaml.safe_load(file.read_text())[task]["training"]
    # What is a default already is not said again.
    assert all(tuned.get(name, value) == value for name, value in portfolio.PORTFOLIO[said["best"]].items())
    assert tuned["num_leaves"] == portfolio.PORTFOLIO[said["best"]]["num_leaves"]
    assert f"# {said['best']}, tried on" in file.read_text()


def test_without_time_only_what_is_configured_is_measured(tmp_path):
    project = projects.write(tmp_path / "small", ["count"])
    said = json.loads(projects.call(project, "hardcover", "tune", "count", "--minutes", "0", "--json").stdout)
    assert [each["name"] for each in said["tried"]] == [portfolio.CONFIGURED]
    assert not said["written"]
