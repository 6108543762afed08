"""Write a release's ``row.py``: one straight function from a raw record to the model's inputs.

What ``runtime.records`` and ``runtime.features`` do step by step for any schema is written out here for one. A record that is
not plainly right is left to them: they say what is wrong, or find that it is right after all.
"""

import math
from types import ModuleType

from hardcover.runtime import features
from hardcover.runtime.records import Fields

_HEAD = '''"""Made at release from schema.json and features.py: a raw record checked and turned into the model's inputs."""

from struct import Struct

from . import features as _features

_pack = Struct("={count}d").pack
_names = frozenset({names!r})
_nan = float("nan")
_infinity = float("inf")
'''
_FUNCTION = '''

def row_of(record):
    """Give the inputs of a record that is plainly right, {count} float64 as bytes; None for any other."""
    try:
        if type(record) is not dict or not record.keys() <= _names:
            return None
'''


def row_code(schema: dict, module: ModuleType, inputs: list[str]) -> str:
    """Give the source of ``row.py``.

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
    fields = Fields(schema)
    steps = features.resolve(features.discover(module), fields.properties)
    names = [*fields.properties, *(step.name for step in steps)]
    variables = {
        name: f"{name}_" if name.isidentifier() else f"v{number}" for number, name in enumerate(names)
    }
    lines, head = [], _HEAD.format(count=len(inputs), names=sorted(fields.properties))
    for number, (name, rule) in enumerate(fields.properties.items()):
        mine, required = variables[name], name in fields.required
        if name in fields.levels:
            head += (
                f"_levels_{number} = { ({level: float(code) for code, level in enumerate(rule['enum'])})!r}\n"
            )
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
                f"    {mine} = _nan",
                "else:",
                *(f"    {line}" for line in read),
            ]
    for rule in fields.rules:
        left, right = variables[rule["left"]], variables[rule["right"]]
        holds = f"{left} {rule['operator']} {right} or {left} != {left} or {right} != {right}"
        lines += [f"if not ({holds}):", "    return None"]
    for step in steps:
        given = ", ".join(variables[parameter] for parameter in step.parameters)
        lines.append(f"{variables[step.name]} = float(_features.{step.name}({given}))")
    lines.append(f"return _pack({', '.join(variables[name] for name in inputs)})")
    body = "".join(f"        {line}\n" for line in lines)
    # Whatever it is, the other way finds it again and says it better.
    return f"{head}{_FUNCTION.format(count=len(inputs))}{body}    except Exception:\n        return None\n"


def _bound(value: float | None) -> str:
    return "" if value is None or math.isinf(value) else repr(value)
