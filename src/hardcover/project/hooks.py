"""What Hardcover does around a Kedro run, whichever face started it.

Before: check the environment's and the parameters' names, take the lock. At each node: note what it computes from.
After: commit all versions, tell MLflow, write the run's record.
On an error: discard everything that the run saved.
"""

import os
from contextlib import ExitStack
from typing import Any

from kedro.framework.hooks import hook_impl

from hardcover import settings
from hardcover.errors import HardcoverError
from hardcover.incremental import reuse
from hardcover.project import exported, session
from hardcover.project.parameters import check_parameters
from hardcover.project.quiet import print_own_errors_plainly, silence_others
from hardcover.store import run_lock
from hardcover.store.catalog import VersionedCatalog
from hardcover.tracking import mlflow_log, server

EVERY = "this runner runs every node"


class HardcoverHooks:
    """Kedro hooks for a project's settings.py: ``HOOKS = (HardcoverHooks(),)``."""

    def __init__(self) -> None:
        self._held = ExitStack()
        silence_others()

    @hook_impl(wrapper=True)
    def after_context_created(self, context: Any):
        """Refuse unknown names before anything starts, and let one process at a time set up the tracking store."""
        print_own_errors_plainly()
        settings.enter(context.env)
        check_parameters(context.config_loader)
        with run_lock.hold("tracking"):
            server.client()
            return (yield)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict, catalog: Any) -> None:
        """Take the lock of the data folder and remove what killed runs left behind."""
        if not isinstance(catalog, VersionedCatalog):
            fix = "Use hardcover.IncrementalRunner, SequentialRunner or ThreadRunner; ParallelRunner brings a catalog of its own."
            raise HardcoverError(f"a run on a {type(catalog).__name__} cannot commit versions", "", fix)
        if session.FACE.get() == "pipeline":
            names = [name.partition(".")[0] for name in run_params["pipeline_names"] or [exported.ALL]]
            exported.check(names)
        self._held.enter_context(run_lock.alone())
        catalog.in_run = True
        # Kedro and kedro-mlflow note the runner as it prints, with its address in memory.
        run_params["runner"] = run_params["runner"].partition(" object at ")[0].lstrip("<")
        self._session = session.facts(
            session.FACE.get(), run_params["env"], run_params["pipeline_names"], run_params["runtime_params"]
        )

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Any, catalog: Any, inputs: dict[str, Any]) -> None:
        """Note what the node computes from, while its inputs are what it reads; keep large parameters from MLflow."""
        # Kedro gives its hooks a copy, of which kedro-mlflow logs each parameter in a transaction of its own. Tables of
        # tables, such as column mappings, have hundreds of parts, and the run's record has them.
        for name in [
            name for name, value in inputs.items() if name.startswith("params:") and _is_nested(value)
        ]:
            del inputs[name]
        reuse.origin_of(node, catalog)
        catalog.reasons.setdefault(node.name, [EVERY])

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, run_params: dict, pipeline: Any, catalog: Any) -> None:
        """Commit what the run saved, then log it to MLflow and write the run's record."""
        with self._held:
            run = server.run_id() or os.environ.get("HARDCOVER_RUN_ID") or run_params["run_id"]
            common = {
                "run": run,
                "created": session.now(),
                **{
                    name: self._session.get(name)
                    for name in ("face", "commit", "dirty", "patch", "lock", "python")
                },
            }

            def facts_of(dataset: str) -> dict:
                origin = catalog.origins[catalog.makers[dataset]]
                return {**{name: value for name, value in origin.items() if name != "unknown"}, **common}

            manifests = catalog.commit(facts_of)
            made = {name for name, manifest in manifests.items() if name not in catalog.reused}
            mlflow_log.log(catalog, manifests, made, self._session)
            session.record(run, self._session, pipeline, catalog, manifests)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, catalog: Any) -> None:
        """Discard what the run saved, and name the run for what it is."""
        with self._held:
            catalog.discard()
            mlflow_log.name_failed(self._session["pipelines"], self._session["face"])


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())
