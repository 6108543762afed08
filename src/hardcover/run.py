"""The main job: a case's stages in order, through their notebooks or as one Kedro pipeline."""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardcover import cases, lock, settings, versions
from hardcover.errors import HardcoverError, Stopped, UnknownName

PACKAGE = "casebook"
REPORTS = (
    ("01_raw", "source.json"),
    ("08_reporting", "data_report.json"),
    ("08_reporting", "metrics.json"),
    ("08_reporting", "registration_report.json"),
    ("08_reporting", "release_report.json"),
)


def run(
    names: list[str],
    stages: list[str],
    face: str,
    data: list[str],
    env: str | None,
    params: dict[str, Any],
    say: Any = print,
) -> list[dict]:
    """Run cases and give a summary of each.

    Parameters
    ----------
    names
        Cases; empty: all.
    stages
        Stages to run; empty: all.
    face
        ``notebook`` or ``pipeline``.
    data
        Raw files for the (one) case; empty: what ``conf/`` says, by default the simulator.
    env
        A folder of ``conf/``.
    params
        Overrides by dotted name, for example ``{"maintenance.simulator.rows": 500}``.
    say
        Called with lines of progress.

    Raises
    ------
    HardcoverError
        Any of the errors of ``errors.py``; no version of the failed stage is kept.
    """
    known = cases.names()
    for name in names:
        if name not in known:
            raise UnknownName("case", name, known)
    names = names or known
    if data and len(names) > 1:
        raise HardcoverError("--data goes with one case", f"cases: {', '.join(names)}", "Name the case.")
    settings.check_environment(env)
    by_case = {name: _params_of(name, params, data, names) for name in names}
    for name in names:
        offered = [stage.name for stage in cases.stages(name, PACKAGE)]
        for stage in stages:
            if stage not in offered:
                raise UnknownName("stage", stage, offered, f"case {name!r}")
    with lock.alone():
        runner = _through_notebooks if face == "notebook" else _as_pipeline
        return [runner(name, stages, env, by_case[name], say) for name in names]


def _params_of(case: str, params: dict[str, Any], data: list[str], names: list[str]) -> dict[str, Any]:
    mine = {}
    for name, value in params.items():
        first, _, rest = name.partition(".")
        if first not in names:
            raise UnknownName("parameter", name, [f"{other}.…" for other in names])
        if first == case:
            mine[rest] = value
    if data:
        # The kernels of notebooks have other working directories.
        mine["files"] = [str(Path(path).resolve()) for path in data]
    return mine


def _order(case: str, wanted: list[str], say: Any) -> list[cases.StageSource]:
    say("reading the stages")
    from hardcover import stage  # noqa: F401  (readies Kedro for this project)

    found = {part.name: part for part in cases.stages(case, PACKAGE)}
    _importable()
    order = cases.in_order({name: cases.stage_pipeline(part, case) for name, part in found.items()})
    return [found[name] for name in order if not wanted or name in wanted]


def _importable() -> None:
    source = str(settings.project_root() / "src")
    if source not in sys.path:
        sys.path.insert(0, source)


def _through_notebooks(
    case: str, wanted: list[str], env: str | None, params: dict[str, Any], say: Any
) -> dict:
    from hardcover import kernels

    begin = time.monotonic()
    with kernels.warm(), ThreadPoolExecutor(1) as background:
        run_id = _execute_notebooks(case, wanted, env, params, say, background)
    return summary(case, run_id, time.monotonic() - begin)


def _execute_notebooks(
    case: str,
    wanted: list[str],
    env: str | None,
    params: dict[str, Any],
    say: Any,
    background: ThreadPoolExecutor,
) -> str:
    from hardcover import notebooks, tracking

    order = _order(case, wanted, say)
    with lock.hold("tracking"):
        client, experiment = tracking.client()
    started = datetime.now(UTC)
    opened = client.create_run(
        experiment, run_name=f"{case} notebooks", tags={"case": case, "face": "notebook"}
    )
    run_id, status = opened.info.run_id, "FAILED"
    reports = (
        Path(settings.read("data.root")) / "08_reporting" / case / f"{started:%Y-%m-%dT%H.%M.%S}-{run_id[:8]}"
    )
    given = {"case": case, "env": env, "params": params}
    written: list[Future] = []
    try:
        with _environment(HARDCOVER_RUN_ID=run_id, **{lock.INHERITED: "run"}):
            for number, stage in enumerate(order, start=1):
                title = f"[{number}/{len(order)}] {stage.name}"
                copy = reports / stage.notebook.name
                try:
                    notebooks.execute(stage.notebook, copy, given, stage.name, _progress(title, say))
                finally:
                    written.append(background.submit(_report, client, run_id, copy))
                say(f"{title}: done, {copy.with_suffix('.html')}")
            say("writing the last report", transient=True)
            for report in written:
                report.result()
        status = "FINISHED"
    except KeyboardInterrupt as error:
        status = "KILLED"
        raise Stopped(f"case {case!r}, stage {stage.name!r}") from error
    finally:
        # The report of the stage that failed is written, too.
        wait(written)
        client.set_terminated(run_id, status)
        versions.sweep(Path(settings.read("data.root")))
    return run_id


def _report(client: Any, run_id: str, copy: Path) -> None:
    from hardcover import notebooks

    if copy.exists():
        client.log_artifact(run_id, str(copy), "reports")
        client.log_artifact(run_id, str(notebooks.to_html(copy)), "reports")


def _progress(title: str, say: Any):
    def show(done: int, total: int, seconds: float) -> None:
        say(f"{title}: cell {done}/{total}, {seconds:.0f} s", transient=True)

    return show


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _as_pipeline(case: str, wanted: list[str], env: str | None, params: dict[str, Any], say: Any) -> dict:
    from hardcover import hooks, stage, tracking

    begin = time.monotonic()
    say("starting Kedro")
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(settings.project_root())
    overrides = {case: stage.nested(params)} if params else None
    names = [f"{case}.{name}" for name in wanted] or [case]
    with KedroSession.create(
        settings.project_root(), env=env, runtime_params=overrides, save_on_close=False
    ) as session:
        try:
            session.run(pipeline_names=names)
        except KeyboardInterrupt as error:
            tracking.abandon()
            raise Stopped(f"case {case!r}, pipeline {', '.join(names)}") from error
    return summary(case, hooks.last_run(), time.monotonic() - begin)


def summary(case: str, run_id: str | None, seconds: float) -> dict:
    """Collect what a run made: the reports among the newest committed versions that name it in their manifest."""
    root = Path(settings.read("data.root"))
    facts: dict[str, Any] = {"case": case, "run": run_id}
    found: dict[str, str] = {}
    for layer, name in REPORTS:
        folder = root / layer / case / name
        for version in versions.committed(folder)[:1]:
            if versions.manifest_of(folder / version)["run"] == run_id:
                stem = name.partition(".")[0]
                found[stem] = version
                facts[stem] = json.loads((folder / version / name).read_text(encoding="utf-8"))
    return {**facts, "versions": found, "seconds": round(seconds, 1)}
