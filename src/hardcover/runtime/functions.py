"""Functions for features: the same bits for a float and for a column, and an answer for every float.

``from hardcover.runtime.functions import log1p, where``. Every function takes floats, columns, numpy arrays and pandas
series. Where Python's ``math`` raises, the answer is the one of IEEE 754-2019 (section 9.2.1) and C17 (annex F.10):
``log(0.0)`` is ``-inf``, ``sqrt(-1.0)`` is NaN, ``exp(1000.0)`` is ``inf``. Transcendental functions are those of the C
library for columns, too, never numpy's vectorised ones, whose last bits depend on the processor.

A feature may write ``math.log(speed)`` as well: within features, ``math`` means this module.
"""

import math
from collections.abc import Callable
from functools import wraps
from math import (  # noqa: F401  (a feature's `math` has them)
    e,
    inf,
    nan,
    pi,
    tau,
)

PLAIN = frozenset({float, int, bool})


def _elementwise(function: Callable) -> Callable:
    """Let a function of floats take columns, arrays and series, too."""

    @wraps(function)
    def call(*given):
        for value in given:
            if type(value) not in PLAIN:
                return _spread(function, given)
        return function(*given)

    return call


def _spread(function: Callable, given: tuple):
    for value in given:
        if (apply := getattr(type(value), "apply_elementwise", None)) is not None:
            return apply(function, given)
    if all(isinstance(value, float | int) for value in given):
        return function(*map(float, given))
    from .columns import Column

    return Column.apply_elementwise(function, tuple(map(Column.of, given))).array


def _is_odd(number: float) -> bool:
    return math.isfinite(number) and math.fmod(number, 2.0) in (1.0, -1.0)


@_elementwise
def divide(x, y):
    """Return ``x / y``; a number divided by zero is infinite, zero by zero NaN."""
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0 or x != x else math.copysign(inf, x) * math.copysign(1.0, y)


@_elementwise
def floor_divide(x, y):
    """Return ``x // y``; for a zero ``y``, what ``x / y`` is."""
    try:
        return float(x) // y
    except ZeroDivisionError:
        return nan if x == 0 or x != x else math.copysign(inf, x) * math.copysign(1.0, y)


@_elementwise
def mod(x, y):
    """Return ``x % y``, which has the sign of ``y``; NaN for a zero ``y``."""
    try:
        return float(x) % y
    except ZeroDivisionError:
        return nan


@_elementwise
def power(x, y):
    """Return ``x ** y``; NaN where the result would leave the real numbers."""
    try:
        return math.pow(x, y)
    except ValueError:
        if x != 0:
            return nan
        return math.copysign(inf, x) if _is_odd(y) else inf
    except OverflowError:
        return -inf if x < 0 and _is_odd(y) else inf


def _with_pole(function: Callable, pole: float, name: str) -> Callable:
    def logarithm(x):
        return function(x) if x > pole else -inf if x == pole else nan

    logarithm.__name__ = name
    logarithm.__doc__ = f"Return ``math.{name}(x)``; ``-inf`` at {pole:g}, NaN below."
    return _elementwise(logarithm)


log2, log10 = _with_pole(math.log2, 0.0, "log2"), _with_pole(math.log10, 0.0, "log10")
log1p = _with_pole(math.log1p, -1.0, "log1p")
_natural = _with_pole(math.log, 0.0, "log")


def log(x, base=None):
    """Return the logarithm of ``x``, natural or to ``base``; ``-inf`` at zero, NaN below."""
    return _natural(x) if base is None else divide(_natural(x), _natural(base))


def _growing(function: Callable) -> Callable:
    name = function.__name__

    def grown(x):
        try:
            return function(x)
        except OverflowError:
            return math.copysign(inf, x) if name in ("sinh", "gamma", "expm1") else inf

    grown.__name__, grown.__doc__ = name, f"Return ``math.{name}(x)``; infinite beyond the largest float."
    return grown


def _within_domain(function: Callable, at_poles: Callable = lambda *_: nan) -> Callable:
    def bounded(*given):
        try:
            return function(*given)
        except ValueError:
            return at_poles(*given)

    bounded.__name__ = function.__name__
    bounded.__doc__ = (
        f"Return ``math.{function.__name__}``; where that is undefined, NaN or what its pole is."
    )
    return bounded


exp, expm1, cosh, sinh = map(_elementwise, map(_growing, (math.exp, math.expm1, math.cosh, math.sinh)))
sqrt, sin, cos, tan, asin, acos, acosh, fmod, remainder = (
    _elementwise(_within_domain(function))
    for function in (
        math.sqrt, math.sin, math.cos, math.tan, math.asin, math.acos, math.acosh, math.fmod, math.remainder,
    )
)  # fmt: skip
atanh = _elementwise(_within_domain(math.atanh, lambda x: math.copysign(inf, x) if abs(x) == 1 else nan))
gamma = _elementwise(_within_domain(_growing(math.gamma), lambda x: math.copysign(inf, x) if x == 0 else nan))
lgamma = _elementwise(_within_domain(_growing(math.lgamma), lambda x: inf))
atan, asinh, tanh, erf, erfc, fabs, degrees, radians, atan2, hypot = map(
    _elementwise,
    (
        math.atan, math.asinh, math.tanh, math.erf, math.erfc, math.fabs, math.degrees, math.radians, math.atan2,
        math.hypot,
    ),
)  # fmt: skip
pow = power  # noqa: A001  (math's name for it)


@_elementwise
def copysign(x, y):
    """Return ``x`` with the sign of ``y``; a missing ``y`` counts as positive, whatever the sign bit of its NaN."""
    return math.copysign(x, 1.0 if y != y else y)


@_elementwise
def cbrt(x):
    """Return the cube root of ``x``; Python has one since 3.11 only, and wheels are for 3.10, too."""
    if x == 0 or not math.isfinite(x):
        return float(x)
    # A power of eight aside, one step of Newton's method makes up for 1/3, which is no float.
    part, exponent = math.frexp(abs(x))
    part, exponent = math.ldexp(part, exponent % 3), exponent // 3
    root = math.pow(part, 1 / 3)
    root -= (root * root * root - part) / (3 * root * root)
    return math.copysign(math.ldexp(root, exponent), x)


@_elementwise
def exp2(x):
    """Return 2 to the power of ``x``; infinite beyond the largest float."""
    return power(2.0, x)


def _whole(function: Callable) -> Callable:
    def whole(x):
        # The sign of zero is kept: the ceiling of -0.5 is -0.0.
        return math.copysign(function(x), x) if math.isfinite(x) else float(x)

    whole.__name__ = function.__name__
    whole.__doc__ = f"Return ``math.{function.__name__}(x)`` as a float; infinities and NaN stay as they are."
    return _elementwise(whole)


floor, ceil, trunc = map(_whole, (math.floor, math.ceil, math.trunc))


@_elementwise
def isnan(x):
    """Return 1.0 where ``x`` is missing, else 0.0."""
    return float(x != x)


@_elementwise
def isinf(x):
    """Return 1.0 where ``x`` is infinite, else 0.0."""
    return float(math.isinf(x))


@_elementwise
def isfinite(x):
    """Return 1.0 where ``x`` is neither missing nor infinite, else 0.0."""
    return float(math.isfinite(x))


@_elementwise
def where(condition, x, y):
    """Return ``x`` where the condition holds, else ``y``; a condition that is a number holds unless it is zero."""
    return float(x if condition else y)


@_elementwise
def minimum(x, y):
    """Return the smaller of two numbers; NaN if either is missing, ``y`` if they are equal."""
    return float(x if x < y or x != x else y)


@_elementwise
def maximum(x, y):
    """Return the larger of two numbers; NaN if either is missing, ``y`` if they are equal."""
    return float(x if x > y or x != x else y)


def clip(x, low=None, high=None, **bounds):
    """Return ``x``, but at least ``low`` and at most ``high``; None is no bound. Takes numpy's names of the bounds, too."""
    low = bounds.get("a_min", bounds.get("min", low))
    high = bounds.get("a_max", bounds.get("max", high))
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def dot(x, y):
    """Return the sum of the products of two vectors' numbers, from the first on; vectors are tuples of one length.

    Raises
    ------
    ValueError
        When their lengths differ.
    """
    products = [a * b for a, b in zip(x, y, strict=True)]
    total = products[0]
    # Not sum(), which rounds otherwise from Python 3.12 on.
    for product in products[1:]:
        total = total + product
    return total


def __getattr__(name: str):
    """Offer the rest of ``math``, which takes floats alone, so that a feature's ``math`` is complete."""
    return getattr(math, name)


def ieee(function: Callable) -> Callable:
    """Return the counterpart of a function of ``math``, which answers for every float; others stay as they are."""
    ours = globals().get(function.__name__)
    return ours if getattr(ours, "__wrapped__", None) or ours is log else function
