"""A project: its cases, its configuration, its Kedro sessions, and the ``Case`` that notebooks talk to."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.project import kedro_settings
    from hardcover.project.case import Case
    from hardcover.project.pipelines import register_pipelines

__all__ = ["Case", "kedro_settings", "register_pipelines"]
__getattr__ = lazy.names_of(__name__)
