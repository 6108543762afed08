"""What a feature function gets for one row: numbers that behave as a column's would, and categories known by name.

Python raises where an array has an answer (``1.0 / 0.0``) and leaves the reals where an array gives NaN
(``(-8.0) ** 0.5``). A ``Number`` is a float that does neither; its answers are those of ``functions``.
"""

import operator
from collections.abc import Callable, Sequence

from . import functions
from .records import hint


class NotElementwise(TypeError):
    """A feature that looks at more than its row, or compares what cannot be compared; the message says what to write."""


def _operation(function: Callable, swapped: bool = False) -> Callable:
    def operate(self, other):
        if not isinstance(other, float | int):
            return NotImplemented
        mine, theirs = float(self), float(other)
        return Number(function(theirs, mine) if swapped else function(mine, theirs))

    return operate


def _comparison(function: Callable) -> Callable:
    def compare(self, other):
        if isinstance(other, str):
            raise NotElementwise(f"a number is compared with the text {other[:60]!r}")
        if not isinstance(other, float | int):
            return NotImplemented
        return Number(function(float(self), float(other)))

    return compare


class Number(float):
    """A float whose arithmetic is that of a float64 array: it never raises and never becomes complex.

    Comparisons give 1.0 or 0.0 as a ``Number``, so that they can be used in arithmetic as in a column.
    """

    __slots__ = ()

    __add__, __radd__ = _operation(operator.add), _operation(operator.add, True)
    __sub__, __rsub__ = _operation(operator.sub), _operation(operator.sub, True)
    __mul__, __rmul__ = _operation(operator.mul), _operation(operator.mul, True)
    __truediv__, __rtruediv__ = _operation(functions.divide), _operation(functions.divide, True)
    __floordiv__, __rfloordiv__ = (
        _operation(functions.floor_divide),
        _operation(functions.floor_divide, True),
    )
    __mod__, __rmod__ = _operation(functions.mod), _operation(functions.mod, True)
    __pow__, __rpow__ = _operation(functions.power), _operation(functions.power, True)
    __lt__, __le__ = _comparison(operator.lt), _comparison(operator.le)
    __gt__, __ge__ = _comparison(operator.gt), _comparison(operator.ge)
    __eq__, __ne__ = _comparison(operator.eq), _comparison(operator.ne)
    __and__ = __rand__ = _operation(lambda one, two: bool(one) and bool(two))
    __or__ = __ror__ = _operation(lambda one, two: bool(one) or bool(two))
    __xor__ = __rxor__ = _operation(lambda one, two: bool(one) != bool(two))
    __hash__ = float.__hash__

    def __neg__(self):
        return Number(float.__neg__(self))

    def __pos__(self):
        return self

    def __abs__(self):
        return Number(float.__abs__(self))

    def __divmod__(self, other):
        return self // other, self % other

    def __rdivmod__(self, other):
        return other // self, other % self

    def __invert__(self):
        return Number(not self)

    @staticmethod
    def apply_elementwise(function: Callable, given: tuple):
        """Call a function of ``functions`` with plain floats."""
        if any(not isinstance(value, float | int) for value in given):
            raise NotElementwise("a row's number is mixed with a whole column")
        return Number(function(*map(float, given)))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """Let numpy's functions answer as ours do, where we have the function (NEP 13)."""
        ours, inputs = ufunc_of(ufunc, method, options), list(map(constant, inputs))
        if ours:
            return ours(*inputs)
        result = ufunc(*map(float, inputs))
        if isinstance(result, tuple):
            raise NotElementwise(f"numpy.{ufunc.__name__} returns more than one number")
        return Number(result)

    def __array_function__(self, function, types, arguments, options):
        """Let ``numpy.where`` and its like answer for one row, and refuse what looks at a whole column (NEP 18)."""
        ours = array_function_of(function)
        return ours(*arguments, **options) if ours else Number(function(*map(_plain, arguments), **options))


def constant(value):
    """Return a numpy scalar as Python's number, so that numpy's operators are not asked again; others stay as they are.

    Raises
    ------
    NotElementwise
        When it is an array of several numbers.
    """
    if not hasattr(type(value), "dtype"):
        return value
    if value.shape != ():
        raise NotElementwise(f"an array of shape {value.shape} is mixed with one row's number")
    return value.item()


def _plain(value):
    return float(value) if isinstance(value, Number) else value


class Level(Number):
    """A category: its position in the schema's list of levels as a number, which compares with names by ``==``.

    Attributes
    ----------
    levels
        All names in order. A missing category is NaN, an unseen one -1; they equal no name.
    """

    __slots__ = ("levels",)

    def __new__(cls, code: float, levels: Sequence[str]):
        """Make the category at a position."""
        made = super().__new__(cls, code)
        made.levels = levels
        return made

    def __eq__(self, other):
        return super().__eq__(code_of(other, self.levels))

    def __ne__(self, other):
        return super().__ne__(code_of(other, self.levels))

    __hash__ = float.__hash__

    def __str__(self):
        raise NotElementwise(
            f"a category is compared by '==' with its level's name: {', '.join(self.levels)}"
        )

    def __format__(self, form):
        return str(self)


def code_of(name: object, levels: Sequence[str] | None) -> object:
    """Return the position of a level's name; what is no text stays as it is.

    Raises
    ------
    NotElementwise
        When there is no such level, or the column has none.
    """
    if not isinstance(name, str):
        return name
    if levels is None:
        raise NotElementwise(f"a number is compared with the text {name[:60]!r}")
    if name in levels:
        return float(levels.index(name))
    raise NotElementwise(f"{name[:60]!r} is none of the levels {', '.join(levels)}{hint(name, levels)}")


_OPERATORS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "power": operator.pow, "float_power": operator.pow,
    "negative": operator.neg, "positive": operator.pos, "absolute": operator.abs, "fabs": operator.abs,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": operator.eq, "not_equal": operator.ne, "logical_and": operator.and_, "logical_or": operator.or_,
    "logical_xor": operator.xor, "logical_not": operator.invert,
}  # fmt: skip
_SAME_NAME = (
    "log log2 log10 log1p exp exp2 expm1 sqrt cbrt sin cos tan sinh cosh tanh floor ceil trunc fmod hypot copysign "
    "degrees radians isnan isinf isfinite minimum maximum"
)
_UFUNCS = {
    **_OPERATORS,
    **{name: getattr(functions, name) for name in _SAME_NAME.split()},
    **{
        f"arc{name}": getattr(functions, f"a{name}")
        for name in ["sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh"]
    },
}
# Functions of numpy that answer one row at a time, though numpy offers them for arrays.
ONE_BY_ONE = frozenset({"interp", "nan_to_num", "round", "around"})


def ufunc_of(ufunc, method: str, options: dict) -> Callable | None:
    """Return our counterpart of a numpy ufunc, or None where there is none.

    Raises
    ------
    NotElementwise
        When the ufunc would reduce or mix rows.
    """
    if method != "__call__" or ufunc.signature or options:
        more = "".join(f", {name}=" for name in options)
        raise NotElementwise(
            f"numpy.{ufunc.__name__}{f'.{method}' if method != '__call__' else more} {WHOLE}"
        )
    return _UFUNCS.get(ufunc.__name__)


def array_function_of(function) -> Callable | None:
    """Return our counterpart of a numpy function, or None where it answers one row at a time.

    Raises
    ------
    NotElementwise
        When the function looks at a whole column, or may.
    """
    name = function.__name__
    if name in ("where", "clip"):
        return getattr(functions, name)
    if name in ONE_BY_ONE:
        return None
    raise NotElementwise(f"numpy.{name} {WHOLE}")


WHOLE = (
    "looks at a whole column; a feature sees one row at a time, in a service as in training. Write a constant, or compute "
    "it in the data stage"
)
