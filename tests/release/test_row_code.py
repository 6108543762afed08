"""The function made at release: what it answers is right to the bit, and what it does not answer is left to the general way."""

import importlib.util
import math
import random
import struct
import sys
import types
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from casebook.maintenance import data
from casebook.maintenance import features as module
from hardcover import runtime
from hardcover.ingest import schema
from hardcover.release import row_code
from hardcover.runtime import features
from hardcover.runtime.records import Fields, InvalidRecord
from tests.conftest import RECORD
from tests.runtime.test_hostile_models import SOAK

SCHEMA = schema.to_json_schema(schema.as_data(data.SCHEMA))
INPUTS = [*SCHEMA["properties"], *features.discover(module)]
RECORDS = 100_000 if SOAK else 20_000


def made(schema: dict, of_module: types.ModuleType, inputs: list[str]):
    """Import the code as it would be in a wheel."""
    package = types.ModuleType("released")
    package.__path__, package.features = [], of_module
    sys.modules |= {"released": package, "released.features": of_module, "released.runtime": runtime}
    sys.modules |= {f"released.runtime.{name}": getattr(runtime, name) for name in ("features", "scalars")}
    row = types.ModuleType("released.row")
    row.__package__ = "released"
    exec(row_code.row_code(schema, of_module, inputs), row.__dict__)
    return row.row_of


def general(
    record: object, schema: dict = SCHEMA, of_module: types.ModuleType = module, inputs=INPUTS
) -> bytes | str:
    fields = Fields(schema)
    try:
        encoded = fields.encode(record)
    except InvalidRecord as error:
        return str(error)
    steps = features.resolve(features.discover(of_module), fields.properties)
    values = features.compute(steps, encoded, fields.levels)
    return struct.pack(f"={len(inputs)}d", *(values[name] for name in inputs))


def hostile(chance: random.Random) -> object:
    """Draw a record with wrong types, huge texts, nesting, NaN, missing and unknown fields; about half of them are right."""
    record = {
        name: value if isinstance(value, str) else value * chance.uniform(0.98, 1.02)
        for name, value in RECORD.items()
    }
    nested: object = "deep"
    for _ in range(chance.randrange(50)):
        nested = [nested]
    odd = (
        None, True, False, "", "L", "42", "X" * chance.choice((1, 100_000)), b"L", nested, {}, {"a": nested}, math.nan, math.inf,
        -math.inf, 0, -1, 10**400, -0.0, 5e-324, 1e308, 3 + 4j, float, object(), [1.0], {1}, range(3),
        np.float64(42.0), np.float32(42.0), np.int64(42), np.array([1.0, 2.0]), Decimal("42"), Decimal("sNaN"), Fraction(85, 2),
    )  # fmt: skip
    for _ in range(chance.choice((0, 0, 1, 1, 2, 6))):
        record[chance.choice([*RECORD, "other", "", "torque "])] = chance.choice(odd)
    for name in chance.sample(sorted(record), chance.choice((0, 0, 0, 1))):
        del record[name]
    if chance.random() < 0.02:
        return chance.choice((None, 7, "text", [], [record], tuple(record.items()), nested))
    return types.MappingProxyType(record) if chance.random() < 0.02 else record


def test_hostile_records_get_the_same_inputs_or_none():
    chance, row_of, counts = (
        random.Random(3),
        made(SCHEMA, module, INPUTS),
        {"answered": 0, "left": 0, "refused": 0},
    )
    for _ in range(RECORDS):
        record = hostile(chance)
        found, expected = row_of(record), general(record)
        if found is not None:
            assert found == expected, record
            counts["answered"] += 1
        elif isinstance(expected, str):
            assert len(expected) < 3000
            counts["refused"] += 1
        else:
            counts["left"] += 1

    assert min(counts["answered"], counts["refused"]) > RECORDS / 5
    # What is right but unusual, such as another kind of mapping.
    assert 0 < counts["left"] < RECORDS / 20


def test_optional_fields_open_ranges_and_features_that_fail_are_as_in_general():
    schema = {
        "properties": {
            "speed": {"type": "number", "minimum": 0},
            "odd name": {"type": "number"},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["speed"],
        "x-rules": [{"left": "speed", "operator": "<", "right": "odd name"}],
    }
    cubic = types.ModuleType("cubic")
    source = "def inverse(speed): return 1 / speed\ndef root(inverse): return (inverse - 1) ** 0.5\ndef whole(speed): return speed // 1\n"
    exec(source, cubic.__dict__)
    names = ["kind", "odd name", "inverse", "root", "whole"]
    row_of, left = made(schema, cubic, names), 0

    for speed in (0, 0.5, 2, 2.5, -1, math.inf, None):
        for odd in (None, math.nan, 3, 1.0, -math.inf):
            for kind in (None, "a", "b", "c", 1):
                for record in ({"speed": speed, "odd name": odd, "kind": kind}, {"speed": speed}):
                    found, expected = row_of(record), general(record, schema, cubic, names)
                    assert found is None or found == expected, record
                    left += found is None and not isinstance(expected, str)

    # All is written out: a module without a file is called with numbers that answer for every float.
    assert not left
    assert row_of({"speed": 0.5}) == general({"speed": 0.5}, schema, cubic, names)


def test_powers_branches_and_categories_by_name_are_as_in_general(tmp_path):
    schema = {
        "properties": {
            "speed": {"type": "number"},
            "load": {"type": "number"},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["speed"],
    }
    path = tmp_path / "mixed.py"
    path.write_text(
        "import math\nfrom hardcover.runtime.functions import where\n"
        "def inverse(speed): return 1 / speed\n"
        "def size(speed): return abs((speed - 1) ** 0.5)\n"
        "def sign(speed): return -(speed > 1)\n"
        "def named(kind, load): return where(kind == 'a', load, -load)\n"
        "def chosen(kind): return 5.0 if kind != 'b' else 0.25\n"
        "def grown(speed, load): return math.log(speed) + math.exp(load)\n"
        "def mixed(inverse, chosen): return inverse * chosen // 1\n"
        "def twice(speed): return speed * 2\n"
        "if True:\n    def twice(speed): return -(speed == 0.5)\n"
    )
    spec = importlib.util.spec_from_file_location("mixed", path)
    mixed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mixed)
    names = ["speed", *features.discover(mixed)]
    row_of, answered = made(schema, mixed, names), 0

    for speed in (0, -0.0, 0.5, 1.0, 2.5, -1, 1e308, -1e-320):
        for load in (None, 0.0, -3, 1e4):
            for kind in (None, "a", "b"):
                record = {"speed": speed, "load": load, "kind": kind}
                found = row_of(record)
                assert found is None or found == general(record, schema, mixed, names), record
                answered += found is not None

    # A division by zero is left to the general way; all else is answered.
    assert answered == 6 * 4 * 3
    assert row_code._plain_functions(mixed) == ({"inverse", "grown", "mixed"}, {"inverse", "mixed"})


def test_a_level_that_is_listed_twice_is_refused():
    with pytest.raises(ValueError, match="a level of 'kind' twice"):
        Fields({"properties": {"kind": {"enum": ["a", "b", "a"]}}})


def test_the_code_is_readable_and_names_its_fields():
    code = row_code.row_code(SCHEMA, module, ["torque"])

    assert "torque_ = record['torque']" in code
    assert "power_ = _feature_power(torque_, rotational_speed_)\n" in code
    compile(code, "row.py", "exec")
