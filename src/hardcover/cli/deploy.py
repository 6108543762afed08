"""``hardcover deploy``: write what a container, Kubernetes, KServe, HAProxy, Prometheus and Grafana need of a released wheel."""

import argparse
import json
from pathlib import Path

PURPOSE = "write the files with which a wheel is deployed"
DESCRIPTION = """Write a folder with a released wheel and what serves and watches it: a Containerfile, manifests for Kubernetes and KServe whose probes
and drain are the server's, a configuration of HAProxy, rules for Prometheus and a dashboard for Grafana. Nothing is built or sent."""
EXAMPLES = """examples:
  hardcover deploy churn --to deploy
  hardcover deploy churn --to deploy --image registry.example.org/churn --replicas 3 --workers 2
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", help="the case, whose champion is deployed")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="a folder that is new, or empty"
    )
    parser.add_argument("--image", metavar="NAME", help="the container's name (default: that of the case)")
    parser.add_argument("--replicas", type=int, default=2, help="servers (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes of each server (%(default)s)")


def do(options: argparse.Namespace) -> int:
    """Write the files of a deployment."""
    from hardcover.errors import HardcoverError, ReleaseError
    from hardcover.project import cases
    from hardcover.release import publish
    from hardcover.serving import deployment
    from hardcover.store import disk

    cases.check(options.case)
    if options.replicas < 1 or options.workers < 1:
        raise HardcoverError(
            "an option is out of range", "--replicas or --workers", "Give at least one of each."
        )
    pointer = publish.current(options.case)
    if pointer is None:
        fix = f"Run: hardcover run {options.case}, which ends with a proven wheel."
        raise ReleaseError(f"no wheel of {options.case!r} is released", str(publish.folder()), fix)
    if options.to.exists() and (not options.to.is_dir() or any(options.to.iterdir())):
        raise HardcoverError(
            "there is something already", str(options.to), "Name a folder that is new, or empty."
        )
    # A tag of a container takes no plus sign.
    tag = pointer["wheel"].split("-")[1].replace("+", "-")
    image = f"{options.image or options.case.replace('_', '-')}:{tag}"
    asked = deployment.Deployment(options.case, pointer["wheel"], image, options.replicas, options.workers)
    options.to.mkdir(parents=True, exist_ok=True)
    for name, text in deployment.files(asked).items():
        disk.write_atomically(options.to / name, text.encode())
    disk.write_atomically(options.to / pointer["wheel"], Path(pointer["path"]).read_bytes())
    written = sorted(path.name for path in options.to.iterdir())
    said = "\n".join([*written, f"in {options.to}; next: podman build -t {image} {options.to}"])
    print(
        json.dumps({"folder": str(options.to), "image": image, "files": written}, indent=2)
        if options.json
        else said
    )
    return 0
