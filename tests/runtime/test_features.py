"""Features: resolved by name, and the same bits for one row and for many."""

import math
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebook.maintenance import features as maintenance
from hardcover.runtime import features
from hardcover.runtime.features import UnresolvedFeature

anything = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


def same(ours: float, theirs: float) -> bool:
    return ours == theirs or (math.isnan(ours) and math.isnan(theirs))


def check_both_ways(functions: dict, rows: list[dict[str, float]]) -> None:
    steps = features.resolve(functions, rows[0])
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    together = features.compute_many(steps, dict(columns), len(rows), {})
    for number, row in enumerate(rows):
        alone = features.compute(steps, dict(row), {})
        for name in functions:
            assert same(alone[name], float(together[name][number])), (name, row)


@given(st.lists(st.tuples(*[anything] * 6), min_size=1, max_size=20))
def test_the_cases_features_have_the_same_bits_alone_and_in_a_column(rows):
    names = ["quality", "air_temperature", "process_temperature", "rotational_speed", "torque", "tool_wear"]

    check_both_ways(features.discover(maintenance), [dict(zip(names, row, strict=True)) for row in rows])


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=20))
def test_arithmetic_that_python_refuses_gives_what_an_array_gives(rows):
    functions = {
        "ratio": lambda a, b: a / b,
        "difference": lambda a, b: abs(a - b) * 2.0,
        "constant": lambda: 2.5,
    }

    check_both_ways(functions, [{"a": a, "b": b} for a, b in rows])


def test_a_root_of_a_negative_number_is_missing_alone_as_in_a_column():
    check_both_ways({"root": lambda a: a**0.5}, [{"a": -8.0}, {"a": 4.0}])


def test_features_are_ordered_by_what_they_need():
    functions = {"c": lambda b: b + 1, "b": lambda a: a * 2}

    steps = features.resolve(functions, ["a"])

    assert [step.name for step in steps] == ["b", "c"]
    assert features.compute(steps, {"a": 1.0}, {})["c"] == 3.0


@pytest.mark.parametrize(
    ("functions", "complaint"),
    [
        (
            {"x": lambda torq: torq},
            "needs 'torq', which is neither a column nor a feature; did you mean 'torque'",
        ),
        ({"x": lambda y: y, "y": lambda x: x}, "in a circle: x, y"),
        ({"x": lambda x: x}, "in a circle: x"),
        ({"torque": lambda: 1.0}, "feature 'torque' has the name of a column"),
    ],
)
def test_what_cannot_be_resolved_is_refused_by_name(functions, complaint):
    with pytest.raises(UnresolvedFeature, match=complaint):
        features.resolve(functions, ["torque"])


def test_a_modules_own_public_functions_are_its_features():
    module = types.ModuleType("made")
    exec(
        "from math import sqrt\ndef b(x): return x\ndef a(x): return x\ndef _helper(x): return x\nlimit = 3",
        vars(module),
    )

    assert list(features.discover(module)) == ["a", "b"]


def test_math_in_a_feature_answers_for_every_float_and_the_module_keeps_its_own():
    module = types.ModuleType("made")
    source = "import math\nfrom math import log as ln\ndef _half(x): return math.sqrt(x) / 2\n"
    exec(source + "def root(x): return _half(x)\ndef logarithm(x): return ln(x)", vars(module))

    check_both_ways(features.discover(module), [{"x": x} for x in (4.0, 0.0, -0.0, -1.0, math.inf, math.nan)])
    assert module.math is math
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        module.root(-1.0)


def test_a_releases_features_import_the_releases_own_runtime(tmp_path, monkeypatch):
    package = tmp_path / "released"
    shutil.copytree(
        Path(features.__file__).parent, package / "runtime", ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "__init__.py").write_text(
        "from pathlib import Path\nfrom .runtime.features import load\nfeatures = load(__name__, Path(__file__).parent)\n"
    )
    (package / "features.py").write_text(
        "from hardcover.runtime.functions import log1p\nimport hardcover.runtime.functions as f\nfrom hardcover.runtime import functions\n"
        "def a(x): return log1p(x) + f.exp(x) + functions.sqrt(x)\n"
    )
    program = (
        "import sys; sys.modules['hardcover'] = None\n"
        "from released import features; print(features.log1p.__module__, features.functions.__name__, features.a(0.0))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.split()[1:] == ["released.runtime.functions", "1.0"]
