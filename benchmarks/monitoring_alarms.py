"""Tests that are looked at all the time: an alarm on losses beside driftfdr's and a test of rows that are fixed before, and verdicts on a challenger beside a z-test that is looked at each day; part of `monitoring.py`."""

import numpy as np
from scipy import stats

from benchmarks import monitoring_streams as streams
from benchmarks.monitoring_estimates import peers
from benchmarks.monitoring_streams import KINDS, LEVEL, QUIET, REFERENCE_ROWS, ROWS, TOLERANCES
from hardcover.modelling.evidence import Alarm, Comparison
from hardcover.monitoring.ledger import SURE


def _found(kind: str, tolerance: float, seed: int, more: float, days: int) -> int | None:
    """Return on which day there is an alarm, from 1; None without one."""
    chance = np.random.default_rng([76, seed])
    reference = KINDS[kind](chance, REFERENCE_ROWS, 1.0)
    usual, error = reference.mean(), reference.std() / np.sqrt(len(reference))
    # As the loop does: what is tolerated, or what the reference cannot tell from its own mean.
    alarm, most = Alarm(LEVEL), usual + max(tolerance * usual, SURE * error)
    for day in range(days):
        if alarm.see(KINDS[kind](chance, ROWS, more if day >= QUIET else 1.0), most):
            return day + 1
    return None


def alarms(many: int) -> None:
    """Print how soon a tenth more loss is found, and how often there is an alarm with nothing wrong."""
    theirs = peers("monitoring", "monitoring_peers.py", "harm", str(many))
    print(
        f"\na tenth more loss after {QUIET} quiet days of {ROWS} rows, {many} streams; one false alarm in {LEVEL:g} days; found within 5,000 rows, median rows, false alarms by day {LEVEL:g}"
    )
    for kind in KINDS:
        values = KINDS[kind](np.random.default_rng(77), 1_000_000, 1.0)
        for tolerance in TOLERANCES:
            days = [_found(kind, tolerance, seed, 1.1, QUIET + LEVEL) for seed in range(many)]
            quiet = [_found(kind, tolerance, seed, 1.0, LEVEL) for seed in range(many)]
            ours = streams.told(days, quiet)
            gap = (0.1 - tolerance) * values.mean()
            # Of a z-test with as few false alarms as a day's share of the level.
            errors = stats.norm.isf(1 / LEVEL) + stats.norm.isf(0.05)
            needed = errors**2 * values.var() / gap**2
            print(
                f"  {kind}, {tolerance:.0%} tolerated: {ours}; driftfdr {theirs.get(f'{kind} {tolerance}', theirs)}; one look after {needed:,.0f} rows finds it in 95 %"
            )


# A champion and a challenger differ on a twentieth of the rows; a day has so many; each day somebody looks, for so many days.
APART, A_DAY, LOOKS, ERROR = 0.05, 500, 100, 0.05


def _contest(chance: np.random.Generator, gain: float, days: int) -> tuple[int | None, int | None]:
    """Return on which day a challenger is taken for better, by bets and by a z-test of all rows so far; None where it is not."""
    comparison, sums, found = Comparison(1.0, 0.1 * gain or 0.002), np.zeros(2), [None, None]
    for day in range(days):
        same, apart = chance.random(A_DAY) < 0.2, chance.random(A_DAY) < APART
        ours = np.where(apart, chance.random(A_DAY) < 0.5, same).astype(float)
        theirs = np.where(apart, chance.random(A_DAY) < 0.5 - gain / APART, same).astype(float)
        comparison.see(ours, theirs)
        sums += (ours - theirs).sum(), ((ours - theirs) ** 2).sum()
        if found[0] is None and comparison.verdict(ERROR) == "better":
            found[0] = day + 1
        if found[1] is None and sums[0] > stats.norm.isf(ERROR) * np.sqrt(max(sums[1], 1.0)):
            found[1] = day + 1
    return found[0], found[1]


def contests(many: int) -> None:
    """Print how often a challenger that is no better is taken for it, and how many rows it takes to see that one is."""
    chance = np.random.default_rng(78)
    equal = np.array([_contest(chance, 0.0, LOOKS) for _ in range(many)], dtype=float)
    wrong = (~np.isnan(equal)).mean(axis=0)
    print(
        f"\nchallengers that are no better, looked at daily for {LOOKS} days, {many} contests: promoted {wrong[0]:.1%}, by a z-test at {ERROR:.0%} {wrong[1]:.1%}"
    )
    for gain in (0.002, 0.004, 0.01):
        fixed = (stats.norm.isf(ERROR) + stats.norm.isf(0.2)) ** 2 * APART * 0.5 / gain**2
        days = [_contest(chance, gain, int(6 * fixed / A_DAY) + 2)[0] for _ in range(many // 5)]
        rows = np.array([np.inf if day is None else day * A_DAY for day in days])
        print(
            f"  one that errs {gain:.1%} of rows less: median {np.median(rows):,.0f} rows, {np.median(rows) / fixed:.2f} times those of a test fixed before that finds 80 %; found in the end {np.isfinite(rows).mean():.1%}"
        )
