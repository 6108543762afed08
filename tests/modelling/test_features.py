"""Features of a table: the module's functions over all clean rows, or a refusal that names the function."""

import enum
import math

import numpy as np
import pandas as pd
import pytest

from hardcover.errors import FeatureError
from hardcover.modelling import features

SCHEMA = {
    "properties": {"grade": {"type": "string", "enum": ["a", "b"]}, "width": {"type": "number"}},
    "required": ["grade", "width"],
    "x-roles": {"key": "record", "target": "broken"},
}
CLEAN = pd.DataFrame(
    {
        "record": ["1", "2"],
        "split": ["train", "holdout"],
        "grade": ["b", "a"],
        "width": [2.0, 3.0],
        "broken": [0, 1],
    }
)


def test_a_table_has_keys_target_and_inputs_in_the_models_order():
    functions = {"wide": lambda width: width * 2, "area": lambda wide, grade: wide * grade}

    table, plan = features.table_of(CLEAN, SCHEMA, functions)

    assert list(table) == ["record", "split", "broken", "grade", "width", "area", "wide"]
    assert plan["inputs"] == ["grade", "width", "area", "wide"]
    assert (plan["categorical"], plan["roles"]["target"]) == (["grade"], "broken")
    assert table["area"].tolist() == [4.0, 0.0]
    assert plan["functions"]["area"]["parameters"] == ["wide", "grade"]


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda width: width * math.nan, "feature 'made' is NaN for all 2 rows"),
        (lambda widht: widht, "needs 'widht'.*did you mean 'width'"),
        (lambda broken: broken, "needs 'broken', which is neither a column nor a feature"),
        (
            lambda width: width.no_such_thing,
            "feature 'made' cannot be computed: '.no_such_thing' looks at a whole column",
        ),
        (lambda width: undefined(width), "feature 'made' fails: NameError"),  # noqa: F821
        (lambda width: np.zeros(7), "feature 'made' cannot be computed: it returns ndarray"),
    ],
)
def test_a_function_that_gives_nothing_usable_is_refused_by_name(function, complaint):
    with pytest.raises(FeatureError, match=complaint):
        features.table_of(CLEAN, SCHEMA, {"made": function}, ["numpy"])


def _helper(width):
    return np.log1p(width)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda width: np.log1p(width), "uses numpy.*hardcover.runtime.functions.*libraries: .numpy."),
        (lambda width: _helper(width), "uses numpy"),
        (
            lambda width: width if isinstance(width, float) else 0.0,
            r"calls isinstance\(\).*missing is x != x",
        ),
        (lambda width: pd.to_numeric(width), "uses pandas.*Use the standard library"),
    ],
)
def test_a_library_that_a_case_does_not_accept_is_refused_by_name(function, complaint):
    with pytest.raises(FeatureError, match=complaint):
        features.table_of(CLEAN, SCHEMA, {"made": function})


def test_a_feature_that_is_nan_for_all_rows_stops_a_run_and_nothing_is_saved(checkout, place):
    notebook, old = "notebooks/maintenance/02_features.ipynb", "return torque * tool_wear"
    checkout.edit(notebook, old, f"{old} * math.nan")

    command = ("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data", "features")
    done = checkout.call(place, *command, check=False)

    assert done.returncode == 1
    assert "error: feature 'strain' is NaN for all" in done.stderr
    assert "Check its parameters: torque, tool_wear" in done.stderr
    assert place.versions() == []


class _Grade(enum.IntEnum):
    LOW = 0


def test_a_features_own_module_may_hold_helpers_and_constants():
    table, _ = features.table_of(CLEAN, SCHEMA, {"made": lambda grade: grade == _Grade.LOW})

    assert table["made"].tolist() == [0.0, 1.0]


def test_features_edited_in_the_notebook_only_cannot_be_released(notebook_run):
    from hardcover import release
    from hardcover.errors import ReleaseError

    plan = notebook_run.place.read("04_feature", "feature_plan.json")
    plan["functions"]["power"]["code"] = "0" * 64

    with pytest.raises(ReleaseError, match=r"exported features power are not those.*nbdev-export"):
        release.exported_features("casebook.maintenance.features", plan)
