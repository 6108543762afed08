"""The pipeline around a features module: columns in, the model's table out."""

import inspect
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pandas as pd
from kedro.pipeline import Pipeline, node, pipeline

from hardcover import fingerprints
from hardcover.errors import FeatureError
from hardcover.runtime import features as runtime
from hardcover.runtime.records import Fields

discover = runtime.discover


def create_pipeline(module: ModuleType) -> Pipeline:
    """Make the pipeline that computes the features of ``module``, a notebook's ``__main__`` included.

    Its node reads ``clean`` and ``schema`` and gives ``features``, the table of ``table_of``, and
    ``feature_plan``, which says how it was made.
    """
    functions = discover(module)

    def compute_features(clean: pd.DataFrame, schema: dict) -> tuple[pd.DataFrame, dict]:
        return table_of(clean, schema, functions)

    return pipeline(
        [node(compute_features, ["clean", "schema"], ["features", "feature_plan"], name="compute_features")],
        tags="features",
    )


def table_of(clean: pd.DataFrame, schema: dict, functions: dict[str, Callable]) -> tuple[pd.DataFrame, dict]:
    """Compute the model's inputs for each clean row.

    Parameters
    ----------
    clean
        Rows that keep to the schema, with the columns ``record`` and ``split``, the target and the inputs.
    schema
        JSON Schema of the inputs, as ``schema.to_json_schema`` gives it.
    functions
        The feature functions by name.

    Returns
    -------
    tuple
        A table with ``record``, ``split``, ``machine`` if there is one, the target, and the inputs as float64, a
        category as its position in the schema's ``enum``. And the plan: the inputs' names in the model's order,
        which of them are categories, the target, and each function's parameters, docstring and code hash.

    Raises
    ------
    FeatureError
        When a function's parameters name nothing, it fails, or it gives NaN for every row.
    """
    fields = Fields(schema)
    values, rows = fields.encode_many(clean[list(fields.properties)], validate=False)
    try:
        steps = runtime.resolve(functions, fields.properties)
    except runtime.UnresolvedFeature as error:
        raise FeatureError(str(error), "", "Rename the parameter in the features notebook.") from error
    for step in steps:
        try:
            runtime.compute_many([step], values, rows)
        except Exception as error:
            what = f"feature {step.name!r} fails: {type(error).__name__}: {error}"
            raise FeatureError(what, "node compute_features", "Mend it in the features notebook.") from error
        if np.isnan(values[step.name]).all():
            what = f"feature {step.name!r} is NaN for all {rows} rows"
            inputs = ", ".join(step.parameters)
            raise FeatureError(what, "node compute_features", f"Check its parameters: {inputs}.")
    inputs = [*fields.properties, *sorted(functions)]
    keys = [name for name in ("record", "split", "machine", schema["x-target"]) if name in clean]
    table = clean[keys].assign(**{name: values[name] for name in inputs})
    plan = {
        "inputs": inputs,
        "categorical": list(fields.levels),
        "target": schema["x-target"],
        "functions": {
            name: {
                "parameters": list(inspect.signature(function).parameters),
                "description": inspect.getdoc(function) or "",
                "code": fingerprints.code_of(function).hash,
            }
            for name, function in sorted(functions.items())
        },
    }
    return table, plan
