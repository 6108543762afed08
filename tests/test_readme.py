"""Every command of the README does what it says, on a finished run."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT, Run, eventually

TEXT = (ROOT / "README.md").read_text()
LINES = [line.split("#")[0].strip() for line in TEXT.splitlines() if line.startswith("    ")]
COMMANDS = [line for line in LINES if line.startswith((".venv/bin/", "make ", "pip ", "python "))]


@pytest.fixture(scope="module")
def finished(notebook_run, tmp_path_factory) -> Run:
    """A copy of a finished run, to run more commands on."""
    folder = tmp_path_factory.mktemp("readme") / "run"
    shutil.copytree(notebook_run.place.folder, folder)
    return Run(type(notebook_run.place)(folder), notebook_run.said)


def test_the_readme_has_the_commands_of_everybody():
    assert len(COMMANDS) > 15
    assert {line.split()[0] for line in COMMANDS} >= {"make", "pip", "python", ".venv/bin/kedro"}


# tests/lineage/test_reproduce.py takes the other from here.
IN_PLACE = [line for line in COMMANDS if line.startswith(".venv/bin/") and "reproduce" not in line]


@pytest.mark.parametrize("line", IN_PLACE)
def test_a_command_of_the_environment_works(line, finished, ai4i_csv, tmp_path):
    program, *words = line.removeprefix(".venv/bin/").split()
    if program == "mlflow":
        assert _serves(finished, words)
        return
    if words[0] == "serve":
        assert _answers(finished, words)
        return
    words = [
        str(ai4i_csv) if word == "machines.csv" else word for word in words if word != "other_plant.parquet"
    ]
    if "--export" in words:
        # Of the checkout that is tested, the notebooks are exported already; so this changes nothing.
        words += ["--stage", "data"]
    env = () if "--env" in words or program == "kedro" else ("--env", "ci")
    if program == "kedro":
        env = ("--env", "ci")

    done = finished.place.call(program, *words, *env)

    assert "Traceback" not in done.stderr


def _answers(finished: Run, words: list[str]) -> bool:
    """Whether the line with curl is answered as the page says."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (line,) = (line for line in LINES if line.startswith("curl "))
    with finished.place.start("hardcover", *words, "--port", "8017") as server:
        try:
            assert eventually(lambda: urllib.request.urlopen("http://localhost:8017/readyz").status == 200)
            command = shlex.split(line.replace(":8000", ":8017"))
            done = subprocess.run([*command, "--silent"], capture_output=True, text=True, check=True)
            return set(json.loads(done.stdout)) == {"score", "label", "version"}
        finally:
            server.terminate()


def _serves(finished: Run, words: list[str]) -> bool:
    options = ["--backend-store-uri", finished.place.tracking, "--port", "5058", "--workers", "1"]
    with finished.place.start("mlflow", *words, *options, start_new_session=True) as server:
        try:
            for _ in range(120):
                try:
                    return urllib.request.urlopen("http://127.0.0.1:5058/", timeout=5).status == 200
                except OSError:
                    time.sleep(0.5)
        finally:
            # The server has workers of its own.
            os.killpg(server.pid, signal.SIGKILL)
    return False


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_a_verb_of_make_leads_to_a_command_that_is_tested(line):
    done = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.ready", *line.split()[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert re.search(r"\.venv/bin/(hardcover run|pytest|jupyter lab)", done.stdout)


def test_the_wheel_is_installed_called_and_imported_as_shown(finished, tmp_path):
    from uv import find_uv_bin

    uv, python = find_uv_bin(), tmp_path / "env" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env"], check=True)
    wheel = finished.place.dist / finished.said["release_report"]["wheel"]
    assert Path(next(line for line in LINES if line.startswith("pip ")).split()[-1]).name == (
        "casebook_maintenance-*.whl"
    )
    install = [uv, "pip", "install", "--quiet", "--python", python, "--offline", wheel]
    subprocess.run(install, check=True)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    shown = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    record = re.search(r"record = (.*)\nrecord \|= (.*)\n", code)
    lines = subprocess.run(
        [python, "-c", f"import json; print(json.dumps({record[1]} | {record[2]}))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = next(line for line in LINES if line.startswith("python -m")).partition(" < ")[0].split()
    found = subprocess.run([python, *command[1:]], input=lines, capture_output=True, text=True, check=True)

    assert shown.stdout.startswith("Prediction(score=0.0")
    assert '"contributions"' in found.stdout
