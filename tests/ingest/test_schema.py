"""The schema: what pandera enforces is what JSON Schema says; refused rows keep their rejections."""

import pandas as pd
import pandera.pandas as pa
import pytest

from hardcover.errors import DataError, HardcoverError
from hardcover.ingest import quarantine, schema, waivers


def column(role: str = "input", checks=None, **options) -> pa.Column:
    return pa.Column(float, checks, metadata={"role": role, "unit": "K"}, **options)


MADE = pa.DataFrameSchema(
    {
        "record": pa.Column(str, unique=True, metadata={"role": "key"}),
        "low": column(checks=pa.Check.in_range(0, 10)),
        "high": column(checks=[pa.Check.ge(0), pa.Check.le(20)], nullable=True, description="the higher"),
        "answer": column("target", pa.Check.isin([0, 1])),
    },
    checks=schema.rule("high", ">", "low"),
    name="small",
)
SMALL = schema.as_data(MADE)


def rows(**changes) -> pd.DataFrame:
    table = {
        "record": ["a", "b", "c"],
        "low": [1.0, 2.0, 3.0],
        "high": [5.0, 6.0, 7.0],
        "answer": [0.0, 1.0, 0.0],
    }
    return pd.DataFrame({**table, **changes})


def test_a_record_is_described_by_its_inputs_only():
    described = schema.to_json_schema(SMALL)

    assert described["properties"] == {
        "low": {"type": "number", "minimum": 0, "maximum": 10, "x-unit": "K"},
        "high": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 20,
            "description": "the higher",
            "x-unit": "K",
        },
    }
    assert described["required"] == ["low"]
    assert described["x-rules"] == [{"left": "high", "operator": ">", "right": "low"}]
    assert described["x-roles"] == {"key": "record", "target": "answer"}
    assert described["x-classes"] == [0, 1]


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (pa.Column(float, metadata={"role": "other"}), "has no role"),
        (pa.Column(float), "has no role"),
        (column(checks=pa.Check(lambda value: value > 0, name="mine")), "cannot be carried to JSON Schema"),
        (column("target"), "2 columns are the target"),
        (pa.Column(str, metadata={"role": "input"}), "the input 'x' is text without known levels"),
        (pa.Column(bool, metadata={"role": "input"}), "is of type bool"),
    ],
)
def test_what_a_record_cannot_be_held_to_is_refused(made, complaint):
    with pytest.raises(HardcoverError, match=complaint):
        schema.as_data(pa.DataFrameSchema({"x": made, "answer": column("target")}, name="bad"))


def test_clean_and_refused_rows_are_all_rows_and_each_refusal_has_all_its_rejections():
    table = rows(low=[1.0, -2.0, None], high=[5.0, -6.0, 7.0])

    clean, refused = quarantine.quarantine(
        table, SMALL, pd.Series(["", "", "low 'x' is not a number"], dtype="str")
    )

    assert clean["record"].tolist() == ["a"]
    rejections = refused.set_index("record")["rejections"]
    assert rejections["b"].split("; ") == [
        "high -6.0 fails in_range(0, 20)",
        "high > low does not hold",
        "low -2.0 fails in_range(0, 10)",
    ]
    assert rejections["c"].split("; ") == ["low 'x' is not a number", "low is missing"]


def test_the_input_is_left_as_it_was():
    table = rows(low=[1.0, -2.0, 3.0])
    before = table.copy()

    quarantine.quarantine(table, SMALL, pd.Series(["", "", ""], dtype="str"))

    assert table.equals(before)


def test_when_all_are_refused_the_most_frequent_rejections_are_named():
    with pytest.raises(DataError, match=r"all 3 rows are quarantined: low .* fails in_range.*\(3\)"):
        quarantine.quarantine(rows(low=[-1.0, -2.0, -3.0]), SMALL, pd.Series(["", "", ""], dtype="str"))


def test_rejections_are_counted_without_their_values():
    assert quarantine.counts(
        ["low -1.0 fails in_range(0, 10)", "low -2.0 fails in_range(0, 10); high is missing"]
    ) == {
        "low fails in_range(0, 10)": 2,
        "high is missing": 1,
    }


def test_a_schema_survives_as_plain_data():
    again = schema.as_pandera(SMALL)

    for name, column_ in MADE.columns.items():
        theirs, ours = again.columns[name], column_
        assert (theirs.nullable, theirs.unique) == (ours.nullable, ours.unique)
        assert theirs.dtype == ours.dtype
    assert [check.name for check in again.checks] == [check.name for check in MADE.checks]
    assert schema.units(SMALL) == {"low": "K", "high": "K", "answer": "K"}
    assert schema.limits(SMALL)["answer"] == (float("-inf"), float("inf"))


def test_an_input_of_zeros_and_ones_is_a_number_in_a_record():
    made = pa.DataFrameSchema({"on": schema.flag("input", "whether it is on"), "y": column("target")})

    described = schema.to_json_schema(schema.as_data(made))

    assert described["properties"]["on"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "whether it is on",
        "x-unit": "1",
    }


LEAKING = schema.as_data(
    pa.DataFrameSchema(
        {
            "low": column(),
            "day": column("ingredient"),
            "late": column("leak"),
            "why": pa.Column(str, pa.Check.isin(["rain", "snow"]), metadata={"role": "leak"}),
            "note": pa.Column(str, metadata={"role": "leak"}),
            "answer": column("target", pa.Check.isin([0, 1])),
        },
        name="leaking",
    )
)


def test_an_ingredient_is_part_of_a_record_and_marked_as_none_of_the_models_inputs():
    properties = schema.to_json_schema(LEAKING)["properties"]
    assert {name: each.get("x-role") for name, each in properties.items()} == {
        "low": None,
        "day": "ingredient",
    }


def test_a_waived_leak_is_an_input_and_no_other_is():
    waived = waivers.waived(LEAKING, {"late": "known at noon", "why": "a forecast"})
    assert list(schema.to_json_schema(waived)["properties"]) == ["low", "day", "late", "why"]
    assert waivers.waived(LEAKING, {}) == LEAKING


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lat": "known"}, "unknown column 'lat'"),
        ({"low": "known"}, "no leak but has the role 'input'"),
        ({"late": ""}, "without a reason"),
        ({"late": None}, "without a reason"),
        ({"note": "known"}, "text, which is no input"),
    ],
)
def test_a_waiver_that_means_nothing_is_refused(given, said):
    with pytest.raises(HardcoverError, match=said):
        waivers.waived(LEAKING, given)
