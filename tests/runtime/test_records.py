"""Records: every field's problem is said, and nothing is coerced in silence."""

import math

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebook.maintenance import data
from hardcover.ingest import schema
from hardcover.runtime.records import Fields, InvalidRecord
from tests.conftest import RECORD

SCHEMA = schema.to_json_schema(schema.as_data(data.SCHEMA))
FIELDS = Fields(SCHEMA)


def problems(record) -> str:
    with pytest.raises(InvalidRecord) as caught:
        FIELDS.encode(record)
    return str(caught.value)


def test_a_good_record_becomes_floats():
    values = FIELDS.encode(RECORD)

    assert values == {**RECORD, "quality": 1.0}
    assert all(type(value) is float for value in values.values())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"torque": None}, "torque: is missing"),
        ({"torque": math.nan}, "torque: is missing"),
        ({"torque": "42"}, "torque: '42' is a str, not a number"),
        ({"torque": True}, "torque: True is a bool, not a number"),
        ({"torque": [42.0]}, "torque: [42.0] is a list, not a number"),
        ({"torque": -1.0}, "torque: -1.0 is not between 0 and 120"),
        ({"torque": math.inf}, "torque: inf is not between 0 and 120"),
        ({"torque": 10**400}, "is too large for a float"),
        ({"quality": "X"}, "quality: 'X' is not one of L, M, H"),
        ({"quality": 1}, "quality: 1 is not one of L, M, H"),
        ({"quality": "X" * 10_000}, "quality: 'XXXX"),
        ({"tork": 3.0}, "tork: is not a field; did you mean 'torque'?"),
        ({"process_temperature": 298.0}, "process_temperature: must be > air_temperature"),
    ],
)
def test_a_bad_field_is_named_with_its_value(change, complaint):
    said = problems({**RECORD, **change})

    assert complaint in said
    assert len(said) < 300


def test_all_problems_are_said_at_once():
    said = problems({"torque": "high", "quality": "X", "extra": 1})

    assert [part.partition(":")[0] for part in said.split("; ")] == [
        "quality",
        "air_temperature",
        "process_temperature",
        "rotational_speed",
        "torque",
        "tool_wear",
        "extra",
    ]


@pytest.mark.parametrize("record", [None, 7, "text", [1, 2], [("torque", 1)]])
def test_what_is_no_mapping_is_refused(record):
    assert "not a mapping of fields" in problems(record)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*RECORD, "other", ""]), json_values))
def test_any_record_is_encoded_or_refused(record):
    try:
        values = FIELDS.encode({**RECORD, **record})
    except InvalidRecord as error:
        assert error.problems
        return
    assert all(math.isfinite(value) for value in values.values())


@given(st.dictionaries(st.sampled_from(sorted(RECORD)), json_values))
def test_a_refusal_agrees_with_a_validator_of_json_schema(change):
    record = {**RECORD, **change}
    missing = any(isinstance(value, float) and not math.isfinite(value) for value in record.values())
    huge = any(isinstance(value, int) and abs(value) > 1e300 for value in record.values())
    if missing or huge:
        return
    theirs = jsonschema.Draft202012Validator(SCHEMA).is_valid(record)
    try:
        FIELDS.encode(record)
        ours = True
    except InvalidRecord as error:
        # The rule between two fields is our own addition to the standard.
        ours = all(problem.message.startswith("must be") for problem in error.problems)

    assert ours == theirs


numbers = st.floats(-500, 5000) | st.just(math.nan) | st.just(math.inf)


@given(
    st.lists(st.tuples(st.sampled_from(["L", "M", "H", "X"]), *[numbers] * 5), min_size=1, max_size=12),
    st.booleans(),
)
def test_columns_are_judged_and_encoded_as_records_are(rows, validate):
    records = [dict(zip(RECORD, row, strict=True)) for row in rows]
    columns = {name: np.array([record[name] for record in records]) for name in RECORD}
    alone, refused = [], set()
    for number, record in enumerate(records):
        try:
            alone.append(FIELDS.encode(record, validate))
        except InvalidRecord:
            refused.add(number)

    try:
        together, count = FIELDS.encode_many(columns, validate)
    except InvalidRecord as error:
        assert refused
        fields_first = {
            problem.row for problem in error.problems if not problem.message.startswith("must be")
        }
        assert {problem.row for problem in error.problems} <= refused
        assert fields_first <= refused
        return
    assert not refused
    assert count == len(rows)
    for name in RECORD:
        np.testing.assert_array_equal(together[name], [values[name] for values in alone])


def test_tables_of_pandas_and_arrow_are_columns():
    table = pd.DataFrame([RECORD, {**RECORD, "quality": "H"}])

    for given_table in (
        table,
        pa.Table.from_pandas(table),
        dict(table),
        {name: list(table[name]) for name in table},
    ):
        values, rows = FIELDS.encode_many(given_table)
        assert rows == 2
        assert values["quality"].tolist() == [1.0, 2.0]
        assert values["torque"].tolist() == [42.8, 42.8]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (
            {**{name: [value] for name, value in RECORD.items()}, "torque": [1.0, 2.0]},
            "have different lengths",
        ),
        ({"torque": [1.0]}, "air_temperature: is missing from the columns"),
        ({**{name: [value] for name, value in RECORD.items()}, "torque": ["high"]}, "not of numbers"),
        (
            {**{name: [value] for name, value in RECORD.items()}, "torque": np.array(["a"], object)},
            "row 0, torque: 'a' is not",
        ),
        ({**{name: [value] for name, value in RECORD.items()}, "tork": [1.0]}, "did you mean 'torque'"),
        (
            {**{name: [value] for name, value in RECORD.items()}, "quality": [None]},
            "row 0, quality: is missing",
        ),
    ],
)
def test_bad_columns_are_refused_by_row_and_field(columns, complaint):
    with pytest.raises(InvalidRecord, match=complaint):
        FIELDS.encode_many(columns)


def test_the_message_shows_ten_problems_and_counts_the_rest():
    columns = {name: np.array([value] * 50) for name, value in RECORD.items()} | {"torque": np.full(50, -1.0)}

    with pytest.raises(InvalidRecord, match="and 40 more") as caught:
        FIELDS.encode_many(columns)

    assert len(caught.value.problems) == 50
