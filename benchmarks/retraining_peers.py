"""river's adaptive models on a stream, and its alarms as reasons to retrain; run by `retraining.py` in its own environment."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from river import drift, ensemble, forest, tree

# Ten trees each, as river has them.
CLASSIFIERS = {
    "ARF": lambda: forest.ARFClassifier(n_models=10, seed=1),
    "SRP": lambda: ensemble.SRPClassifier(model=tree.HoeffdingTreeClassifier(), n_models=10, seed=1),
}
REGRESSORS = {
    "ARF": lambda: forest.ARFRegressor(n_models=10, seed=1),
    "SRP": lambda: ensemble.SRPRegressor(model=tree.HoeffdingTreeRegressor(), n_models=10, seed=1),
}
ALARMS = {"ADWIN": drift.ADWIN, "Page-Hinkley": drift.PageHinkley}


def models(given: dict, facts: dict) -> dict:
    """Let models learn row by row, each label when it is known, and predict row by row."""
    first, rows = facts["first"], facts["step"] * facts["steps"]
    records = [dict(enumerate(row)) for row in given["inputs"].tolist()]
    regression, found = facts["task"] == "regression", {}
    target = given["target"].tolist()
    answers = target if regression else [bool(each) for each in target]
    for name, make in (REGRESSORS if regression else CLASSIFIERS).items():
        model, begin, scores = make(), time.perf_counter(), []
        for row in range(first + rows):
            if row >= first:
                if regression:
                    scores.append(float(model.predict_one(records[row])))
                else:
                    scores.append(float(model.predict_proba_one(records[row]).get(True, 0.0)))
            if row >= facts["delay"]:
                model.learn_one(records[row - facts["delay"]], answers[row - facts["delay"]])
        found[name] = {"scores": scores, "seconds": time.perf_counter() - begin}
    return found


def alarms(given: dict, facts: dict) -> dict:
    """Retrain at the step after an alarm on the losses of the model in use, each seen when its label is known."""
    losses, step, found = given["losses"], facts["step"], {}
    late = -(-facts["delay"] // step)
    for name, make in ALARMS.items():
        detector, current, at = make(), 0, []
        for number in range(1, facts["steps"]):
            seen, alarm = number - 1 - late, False
            if seen >= current:
                for loss in losses[current, seen * step : (seen + 1) * step]:
                    detector.update(float(loss))
                    alarm |= detector.drift_detected
            if alarm:
                at.append(number)
                current, detector = number, make()
        found[name] = {"at": at}
    return found


def main() -> None:
    """Do what was asked."""
    folder, facts = Path(sys.argv[1]), json.loads(sys.argv[2])
    given = dict(np.load(folder / "given.npz"))
    print(json.dumps({"models": models, "alarms": alarms}[facts["what"]](given, facts)))


if __name__ == "__main__":
    main()
