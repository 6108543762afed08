"""What is asked of a run, and what that means for one case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardcover.errors import HardcoverError, UnknownName
from hardcover.project import cases
from hardcover.project.parameters import nested
from hardcover.reporting.progress import Reporter, silent

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline


@dataclass(frozen=True)
class Request:
    """A run as it is asked for.

    Attributes
    ----------
    cases, stages
        Names; no case: those of settings.ini, no stage: all.
    face
        ``notebook`` or ``pipeline``.
    data
        Raw files for the (one) case; empty: what ``conf/`` names.
    env
        A folder of ``conf/``; None: Kedro's default.
    params
        Overrides by dotted name, for example ``{"fraud.training.rounds": 500}``.
    force
        Whether to run every node, changed or not.
    prove
        Whether to compare the faces at the end, unless nothing ran since they were; not with ``stages``.
    export
        Whether to export the notebooks first. Without, a notebook that defines other things than its module is refused.
    """

    cases: Sequence[str] = ()
    stages: Sequence[str] = ()
    face: str = "notebook"
    data: Sequence[str] = ()
    env: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    prove: bool = False
    export: bool = False

    def plans(self, say: Reporter = silent) -> "list[Plan]":
        """Return what this means for each case.

        Raises
        ------
        UnknownName
            When a case, a stage or a parameter's case does not exist.
        HardcoverError
            When raw files are given for several cases.
        """
        names = cases.chosen(self.cases)
        if self.data and len(names) > 1:
            raise HardcoverError("--data goes with one case", f"cases: {', '.join(names)}", "Name the case.")
        for name in names:
            offered = [stage.name for stage in cases.stages(name)]
            for stage in self.stages:
                if stage not in offered:
                    raise UnknownName("stage", stage, offered, f"case {name!r}")
        return [
            Plan(name, list(self.stages), self.env, self._params_of(name, names), self.force, say)
            for name in names
        ]

    def _params_of(self, case: str, names: list[str]) -> dict[str, Any]:
        mine = {}
        for name, value in self.params.items():
            first, _, rest = name.partition(".")
            if first not in names:
                raise UnknownName("parameter", name, [f"{other}.…" for other in names])
            if first == case:
                mine[rest] = value
        if self.data:
            # The kernels of notebooks have other working directories.
            mine["files"] = [str(Path(path).resolve()) for path in self.data]
        return mine


class Plan(NamedTuple):
    """What one case is asked to run: its wanted stages (empty: all), environment and overrides of parameters."""

    case: str
    stages: list[str]
    env: str | None
    params: dict[str, Any]
    force: bool
    say: Reporter

    @property
    def overrides(self) -> dict | None:
        """Return the overrides as Kedro takes them, below the case's name."""
        return {self.case: nested(self.params)} if self.params else None

    def pipelines(self) -> "dict[cases.Stage, Pipeline]":
        """Return the wanted stages with their pipelines, in the order of their datasets."""
        self.say("reading the stages", transient=True)
        # Kedro takes long to import, and what is wrong with a request can be told without.
        from hardcover.project import (
            context,  # noqa: F401  (readies Kedro for this project)
            pipelines,
        )

        found = {stage.name: stage for stage in cases.stages(self.case)}
        parts = {name: pipelines.of_stage(stage, self.case) for name, stage in found.items()}
        wanted = [name for name in pipelines.in_order(parts) if not self.stages or name in self.stages]
        return {found[name]: parts[name] for name in wanted}
