"""What tests share: the project's root, a place of its own for each run, and finished runs to look at."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from hardcover.store import disk, versions
from tests.forked import Forks

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

settings.register_profile("default", max_examples=60, deadline=None, derandomize=True)
settings.register_profile(
    "soak", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# Options of a run whose model need not be good.
FEW = ("--param", "maintenance.training.rounds=40", "--param", "maintenance.evaluation.bootstrap=20")
# One that the schema of the main case allows.
RECORD = {
    "quality": "M",
    "air_temperature": 298.1,
    "process_temperature": 308.6,
    "rotational_speed": 1551,
    "torque": 42.8,
    "tool_wear": 0,
}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; .ci/run installs it")
FORKS = Forks()
BASE: list[pytest.TempPathFactory] = []


@pytest.fixture(scope="session", autouse=True)
def _session(tmp_path_factory):
    BASE.append(tmp_path_factory)
    yield
    FORKS.end()


def _make_tables(folder: Path) -> None:
    code = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{folder}/mlflow.db"], check=True, capture_output=True
    )


class Place(NamedTuple):
    """Folders and servers of one run, so that no test touches the checkout's own."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def dist(self) -> Path:
        return self.folder / "dist"

    @property
    def tracking(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HARDCOVER_PROJECT": str(ROOT),
            "HARDCOVER_DATA_ROOT": str(self.data),
            "HARDCOVER_RELEASE_DIST": str(self.dist),
            "HARDCOVER_TRACKING_URI": self.tracking,
            "HARDCOVER_TRACKING_ARTIFACTS": str(self.folder / "mlartifacts"),
            # Tests that are about the proof say so.
            "HARDCOVER_RUN_PROVE": "no",
            "HARDCOVER_PROVE_ROWS": "1000",
            # Nothing here asks for jobs, for which its server starts ten processes that import all of MLflow.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }

    def call(
        self, *command: str, check: bool = True, fresh: bool = False, **options
    ) -> subprocess.CompletedProcess:
        """Run a command of the project's environment in this place; ``fresh`` from nothing, else as tests/forked.py has it."""
        program = [str(BIN / command[0]), *map(str, command[1:])]
        environment = {**os.environ, **self.environment, **options.pop("env", {})}
        options = {"cwd": ROOT, "timeout": 600, **options}
        if fresh or command[0] not in {"hardcover", "kedro"}:
            options |= {"capture_output": True, "text": True}
            done = subprocess.run(program, env=environment, check=False, **options)
        else:
            self.have_tables()
            done = FORKS.run(program, environment, **options)
        assert not check or done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done

    def have_tables(self) -> None:
        """Begin with a tracking store whose tables are made: MLflow migrates a fresh one through its whole history, in seconds."""
        if not (self.folder / "mlflow.db").exists() and self.folder.exists():
            made, _ = once(BASE[0], "tables", _make_tables)
            shutil.copy(made / "mlflow.db", self.folder)

    def start(self, *command: str, **options) -> subprocess.Popen:
        """Start a command of the project's environment in this place."""
        self.have_tables()
        program = [str(BIN / command[0]), *map(str, command[1:])]
        environment = {**os.environ, **self.environment, **options.pop("env", {})}
        options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(program, env=environment, **options)

    def versions(self) -> list[Path]:
        """List the folders of all versions, committed or not."""
        return sorted(
            path for path in self.data.glob("*/maintenance/*/*") if versions.NAME.fullmatch(path.name)
        )

    def newest(self, layer: str, name: str) -> Path:
        """Return the file of a dataset's newest committed version."""
        manifest = max((self.data / layer / "maintenance" / name).glob("*/manifest.json"))
        return manifest.parent / name

    def read(self, layer: str, name: str) -> dict:
        """Read a JSON dataset's newest committed version."""
        return json.loads(self.newest(layer, name).read_text())


class Checkout(NamedTuple):
    """A copy of the project to edit, under git."""

    folder: Path

    def call(self, place: Place, *command: str, **options) -> subprocess.CompletedProcess:
        """Run a command of this copy in a place."""
        mine = {"HARDCOVER_PROJECT": str(self.folder), "PYTHONPATH": str(self.folder / "src")}
        return place.call(*command, cwd=self.folder, env={**mine, **options.pop("env", {})}, **options)

    def git(self, *arguments: str) -> str:
        """Run git; gives what it printed."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def edit(self, file: str, old: str, new: str, exported: bool = True) -> None:
        """Change a notebook and, if ``exported``, the module that it exports; or any other file."""
        modules = {
            "notebooks/model/04_explain.ipynb": "src/casebook/model/explain.py",
            "notebooks/maintenance/02_features.ipynb": "src/casebook/maintenance/features.py",
        }
        for name in filter(None, (file, modules.get(file) if exported else None)):
            text = (self.folder / name).read_text()
            assert text.count(old) == 1, name
            made = new.replace("\n", '\\n",\n    "') if name.endswith(".ipynb") else new
            (self.folder / name).write_text(text.replace(old, made))


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return copy_of_checkout(tmp_path / "checkout")


def copy_of_checkout(folder: Path) -> Checkout:
    """Copy what git has, or would add, into a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    copy = Checkout(folder)
    copy.git("init", "--quiet")
    copy.git("add", "--all")
    copy.git("commit", "--quiet", "--message", "first")
    return copy


def environment(name: str) -> Path:
    """Install what ``requirements/NAME.txt`` locks into ``.tools/NAME``; returns the folder of its programs."""
    uv, folder = ROOT / ".tools" / "bin" / "uv", ROOT / ".tools" / name
    programs, locked = folder / "bin", ROOT / "requirements" / f"{name}.txt"
    made = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder]
    subprocess.run(made, check=True)
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", programs / "python", locked]
    subprocess.run(sync, check=True)
    return programs


class Run(NamedTuple):
    """A finished run: where it left things, and what it said as JSON."""

    place: Place
    said: Any


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def here(place, monkeypatch) -> Place:
    """Run what this process calls in a place of its own."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    # Kedro's log handler keeps the stream of the first test that ran, which is closed by now.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    place.have_tables()
    return place


def once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> tuple[Path, object]:
    """Make a folder once for all processes that run tests; returns it, and what making it returned, through JSON."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, said = root / name, root / f"{name}.json"
    with disk.locked(root / f"{name}.lock"):
        if not said.exists():
            folder.mkdir()
            said.write_text(json.dumps(make(folder)))
    return folder, json.loads(said.read_text())


def free_port() -> int:
    """Return a port that no server listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def eventually(ask, seconds: float = 60, every: float = 0.5):
    """Ask until the answer is true, and return it; an OSError means not yet. Fails, or raises it, after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := ask():
                return found
        except OSError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() <= deadline, f"not within {seconds} seconds"
        time.sleep(every)


@pytest.fixture(scope="session")
def notebook_run(tmp_path_factory) -> Run:
    """The main job through its notebooks, small and fast, once for all tests that look at it."""

    def make(folder: Path) -> dict:
        done = Place(folder).call(
            *("hardcover", "run", "--env", "ci", "--json"),
            env={"HARDCOVER_RUN_PROVE": "yes", "HARDCOVER_PROVE_ROWS": "10000"},
            fresh=True,
        )
        return json.loads(done.stdout)[0]

    folder, said = once(tmp_path_factory, "notebooks", make)
    return Run(Place(folder), said)


@pytest.fixture(scope="session")
def kedro_run(tmp_path_factory) -> Place:
    """The same by `kedro run`, in a fresh data folder."""

    def make(folder: Path) -> None:
        Place(folder).call("kedro", "run", "--pipeline", "maintenance", "--env", "ci", fresh=True)

    return Place(once(tmp_path_factory, "kedro", make)[0])


@pytest.fixture(scope="session")
def pipeline_run(tmp_path_factory) -> Place:
    """A case whose wheel was built and not proven, once for all tests that take a copy of it."""

    def make(folder: Path) -> None:
        Place(folder).call("hardcover", "run", "--pipeline", "--env", "ci")

    return Place(once(tmp_path_factory, "pipeline", make)[0])


@pytest.fixture(scope="session")
def windows_run(tmp_path_factory) -> Run:
    """The cases whose features look at the past, proven, once for all tests that look at them."""

    def make(folder: Path) -> list:
        command = (
            "hardcover",
            "run",
            "alerts",
            "fraud",
            "recommendation",
            "--env",
            "ci",
            "--pipeline",
            "--json",
        )
        return json.loads(Place(folder).call(*command, env={"HARDCOVER_RUN_PROVE": "yes"}).stdout)

    folder, said = once(tmp_path_factory, "windows", make)
    return Run(Place(folder), said)


@pytest.fixture(scope="session")
def failure_mode_run(tmp_path_factory) -> Run:
    """The multiclass variant of the main case, once for all tests that look at it."""

    def make(folder: Path) -> dict:
        command = ("hardcover", "run", "failure_mode", "--env", "ci", "--pipeline", "--json")
        return json.loads(Place(folder).call(*command).stdout)[0]

    folder, said = once(tmp_path_factory, "failure_mode", make)
    return Run(Place(folder), said)


@pytest.fixture
def unproven(pipeline_run, tmp_path) -> Place:
    """A copy of ``pipeline_run`` to change."""
    shutil.copytree(pipeline_run.folder, tmp_path / "place")
    return Place(tmp_path / "place")


@pytest.fixture(scope="session")
def ai4i_csv(tmp_path_factory) -> Path:
    """A file in the shape of AI4I 2020: the simulator's rows under its columns' names, no machine and no clock."""
    from casebook.maintenance import data, simulator
    from hardcover import ingest
    from hardcover.ingest import column_mapping

    parameters = _parameters()
    mapping = parameters["column_mapping"]
    few = {**parameters["simulator"], "rows": 4000, "machines": 40, "missing": 0.0, "corrupt": 0.0}
    raw, files = simulator.simulate(few, mapping)
    rows = ingest.unify_files(raw, {"files": files}, mapping, {}, table=ingest.as_data(data.SCHEMA))
    ai4i = column_mapping.present(mapping["ai4i"], {"columns": _columns(mapping["ai4i"])})
    names = dict(zip(ai4i, _columns(ai4i), strict=True))
    table = (
        rows[list(names)]
        .round({"air_temperature": 1, "process_temperature": 1, "torque": 1})
        .rename(columns=names)
    )
    table["UDI"] = range(1, len(table) + 1)
    path = tmp_path_factory.mktemp("raw") / "ai4i.csv"
    table.to_csv(path, index=False)
    return path


def _columns(mapping: dict) -> list[str]:
    return [rule if isinstance(rule, str) else rule["column"] for rule in mapping.values()]


def _parameters() -> dict:
    import yaml

    return yaml.safe_load((ROOT / "conf" / "base" / "parameters_maintenance.yml").read_text())["maintenance"]


@pytest.fixture(scope="session")
def parameters() -> dict:
    """The case's parameters in conf/base."""
    return _parameters()
