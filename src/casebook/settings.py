"""What Kedro asks of a project: hooks, catalog and configuration."""

from omegaconf.resolvers import oc

from hardcover import settings, tracking
from hardcover.catalog import VersionedCatalog, VersionedContext
from hardcover.hooks import HardcoverHooks

HOOKS = (HardcoverHooks(),)
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
DATA_CATALOG_CLASS = VersionedCatalog
CONTEXT_CLASS = VersionedContext
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "custom_resolvers": {
        "setting": settings.read,
        "tracking_artifacts": tracking.artifact_location,
        "oc.env": oc.env,
    },
    "config_patterns": {"mlflow": ["mlflow*"]},
}
