"""The case's pipeline on Kedro alone: its own catalog and runner, no tracking, no manifests; for comparison.

The node ``register`` is left out, since it needs a tracking server.
"""

import os
import tempfile
from pathlib import Path

from kedro.framework.hooks.manager import _NullPluginManager
from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run the whole pipeline once, in a data folder of its own."""
    with tempfile.TemporaryDirectory(prefix="hardcover-bare-") as folder:
        os.environ["HARDCOVER_DATA_ROOT"] = folder
        bootstrap_project(ROOT)
        loader = settings.CONFIG_LOADER_CLASS(
            conf_source=str(ROOT / "conf"), env="local", **settings.CONFIG_LOADER_ARGS
        )
        context = settings.CONTEXT_CLASS(
            package_name="casebook",
            project_path=ROOT,
            config_loader=loader,
            env="local",
            hook_manager=_NullPluginManager(),
        )
        context._pipelines_to_validate = []
        catalog = context._get_catalog(DataCatalog, save_version="2020-01-01T00.00.00.000Z")
        whole = pipelines["maintenance"]
        names = [node.name for node in whole.nodes if node.name != "maintenance.register"]
        SequentialRunner().run(whole.filter(node_names=names), catalog)


if __name__ == "__main__":
    main()
