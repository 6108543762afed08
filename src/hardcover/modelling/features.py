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
from hardcover.modelling import windows as offline
from hardcover.modelling.events import Table
from hardcover.release.events import happened
from hardcover.runtime import features as runtime
from hardcover.runtime import lookups, window_plan, windows
from hardcover.runtime.records import Fields
from hardcover.runtime.scalars import NotElementwise

MEND = "Mend it in the features notebook."
# Roles whose columns go along with the inputs, besides the key and the split.
KEPT = ("entity", "query", "time", "weight", "target")
discover = runtime.discover


def create_pipeline(module: ModuleType) -> Pipeline:
    """Make the pipeline that computes the features of ``module``, a notebook's ``__main__`` included.

    Its node reads ``clean``, ``schema``, the parameter ``features`` and, where the module has lookups, their tables ``lookups``, and returns
    ``features``, the table of ``table_of``, and ``feature_plan``, which says how it was made.
    """
    functions, past, looked = discover(module), windows.discover(module), lookups.discover(module)

    def compute_features(
        clean: pd.DataFrame,
        schema: dict,
        features: dict,
        lookups: dict | None = None,
        events: pd.DataFrame | None = None,
    ) -> tuple[pd.DataFrame, dict]:
        tables = lookups or {}
        return table_of(clean, schema, functions, features["libraries"], past, events, looked, tables)

    return pipeline(
        [
            node(
                compute_features,
                ["clean", "schema", "params:features", *(["lookups"] if looked else [])],
                ["features", "feature_plan"],
                name="compute_features",
            )
        ],
        tags="features",
    )


def table_of(
    clean: pd.DataFrame,
    schema: dict,
    functions: dict[str, Callable],
    libraries: list[str] | None = None,
    past: dict[str, windows.Window] | None = None,
    events: pd.DataFrame | None = None,
    looked: dict[str, lookups.Lookup] | None = None,
    tables: dict[str, dict] | None = None,
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
    past
        The windows by name.
    events
        What windows look at; None: those of the rows themselves that happened.
    looked, tables
        The lookups by name, and the tables that they are in, as ``lookups.Tables`` takes them.

    Returns
    -------
    tuple
        A table with the key, ``split``, entity, query, time, weight and target, as far as there are such, and the inputs as
        float64, a category as its position in the schema's ``enum``. And the plan: the inputs' names in the model's order,
        which of them are categories and their levels, how to label their axes, ``roles`` and ``classes`` as the schema has
        them, each function's parameters, docstring and code hash, each window and lookup in words, the columns that
        ``events`` have for them, and the tables of lookups.

    Raises
    ------
    FeatureError
        When a window, a lookup or a function's parameters name nothing, it uses a library that a wheel will not have, looks at more than its row,
        fails, or returns NaN for every row.
    """
    for name, function in functions.items():
        _refuse_libraries(name, function, {"hardcover", *(libraries or ())})
        _refuse_types(name, function)
    fields = Fields(schema)
    values, rows = fields.encode_many(clean[list(fields.properties)], validate=False)
    past = past or {}
    parameters = {name: list(inspect.signature(function).parameters) for name, function in functions.items()}
    try:
        columns = schema.get("x-columns", {})
        found = lookups.Tables(looked or {}, tables or {}, columns)
        looks = window_plan.resolve(past, columns, parameters, found)
        beside = [*window_plan.columns_beside(past, columns), *found.names]
        steps = runtime.resolve(functions, [*fields.properties, *beside])
    except (runtime.UnresolvedFeature, window_plan.UnresolvedWindow, lookups.UnresolvedLookup) as error:
        raise FeatureError(str(error), "", "Mend its names in the features notebook.") from error
    values |= found.read_many(clean, rows)
    if past:
        values |= _windows_of(clean, fields, steps, looks, events, values, found, schema["x-roles"])
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
    inputs = [*direct, *sorted([*functions, *looks.inputs, *found.inputs])]
    levels = {name: each for name, each in fields.levels.items() if name in direct}
    roles = schema["x-roles"]
    kept = [roles.get("key"), "split", *(roles.get(role) for role in KEPT)]
    keys = [name for name in kept if name in clean and name not in inputs]
    table = clean[keys].assign(**{name: values[name] for name in inputs})
    said = {name: str(each) for name, each in {**past, **found.lookups}.items()}
    plan = {
        "inputs": inputs,
        "categorical": list(levels),
        "levels": levels,
        "labels": {
            name: f"{name}: {said[name]}"
            if name in said
            else _label(name, fields.properties.get(name), functions.get(name))
            for name in inputs
        },
        "roles": roles,
        "classes": schema.get("x-classes", []),
        "functions": {
            name: {
                "parameters": parameters[name],
                "description": inspect.getdoc(function) or "",
                "code": fingerprint.code_of(function).hash,
            }
            for name, function in sorted(functions.items())
        },
        "windows": {name: str(window) for name, window in past.items()},
        "events": {
            "fields": looks.fields,
            "columns": _columns_of_events(looks, steps, fields),
            "known": looks.known,
        }
        if past
        else None,
        "lookups": {name: str(lookup) for name, lookup in found.lookups.items()},
        "tables": {name: (tables or {})[name] for name in found.fields},
    }
    return table, plan


def _columns_of_events(looks: window_plan.Plan, steps: list[runtime.Step], fields: Fields) -> list[str]:
    """Return the raw columns that windows look at, or functions of the row that they look at."""
    first = runtime.needed_by(looks.columns, steps)
    read = [name for step in first for name in step.parameters if name in fields.properties]
    return list(dict.fromkeys([*looks.raw([step.name for step in steps]), *read]))


def _windows_of(
    rows: pd.DataFrame,
    fields: Fields,
    steps: list[runtime.Step],
    looks: window_plan.Plan,
    events: pd.DataFrame | None,
    values: dict[str, np.ndarray],
    tables: lookups.Tables,
    roles: dict[str, str],
) -> dict[str, np.ndarray]:
    """Compute windows for rows, of these rows or of ``events``, and the rows' time; ``values`` are their encoded fields and lookups."""
    every, which, count = rows, happened(rows, roles), len(rows)
    if events is not None:
        every = pd.concat([events, rows], ignore_index=True)
        which = np.arange(len(every)) < len(events)
        values, count = fields.encode_many(every[list(fields.properties)], validate=False)
        values |= tables.read_many(every, count)
    table = Table(looks, every.reset_index(drop=True), which)
    found = {looks.time: table.times / window_plan.DAY_IN_MICROSECONDS}
    first = runtime.needed_by(looks.columns, steps)
    table.read(runtime.compute_many(first, {**values, **found}, count, fields.levels))
    found |= offline.compute(table)
    found |= {name: np.column_stack([found[part] for part in parts]) for name, parts in looks.vectors.items()}
    return {name: column[count - len(rows) :] for name, column in found.items()}


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
            if module and (module == function.__module__ or runtime.is_shared(module)):
                waiting.append(value)
            elif module:
                yield module.partition(".")[0]


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
