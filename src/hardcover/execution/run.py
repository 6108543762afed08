"""The main job: a case's stages in order, through their notebooks or as one Kedro pipeline."""

import gc
import os
import time
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.execution import summary, unchanged
from hardcover.execution.request import Plan, Request
from hardcover.project import exported
from hardcover.release import publish
from hardcover.reporting.progress import Reporter, silent
from hardcover.store import run_lock


def run(request: Request, say: Reporter = silent) -> list[dict]:
    """Run cases, only what changed in them, and return a summary of each.

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
    sources, results = unchanged.state_of_sources(), []
    os.environ.update(settings.kedro_environment())
    if request.export:
        say("exporting the notebooks", transient=True)
        exported.export()
    settings.make_importable()
    exported.check(plan.case for plan in plans)
    # Kedro, MLflow and Jupyter take long to import, and what is wrong with a request can be told without.
    from hardcover.execution import notebook_run, pipeline_run
    from hardcover.notebooks import forkserver

    through = {"notebook": notebook_run.run, "pipeline": pipeline_run.run}[request.face]
    # Imports make many objects that stay. Looking for garbage among them is a seventh of a run that reuses everything.
    gc.disable()
    with forkserver.scope(), run_lock.alone():
        for plan in plans:
            begin = time.monotonic()
            facts = summary.collect(plan.case, through(plan))
            if request.prove and not request.stages:
                facts["proof"] = _prove(plan, facts["nodes"])
            facts["seconds"] = round(time.monotonic() - begin, 1)
            results.append({**facts, "page": str(_front_page(facts))})
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


def _front_page(facts: dict) -> Path | None:
    """Write the run's front page; a run that made nothing has that of the run whose results it reused."""
    from hardcover.execution import front_page

    known = front_page.of_results(facts["case"], facts["run"])
    reused = all(node["state"] == "reused" for node in facts["nodes"].values())
    if known and reused and not facts.get("proof", {}).get("fresh"):
        return known
    return front_page.write(facts)


def _prove(plan: Plan, nodes: dict[str, dict]) -> dict:
    from hardcover.proof import prove

    reused = all(node["state"] == "reused" for node in nodes.values())
    if reused and (found := prove.passing_proof(plan.case)):
        return found
    plan.say("comparing the faces", transient=True)
    return {**prove.prove(plan.case, plan.env, say=plan.say), "fresh": True}
