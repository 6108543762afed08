"""The same application on Ray Serve, for who outgrows one machine: ``serve run hardcover.serving.on_ray:application wheel=PATH replicas=2``.

Ray brings a proxy, a queue and pickled objects between a socket and the application; who has one machine is served better by ``hardcover serve``.
https://docs.ray.io/en/latest/serve/http-guide.html, https://docs.ray.io/en/latest/serve/advanced-guides/app-builder-guide.html.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from hardcover.serving.asgi import Gateway, made

if TYPE_CHECKING:
    from ray.serve import Application

# Seconds for what is being answered when a replica ends.
GRACE = 20.0


def application(arguments: dict[str, str]) -> "Application":
    """Return the application that Ray Serve deploys.

    Parameters
    ----------
    arguments
        ``wheel``: a path that each node has; ``replicas``: how many, 1 if not said; ``cpus``: processors that each takes, 1.
    """
    from ray import serve

    # Each replica opens the wheel when it starts: what is sent to it is where that lies.
    gateway = Gateway(partial(made, [arguments["wheel"]]))

    deployed: Any = serve.deployment(
        num_replicas=int(arguments.get("replicas", 1)),
        ray_actor_options={"num_cpus": float(arguments.get("cpus", 1))},
        graceful_shutdown_timeout_s=GRACE,
    )
    return deployed(serve.ingress(gateway)(Hardcover)).bind()


class Hardcover:
    """The service in one replica, whose application answers all requests."""
