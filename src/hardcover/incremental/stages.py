"""Stages made of functions, each of which a project may replace.

A function's parameters say what its node reads: the name of a dataset, or else of a parameter of the case. So a replacement may
ask for other parameters of ``conf/`` than the function that it replaces.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kedro.pipeline import Pipeline, node, pipeline

# What stages read and make; any other parameter of a function is one of the case.
DATASETS = {
    "anomaly_model",
    "calibration",
    "checked",
    "clean",
    "compression_report",
    "explanations",
    "feature_plan",
    "features",
    "lookups",
    "metrics",
    "model",
    "predictions",
    "quarantine",
    "raw",
    "schema",
    "source",
    "split_report",
    "unified",
    "wheel",
}


class Step(NamedTuple):
    """One node of a stage.

    Attributes
    ----------
    name
        Of the node, and of the keyword by which a project replaces its function.
    function
        What it computes; its parameters without a default are the node's inputs.
    outputs
        Names of datasets.
    tags
        Besides the stage's name.
    """

    name: str
    function: Callable
    outputs: str | list[str]
    tags: tuple[str, ...] = ()


def bound(function: Callable, **values: Any) -> Callable:
    """Return a function with those of the values set that it has parameters for; they count for its fingerprint."""
    known = inspect.signature(function).parameters
    mine = {name: value for name, value in values.items() if name in known}
    if not mine:
        return function
    found: Any = functools.partial(function, **mine)
    # Kedro names nodes by it. Not by update_wrapper, whose __wrapped__ would hide what is bound.
    found.__name__ = function.__name__
    # Kedro looks for models among the annotations of what it is given.
    found.__annotations__ = {
        name: kind for name, kind in function.__annotations__.items() if name not in mine
    }
    return found


def replaced(create_pipeline: Callable, given: Mapping[str, Callable | None]) -> dict[str, str]:
    """Name the functions that a project gave instead of the library's, which are the defaults of ``create_pipeline``."""
    ours = inspect.signature(create_pipeline).parameters
    # By bare names: a notebook's functions are in another module than those that it exports.
    return {name: each.__name__ for name, each in given.items() if each and each is not ours[name].default}


def make(stage: str, steps: Iterable[Step]) -> Pipeline:
    """Return the pipeline of a stage."""
    nodes = [
        node(step.function, inputs_of(step.function) or None, step.outputs, name=step.name, tags=step.tags)
        for step in steps
    ]
    return pipeline(nodes, tags=stage)


def inputs_of(function: Callable) -> list[str]:
    """List the datasets and parameters that a function reads, in the order of its own parameters."""
    found = inspect.signature(function).parameters.values()
    names = [parameter.name for parameter in found if parameter.default is parameter.empty]
    return [name if name in DATASETS else f"params:{name}" for name in names]
