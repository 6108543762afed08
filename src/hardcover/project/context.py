"""A project's catalog and parameters, in one Kedro environment."""

import os
from pathlib import Path
from typing import Any

from hardcover import settings

# Kedro reads these when it is first imported.
os.environ.update(settings.kedro_environment())

from kedro.framework import project
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import _NullPluginManager
from kedro.framework.startup import bootstrap_project

from hardcover.project import parameters
from hardcover.store.catalog import VersionedCatalog


class VersionedContext(KedroContext):
    """Return the same catalog outside a run, where Kedro takes its own whatever ``DATA_CATALOG_CLASS`` says."""

    def _get_catalog(self, catalog_class: type = VersionedCatalog, **options: Any) -> Any:
        return super()._get_catalog(catalog_class=catalog_class, **options)


_readied: tuple[Path, str | None] | None = None


def _ready(root: Path) -> None:
    """Make Kedro ready for a project, once: each time it would look up the source of all that called it."""
    global _readied
    if _readied != (root, project.PACKAGE_NAME):
        bootstrap_project(root)
        _readied = root, project.PACKAGE_NAME


def open_context(env: str | None, overrides: dict[str, Any] | None) -> VersionedContext:
    """Open the project's catalog and parameters without plugins' hooks, so that no tracking store is opened.

    Raises
    ------
    UnknownName
        When the environment or a parameter does not exist.
    """
    root = settings.project_root()
    _ready(root)
    env = settings.enter(env)
    loader = project.settings.CONFIG_LOADER_CLASS(
        conf_source=str(root / project.settings.CONF_SOURCE),
        env=env,
        runtime_params=overrides,
        **project.settings.CONFIG_LOADER_ARGS,
    )
    parameters.check_parameters(loader)
    context = project.settings.CONTEXT_CLASS(
        package_name=project.PACKAGE_NAME,
        project_path=root,
        config_loader=loader,
        env=env,
        hook_manager=_NullPluginManager(),
        runtime_params=overrides,
    )
    # Kedro would import every stage's module to compare parameters with annotations.
    context._pipelines_to_validate = []
    return context
