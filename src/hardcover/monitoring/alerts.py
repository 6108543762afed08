"""Alerts: one for each episode, with an id that a replay gives again, and how many there may be in a year."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

PAGE, WARNING = "page", "warning"
# Windows in a year.
A_YEAR = {"hour": 8766.0, "day": 365.25, "week": 52.18}
# What each test is allowed of its tier's budget.
TIERS = {"harm": PAGE, "expected harm": PAGE, "inputs": WARNING, "estimate": WARNING}
SHARES = {"harm": 0.6, "expected harm": 0.4, "inputs": 0.7, "estimate": 0.3}


def levels(options: dict) -> dict[str, float]:
    """Return the level of each test: its alarms are one in so many windows at most, on average, while nothing is wrong.

    Parameters
    ----------
    options
        ``monitoring`` of ``conf/``: ``window``, ``pages_per_year`` and ``warnings_per_year``.
    """
    budget = {PAGE: options["pages_per_year"], WARNING: options["warnings_per_year"]}
    return {name: A_YEAR[options["window"]] / (budget[tier] * SHARES[name]) for name, tier in TIERS.items()}


@dataclass
class Episode:
    """Something that is wrong, from when it was noticed to when it was over.

    Attributes
    ----------
    id
        The same for the same case, wheel, test and window.
    test, tier
        What noticed it, and whether somebody is called (``page``) or told (``warning``).
    wheel
        Which answered.
    since, until
        The windows in which it was opened and closed; ``until`` None while it is open.
    what, why, next
        What is wrong, what most likely causes it, and the command to go on with.
    loss
        How much more each row costs than on the holdout, with ``low`` and ``high``, and the ``unit``; empty where it is unknown.
    rows
        Rows of the windows since it was opened.
    calm
        Windows without it since.
    broken
        Whether values are as no world would have them, from which no model should learn.
    """

    id: str
    test: str
    tier: str
    wheel: str
    since: str
    what: str
    why: list[str]
    next: str
    loss: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    calm: int = 0
    broken: bool = False
    until: str | None = None


class Episodes:
    """All episodes of a case, the oldest first.

    Parameters
    ----------
    known
        As `as_data` returns them.
    calm
        An episode is over after so many windows without it.
    """

    def __init__(self, known: list[dict], calm: int):
        self.every, self._calm = [Episode(**facts) for facts in known], calm

    def open(self, test: str) -> Episode | None:
        """Return the open episode of a test."""
        return next((each for each in reversed(self.every) if each.test == test and each.until is None), None)

    def see(self, test: str, window: str, rows: int, alarm: dict[str, Any] | None, usual: bool) -> None:
        """Open, go on with, or close a test's episode after a window.

        Parameters
        ----------
        test, window, rows
            The test's name, the window's begin, and its rows.
        alarm
            Of an alarm ``case``, ``wheel``, ``what``, ``why``, ``next`` and ``loss``; None without.
        usual
            Whether the window was as it should be.
        """
        found = self.open(test)
        if found is None:
            if alarm is None:
                return
            text = "\n".join([alarm.pop("case"), alarm["wheel"], test, window])
            name = hashlib.sha256(text.encode()).hexdigest()[:12]
            tier = TIERS.get(test, WARNING)
            self.every.append(Episode(id=name, test=test, tier=tier, since=window, rows=rows, **alarm))
            return
        found.rows += rows
        found.calm = 0 if alarm or not usual else found.calm + 1
        if found.calm >= self._calm:
            found.until = window

    def end(self, wheel: str, window: str) -> None:
        """Close what another wheel than this one was blamed for."""
        for each in self.every:
            if each.until is None and each.wheel != wheel:
                each.until = window

    def as_data(self) -> list[dict]:
        """Return them as plain data."""
        return [asdict(each) for each in self.every]
