"""The proof can fail: a difference planted in each face is found and named."""

import hashlib
import io
import json
import zipfile

import pytest

from hardcover.proof import compare
from tests.conftest import Place

FEATURES = "notebooks/maintenance/02_features.ipynb"
# The notebook's own checks do not see it.
ANOTHER = "return (process_temperature - air_temperature) * (1 + 2**-52)"


@pytest.fixture
def place(unproven) -> Place:
    return unproven


def proven(checkout, place: Place, *faces: str, code: int = 1) -> dict:
    options = [word for face in faces for word in ("--face", face)]
    done = checkout.call(place, "hardcover", "prove", "maintenance", "--json", *options, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert "differences" in found, found
    return found


def release_another_wheel(place: Place, members) -> None:
    """Put a wheel whose members were changed in place of the newest, as if it had been released so."""
    from hardcover.store import drafts

    path = place.newest("06_models", "release.whl")
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        content = members({name: old.read(name) for name in old.namelist()})
        for name, data in content.items():
            new.writestr(name, data)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    draft = drafts.draft(path.parent.parent)
    (draft.folder / path.name).write_bytes(made.getvalue())
    draft.commit({**manifest, "version": draft.folder.name})


def test_all_faces_agree_and_the_proof_travels_in_the_wheel(notebook_run):
    found = notebook_run.said["proof"]

    assert found["passed"]
    wheels = ["wheel", "wheel without numpy", "wheel without kernel"]
    services = ["service JSON", "service Arrow", "service OIP JSON", "service OIP binary", "service gRPC"]
    whole = ["notebook", "module", "pipeline", *wheels]
    assert list(found["faces"]) == [*whole, *services]
    for names, quantities in ((whole, compare.QUANTITIES), (services, compare.QUANTITIES[2:])):
        assert len({tuple(found["faces"][name][each] for each in quantities) for name in names}) == 1
    assert len({found["faces"][name]["contributions"] for name in wheels}) == 1
    assert found["rows"]["explained"] >= 200
    assert found["rows"]["holdout"] > 700
    assert found["rows"]["generated"] == 10_000
    assert found["rows"]["inputs"] >= 10_000
    with zipfile.ZipFile(found["published"]["path"]) as archive:
        shipped = json.loads(archive.read("casebook_maintenance/proof.json"))
        record = archive.read(next(name for name in archive.namelist() if name.endswith("RECORD"))).decode()
    assert shipped["faces"] == found["faces"]
    assert "casebook_maintenance/proof.json,sha256=" in record
    assert (
        "all faces give the same bits" in notebook_run.place.newest("08_reporting", "proof.html").read_text()
    )


def test_the_proof_is_told_to_the_tracking_server(notebook_run):
    from mlflow import MlflowClient

    client = MlflowClient(notebook_run.place.tracking)

    assert client.get_run(notebook_run.said["run"]).data.tags["proof"] == "passed"
    assert {item.path for item in client.list_artifacts(notebook_run.said["run"], "proof")} == {
        "proof/proof.json",
        "proof/proof.html",
    }


def test_an_edited_exported_module_is_named(checkout, place):
    module = "src/casebook/maintenance/features.py"
    checkout.edit(module, "return torque * tool_wear", "return torque * tool_wear * (1 + 2**-52)")

    found = proven(checkout, place, "module", "wheel")

    first = found["differences"][0]
    assert {difference["face"] for difference in found["differences"]} == {"module"}
    assert (first["quantity"], first["column"]) == ("features", "strain")
    assert first["ulps"] in (1, 2)


def test_a_feature_changed_in_the_notebook_only_is_named(checkout, place):
    checkout.edit(FEATURES, "return process_temperature - air_temperature", ANOTHER, exported=False)

    found = proven(checkout, place, "notebook", "wheel")

    first = found["differences"][0]
    assert {difference["face"] for difference in found["differences"]} == {"notebook"}
    assert first["quantity"] == "features"
    assert {difference["column"] for difference in found["differences"]} >= {
        "temperature_difference",
        "heat_margin",
    }
    assert first["row"] < found["rows"]["holdout"]


def test_another_rounding_of_the_processor_is_named(checkout, place):
    def members(content: dict) -> dict:
        upward = b"import ctypes\nctypes.CDLL(None).fesetround(0x800)\n"
        name = "casebook_maintenance/features.py"
        return {**content, name: content[name] + upward}

    release_another_wheel(place, members)

    found = proven(checkout, place, "module", "wheel")

    assert {difference["face"] for difference in found["differences"]} == {"wheel"}
    assert found["differences"][0]["ulps"] == 1


def test_a_swapped_threshold_in_the_model_file_is_named(checkout, place):
    from hardcover.forest import flatten, lightgbm_text

    trees = lightgbm_text.parse(place.newest("06_models", "model.txt").read_text())
    split = next(split for split, feature in enumerate(trees.feature) if feature >= 1)
    trees.threshold[split] *= 1 + 2**-50
    swapped = flatten.to_bytes(trees)

    def members(content: dict) -> dict:
        name, about = "casebook_maintenance/model.safetensors", "casebook_maintenance/manifest.json"
        manifest = json.loads(content[about])
        manifest["files"]["model.safetensors"] = hashlib.sha256(swapped).hexdigest()
        return {**content, name: swapped, about: json.dumps(manifest).encode()}

    release_another_wheel(place, members)

    found = proven(checkout, place, "module", "wheel")

    assert {difference["face"] for difference in found["differences"]} == {"wheel"}
    assert found["differences"][0]["quantity"] == "raw"
    # No row of data lies between the two thresholds; those made for it do.
    assert found["differences"][0]["row"] >= found["rows"]["holdout"]


def test_another_parameter_in_one_environment_is_named(checkout, place):
    checkout.edit("conf/ci/parameters_maintenance.yml", "rounds: 100", "rounds: 20")

    found = proven(checkout, place, "pipeline", "wheel")

    assert {difference["face"] for difference in found["differences"]} == {"pipeline"}
    assert {difference["quantity"] for difference in found["differences"]} == {"score"}


def test_an_unknown_face_or_case_is_refused_by_name(place):
    for arguments, complaint in (
        (("maintenance", "--face", "modul"), "unknown face 'modul'. Did you mean 'module'?"),
        (("maintenence",), "unknown case 'maintenence'. Did you mean 'maintenance'?"),
    ):
        done = place.call("hardcover", "prove", *arguments, check=False)

        assert done.returncode == 1
        assert complaint in done.stderr


def test_a_case_without_a_release_says_what_to_run(tmp_path):
    done = Place(tmp_path).call("hardcover", "prove", "maintenance", check=False)

    assert done.returncode == 1
    assert "has no committed version" in done.stderr
    assert "hardcover run" in done.stderr
