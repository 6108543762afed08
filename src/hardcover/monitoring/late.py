"""What answers cost whose labels are still to come: what scores said, and how far off that was where labels have come.

Labels that come early may be others than those that come late: a booking is cancelled before the day on which its guest would have arrived. How many of a class's labels come how late is told by windows that are
older (a chain ladder; Mack, "Distribution-free calculation of the standard error of chain ladder reserve estimates", ASTIN Bulletin 1993), and each label counts one over the share of its class that has come (Horvitz and
Thompson, JASA 1952). How far off scores are may change from window to window and come back: a walk, seen through what chance makes of a window's labels (a local level; Durbin and Koopman, "Time Series Analysis by
State Space Methods", 2012). How fast it moves and how much of it lasts are unknown, so several walks are weighed by how likely they make what was seen.
"""

from typing import Any

import numpy as np
import pandas as pd

from hardcover.monitoring.feed import PERIODS
from hardcover.monitoring.reference import Reference

# Ages, in windows, from which labels are counted together: each up to 8, then four to a doubling.
AGES = np.array([*range(8), *(base * part // 4 for base in 2 ** np.arange(3, 14) for part in range(4, 8))])
# The last age of each.
_ENDS = np.append(AGES[1:], 2 * AGES[-1]) - 1
# A window of which so many labels have come shows itself what it cost; a class of which fewer have come than this says nothing yet.
WHOLE, FEW = 0.95, 0.1
# Labels of a class of which none has come, though the holdout has so many among as many.
MISSED = 10
# What a window keeps of the level before it, and the variance of a step beside that of a window's mean by chance: each pair is as likely as another beforehand.
KEPT = np.array([1.0, 0.98, 0.9, 0.6])
PACES = np.array([0.0, 1e-3, 1e-2, 0.1, 1.0])
for _each in (AGES, _ENDS, KEPT, PACES):
    _each.setflags(write=False)


def learn(
    windows: list[dict[str, Any]],
    reference: Reference,
    table: pd.DataFrame,
    target: np.ndarray,
    before: np.ndarray,
    score: np.ndarray,
    period: str,
) -> None:
    """Add to a champion's windows how late labels came, and what its answers cost beside what scores said.

    Parameters
    ----------
    windows
        The champion's, which are changed.
    reference
        The champion.
    table, target, before
        Its answers, as `Watch.learn` takes them.
    score
        Shape (rows,) or (rows, classes).
    period
        How long a window is, a name of ``PERIODS``.
    """
    expected = reference.meaning.losses(score)
    begins, came = (pd.PeriodIndex(table[name], freq=PERIODS[period]) for name in ("time", "known"))
    ages, by_begin = came.asi8 - begins.asi8, {each["begin"]: each for each in windows}
    # A label that is corrected is taken away as it was.
    for all_known, sign in ((target, 1), (before, -1)):
        has = ~np.isnan(all_known)
        known = all_known[has]
        excess = reference.losses(known, score[has]) - expected[has]
        classes = known if reference.task.has_classes else np.zeros(len(known))
        for begin, rows in table[has].groupby(begins[has]).indices.items():
            if window := by_begin.get(begin.start_time.isoformat()):
                count(window, ages[has][rows], classes[rows], excess[rows], sign)


def outlook(
    windows: list[dict[str, Any]], reference: Reference, until: str | None, period: str
) -> dict[str, dict[str, float]]:
    """Return what windows of a champion cost in the mean of whose labels some are still to come, as `estimated` does.

    Parameters
    ----------
    windows, reference
        The champion's, and the champion.
    until
        When the newest label became known; None where none is.
    period
        How long a window is, a name of ``PERIODS``.
    """
    if until is None or not any("came" in each for each in windows):
        return {}
    loss, dependence = reference.loss, reference.dependence
    classes = reference.target if reference.task.has_classes else np.zeros(len(loss))
    shares = np.bincount(classes.astype(int), minlength=len(reference.classes)) / len(loss)
    variance = float(loss.var()) * dependence / len(loss)
    return estimated(windows, period, until, shares, variance, dependence)


def count(
    window: dict[str, Any], ages: np.ndarray, target: np.ndarray, excess: np.ndarray, sign: int = 1
) -> None:
    """Add labels that have come to a window.

    Parameters
    ----------
    window
        Of the state, which is changed: ``came`` has, of each age and class, the age, the class, how many labels came, and the sum of what answers cost beside what their scores said, and of its squares.
    ages
        After how many windows each came, shape (rows,).
    target
        A class by its position; 0 where there are none, shape (rows,).
    excess
        What each answer cost beside what its score said, shape (rows,).
    sign
        -1 takes away what was counted for a label that is corrected now.
    """
    sums = {(age, code): [rows, much, squares] for age, code, rows, much, squares in window.get("came", [])}
    places = AGES[np.searchsorted(AGES, np.maximum(ages, 0), side="right") - 1]
    for age, code in np.unique(np.column_stack([places, target]).astype(int), axis=0).tolist():
        mine = excess[(places == age) & (target == code)]
        more = [sign * len(mine), sign * float(mine.sum()), sign * float((mine**2).sum())]
        sums[age, code] = [a + b for a, b in zip(sums.get((age, code), [0, 0.0, 0.0]), more, strict=True)]
    window["came"] = [[*key, *sums[key]] for key in sorted(sums)]


def estimated(
    windows: list[dict[str, Any]],
    period: str,
    until: str,
    shares: np.ndarray,
    variance: float,
    dependence: float,
) -> dict[str, dict[str, float]]:
    """Return what windows cost in the mean of whose labels some are still to come.

    Parameters
    ----------
    windows
        The champion's, in order, with ``expected`` and what `count` kept.
    period
        How long a window is, a name of ``PERIODS``.
    until
        When the newest label became known.
    shares
        Of the holdout's rows in each class, shape (classes,); of one where there are none.
    variance
        Of the mean of what scores said, as the holdout knows it.
    dependence
        Of how many rows one counts.

    Returns
    -------
    dict
        By a window's begin ``estimate``, and ``low`` and ``high``, between which it is in 95 %; empty while no labels say how far off scores are.
    """
    begins = pd.PeriodIndex([each["begin"] for each in windows], freq=PERIODS[period]).asi8
    ages = pd.Period(until, freq=PERIODS[period]).ordinal - begins
    came = _came(windows, len(shares))
    rows, sums, squares = came[..., -1, :]
    served, has = np.array([each["rows"] for each in windows]), rows.sum(axis=0) > 0
    if not _has_all(came[0], served, ages, shares):
        return {}
    arrived = _arrived(came[0], ages)
    share = np.maximum(arrived, FEW)
    counted = (rows / share).sum(axis=1)
    usable = (counted > 0) & (arrived[:, has] >= FEW).all(axis=1)
    if not usable.any():
        return {}
    mean = sums.sum() / rows.sum()
    chance = max(float(squares.sum() / rows.sum() - mean**2), 1e-12) * dependence
    counted = np.where(usable, counted, 1.0)
    seen = np.where(usable, (sums / share).sum(axis=1) / counted, np.nan)
    noise = chance * (rows / share**2).sum(axis=1) / counted**2
    level, spread = _level(begins, seen, noise, variance)
    found = {}
    for place, window in enumerate(windows):
        if window["labelled"]["rows"] < WHOLE * window["rows"]:
            middle = window["expected"]["estimate"] + float(level[place])
            error = 1.96 * float(np.sqrt(spread[place] + chance / window["rows"]))
            limits = {"low": max(0.0, middle - error), "high": max(0.0, middle + error)}
            found[window["begin"]] = {"estimate": max(0.0, middle), **limits}
    return found


def _came(windows: list[dict[str, Any]], classes: int) -> np.ndarray:
    """Return labels, their sums and their squares, up to each age, shape (3, windows, ages, classes)."""
    found = np.zeros((3, len(windows), len(AGES), classes))
    for place, window in enumerate(windows):
        for age, code, *values in window.get("came", []):
            found[:, place, np.searchsorted(AGES, age), code] = values
    return found.cumsum(axis=2)


def _has_all(rows: np.ndarray, served: np.ndarray, ages: np.ndarray, shares: np.ndarray) -> bool:
    """Check whether the oldest windows have all labels that they will have: of all rows, or of each class hardly any came of late."""
    whole = np.searchsorted(_ENDS, ages, side="right") - 1
    oldest, last = whole == whole.max(), int(whole.max())
    if last < 0:
        return False
    came, before = rows[oldest, last].sum(axis=0), rows[oldest, last - 1].sum(axis=0) if last else 0.0
    if came.sum() >= WHOLE * served[oldest].sum():
        return True
    total = rows[:, -1].sum(axis=0)
    is_missing = (total == 0) & (shares * total.sum() >= MISSED)
    return not is_missing.any() and bool((came - before <= (1 - WHOLE) * came).all())


def _arrived(rows: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """Return the share of each class's labels that has come to each window, by those of older ones; shape (windows, classes)."""
    shares = np.ones((len(AGES) + 1, rows.shape[2]))
    shares[0] = 0.0
    for place in range(len(AGES) - 1, 0, -1):
        whole = ages >= _ENDS[place]
        before, after = rows[whole, place - 1].sum(axis=0), rows[whole, place].sum(axis=0)
        factor = np.divide(before, after, out=np.ones_like(before), where=after > 0)
        shares[place] = shares[place + 1] * factor
    place = np.searchsorted(AGES, np.maximum(ages, 0), side="right") - 1
    inside = ((ages - AGES[place] + 1) / (_ENDS[place] - AGES[place] + 1)).clip(0, 1)[:, None]
    return shares[place] + (shares[place + 1] - shares[place]) * inside


def _level(
    begins: np.ndarray, seen: np.ndarray, noise: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the level at each window and its variance, of all walks together, each by how likely it is."""
    base = float(np.median(noise[~np.isnan(seen)]))
    steps = np.diff(begins, prepend=begins[:1])
    found = [
        _smoothed(steps, seen, noise, variance, kept, pace * base)
        for kept in KEPT
        for pace in (PACES if kept == 1.0 else PACES[1:])
    ]
    logs = np.array([each[2] for each in found])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    levels, spreads = (np.array([each[part] for each in found]) for part in (0, 1))
    level = weights @ levels
    return level, weights @ (spreads + levels**2) - level**2


def _smoothed(
    steps: np.ndarray, seen: np.ndarray, noise: np.ndarray, variance: float, kept: float, pace: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the level at each window and its variance, by all windows, and the logarithm of how likely the walk makes what was seen (Kalman's filter, and the smoother of Rauch, Tung and Striebel)."""
    level, spread, likely = 0.0, variance, 0.0
    after, ahead = np.empty((2, len(seen))), np.empty((2, len(seen)))
    stays = kept**steps
    moves = pace * (steps if kept == 1.0 else (1 - stays**2) / (1 - kept**2))
    for place, (value, error) in enumerate(zip(seen, noise, strict=True)):
        level, spread = stays[place] * level, stays[place] ** 2 * spread + moves[place]
        ahead[:, place] = level, spread
        if not np.isnan(value):
            total = spread + error
            likely -= 0.5 * (np.log(total) + (value - level) ** 2 / total)
            gain = spread / total
            level, spread = level + gain * (value - level), spread * (1 - gain)
        after[:, place] = level, spread
    levels, spreads = after.copy()
    for place in range(len(seen) - 2, -1, -1):
        back = after[1, place] * stays[place + 1] / max(ahead[1, place + 1], 1e-300)
        levels[place] += back * (levels[place + 1] - ahead[0, place + 1])
        spreads[place] += back**2 * (spreads[place + 1] - ahead[1, place + 1])
    return levels, spreads, likely
