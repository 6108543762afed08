"""Kedro's own commands and its viewer work on the project."""

import json
import os
import subprocess
import sysconfig

import pytest

from tests.conftest import BIN, ROOT, Place

LAYERS = ["raw", "intermediate", "primary", "feature", "models", "model_output", "reporting", "release"]
COMMANDS = {
    "info": (),
    "catalog describe-datasets": ("maintenance.clean",),
    "catalog list-patterns": ("{case}.clean",),
    "catalog resolve-patterns": ("maintenance.clean",),
    "registry list": ("maintenance.train",),
    "registry describe maintenance": ("maintenance.assign_split",),
    "run --pipelines maintenance.data --env ci": (),
    "run --pipelines maintenance.data --env ci --runner ThreadRunner": (),
    "run --pipelines maintenance.data --env ci --runner hardcover.IncrementalRunner": (),
    "run --pipelines maintenance --tags data --env ci": (),
    "mlflow --help": (),
    "server --help": (),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("kedro"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_kedro_command_that_a_project_offers_works(shared, command):
    done = shared.call("kedro", *command.split())

    assert "Traceback" not in done.stderr
    for part in COMMANDS[command]:
        assert part in done.stdout


def test_kedro_ipython_offers_the_catalog_with_its_versions(shared):
    shared.call("kedro", *["run", "--pipelines", "maintenance.data", "--env", "ci"])
    command = (
        "kedro",
        "ipython",
        "--env",
        "ci",
        "--",
        "-c",
        "print(len(catalog.load('maintenance.clean')), 'rows')",
    )
    done = shared.call(*command, env={"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"})

    assert int(done.stdout.splitlines()[-1].split()[0]) > 3000


def test_kedro_package_makes_a_wheel_and_its_configuration(checkout, place):
    checkout.call(place, "kedro", "package")

    made = sorted(path.name for path in (checkout.folder / "dist").iterdir())
    assert made[0] == "conf-casebook.tar.gz"
    assert made[1].endswith(".whl")


def test_kedro_viz_in_an_environment_of_its_own_draws_the_project_with_its_layers(place):
    program = (
        "import json, pathlib\n"
        "from kedro_viz.server import load_and_populate_data\n"
        "from kedro_viz.api.rest.responses.pipelines import get_pipeline_response\n"
        "load_and_populate_data(pathlib.Path.cwd(), env='ci')\n"
        "print(json.dumps(get_pipeline_response().model_dump()))"
    )
    command = [viewer(), "-W", "ignore", "-c", program]
    environment = {**os.environ, **place.environment, "KEDRO_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    graph = json.loads(done.stdout.splitlines()[-1])
    by_name = {node["name"]: node for node in graph["nodes"] if node["type"] == "data"}
    assert graph["layers"] == LAYERS
    assert by_name["maintenance.clean"]["layer"] == "primary"
    assert {node["name"] for node in graph["nodes"]} >= {"fit", "build", "assign_split"}


def viewer() -> str:
    """Install kedro-viz, locked, beside the project's packages, which it sees; gives its Python."""
    from uv import find_uv_bin

    folder, lock = ROOT / ".tools" / "viz", ROOT / "requirements" / "viz.txt"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.is_file() or ready.stat().st_mtime < lock.stat().st_mtime:
        uv = find_uv_bin()
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", BIN / "python", folder], check=True)
        sync = [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--compile-bytecode",
            "--require-hashes",
            "--python",
            python,
            lock,
        ]
        subprocess.run(sync, check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "project.pth").write_text(sysconfig.get_path("purelib"))
        ready.touch()
    return str(python)
