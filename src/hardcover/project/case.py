"""What a stage's notebook talks to: the catalog, the parameters, and the run of its own pipeline."""

import html
import logging
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from hardcover import settings

# Kedro reads these when it is first imported.
os.environ.update(settings.kedro_environment())

from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline

from hardcover.errors import UnknownName
from hardcover.incremental.runner import IncrementalRunner, up_to_date
from hardcover.notebooks import order, stale_modules
from hardcover.project import completion, session, shown
from hardcover.project.context import open_context
from hardcover.project.parameters import nested
from hardcover.project.pipelines import of_case
from hardcover.reporting import pages
from hardcover.store import run_lock, versions
from hardcover.store.catalog import VersionedCatalog
from hardcover.tracking import server

_current: dict[str, Pipeline] = {}


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipeline of the notebook that is running, for Kedro; the registry of ``Case.run``."""
    return _current


class Case:
    """One case's data and parameters, in one Kedro environment, from any working directory.

    Parameters
    ----------
    case
        The Kedro namespace, such as ``"fraud"``.
    env
        A folder of ``conf/``; default: ``KEDRO_ENV``, else ``local``.
    params
        Overrides of parameters for this case: ``{"training": {"rounds": 500}}`` or ``{"training.rounds": 500}``.

    Attributes
    ----------
    catalog
        Kedro's catalog, of all cases.

    Raises
    ------
    UnknownName
        When the case, the environment or a parameter does not exist.
    """

    def __init__(self, case: str, env: str | None = None, params: dict[str, Any] | None = None):
        self.case, self.env = case, settings.enter(env)
        self._overrides = {case: nested(params or {})} if params else {}
        # A notebook shows results; the progress of nodes is for operators.
        logging.getLogger("kedro").setLevel(logging.WARNING)
        context = open_context(env, self._overrides or None)
        self._parameters = context.params
        self.catalog = cast(VersionedCatalog, context.catalog)
        completion.offer(type(self))
        stale_modules.watch(settings.package_name())
        if case not in self._parameters:
            raise UnknownName(
                "case", case, [name for name, value in self._parameters.items() if isinstance(value, dict)]
            )

    def _session(self) -> Any:
        return KedroSession.create(
            project_path=settings.project_root(),
            save_on_close=False,
            env=self.env,
            runtime_params=self._overrides or None,
        )

    def load(self, name: str, version: str | None = None) -> Any:
        """Load a dataset of this case: the newest committed version, or the one with this name.

        Raises
        ------
        UnknownName
            When there is no such dataset; offers the closest.
        VersionError
            When there is no such committed version.
        """
        settings.enter(self.env)
        self._check(name)
        return self.catalog.load(f"{self.case}.{name}", version)

    def show(self, name: str, version: str | None = None) -> shown.Version:
        """Return a version to look at: rows, hash, where it came from, and its first rows.

        Raises
        ------
        UnknownName, VersionError
            As ``load``.
        """
        self._check(name)
        folder = self.folder(name)
        folder = folder if version is None else folder.with_name(version)
        # Pictures are saved to be looked at; Kedro cannot load them.
        is_picture = any(folder.rglob("*.png"))
        return shown.Version(None if is_picture else self.load(name, version), folder)

    def _check(self, name: str) -> None:
        if f"{self.case}.{name}" not in self.catalog:
            raise UnknownName("dataset", name, self.datasets(), f"case {self.case!r}")

    def datasets(self) -> dict[str, dict]:
        """Return this case's datasets by name, with the manifest of the newest version of each; empty where there is none."""
        settings.enter(self.env)
        patterns = [name.partition("}.")[2] for name in self.catalog.config_resolver.list_patterns()]
        found: dict[str, dict] = {name: {} for name in patterns if name and "{" not in name}
        for folder in versions.datasets(Path(settings.read("data.root"))):
            newest = versions.latest(folder)
            manifest = versions.manifest_of(folder / newest) if newest else {}
            case, _, name = manifest.get("dataset", "").rpartition(".")
            if case == self.case:
                found[name] = manifest
        return dict(sorted(found.items()))

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"case {self.case!r}, environment {self.env!r}",
                *(f"  {name:<24} {_described(manifest)}" for name, manifest in self.datasets().items()),
            ]
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters of this case, after all overrides."""
        return self._parameters[self.case]

    def parameter(self, name: str) -> Any:
        """Return a parameter of this case, such as ``"costs"``, after all overrides.

        Raises
        ------
        UnknownName
            When ``conf/`` has no such parameter.
        """
        values = self.parameters
        if name not in values:
            raise UnknownName(
                "parameter", f"{self.case}.{name}", [f"{self.case}.{other}" for other in values]
            )
        return values[name]

    def run(self, stages: Pipeline, force: bool = False) -> "StageRun":
        """Run a pipeline's functions as Kedro nodes on the catalog and commit what they give.

        Nodes whose results are there already are not run again, unless ``force`` is set. In JupyterLab, cells above that ran in another
        order than the notebook's are shown first.

        Raises
        ------
        HardcoverError
            Whatever a node refused; then nothing is kept.
        """
        settings.enter(self.env)
        order.warn()
        name = f"{self.case}.notebook"
        whole = of_case(stages, self.case)
        force = force or os.environ.get(session.FORCE) == "1"
        with run_lock.alone():
            if force or not self._reuse(name, whole):
                self._run(name, whole, force)
        outputs = sorted(output.removeprefix(f"{self.case}.") for output in whole.all_outputs())
        versioned = [name for name in outputs if self.catalog.folder_of(f"{self.case}.{name}") is not None]
        return StageRun(self, versioned)

    def _reuse(self, name: str, whole: Pipeline) -> bool:
        catalog = cast(VersionedCatalog, open_context(self.env, self._overrides or None).catalog)
        if not up_to_date(whole, catalog):
            return False
        run = os.environ.get("HARDCOVER_RUN_ID") or uuid.uuid4().hex
        session.record(
            run, *session.reused("notebook", self.env, [name], self._overrides or None, whole, catalog)
        )
        return True

    def _run(self, name: str, whole: Pipeline, force: bool) -> None:
        _current.clear()
        _current[name] = whole
        token = session.FACE.set("notebook")
        try:
            pipelines.configure(__name__)
            with self._session() as kedro_session:
                kedro_session.run(pipeline_names=[name], runner=IncrementalRunner(force=force))
        except KeyboardInterrupt:
            server.abandon()
            raise
        finally:
            session.FACE.reset(token)
            bootstrap_project(settings.project_root())

    def folder(self, name: str) -> Path:
        """Return the folder of a dataset's newest committed version."""
        return self.catalog.committed_folder(f"{self.case}.{name}")


def _described(manifest: dict) -> str:
    if not manifest:
        return "no version yet"
    made = datetime.strptime(manifest["version"], "%Y-%m-%dT%H.%M.%S.%fZ").replace(tzinfo=UTC)
    rows = f"{manifest['rows']:>8,} rows" if "rows" in manifest else f"{'':>13}"
    return f"{manifest['version']}  {rows}  {age_of(made)}"


def age_of(moment: datetime) -> str:
    """Return how long ago a moment was, in words.

    Examples
    --------
    >>> from datetime import timedelta
    >>> age_of(datetime.now(UTC) - timedelta(minutes=90))
    '1 hour ago'
    """
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


class StageRun:
    """What a run of a stage committed; in a notebook it shows the versions, and the pictures that ``show`` chose."""

    def __init__(self, case: Case, names: list[str]):
        self.versions = {name: case.folder(name) for name in names}
        self._shown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(f"{name}  {folder.name}" for name, folder in self.versions.items())

    def show(self, *names: str) -> "StageRun":
        """Choose the pictures that a notebook shows under this run's versions, such as ``"calibration_figure"``."""
        self._shown = names
        return self

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{folder.name}</td></tr>"
            for name, folder in self.versions.items()
        )
        paths = [path for name in self._shown for path in sorted(self.versions[name].rglob("*.png"))]
        images = "".join(
            f"<figure><img src='{pages.embedded(path)}' alt='{path.stem}'></figure>" for path in paths
        )
        table = f"<table><tr><th>dataset</th><th>committed version</th></tr>{rows}</table>"
        return f"{images}<details><summary>{len(self.versions)} committed versions</summary>{table}</details>"
