"""What Kedro asks of a project: the library's defaults; a name assigned below them wins."""

from hardcover.project.kedro_settings import *  # noqa: F403
