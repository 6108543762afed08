"""Features that cases share: written once, features of each case that imports them, and in each wheel."""

import importlib
import io
import json
import sys
import zipfile
from datetime import timedelta

import pytest

from hardcover.errors import ReleaseError
from hardcover.forest import flatten, lightgbm_text
from hardcover.modelling import features
from hardcover.release import wheel
from hardcover.runtime import windows
from tests.runtime.strategies import PLAIN, train
from tests.windows.test_lookups import COLUMNS, SCHEMA, computed, table

SHARED = """
from datetime import timedelta

from hardcover.runtime import windows
from hardcover.runtime.functions import log1p
from ..shared.units import doubled

seen = windows.count("user", over=timedelta(days=1))


def busy(seen):
    return log1p(seen)


def twice(stars):
    return doubled(stars)


def spare(stars):
    return stars
"""
UNITS = """
def doubled(value):
    return value * 2.0
"""
FEATURES = """
from ..shared.{shared} import busy, seen, twice


def own(busy, twice):
    return busy + twice
"""
EVENT = {"id": "1", "user": "u", "at": "2026-03-01T10:00:00", "stars": 3.0}
ASKED = {"user": "u", "at": "2026-03-01T12:00:00", "stars": 4.0}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two cases that import the same features."""

    def write(name: str, source: str) -> None:
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    for folder in ("", "shared/", "one/", "two/"):
        write(f"{folder}__init__.py", "")
    write("shared/ratings.py", SHARED)
    write("shared/units.py", UNITS)
    write("one/features.py", FEATURES.format(shared="ratings"))
    write("two/features.py", FEATURES.format(shared="ratings").partition("def own")[0])
    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] in ("house", "house_one")]:
        del sys.modules[name]


def test_what_a_features_module_imports_from_there_is_a_feature_of_its_case(project):
    one, two = (importlib.import_module(f"house.{case}.features") for case in ("one", "two"))
    assert list(features.discover(one)) == ["busy", "own", "twice"]
    assert list(features.discover(two)) == ["busy", "twice"]
    assert windows.discover(one) == windows.discover(two)
    assert windows.discover(one)["seen"].over == timedelta(days=1)
    rows = table([(1, "u", "a", 1.0, 4.0), (2, "u", "a", 1.0, 1.0)])
    made, plan = computed(rows, one, {})
    assert made["twice"].tolist() == [8.0, 2.0]
    assert made["own"].tolist()[1] == pytest.approx(2.6931471805599453)
    assert plan["functions"]["busy"] == computed(rows, two, {})[1]["functions"]["busy"]


def made(module) -> bytes:
    schema = {
        **SCHEMA,
        "properties": {
            **SCHEMA["properties"],
            "user": {"type": "string", "x-role": "entity"},
            "at": {"type": "string", "x-role": "time"},
            "id": {"type": ["string", "null"], "x-role": "key"},
        },
        "x-columns": COLUMNS,
    }
    files = {
        "model.safetensors": flatten.to_bytes(lightgbm_text.parse(train(PLAIN).model_to_string())),
        "schema.json": json.dumps(schema).encode(),
        "golden.json": b'{"rows": []}',
    }
    inputs = ["busy", "own", "seen", "twice", "stars"]
    about = {"case": "one", "inputs": inputs, "decision": {"kind": "threshold", "threshold": 0.5}}
    return wheel.build("house_one", "one", "0.1.0", module, files, about)


def test_a_wheel_has_what_its_features_share(project, tmp_path):
    module = importlib.import_module("house.one.features")
    built = made(module)
    with zipfile.ZipFile(io.BytesIO(built)) as archive:
        names = {name for name in archive.namelist() if "/shared/" in name}
        archive.extractall(tmp_path)
    assert names == {"house_one/shared/ratings.py", "house_one/shared/units.py"}

    model = importlib.import_module("house_one").model
    model.observe(EVENT)
    row = model._row(ASKED, True)

    assert memoryview(row).cast("d").tolist() == [
        pytest.approx(0.6931471805599453),
        pytest.approx(8.6931471805599453),
        1.0,
        8.0,
        4.0,
    ]
    assert not any(name.startswith("house.") for name in vars(sys.modules["house_one.shared.ratings"]))


def test_features_of_another_case_are_shared_like_those_of_no_case(project, tmp_path):
    project("three/__init__.py", "")
    project("three/features.py", "from ..one.features import own, busy, seen, twice\n")
    module = importlib.import_module("house.three.features")
    assert list(features.discover(module)) == ["busy", "own", "twice"]

    with zipfile.ZipFile(io.BytesIO(made(module))) as archive:
        names = {
            name for name in archive.namelist() if name.endswith(("features.py", "ratings.py", "units.py"))
        }
    assert names == {
        "house_one/features.py",
        "house_one/one/features.py",
        "house_one/runtime/features.py",
        "house_one/shared/ratings.py",
        "house_one/shared/units.py",
    }


def test_another_shared_module_is_another_release(project, monkeypatch):
    module = importlib.import_module("house.one.features")
    before = made(module)
    project("shared/units.py", UNITS.replace("2.0", "3.0"))
    after = made(module)
    assert before != after


def test_what_a_shared_module_must_not_import_is_named(project):
    module = importlib.import_module("house.one.features")
    project("shared/units.py", "import pandas\n" + UNITS)
    with pytest.raises(ReleaseError, match="the features import pandas"):
        made(module)
