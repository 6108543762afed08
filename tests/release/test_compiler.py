"""The kernel is compiled here, by zig, or not at all; and always to the same bytes."""

import io
import json
import zipfile

import numpy as np
import pytest

from casebook.maintenance import data
from casebook.maintenance import features as module
from hardcover.errors import ReleaseError, UnknownName
from hardcover.forest import flatten, lightgbm_text
from hardcover.ingest import schema
from hardcover.release import compiler, wheel, wheel_file
from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.forest import Forest
from hardcover.runtime.model import Model
from tests.conftest import RECORD
from tests.runtime.strategies import PLAIN, train

AT_HALF = {"kind": "threshold", "threshold": 0.5}
INPUTS = ["torque", "tool_wear", "power", "strain", "quality"]


def made_parts() -> tuple[dict[str, bytes], dict]:
    trees = lightgbm_text.parse(train(PLAIN).model_to_string())
    files = {
        "model.safetensors": flatten.to_bytes(trees),
        "schema.json": json.dumps(schema.to_json_schema(schema.as_data(data.SCHEMA))).encode(),
        "golden.json": b'{"rows": []}',
    }
    return files, {"case": "small", "inputs": INPUTS, "decision": AT_HALF}


parts = pytest.fixture(scope="module")(made_parts)


def built(parts) -> bytes:
    files, about = parts
    return wheel.build("project_small", "small", "0.1.0", module, files, about)


def test_the_same_wheel_comes_of_the_same_input_even_compiled_anew(parts, monkeypatch, tmp_path):
    first = built(parts)
    # Another folder of compiled kernels, and another one to be called from.
    monkeypatch.setattr(compiler.settings, "project_root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("HATCH_BUILD_NO_HOOKS", "true")

    assert built(parts) == first
    assert list(tmp_path.glob(".tools/kernels/*/kernel.so"))


def test_what_answers_otherwise_has_another_version(parts):
    files, about = parts
    names = {
        wheel_file.file_name(
            wheel.build("project_small", "small", "0.1.0", module, {**files, **change}, {**about, **more})
        )
        for change, more in (
            ({}, {}),
            ({}, {"decision": {**AT_HALF, "threshold": 0.1}}),
            ({"golden.json": b'{"rows": [1]}'}, {}),
        )
    }
    assert len(names) == 3


def test_a_decision_for_another_number_of_scores_is_refused(parts, tmp_path):
    files, about = parts
    trees = lightgbm_text.parse(train({**PLAIN, "objective": "multiclass"}).model_to_string())
    several = {**files, "model.safetensors": flatten.to_bytes(trees)}
    made = wheel.build("project_small", "small", "0.1.0", module, several, about)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        archive.extractall(tmp_path)

    with pytest.raises(DamagedRelease, match="decides among 1 scores, its model gives 3"):
        Model(tmp_path / "project_small", module).predict(RECORD)


def test_numpy_is_asked_for_where_the_features_import_it():
    for source in (
        "import numpy",
        "import math, numpy as np",
        "def f(x):\n    from numpy.linalg import norm",
    ):
        assert "numpy" in wheel_file.imported(source.encode())
    assert "numpy" not in wheel_file.imported(b"import math\nTEXT = 'import numpy'")


def test_without_any_compiler_the_wheel_evaluates_in_plain_python_anywhere(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "own_compiler", lambda: None)
    monkeypatch.setattr(compiler, "zig", lambda: ["false"])
    made = built(parts)
    with pytest.raises(ReleaseError, match="cannot compile the kernel"):
        wheel.for_target(made, "musl-aarch64")

    assert wheel_file.file_name(made).endswith("-py3-none-any.whl")
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        archive.extractall(tmp_path)
        tags = archive.read(next(name for name in archive.namelist() if name.endswith("WHEEL"))).decode()
    assert "Root-Is-Purelib: true" in tags
    model = Model(tmp_path / "project_small", module)
    found = model.predict(RECORD, explain=True)
    assert isinstance(model.evaluator, Forest)
    assert model.explain_inputs([]).shape == (0, len(INPUTS) + 1)
    assert model.score_inputs(np.zeros((0, len(INPUTS)))).shape == (0,)
    assert sum(each.contribution for each in found.contributions) + found.base_value == pytest.approx(
        model.evaluator.raw(model._row(RECORD, True))[0], rel=1e-12
    )


def test_a_compiler_that_fails_is_told_with_what_it_said(monkeypatch, tmp_path):
    failing = tmp_path / "cc"
    failing.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho out of luck >&2\nexit 1\n")
    failing.chmod(0o755)

    with pytest.raises(ReleaseError, match="out of luck"):
        compiler._compiled([str(failing)], "kernel.so", compiler.sources())


def test_an_unknown_target_is_named_with_the_closest():
    with pytest.raises(UnknownName, match="Did you mean 'linux-aarch64'"):
        compiler.kernel("linux-arm64")
