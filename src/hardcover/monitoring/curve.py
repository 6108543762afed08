"""What probabilities of two classes meant: a smooth curve through their log-odds, with how sure it is."""

import numpy as np

# Quantiles of the log-odds at which the curve may bend; beyond the outer ones it is straight (Harrell, "Regression Modeling Strategies", 2.4.6).
KNOTS = [0.05, 0.35, 0.65, 0.95]
# What bending costs, so that few rows give a straight line.
RIDGE = 1e-2
# So little that it matters only where the outcomes of all rows are alike; of a shift and a slope.
LITTLE = np.full(2, 1e-3)
LITTLE.setflags(write=False)
TINY = 1e-9
_STEPS, _CLOSE = 50, 1e-10


class Curve:
    """A logistic regression of what came on a restricted cubic spline of the scores' log-odds.

    Parameters
    ----------
    score, target
        Probabilities of the second class, and 0 or 1; shape (rows,).
    dependence
        Of how many rows one counts.

    Attributes
    ----------
    weights, covariance
        Of the fit: shape (terms,), and (terms, terms).
    """

    def __init__(self, score: np.ndarray, target: np.ndarray, dependence: float = 1.0):
        odds = _log_odds(score)
        self._center, self._scale = float(odds.mean()), float(odds.std()) or 1.0
        self._knots = np.unique(np.quantile((odds - self._center) / self._scale, KNOTS))
        terms = self._terms(score)
        ridge = np.full(terms.shape[1], RIDGE)
        # The mean is free.
        ridge[0] = 1e-9
        prior = np.zeros(terms.shape[1])
        # From the model's own word: what it says is what comes.
        prior[:2] = self._center, self._scale
        weights, spread, curvature = _fitted(terms, target, prior, ridge, 5.0)
        self._dependence = dependence
        # Of shift and slope, where the curve is one of them only.
        line = np.column_stack([np.ones_like(odds), terms @ weights - (terms @ weights).mean()])
        self._variance = np.diag(np.linalg.inv(line.T @ (line * spread[:, None]) + np.diag(LITTLE)))
        self.weights, self.covariance = weights, np.linalg.inv(curvature) * dependence

    def _terms(self, score: np.ndarray) -> np.ndarray:
        x, knots = (_log_odds(score) - self._center) / self._scale, self._knots
        found = [np.ones_like(x), x]
        if len(knots) > 2:
            last, before, width = knots[-1], knots[-2], (knots[-1] - knots[0]) ** 2
            for knot in knots[:-2]:
                bend = (
                    np.maximum(x - knot, 0) ** 3
                    - np.maximum(x - before, 0) ** 3 * (last - knot) / (last - before)
                    + np.maximum(x - last, 0) ** 3 * (before - knot) / (last - before)
                )
                found.append(bend / width)
        return np.column_stack(found)

    def chance(self, score: np.ndarray) -> np.ndarray:
        """Return the probability of the second class, shape (rows,)."""
        return _chance(self._terms(score) @ self.weights)

    def regressed(self, score: np.ndarray, target: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Fit ``log-odds = shift + slope * (those of the curve)`` to other rows, centered where their log-odds are in the mean.

        Returns
        -------
        tuple
            The shift, beside the mean log-odds, the slope, and the standard errors of both, shape (2,): by chance of these rows, and of those of the curve.
        """
        odds = np.clip(self._terms(score) @ self.weights, -30, 30)
        middle = odds.mean()
        terms, same = np.column_stack([np.ones_like(odds), odds - middle]), np.array([middle, 1.0])
        weights, _, curvature = _fitted(terms, target, same, LITTLE, 2.0)
        variance = (np.diag(np.linalg.inv(curvature)) + self._variance) * self._dependence
        return float(weights[0] - middle), float(weights[1]), np.sqrt(variance)

    def drawn(self, score: np.ndarray, draws: int, chance: np.random.Generator) -> np.ndarray:
        """Return probabilities of curves that the holdout may have come from as well, shape (draws, rows)."""
        root = np.linalg.cholesky(self.covariance)
        weights = self.weights + chance.standard_normal((draws, len(self.weights))) @ root.T
        return _chance(weights @ self._terms(score).T)

    def variance_of_mean(self, score: np.ndarray, worth: np.ndarray) -> float:
        """Return the variance of the mean of ``worth`` times the probability, as far as it is the curve's (the delta method)."""
        terms, chance = self._terms(score), self.chance(score)
        slope = (terms * (worth * chance * (1 - chance))[:, None]).mean(axis=0)
        return float(slope @ self.covariance @ slope)


def _fitted(
    terms: np.ndarray, target: np.ndarray, prior: np.ndarray, ridge: np.ndarray, leap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a logistic regression by Newton's steps from its prior on.

    Parameters
    ----------
    terms, target
        Shape (rows, terms), and (rows,), 0 or 1.
    prior, ridge
        The weights that are likely before, and what it costs to leave them, shape (terms,).
    leap
        What a weight changes by at most in a step: steps may leap where nearly all is one class.

    Returns
    -------
    tuple
        The weights, the variance of each row's outcome, shape (rows,), and the curvature, shape (terms, terms).
    """
    weights = prior.copy()
    for _ in range(_STEPS):
        chance = _chance(terms @ weights)
        spread = np.maximum(chance * (1 - chance), 1e-12)
        curvature = terms.T @ (terms * spread[:, None]) + np.diag(ridge)
        step = np.linalg.solve(curvature, terms.T @ (target - chance) - ridge * (weights - prior))
        weights = weights + step * min(1.0, leap / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < _CLOSE:
            break
    return weights, spread, curvature


def _log_odds(score: np.ndarray) -> np.ndarray:
    safe = np.clip(score, TINY, 1 - TINY)
    return np.log(safe) - np.log1p(-safe)


def _chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
