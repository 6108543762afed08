"""What Hardcover does around a Kedro run, whichever face started it.

Before: check the environment's and the parameters' names, take the lock. After: commit all versions, tell MLflow.
On an error: discard everything that the run saved.
"""

import logging
import os
import subprocess
import sys
import warnings
from contextlib import ExitStack
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import Any

from kedro.framework.hooks import hook_impl

from hardcover import lock, settings, tracking
from hardcover.catalog import VersionedCatalog
from hardcover.errors import HardcoverError, UnknownName

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
        settings.check_environment(context.env)
        _check_parameters(context)
        with lock.hold("tracking"):
            return (yield)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, catalog: Any) -> None:
        """Take the lock of the data folder and remove what killed runs left behind."""
        if not isinstance(catalog, VersionedCatalog):
            fix = "Use SequentialRunner or ThreadRunner; ParallelRunner brings a catalog of its own."
            raise HardcoverError(f"a run on a {type(catalog).__name__} cannot commit versions", "", fix)
        self._held.enter_context(lock.alone())

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Commit what the run saved, then log it to MLflow."""
        with self._held:
            origins = {output: node for node in pipeline.nodes for output in node.outputs}
            common = {
                "run": tracking.run_id(),
                "face": FACE.get(),
                "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
                **git_facts(),
            }
            inputs = catalog.loaded | {name: folder.name for name, folder in catalog.saved.items()}

            def facts_of(dataset: str) -> dict:
                node = origins[dataset]
                read = {name: inputs[name] for name in node.inputs if name in inputs}
                named = {name: catalog.load(name) for name in node.inputs if name.startswith("params:")}
                return {"node": node.name, "inputs": read, "parameters": named, **common}

            manifests = catalog.commit(facts_of)
            global _last_run
            _last_run = common["run"]
            tracking.log(catalog, manifests)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, catalog: Any) -> None:
        """Discard what the run saved."""
        with self._held:
            catalog.discard()


def _silence_others() -> None:
    # Warnings that nobody using this project could act on. Kedro 1.7 calls a deprecated function of
    # omegaconf 2.4; and kedro-mlflow's model class, when first imported, warns past any filter.
    warnings.filterwarnings("ignore", message="register_new_resolver", category=UserWarning)
    with warnings.catch_warnings(record=True):
        import_module("kedro_mlflow.framework.hooks")
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


def _check_parameters(context: Any) -> None:
    given = context.config_loader.runtime_params or {}
    if not given:
        return
    # The loader merges what is given into what it finds, so the known names are read without.
    context.config_loader.runtime_params = {}
    known = context.config_loader["parameters"]
    context.config_loader.runtime_params = given
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


def last_run() -> str | None:
    """Give the MLflow run of the last commit in this process."""
    return _last_run


@cache
def git_facts() -> dict:
    """Give the commit of the project and whether files differ from it; empty values outside git."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(settings.project_root()), *arguments]
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
