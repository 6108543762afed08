"""Confidence and anomalies: coverage, width, probabilities and unusual inputs, beside crepes, MAPIE and scikit-learn's isolation forest.

    python benchmarks/confidence.py [--data FOLDER]     with hotel_bookings.parquet and bike.csv

crepes and MAPIE run in an environment of their own (`requirements/monitoring.txt`), by the same scores of the same halves.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent.parent))

from hardcover.forest import flatten, lightgbm_text
from hardcover.modelling import anomaly, calibration
from hardcover.release import compiler
from hardcover.runtime import arrays
from hardcover.runtime.forest import Forest
from hardcover.runtime.kernel import Kernel
from hardcover.tasks import confidence
from tests.conftest import environment

HERE = Path(__file__).parent
LEVEL, SPLITS = 0.9, 20
CONF = {"rows": 50_000, "rounds": 100, "leaves": 15, "seed": 0}
# What a file holds besides inputs and target: ids, times, and what another model said.
ASIDE = ["booking", "y_pred", "y_pred_proba", "timestamp", "hour_number"]


class Data:
    """A file's rows in three parts, by chance: to learn from, and two halves of the rest for each of the splits.

    Attributes
    ----------
    inputs, target
        Shape (rows, inputs), a category as its position; and (rows,).
    categories
        Positions of the inputs that are categories.
    """

    def __init__(self, table: pd.DataFrame, target: str):
        self.target = table[target].to_numpy(np.float64)
        inputs = table.drop(columns=[target, *(name for name in ASIDE if name in table)])
        texts = [name for name in inputs if not pd.api.types.is_numeric_dtype(inputs[name])]
        inputs[texts] = inputs[texts].apply(lambda column: pd.factorize(column)[0])
        self.names, self.categories = [*inputs], [inputs.columns.get_loc(name) for name in texts]
        self.inputs = inputs.to_numpy(np.float64)
        drawn = np.random.default_rng(1).permutation(len(table))
        self.learned, self.rest = np.array_split(drawn, 2)
        self.is_binary = set(np.unique(self.target)) == {0.0, 1.0}

    def score(self) -> np.ndarray:
        """Return a model's scores of the rows that it has not learned from."""
        data = lgb.Dataset(
            self.inputs[self.learned], self.target[self.learned], categorical_feature=self.categories
        )
        settings = {
            "objective": "binary" if self.is_binary else "regression",
            "verbosity": -1,
            "num_threads": 2,
        }
        return np.asarray(lgb.train(settings, data, 200).predict(self.inputs[self.rest]))

    def halves(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows to make a table from and rows to look at, positions among the rest."""
        for split in range(SPLITS):
            drawn = np.random.default_rng([2, split]).permutation(len(self.rest))
            yield tuple(np.array_split(drawn, 2))


def ours(data: Data, score: np.ndarray) -> dict[str, list[float]]:
    """Return coverage and size by split, and of probabilities the log loss."""
    found: dict[str, list[float]] = {"coverage": [], "size": [], "log loss": []}
    target = data.target[data.rest]
    for known, asked in data.halves():
        truth = target[asked]
        if data.is_binary:
            table = confidence.probability(score[known], target[known], LEVEL)
        else:
            table = confidence.interval(score[known], target[known], LEVEL, None)
        answers = calibration.answers_of(table, [], score[asked])
        found["coverage"].append(calibration.are_within(answers, truth).mean())
        found["size"].append(calibration.sizes_of(answers).mean())
        if data.is_binary:
            chance = answers["high"] / (1 - answers["low"] + answers["high"])
            found["log loss"].append(log_loss(truth, chance))
    return found


def log_loss(truth: np.ndarray, chance: np.ndarray) -> float:
    """Return the mean log loss; probabilities are no nearer to 0 and 1 than a millionth."""
    chance = chance.clip(1e-6, 1 - 1e-6)
    return float(-np.where(truth == 1, np.log(chance), np.log(1 - chance)).mean())


def peers(data: Data, score: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Return the same of crepes and MAPIE."""
    python = environment("monitoring") / "python"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        halves = [part for pair in data.halves() for part in pair]
        np.savez(
            path,
            score=score,
            target=data.target[data.rest],
            binary=data.is_binary,
            **{f"part{at:02}": part for at, part in enumerate(halves)},
        )
        done = subprocess.run(
            [python, HERE / "confidence_peers.py", path], check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout)


def broken(rows: np.ndarray, categories: list[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield rows in which something is wrong: twelve kinds, most of them in one number of a row, chosen by chance."""
    rng = np.random.default_rng(3)
    numbers = [at for at in range(rows.shape[1]) if at not in categories and len(np.unique(rows[:, at])) > 5]
    every, at = np.arange(len(rows)), rng.choice(numbers, len(rows))
    spread, low, high = np.nanstd(rows, axis=0), np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)

    def one(change: Callable[[np.ndarray], Any]) -> np.ndarray:
        found = rows.copy()
        found[every, at] = change(found[every, at])
        return found

    yield "unit x 1000", one(lambda values: values * 1000)
    yield "unit / 1000", one(lambda values: values / 1000)
    yield "sign", one(lambda values: -values)
    yield "zero", one(np.zeros_like)
    yield "-999", one(lambda values: np.full_like(values, -999))
    yield "missing", one(lambda values: np.full_like(values, np.nan))
    yield "4 deviations more", one(lambda values: values + 4 * spread[at])
    yield "a fifth beyond the range", one(lambda _: high[at] + 0.2 * (high - low)[at])
    yield "of another row", one(lambda _: rows[rng.permutation(len(rows)), at])
    swapped, (first, second) = rows.copy(), numbers[:2]
    swapped[:, [first, second]] = rows[:, [second, first]]
    yield "two columns swapped", swapped
    noisy = rows.copy()
    noisy[:, numbers] += rng.normal(size=(len(rows), len(numbers))) * spread[numbers]
    yield "a deviation of noise in all", noisy
    yield "all of other rows", np.column_stack([rng.permutation(column) for column in rows.T])


def unusual(data: Data, score: np.ndarray) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Return the area under the ROC curve by kind, ours and the isolation forest's; microseconds of one row, and how many times more errors the
    model makes on the one per cent of rows that are most unusual than on the rest."""
    learned, rest = data.inputs[data.learned], data.inputs[data.rest][:5000]
    table = pd.DataFrame(learned, columns=data.names).assign(split="train")
    plan = {"inputs": data.names, "categorical": [data.names[at] for at in data.categories]}
    text = anomaly.fit(table, plan, CONF)
    judge = lgb.Booster(model_str=text)
    middle = np.nan_to_num(np.nanmedian(learned, axis=0))

    def filled(rows: np.ndarray) -> np.ndarray:
        # It knows no missing values.
        return np.where(np.isnan(rows), middle, rows)

    forest = IsolationForest(n_estimators=100, random_state=0).fit(filled(learned))
    truth = np.repeat([0, 1], len(rest))
    found = {}
    for kind, rows in broken(rest, data.categories):
        both = np.concatenate([rest, rows])
        found[kind] = tuple(
            roc_auc_score(truth, each) for each in (judge.predict(both), -forest.score_samples(filled(both)))
        )
    parts, metadata = arrays.parse(bytearray(flatten.to_bytes(lightgbm_text.parse(text))))
    kernel = Kernel(Forest(dict(parts), metadata, True), str(compiler.kernel().path))
    row, table_row = rest[0].tobytes(), filled(rest[:1])
    every = judge.predict(data.inputs[data.rest])
    flagged, wrong = every >= np.quantile(every, 0.99), np.abs(score - data.target[data.rest])
    if data.is_binary:
        wrong = wrong > 0.5
    return found, {
        "ours": microseconds(lambda: kernel.predict(row), 20_000),
        "isolation forest": microseconds(lambda: forest.score_samples(table_row), 50),
        "error": wrong[flagged].mean() / wrong[~flagged].mean(),
    }


def microseconds(call: Callable[[], Any], times: int) -> float:
    """Return the least mean of five rounds."""
    found = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(times):
            call()
        found.append((time.perf_counter() - begin) / times)
    return min(found) * 1e6


def tables(folder: Path) -> Iterator[tuple[str, Data]]:
    """Yield what a folder has."""
    if (folder / "hotel_bookings.parquet").exists():
        yield "hotel bookings", Data(pd.read_parquet(folder / "hotel_bookings.parquet"), "is_canceled")
    if (folder / "bike.csv").exists():
        yield "bikes", Data(pd.read_csv(folder / "bike.csv"), "count")


def main() -> None:
    """Print the tables for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data/01_raw"), metavar="FOLDER")
    found = [*tables(parser.parse_args().data)]
    if not found:
        parser.error("the folder has neither hotel_bookings.parquet nor bike.csv; give another by --data")
    print(
        "| rows | who | coverage, mean of 20 | least, most | labels, or width | log loss |\n|---|---|---|---|---|---|"
    )
    scores = {name: data.score() for name, data in found}
    for name, data in found:
        score = scores[name]
        for who, each in {"ours": ours(data, score), **peers(data, score)}.items():
            coverage = np.array(each["coverage"]) * 100
            shown = (
                [f"{coverage.mean():.2f} %", f"{coverage.min():.1f}, {coverage.max():.1f}"]
                if len(coverage)
                else ["", ""]
            )
            shown += [f"{np.mean(each[key]):.4g}" if each.get(key) else "" for key in ("size", "log loss")]
            print(f"| {name} | {who} |", " | ".join(shown), "|")
    print(
        "\n| unusual: area under the ROC curve, ours / isolation forest |",
        " | ".join(name for name, _ in found),
        "|",
    )
    print("|---|" + "---|" * len(found))
    judged = [unusual(data, scores[name]) for name, data in found]
    for kind in judged[0][0]:
        print(f"| {kind} |", " | ".join("{:.3f} / {:.3f}".format(*areas[kind]) for areas, _ in judged), "|")
    means = [np.mean([*areas.values()], axis=0) for areas, _ in judged]
    print("| mean |", " | ".join("{:.3f} / {:.3f}".format(*mean) for mean in means), "|")
    times = [f"{each['ours']:.2f} / {each['isolation forest']:.0f}" for _, each in judged]
    print("| one row, µs |", " | ".join(times), "|")
    errors = [f"{each['error']:.2f}" for _, each in judged]
    print("| errors on the most unusual per cent, times those on the rest |", " | ".join(errors), "|")


if __name__ == "__main__":
    main()
