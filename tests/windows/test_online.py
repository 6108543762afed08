"""Events in service: what is kept, what is refused, what survives."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from hardcover.runtime import features, window_plan, windows
from hardcover.runtime.events import microseconds
from hardcover.runtime.histories import ConflictingEvent, Histories
from hardcover.runtime.histories_sqlite import SqliteHistories
from hardcover.runtime.histories_valkey import ValkeyHistories
from hardcover.runtime.online import Online
from hardcover.runtime.records import Fields, InvalidRecord
from hardcover.runtime.snapshot import DamagedHistories
from hardcover.runtime.stored import Cache, HistoriesUnavailable
from tests.windows import cases

SCHEMA = {"properties": {"x": {"type": "number"}}, "required": ["x"]}
DECLARED = {
    "total": windows.total("x", by="card", over=timedelta(hours=1)),
    "risk": windows.share("y", by="card", over=timedelta(hours=2)),
}


def online(declared=None) -> Online:
    declared = declared or DECLARED
    plan = window_plan.resolve(declared, cases.COLUMNS, {})
    return Online(plan, Fields(SCHEMA), features.resolve({}, ["x", *declared, "at"]))


def event(key="1", at="2026-03-01T10:00:00", **other) -> dict:
    return {"id": key, "card": "a", "shop": "s", "at": at, "got": at, "x": 2.5, **other}


def asked(service, at="2026-03-01T10:30:00", **other):
    record = {"card": "a", "at": at, "got": at, "x": 1.0, **other}
    values = service.inputs(record, {"x": 1.0})
    return {name: values[name] for name in service.plan.windows}


def test_an_event_counts_for_who_asks_later_and_not_for_itself():
    service = online()
    assert service.observe(event())
    assert asked(service)["total"] == 2.5
    assert asked(service, at="2026-03-01T10:00:00")["total"] == 0.0
    # An hour later its edge is passed; the window's start is not in it.
    assert asked(service, at="2026-03-01T10:59:59.999999")["total"] == 2.5
    assert asked(service, at="2026-03-01T11:00:00")["total"] == 0.0


def test_an_event_that_comes_again_counts_once_and_another_with_its_key_is_refused():
    service = online()
    service.observe(event())
    assert not service.observe(event())
    assert service.histories.counts["repeated"] == 1
    with pytest.raises(ConflictingEvent, match="'1' is kept with other content"):
        service.observe(event(x=3.0))
    assert asked(service)["total"] == 2.5


def test_a_label_counts_from_when_it_was_known_and_may_come_alone():
    service = online()
    service.observe(event())
    assert math.isnan(asked(service)["risk"])
    assert service.observe({"id": "1", "y": 1.0, "known": "2026-03-01T10:20:00"})
    assert asked(service)["risk"] == 1.0
    assert math.isnan(asked(service, at="2026-03-01T10:20:00")["risk"])
    assert not service.observe({"id": "1", "y": 1.0, "known": "2026-03-01T10:20:00"})
    with pytest.raises(ConflictingEvent):
        service.observe({"id": "1", "y": 0.0, "known": "2026-03-01T10:20:00"})


def test_a_label_of_an_event_that_is_not_kept_is_counted():
    service = online()
    assert not service.observe({"id": "9", "y": 1.0, "known": "2026-03-01T10:20:00"})
    assert service.histories.counts["late"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at": None}, "at: is missing"),
        ({"at": "yesterday"}, "no time by ISO 8601"),
        ({"at": 1772359200}, "give a datetime, or a text"),
        ({"at": "1026-03-01"}, "not between 1900 and 2200"),
        ({"got": "2026-13-01"}, "no time by ISO 8601"),
        ({"card": 7}, "not the name of an entity"),
        ({"id": None}, "does not name the event"),
        ({"id": 7}, "does not name the event"),
        ({"x": math.inf}, "not finite"),
        ({"x": "2.5"}, "not a number"),
        ({"y": 1.0}, "known: is missing, but 'y' is given"),
        ({"y": "yes", "known": "2026-03-01T10:20:00"}, "not a number"),
    ],
)
def test_an_event_that_cannot_be_is_refused_and_not_kept(change, said):
    service = online()
    with pytest.raises(InvalidRecord, match=said):
        service.observe({**event(), **change})
    assert len(service.histories) == 0


def test_an_event_without_its_entity_is_kept_for_nobody():
    service = online()
    assert service.observe(event(card=None))
    assert asked(service)["total"] == 0.0
    assert asked(service, card=None)["total"] == 0.0


@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-29T03:30:00+02:00",
        "2026-03-29T01:30:00Z",
        "2026-03-28T20:30:00-05:00",
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30),
    ],
)
def test_one_moment_is_one_number_in_whatever_zone_it_is_told(moment):
    # In Berlin, the hour from 2 to 3 of that day does not exist; in UTC it is any hour.
    assert microseconds(moment) == microseconds("2026-03-29T01:30:00")


def test_what_is_older_than_what_is_kept_is_counted_and_who_asks_for_it_is_told():
    service = online({"total": windows.total("x", by="card", over=timedelta(hours=1))})
    for hour in range(12):
        service.observe(event(str(hour), f"2026-03-01T{hour:02d}:00:00"))
    assert len(service.histories) < 6
    assert not service.observe(event("late", "2026-03-01T00:30:00"))
    assert service.histories.counts["late"] == 1
    assert asked(service, at="2026-03-01T11:30:00")["total"] == 2.5
    with pytest.raises(ValueError, match="were dropped; keep histories for longer"):
        asked(service, at="2026-03-01T01:30:00")


def test_a_snapshot_holds_all_and_a_damaged_or_foreign_one_is_refused(tmp_path):
    service, path = online(), tmp_path / "histories"
    for number in range(20):
        service.observe(event(str(number), f"2026-03-01T10:{number:02d}:00"))
    service.histories.save(path)
    other = online()
    other.histories.restore(path)
    assert asked(other) == asked(service)
    assert other.histories.sizes()["events"] == 20

    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole[:60] + b"x" + whole[61:]):
        path.write_bytes(damaged)
        with pytest.raises(DamagedHistories, match=r"cut off|no snapshot"):
            online().histories.restore(path)
    path.write_bytes(whole)
    with pytest.raises(DamagedHistories, match="of other windows"):
        online({"n": windows.count(by="shop", over=3)}).histories.restore(path)


def test_an_event_without_a_text_comes_again_to_every_store(tmp_path, valkey_server):
    declared = {"shops": windows.distinct("shop", by="card", over=5)}
    plan = online(declared).plan
    valkey_server.flushall()
    saved = online(declared)
    saved.observe(event(shop=None))
    saved.histories.save(tmp_path / "histories")
    restored = Histories(plan)
    restored.restore(tmp_path / "histories")
    stores = (
        restored,
        SqliteHistories(plan, tmp_path / "histories.db"),
        ValkeyHistories(plan, valkey_server, "text"),
    )
    for number, store in enumerate(stores):
        service = online(declared)
        service.histories = store
        assert service.observe(event(shop=None)) == (number > 0)
        assert not service.observe(event(shop=None))
        assert asked(service, shop="s")["shops"] == 0.0


@pytest.mark.parametrize("kind", ["SQLite", "Valkey"])
def test_more_entities_than_a_reader_keeps_are_answered_alike(tmp_path, valkey_server, monkeypatch, kind):
    declared = {**DECLARED, "busy": windows.count(by="shop", over=timedelta(hours=1))}
    service, few = online(declared), online(declared)
    monkeypatch.setattr(Cache.__init__, "__defaults__", (3,))
    valkey_server.flushall()
    plan = service.plan
    few.histories = (
        SqliteHistories(plan, tmp_path / "histories.db")
        if kind == "SQLite"
        else ValkeyHistories(plan, valkey_server, "few")
    )
    chance = random.Random(1)
    who = [{"card": chance.choice("abc"), "shop": chance.choice("stuvw")} for _ in range(60)]
    for number, each in enumerate(who):
        one = event(str(number), f"2026-03-01T10:{number:02d}:00", **each)
        assert service.observe(one) == few.observe(one)
        assert asked(few, **each) == asked(service, **each)


def test_workers_histories_are_merged():
    one, two = online(), online()
    one.observe(event("1"))
    two.observe(event("1"))
    two.observe(event("2", "2026-03-01T10:10:00"))
    one.histories.merge(two.histories)
    assert asked(one)["total"] == 5.0


def test_a_store_that_is_gone_full_or_foreign_is_an_error_that_says_so(tmp_path, valkey_server):
    plan = online().plan
    with pytest.raises(HistoriesUnavailable, match="unable to open"):
        SqliteHistories(plan, tmp_path / "no" / "folder.db")
    (tmp_path / "text.db").write_bytes(b"this is no database, and it is long enough to be asked about " * 20)
    with pytest.raises(DamagedHistories, match="no database"):
        SqliteHistories(plan, tmp_path / "text.db")
    SqliteHistories(plan, tmp_path / "mine.db").close()
    other = online({"n": windows.count(by="shop", over=3)}).plan
    with pytest.raises(DamagedHistories, match="other windows"):
        SqliteHistories(other, tmp_path / "mine.db")

    valkey_server.flushall()
    ValkeyHistories(plan, valkey_server, "mine")
    with pytest.raises(DamagedHistories, match="other windows"):
        ValkeyHistories(other, valkey_server, "mine")


def test_a_full_disk_keeps_what_was_kept(tmp_path):
    service = online()
    service.histories = SqliteHistories(service.plan, tmp_path / "small.db")
    service.observe(event("1"))
    with service.histories._using() as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")

    def many():
        for number in range(2, 500):
            service.observe(event(str(number), f"2026-03-01T10:{number % 60:02d}:{number // 60:02d}"))

    with pytest.raises(HistoriesUnavailable, match="full"):
        many()
    kept = service.histories.counts["observed"]
    service.histories.close()
    assert asked(service)["total"] >= 2.5
    with service.histories._using() as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (kept,)
        assert database.execute("SELECT count(*) FROM places").fetchone() == (kept,)
