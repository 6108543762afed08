"""The case fraud beside the handbook's three models on its own features, in one run and on the same test week.

    hardcover run fraud --data transactions.parquet && python benchmarks/fraud.py

XGBoost runs in ``.tools/windows``; the logistic regression and the random forest are the case's own stage ``compare``.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import page

from casebook.fraud import compare
from hardcover import Case

PEER = """
import json, sys
import pandas as pd
import xgboost
rows, names = pd.read_parquet(sys.argv[1]), json.loads(sys.argv[2])
learned, tested = rows["split"].isin(["train", "validation"]), rows["split"] == "holdout"
model = xgboost.XGBClassifier(random_state=0, n_jobs=2).fit(rows.loc[learned, names], rows.loc[learned, "fraud"])
print(json.dumps(model.predict_proba(rows.loc[tested, names])[:, 1].tolist()))
"""


def xgboost_scores(features) -> np.ndarray:
    """Fit XGBoost with its defaults, as the handbook does, and return its scores of the test week."""
    with tempfile.TemporaryDirectory(prefix="hardcover-fraud-") as folder:
        file = Path(folder) / "features.parquet"
        features[[*compare.HANDBOOK, "fraud", "split"]].to_parquet(file)
        command = [page.peers("windows"), "-c", PEER, file, json.dumps(compare.HANDBOOK)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure all models and write the section of the page."""
    here = Case("fraud")
    features, cards, evaluation = here.load("features"), here.parameter("cards"), here.parameter("evaluation")
    found = compare.compare(features, here.load("predictions"), cards, evaluation)
    rows = features[features["split"] == "holdout"]
    found["XGBoost"] = compare.measured(rows, xgboost_scores(features), cards, evaluation)
    lines = [
        f"{here.load('source')['description']}; {len(rows):,} payments of the test week, {int(rows['fraud'].sum())} frauds.",
        "",
        "| model | average precision | ROC AUC | card precision, mean and spread over days |",
        "|---|---|---|---|",
    ]
    for name, each in found.items():
        lines.append(
            f"| {name} | {each['average_precision']:.3f} [{each['low']:.3f}, {each['high']:.3f}] | {each['roc_auc']:.3f} "
            f"| {each['card_precision']:.3f} ± {each['card_precision_deviation']:.3f} |"
        )
    page.keep("fraud", "\n".join(lines))


if __name__ == "__main__":
    main()
