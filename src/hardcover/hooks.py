"""What Hardcover does around a Kedro run, whichever face started it.

Before: check the environment's and the parameters' names, take the lock. At each node: note what it computes from.
After: commit all versions, tell MLflow, write the run's record.
On an error: discard everything that the run saved.
"""

import logging
import os
import sys
import warnings
from contextlib import ExitStack
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from kedro.framework import project
from kedro.framework.hooks import hook_impl

from hardcover import exported, lock, origins, provenance, settings, tracking
from hardcover.catalog import VersionedCatalog
from hardcover.errors import HardcoverError, UnknownName

EVERY = "this runner runs every node"
FACE: ContextVar[str] = ContextVar("face", default="pipeline")
_last_run: str | None = None


class HardcoverHooks:
    """Kedro hooks for a project's settings.py: ``HOOKS = (HardcoverHooks(),)``."""

    def __init__(self):
        self._held = ExitStack()
        _silence_others()

    @hook_impl(wrapper=True)
    def after_context_created(self, context: Any):
        """Refuse unknown names before anything starts, and let one process at a time set up the tracking store."""
        _print_own_errors_plainly()
        settings.enter(context.env)
        check_parameters(context.config_loader)
        with lock.hold("tracking"):
            tracking.client()
            return (yield)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict, catalog: Any) -> None:
        """Take the lock of the data folder and remove what killed runs left behind."""
        if not isinstance(catalog, VersionedCatalog):
            fix = "Use hardcover.IncrementalRunner, SequentialRunner or ThreadRunner; ParallelRunner brings a catalog of its own."
            raise HardcoverError(f"a run on a {type(catalog).__name__} cannot commit versions", "", fix)
        if FACE.get() == "pipeline":
            names = [name.partition(".")[0] for name in run_params["pipeline_names"] or [exported.ALL]]
            exported.check(names, project.PACKAGE_NAME)
        self._held.enter_context(lock.alone())
        catalog.in_run = True
        # Kedro and kedro-mlflow note the runner as it prints, with its address in memory.
        run_params["runner"] = run_params["runner"].partition(" object at ")[0].lstrip("<")
        self._session = session_facts(
            FACE.get(), run_params["env"], run_params["pipeline_names"], run_params["runtime_params"]
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
        origins.origin_of(node, catalog)
        catalog.reasons.setdefault(node.name, [EVERY])

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, run_params: dict, pipeline: Any, catalog: Any) -> None:
        """Commit what the run saved, then log it to MLflow and write the run's record."""
        with self._held:
            run = tracking.run_id() or os.environ.get("HARDCOVER_RUN_ID") or run_params["run_id"]
            common = {
                "run": run,
                "created": _now(),
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
            tracking.log(catalog, manifests, made, self._session)
            record_session(run, self._session, pipeline, catalog, manifests)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, catalog: Any) -> None:
        """Discard what the run saved, and name the run for what it is."""
        with self._held:
            catalog.discard()
            tracking.name_failed(self._session["pipelines"], self._session["face"])


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())


def _silence_others() -> None:
    # Warnings that nobody using this project could act on. Kedro 1.7 calls a deprecated function of omegaconf 2.4;
    # and kedro-mlflow's model class, when first imported, warns past any filter, since MLflow puts its own in front.
    warnings.filterwarnings("ignore", message="register_new_resolver", category=UserWarning)
    show = warnings.showwarning

    def show_others(message, *arguments, **options):
        if "Add type hints to the `predict` method" not in str(message):
            show(message, *arguments, **options)

    if getattr(show, "__module__", "") != __name__:
        warnings.showwarning = show_others
    # When a node fails, Kedro logs what the exception says anyway, and advises to resume from datasets that
    # were discarded.
    for name in ("kedro.pipeline.node", "kedro.runner.sequential_runner", "kedro.runner.thread_runner"):
        logging.getLogger(name).addFilter(_is_progress)


def _is_progress(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING


def _print_own_errors_plainly() -> None:
    previous = sys.excepthook

    def show(kind, error, traceback):
        # Kedro names the pipeline and the closest one that exists, but as a crash.
        if isinstance(error, HardcoverError) or str(error).startswith("Failed to find the pipeline named"):
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
        else:
            previous(kind, error, traceback)

    if getattr(previous, "__module__", "") != __name__:
        sys.excepthook = show


def check_parameters(loader: Any) -> None:
    """Refuse runtime parameters that ``conf/`` does not have, or of another type.

    Raises
    ------
    UnknownName, HardcoverError
        Names the parameter, and the closest one that exists or the type that it should have.
    """
    given = loader.runtime_params or {}
    if not given:
        return
    # The loader merges what is given into what it finds, so the known names are read without.
    loader.runtime_params = {}
    known = loader["parameters"]
    loader.runtime_params = given
    _check_names(given, known, "")


def _check_names(given: dict, known: dict, prefix: str) -> None:
    for name, value in given.items():
        if name not in known:
            raise UnknownName("parameter", prefix + name, [prefix + other for other in known])
        kind = next(
            (kind for kind in (bool, int | float, str, list, dict) if isinstance(known[name], kind)), object
        )
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            what = f"parameter {prefix + name!r} is {value!r}, of type {type(value).__name__}"
            fix = f"Expected is a value of type {type(known[name]).__name__}, such as {known[name]!r:.60}."
            raise HardcoverError(what, "", fix)
        if isinstance(value, dict):
            _check_names(value, known[name], f"{prefix}{name}.")


def session_facts(face: str, env: str | None, pipelines: list[str] | None, params: dict | None) -> dict:
    """Say what a session is about to do, and with which code."""
    asked = {"face": face, "env": env, "pipelines": pipelines, "params": params, "started": _now()}
    return {**asked, **provenance.checkout()}


def record_session(run: str, session: dict, pipeline: Any, catalog: Any, manifests: dict[str, dict]) -> None:
    """Write what a session did into the record of its run."""
    nodes = {
        node.name: {
            "state": "ran" if node.name in catalog.reasons else "reused",
            "reasons": catalog.reasons.get(node.name, []),
            "inputs": list(node.inputs),
            "outputs": list(node.outputs),
        }
        for node in pipeline.nodes
    }
    outputs = {
        name: {"version": manifest["version"], "content": manifest["content"], "made_by": manifest["run"]}
        for name, manifest in manifests.items()
    }
    inputs = {
        name: {"version": manifest["version"], "content": manifest["content"]}
        for name, manifest in catalog.loaded.items()
        if name not in outputs
    }
    facts = {"nodes": nodes, "outputs": outputs, "inputs": inputs, "ended": _now()}
    provenance.record(run, {**session, **facts})
    global _last_run
    _last_run = run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def last_run() -> str | None:
    """Give the run of the last commit in this process."""
    return _last_run
