"""The multiclass variant of the main case: another question to the same rows, with features that it imports."""

import zipfile
from pathlib import Path

from casebook.maintenance import features as shared


def test_the_modes_are_learned_and_the_wheel_answers_alike(failure_mode_run):
    said = failure_mode_run.said
    metrics, report = said["metrics"], said["data_report"]

    assert report["rows"] == report["clean"] + report["quarantined"]
    assert set(report["target"]) >= {"none", "heat", "power", "overstrain", "tool_wear"}
    assert metrics["holdout"]["log_loss"] < metrics["baseline"]["constant"]["log_loss"]
    assert said["release_report"]["differing_bits"] == 0


def test_its_wheel_carries_the_other_cases_features_unchanged(failure_mode_run):
    (wheel,) = failure_mode_run.place.data.glob("06_models/failure_mode/release.whl/*/release.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.read("casebook_failure_mode/maintenance/features.py")

    assert inside == Path(shared.__file__).read_bytes()
