"""A project that the library's wheel writes is this repository's example, and a file's is proven by its own tests."""

import os
import subprocess
from pathlib import Path

from tests.conftest import BIN, ROOT
from tests.template.conftest import command_of


def _new(library, where, *command):
    return command_of(library, where, "new", *command)


def test_the_example_that_a_wheel_writes_is_this_repositorys_own(library, tmp_path):
    done = _new(library, tmp_path, "playground")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "playground"
    for path in sorted((folder / "notebooks").rglob("*.ipynb")):
        ours = ROOT / path.relative_to(folder)
        assert path.read_text() == ours.read_text().replace("casebook", "playground"), path
    for path in sorted((folder / "src" / "playground").rglob("*.py")):
        ours = ROOT / "src" / "casebook" / path.relative_to(folder / "src" / "playground")
        if path.name not in {"__init__.py", "_modidx.py"}:
            assert path.read_text() == ours.read_text().replace("casebook", "playground"), path
    assert not any("casebook" in path.read_text() for path in folder.rglob("*.py"))
    assert not list(tmp_path.glob(".*"))


def test_an_existing_folder_or_a_bad_name_is_refused_and_left_as_it_is(library, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("draft")
    for name, said in (
        ("mine", "already"),
        ("No Good", "such as 'no_good'"),
        ("there/is/none", "no such folder"),
        ("test", "my_test"),
    ):
        done = _new(library, tmp_path, name)
        assert done.returncode == 1, name
        assert said in done.stderr, done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_data_without_a_target_says_what_is_missing(library, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    done = _new(library, tmp_path, "own", "--data", "t.csv")
    assert "--target is missing" in done.stderr
    assert not (tmp_path / "own").exists()


def _kedro_new(where, name):
    environment = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1", "PATH": f"{BIN}:{os.environ['PATH']}"}
    command = [BIN / "kedro", "new", "--starter=hardcover", "--name", name, "--telemetry", "no"]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)


def test_kedro_new_writes_the_same_project(library, tmp_path):
    assert _new(library, tmp_path, "my_churn").returncode == 0
    (tmp_path / "kedro").mkdir()
    assert _kedro_new(tmp_path / "kedro", "My churn").returncode == 0
    ours, theirs = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "my_churn", tmp_path / "kedro" / "my_churn")
    )
    theirs.pop(Path(".telemetry"))
    assert theirs == ours


def test_kedro_new_refuses_a_name_that_no_package_can_have(tmp_path):
    done = _kedro_new(tmp_path, "conf")
    assert done.returncode != 0
    assert "such as 'my_conf'" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
