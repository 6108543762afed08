"""The Kedro runner that runs only what changed.

``kedro run --runner hardcover.IncrementalRunner``. A node is not run again when versions hold what it would give: the same
code with all that it reaches, parameters, inputs and libraries, whichever face computed it. Nodes whose outputs live in
memory only run when one that needs them does.
"""

import logging
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from kedro.runner.task import Task

from hardcover.errors import some
from hardcover.incremental import reuse
from hardcover.store.catalog import VersionedCatalog

logger = logging.getLogger(__name__)
NEEDED = "needed by {}"


class IncrementalRunner(SequentialRunner):
    """Run nodes in order, without those whose results are there.

    Parameters
    ----------
    is_async
        As for Kedro's SequentialRunner.
    force
        Run every node.
    """

    def __init__(self, is_async: bool = False, force: bool = False):
        super().__init__(is_async=is_async)
        self._force = force

    def _run(
        self,
        pipeline: Pipeline,
        catalog: Any,
        hook_manager: Any = None,
        run_id: str | None = None,
    ) -> None:
        makers = {name: node for node in pipeline.nodes for name in node.outputs}
        counts = Counter(chain.from_iterable(node.inputs for node in pipeline.nodes))
        ends = pipeline.outputs()
        done: set[str] = set()

        def execute(node: Node, reasons: list[str]) -> None:
            for name in node.inputs:
                maker = makers.get(name)
                if maker and maker.name not in done and catalog.folder_of(name) is None:
                    execute(maker, [NEEDED.format(node.name)])
            logger.info("%s: runs, because %s", node.name, some(reasons))
            catalog.reasons[node.name] = reasons
            Task(node, catalog, self._is_async, hook_manager, run_id).execute()
            done.add(node.name)
            self._release_datasets(node, catalog, counts, pipeline)

        for node in pipeline.nodes:
            if self._force:
                reuse.origin_of(node, catalog)
                found, reasons = dict[str, Path](), ["it was asked to"]
            else:
                found, reasons = reuse.reusable(node, catalog)
            if not reasons:
                reasons = [f"its output {name!r} is not kept" for name in _not_kept(node, found, ends)]
            catalog.reused |= found
            if reasons and node.name not in done:
                execute(node, reasons)
            elif found:
                logger.info("%s: reused %s", node.name, some(folder.name for folder in found.values()))


def up_to_date(pipeline: Pipeline, catalog: VersionedCatalog) -> bool:
    """Check whether an incremental run would run no node; ``catalog.reused`` then holds all its results."""
    ends = pipeline.outputs()
    for node in pipeline.nodes:
        found, reasons = reuse.reusable(node, catalog)
        if reasons or _not_kept(node, found, ends):
            return False
        catalog.reused |= found
    return True


def _not_kept(node: Node, found: dict, ends: set[str]) -> list[str]:
    """List the pipeline's results that only live in memory."""
    return [name for name in node.outputs if name not in found and name in ends]
