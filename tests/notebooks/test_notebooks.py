"""Notebooks: clean, in sync with src/, readable, and running from anywhere."""

import json
import os
import re
import runpy
import shutil
import statistics
import subprocess
from pathlib import Path

import nbformat
import pytest
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient import NotebookClient

from hardcover.errors import HardcoverError, StageFailed
from hardcover.notebooks import executor, forkserver, report
from tests.conftest import BIN, ROOT, Place

cleaned = runpy.run_path(str(ROOT / "src" / "hardcover" / "notebooks" / "clean.py"))["cleaned"]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if "checkpoints" not in str(path))
# Upon which finished run a notebook is executed, where that isn't the main case's.
RUNS = {
    "alerts": "windows_run",
    "failure_mode": "failure_mode_run",
    "fraud": "windows_run",
    "recommendation": "windows_run",
}
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_clean_and_export_leave_no_difference(tmp_path):
    for name in ("pyproject.toml", "notebooks", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    # Outputs in the working copy are a data scientist's own; what counts is what git would commit.
    for path in tmp_path.glob("notebooks/**/*.ipynb"):
        path.write_text(cleaned(path.read_text()))
    before = contents(tmp_path)

    for command in ("nbdev-clean", "nbdev-export"):
        subprocess.run([BIN / command], cwd=tmp_path, check=True, capture_output=True)

    after = contents(tmp_path)
    assert sorted(after) == sorted(before)
    differing = [path for path in before if before[path] != after[path]]
    assert not differing, (
        f"run .venv/bin/nbdev-export, and make lab once so that git leaves outputs out: {differing}"
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = [*folder.glob("notebooks/**/*.ipynb"), *folder.glob("src/casebook/**/*.py")]
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in files if "checkpoint" not in str(path)
    }


@every_notebook
def test_carries_no_outputs_in_git_and_keeps_its_parameters_tag(path):
    cells = code_cells(path)

    staged = subprocess.run(
        ["git", "show", f":./{path.relative_to(ROOT)}"], cwd=ROOT, capture_output=True, check=False
    )
    text = staged.stdout.decode() if staged.returncode == 0 else path.read_text()
    fix = f"git has outputs of {path.name}: run make lab once, then git add it again"
    assert cleaned(text) == text, fix
    assert [cell.id for cell in cells if "parameters" in cell.metadata.get("tags", [])] == ["parameters"]


@every_notebook
def test_opens_with_what_it_promises(path):
    first = nbformat.read(path, as_version=4).cells[0]

    title, blank, promise, *_ = first.source.splitlines()
    assert title.startswith("# ")
    assert not blank
    assert promise.startswith("> ")


@every_notebook
def test_has_small_cells_with_readable_ids(path):
    cells = code_cells(path)
    lengths = [len(cell.source.splitlines()) for cell in cells]

    assert statistics.median(lengths) <= 7
    assert max(lengths) <= 26
    assert 15 <= len(nbformat.read(path, as_version=4).cells) <= 50
    assert not [
        cell.id for cell in cells if cell.id.isalnum() and any(letter.isdigit() for letter in cell.id)
    ]


@pytest.fixture(scope="module")
def warm_process():
    with forkserver.warm():
        # It is there for all tests; its kernels are for those that ask.
        provisioner = os.environ.pop(forkserver.PROVISIONER_VARIABLE)
        yield
        os.environ[forkserver.PROVISIONER_VARIABLE] = provisioner


@pytest.fixture
def warm(warm_process, monkeypatch):
    """Let kernels be forked from one process, as those of `hardcover run` are; imports are half of a notebook's time."""
    monkeypatch.setenv(forkserver.PROVISIONER_VARIABLE, forkserver.PROVISIONER)
    KernelProvisionerFactory.clear_instance()
    yield
    KernelProvisionerFactory.clear_instance()


def counts_of_run(path: Path, place: Place) -> list[int | None]:
    """Run a notebook; returns of each code cell as which it was executed."""
    notebook = nbformat.read(path, as_version=4)
    environment = {**os.environ, **place.environment, "KEDRO_ENV": "ci"}
    environment.pop("HARDCOVER_PROJECT")

    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute(env=environment)
    return [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]


@every_notebook
def test_runs_whole_in_jupyter_from_its_own_folder(path, request, warm):
    run = request.getfixturevalue(RUNS.get(path.parent.name, "notebook_run"))

    assert all(counts_of_run(path, run.place))


def test_a_kernel_that_jupyter_starts_itself_finds_the_project(notebook_run):
    assert all(counts_of_run(ROOT / "notebooks" / "maintenance" / "02_features.ipynb", notebook_run.place))


def test_runs_under_papermills_own_command_line_from_elsewhere(notebook_run, tmp_path):
    path = ROOT / "notebooks" / "maintenance" / "02_features.ipynb"
    environment = {"KEDRO_ENV": "ci"}

    notebook_run.place.call(
        "papermill", path, tmp_path / "out.ipynb", "-p", "case", "maintenance", cwd="/", env=environment
    )

    executed = json.loads((tmp_path / "out.ipynb").read_text())
    assert executed["metadata"]["papermill"]["exception"] is None


def small(tmp_path: Path, *sources: str, tag: bool = True) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if tag:
        cells[0].metadata["tags"] = ["parameters"]
    path = tmp_path / "01_small.ipynb"
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(notebook, path)
    return path


def test_parameters_reach_the_notebook_and_progress_is_told(tmp_path):
    path, told = small(tmp_path, "rows = 1", "assert rows == 7"), []

    executor.execute(path, tmp_path / "copy.ipynb", {"rows": 7}, "small", lambda *facts: told.append(facts))

    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]


def test_a_notebook_without_the_parameters_tag_is_refused(tmp_path):
    path = small(tmp_path, "rows = 1", tag=False)

    with pytest.raises(HardcoverError, match="0 cells are tagged 'parameters'"):
        executor.execute(path, tmp_path / "copy.ipynb", {"rows": 7}, "small", lambda *facts: None)


def test_a_failing_cell_is_shown_with_its_error_and_the_executed_copy(tmp_path):
    path = small(tmp_path, "rows = 1", "rows / 0")

    with pytest.raises(StageFailed) as caught:
        executor.execute(path, tmp_path / "copy.ipynb", {}, "small", lambda *facts: None)

    assert "ZeroDivisionError: division by zero (stage 'small', cell 2)" in str(caught.value)
    assert "    rows / 0" in str(caught.value)
    assert str(tmp_path / "copy.ipynb") in str(caught.value)
    assert (tmp_path / "copy.ipynb").exists()


def test_an_error_of_ours_is_shown_without_the_cell_that_called_it(tmp_path):
    source = "from hardcover.errors import DataError\nraise DataError('no rows', 'file a.csv', 'Bring some.')"
    path = small(tmp_path, "rows = 1", source)

    with pytest.raises(StageFailed) as caught:
        executor.execute(path, tmp_path / "copy.ipynb", {}, "small", lambda *facts: None)

    assert str(caught.value).startswith("no rows (file a.csv). Bring some (stage 'small', cell 2)")
    assert "raise DataError" not in str(caught.value)
    assert str(tmp_path / "copy.ipynb") in str(caught.value)


def test_a_report_hides_code_behind_one_switch_lists_contents_and_leaves_out_logs(tmp_path):
    source = "import sys\nprint('seen')\nprint('a log ' + 'line', file=sys.stderr)"
    path = small(tmp_path, "rows = 1", source, "silent = 1", "also = 2")
    notebook = nbformat.read(path, as_version=4)
    titles = [nbformat.v4.new_markdown_cell(text) for text in ("# A & B", "## First", "## Second")]
    notebook.cells = [
        titles[0],
        notebook.cells[0],
        titles[1],
        notebook.cells[1],
        titles[2],
        *notebook.cells[2:],
    ]
    nbformat.write(notebook, path)
    executor.execute(path, tmp_path / "copy.ipynb", {"rows": 7}, "small", lambda *facts: None)

    page = report.to_html(tmp_path / "copy.ipynb").read_text()

    assert "<title>A &amp; B</title>" in page
    assert '<li><a href="#First">First</a></li><li><a href="#Second">Second</a></li>' in page
    assert "seen" in page
    assert "a log line" not in page
    # The parameters in force, the one cell that shows something, and the two others together.
    assert page.count('<div class="code">') == 3
    assert page.count('id="show-code"') == 1
    assert ".code { display: none }" in page
    assert "rows" in page
    assert ">1<" not in page.partition("First")[0]


def test_a_report_loads_nothing_from_elsewhere(notebook_run):
    reports = sorted(notebook_run.place.data.glob("08_reporting/maintenance/*/0*.html"))

    assert [path.stem for path in reports] == [
        "01_data",
        "02_features",
        "03_train",
        "04_explain",
        "05_release",
    ]
    for path in reports:
        text = path.read_text()
        for attribute in (
            'src="http',
            "src='http",
            'src="//',
            'rel="stylesheet" href="http',
            "url(http",
            "@import",
        ):
            assert attribute not in text, (path.name, attribute)
    pictures = re.findall(r"data:image/png;base64,[^'\"]*", reports[2].read_text())
    assert len(pictures) == len(set(pictures)) == 3
