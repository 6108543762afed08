"""A project's configuration: the library's defaults, and what ``conf/`` says otherwise."""

import copy
import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import OmegaConf

from hardcover import tasks
from hardcover.errors import UnknownName
from hardcover.project import cases

FOLDER = Path(__file__).parent / "defaults"
EVERY_LEVEL = 99
_read_before: dict[tuple, dict[str, Any]] = {}


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, with the library's datasets, tracking and parameters under what the project's ``conf/`` declares.

    A dataset, pattern or section in ``conf/`` replaces the keys that it names: ``{"{case}.clean": {"filepath": ...}}`` moves
    one dataset, which otherwise stays as it was. A case's parameters get those that its task has.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind, such as ``catalog``.

        Raises
        ------
        UnknownName
            When a case names a task that does not exist.
        """
        if key in self or key not in ("catalog", "mlflow", "parameters"):
            return super().__getitem__(key)
        if key == "parameters":
            given, names = self._parameters(), cases.names()
            return {
                name: _of_case(name, value) if name in names and isinstance(value, dict) else value
                for name, value in given.items()
            }
        try:
            given = super().__getitem__(key)
        except MissingConfigException:
            given = {}
        # Interpolations depend on the environment, so they are resolved each time.
        defaults = OmegaConf.to_container(_defaults(key), resolve=True)
        return _merged(defaults, given, 1 if key == "catalog" else EVERY_LEVEL)

    def _parameters(self) -> dict[str, Any]:
        """Return what ``conf/`` says of parameters, read again only after a file, an override or the environment has changed.

        A run asks four times, and parsing takes a quarter of a second each time.
        """
        files = sorted(path for path in Path(self.conf_source).rglob("*") if path.is_file())
        stamps = tuple((str(path), (facts := path.stat()).st_mtime_ns, facts.st_size) for path in files)
        # MLflow tells its children by variables which run is open.
        variables = tuple((name, os.environ.get(name)) for name in sorted(os.environ) if "MLFLOW" not in name)
        state = (self.env, repr(self.runtime_params), repr(self.data), stamps, variables)
        if state not in _read_before:
            if len(_read_before) > 16:
                _read_before.clear()
            try:
                _read_before[state] = super().__getitem__("parameters")
            except MissingConfigException:
                _read_before[state] = {}
        return copy.deepcopy(_read_before[state])


@cache
def _defaults(key: str) -> Any:
    return OmegaConf.load(FOLDER / f"{key}.yml")


def _of_case(case: str, given: dict) -> dict:
    """Return a case's parameters, with its name, the module of its features, and the defaults of its task."""
    task = given.get("task", _read("parameters")["task"])
    if task not in tasks.NAMES:
        raise UnknownName("task", str(task), tasks.NAMES, f"parameter {case}.task")
    derived = {"name": case, "training": _read("training")[task]}
    features = [stage.module for stage in cases.stages(case) if stage.name == "features"]
    if features:
        derived["features_module"] = features[0]
    return _merged(_merged(_read("parameters"), derived, EVERY_LEVEL), given, EVERY_LEVEL)


@cache
def _read(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


def _merged(below: dict, above: dict, depth: int) -> dict:
    found = {**below, **above}
    for name in below.keys() & above.keys():
        if depth and isinstance(below[name], dict) and isinstance(above[name], dict):
            found[name] = _merged(below[name], above[name], depth - 1)
    return found
