"""The library as its wheel installs it."""

import os
import subprocess
import zipfile

import pytest

from tests.conftest import BIN, ROOT


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Return a folder with the library as its wheel installs it."""
    folder = tmp_path_factory.mktemp("library")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [BIN / "python", "-c", code, folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def command_of(library, where, *command):
    """Run a command of an installed library in a folder."""
    code = "import sys; from hardcover.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(library), "PATH": f"{BIN}:{os.environ['PATH']}"}
    whole = [BIN / "python", "-c", code, *map(str, command)]
    return subprocess.run(whole, cwd=where, env=environment, capture_output=True, text=True, check=False)
