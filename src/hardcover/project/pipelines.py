"""The pipelines of a project's cases and stages, and the order in which they run."""

import importlib
from collections.abc import Hashable
from graphlib import CycleError, TopologicalSorter

from kedro.pipeline import Pipeline, pipeline

from hardcover.errors import HardcoverError
from hardcover.modelling import features
from hardcover.project import cases, exported


def of_case(stages: Pipeline, case: str) -> Pipeline:
    """Put a stage's pipeline into the namespace of a case: ``clean`` becomes ``fraud.clean``."""
    return pipeline(stages, namespace=case)


def of_stage(stage: cases.Stage, case: str) -> Pipeline:
    """Import a stage's module and return its pipeline in the case's namespace."""
    module = importlib.import_module(stage.module)
    # A features module is nothing but functions; the pipeline around them is the library's.
    make = getattr(module, "create_pipeline", None)
    return of_case(make() if make else features.create_pipeline(module), case)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines of all cases by name: ``case``, ``case.stage``, and all of them as Kedro's default."""
    found: dict[str, Pipeline] = {}
    for case in cases.names():
        parts = {f"{case}.{stage.name}": of_stage(stage, case) for stage in cases.stages(case)}
        found |= {**parts, case: sum(parts.values(), Pipeline([]))}
    found[exported.ALL] = sum((found[case] for case in cases.names()), Pipeline([]))
    return found


def stage_of_nodes() -> dict[str, str]:
    """Return the stage of each node of all cases, in the order in which stages run."""
    found: dict[str, str] = {}
    for case in cases.names():
        parts = {stage.name: of_stage(stage, case) for stage in cases.stages(case)}
        found |= {node.name: name for name in in_order(parts) for node in parts[name].nodes}
    return found


def needs(parts: dict, name: Hashable) -> set:
    """Return the other pipelines whose datasets a pipeline reads."""
    read = parts[name].inputs()
    return {other for other, part in parts.items() if other != name and part.all_outputs() & read}


def in_order(parts: dict) -> list[str]:
    """Order pipelines so that each comes after those whose datasets it reads; ties keep their order.

    Raises
    ------
    HardcoverError
        When they read each other's datasets in a circle.
    """
    sorter = TopologicalSorter({name: needs(parts, name) for name in parts})
    try:
        sorter.prepare()
    except CycleError as error:
        raise HardcoverError(f"stages need each other in a circle: {' -> '.join(error.args[1])}") from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(parts).index)
        order += ready
        sorter.done(*ready)
    return order
