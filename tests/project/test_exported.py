"""A notebook that was edited and not exported: found at the start, by either way in, and exported on request."""

import json

import pytest

from hardcover.errors import HardcoverError
from hardcover.project import exported

NOTEBOOK = "notebooks/maintenance/02_features.ipynb"
OLD, NEW = "return torque * tool_wear", "return torque * tool_wear * 1.0"
WAYS = {
    "notebooks": ("hardcover", "run", "--env", "ci", "--stage", "data", "features"),
    "pipeline": ("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data", "features"),
    "kedro": ("kedro", "run", "--pipelines", "maintenance.data", "--env", "ci"),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_edited_notebook_is_refused_with_its_name_and_the_command(checkout, place, way):
    checkout.edit(NOTEBOOK, OLD, NEW, exported=False)

    done = checkout.call(place, *WAYS[way], check=False)

    assert done.returncode == 1
    assert f"error: {NOTEBOOK} and module casebook.maintenance.features differ in 'strain'" in done.stderr
    assert "--export" in done.stderr
    assert "nbdev-export" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.versions() == []


def test_export_exports_and_runs_what_was_exported(checkout, place):
    checkout.edit(NOTEBOOK, OLD, NEW, exported=False)

    checkout.call(place, *WAYS["pipeline"], "--export")

    module = (checkout.folder / "src/casebook/maintenance/features.py").read_text()
    assert NEW in module
    assert place.newest("04_feature", "features.parquet").is_file()


def test_docstrings_make_no_difference(checkout):
    checkout.edit(NOTEBOOK, "Load on the worn tool, in min·Nm.", "Load.", exported=False)

    assert exported.differing(checkout.folder / NOTEBOOK, "casebook.maintenance.features") == []


def test_a_new_function_that_was_not_exported_is_named(checkout):
    path = checkout.folder / NOTEBOOK
    notebook = json.loads(path.read_text())
    cell = next(cell for cell in notebook["cells"] if cell["id"] == "strain")
    cell["source"] = [*cell["source"], "\n\n\n", "def ratio(torque):\n", "    return 1 / torque"]
    path.write_text(json.dumps(notebook))

    assert exported.differing(path, "casebook.maintenance.features") == ["ratio"]


def test_what_is_no_notebook_is_refused(tmp_path):
    (tmp_path / "a.ipynb").write_text("{")

    with pytest.raises(HardcoverError, match=r"not a readable notebook.*Restore it from git"):
        exported.export_target(tmp_path / "a.ipynb")
