"""Which cases and stages a package has, and in which order they run.

A case is a subpackage with ``data`` and ``features`` modules; the modules of ``model`` serve all cases.
"""

import importlib
import json
from collections.abc import Hashable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from hardcover import definitions, settings
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
        StageSource(path.stem.partition("_")[2], path, f"{package}.{export_target(path)}") for path in found
    ]


def export_target(notebook: Path) -> str:
    """Give the module that a notebook exports to, from its ``#| default_exp`` cell.

    Raises
    ------
    HardcoverError
        When the notebook is not JSON or has no such cell.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as error:
        raise HardcoverError("not a readable notebook", str(notebook), "Restore it from git.") from error
    lines = [line.strip() for cell in cells for line in "".join(cell["source"]).splitlines()]
    targets = [
        line.removeprefix("#| default_exp").strip() for line in lines if line.startswith("#| default_exp")
    ]
    if not targets:
        raise HardcoverError(
            "the notebook exports no module", str(notebook), "Add a cell '#| default_exp case.stage'."
        )
    return targets[0]


def in_sync(stage: StageSource) -> bool:
    """Say whether a stage's notebook defines what its exported module does; imports neither."""
    notebook = json.loads(stage.notebook.read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    module, written = definitions.space_of(stage.module), definitions.of_notebook(cells)
    exported = definitions.of_notebook(cell for cell in cells if cell.startswith("#| export"))
    names = {*module.statements} - {"__all__"} if module else set()
    if module is None or {*exported.statements} != names or exported.imports != module.imports:
        return False
    return all(
        [module.normal(part) for part in statements]
        == [written.normal(part) for part in written.statements.get(name, [])]
        for name, statements in module.statements.items()
        if name != "__all__"
    )


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
