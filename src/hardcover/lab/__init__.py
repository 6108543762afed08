"""JupyterLab: a saved notebook exports its module, and a kernel knows the project. Nothing here is user-wide.

A wheel of the library enables the server extension for its environment alone, by ``etc/jupyter/jupyter_server_config.d``.
"""

from typing import Any

# Jupyter Server and JupyterLab call what is here; `%load_ext hardcover` is the way to the rest.
__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hardcover.lab"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter Server when it starts."""
    from hardcover.lab import server as ours

    ours.attach(server)
