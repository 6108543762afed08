"""The comparison by bits: the right face, row, column and distance."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.proof import compare, report

ANSWER = {
    "features": {"power": [1.0, 2.0, math.nan], "strain": [3.0, -0.0, 5.0]},
    "raw": {"raw": [0.1, 0.2, 0.3, 0.4]},
    "score": {"score": [0.5, 0.6, 0.7, 0.8]},
    "label": {"label": [False, True, True, True]},
    "confidence": {"low": [-math.inf, 0.1, 0.2, 0.3], "True": [0.0, 1.0, 1.0, 1.0]},
    "anomaly": {"anomaly": [1.0, 0.5, 0.25, 0.01]},
}
SAVED = {"features": {"power": [1.0, 2.0], "strain": [3.0, -0.0]}, "score": {"score": [0.5, 0.6]}}


def changed(quantity: str, row: int, value: float, column: str | None = None) -> dict:
    columns, key = dict(ANSWER[quantity]), column or quantity
    columns[key] = [*columns[key][:row], value, *columns[key][row + 1 :]]
    return {**ANSWER, quantity: columns}


def test_equal_answers_pass():
    found = compare.compare({"notebook": ANSWER, "wheel": ANSWER}, SAVED)

    assert found["passed"]
    assert found["faces"]["notebook"] == found["faces"]["wheel"]


@pytest.mark.parametrize(
    ("answer", "quantity", "column", "row", "ulps"),
    [
        (changed("features", 1, math.nextafter(2.0, 3.0), "power"), "features", "power", 1, 1),
        (changed("features", 1, 0.0, "strain"), "features", "strain", 1, 0),
        (changed("features", 2, 7.0, "power"), "features", "power", 2, None),
        (changed("raw", 3, math.nextafter(0.4, 0.0)), "raw", "raw", 3, 1),
        (changed("score", 2, 0.7 + 4 * 2**-53), "score", "score", 2, 4),
        (changed("label", 0, True), "label", "label", 0, 4607182418800017408),
        (changed("confidence", 1, 0.1 + 2**-56, "low"), "confidence", "low", 1, 1),
        (changed("anomaly", 3, 0.02), "anomaly", "anomaly", 3, 4503599627370496),
    ],
)
def test_a_difference_is_named_with_face_row_column_and_distance(answer, quantity, column, row, ulps):
    found = compare.compare({"notebook": ANSWER, "module": ANSWER, "wheel": answer}, SAVED)

    (difference,) = found["differences"]
    assert not found["passed"]
    assert (difference["face"], difference["quantity"], difference["column"]) == ("wheel", quantity, column)
    assert (difference["row"], difference["ulps"]) == (row, ulps)
    assert "wheel differs from" in "\n".join(
        report.lines({"case": "x", "rows": dict.fromkeys(("holdout", "generated", "inputs"), 1), **found})
    )


def test_two_faces_that_left_what_training_saved_are_named_though_they_are_the_most():
    wrong = changed("score", 0, 0.25)

    found = compare.compare({"notebook": ANSWER, "module": wrong, "pipeline": wrong}, SAVED)

    assert [difference["face"] for difference in found["differences"]] == ["module", "pipeline"]
    assert {difference["against"] for difference in found["differences"]} == {"training"}


def test_a_missing_feature_is_a_difference():
    less = {**ANSWER, "features": {"power": ANSWER["features"]["power"]}}

    (difference,) = compare.compare({"notebook": ANSWER, "wheel": less}, SAVED)["differences"]

    assert (difference["face"], difference["column"], difference["value"]) == ("wheel", "strain", "missing")


def test_rows_that_a_face_lacks_or_adds_are_a_difference():
    fewer = {**ANSWER, **{name: {name: ANSWER[name][name][:3]} for name in ("raw", "score", "label")}}
    more = {**ANSWER, **{name: {name: [*ANSWER[name][name], 0.5]} for name in ("raw", "score", "label")}}

    for other in (fewer, more):
        found = compare.compare({"notebook": ANSWER, "module": ANSWER, "wheel": other}, SAVED)

        assert not found["passed"]
        assert {difference["face"] for difference in found["differences"]} == {"wheel"}


def test_a_face_of_the_first_rows_alone_is_compared_by_them():
    def first(score: list, contributions: list) -> dict:
        label = {"label": [False, True, True]}
        return {"rows": 3, "score": {"score": score}, "label": label, "contributions": contributions}

    whole = {**ANSWER, "contributions": [[1.0, 2.0], [3.0, 4.0]]}
    right, wrong = [0.5, 0.6, 0.7], [0.5, 0.6, math.nextafter(0.7, 1.0)]
    passed = compare.compare({"wheel": whole, "service": first(right, [[1.0, 2.0]])}, SAVED)
    score = compare.compare({"wheel": whole, "service": first(wrong, [[1.0, 2.0]])}, SAVED)
    explained = compare.compare(
        {"wheel": whole, "service": first(right, [[1.0, math.nextafter(2.0, 3.0)]])}, SAVED
    )

    assert passed["passed"]
    assert [(each["face"], each["quantity"], each["row"]) for each in score["differences"]] == [
        ("service", "score", 2)
    ]
    assert [(each["face"], each["quantity"]) for each in explained["differences"]] == [
        ("service", "contributions")
    ]


def test_not_a_number_is_one_value_whatever_its_payload():
    assert compare.compare({"a": changed("features", 2, -math.nan, "power"), "b": ANSWER}, {})["passed"]


@given(st.floats(allow_nan=False), st.integers(0, 50))
def test_ulps_count_the_doubles_between(value, steps):
    other = value
    for _ in range(steps):
        other = math.nextafter(other, math.inf)
    reached = math.inf if math.isinf(other) else None

    if reached is None:
        # Both zeros are one step of nextafter, and no distance.
        assert compare.ulps(value, other) == compare.ulps(other, value) == steps
    assert compare.ulps(value, value) == 0


@given(st.floats(), st.floats())
def test_the_bits_of_a_score_are_compared_and_nothing_less(one, other):
    found = compare.compare({"a": changed("raw", 0, one), "b": changed("raw", 0, other)}, {})

    same = (one != one and other != other) or (
        one == other and math.copysign(1, one) == math.copysign(1, other)
    )
    assert found["passed"] == same
