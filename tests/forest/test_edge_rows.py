"""Rows that try to make faces differ: drawn for any schema, on and beside every split."""

import math

import numpy as np
import pytest

from hardcover.forest import edge_rows
from hardcover.runtime.forest import Forest
from tests.runtime.test_forests_by_hand import METADATA, parts

FOREST = Forest(parts(), METADATA)


@pytest.mark.parametrize(
    ("rule", "low", "high"),
    [
        ({}, -1000, 1000),
        ({"minimum": 5000}, 5000, 6000),
        ({"maximum": -5000}, -6000, -5000),
        ({"minimum": 1, "maximum": 2}, 1, 2),
    ],
)
def test_open_ranges_are_drawn_from_where_values_may_lie(rule, low, high):
    made = edge_rows.columns({"properties": {"y": rule}}, [], ["x", "y"], FOREST, 2000, seed=1)["y"]

    numbers = [value for value in made if value is not None and math.isfinite(value)]
    assert sum(low <= value <= high for value in numbers) > 500
    assert None in made
    assert {0.5, math.nextafter(0.5, 1), math.nextafter(0.5, 0)} <= set(numbers)


def test_every_split_has_a_row_on_it_and_one_on_either_side():
    table = edge_rows.inputs(FOREST, 10, seed=1)

    assert {0.5, math.nextafter(0.5, 1), math.nextafter(0.5, 0)} <= set(table[:, 1].tolist())
    assert np.isnan(edge_rows.inputs(FOREST, 1000, seed=1)).any()
