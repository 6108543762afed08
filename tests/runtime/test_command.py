"""The command line of a wheel: a bad record is the client's, a damaged release is not."""

import io
import json
import zipfile

import pytest

from casebook.maintenance import features as module
from hardcover import wheel
from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.command import main
from hardcover.runtime.model import Model
from tests.runtime.test_records import GOOD
from tests.test_compiler import INPUTS, made_parts


@pytest.fixture
def folder(tmp_path):
    files, about = made_parts()
    with zipfile.ZipFile(io.BytesIO(wheel.build("small", "0.1.0", module, files, about))) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "casebook_small"


def answers(folder, monkeypatch, capsys, lines: list[str], *options: str) -> tuple[int, list[dict]]:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    code = main(Model(folder, module), "casebook_small", ["predict", *options])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_line_is_answered_or_refused(folder, monkeypatch, capsys):
    lines = [json.dumps(GOOD), "", "no json", json.dumps({**GOOD, "torque": "high"}), "[" * 100_000]

    code, found = answers(folder, monkeypatch, capsys, lines, "--explain")

    assert code == 1
    assert [set(answer) for answer in found[1:]] == [{"line", "problems"}] * 3
    assert [answer["line"] for answer in found[1:]] == [3, 4, 5]
    assert {reason["feature"] for reason in found[0]["reasons"]} == set(INPUTS)
    assert "is not JSON" in found[1]["problems"][0]["message"]
    assert found[2]["problems"][0]["field"] == "torque"


def test_a_damaged_release_is_not_the_clients_fault(folder, monkeypatch, capsys):
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")

    with pytest.raises(DamagedRelease, match="is not the file that was released"):
        answers(folder, monkeypatch, capsys, [json.dumps(GOOD)])


def test_a_manifest_that_lacks_what_a_release_says_is_refused(folder, monkeypatch, capsys):
    about = json.loads((folder / "manifest.json").read_text())
    del about["threshold"]
    (folder / "manifest.json").write_text(json.dumps(about))

    with pytest.raises(DamagedRelease, match="not what was released"):
        answers(folder, monkeypatch, capsys, [json.dumps(GOOD)])
