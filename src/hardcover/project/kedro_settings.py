"""What Kedro asks of a project, for its ``settings.py``: ``from hardcover.project.kedro_settings import *``.

A project overrides a name by assigning it below that line.
"""

from omegaconf.resolvers import oc

from hardcover import settings
from hardcover.project.configuration import ConfigLoader
from hardcover.project.context import VersionedContext
from hardcover.project.hooks import HardcoverHooks
from hardcover.store.catalog import VersionedCatalog
from hardcover.tracking import server

__all__ = [
    "CONFIG_LOADER_ARGS",
    "CONFIG_LOADER_CLASS",
    "CONTEXT_CLASS",
    "DATA_CATALOG_CLASS",
    "DISABLE_HOOKS_FOR_PLUGINS",
    "HOOKS",
]

HOOKS = (HardcoverHooks(),)
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
DATA_CATALOG_CLASS = VersionedCatalog
CONTEXT_CLASS = VersionedContext
CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": settings.HOME,
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "custom_resolvers": {
        "setting": settings.read,
        "tracking_artifacts": server.artifact_location,
        "oc.env": oc.env,
    },
    "config_patterns": {"mlflow": ["mlflow*"]},
}
