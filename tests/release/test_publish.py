"""What is released: only what is proven, a champion and perhaps a challenger for each case, older ones in the archive and able to come back."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from hardcover.errors import ReleaseError
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


def test_the_champion_has_a_pointer_and_older_ones_are_archived(here, built):
    first = publish.promote(publish.publish("small", built[0], PROOF, {"run": "a"}), "run")
    other = publish.add(first, wheel.for_target(built[0], "linux-aarch64"))
    noted = publish.current("small")["other_platforms"]
    second = publish.promote(publish.publish("small", built[1], PROOF, {"run": "b"}), "run")

    assert sorted(path.name for path in here.dist.iterdir()) == sorted(
        ["archive", "small.json", second["wheel"]]
    )
    assert {path.name for path in (here.dist / "archive").iterdir()} == {first["wheel"], other.name}
    assert noted == {other.name: "not proven: run its selftest there"}
    pointer = publish.current("small")
    assert (pointer["wheel"], pointer["run"]) == (second["wheel"], "b")
    assert pointer["sha256"] == disk.digest(here.dist / second["wheel"])


def test_a_target_that_is_this_machine_leaves_the_proven_wheel_alone(here, built):
    pointer = publish.promote(publish.publish("small", built[0], PROOF, {}), "run")

    publish.add(pointer, built[0])

    assert publish.current("small") == pointer


def test_a_pointer_to_a_wheel_that_is_gone_or_changed_points_to_nothing(here, built):
    found = publish.promote(publish.publish("small", built[0], PROOF, {}), "run")
    with (here.dist / found["wheel"]).open("ab") as file:
        file.write(b"x")

    assert publish.current("small") is None
    assert publish.current("no such case") is None


def test_a_challenger_waits_beside_the_champion_until_it_is_promoted_and_the_champion_comes_back(here, built):
    first = publish.promote(publish.publish("small", built[0], PROOF, {"run": "a"}), "run")
    second = publish.publish("small", built[1], PROOF, {"run": "b"})
    assert publish.current("small")["wheel"] == first["wheel"]
    assert publish.current("small", "challenger")["wheel"] == second["wheel"]
    with pytest.raises(ReleaseError, match="no champion before this one"):
        publish.before("small")

    publish.promote(publish.candidate("small"), "promote")
    assert publish.current("small")["wheel"] == second["wheel"]
    assert publish.pointers("small") == [publish.pointer_file("small")]
    with pytest.raises(ReleaseError, match="no challenger"):
        publish.candidate("small")

    publish.promote(publish.before("small"), "rollback")
    assert publish.current("small")["wheel"] == first["wheel"]
    with pytest.raises(ReleaseError, match="no champion before this one"):
        publish.before("small")
    again = publish.promote(publish.candidate("small", second["wheel"].split("-")[1]), "promote")
    assert publish.current("small")["run"] == "b"
    assert [(each["how"], each["run"]) for each in again["history"]] == [
        ("promote", "b"),
        ("rollback", "a"),
        ("promote", "b"),
        ("run", "a"),
    ]
    assert publish.before("small")["run"] == "a"
    with pytest.raises(ReleaseError, match="Known: "):
        publish.candidate("small", "9.9.9")


def test_what_was_changed_in_the_archive_does_not_come_back(here, built):
    first = publish.promote(publish.publish("small", built[0], PROOF, {"run": "a"}), "run")
    publish.promote(publish.publish("small", built[1], PROOF, {"run": "b"}), "run")
    with (here.dist / "archive" / first["wheel"]).open("ab") as file:
        file.write(b"x")

    with pytest.raises(ReleaseError, match="hardcover reproduce a"):
        publish.before("small")


@given(steps=st.lists(st.sampled_from(["publish", "run", "promote", "rollback"]), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_whatever_is_done_each_pointer_has_its_wheel_and_there_are_no_others(here, built, steps):
    shutil.rmtree(here.dist, ignore_errors=True)
    stack, challenger = [], None
    for number, step in enumerate(steps):
        each = built[number % 2]
        if step in ("publish", "run"):
            challenger = publish.publish("small", each, PROOF, {"run": str(number)})
            if step == "run" or not stack:
                publish.promote(challenger, "run")
                stack, challenger = [*stack, challenger], None
        elif step == "promote" and challenger:
            publish.promote(publish.candidate("small"), "promote")
            stack, challenger = [*stack, challenger], None
        elif step == "rollback" and len(stack) > 1:
            publish.promote(publish.before("small"), "rollback")
            stack.pop()
            if challenger and challenger["sha256"] == stack[-1]["sha256"]:
                challenger = None

    champion, found = publish.current("small"), publish.current("small", "challenger")
    assert (champion and champion["sha256"]) == (stack[-1]["sha256"] if stack else None)
    assert (found and found["sha256"]) == (challenger["sha256"] if challenger else None)
    lying = {path.name for path in here.dist.glob("*.whl")}
    assert lying == {each["wheel"] for each in (champion, found) if each}


# What a case does over the years: a run that wins, a promotion, a way back.
YEARS = st.lists(st.sampled_from(["run", "promote", "rollback"]), max_size=60)


@given(YEARS)
def test_however_long_a_history_a_rollback_comes_to_the_same_champions_as_far_as_it_reaches(steps):
    whole, kept, line, deepest = [], [], [], 0
    for number, how in enumerate(steps):
        if how == "rollback":
            if len(line) < 2:
                continue
            line.pop()
        else:
            line.append(number)
        entry = {"how": how, "wheel": line[-1]}
        whole = [entry, *whole]
        kept = publish.shortened([entry, *kept], most=7)
        assert len(kept) <= 7
        assert kept[0] == entry
        deepest = max(deepest, len(line))
        assert [each["wheel"] for each in publish.line_of(whole)] == line
        # Of many champions in a row the oldest are forgotten; what was rolled back goes before any of them.
        known = [each["wheel"] for each in publish.line_of(kept)]
        assert known == line[len(line) - len(known) :]
        assert known == line or deepest > 3


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
    assert [each["how"] for each in pointer["history"]] == ["run"]

    # Another run, of a model that is no better: it waits, is promoted, and the first one comes back; the registry follows.
    few = ("--param", "maintenance.training.rounds=30")
    run = place.call(
        "hardcover", "run", "--env", "ci", "--pipeline", *few, env={"HARDCOVER_RUN_PROVE": "yes"}
    )
    assert "hardcover promote maintenance" in run.stdout
    assert json.loads((place.dist / "maintenance.json").read_text())["wheel"] == pointer["wheel"]
    waiting = json.loads((place.dist / "maintenance.challenger.json").read_text())
    said = place.call("hardcover", "promote", "maintenance").stdout
    assert waiting["wheel"] in said
    assert model_versions(place)[1]["champion"] != aliases["champion"]
    place.call("hardcover", "rollback", "maintenance")
    assert json.loads((place.dist / "maintenance.json").read_text())["wheel"] == pointer["wheel"]
    assert model_versions(place)[1]["champion"] == aliases["champion"]
    history = json.loads(place.call("hardcover", "history", "maintenance", "--json").stdout)
    assert [each["how"] for each in history] == ["rollback", "promote", "run"]
    assert place.call("hardcover", "rollback", "maintenance", check=False).returncode == 1


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
