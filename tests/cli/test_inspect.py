"""``hardcover inspect`` prints what a file holds, as text, JSON and a page, and changes nothing."""

import json
import subprocess

import pytest

from tests.conftest import BIN, Place

CSV = "id,zip,when,load,kind,remark,failed\n" + "".join(
    f'{n},{n % 90:05d},2024-01-{1 + n % 28:02d},{40 + n % 23}.5,{"abc"[n % 3]},"loud, on day {n} of its life",{int(n % 9 == 0)}\n'
    for n in range(300)
)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "machines.csv").write_text(CSV)
    return tmp_path / "machines.csv"


@pytest.fixture
def call(tmp_path):
    place = Place(tmp_path / "place")
    return lambda *command, check=True: place.call("hardcover", "inspect", *command, check=check)


def test_json_has_what_scripts_need(call, file):
    found = json.loads(call(file, "--target", "failed", "--json").stdout)
    assert found["rows"] == 300
    assert found["task"]["name"] == "binary"
    assert found["split"] == {"by": "time", "why": found["split"]["why"], "time": "when", "entity": None}
    assert found["dialect"][0]["delimiter"] == ","
    assert [column["name"] for column in found["columns"]] == CSV.splitlines()[0].split(",")
    assert {key for column in found["columns"] for key in column} == {
        "name", "type", "role", "evidence", "missing", "distinct"
    }  # fmt: skip
    roles = {column["name"]: column["role"] for column in found["columns"]}
    assert roles == {
        "id": "id", "zip": "code", "when": "date", "load": "numeric", "kind": "categorical", "remark": "text", "failed": "boolean"
    }  # fmt: skip


def test_text_and_page_say_the_same_and_nothing_else_is_written(call, file, tmp_path):
    page = tmp_path / "page.html"
    text = call(file, "--target", "failed", "--html", page).stdout
    for said in (
        "code: leading zeros",
        "id: all different",
        "300 rows, 7 columns",
        "a tabular model cannot use remark",
    ):
        assert said in text
        assert said in page.read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} - {"place"} == {"machines.csv", "page.html"}


def test_a_target_that_is_not_there_names_the_closest(call, file):
    done = call(file, "--target", "faild", check=False)
    assert done.returncode == 1
    assert "unknown column 'faild'" in done.stderr
    assert "Did you mean 'failed'?" in done.stderr


def test_it_starts_without_kedro_and_mlflow(file):
    code = (
        f"import sys; from hardcover.cli.main import main; main(['inspect', {str(file)!r}]); "
        "print(sorted({'kedro', 'mlflow', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([BIN / "python", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().endswith("[]"), done.stderr
