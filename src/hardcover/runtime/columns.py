"""What a feature function gets for many rows at once: a column that can be used like one row's number, and not otherwise.

Whatever a column answers has the bits that each row would have alone. What cannot be answered for all rows at once, such as
``if speed > 40``, raises ``NeedsRows``: then the function is called row by row. What looks at a whole column, such as its mean,
is refused with ``NotElementwise``, since a service has no column.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from . import functions
from .scalars import WHOLE, Level, NotElementwise, Number, array_function_of, code_of, constant, ufunc_of

# Exactly rounded, or only moving bits: numpy's loops give the same on every processor.
_EXACT: dict[str, Callable] = {
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "mod": np.mod,
    "sqrt": np.sqrt,
    "fabs": np.fabs,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "copysign": lambda x, y: np.copysign(x, np.where(y != y, 1.0, y)),
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "where": lambda condition, x, y: np.where(condition != 0, x, y),
    "minimum": lambda x, y: np.where((x < y) | (x != x), x, y),
    "maximum": lambda x, y: np.where((x > y) | (x != x), x, y),
}


class NeedsRows(BaseException):
    """A function that cannot take columns and must be called row by row.

    Not an ``Exception``: a feature's own ``except Exception`` must not take it for a row's failure.
    """


def _operation(function: Callable, swapped: bool = False) -> Callable:
    def operate(self, other):
        theirs = _operand(other)
        if theirs is None:
            return NotImplemented
        return Column(function(theirs, self.array) if swapped else function(self.array, theirs))

    return operate


def _mapped(function: Callable, swapped: bool = False) -> Callable:
    def operate(self, other):
        if _operand(other) is None:
            return NotImplemented
        return function(other, self) if swapped else function(self, other)

    return operate


def _comparison(function: Callable) -> Callable:
    def compare(self, other):
        if isinstance(other, str) and function not in (np.equal, np.not_equal):
            raise NotElementwise(
                "the names of categories have no order; compare them by '==', or positions by number"
            )
        theirs = _operand(code_of(other, self.levels))
        return NotImplemented if theirs is None else Column(function(self.array, theirs))

    return compare


def _logical(function: Callable) -> Callable:
    return _operation(lambda one, two: function(one != 0, np.asarray(two) != 0))


def _operand(value: object) -> np.ndarray | float | None:
    if isinstance(value, Column):
        return value.array
    return float(value) if isinstance(value, float | int | np.number | np.bool_) else None


def _by_rows(self, *_):
    raise NeedsRows


def _refused(what: str) -> Callable:
    def refuse(self, *_):
        raise NotElementwise(f"{what} {WHOLE}")

    return refuse


class Column:
    """One column's numbers, or one column's categories.

    Parameters
    ----------
    array
        Shape (rows,); becomes float64, so that a comparison is 1.0 or 0.0.
    levels
        The names of the categories that the numbers are positions of; None for numbers.
    """

    __slots__ = ("array", "levels")

    def __init__(self, array: np.ndarray, levels: Sequence[str] | None = None):
        self.array, self.levels = np.asarray(array, dtype=np.float64), levels

    @classmethod
    def of(cls, value: object) -> "Column":
        """Make a column of an array, a series or a number."""
        return value if isinstance(value, Column) else cls(np.asarray(value))

    __add__, __radd__ = _operation(np.add), _operation(np.add, True)
    __sub__, __rsub__ = _operation(np.subtract), _operation(np.subtract, True)
    __mul__, __rmul__ = _operation(np.multiply), _operation(np.multiply, True)
    __truediv__, __rtruediv__ = _operation(np.divide), _operation(np.divide, True)
    __floordiv__, __rfloordiv__ = _operation(np.floor_divide), _operation(np.floor_divide, True)
    __mod__, __rmod__ = _operation(np.mod), _operation(np.mod, True)
    __pow__, __rpow__ = _mapped(functions.power), _mapped(functions.power, True)
    __lt__, __le__ = _comparison(np.less), _comparison(np.less_equal)
    __gt__, __ge__ = _comparison(np.greater), _comparison(np.greater_equal)
    __eq__, __ne__ = _comparison(np.equal), _comparison(np.not_equal)
    __and__ = __rand__ = _logical(np.logical_and)
    __or__ = __ror__ = _logical(np.logical_or)
    __xor__ = __rxor__ = _logical(np.logical_xor)

    def __neg__(self):
        return Column(-self.array)

    def __pos__(self):
        return self

    def __abs__(self):
        return Column(np.abs(self.array))

    def __invert__(self):
        return Column(self.array == 0)

    def __divmod__(self, other):
        return self // other, self % other

    def __rdivmod__(self, other):
        return other // self, other % self

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __round__ = __format__ = __str__ = _by_rows
    __floor__ = __ceil__ = __trunc__ = _by_rows
    __len__, __iter__, __getitem__ = _refused("len()"), _refused("a loop"), _refused("an index")
    __array__ = _refused("numpy.asarray")

    def __hash__(self):
        raise NotElementwise(
            "a column is looked up in a set or a dictionary; compare by '==', as in quality == 'L'"
        )

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        if hasattr(float, name):
            raise NeedsRows
        raise NotElementwise(f"'.{name}' {WHOLE}, or use hardcover.runtime.functions")

    @staticmethod
    def apply_elementwise(function: Callable, given: tuple) -> "Column":
        """Call a function of ``functions`` for all rows; its bits are those of each row alone."""
        operands = [_operand(value) for value in given]
        if any(operand is None for operand in operands):
            kinds = ", ".join(type(value).__name__ for value in given)
            raise NotElementwise(f"{function.__name__} takes numbers, not {kinds}")
        if function.__name__ in _EXACT:
            with np.errstate(all="ignore"):
                return Column(_EXACT[function.__name__](*operands))
        columns = np.broadcast_arrays(*operands)
        found = map(function, *(column.tolist() for column in columns))
        return Column(np.fromiter(found, np.float64, len(columns[0])))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """Let numpy's functions answer as ours do, where we have the function (NEP 13)."""
        ours, inputs = ufunc_of(ufunc, method, options), list(map(constant, inputs))
        if ours:
            return ours(*inputs)
        operands = [_operand(value) for value in inputs]
        if any(operand is None for operand in operands):
            raise NotElementwise(f"numpy.{ufunc.__name__} takes numbers of this row alone")
        result = ufunc(*operands)
        if isinstance(result, tuple):
            raise NotElementwise(f"numpy.{ufunc.__name__} returns more than one number")
        return Column(result)

    def __array_function__(self, function, types, arguments, options):
        """Let ``numpy.where`` and its like answer, and refuse what looks at a whole column (NEP 18)."""
        ours = array_function_of(function)
        if ours is None:
            raise NeedsRows
        return ours(*arguments, **options)

    def rows(self) -> Iterator[Number]:
        """Yield each row's number or category."""
        if self.levels is None:
            return map(Number, self.array.tolist())
        return (Level(code, self.levels) for code in self.array.tolist())
