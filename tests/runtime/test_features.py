"""Features: resolved by name, and the same bits for one row and for many."""

import math
import types

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
    together = features.compute_many(steps, dict(columns), len(rows))
    for number, row in enumerate(rows):
        alone = features.compute(steps, dict(row))
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
    assert features.compute(steps, {"a": 1.0})["c"] == 3.0


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
