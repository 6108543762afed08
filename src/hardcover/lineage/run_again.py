"""Run nodes of a checkout again: ``python run_again.py REQUEST``, a JSON file. Uses only what every commit has, Kedro's own interface."""

import json
import sys
from pathlib import Path

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project


def main(request: str) -> None:
    """Run the nodes that ``request`` names, and write the tags of all nodes where it says."""
    asked = json.loads(Path(request).read_text())
    bootstrap_project(Path(asked["project"]))
    # Kedro's dictionary of pipelines is that of the project which was made ready last.
    from kedro.framework.project import pipelines

    tags = {node.name: sorted(node.tags) for name in asked["pipelines"] for node in pipelines[name].nodes}
    Path(asked["tags"]).write_text(json.dumps(tags))
    options = {"env": asked["env"], "runtime_params": asked["params"], "save_on_close": False}
    with KedroSession.create(Path(asked["project"]), **options) as session:
        session.run(pipeline_names=asked["pipelines"], node_names=asked["nodes"])


if __name__ == "__main__":
    main(sys.argv[1])
