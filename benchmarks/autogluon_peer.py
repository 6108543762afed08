"""AutoGluon on rows that another process prepared; runs in an environment of its own, since it needs an older pandas.

    python benchmarks/autogluon_peer.py FOLDER MINUTES

The folder has ``learn.parquet`` and ``holdout.parquet`` with a column ``target``, and ``question.json``; this writes ``answers.parquet``.
"""

import json
import sys
import tempfile
from pathlib import Path

import pandas as pd
from autogluon.tabular import TabularPredictor

METRICS = {"log loss": "log_loss", "RMSE": "root_mean_squared_error"}


def main() -> None:
    """Fit with the preset ``best_quality``, and keep the scores of the holdout."""
    folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
    question = json.loads((folder / "question.json").read_text())
    learn, holdout = (pd.read_parquet(folder / f"{part}.parquet") for part in ("learn", "holdout"))
    with tempfile.TemporaryDirectory() as models:
        predictor = TabularPredictor(
            "target",
            problem_type=question["kind"],
            eval_metric=METRICS[question["loss"]],
            path=models,
            verbosity=1,
        )
        predictor.fit(learn, presets="best_quality", time_limit=60 * minutes)
        rows = holdout.drop(columns="target")
        if question["kind"] == "regression":
            answers = predictor.predict(rows).to_frame("score")
        else:
            answers = predictor.predict_proba(rows).rename(columns=str)
    answers.to_parquet(folder / "answers.parquet")


if __name__ == "__main__":
    main()
