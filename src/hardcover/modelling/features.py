"""The pipeline around a features module: columns in, the model's table out."""

import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType

import numpy as np
import pandas as pd
from kedro.pipeline import Pipeline, node, pipeline

from hardcover.errors import FeatureError
from hardcover.incremental import fingerprint
from hardcover.runtime import features as runtime
from hardcover.runtime.records import Fields
from hardcover.runtime.scalars import NotElementwise

MEND = "Mend it in the features notebook."
# Roles whose columns go along with the inputs, besides the key and the split.
KEPT = ("entity", "query", "time", "weight", "target")
discover = runtime.discover


def create_pipeline(module: ModuleType) -> Pipeline:
    """Make the pipeline that computes the features of ``module``, a notebook's ``__main__`` included.

    Its node reads ``clean``, ``schema`` and the parameter ``features`` and returns ``features``, the table of ``table_of``,
    and ``feature_plan``, which says how it was made.
    """
    functions = discover(module)

    def compute_features(clean: pd.DataFrame, schema: dict, features: dict) -> tuple[pd.DataFrame, dict]:
        return table_of(clean, schema, functions, features["libraries"])

    return pipeline(
        [
            node(
                compute_features,
                ["clean", "schema", "params:features"],
                ["features", "feature_plan"],
                name="compute_features",
            )
        ],
        tags="features",
    )


def table_of(
    clean: pd.DataFrame, schema: dict, functions: dict[str, Callable], libraries: list[str] | None = None
) -> tuple[pd.DataFrame, dict]:
    """Compute the model's inputs for each clean row.

    Parameters
    ----------
    clean
        Rows that keep to the schema, with the inputs, and where they are there ``split`` and the columns of other roles.
    schema
        JSON Schema of the inputs, as ``schema.to_json_schema`` returns it.
    functions
        The feature functions by name.
    libraries
        What they may use besides the standard library and ``hardcover.runtime``: ``["numpy"]`` or nothing.

    Returns
    -------
    tuple
        A table with the key, ``split``, entity, query, time, weight and target, as far as there are such, and the inputs as
        float64, a category as its position in the schema's ``enum``. And the plan: the inputs' names in the model's order,
        which of them are categories and their levels, how to label their axes, ``roles`` and ``classes`` as the schema has
        them, and each function's parameters, docstring and code hash.

    Raises
    ------
    FeatureError
        When a function's parameters name nothing, it uses a library that a wheel will not have, looks at more than its row,
        fails, or returns NaN for every row.
    """
    for name, function in functions.items():
        _refuse_libraries(name, function, {"hardcover", *(libraries or ())})
        _refuse_types(name, function)
    fields = Fields(schema)
    values, rows = fields.encode_many(clean[list(fields.properties)], validate=False)
    try:
        steps = runtime.resolve(functions, fields.properties)
    except runtime.UnresolvedFeature as error:
        raise FeatureError(str(error), "", "Rename the parameter in the features notebook.") from error
    for step in steps:
        try:
            runtime.compute_many([step], values, rows, fields.levels)
        except NotElementwise as error:
            where = "node compute_features"
            raise FeatureError(f"feature {step.name!r} cannot be computed: {error}", where, MEND) from error
        except Exception as error:
            what = f"feature {step.name!r} fails: {type(error).__name__}: {error}"
            raise FeatureError(what, "node compute_features", MEND) from error
        if np.isnan(values[step.name]).all():
            what = f"feature {step.name!r} is NaN for all {rows} rows"
            given = ", ".join(step.parameters)
            raise FeatureError(what, "node compute_features", f"Check its parameters: {given}.")
    direct = [name for name, rule in fields.properties.items() if rule.get("x-role") != "ingredient"]
    inputs = [*direct, *sorted(functions)]
    levels = {name: each for name, each in fields.levels.items() if name in direct}
    roles = schema["x-roles"]
    kept = [roles.get("key"), "split", *(roles.get(role) for role in KEPT)]
    keys = [name for name in kept if name in clean and name not in inputs]
    table = clean[keys].assign(**{name: values[name] for name in inputs})
    plan = {
        "inputs": inputs,
        "categorical": list(levels),
        "levels": levels,
        "labels": {name: _label(name, fields.properties.get(name), functions.get(name)) for name in inputs},
        "roles": roles,
        "classes": schema.get("x-classes", []),
        "functions": {
            name: {
                "parameters": list(inspect.signature(function).parameters),
                "description": inspect.getdoc(function) or "",
                "code": fingerprint.code_of(function).hash,
            }
            for name, function in sorted(functions.items())
        },
    }
    return table, plan


def _label(name: str, field: dict | None, function: Callable | None) -> str:
    """Name an axis: a raw column with its unit, a feature by the first sentence of its docstring."""
    if field is not None:
        return f"{name}, {field['x-unit']}" if "x-unit" in field else name
    first = (inspect.getdoc(function) or "").split("\n")[0].partition(". ")[0].rstrip(".")
    return f"{name}: {first[:80]}" if first else name


def _refuse_libraries(feature: str, function: Callable, accepted: set[str]) -> None:
    foreign = sorted(set(_packages_used(function)) - accepted - sys.stdlib_module_names)
    if foreign == ["numpy"]:
        fix = (
            "Take log1p, where, clip and others from hardcover.runtime.functions, which need no numpy; or accept that services "
            "install it: 'features: {libraries: [numpy]}' in conf/base/."
        )
        raise FeatureError(f"feature {feature!r} uses numpy", "node compute_features", fix)
    if foreign:
        fix = "Use the standard library and hardcover.runtime.functions; a wheel has nothing else."
        raise FeatureError(f"feature {feature!r} uses {', '.join(foreign)}", "node compute_features", fix)


def _refuse_types(feature: str, function: Callable) -> None:
    """Refuse to ask for a type, which differs between a row and a column and so between a service and training."""
    asked = sorted({"isinstance", "type"} & {*_names_in(function.__code__)} - {*function.__globals__})
    if asked:
        fix = "What a feature gets is always a number or a category; missing is x != x."
        raise FeatureError(f"feature {feature!r} calls {asked[0]}()", "node compute_features", fix)


def _packages_used(function: Callable) -> Iterator[str]:
    """Yield the top-level packages that a function and its module's helpers take names from."""
    waiting: list[object] = [function]
    seen: set[object] = set()
    while waiting:
        each = waiting.pop()
        if not isinstance(each, FunctionType) or each in seen:
            continue
        seen.add(each)
        for name in _names_in(each.__code__):
            value = each.__globals__.get(name)
            module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if module == function.__module__:
                waiting.append(value)
            elif module:
                yield module.partition(".")[0]


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
