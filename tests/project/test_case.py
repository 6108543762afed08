"""What a data scientist meets in a notebook: a case that shows its datasets, completes their names and loads any version."""

import re
import subprocess

import nbformat
import pytest

from hardcover.errors import UnknownName, VersionError
from hardcover.lab import git_drivers
from hardcover.project.case import Case
from tests.conftest import ROOT


@pytest.fixture
def stage(notebook_run, monkeypatch) -> Case:
    for name, value in notebook_run.place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    return Case("maintenance", env="ci")


def test_a_stage_lists_its_datasets_with_version_rows_and_age(stage, notebook_run):
    version = notebook_run.place.newest("03_primary", "clean.parquet").parent.name

    shown = repr(stage).splitlines()

    assert shown[0] == "case 'maintenance', environment 'ci'"
    (clean,) = (line for line in shown if line.split()[0] == "clean")
    assert version in clean
    assert f"{len(stage.load('clean')):,} rows" in clean
    assert clean.endswith(("ago", "now"))


def test_a_name_that_does_not_exist_is_refused_with_the_closest(stage):
    with pytest.raises(UnknownName, match=r"unknown dataset 'cleam'.*Did you mean 'clean'"):
        stage.load("cleam")


def test_any_committed_version_is_loaded_by_its_name(stage, notebook_run):
    version = notebook_run.place.newest("03_primary", "clean.parquet").parent.name

    assert stage.load("clean", version).equals(stage.load("clean"))
    with pytest.raises(VersionError, match="2001-01-01"):
        stage.load("clean", "2001-01-01T00.00.00.000000Z")


def test_tab_offers_the_datasets(notebook_run):
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from IPython.core.completer import provisionalcompleter\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_cell(\"from hardcover import Case; stage = Case('maintenance', env='ci')\")\n"
        'for text in ("stage.load(\'cl", \'x = stage.load("feature_\', "print(\'cl"):\n'
        "    with provisionalcompleter():\n"
        "        print([found.text for found in shell.Completer.completions(text, len(text)) if found.type == 'dataset'])\n"
    )
    done = notebook_run.place.call("python", "-c", program)

    assert done.stdout.splitlines() == ["['clean']", "['feature_plan']", "[]"]


def test_make_lab_opens_the_project_as_root_and_keeps_outputs_out_of_git(checkout):
    done = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.ready", "lab", "ARGS=--port 9999"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "hardcover.lab.git_drivers" in done.stdout
    assert "--ServerApp.root_dir=. " in done.stdout
    assert "--port 9999" in done.stdout
    assert git_drivers.set_up(checkout.folder)
    path = checkout.folder / "notebooks" / "index.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs, code.execution_count = [nbformat.v4.new_output("stream", text="x" * 66_000)], 7
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    code.source += "\nedited = 1"
    nbformat.write(notebook, path)

    difference = checkout.git("diff", "--no-ext-diff", "--unified=0")
    assert '+    "edited = 1"' in difference
    assert len(difference) < 1000
    by_cells = re.sub(r"\x1b\[[0-9;]*m", "", checkout.git("diff"))
    assert "edited = 1" in by_cells, by_cells
    assert "cells/" in by_cells
