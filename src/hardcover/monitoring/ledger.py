"""The bets of a champion's tests, as they stand after each pass, and what each of them claims."""

from typing import Any

import numpy as np

from hardcover.modelling import evidence
from hardcover.monitoring import alerts, inputs
from hardcover.monitoring.feed import PERIODS
from hardcover.monitoring.reference import Reference
from hardcover.monitoring.season import Season, Usual
from hardcover.runtime.profile import Profile

# Standard errors of a one-sided limit of 95 %.
SURE = 1.645
NAMED = 3


class Ledger:
    """All bets on a champion.

    Parameters
    ----------
    tests
        What was bet so far, by test: the logarithms of its stakes, and the newest window that put something in. Kept up to date.
    reference
        The champion.
    options
        ``monitoring`` of ``conf/``.

    Attributes
    ----------
    tolerated
        The mean loss up to which nothing is wrong: as much more than on the holdout as is tolerated, or as the holdout cannot tell from its own mean.
    season
        What is usual of rows by their keys.
    calendar
        Inputs that are not bet on: within a window they have one value, whatever the data.
    """

    def __init__(self, tests: dict[str, Any], reference: Reference, options: dict):
        self._tests, self._reference, self._levels = tests, reference, alerts.levels(options)
        self._options, loss = options, reference.loss
        self.calendar = reference.of_the_calendar(PERIODS[options["window"]])
        groups = inputs.groups_of(reference.profile, len(reference.model.inputs))
        self._groups = [each for each in groups if each.name not in self.calendar]
        inside = inputs.rows_in(
            self._groups, reference.profile, reference.holdout.inputs, list(reference.model.inputs)
        )
        self.season = Season(reference, options.get("season", []), inside)
        self.tolerated = float(loss.mean() + self._allowed(loss, float(loss.mean()))) or 1e-12

    def tolerated_of(self, usual: Usual) -> float:
        """Return the mean loss up to which nothing is wrong, of rows of which such a loss is usual."""
        return usual.loss + self._allowed(self._reference.loss, usual.loss) or 1e-12

    def expected_at_most(self, usual: Usual) -> float:
        """Return the same of losses that are expected; the holdout's own expected loss is a little beside its loss."""
        return max(self.tolerated_of(usual) + usual.expected - usual.loss, 1e-12)

    def _allowed(self, values: np.ndarray, usual: float) -> float:
        error = np.sqrt(values.var() * self.season.dependence_of_loss / len(values))
        return float(max(usual * self._options["tolerance"], SURE * error))

    def on_losses(self, test: str, begin: str, losses: np.ndarray, mean: float) -> bool:
        """Bet against "answers cost no more in the mean"; return whether there is an alarm.

        Parameters
        ----------
        test, begin
            The test, and the window.
        losses, mean
            Shape (rows,), and what they are at most in the mean.
        """
        grown = evidence.growth(losses, mean, self.season.dependence_of_loss)
        return self._advance(test, begin, grown[None]) is not None

    def on_inputs(self, begin: str, profile: Profile, usual: Usual) -> tuple[list[str] | None, bool, bool]:
        """Bet against "no more rows than usual lie in each group of each input's values".

        Parameters
        ----------
        begin, profile, usual
            The window, its profile, and what is usual of its rows.

        Returns
        -------
        tuple
            What is wrong, with an alarm, the worst first, else None; whether all groups are as usual now; and whether something of that is broken, not
            only moved.
        """
        counts = inputs.counts_in(self._groups, profile)
        bound = inputs.bounds(self._groups, usual.shares, self._options["moved"], self._options["broken"])
        grown = inputs.growth(counts, profile.rows, bound, self.season.dependence)
        order, share = self._advance("inputs", begin, grown), counts / profile.rows
        beyond = share > bound
        if order is None:
            return None, not beyond.any(), False
        worst = order[beyond[order]][:NAMED]
        words = [
            f"{self._groups[place].words()}: {share[place]:.1%} of rows, {usual.shares[place]:.1%} usually"
            for place in worst
        ]
        broken = any(inputs.is_broken(self._groups[place].kind, float(share[place])) for place in worst)
        return words, not beyond.any(), broken

    def on_estimate(
        self, begin: str, target: np.ndarray, score: np.ndarray, losses: np.ndarray
    ) -> tuple[list[str] | None, bool]:
        """Bet against what scores meant on the holdout: that answers cost no more than that, and that no class comes more or less often.

        Parameters
        ----------
        begin
            The window.
        target, score, losses
            What became known, the scores, and what the answers cost.

        Returns
        -------
        tuple
            What is wrong, with an alarm, the worst first, else None; and whether all is as usual now.
        """
        reference = self._reference
        expected, usual = reference.meaning.losses(score), float(reference.loss.mean())
        most = float(max(expected.max(), usual))
        # A claim is that something, which is never negative, is no more in the mean than something else.
        claims = [
            ("answers cost more than scores said", losses + most - expected, most + self.tolerated - usual)
        ]
        if reference.task.has_classes:
            shares = reference.meaning.shares(score)
            for code, name in enumerate(reference.classes):
                came, were = (
                    (target == code).astype(np.float64),
                    (reference.target == code).astype(np.float64),
                )
                allowed, share = 1 + self._allowed(were, float(were.mean())), shares[:, code]
                words = f"of class {name}: {came.mean():.1%} of labels, {share.mean():.1%} by the scores"
                claims.append((f"more {words}", 1 + came - share, allowed))
                claims.append((f"fewer {words}", 1 + share - came, allowed))
        grown = np.array([evidence.growth(values, mean, reference.dependence) for _, values, mean in claims])
        order = self._advance("estimate", begin, grown)
        beyond = np.array([values.mean() > mean for _, values, mean in claims])
        if order is None:
            return None, not beyond.any()
        return [claims[place][0] for place in order[beyond[order]][:NAMED]], not beyond.any()

    def _advance(self, test: str, begin: str, grown: np.ndarray) -> np.ndarray | None:
        known = self._tests.get(test) or {"logs": np.full(grown.shape, evidence.NOTHING), "window": ""}
        alarm = evidence.Alarm(self._levels[test], np.array(known["logs"], dtype=np.float64))
        order = alarm.advance(grown, begin > known["window"])
        self._tests[test] = {"logs": alarm.logs.tolist(), "window": max(begin, known["window"])}
        return order
