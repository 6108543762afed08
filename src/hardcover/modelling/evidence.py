"""Tests that may be looked at as often as one likes: bets against "the mean loss is at most so much".

Who bets the share ``f`` of a stake on each loss ``x`` being above ``m`` multiplies it by ``1 + f (x / m - 1)``, which is never negative for losses that are
not, and which no losses of mean ``m`` or less let grow on average: what a stake has become is an e-value, at any time (Waudby-Smith and Ramdas, "Estimating
means of bounded random variables by betting", JRSS B 2024). Several stakes with different shares stand side by side, so that none has to be chosen.

An alarm for a stream without an end adds one unit to the stakes at the beginning of each window, and takes all when they reach a level (an e-detector, Shin,
Ramdas and Rinaldo, 2024). From a fair game no more is taken than was put in: with nothing wrong, there is on average at most one alarm in ``level``
windows, whatever the losses' distribution.
"""

from dataclasses import dataclass, field

import numpy as np

# Shares of a stake, from what finds a rare and large loss to what finds a common one.
SHARES = 2.0 ** -np.arange(1, 15)
SHARES.setflags(write=False)
# The logarithm of a stake of which nothing is left; finite, so that it can be written as JSON.
NOTHING = -1e300


def growth(losses: np.ndarray, mean: float, dependence: float = 1.0) -> np.ndarray:
    """Return the logarithm of what losses multiply each stake by, against "their mean is at most ``mean``".

    Parameters
    ----------
    losses
        Shape (rows,), 0 or more.
    mean
        Above 0.
    dependence
        Of how many rows only one counts, 1 or more. The product's root is an e-value still, when rows that are so many apart do not depend on each
        other: by Hölder's inequality, the mean of a product of roots is at most the product of the means' roots.

    Raises
    ------
    ValueError
        When a loss is negative or not finite, or the mean not above 0.
    """
    if not mean > 0 or not np.isfinite(losses).all() or (losses < 0).any():
        raise ValueError("losses must be finite and 0 or more, and the mean above 0")
    return np.log1p(np.multiply.outer(SHARES, losses / mean - 1)).sum(axis=1) / dependence


def log_mean(logs: np.ndarray) -> float:
    """Return the logarithm of the mean of what logarithms are given of."""
    top = logs.max()
    return float(top + np.log(np.exp(logs - top).mean()))


@dataclass
class Alarm:
    """Bets on a stream, window after window, against one or several claims at once.

    Attributes
    ----------
    level
        What the stakes must become in the mean: one alarm in so many windows at most, on average.
    logs
        The logarithm of each stake: shape (shares,), or (claims, shares).
    """

    level: float
    logs: np.ndarray = field(default_factory=lambda: np.full(len(SHARES), NOTHING))

    @property
    def value(self) -> float:
        """The logarithm of what the stakes are worth in the mean, beside that of ``level``."""
        return log_mean(self.logs)

    def advance(self, grown: np.ndarray, begins: bool = True) -> np.ndarray | None:
        """Let stakes grow; with an alarm, take all of them.

        Parameters
        ----------
        grown
            The logarithm of what each stake is multiplied by, of the shape of ``logs``.
        begins
            Whether a window begins with it, so that a unit is put in.

        Returns
        -------
        numpy.ndarray or None
            With an alarm, the claims in the order of what the stakes against them have become; None without.
        """
        self.logs = (np.logaddexp(self.logs, 0.0) if begins else self.logs) + grown
        if self.value < np.log(self.level):
            return None
        order = np.argsort([-log_mean(stakes) for stakes in np.atleast_2d(self.logs)], kind="stable")
        self.logs = np.full_like(self.logs, NOTHING)
        return order

    def see(self, losses: np.ndarray, mean: float, dependence: float = 1.0, begins: bool = True) -> bool:
        """Bet on losses, and return whether there is an alarm.

        Parameters
        ----------
        losses, mean, dependence
            As `growth` takes them.
        begins
            As of `advance`.
        """
        return self.advance(growth(losses, mean, dependence), begins) is not None


@dataclass
class Comparison:
    """Bets on the differences of two models' losses on the same rows, a block of rows after the other.

    Attributes
    ----------
    most
        The largest loss that a row can have; above 0.
    margin
        How much worse in the mean is not worse; above 0, and in the losses' unit.
    better, not_worse, worse
        The logarithms of the stakes against "the challenger's mean loss is no lower", "it is higher by the margin or more", and "it is no higher".
    """

    most: float
    margin: float
    better: np.ndarray = field(default_factory=lambda: np.zeros(len(SHARES)))
    not_worse: np.ndarray = field(default_factory=lambda: np.zeros(len(SHARES)))
    worse: np.ndarray = field(default_factory=lambda: np.zeros(len(SHARES)))

    def see(self, champion: np.ndarray, challenger: np.ndarray, dependence: float = 1.0) -> None:
        """Bet through more rows.

        Parameters
        ----------
        champion, challenger
            The losses of both, shape (rows,), from 0 to ``most``.
        dependence
            As of `growth`.
        """
        # A difference plus the largest loss is never negative, so it can be bet on like a loss.
        gain = champion - challenger
        self.better = self.better + growth(self.most + gain, self.most, dependence)
        self.not_worse = self.not_worse + growth(self.most + gain, self.most - self.margin, dependence)
        self.worse = self.worse + growth(self.most - gain, self.most, dependence)

    def verdict(self, error: float) -> str:
        """Return ``better``, ``worse``, ``not worse`` or ``unknown``; the first three are each wrong with probability ``error`` at most, whenever one looks."""
        proven = {
            name
            for name in ("better", "worse", "not_worse")
            if log_mean(getattr(self, name)) >= -np.log(error)
        }
        return next(
            (name.replace("_", " ") for name in ("worse", "better", "not_worse") if name in proven), "unknown"
        )


def dependence_of(losses: np.ndarray, windows: np.ndarray) -> float:
    """Return of how many rows only one counts: the variance of windows' mean losses, by what it would be if rows did not depend on each other.

    Parameters
    ----------
    losses
        Shape (rows,).
    windows
        Of each row, the number of its window, shape (rows,).

    Returns
    -------
    float
        1 or more; 1 when there are fewer than five windows, or losses do not vary.
    """
    rows, sums = np.bincount(windows), np.bincount(windows, weights=losses)
    rows, sums = rows[rows > 0], sums[rows > 0]
    variance = losses.var()
    if len(rows) < 5 or not variance > 0:
        return 1.0
    # Of independent rows, a window's sum less its rows times the mean has a variance of its rows times that of a row.
    excess = (sums - rows * losses.mean()) ** 2 / (rows * variance)
    return float(max(1.0, excess.sum() / (len(rows) - 1)))
