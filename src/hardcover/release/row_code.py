"""Write a release's ``row.py``: one straight function from a raw record to the model's inputs.

What ``runtime.records`` and ``runtime.features`` do step by step for any schema is written out here for one. Anything but a plainly
valid record falls back to that general path, which reports the errors.
"""

import ast
import math
from pathlib import Path
from types import ModuleType

from hardcover.runtime import features, functions, lookups, windows
from hardcover.runtime.records import Fields

_HEAD = '''"""Made at release from schema.json and features.py: a raw record checked and turned into the model's inputs."""

from struct import Struct

from . import features as _module
from .runtime.features import discover, with_ieee_math
from .runtime.scalars import Level, Number

_features = with_ieee_math(discover(_module))
_pack = Struct("={count}d").pack
_names = frozenset({names!r})
_nan = float("nan")
_infinity = float("inf")
'''
_GENERAL = '''"""Made at release: what windows and lookups hold is read elsewhere, so every record takes the general path."""


def row_of(record):
    """Return None."""
    return None
'''
_FUNCTION = '''

def row_of(record):
    """Return the inputs of a record that is plainly right, {count} float64 as bytes; None for any other."""
    try:
        if type(record) is not dict:
            return None
        full = len(record) == {fields}
        if not full and not record.keys() <= _names:
            return None
'''


def row_code(schema: dict, module: ModuleType, inputs: list[str]) -> str:
    """Return the source of ``row.py``.

    Parameters
    ----------
    schema
        The JSON Schema of a record, as the release holds it.
    module
        The features module.
    inputs
        The model's inputs in order: fields and features.

    Raises
    ------
    UnresolvedFeature
        As ``features.resolve`` does.
    """
    if windows.discover(module) or lookups.discover(module):
        return _GENERAL
    fields = Fields(schema)
    steps = features.resolve(features.discover(module), fields.properties)
    names = [*fields.properties, *(step.name for step in steps)]
    variables = {
        name: f"{name}_" if name.isidentifier() else f"v{number}" for number, name in enumerate(names)
    }
    named = {name: f"Number({variable})" for name, variable in variables.items()}
    lines, head = [], _HEAD.format(count=len(inputs), names=sorted(fields.properties))
    for number, (name, rule) in enumerate(fields.properties.items()):
        mine, required = variables[name], name in fields.required
        if name in fields.levels:
            codes = {level: float(code) for code, level in enumerate(rule["enum"])}
            head += f"_levels_{number} = {codes!r}\n_names_{number} = {rule['enum']!r}\n"
            named[name] = f"Level({mine}, _names_{number})"
            read = [f"if type({mine}) is not str:", "    return None", f"{mine} = _levels_{number}[{mine}]"]
        else:
            low, high = _bound(rule.get("minimum")), _bound(rule.get("maximum"))
            above, below = f"{low} <=" if low else "-_infinity <", f"<= {high}" if high else "< _infinity"
            within = f"{above} {mine} {below}"
            read = [
                f"if type({mine}) is not float:",
                f"    if type({mine}) is not int:",
                "        return None",
                f"    {mine} = float({mine})",
                f"if not {within}:",
                "    return None",
            ]
        if required:
            lines += [f"{mine} = record[{name!r}]", *read]
        else:
            lines += [
                f"{mine} = record.get({name!r})",
                f"if {mine} is None or {mine} != {mine}:",
                # As many fields as there are, and not this one: another has an unknown name.
                f"    if full and {name!r} not in record:",
                "        return None",
                f"    {mine} = _nan",
                "else:",
                *(f"    {line}" for line in read),
            ]
    for rule in fields.rules:
        left, right = variables[rule["left"]], variables[rule["right"]]
        holds = f"{left} {rule['operator']} {right} or {left} != {left} or {right} != {right}"
        lines += [f"if not ({holds}):", "    return None"]
    plain, floats = _plain_functions(module)
    for step in steps:
        head += f"_feature_{step.name} = _features[{step.name!r}]\n"
        given = ", ".join((variables if step.name in plain else named)[name] for name in step.parameters)
        call = f"_feature_{step.name}({given})"
        lines.append(f"{variables[step.name]} = {call if step.name in floats else f'float({call})'}")
    lines.append(f"return _pack({', '.join(variables[name] for name in inputs)})")
    body = "".join(f"        {line}\n" for line in lines)
    # Whatever it is, the other way finds it again and says it better.
    function = _FUNCTION.format(count=len(inputs), fields=len(fields.properties))
    return f"{head}{function}{body}    except Exception:\n        return None\n"


def _plain_functions(module: ModuleType) -> tuple[set[str], set[str]]:
    """Find the functions of a module that give the same bits for Python's floats as for a ``Number``, which is slower; and those of
    them that surely return a float.

    They are those with nothing but arithmetic that either agrees or raises: no powers, which can become complex, no
    comparisons, which give integers, no calls but of ``abs``, of ``math`` and of functions that are plain themselves.
    """
    tree = (
        ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        if hasattr(module, "__file__")
        else []
    )
    # What the module holds may have been defined again, under an if or by an assignment.
    lines = {
        name: function.__code__.co_firstlineno for name, function in features.discover(module, "").items()
    }
    defined = {
        part.name: part
        for part in tree
        if isinstance(part, ast.FunctionDef)
        and not part.decorator_list
        and lines.get(part.name) == part.lineno
    }
    found, size = set(), -1
    while len(found) > size:
        size = len(found)
        found |= {name for name, part in defined.items() if _is_plain(part, module, found)}
    return found, {name for name in found if _returns_float(defined[name], hasattr(module, "abs"))}


_PLAIN = (
    ast.arguments, ast.arg, ast.Expr, ast.Assign, ast.AugAssign, ast.Return, ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant,
    ast.Attribute, ast.Call, ast.expr_context, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.UAdd,
)  # fmt: skip


def _is_plain(function: ast.FunctionDef, module: ModuleType, plain: set[str]) -> bool:
    def is_callable(called: ast.expr) -> bool:
        if isinstance(called, ast.Name):
            known = called.id == "abs" and not hasattr(module, "abs")
            value = getattr(module, called.id, None)
            return (
                known
                or called.id in plain
                or getattr(value, "__module__", "") in ("math", functions.__name__)
            )
        base = getattr(module, getattr(getattr(called, "value", None), "id", ""), None)
        return base is math or base is functions

    parts = [part for statement in function.body for part in ast.walk(statement)]
    return not function.args.defaults and all(
        isinstance(part, _PLAIN) and (not isinstance(part, ast.Call) or is_callable(part.func))
        for part in parts
    )


def _returns_float(function: ast.FunctionDef, own_abs: bool) -> bool:
    """Tell whether a plain function surely turns floats into a float: where one side of a sum or product is one, the result is."""
    names = {argument.arg for argument in function.args.args}

    def is_float(part: ast.expr | None) -> bool:
        if isinstance(part, ast.BinOp):
            return is_float(part.left) or is_float(part.right)
        if isinstance(part, ast.UnaryOp):
            return is_float(part.operand)
        if isinstance(part, ast.Call):
            return not own_abs and getattr(part.func, "id", "") == "abs" and all(map(is_float, part.args))
        return getattr(part, "id", None) in names or type(getattr(part, "value", None)) is float

    for statement in function.body:
        if isinstance(statement, ast.Return):
            return is_float(statement.value)
        if isinstance(statement, ast.Assign):
            named = {target.id for target in statement.targets if isinstance(target, ast.Name)}
            names = names | named if is_float(statement.value) else names - named
    return False


def _bound(value: float | None) -> str:
    return "" if value is None or math.isinf(value) else repr(value)
