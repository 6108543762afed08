"""The stages between clean rows and a release: features, training, evaluation, explanation."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.modelling import (
        anomaly,
        calibration,
        evaluation,
        evidence,
        explain,
        explanation,
        features,
        registration,
        rounding,
        train,
        training,
    )

__all__ = [
    "anomaly",
    "calibration",
    "evaluation",
    "evidence",
    "explain",
    "explanation",
    "features",
    "registration",
    "rounding",
    "train",
    "training",
]
__getattr__ = lazy.names_of(__name__)
