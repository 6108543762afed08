"""Files with which a released wheel is deployed: a container, Kubernetes, KServe, Ray Serve, HAProxy, and what watches it.

Probes, drain and limits are those of the server: not ready at once at SIGTERM, new connections for ``delay`` seconds, then ``grace`` seconds for
those that are open. https://kubernetes.io/docs/reference/kubernetes-api/, https://kserve.github.io/website/docs/reference/crd-api,
https://docs.haproxy.org, https://docs.ray.io/en/latest/serve/production-guide/config.html.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hardcover.serving import schedules
from hardcover.serving.exchange import VERSION

PORT, DELAY, GRACE = 8000, 5, 20
USER = 65_532
OPERATIONS = Path(__file__).parent / "operations"
_METRICS = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}


class Deployment(NamedTuple):
    """What is deployed.

    Attributes
    ----------
    case, wheel
        The case, and the file name of its wheel.
    image
        The container's name with its tag.
    replicas, workers
        Servers, and processes of each; a server asks for one processor a worker.
    """

    case: str
    wheel: str
    image: str
    replicas: int = 2
    workers: int = 1

    @property
    def name(self) -> str:
        """The name that everything has (RFC 1123)."""
        return re.sub(r"[^a-z0-9-]+", "-", self.case.lower()).strip("-")


def files(deployment: Deployment) -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        "Containerfile": _containerfile(deployment),
        "kubernetes.yaml": _documents(kubernetes(deployment)),
        "kserve.yaml": _documents([kserve(deployment)]),
        "ray-serve.yaml": _documents([ray_serve(deployment)]),
        **schedules.files(deployment.case, deployment.name),
        "haproxy.cfg": haproxy([f"server-{number}:{PORT}" for number in range(1, deployment.replicas + 1)]),
        **{path.name: path.read_text(encoding="utf-8") for path in sorted(OPERATIONS.glob("*.*"))},
    }


def _documents(documents: list[dict]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False, width=120)


def command(wheel: str, workers: int) -> list[str]:
    """Return the command that serves in a container."""
    options = {"host": "0.0.0.0", "port": PORT, "workers": workers, "delay": DELAY, "grace": GRACE}
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["hardcover", "serve", f"/srv/{wheel}", *given, "--json"]


def ray_serve(deployment: Deployment) -> dict:
    """Return the configuration with which ``serve deploy`` puts the application on a Ray cluster that has the wheel in ``/srv``."""
    arguments = {"wheel": f"/srv/{deployment.wheel}", "replicas": str(deployment.replicas)}
    application = {
        "name": deployment.name,
        "route_prefix": "/",
        "import_path": "hardcover.serving.on_ray:application",
        "args": arguments,
    }
    options = {"host": "0.0.0.0", "port": PORT}
    return {"proxy_location": "EveryNode", "http_options": options, "applications": [application]}


def _containerfile(deployment: Deployment) -> str:
    return f"""# podman build -t {deployment.image} .
FROM python:3.11-slim
# Where Hardcover comes from: a name and version, or a wheel's address.
ARG HARDCOVER="hardcover[serve]=={VERSION}"
RUN pip install --no-cache-dir "$HARDCOVER"
COPY {deployment.wheel} /srv/
USER {USER}:{USER}
EXPOSE {PORT}
ENTRYPOINT {json.dumps(command(deployment.wheel, deployment.workers))}
"""


def _container(deployment: Deployment) -> dict[str, Any]:
    def probe(path: str, **options: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": PORT}, "timeoutSeconds": 2, **options}

    return {
        "name": deployment.name,
        "image": deployment.image,
        "ports": [{"containerPort": PORT, "name": "http"}],
        "startupProbe": probe("/readyz", periodSeconds=1, failureThreshold=60),
        "readinessProbe": probe("/readyz", periodSeconds=2, failureThreshold=1),
        "livenessProbe": probe("/livez", periodSeconds=10, failureThreshold=3),
        "resources": {
            "requests": {"cpu": str(deployment.workers), "memory": f"{64 + 64 * deployment.workers}Mi"},
            "limits": {"memory": f"{256 + 256 * deployment.workers}Mi"},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        # Wheels are unpacked there.
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }


def kubernetes(deployment: Deployment) -> list[dict]:
    """Return a Deployment, a Service, a PodDisruptionBudget and a HorizontalPodAutoscaler."""
    name = deployment.name
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "hardcover"}
    chosen = {"matchLabels": {"app.kubernetes.io/name": name}}
    pod = {
        "metadata": {"labels": labels, "annotations": _METRICS},
        "spec": {
            # Longer than the server takes for its end.
            "terminationGracePeriodSeconds": DELAY + GRACE + 5,
            "automountServiceAccountToken": False,
            "containers": [_container(deployment)],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }
    rollout = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    busy = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
    }

    def document(api: str, kind: str, spec: dict) -> dict:
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}

    return [
        document(
            "apps/v1",
            "Deployment",
            {"replicas": deployment.replicas, "selector": chosen, "strategy": rollout, "template": pod},
        ),
        document(
            "v1",
            "Service",
            {
                "selector": chosen["matchLabels"],
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"},
                    {"name": "grpc", "port": PORT, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"},
                ],
            },
        ),
        document("policy/v1", "PodDisruptionBudget", {"maxUnavailable": 1, "selector": chosen}),
        document(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            {
                "scaleTargetRef": target,
                "minReplicas": deployment.replicas,
                "maxReplicas": 5 * deployment.replicas,
                "metrics": [busy],
            },
        ),
    ]


def kserve(deployment: Deployment) -> dict:
    """Return an InferenceService whose predictor is the container, which speaks the Open Inference Protocol itself."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": deployment.name, "annotations": _METRICS},
        "spec": {
            "predictor": {
                "minReplicas": deployment.replicas,
                "maxReplicas": 5 * deployment.replicas,
                "terminationGracePeriodSeconds": DELAY + GRACE + 5,
                "containers": [_container(deployment)],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            }
        },
    }


def haproxy(servers: list[str], bind: str = f"*:{PORT}") -> str:
    """Return a configuration that divides requests among servers, and asks another where one dies before it answers.

    A request is sent again where no byte of an answer came, and it was at most 16 kB, which are kept until then. Scores don't mind; an event that
    comes twice counts once by its key.
    """
    lines = "\n".join(
        f"    server s{number} {address} check" for number, address in enumerate(servers, start=1)
    )
    return f"""defaults
    mode http
    timeout connect 1s
    timeout client 75s
    timeout server 30s
    retries 3
    option redispatch
    option http-buffer-request
    retry-on conn-failure empty-response response-timeout 503

frontend in
    bind {bind}
    default_backend servers

backend servers
    balance leastconn
    option httpchk GET /readyz
    default-server inter 500ms fall 1 rise 1
{lines}
"""
