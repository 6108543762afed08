"""The answer for one record, and what contributed to it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .confidence import Confidence
from .decision import Decision


class Contribution(NamedTuple):
    """What one input of the model contributes to a raw score: its exact Shapley value."""

    feature: str
    value: float
    contribution: float


class Prediction(NamedTuple):
    """The answer for one record.

    Attributes
    ----------
    score
        The answer: of two classes the probability of the second, 0 to 1; of several that of the label; otherwise an amount, in the
        target's unit, or a relevance to rank by.
    label
        What was decided: of two classes whether the score reaches the release's threshold, of several the class; else None.
    version
        The release that answered.
    scores
        Of several classes each one's probability; else None.
    contributions, base_value
        Where asked for: the inputs' contributions to the raw score, the strongest first, and what all records have in
        common. Contributions and base value add up to the raw score. Of several classes, both by class. None otherwise.
    confidence
        Where asked for: what else may come. None otherwise.
    anomaly
        Where asked for: the share of rows like those of the holdout whose inputs are as unlike those that were learned from as these, or
        more so; over 0 to 1. Small is unusual. None otherwise.
    inputs
        Where asked for: what the model saw, in the order of its inputs, for who keeps a log. Not part of the answer as JSON.
    """

    score: float
    label: bool | str | None
    version: str
    scores: dict[str, float] | None = None
    contributions: "list[Contribution] | dict[str, list[Contribution]] | None" = None
    base_value: "float | dict[str, float] | None" = None
    confidence: Confidence | None = None
    anomaly: float | None = None
    inputs: tuple[float, ...] | None = None


# What may follow the base value, where nothing was asked for; a service also writes answers of wheels that were released before there was more.
_NOTHING = {(None,) * count for count in range(4)}


def predicted(decision: Decision, scores: Sequence[float], version: str) -> Prediction:
    """Return the answer that follows from scores, without contributions."""
    classes = decision.classes
    if classes:
        chosen = decision.position(scores)
        return Prediction(scores[chosen], classes[chosen], version, dict(zip(classes, scores, strict=True)))
    label = None if decision.threshold is None else scores[0] >= decision.threshold
    return Prediction(scores[0], label, version)


def explained(
    prediction: Prediction,
    names: list[str],
    given: Sequence[float],
    values: Sequence[float],
    classes: list[str],
    top: int | None,
) -> Prediction:
    """Return a prediction with its contributions.

    Parameters
    ----------
    prediction
        Without them.
    names, given
        The model's inputs, and their values in this row.
    values
        For each output a value by input, then its base value.
    classes
        The outputs' names where there are several; else empty.
    top
        How many contributions to keep, the strongest; None: all.
    """
    width, found = len(names) + 1, []
    for first in range(0, len(values), width):
        *mine, base = values[first : first + width]
        contributions = [Contribution(*facts) for facts in zip(names, given, mine, strict=True)]
        contributions.sort(key=lambda each: -abs(each.contribution))
        found.append((contributions[:top], base))
    if not classes:
        return prediction._replace(contributions=found[0][0], base_value=found[0][1])
    by_class = dict(zip(classes, found, strict=True))
    return prediction._replace(
        contributions={name: contributions for name, (contributions, _) in by_class.items()},
        base_value={name: base for name, (_, base) in by_class.items()},
    )


def as_json(prediction: Prediction) -> dict:
    """Return an answer as JSON has it: what is None is left out, and a value that is no finite number is null."""
    score, label, version, scores, found = prediction[:5]
    if label is not None and scores is None and found is None and prediction[6:] in _NOTHING:
        # Most answers; in a fifth of the time.
        return {"score": score, "label": label, "version": version}
    answer = present(prediction)
    answer.pop("inputs", None)
    if isinstance(found, dict):
        answer["contributions"] = {name: _contributions(given) for name, given in found.items()}
    elif found is not None:
        answer["contributions"] = _contributions(found)
    if "confidence" in answer:
        answer["confidence"] = present(answer["confidence"])
    return answer


def present(facts: NamedTuple) -> dict:
    """Return the fields of a named tuple that are not None."""
    return {name: value for name, value in facts._asdict().items() if value is not None}


def _contributions(given: list[Contribution]) -> list[dict]:
    # JSON has neither NaN nor infinities.
    return [
        {
            "feature": feature,
            "value": value if math.isfinite(value) else None,
            "contribution": contribution,
        }
        for feature, value, contribution in given
    ]
