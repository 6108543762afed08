"""How sure an answer is: one by one as together, and what is damaged is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.confidence import Calibration, NotCalibrated

NUMBERS = st.floats(-1e6, 1e6)
ANOMALY = {"scores": [-1.0, 2.0], "p_values": [1.0, 0.5, 0.25]}


def ascending(size: int) -> st.SearchStrategy:
    return st.lists(NUMBERS, min_size=size, max_size=size, unique=True).map(sorted)


@st.composite
def tables(draw) -> tuple[dict, list[str]]:
    kind = draw(st.sampled_from(["probability", "interval", "classes"]))
    bound = st.none() | NUMBERS
    if kind == "classes":
        leasts = draw(st.lists(bound, min_size=2, max_size=4))
        return {"kind": kind, "least": leasts}, [f"class {number}" for number in range(len(leasts))]
    edges = draw(ascending(draw(st.integers(0, 4))))
    each = st.lists(bound, min_size=len(edges) + 1, max_size=len(edges) + 1)
    table = {"kind": kind, "edges": edges, "low": draw(each), "high": draw(each)}
    if kind == "probability":
        return {**table, "no": draw(bound), "yes": draw(bound)}, []
    return {**table, "least": draw(st.sampled_from([None, 0.0, -0.0, 3.5]))}, []


@given(tables(), st.data())
def test_arrays_say_what_records_say_to_the_bit(table, data):
    facts, classes = table
    calibration = Calibration({"level": 0.9, "confidence": facts, "anomaly": ANOMALY}, classes)
    near = (
        st.sampled_from(facts.get("edges") or [0.0])
        | NUMBERS
        | st.sampled_from([-0.0, math.inf, -math.inf, math.nan])
    )
    rows = data.draw(
        st.lists(st.lists(near, min_size=len(classes) or 1, max_size=len(classes) or 1), min_size=1)
    )
    scores = np.array(rows)

    found = calibration.of_many(scores if classes else scores[:, 0])

    for row, scores_of_row in enumerate(rows):
        one = calibration.of(scores_of_row)
        if "labels" in found:
            assert one.labels == tuple(
                label for label, may in zip(calibration.labels, found["labels"][row], strict=True) if may
            )
        if "low" in found:
            low, high = (
                (-math.inf if one.low is None else one.low),
                (math.inf if one.high is None else one.high),
            )
            assert (
                np.array([low, high]).tobytes() == np.array([found["low"][row], found["high"][row]]).tobytes()
            )


def test_a_p_value_is_that_of_the_part_that_a_score_lies_in():
    calibration = Calibration(
        {"level": 0.9, "confidence": {"kind": "none", "why": "it ranks"}, "anomaly": ANOMALY}, []
    )
    raw = [-1.5, -1.0, 0.0, 2.0, math.inf]

    assert [calibration.p_value(value) for value in raw] == [1.0, 0.5, 0.5, 0.25, 0.25]
    assert calibration.p_values(np.array(raw)).tolist() == [1.0, 0.5, 0.5, 0.25, 0.25]
    with pytest.raises(NotCalibrated, match="it ranks"):
        calibration.of([0.5])


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"level": 0.9, "confidence": {"kind": "oracle"}, "anomaly": ANOMALY},
        {"level": 0.9, "confidence": {"kind": "none"}, "anomaly": {"scores": [1.0], "p_values": [1.0]}},
        {"level": 0.9, "confidence": {"kind": "classes", "least": [0.1]}, "anomaly": ANOMALY},
        {"level": "high", "confidence": {"kind": "none"}, "anomaly": ANOMALY},
        {
            "level": 0.9,
            "confidence": {"kind": "interval", "edges": [], "low": [1.0], "high": ["x"], "least": None},
            "anomaly": ANOMALY,
        },
    ],
)
def test_damaged_tables_are_refused(damaged):
    with pytest.raises(DamagedRelease, match="calibration is damaged"):
        Calibration(damaged, ["a", "b"])
