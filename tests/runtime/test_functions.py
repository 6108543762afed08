"""What features may use: each function and operator answers for every float, alone, as a number and in a column, to the same bits."""

import math
import operator
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.runtime import features, functions
from hardcover.runtime.columns import Column
from hardcover.runtime.scalars import Level, NotElementwise, Number
from tests.conftest import ROOT

EDGES = (0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, -0.5, 710.0, 171.7, -170.5, 1e16, 5e-324, -5e-324, 1.7e308, -1.7e308, math.inf,
         -math.inf, math.nan)  # fmt: skip
floats = st.sampled_from(EDGES) | st.floats(-1e3, 1e3) | st.floats(allow_nan=True, allow_infinity=True)
columns = st.lists(st.tuples(floats, floats), min_size=1, max_size=20)

# Of one float: functions of math by their own name, with numpy's name for the same.
OF_ONE = {
    **{
        name: name
        for name in [
            "log",
            "log2",
            "log10",
            "log1p",
            "exp",
            "exp2",
            "expm1",
            "sqrt",
            "cbrt",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
        ]
    },
    **{
        name: name
        for name in ["floor", "ceil", "trunc", "fabs", "isnan", "isinf", "isfinite", "degrees", "radians"]
    },
    **{f"a{name}": f"arc{name}" for name in ["sin", "cos", "tan", "sinh", "cosh", "tanh"]},
    **dict.fromkeys(("erf", "erfc", "gamma", "lgamma")),
}
OF_TWO = {
    **{
        name: name
        for name in [
            "divide",
            "floor_divide",
            "mod",
            "power",
            "fmod",
            "hypot",
            "copysign",
            "minimum",
            "maximum",
        ]
    },
    "pow": "power",
    "atan2": "arctan2",
    "remainder": None,
    "log": None,
}
OPERATORS = [
    getattr(operator, name)
    for name in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "lt",
        "le",
        "gt",
        "ge",
        "eq",
        "ne",
        "and_",
        "or_",
        "xor",
    ]
]
UNARY = [operator.neg, operator.pos, operator.abs, operator.invert]


def bits(value: float) -> bytes:
    """Return the bits of a float; NaN is one value, whatever its payload."""
    return struct.pack("d", math.nan if value != value else float(value))


def check_all_ways(function, rows: list[tuple]) -> list[float]:
    alone = [function(*map(Number, row)) for row in rows]
    with np.errstate(all="ignore"):
        together = function(*(Column(np.array(column)) for column in zip(*rows, strict=True)))
    for row, one, other in zip(rows, alone, together.array.tolist(), strict=True):
        assert bits(one) == bits(other), (function, row, one, other)
    return [float(value) for value in alone]


def check_as_numpy(name: str, rows: list[tuple], found: list[float]) -> None:
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(*map(np.array, zip(*rows, strict=True))).astype(float).tolist()
    for row, ours, theirs in zip(rows, found, expected, strict=True):
        if bits(ours) == bits(theirs):
            continue
        # What is left is rounding, which libraries do differently; never an edge, nor a sign.
        assert math.isfinite(ours) == math.isfinite(theirs) == True, (name, row, ours, theirs)  # noqa: E712
        assert math.copysign(1, ours) == math.copysign(1, theirs), (name, row, ours, theirs)
        assert abs(ours - theirs) <= 4 * math.ulp(max(abs(ours), abs(theirs))), (name, row, ours, theirs)


@pytest.mark.parametrize("name", OF_ONE)
@given(rows=st.lists(st.tuples(floats), min_size=1, max_size=20))
def test_a_function_of_one_float_answers_alike_everywhere_and_as_numpy(name, rows):
    function = getattr(functions, name)

    found = check_all_ways(function, rows)

    assert [bits(function(*row)) for row in rows] == [bits(value) for value in found]
    if OF_ONE[name]:
        check_as_numpy(OF_ONE[name], rows, found)


@pytest.mark.parametrize("name", OF_TWO)
@given(rows=columns)
def test_a_function_of_two_floats_answers_alike_everywhere_and_as_numpy(name, rows):
    function = getattr(functions, name)

    found = check_all_ways(function, rows)

    assert [bits(function(*row)) for row in rows] == [bits(value) for value in found]
    if OF_TWO[name]:
        # numpy's minimum of zeros of two signs is either, by processor.
        zeros, sign = name in ("minimum", "maximum"), name == "copysign"
        kept = [
            number
            for number, (x, y) in enumerate(rows)
            # The sign bit of a NaN has no meaning here; it has for numpy.
            if not (zeros and x == y == 0) and not (sign and y != y)
        ]
        if kept:
            check_as_numpy(
                OF_TWO[name], [rows[number] for number in kept], [found[number] for number in kept]
            )


@pytest.mark.parametrize("function", OPERATORS, ids=lambda function: function.__name__)
@given(rows=columns)
def test_an_operator_answers_alike_everywhere_and_with_constants_on_either_side(function, rows):
    check_all_ways(function, rows)
    constant, values = rows[0][1], [row[:1] for row in rows]

    check_all_ways(lambda x: function(x, constant), values)
    check_all_ways(lambda x: function(constant, x) if not isinstance(constant, Column) else x, values)


@pytest.mark.parametrize("function", UNARY, ids=lambda function: function.__name__)
@given(rows=st.lists(st.tuples(floats), min_size=1, max_size=20))
def test_an_operator_of_one_number_answers_alike_everywhere(function, rows):
    check_all_ways(function, rows)


@given(rows=columns)
def test_arithmetic_is_that_of_an_array(rows):
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod"):
        function = getattr(operator, name)
        found = check_all_ways(function, rows)
        with np.errstate(all="ignore"):
            expected = function(*map(np.array, zip(*rows, strict=True))).tolist()
        assert list(map(bits, found)) == list(map(bits, expected)), name


def test_every_function_of_math_that_takes_floats_is_there_and_none_raises():
    for name in sorted(set(dir(math)) - {name for name in dir(math) if name.startswith("_")}):
        function = getattr(math, name)
        try:
            function(0.5)
        except TypeError:
            continue
        except ValueError:
            # acosh, for example.
            pass
        assert name in OF_ONE or name in ("frexp", "modf", "nextafter", "ulp", "hypot"), name
        for edge in EDGES:
            getattr(functions, name)(edge)


def test_the_names_that_a_service_needs_answer_without_numpy():
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from hardcover.runtime import features\n"
        "import math\n"
        "f = {'a': lambda x, y: x / y, 'b': lambda x: math.log(x), 'c': lambda x: x ** 0.5, 'd': lambda x: x if x > 0 else 1 / x}\n"
        "print(features.compute(features.resolve(f, ['x', 'y']), {'x': -0.0, 'y': 0.0}, {}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "{'x': -0.0, 'y': 0.0, 'a': nan, 'b': -inf, 'c': 0.0, 'd': -inf}"


@given(rows=columns)
def test_a_function_with_branches_is_called_row_by_row_to_the_same_bits(rows):
    made = {
        "branch": lambda a, b: a / b if a > b else min(a, b, 3.0),
        "rounded": lambda a: round(a, 1),
        "logarithm": lambda a, b: math.log(a) + math.hypot(a, b),
        "raises": lambda a: float(int(a)),
    }
    steps, names = features.resolve(made, ["a", "b"]), ("a", "b")
    values = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    together = features.compute_many(steps, values, len(rows), {})
    for number, row in enumerate(rows):
        alone = features.compute(steps, dict(zip(names, row, strict=True)), {})
        for name in made:
            assert bits(alone[name]) == bits(together[name][number]), (name, row)


def test_a_category_is_known_by_its_levels_name_alone_and_in_a_column():
    made = {
        "low": lambda grade: grade == "low",
        "named": lambda grade: functions.where(grade != "low", 2.0, 3.0),
        "among": lambda grade: 1.0 if grade in ("low", "high") else 0.0,
        "position": lambda grade: grade * 10.0,
    }
    steps, levels = features.resolve(made, ["grade"]), {"grade": ["low", "high"]}
    codes = [0.0, 1.0, -1.0, math.nan]
    together = features.compute_many(steps, {"grade": np.array(codes)}, 4, levels)

    assert together["low"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert together["named"].tolist() == [3.0, 2.0, 2.0, 2.0]
    assert together["among"].tolist() == [1.0, 1.0, 0.0, 0.0]
    for number, code in enumerate(codes):
        alone = features.compute(steps, {"grade": code}, levels)
        assert all(bits(alone[name]) == bits(together[name][number]) for name in made)


def test_numpys_functions_answer_as_ours_alone_and_in_a_column():
    made = {
        "log": lambda x: np.log1p(x),
        "cut": lambda x: np.where((x > 1) & (x < 4), np.minimum(x, 2.5), np.abs(x)),
        "clipped": lambda x: np.clip(x, -1.0, 1.0) + np.power(x, 2),
        "table": lambda x: np.interp(x, [0.0, 1.0], [5.0, 6.0]),
        "other": lambda x: np.logaddexp(x, 0.0) * np.float64(2.0),
    }
    steps, values = features.resolve(made, ["x"]), [-2.0, 0.0, 0.5, 3.0, 5.0]
    together = features.compute_many(steps, {"x": np.array(values)}, 5, {})
    for number, value in enumerate(values):
        alone = features.compute(steps, {"x": value}, {})
        assert all(bits(alone[name]) == bits(together[name][number]) for name in made), value

    assert list(map(bits, together["log"])) == [bits(functions.log1p(value)) for value in values]


LOG, TABLE = np.log(40.0), np.array([1.0, 2.0])


def test_constants_of_numpy_are_numbers_like_any_other():
    made = {
        "left": lambda x: np.sqrt(3.0) * x + LOG,
        "compared": lambda x: np.float64(3.0) > x,
        "element": lambda x: TABLE[0] / x,
        "narrow": lambda x: x * np.int64(2) - np.float32(0.1),
    }
    steps, values = features.resolve(made, ["x"]), [-1.5, 0.0, 2.0]
    together = features.compute_many(steps, {"x": np.array(values)}, 3, {})
    for number, value in enumerate(values):
        alone = features.compute(steps, {"x": value}, {})
        assert all(bits(alone[name]) == bits(together[name][number]) for name in made), value


def test_a_features_own_except_takes_no_column_for_a_failed_row():
    def guarded(x):
        try:
            return 1.0 if x > 0 else 0.0
        except Exception:
            return -1.0

    steps = features.resolve({"guarded": guarded}, ["x"])

    assert features.compute_many(steps, {"x": np.array([-1.0, 2.0])}, 2, {})["guarded"].tolist() == [0.0, 1.0]


def test_an_integer_that_no_float_can_hold_is_missing():
    steps = features.resolve({"huge": lambda x: 10**400, "power": lambda x: int(x) ** 400}, ["x"])

    found = features.compute_many(steps, {"x": np.array([10.0, 1.0])}, 2, {})

    assert math.isnan(found["huge"][0])
    assert math.isnan(found["power"][0])
    assert found["power"][1] == 1.0
    assert math.isnan(features.compute(steps, {"x": 10.0}, {})["huge"])


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda x: x * TABLE, r"an array of shape \(2,\) is mixed with one row's number"),
        (lambda grade: grade < "low", "the names of categories have no order"),
        (lambda grade: str(grade) == "low", "compared by '==' with its level's name: low, high"),
        (lambda grade: grade in {"low"}, "looked up in a set or a dictionary; compare by '=='"),
        (lambda x: np.frexp(x), "numpy.frexp returns more than one number"),
        (lambda x: x - x.mean(), "'.mean' looks at a whole column; a feature sees one row at a time"),
        (lambda x: x - np.mean(x), "numpy.mean looks at a whole column"),
        (lambda x: np.add.reduce(x), "numpy.add.reduce looks at a whole column"),
        (lambda x: x[0], "an index looks at a whole column"),
        (lambda x: x / len(x), r"len\(\) looks at a whole column"),
        (lambda x: sum(value for value in x), "a loop looks at a whole column"),
        (lambda x: x * np.asarray(x), "numpy.asarray looks at a whole column"),
        (lambda x: x == "low", "a number is compared with the text 'low'"),
        (lambda grade: grade == "lov", "'lov' is none of the levels low, high; did you mean 'low'?"),
        (lambda x: None, "it returns NoneType"),
        (lambda x: "text" if x > 0 else None, "it returns None"),
    ],
)
def test_what_a_service_could_not_answer_is_refused_with_the_reason(function, complaint):
    steps = features.resolve({"made": function}, ["x", "grade"])
    values = {"x": np.array([-1.0, 2.0]), "grade": np.array([0.0, 1.0])}

    with pytest.raises(NotElementwise, match=complaint):
        features.compute_many(steps, values, 2, {"grade": ["low", "high"]})


def test_functions_take_arrays_and_series_in_a_notebook():
    import pandas as pd

    assert functions.log1p(np.array([0.0, -1.0])).tolist() == [0.0, -math.inf]
    assert functions.where(pd.Series([1.0, 0.0]) > 0.5, 2.0, pd.Series([3.0, 4.0])).tolist() == [2.0, 4.0]


def test_a_number_stays_one_through_arithmetic_so_that_no_edge_is_lost():
    x = Number(3.0)

    for value in (
        x + 1,
        1 - x,
        -x,
        abs(x),
        x > 2,
        divmod(x, 2)[0],
        2**x,
        x // 1,
        7 % x,
        ~x,
        x & True,
        functions.exp(x),
    ):
        assert type(value) is Number
    assert type(Level(1.0, ["a", "b"]) * 2.0) is Number
    assert 1.0 / (x - x) == math.inf
