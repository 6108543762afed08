"""A small portfolio of settings for the trees, tried in folds of the rows that a model learns from; the holdout is never seen.

Each was good on many tables: small trees on some of the features, and two of AutoGluon's portfolio of December 2025 (``_r177`` and
``_r163`` of ``zeroshot_portfolio_cpu_2025_12_18``), besides the settings of ``conf/``, which come first.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import lightgbm as lgb

CONFIGURED = "as configured"
PORTFOLIO: dict[str, dict[str, Any]] = {
    "small trees, some of the features": {
        "learning_rate": 0.03, "num_leaves": 10, "min_data_in_leaf": 20, "feature_fraction": 0.6, "bagging_fraction": 0.8,
    },
    "thresholds by chance": {
        "learning_rate": 0.018, "num_leaves": 39, "extra_trees": True, "feature_fraction": 0.462, "bagging_fraction": 0.877, "bagging_freq": 1,
        "min_data_in_leaf": 3, "lambda_l1": 0.238, "lambda_l2": 0.355, "min_data_per_group": 9, "cat_smooth": 15.4, "cat_l2": 0.342,
        "max_cat_to_onehot": 16,
    },
    "large trees, half of the features": {
        "learning_rate": 0.0114, "num_leaves": 84, "feature_fraction": 0.528, "bagging_fraction": 0.978, "bagging_freq": 1, "min_data_in_leaf": 3,
        "lambda_l1": 0.027, "lambda_l2": 0.838, "min_data_per_group": 75, "cat_smooth": 0.0093, "cat_l2": 0.155, "max_cat_to_onehot": 42,
    },
}  # fmt: skip
# They learn slowly, so they get so many times the rounds of ``conf/``.
MORE_ROUNDS = 3
# Those that take no longer than what is configured.
QUICK = tuple(PORTFOLIO)[:2]

# Of settings and callbacks, the mean and the standard deviation over folds of the loss after each round, up to the best one.
Measure = Callable[[dict[str, Any], Sequence[Callable]], tuple[list[float], list[float]]]


class Tried(NamedTuple):
    """One set of settings, and what it came to.

    Attributes
    ----------
    name, settings
        Of `PORTFOLIO`, or `CONFIGURED` and nothing.
    loss, deviation
        The mean over the folds of the metric that rounds are stopped by, at the best round, and its standard deviation.
    rounds, seconds
        The best number of rounds, and how long it took.
    """

    name: str
    settings: dict[str, Any]
    loss: float
    deviation: float
    rounds: int
    seconds: float


def tried(
    measure: Measure, names: Sequence[str], minutes: float, say: Callable[[str], None]
) -> Iterator[Tried]:
    """Yield what each set of settings comes to, the configured ones first.

    Parameters
    ----------
    measure
        Measures settings in folds.
    names
        Keys of `PORTFOLIO`.
    minutes
        After so many no other set begins, and a running one ends with the rounds that it has, but for the configured one.
    say
        What is told of each before it begins.
    """
    deadline = time.monotonic() + 60 * minutes
    for name in (CONFIGURED, *names):
        if name != CONFIGURED and time.monotonic() > deadline:
            return
        say(f"trying {name}")
        yield one(measure, name, [] if name == CONFIGURED else [_until(deadline)])


def one(measure: Measure, name: str, callbacks: Sequence[Callable] = ()) -> Tried:
    """Return what one set of settings comes to, `CONFIGURED` or a key of `PORTFOLIO`."""
    settings, started = PORTFOLIO.get(name, {}), time.monotonic()
    means, deviations = measure(settings, callbacks)
    return Tried(name, settings, means[-1], deviations[-1], len(means), time.monotonic() - started)


def best(found: Sequence[Tried], greater_is_better: bool) -> Tried:
    """Return the best of those that were tried; of equals the first."""
    return min(found, key=lambda each: -each.loss if greater_is_better else each.loss)


def settings_of(known: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return ``training`` of ``conf/`` with the portfolio's settings that a model was fitted by, which its parameters show."""
    for settings in PORTFOLIO.values():
        if settings.items() <= known.items():
            return with_more_rounds(options, settings)
    return options


def with_more_rounds(options: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return ``training`` of ``conf/`` with the settings of a portfolio, and the rounds that these take."""
    return {**options, **settings, "rounds": MORE_ROUNDS * options["rounds"]} if settings else options


def _until(deadline: float) -> Callable:
    def stop(state: Any) -> None:
        if time.monotonic() > deadline:
            raise lgb.callback.EarlyStopException(state.iteration, state.evaluation_result_list)

    stop.order = 40  # type: ignore[attr-defined]
    return stop
