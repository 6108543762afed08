"""The command line of a wheel: a bad record is the client's, a damaged release is not."""

import io
import json
import os
import subprocess
import sys
import zipfile

import pytest

from casebook.maintenance import features as module
from hardcover.release import wheel
from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.command import main
from hardcover.runtime.model import Model
from tests.conftest import RECORD
from tests.release.test_compiler import INPUTS, made_parts


@pytest.fixture
def folder(tmp_path):
    files, about = made_parts()
    with zipfile.ZipFile(
        io.BytesIO(wheel.build("project_small", "small", "0.1.0", module, files, about))
    ) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "project_small"


def answers(folder, monkeypatch, capsys, lines: list[str], *options: str) -> tuple[int, list[dict]]:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    code = main(Model(folder, module), "project_small", ["predict", *options])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_line_is_answered_or_refused(folder, monkeypatch, capsys):
    lines = [json.dumps(RECORD), "", "no json", json.dumps({**RECORD, "torque": "high"}), "[" * 100_000]

    code, found = answers(folder, monkeypatch, capsys, lines, "--explain")

    assert code == 1
    assert [set(answer) for answer in found[1:]] == [{"line", "problems"}] * 3
    assert [answer["line"] for answer in found[1:]] == [3, 4, 5]
    assert {each["feature"] for each in found[0]["contributions"]} == set(INPUTS)
    assert "is not JSON" in found[1]["problems"][0]["message"]
    assert found[2]["problems"][0]["field"] == "torque"


def test_an_id_comes_back_with_its_answer_or_its_refusal(folder, monkeypatch, capsys):
    lines = [
        json.dumps({**RECORD, "order": 7}),
        json.dumps({**RECORD, "torque": "high", "order": "a"}),
        json.dumps(RECORD),
    ]

    code, found = answers(folder, monkeypatch, capsys, lines, "--key", "order")

    assert code == 1
    assert [answer["order"] for answer in found] == [7, "a", None]
    assert "score" in found[0]
    assert found[1]["problems"] == [{"field": "torque", "message": "'high' is a str, not a number"}]


@pytest.mark.parametrize("key", ["torque", "score"])
def test_an_id_that_is_an_input_or_an_answer_is_wrong_usage(folder, monkeypatch, capsys, key):
    with pytest.raises(SystemExit) as stopped:
        answers(folder, monkeypatch, capsys, [], "--key", key)

    assert stopped.value.code == 2
    assert f"--key {key}: this is an input of the model" in capsys.readouterr().err


def test_a_release_that_cannot_say_how_sure_it_is_says_so(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(RECORD)))

    code = main(Model(folder, module), "project_small", ["predict", "--confidence", "--anomaly"])

    assert (code, capsys.readouterr().err) == (
        1,
        "error: this model cannot say: it was released without a calibration; train and release it again\n",
    )


def test_the_command_tells_its_version(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(Model(folder, module), "project_small", ["--version"])

    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("project_small 0.1.0+m")


def test_a_reader_that_has_enough_ends_the_command_quietly(folder):
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from project_small import model; from project_small.runtime.command import main\n"
        "sys.exit(main(model, 'project_small', ['predict']))"
    )
    line = json.dumps(RECORD)
    command = f"yes '{line}' | head -n 20000 | {sys.executable} -c \"$PROGRAM\" {folder.parent} | head -n 1"
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PROGRAM": program},
    )

    assert "score" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("count", [-1, 1.5, True, "all"])
def test_a_number_of_records_to_remember_that_makes_no_sense_is_refused(folder, count):
    with pytest.raises(ValueError, match="give a number of records"):
        Model(folder, module).remember(count)


def test_a_damaged_release_is_not_the_clients_fault(folder, monkeypatch, capsys):
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")

    with pytest.raises(DamagedRelease, match="is not the file that was released"):
        answers(folder, monkeypatch, capsys, [json.dumps(RECORD)])


def test_a_manifest_that_lacks_what_a_release_says_is_refused(folder, monkeypatch, capsys):
    about = json.loads((folder / "manifest.json").read_text())
    del about["decision"]
    (folder / "manifest.json").write_text(json.dumps(about))

    with pytest.raises(DamagedRelease, match="not what was released"):
        answers(folder, monkeypatch, capsys, [json.dumps(RECORD)])
