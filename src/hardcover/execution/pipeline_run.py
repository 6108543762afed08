"""A case as one Kedro pipeline, in this process."""

import gc
import uuid

from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline

from hardcover import settings
from hardcover.errors import Stopped
from hardcover.execution.request import Plan
from hardcover.incremental import runner
from hardcover.project import session
from hardcover.project.context import open_context
from hardcover.tracking import server


def run(plan: Plan) -> str:
    """Run what is not there yet; returns the run's id."""
    names = [f"{plan.case}.{name}" for name in plan.stages] or [plan.case]
    parts = plan.pipelines()
    catalog = open_context(plan.env, plan.overrides).catalog
    whole = sum(parts.values(), Pipeline([]))
    if not plan.force and runner.up_to_date(whole, catalog):
        run_id = uuid.uuid4().hex
        session.record(run_id, *session.reused("pipeline", plan.env, names, plan.overrides, whole, catalog))
        plan.say("nothing changed, everything reused")
        return run_id
    gc.enable()
    with KedroSession.create(
        settings.project_root(), env=plan.env, runtime_params=plan.overrides, save_on_close=False
    ) as kedro_session:
        try:
            kedro_session.run(pipeline_names=names, runner=runner.IncrementalRunner(force=plan.force))
        except KeyboardInterrupt as error:
            server.abandon()
            raise Stopped(f"case {plan.case!r}, pipeline {', '.join(names)}") from error
    return session.last_run() or ""
