"""Which cases and stages a package has, and in which order they run.

A case is a subpackage with ``data`` and ``features`` modules; the modules of ``model`` serve all cases.
"""

import importlib
from collections.abc import Hashable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from hardcover import exported, settings
from hardcover.errors import HardcoverError

SHARED = "model"
NOTEBOOKS = "notebooks"


class StageSource(NamedTuple):
    """One stage of one case: its name, the notebook that it is written in, and its exported module."""

    name: str
    notebook: Path
    module: str


def names() -> list[str]:
    """List the cases: folders of ``notebooks/`` other than the shared one."""
    folders = (settings.project_root() / NOTEBOOKS).iterdir()
    return sorted(folder.name for folder in folders if folder.is_dir() and _is_case(folder))


def _is_case(folder: Path) -> bool:
    return (
        folder.name != SHARED and not folder.name.startswith((".", "_")) and any(folder.glob("*_data.ipynb"))
    )


def stages(case: str, package: str) -> list[StageSource]:
    """List the stages of a case, in the order of their notebooks' numbers; imports nothing."""
    root = settings.project_root() / NOTEBOOKS
    found = [path for folder in (case, SHARED) for path in sorted((root / folder).glob("[0-9]*_*.ipynb"))]
    return [
        StageSource(path.stem.partition("_")[2], path, f"{package}.{exported.export_target(path)}")
        for path in found
    ]


def stage_pipeline(stage: StageSource, case: str):
    """Import a stage's module and give its pipeline in the case's namespace."""
    from hardcover import features
    from hardcover.stage import of_case

    module = importlib.import_module(stage.module)
    # A features module is nothing but functions; the pipeline around them is the library's.
    make = getattr(module, "create_pipeline", None)
    return of_case(make() if make else features.create_pipeline(module), case)


def pipelines(package: str) -> dict:
    """Give the pipelines of all cases by name: ``case``, ``case.stage`` and ``__default__``."""
    from kedro.pipeline import Pipeline

    found = {}
    for case in names():
        parts = {f"{case}.{stage.name}": stage_pipeline(stage, case) for stage in stages(case, package)}
        found |= {**parts, case: sum(parts.values(), Pipeline([]))}
    found["__default__"] = sum((found[case] for case in names()), Pipeline([]))
    return found


def stage_of_nodes(package: str) -> dict[str, str]:
    """Return the stage of each node of all cases, in the order in which stages run."""
    from hardcover import stage  # noqa: F401  (readies Kedro for this project)

    found = {}
    for case in names():
        parts = {source.name: stage_pipeline(source, case) for source in stages(case, package)}
        found |= {node.name: name for name in in_order(parts) for node in parts[name].nodes}
    return found


def needs(parts: dict, name: Hashable) -> set:
    """Give the other pipelines whose datasets a pipeline reads."""
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
