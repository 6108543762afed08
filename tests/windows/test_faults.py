"""Each way in which training and service part over time is found by the proof, and the window is named."""

import random
from datetime import timedelta

import pytest

from hardcover.proof import compare
from hardcover.runtime import track, window_plan, windows
from hardcover.runtime.events import NEVER, microseconds
from hardcover.runtime.histories import Histories
from tests.windows import cases

HOUR = 3_600 * cases.SECOND
# Around the hour that Berlin skips, 2026-03-29 at 01:00 UTC.
START = microseconds("2026-03-28T12:00:00")


@pytest.fixture
def plan():
    declared = {
        "spent": windows.total("x", by="card", over=timedelta(hours=6)),
        "risk": windows.share("y", by="card", over=timedelta(hours=6), delay=timedelta(hours=2)),
    }
    return window_plan.resolve(declared, cases.COLUMNS, {})


@pytest.fixture
def rows():
    """Return rows on whole hours, so that edges are met, a few at once, some late."""
    chance, made = random.Random(3), []
    for number in range(300):
        at = START + chance.randrange(0, 30) * HOUR
        got = at + chance.choice([0, 0, 0, 1, 5]) * HOUR
        known, value = got + 2 * HOUR, round(chance.uniform(1, 100), 2)
        label = float(chance.random() < 0.3)
        row = {"id": f"{number:03d}", "card": chance.choice("abc"), "shop": "s", "at": at, "got": got}
        made.append({**row, "known": known, "x": value, "y": label})
    return made


def answer(found):
    features = {name: [each[name] for each in found] for name in found[0]}
    return {"features": features, "raw": {}, "score": {"score": [0.0] * len(found)}, "label": {}}


def proof(plan, rows, change=lambda event: event):
    """Compare the offline engine with histories, to which each event comes as ``change`` makes it."""
    events, histories = (
        [change(event) for event in cases.events_of(plan, rows)],
        Histories(plan, timedelta(days=9)),
    )
    for event in events:
        histories.observe(event)
    offline, online = cases.answers_offline(plan, rows), cases.answers_online(plan, histories, events)
    return compare.compare({"module": answer(offline), "replay": answer(online)}, answer(offline))


def named(found):
    return {difference["column"] for difference in found["differences"] if difference["face"] == "replay"}


def test_without_a_fault_both_agree(plan, rows):
    assert proof(plan, rows)["passed"]


def test_a_look_ahead_is_found(plan, rows, monkeypatch):
    honest = track.Track.answer
    monkeypatch.setattr(
        track.Track,
        "answer",
        lambda self, found, time, asked, own: honest(self, found, time, asked + 6 * HOUR, own),
    )
    assert named(proof(plan, rows)) == {"spent", "risk"}


def test_a_window_that_begins_at_its_edge_instead_of_after_it_is_found(plan, rows, monkeypatch):
    monkeypatch.setattr(
        track,
        "bisect_right",
        lambda times, at, *ends: (track.bisect_left if len(ends) == 2 else BISECT)(times, at, *ends),
    )
    assert named(proof(plan, rows)) == {"spent", "risk"}


def test_an_event_of_the_same_moment_that_is_seen_is_found(plan, rows, monkeypatch):
    honest = track.Track.answer
    monkeypatch.setattr(
        track.Track, "answer", lambda self, found, time, asked, own: honest(self, found, time, asked + 1, own)
    )
    assert "spent" in named(proof(plan, rows))


def test_a_label_that_counts_before_it_was_known_is_found(plan, rows):
    assert named(proof(plan, rows, lambda event: event._replace(known=min(event.known, event.received)))) == {
        "risk"
    }


def test_times_of_another_zone_are_found_where_only_events_have_it(plan, rows):
    late = {row["id"] for row in rows[::2]}
    found = proof(plan, rows, lambda event: _moved(event, HOUR) if event.key in late else event)
    assert named(found) == {"spent", "risk"}


def test_the_hour_that_a_clock_skips_is_found(plan, rows):
    skipped = microseconds("2026-03-29T01:00:00")
    found = proof(plan, rows, lambda event: _moved(event, HOUR) if event.time >= skipped else event)
    assert named(found) == {"spent", "risk"}
    first = next(each for each in found["differences"] if each["column"] == "spent")
    assert rows[first["row"]]["at"] >= skipped


BISECT = track.bisect_right


def _moved(event, by):
    known = event.known if event.known == NEVER else event.known + by
    return event._replace(time=event.time + by, received=event.received + by, known=known)
