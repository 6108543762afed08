"""The multiclass variant of the main case: another question to the same rows, with features that it imports."""

import json
import zipfile
from pathlib import Path

import pytest

from casebook.maintenance import features as shared
from tests.conftest import Place


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict:
    place = Place(tmp_path_factory.mktemp("failure-mode"))
    done = place.call("hardcover", "run", "failure_mode", "--env", "ci", "--pipeline", "--no-prove", "--json")
    return json.loads(done.stdout)[0] | {"place": place}


def test_the_modes_are_learned_and_the_wheel_answers_alike(said):
    metrics, report = said["metrics"], said["data_report"]

    assert report["rows"] == report["clean"] + report["quarantined"]
    assert set(report["target"]) >= {"none", "heat", "power", "overstrain", "tool_wear"}
    assert metrics["holdout"]["log_loss"] < metrics["baseline"]["constant"]["log_loss"]
    assert said["release_report"]["differing_bits"] == 0


def test_its_wheel_carries_the_other_cases_features_unchanged(said):
    (wheel,) = said["place"].data.glob("06_models/failure_mode/release.whl/*/release.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.read("casebook_failure_mode/maintenance/features.py")

    assert inside == Path(shared.__file__).read_bytes()
