"""A case through its notebooks, each executed by papermill in a kernel of its own."""

import gc
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.errors import Stopped
from hardcover.execution import front_page
from hardcover.execution.request import Plan
from hardcover.lineage import run_records
from hardcover.notebooks import executor, forkserver, report
from hardcover.project import cases, session
from hardcover.reporting.progress import Reporter
from hardcover.store import drafts, run_lock
from hardcover.tracking import server

# Notebooks that run at the same time, where none needs what another makes.
AT_ONCE = 2


def run(plan: Plan) -> str:
    """Execute the notebooks of what is not there yet; returns the run's id."""
    book, running, ended = _Book(plan), {}, ""
    try:
        # Exited in reverse order: stopping the kernels first unblocks the threads that wait on them.
        with ThreadPoolExecutor(AT_ONCE) as pool, ExitStack() as stack:
            if plan.force or not run_records.runs():
                # Everything will be executed: let the kernels' imports go on beside ours.
                stack.enter_context(forkserver.warm())
            parts = plan.pipelines()
            from hardcover.incremental import runner
            from hardcover.project import pipelines
            from hardcover.project.context import open_context

            waiting = {stage: pipelines.needs(parts, stage) for stage in parts}
            titles = {stage: f"[{n}/{len(parts)}] {stage.name}" for n, stage in enumerate(parts, start=1)}
            while waiting or running:
                unfinished = {*waiting, *running.values()}
                for stage in [stage for stage, needs in waiting.items() if not needs & unfinished]:
                    del waiting[stage]
                    catalog = open_context(plan.env, plan.overrides).catalog
                    if not plan.force and runner.up_to_date(parts[stage], catalog):
                        book.reuse(stage.name, parts[stage], catalog)
                        plan.say(f"{titles[stage]}: nothing changed, reused")
                        continue
                    gc.enable()
                    if forkserver.is_cold():
                        stack.enter_context(forkserver.warm())
                    if not book.is_open:
                        stack.enter_context(book)
                    running[pool.submit(book.execute, stage, titles[stage])] = stage
                for done in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    stage = running.pop(done)
                    ended = stage.name
                    plan.say(f"{titles[stage]}: done, {done.result().with_suffix('.html')}")
    except KeyboardInterrupt as error:
        names = " and ".join(repr(each.name) for each in running.values())
        # Between two stages, the one that ended last says where.
        where = f", stage {names}" if names else f", after stage {ended!r}" if ended else ""
        raise Stopped(f"case {plan.case!r}{where}") from error
    return book.finish()


class _Book:
    """One run through notebooks: its MLflow run, opened when the first notebook is executed, and its reports."""

    def __init__(self, plan: Plan):
        self.plan, self.run, self.is_open = plan, uuid.uuid4().hex, False
        self._reused: list[tuple] = []

    def __enter__(self) -> "_Book":
        case = self.plan.case
        with run_lock.hold("tracking"):
            self._client, experiment = server.client()
        tags = {"case": case, "face": "notebook", "mlflow.source.name": "hardcover run"}
        made = self._client.create_run(experiment, run_name=f"{case} notebook", tags=tags)
        self.run = made.info.run_id
        self._reports = front_page.folder_of(case, self.run)
        self._background, self._written = ThreadPoolExecutor(1), []
        force = {session.FORCE: "1"} if self.plan.force else {}
        self._surroundings = _environment(HARDCOVER_RUN_ID=self.run, **{run_lock.INHERITED: "run"}, **force)
        self._surroundings.__enter__()
        self.is_open = True
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        self._surroundings.__exit__(None, None, None)
        # The report of the stage that failed is written, too.
        self.plan.say("writing the last report", transient=True)
        wait(self._written)
        self._background.shutdown()
        status = "FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED"
        self._client.set_terminated(self.run, status)
        if kind is not None:
            self._client.update_run(self.run, name=f"{self.plan.case} notebook {status.lower()}")
        drafts.clean(Path(settings.read("data.root")))
        if kind is None:
            for written in self._written:
                written.result()

    def reuse(self, name: str, part: Any, catalog: Any) -> None:
        """Note a stage whose results are all there."""
        plan = self.plan
        asked = "notebook", plan.env, [f"{plan.case}.{name}"], plan.overrides
        self._reused.append(session.reused(*asked, part, catalog))

    def execute(self, stage: cases.Stage, title: str) -> Path:
        """Execute one notebook and return its executed copy."""
        copy = self._reports / stage.notebook.name
        given = {"case": self.plan.case, "env": self.plan.env, "params": self.plan.params}
        try:
            executor.execute(stage.notebook, copy, given, stage.name, _progress(title, self.plan.say))
        finally:
            self._written.append(self._background.submit(_report, self._client, self.run, copy))
        return copy

    def finish(self) -> str:
        """Put the reused stages on record and return the run's id."""
        for facts in self._reused:
            session.record(self.run, *facts)
        return self.run


def _report(client: Any, run_id: str, copy: Path) -> None:
    if copy.exists():
        client.log_artifact(run_id, str(copy), "reports")
        client.log_artifact(run_id, str(report.to_html(copy)), "reports")


def _progress(title: str, say: Reporter) -> executor.Progress:
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
