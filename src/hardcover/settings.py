"""The operator's settings: ``settings.ini`` at the project's root, each key overridable by a variable.

``HARDCOVER_<SECTION>_<KEY>`` wins over the file. Names that are not declared here are errors. Each Kedro environment besides
``local`` keeps its data, wheels and registry in a folder of its own, ``environments/<name>``: relative paths are taken from there.
"""

import configparser
import os
import sys
import tomllib
from functools import cache
from pathlib import Path

from hardcover.errors import HardcoverError, UnknownName

DEFAULTS = {
    "data.root": "data",
    "data.verify": "yes",
    "tracking.uri": "sqlite:///mlflow.db",
    "tracking.artifacts": "mlartifacts",
    # Empty: the project's package.
    "tracking.experiment": "",
    "release.dist": "dist",
    "run.cases": "all",
    "run.wait": "600",
    "run.prove": "yes",
    "prove.rows": "10000",
    "alerts.alertmanager": "",
    "alerts.mail_to": "",
    "alerts.mail_from": "hardcover@localhost",
    "alerts.smtp": "localhost:25",
}
PATHS = {"data.root", "tracking.artifacts", "release.dist"}
# Set for the kernels of one run by ``hardcover run``, or read by ``serving.asgi``; not settings.
RESERVED = {"HARDCOVER_SERVE", "HARDCOVER_PROJECT", "HARDCOVER_RUN_ID", "HARDCOVER_LOCK", "HARDCOVER_FORCE"}


HOME = "local"
_environment: str | None = None


def enter(environment: str | None) -> str:
    """Make a Kedro environment this process's own; None is the one of ``KEDRO_ENV``, else ``local``. Returns its name.

    Raises
    ------
    UnknownName
        When it is no folder of ``conf/``.
    """
    global _environment
    _environment = environment or os.environ.get("KEDRO_ENV") or HOME
    check_environment(_environment)
    return _environment


def home() -> Path:
    """Return the folder that this environment's relative paths start from."""
    name = _environment or os.environ.get("KEDRO_ENV") or HOME
    return project_root() if name == HOME else project_root() / "environments" / name


@cache
def project_root() -> Path:
    """Find the project: the nearest folder upwards whose pyproject.toml has ``[tool.kedro]``.

    ``HARDCOVER_PROJECT`` wins. Outside any project, the folder that holds the running virtual environment
    is tried, so that a notebook works whatever the working directory of its kernel.

    Raises
    ------
    HardcoverError
        When no project is found.
    """
    named = os.environ.get("HARDCOVER_PROJECT")
    starts = [Path(named)] if named else [Path.cwd(), *Path.cwd().parents, Path(sys.prefix).parent]
    for folder in starts:
        if _is_project(folder):
            return folder.resolve()
    raise HardcoverError(
        "no Hardcover project found",
        f"looked in {starts[0]} and above",
        "Change into the project's folder or set HARDCOVER_PROJECT to it.",
    )


def project_around(path: Path) -> Path | None:
    """Return the nearest folder above a file that is a project, with ``HARDCOVER_PROJECT`` aside; None where there is none."""
    return next((folder for folder in path.resolve().parents if _is_project(folder)), None)


def _is_project(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file() and "kedro" in _tools_of(folder)


def _tools_of(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})


def package_name() -> str:
    """Return the package that holds the project's cases, which ``[tool.kedro]`` of pyproject.toml names.

    Raises
    ------
    HardcoverError
        When it names none.
    """
    return _kedro_facts()["package_name"]


def package_of(project: Path) -> str:
    """Return the package of a project that need not be this process's own; empty where it names none."""
    return _tools_of(project)["kedro"].get("package_name", "")


def make_importable() -> None:
    """Let the project's package be imported, also where it is not installed."""
    source = str(project_root() / _kedro_facts().get("source_dir", "src"))
    if source not in sys.path:
        sys.path.insert(0, source)


@cache
def _kedro_facts() -> dict:
    file = project_root() / "pyproject.toml"
    facts = _tools_of(project_root())["kedro"]
    if not facts.get("package_name"):
        fix = 'Add package_name = "…" below [tool.kedro].'
        raise HardcoverError("the project names no package", str(file), fix)
    return facts


def check_environment(name: str | None) -> None:
    """Refuse a Kedro environment that is no folder of ``conf/``; None is Kedro's default.

    Raises
    ------
    UnknownName
        Names the closest environment that exists.
    """
    folder = project_root() / "conf"
    known = [path.name for path in folder.iterdir() if path.is_dir()]
    if name is not None and name not in known:
        raise UnknownName("environment", name, known, str(folder))


def read(key: str) -> str:
    """Return the value of ``section.key``; paths come back absolute.

    Relative ones of the file are taken from ``home()``, those of a variable from the project.

    Raises
    ------
    UnknownName
        When the key, or any key in the file or environment, is not a known setting.
    """
    values = all_values()
    if key not in values:
        raise UnknownName("setting", key, values)
    value, start = values[key], project_root() if _variable(key) in os.environ else home()
    if key == "tracking.experiment" and not value:
        return package_name()
    if key in PATHS and "://" not in value:
        return str((start / value).resolve())
    if value.startswith("sqlite:///") and not value.startswith("sqlite:////"):
        path = (start / value.removeprefix("sqlite:///")).resolve()
        # SQLite does not make folders.
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{path}"
    return value


def _variable(key: str) -> str:
    return f"HARDCOVER_{key.replace('.', '_').upper()}"


def kedro_environment() -> dict[str, str]:
    """Return the variables that Kedro reads when it is first imported: where its logging configuration is, and that usage is not reported.

    By itself Kedro looks for the file in the working directory, which may be a notebook's own. What is set already stays.
    """
    own = project_root() / "conf" / "logging.yml"
    default = Path(__file__).parent / "project" / "defaults" / "logging.yml"
    ours = {
        "KEDRO_LOGGING_CONFIG": str(own if own.is_file() else default),
        "KEDRO_DISABLE_TELEMETRY": "1",
    }
    return {name: os.environ.get(name, value) for name, value in ours.items()}


def from_project(path: str | Path) -> Path:
    """Return a path that a parameter names; a relative one is taken from the project, whatever the working directory."""
    return project_root() / path


def apart(folder: Path) -> dict[str, str]:
    """Return the environment of a process that keeps everything it makes in a folder of its own."""
    return {
        "HARDCOVER_DATA_ROOT": str(folder / "data"),
        "HARDCOVER_RELEASE_DIST": str(folder / "dist"),
        "HARDCOVER_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "HARDCOVER_TRACKING_ARTIFACTS": str(folder / "mlartifacts"),
    }


def all_values() -> dict[str, str]:
    """Return all settings as the file and the environment give them.

    Raises
    ------
    UnknownName
        As ``read`` does.
    """
    values = dict(DEFAULTS)
    file = project_root() / "settings.ini"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except configparser.Error as error:
        raise HardcoverError(
            f"cannot read settings: {error}", str(file), "Mend the line it names."
        ) from error
    found = {
        f"{section}.{key}": value for section in parser.sections() for key, value in parser[section].items()
    }
    for key in found:
        if key not in DEFAULTS:
            raise UnknownName("setting", key, DEFAULTS, str(file))
    values |= found
    by_variable = {_variable(key): key for key in DEFAULTS}
    for variable, value in os.environ.items():
        if variable in by_variable:
            values[by_variable[variable]] = value
        elif variable.startswith("HARDCOVER_") and variable not in RESERVED:
            raise UnknownName("setting", variable, by_variable, "environment")
    return values
