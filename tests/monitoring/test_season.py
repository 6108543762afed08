"""A window is compared with its like: weekends with weekends, a plant with itself."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hardcover.errors import HardcoverError
from hardcover.modelling.evidence import dependence_of
from hardcover.monitoring.ledger import Ledger
from hardcover.monitoring.reference import Scored
from hardcover.monitoring.season import Season
from hardcover.runtime.profile import Bins, Profile

BEGIN, WEEKS = pd.Timestamp("2026-01-05"), 20
BINS = Bins(["load", "plant", "score"], [[*np.linspace(-4, 8, 25)], [-0.5, 0.0, 1.0], []])
OPTIONS = {
    "window": "day",
    "tolerance": 0.05,
    "moved": 0.1,
    "broken": 0.02,
    "pages_per_year": 4,
    "warnings_per_year": 4,
}


def rows(chance: np.random.Generator, day: int, count: int = 300) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Draw a day's times, inputs and losses: on weekends, and in the second plant, there is more load, and answers cost more."""
    when = pd.Series(BEGIN + pd.Timedelta(days=day) + pd.to_timedelta(np.arange(count) * 250, unit="s"))
    plant = (chance.random(count) < 0.3).astype(float)
    load = chance.normal(0, 1, count) + 3.0 * (day % 7 >= 5) + 1.5 * plant
    loss = (chance.random(count) < 0.05 + 0.2 * (day % 7 >= 5)).astype(float)
    return when, np.column_stack([load, plant]), loss


def ledger(season: list[str]) -> Ledger:
    chance = np.random.default_rng(61)
    parts = [rows(chance, day) for day in range(-7 * WEEKS, 0)]
    when = pd.concat([each for each, _, _ in parts], ignore_index=True)
    table, loss = (np.concatenate([each[at] for each in parts]) for at in (1, 2))
    score, days = np.zeros((len(loss), 1)), when.dt.floor("D").rank(method="dense").astype(int).to_numpy()
    reference: Any = SimpleNamespace(
        model=SimpleNamespace(inputs=["load", "plant"]),
        levels={"plant": ["a", "b"]},
        holdout=Scored(table, score, score),
        when=when,
        loss=loss,
        meaning=SimpleNamespace(losses=lambda score: np.full(len(score), loss.mean())),
        dependence=dependence_of(loss, days),
        dependence_of=lambda values: dependence_of(values, days),
        profile=Profile.of(BINS, table, score),
        of_the_calendar=lambda _: set(),
    )
    return Ledger({}, reference, OPTIONS | {"season": season})


def alarms(season: list[str], days: int, fault: int | None = None) -> tuple[list[int], list[int]]:
    """Return the days on which inputs are elsewhere, and those on which answers cost more; from a day on, weekdays are like weekends."""
    bets, chance, inputs, harm = ledger(season), np.random.default_rng(62), [], []
    for day in range(days):
        when, table, loss = rows(chance, day)
        if fault is not None and day >= fault:
            _, table, loss = rows(chance, 5)
        usual = bets.season.usual(when, table)
        begin = when.iloc[0].isoformat()
        if bets.on_inputs(begin, Profile.of(BINS, table, np.zeros((len(loss), 1))), usual)[0] is not None:
            inputs.append(day)
        if bets.on_losses("harm", begin, loss, bets.tolerated_of(usual)):
            harm.append(day)
    return inputs, harm


@pytest.mark.parametrize("season", [[], ["weekday"]])
def test_weekends_are_no_drift_and_cost_what_weekends_cost(season):
    assert alarms(season, 140) == ([], [])


def test_weekdays_like_weekends_are_found_at_once_and_beside_one_average_late_or_never():
    elsewhere, harm = alarms(["weekday"], 30, fault=21)
    assert elsewhere[0] == 21
    assert harm[0] <= 22
    # What depends on the day of the week looks as if whole days were one row.
    elsewhere, harm = alarms([], 30, fault=21)
    assert min([*elsewhere, *harm, 99]) >= 25


def test_a_mix_of_plants_is_usual_and_a_key_that_is_new_is_compared_with_all():
    bets, chance = ledger(["weekday", "plant"]), np.random.default_rng(63)
    when, table, _ = rows(chance, 0, 4000)
    mixed = table[np.concatenate([np.flatnonzero(table[:, 1] == 1), np.flatnonzero(table[:, 1] == 0)[:100]])]
    shares = bets.season.usual(when.iloc[: len(mixed)], mixed).shares
    places = BINS.place("load", mixed[:, 0])
    loads = [group for group in bets._groups if group.name == "load" and len(group.bins)]
    seen = np.array([np.isin(places, group.bins).mean() for group in loads])
    mine = [number for number, group in enumerate(bets._groups) if group.name == "load" and len(group.bins)]
    assert np.abs(shares[mine] - seen).max() < 0.05
    unknown = table.copy()
    unknown[:, 1] = 7.0
    overall = ledger([]).season.usual(when, table).shares
    assert bets.season.usual(when, unknown).shares == pytest.approx(overall)


def test_what_makes_no_season_is_refused():
    with pytest.raises(HardcoverError, match="'load' makes no season"):
        ledger(["load"])
    # A time and a category together make one.
    assert isinstance(ledger(["hour", "plant"]).season, Season)
