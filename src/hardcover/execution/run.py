"""The main job: a case's stages in order, through their notebooks or as one Kedro pipeline."""

import gc
import os
import time
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.execution import unchanged
from hardcover.execution.request import Plan, Request
from hardcover.project import exported
from hardcover.release import publish
from hardcover.reporting.progress import Reporter, silent
from hardcover.store import run_lock


def run(request: Request, say: Reporter = silent) -> list[dict]:
    """Run cases, only what changed in them, and return a summary of each; of several cases, two at a time.

    Raises
    ------
    HardcoverError
        Any of the errors of ``errors.py``; no version of the failed stage is kept.
    """
    begin = time.monotonic()
    settings.enter(request.env)
    plans = request.plans(say)
    if not request.force and not request.export and (known := unchanged.results_of(request)):
        say("nothing changed, everything reused")
        return [{**facts, "seconds": round(time.monotonic() - begin, 1)} for facts in known]
    # Taken before anything is read, so that an edit during the run is seen by the next.
    sources = unchanged.state_of_sources()
    os.environ.update(settings.kedro_environment())
    if request.export:
        say("exporting the notebooks", transient=True)
        exported.export()
    settings.make_importable()
    exported.check(plan.case for plan in plans)
    # Kedro, MLflow and Jupyter take long to import, and what is wrong with a request can be told without.
    from hardcover.execution import one_case, side_by_side
    from hardcover.notebooks import forkserver

    # Imports make many objects that stay. Looking for garbage among them is a seventh of a run that reuses everything.
    gc.disable()
    with forkserver.scope(), run_lock.alone():
        if len(plans) > 1:
            results = side_by_side.run(request, plans, say)
        else:
            results = [one_case.run(request, plan) for plan in plans]
        _note_unchanged(request, plans, sources, results)
    return results


def _note_unchanged(request: Request, plans: list[Plan], sources: dict, results: list[dict]) -> None:
    """Where the same request would now find nothing to do, keep that, so that the next one need not plan."""
    from kedro.pipeline import Pipeline

    from hardcover.incremental import runner
    from hardcover.project.context import open_context

    texts: list[str] = []
    places: list[Path] = []
    for plan, facts in zip(plans, results, strict=True):
        context = open_context(plan.env, plan.overrides)
        whole = sum(plan.pipelines().values(), Pipeline([]))
        catalog: Any = context.catalog
        if not runner.up_to_date(whole, catalog):
            return
        texts += unchanged.texts_in(context.params)
        places += [*catalog.reused.values(), Path(facts["page"])]
        published = (facts.get("proof") or {}).get("published")
        if request.prove and not request.stages:
            if not published:
                return
            places += [Path(published["path"]), *publish.pointers(plan.case)]
    unchanged.record(request, sources, results, texts, places)
