"""One case of a run: its stages, the proof, the front page."""

import time
from pathlib import Path

from hardcover.execution import front_page, notebook_run, pipeline_run, summary
from hardcover.execution.request import Plan, Request

THROUGH = {"notebook": notebook_run.run, "pipeline": pipeline_run.run}


def run(request: Request, plan: Plan) -> dict:
    """Run one case as a request asks for it, and return its summary.

    Raises
    ------
    HardcoverError
        As ``execution.run.run`` does.
    """
    begin = time.monotonic()
    facts = summary.collect(plan.case, THROUGH[request.face](plan))
    reused = all(node["state"] == "reused" for node in facts["nodes"].values())
    if request.prove and not request.stages:
        facts["proof"] = _prove(plan, reused)
    facts["seconds"] = round(time.monotonic() - begin, 1)
    return {**facts, "page": str(_front_page(facts, reused))}


def _front_page(facts: dict, reused: bool) -> Path:
    """Write the run's front page; a run that made nothing has that of the run whose results it reused."""
    known = front_page.of_results(facts["case"], facts["run"])
    if known and reused and not facts.get("proof", {}).get("fresh"):
        return known
    return front_page.write(facts)


def _prove(plan: Plan, reused: bool) -> dict:
    from hardcover.proof import prove

    if reused and (found := prove.passing_proof(plan.case)):
        return found
    plan.say("comparing the faces", transient=True)
    return {**prove.prove(plan.case, plan.env, say=plan.say), "fresh": True}
