"""The main job: a case's stages in order, through their notebooks or as one Kedro pipeline."""

import gc
import os
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hardcover import cases, drafts, exported, lock, settings, summary
from hardcover.errors import HardcoverError, Stopped, UnknownName

PACKAGE = "casebook"
# Notebooks that run at the same time, where none needs what another makes.
AT_ONCE = 2


def run(
    names: list[str],
    stages: list[str],
    face: str,
    data: list[str],
    env: str | None,
    params: dict[str, Any],
    force: bool = False,
    prove: bool = False,
    export: bool = False,
    say: Any = print,
) -> list[dict]:
    """Run cases, only what changed in them, and return a summary of each.

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
    force
        Whether to run every node, changed or not.
    prove
        Whether to compare the faces at the end, unless nothing ran since they were; not with ``stages``.
    export
        Whether to export the notebooks first. Without, a notebook that defines other things than its module is refused.
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
    settings.enter(env)
    os.environ.update(settings.kedro_environment())
    by_case = {name: _params_of(name, params, data, names) for name in names}
    for name in names:
        offered = [stage.name for stage in cases.stages(name, PACKAGE)]
        for stage in stages:
            if stage not in offered:
                raise UnknownName("stage", stage, offered, f"case {name!r}")
    if export:
        say("exporting the notebooks", transient=True)
        exported.export()
    importable()
    exported.check(names, PACKAGE)
    through, results = _through_notebooks if face == "notebook" else _as_pipeline, []
    # Imports make many objects that stay. Looking for garbage among them is a seventh of a run that reuses everything.
    gc.disable()
    with lock.alone():
        for name in names:
            begin = time.monotonic()
            run_id = through(name, stages, env, by_case[name], force, say)
            facts = summary.collect(name, run_id)
            if prove and not stages:
                facts["proof"] = _prove(name, env, facts["nodes"], say)
            facts["seconds"] = round(time.monotonic() - begin, 1)
            results.append({**facts, "page": str(_front_page(facts))})
    return results


def _front_page(facts: dict) -> Path | None:
    """Write the run's front page; a run that made nothing has that of the run whose results it reused."""
    from hardcover import front_page

    known = front_page.of_results(facts["case"], facts["run"])
    reused = all(node["state"] == "reused" for node in facts["nodes"].values())
    if known and reused and not facts.get("proof", {}).get("fresh"):
        return known
    return front_page.write(facts)


def _prove(case: str, env: str | None, nodes: dict[str, dict], say: Any) -> dict:
    from hardcover import prove

    if all(node["state"] == "reused" for node in nodes.values()) and (found := prove.proven(case)):
        return found
    say("comparing the faces", transient=True)
    return {**prove.prove(case, PACKAGE, env, say=say), "fresh": True}


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


def _parts(case: str, wanted: list[str], say: Any) -> dict[cases.StageSource, Any]:
    """Give the wanted stages with their pipelines, in the order of their datasets."""
    say("reading the stages", transient=True)
    from hardcover import stage  # noqa: F401  (readies Kedro for this project)

    found = {part.name: part for part in cases.stages(case, PACKAGE)}
    pipelines = {name: cases.stage_pipeline(part, case) for name, part in found.items()}
    return {
        found[name]: pipelines[name] for name in cases.in_order(pipelines) if not wanted or name in wanted
    }


def importable() -> None:
    """Let the project's package be imported, also where it is not installed."""
    source = str(settings.project_root() / "src")
    if source not in sys.path:
        sys.path.insert(0, source)


def _through_notebooks(
    case: str, wanted: list[str], env: str | None, params: dict[str, Any], force: bool, say: Any
) -> str:
    from hardcover import kernels, provenance, runner, stage

    book, running = _Book(case, env, params, force, say), {}
    try:
        # Left in the other order: without kernels, whoever waits for one ends at once.
        with ThreadPoolExecutor(AT_ONCE) as pool, ExitStack() as stack:
            if force or not provenance.runs():
                # Everything will be executed: let the kernels' imports go on beside ours.
                stack.enter_context(kernels.warm())
            parts = _parts(case, wanted, say)
            waiting = {source: cases.needs(parts, source) for source in parts}
            titles = {source: f"[{n}/{len(parts)}] {source.name}" for n, source in enumerate(parts, start=1)}
            while waiting or running:
                unfinished = {*waiting, *running.values()}
                for source in [source for source, needs in waiting.items() if not needs & unfinished]:
                    del waiting[source]
                    catalog = stage.open_context(env, _overrides(case, params)).catalog
                    if not force and runner.up_to_date(parts[source], catalog):
                        book.reuse(source.name, parts[source], catalog)
                        say(f"{titles[source]}: nothing changed, reused")
                        continue
                    gc.enable()
                    if kernels.is_cold():
                        stack.enter_context(kernels.warm())
                    if not book.is_open:
                        stack.enter_context(book)
                    running[pool.submit(book.execute, source, titles[source])] = source
                for done in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    source = running.pop(done)
                    say(f"{titles[source]}: done, {done.result().with_suffix('.html')}")
    except KeyboardInterrupt as error:
        names = " and ".join(repr(source.name) for source in running.values())
        raise Stopped(f"case {case!r}, stage {names}" if names else f"case {case!r}") from error
    return book.finish()


class _Book:
    """One run through notebooks: its MLflow run, opened when the first notebook is executed, and its reports."""

    def __init__(self, case: str, env: str | None, params: dict[str, Any], force: bool, say: Any):
        self.case, self.env, self.params, self.force, self.say = case, env, params, force, say
        self.run, self.is_open = uuid.uuid4().hex, False
        self._reused: list[tuple] = []

    def __enter__(self) -> "_Book":
        from hardcover import front_page, tracking
        from hardcover.stage import FORCE

        with lock.hold("tracking"):
            self._client, experiment = tracking.client()
        tags = {"case": self.case, "face": "notebook", "mlflow.source.name": "hardcover run"}
        self.run = self._client.create_run(
            experiment, run_name=f"{self.case} notebook", tags=tags
        ).info.run_id
        self._reports = front_page.folder_of(self.case, self.run)
        self._background, self._written = ThreadPoolExecutor(1), []
        self._surroundings = _environment(
            HARDCOVER_RUN_ID=self.run, **{lock.INHERITED: "run"}, **({FORCE: "1"} if self.force else {})
        )
        self._surroundings.__enter__()
        self.is_open = True
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        self._surroundings.__exit__(None, None, None)
        # The report of the stage that failed is written, too.
        self.say("writing the last report", transient=True)
        wait(self._written)
        self._background.shutdown()
        status = "FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED"
        self._client.set_terminated(self.run, status)
        if kind is not None:
            self._client.update_run(self.run, name=f"{self.case} notebook {status.lower()}")
        drafts.clean(Path(settings.read("data.root")))
        if kind is None:
            for report in self._written:
                report.result()

    def reuse(self, name: str, part: Any, catalog: Any) -> None:
        """Note a stage whose results are all there."""
        from hardcover import hooks, provenance

        session = hooks.session_facts(
            "notebook", self.env, [f"{self.case}.{name}"], _overrides(self.case, self.params)
        )
        self._reused.append((session, part, catalog, catalog.commit(provenance.no_origin)))

    def execute(self, source: cases.StageSource, title: str) -> Path:
        """Execute one notebook; gives its executed copy."""
        from hardcover import notebooks

        copy = self._reports / source.notebook.name
        given = {"case": self.case, "env": self.env, "params": self.params}
        try:
            notebooks.execute(source.notebook, copy, given, source.name, _progress(title, self.say))
        finally:
            self._written.append(self._background.submit(_report, self._client, self.run, copy))
        return copy

    def finish(self) -> str:
        """Put the reused stages on record; gives the run's id."""
        from hardcover import hooks

        for facts in self._reused:
            hooks.record_session(self.run, *facts)
        return self.run


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


def _as_pipeline(
    case: str, wanted: list[str], env: str | None, params: dict[str, Any], force: bool, say: Any
) -> str:
    from kedro.framework.session import KedroSession
    from kedro.pipeline import Pipeline

    from hardcover import hooks, provenance, runner, stage, tracking

    names = [f"{case}.{name}" for name in wanted] or [case]
    parts = _parts(case, wanted, say)
    catalog = stage.open_context(env, _overrides(case, params)).catalog
    whole = sum(parts.values(), Pipeline([]))
    if not force and runner.up_to_date(whole, catalog):
        # Without a session: its plugins would open the tracking store, and there is nothing to log.
        run = uuid.uuid4().hex
        session = hooks.session_facts("pipeline", env, names, _overrides(case, params))
        hooks.record_session(run, session, whole, catalog, catalog.commit(provenance.no_origin))
        say("nothing changed, everything reused")
        return run
    gc.enable()
    with KedroSession.create(
        settings.project_root(), env=env, runtime_params=_overrides(case, params), save_on_close=False
    ) as session:
        try:
            session.run(pipeline_names=names, runner=runner.IncrementalRunner(force=force))
        except KeyboardInterrupt as error:
            tracking.abandon()
            raise Stopped(f"case {case!r}, pipeline {', '.join(names)}") from error
    return hooks.last_run()


def _overrides(case: str, params: dict[str, Any]) -> dict | None:
    from hardcover.stage import nested

    return {case: nested(params)} if params else None
