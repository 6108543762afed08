"""``kedro new --starter=hardcover``: the example's project, for those who begin with Kedro.

https://docs.kedro.org/en/stable/tutorials/new_project_tools/ and ``kedro.framework.cli.starters``.
"""

from pathlib import Path

from kedro.framework.cli.starters import KedroStarterSpec

STARTERS = [KedroStarterSpec("hardcover", template_path=str(Path(__file__).parent / "starter"))]
