"""When to retrain, and how well a model keeps up: four real streams, with the schedules and river's models and alarms beside.

    python benchmarks/retraining.py --data FOLDER     with elec2.csv, weather.csv, bike.csv and hotel_bookings.parquet

A stream is cut into steps. At the beginning of each a model may be trained on all rows whose labels are known by then, as `modelling.training` does with ``training.recent``; a model of every step is scored on all
later ones, so that what any schedule would have cost is known exactly, the best of all in hindsight too. Losses are log loss, or squared error of a logarithm. river runs in an environment of its own (`requirements/monitoring.txt`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from hardcover import tasks
from hardcover.modelling import calibration, training
from hardcover.monitoring import coverage
from hardcover.tasks import Rows
from tests.conftest import environment

HERE = Path(__file__).parent
# Of what a new model saves in the mean if there is one at each step.
PRICES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SCHEDULES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
FIRST, ROUNDS = 0.25, 80
# Of what may come, and of how many of the newest rows tables are made that follow.
LEVEL, RECENT = 0.9, 1000
TRAINING = {
    "seed": 1,
    "num_threads": 1,
    "num_leaves": 15,
    "learning_rate": 0.08,
    "min_data_in_leaf": 15,
    "recent_rounds": 40,
}


class Stream(NamedTuple):
    """Rows in the order of time.

    Attributes
    ----------
    name, task
        Of the stream, and of its task.
    inputs, target
        Shape (rows, inputs) and (rows,).
    delay, step, recent
        In rows: after how many a label is known, how many there are in a step, and which are recent.
    """

    name: str
    task: str
    inputs: np.ndarray
    target: np.ndarray
    delay: int
    step: int
    recent: int

    @property
    def begin(self) -> int:
        """The first row that is predicted."""
        return int(len(self.target) * FIRST)

    @property
    def steps(self) -> int:
        """How many whole steps there are."""
        return (len(self.target) - self.begin) // self.step

    def losses(self, target: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Return the log loss, or the squared error, of each row."""
        if self.task == "regression":
            return (target - score) ** 2
        safe = np.clip(score, 1e-6, 1 - 1e-6)
        return -(target * np.log(safe) + (1 - target) * np.log1p(-safe))


def streams(folder: Path) -> list[Stream]:
    """Read the four."""
    found = []
    table = pd.read_csv(folder / "elec2.csv", parse_dates=["timestamp"])
    when = table.pop("timestamp").dt
    table = table.assign(half_hour=when.hour * 2 + when.minute // 30, weekday=when.day_of_week)
    found.append(_stream("Elec2", "binary", table, "up", 48, 7 * 48, 90 * 48))
    table = pd.read_csv(folder / "weather.csv").drop(columns="day")
    found.append(_stream("weather", "binary", table, "rain", 1, 90, 3650))
    table = pd.read_parquet(folder / "hotel_bookings.parquet").sort_values("timestamp", kind="stable")
    table = table.drop(columns=["booking", "y_pred", "y_pred_proba", "timestamp"])
    found.append(_stream("hotels", "binary", table, "is_canceled", 3000, 1500, 15_000))
    table = pd.read_csv(folder / "bike.csv").drop(columns=["hour_number", "yr"])
    table["count"] = np.log1p(table["count"])
    found.append(_stream("bikes", "regression", table, "count", 24, 7 * 24, 90 * 24))
    return found


def _stream(name: str, task: str, table: pd.DataFrame, target: str, *rows: int) -> Stream:
    answer = table.pop(target).to_numpy(np.float64)
    for each in table:
        if not pd.api.types.is_numeric_dtype(table[each]):
            table[each] = pd.factorize(table[each])[0]
    return Stream(name, task, table.to_numpy(np.float64), answer, *rows)


def trained(stream: Stream, known: int, recent: int | None = None) -> lgb.Booster:
    """Train on the first ``known`` rows; a row is a day here, so that what is recent is a number of rows."""
    rows = Rows(stream.inputs[:known], stream.target[:known])
    when = pd.Series(pd.Timestamp("1900-01-01") + pd.to_timedelta(np.arange(known), unit="D"))
    plan = {
        "inputs": [f"x{number}" for number in range(stream.inputs.shape[1])],
        "categorical": [],
        "classes": [],
    }
    options = TRAINING | {"recent": stream.recent if recent is None else recent}
    return training.anew(rows, when, ROUNDS, plan, options, tasks.of(stream.task))


class Table(NamedTuple):
    """What models of each step lose at each step.

    Attributes
    ----------
    losses
        By the step at whose beginning a model was trained, and the step: their sum; infinite before. Shape (steps, steps).
    seconds
        That all trainings took.
    rows
        Losses by model and row, for alarms. Shape (steps, rows); NaN before.
    stored
        Scores by model and row. Shape (steps, rows); NaN before.
    """

    losses: np.ndarray
    seconds: float
    rows: np.ndarray
    stored: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """Those of the model that is trained anew at each step, of the rows of all steps."""
        steps = np.arange(len(self.stored))
        return self.stored.reshape(len(steps), len(steps), -1)[steps, steps].ravel()


def table_of(stream: Stream, recent: int | None = None) -> Table:
    """Train a model at each step, and score all later ones."""
    first, steps, step = stream.begin, stream.steps, stream.step
    stored, seconds = np.full((steps, steps * step), np.nan), 0.0
    target = stream.target[first : first + steps * step]
    for number in range(steps):
        begin = time.perf_counter()
        model = trained(stream, first + number * step - stream.delay, recent)
        seconds += time.perf_counter() - begin
        stored[number, number * step :] = model.predict(
            stream.inputs[first + number * step : first + steps * step]
        )
    rows = stream.losses(target, stored)
    losses = np.nan_to_num(rows, nan=np.inf).reshape(steps, steps, step).sum(axis=2)
    return Table(losses, seconds, rows, stored)


def cost(losses: np.ndarray, at: Iterable[int], price: float) -> tuple[float, int]:
    """Return what a schedule costs, and how many models it trains besides the first."""
    current, total, trainings, at = 0, 0.0, 0, set(at)
    for step in range(len(losses)):
        if step and step in at:
            current, trainings = step, trainings + 1
        total += losses[current, step]
    return total + price * trainings, trainings


def best_of_all(losses: np.ndarray, price: float) -> float:
    """Return what the best schedule in hindsight costs, by dynamic programming."""
    steps, summed = len(losses), np.cumsum(np.where(np.isinf(losses), 0.0, losses), axis=1)
    least = np.zeros(steps + 1)
    for begin in reversed(range(steps)):
        before = summed[begin, begin - 1] if begin else 0.0
        following = np.append(least[begin + 1 : steps] + price, 0.0)
        least[begin] = (summed[begin, begin:] - before + following).min()
    return float(least[0])


def by_saving(stream: Stream, losses: np.ndarray, price: float) -> list[int]:
    """Return when `monitoring.fresh` asks for a new model: what one would have saved on known labels has become what it costs."""
    late, current, saved, found = -(-stream.delay // stream.step), 0, 0.0, []
    for step in range(1, len(losses)):
        seen = step - 1 - late
        if seen >= current:
            saved = max(0.0, saved + losses[current, seen] - losses[seen, seen])
        if saved >= price:
            found.append(step)
            current, saved = step, 0.0
    return found


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    for stream in streams(options.data):
        found = table_of(stream)
        _adaptation(stream, found)
        _schedules(stream, found)
        _stored(stream, found)
        if stream.name in ("Elec2", "bikes"):
            _coverage(stream, found)


def _stored(stream: Stream, found: Table) -> None:
    """Compare the newest model with what earlier ones would add, of all steps or of each eighth: back to the one that was best on the newest labels as soon as the newest has some, the mean of three, and one of twelve weighted by their losses there."""
    late, step = -(-stream.delay // stream.step), stream.step
    target = stream.target[stream.begin : stream.begin + len(found.scores)]
    raw = found.stored
    if stream.task == "binary":
        safe = np.clip(raw, 1e-6, 1 - 1e-6)
        raw = np.log(safe) - np.log1p(-safe)
    for every in (1, 8):
        sums: Counter[str] = Counter()
        for at in range(stream.steps):
            models = np.arange(0, at + 1, every)
            age = np.arange(len(models))[::-1]
            losses = found.losses[models, max(0, at - late - 4) : max(0, at - late)]
            counts = np.isfinite(losses)
            has = counts.any(axis=1)
            means = np.where(counts, losses, 0.0).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
            # Those that have no labels yet are as good as the best.
            means[~has] = means[has].min() if has.any() else 1.0
            weights = {
                "newest": age == 0,
                "back to the best on the newest labels": age == age[means == means.min()].min(),
                "mean of 3": age < 3,
                "weighted, of 12": np.exp(-20 * (means / means.min() - 1)) * (age < 12),
            }
            rows = slice(at * step, (at + 1) * step)
            for name, each in weights.items():
                mean = each @ raw[models, rows] / each.sum()
                score = 1 / (1 + np.exp(-mean)) if stream.task == "binary" else mean
                sums[name] += float(stream.losses(target[rows], score).sum())
        words = ", ".join(f"{name} {each / len(target):.4f}" for name, each in sums.items())
        print(f"loss of models of each {'step' if every == 1 else f'{every}th step'}: {words}", flush=True)


def _coverage(stream: Stream, found: Table) -> None:
    """Compare how often answers of the models of each step are right within what may come: by a table made once, and by one that follows."""
    first, kind, day = stream.begin, tasks.of(stream.task), stream.step // 7
    target, learned = stream.target[first : first + len(found.scores)], int(first * 0.8)
    holdout = (
        stream.target[learned:first],
        np.asarray(trained(stream, learned).predict(stream.inputs[learned:first])),
    )
    once = kind.confidence(*holdout, LEVEL)
    print(f"{'covered, level 90 %':<34}{'all rows':>9}{'worst 1,000':>13}{'labels, or width':>18}")
    _covered("a table made once", [(once, found.scores)], target)
    asked, table, used, seen = LEVEL, once, [], 0
    for begin in range(0, len(target), day):
        known = max(0, begin - stream.delay)
        if known > seen:
            answers = calibration.answers_of(table, [], found.scores[seen:known])
            covered = calibration.are_within(answers, target[seen:known])
            asked, seen = coverage.followed(asked, LEVEL, covered), known
            newest = np.concatenate([holdout[0], target[:known]])[-RECENT:]
            scores = np.concatenate([holdout[1], found.scores[:known]])[-RECENT:]
            table = kind.confidence(newest, scores, coverage.possible(asked))
        used.append((table, found.scores[begin : begin + day]))
    _covered("one that follows, day by day", used, target)


def _covered(name: str, used: list[tuple[dict, np.ndarray]], target: np.ndarray) -> None:
    covered, sizes, begin = [], [], 0
    for table, scores in used:
        answers = calibration.answers_of(table, [], scores)
        covered.append(calibration.are_within(answers, target[begin : begin + len(scores)]))
        sizes.append(calibration.sizes_of(answers))
        begin += len(scores)
    rows, size = np.concatenate(covered), np.concatenate(sizes)
    worst = np.convolve(rows, np.full(1000, 1 / 1000), "valid").min()
    bounded = np.isfinite(size)
    unbounded = f", {1 - bounded.mean():.1%} of rows without a bound" if not bounded.all() else ""
    print(f"{name:<34}{rows.mean():>9.1%}{worst:>13.1%}{size[bounded].mean():>18.3f}{unbounded}")


def _adaptation(stream: Stream, found: Table) -> None:
    first = stream.begin
    target = stream.target[first : first + stream.steps * stream.step]
    plain, static = table_of(stream, 0), found.rows[0]
    line = f"{stream.name}: {len(target)} rows in {stream.steps} steps of {stream.step}, labels {stream.delay} rows late"
    print(f"\n{line}\n{'':<34}{'loss':>8}{'error':>8}{'seconds':>9}")
    named: list[tuple[str, np.ndarray, float]] = [
        ("trained at each step, with recent", found.scores, found.seconds),
        ("the same without recent", plain.scores, plain.seconds),
    ]
    print(f"{'the first model to the end':<34}{static.mean():>8.4f}")
    for name, score, seconds in named:
        print(
            f"{name:<34}{stream.losses(target, score).mean():>8.4f}{_error(stream, target, score):>8.4f}{seconds:>9.1f}"
        )
    same = stream.target[first - stream.delay : first - stream.delay + len(target)]
    print(f"{'as one delay before':<34}{'':>8}{_error(stream, target, same):>8.4f}")
    for name, told in _river(stream, "models").items():
        score = np.array(told["scores"])
        print(
            f"{'river ' + name:<34}{stream.losses(target, score).mean():>8.4f}{_error(stream, target, score):>8.4f}{told['seconds']:>9.1f}"
        )


def _error(stream: Stream, target: np.ndarray, score: np.ndarray) -> float:
    if stream.task == "regression":
        return float(np.sqrt(((target - score) ** 2).mean()))
    return float(((score >= 0.5) != target).mean())


def _schedules(stream: Stream, found: Table) -> None:
    losses = found.losses
    gain = (losses[0].sum() - np.trace(losses)) / len(losses)
    alarms = _river(stream, "alarms", losses=found.rows)
    print(
        f"{'price':>6}{'best of all':>12}   more than that: {'saving':>12}{'best k':>16}{'always':>9}{'never':>9}"
        + "".join(f"{name:>18}" for name in alarms)
    )
    worse = []
    for share in PRICES:
        price = share * gain
        least = best_of_all(losses, price)

        def more(at: Iterable[int], price: float = price, least: float = least) -> tuple[float, int]:
            total, trainings = cost(losses, at, price)
            return total / least - 1, trainings

        mine = more(by_saving(stream, losses, price))
        fixed = {each: more(range(each, len(losses), each)) for each in SCHEDULES}
        best = min(fixed, key=lambda each: fixed[each])
        worse.append((1 + mine[0]) / (1 + fixed[best][0]))
        words = f"{share:>6}{least:>12.1f}{'':>18}{mine[0]:>7.1%} ({mine[1]:>2}){fixed[best][0]:>9.1%} (k={best:>2})"
        words += f"{fixed[1][0]:>9.1%}{more(())[0]:>9.1%}"
        print(
            words
            + "".join(
                f"{more(at)[0]:>12.1%} ({more(at)[1]:>3})" for at in (each["at"] for each in alarms.values())
            )
        )
    print(
        f"beside the best k in hindsight: {np.mean(worse):.3f} in the mean of prices, {min(worse):.3f} to {max(worse):.3f}"
    )


def _river(stream: Stream, what: str, **arrays: np.ndarray) -> dict[str, dict]:
    with tempfile.TemporaryDirectory() as scratch:
        facts = {"task": stream.task, "first": stream.begin, "step": stream.step, "delay": stream.delay}
        facts |= {"steps": stream.steps, "what": what}
        np.savez(Path(scratch) / "given.npz", inputs=stream.inputs, target=stream.target, **arrays)
        program = [environment("monitoring") / "python", HERE / "retraining_peers.py", scratch]
        done = subprocess.run([*program, json.dumps(facts)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)


if __name__ == "__main__":
    main()
