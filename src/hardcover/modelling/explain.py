"""The explain stage: Shapley values of the holdout, and their pictures."""

from collections.abc import Callable

from kedro.pipeline import Pipeline

from hardcover.incremental import stages
from hardcover.incremental.stages import Step
from hardcover.modelling import explanation


def create_pipeline(
    *,
    explain: Callable = explanation.explain,
    draw_overview: Callable = explanation.draw_overview,
    draw_dependence: Callable = explanation.draw_dependence,
    draw_errors: Callable = explanation.draw_errors,
) -> Pipeline:
    """Return the explain stage's pipeline: from ``model`` and ``features`` to ``explanations`` and pictures.

    Parameters
    ----------
    explain, draw_overview, draw_dependence, draw_errors
        A project may give functions of its own. Their parameters name what they read: datasets, else parameters of the case.
    """
    return stages.make(
        "explain",
        [
            Step("explain", explain, ["explanations", "explanation_report"]),
            Step("draw_overview", draw_overview, "overview_figures"),
            Step("draw_dependence", draw_dependence, "dependence_figures"),
            Step("draw_errors", draw_errors, "errors_figures"),
        ],
    )
