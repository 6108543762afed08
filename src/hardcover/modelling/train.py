"""The train stage: fit, measure, draw and register."""

from collections.abc import Callable

from kedro.pipeline import Pipeline

from hardcover.incremental import stages
from hardcover.incremental.stages import Step
from hardcover.modelling import anomaly, calibration, evaluation, registration, training


def create_pipeline(
    *,
    fit: Callable = training.fit,
    decide: Callable | None = None,
    evaluate: Callable = evaluation.evaluate,
    tell_apart: Callable = anomaly.fit,
    calibrate: Callable = calibration.fit,
    draw: Callable = evaluation.draw,
    register: Callable = registration.register,
) -> Pipeline:
    """Return the train stage's pipeline: from ``features`` to ``model``, ``metrics``, ``predictions`` and ``calibration``.

    Parameters
    ----------
    fit, evaluate, tell_apart, calibrate, draw, register
        A project may give functions of its own. Their parameters name what they read: datasets, else parameters of the case.
    decide
        A project's own way from ``costs`` and the classes to a decision, as ``runtime.decision`` describes it.
    """
    given = {
        "fit": fit,
        "decide": decide,
        "evaluate": evaluate,
        "tell_apart": tell_apart,
        "calibrate": calibrate,
        "draw": draw,
        "register": register,
    }
    replaced = stages.replaced(create_pipeline, given)
    shared = {
        **({"replaced": replaced} if replaced else {}),
        **({"decide": decide} if decide else {}),
    }
    ours = {name: stages.bound(function, **shared) for name, function in given.items() if function}
    return stages.make(
        "train",
        [
            Step("fit", ours["fit"], ["model", "compression_report"]),
            Step("evaluate", ours["evaluate"], ["metrics", "predictions"]),
            Step("tell_apart", ours["tell_apart"], "anomaly_model"),
            Step("calibrate", ours["calibrate"], "calibration"),
            Step("draw", ours["draw"], "performance_figures"),
            Step("register", ours["register"], "registration_report", ("external",)),
        ],
    )
