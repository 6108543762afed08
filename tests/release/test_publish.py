"""What is released: only what is proven, one current wheel a case with a pointer to it, older ones in the archive."""

import json

import pytest
from mlflow import MlflowClient

from hardcover.release import publish, wheel
from hardcover.store import disk
from tests.conftest import Place
from tests.release.test_compiler import AT_HALF, made_parts

PROOF = {"passed": True, "rows": {}}


@pytest.fixture
def built():
    """Two wheels of one case that answer differently."""
    from casebook.maintenance import features

    files, about = made_parts()
    return [
        wheel.build("project_small", "small", "0.1.0", features, files, {**about, "decision": decision})
        for decision in ({**AT_HALF, "threshold": 0.1}, AT_HALF)
    ]


def test_the_current_wheel_has_a_pointer_and_older_ones_are_archived(here, built):
    first = publish.publish("small", built[0], PROOF, {"run": "a"})
    other = publish.add(first, wheel.for_target(built[0], "linux-aarch64"))
    noted = publish.current("small")["other_platforms"]
    second = publish.publish("small", built[1], PROOF, {"run": "b"})

    assert sorted(path.name for path in here.dist.iterdir()) == sorted(
        ["archive", "small.json", second["wheel"]]
    )
    assert {path.name for path in (here.dist / "archive").iterdir()} == {first["wheel"], other.name}
    assert noted == {other.name: "not proven: run its selftest there"}
    pointer = publish.current("small")
    assert (pointer["wheel"], pointer["run"]) == (second["wheel"], "b")
    assert pointer["sha256"] == disk.digest(here.dist / second["wheel"])


def test_a_target_that_is_this_machine_leaves_the_proven_wheel_alone(here, built):
    pointer = publish.publish("small", built[0], PROOF, {})

    publish.add(pointer, built[0])

    assert publish.current("small") == pointer


def test_a_pointer_to_a_wheel_that_is_gone_or_changed_points_to_nothing(here, built):
    found = publish.publish("small", built[0], PROOF, {})
    with (here.dist / found["wheel"]).open("ab") as file:
        file.write(b"x")

    assert publish.current("small") is None
    assert publish.current("no such case") is None


@pytest.fixture
def place(unproven) -> Place:
    return unproven


def model_versions(place: Place) -> tuple[MlflowClient, dict]:
    client = MlflowClient(place.tracking)
    return client, client.get_registered_model("maintenance").aliases


def test_what_is_not_proven_is_neither_champion_nor_published(place):
    done = place.call("hardcover", "release", "maintenance", "--env", "ci", check=False)

    assert not place.dist.exists()
    assert set(model_versions(place)[1]) == {"challenger"}
    assert done.returncode == 1
    assert "the newest wheel of 'maintenance' is not proven" in done.stderr
    assert "Run: hardcover prove maintenance" in done.stderr


def test_a_proof_that_passes_promotes_publishes_and_tells_the_registry(place):
    done = place.call("hardcover", "prove", "maintenance", "--env", "ci", "--json")

    client, aliases = model_versions(place)
    pointer = json.loads((place.dist / "maintenance.json").read_text())
    version = client.get_model_version("maintenance", aliases["champion"])
    assert json.loads(done.stdout)["published"]["wheel"] == pointer["wheel"]
    assert pointer["registry"] == "promoted to champion: there was none"
    assert (place.dist / pointer["wheel"]).is_file()
    assert version.tags["wheel"] == pointer["wheel"]
    assert {"average_precision", "git_commit", "proof"} <= set(version.tags)
    assert "on the holdout" in version.description
    assert client.get_run(pointer["run"]).data.tags["proof"] == "passed"


def test_a_failed_proof_publishes_nothing_and_marks_the_run(checkout, place):
    checkout.edit("conf/ci/parameters_maintenance.yml", "rounds: 100", "rounds: 20")

    done = checkout.call(place, "hardcover", "prove", "maintenance", "--env", "ci", check=False)

    client, aliases = model_versions(place)
    experiment = client.get_experiment_by_name("casebook")
    (run,) = client.search_runs([experiment.experiment_id])
    assert done.returncode == 1
    assert "pipeline differs from training" in done.stdout
    assert not place.dist.exists()
    assert set(aliases) == {"challenger"}
    assert run.info.status == "FAILED"
    assert run.info.run_name.endswith("proof failed")
    assert run.data.tags["proof"] == "failed"
    assert client.get_model_version("maintenance", aliases["challenger"]).tags["proof"] == "failed"
