"""Both engines say what the referee says, to the bit, whatever the windows, the events and their arrival."""

import os
import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardcover.modelling import windows as offline
from hardcover.runtime import window_plan
from hardcover.runtime.events import NEVER
from hardcover.runtime.histories import Histories
from hardcover.runtime.histories_sqlite import SqliteHistories
from hardcover.runtime.histories_valkey import ValkeyHistories
from tests.windows import cases, referee

# Longer than all that happens here.
KEEP = timedelta(days=1)
# A hundred thousand in `make soak`.
MANY = settings(max_examples=50_000) if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else settings()


def expected(plan, events):
    return cases.bits([referee.answer(plan, events, event) for event in events])


@MANY
@given(cases.plans(), cases.tables())
def test_the_offline_engine_answers_as_the_referee(plan, rows):
    assert cases.bits(cases.answers_offline(plan, rows)) == expected(plan, cases.events_of(plan, rows))


@given(cases.plans(), cases.tables())
def test_the_offline_engine_in_python_answers_as_the_one_in_c(plan, rows):
    table = cases.table_of(plan, rows)
    for place, by in enumerate(plan.entities):
        names = [name for name, window in plan.windows.items() if window.by == by]
        found, alone = offline.compute(table), offline.in_python(table, place, names)
        for name in names:
            assert cases.bits([{"": found[name]}]) == cases.bits([{"": alone[name]}])


@MANY
@given(cases.plans(), cases.tables(), st.randoms(use_true_random=False))
def test_histories_answer_as_the_referee_in_any_order_of_arrival(plan, rows, chance):
    events, histories = cases.events_of(plan, rows), Histories(plan, KEEP)
    arriving = [*events, *chance.choices(events, k=3)]
    chance.shuffle(arriving)
    for event in arriving:
        histories.observe(event)

    assert cases.bits(cases.answers_online(plan, histories, events)) == expected(plan, events)
    assert histories.counts["observed"] == len(events)


@given(cases.plans(), cases.tables())
def test_a_replay_answers_each_row_by_what_had_arrived_and_labels_by_when_they_were_known(plan, rows):
    events, histories, found = cases.events_of(plan, rows), Histories(plan, KEEP), {}
    messages = [
        (event.received, 1, event._replace(known=NEVER, values=blank(plan, event))) for event in events
    ]
    messages += [(max(event.known, event.received), 2, event) for event in events if event.known != NEVER]
    # A row is asked about before anything of the same microsecond is there.
    messages += [(event.received, 0, event) for event in events]
    for _, kind, event in sorted(messages, key=lambda message: message[:2]):
        if kind:
            histories.observe(event)
        else:
            (found[event.key],) = cases.answers_online(plan, histories, [event])

    assert cases.bits([found[event.key] for event in events]) == expected(plan, events)


def blank(plan, event):
    pairs = zip(plan.columns, event.values, strict=True)
    return tuple(float("nan") if name in plan.labels else value for name, value in pairs)


@given(cases.plans(), cases.tables(12), st.randoms(use_true_random=False))
def test_sqlite_answers_as_the_referee(tmp_path_factory, plan, rows, chance):
    events = cases.events_of(plan, rows)
    histories = SqliteHistories(plan, tmp_path_factory.mktemp("sqlite") / "histories.db", KEEP)
    observe_repeated_and_labelled_later(histories, events, chance)

    assert cases.bits(cases.answers_online(plan, histories, events)) == expected(plan, events)
    assert histories.counts["observed"] == len(events)
    histories.close()


@given(cases.plans(), cases.tables(12), st.randoms(use_true_random=False))
def test_valkey_answers_as_the_referee(valkey_server, plan, rows, chance):
    valkey_server.flushall()
    events, histories = cases.events_of(plan, rows), ValkeyHistories(plan, valkey_server, "case", KEEP)
    observe_repeated_and_labelled_later(histories, events, chance)

    assert cases.bits(cases.answers_online(plan, histories, events)) == expected(plan, events)
    assert histories.counts["observed"] == len(events)


@given(cases.plans(), cases.tables(), st.randoms(use_true_random=False))
def test_histories_saved_and_restored_at_any_moment_answer_as_the_referee(
    tmp_path_factory, plan, rows, chance
):
    events, path = cases.events_of(plan, rows), tmp_path_factory.mktemp("saved") / "histories"
    messages = [event._replace(known=NEVER, values=blank(plan, event)) for event in events]
    messages += chance.sample([*events, *events], k=2 * len(events))
    histories = Histories(plan, KEEP)
    for message in messages:
        if chance.random() < 0.1:
            histories.save(path)
            histories = Histories(plan, KEEP)
            histories.restore(path)
        if chance.random() < 0.2:
            histories.answer(message.time, message.received, message.entities, message.values)
        histories.observe(message)
    histories.save(path)
    other = Histories(plan, KEEP)
    other.restore(path)

    for each in (histories, other):
        assert len(each) == len(events)
        assert sorted(event.key for event in each.events()) == sorted(event.key for event in events)
        assert cases.bits(cases.answers_online(plan, each, events)) == expected(plan, events)
        assert each.sizes()["events"] == len(events)


@given(cases.plans(), cases.tables(12))
def test_what_rows_of_one_moment_share_is_found_once_and_is_the_same(tmp_path_factory, plan, rows):
    events = cases.events_of(plan, rows)
    stores = (
        Histories(plan, KEEP),
        SqliteHistories(plan, tmp_path_factory.mktemp("known") / "histories.db", KEEP),
    )
    for store in stores:
        for event in events:
            store.observe(event)
        known = {}
        for event in [*events, *events]:
            asked = event.time, event.received, event.entities, event.values
            names = list(plan.windows)
            once = dict(zip(names, store.answer(*asked, known), strict=True))
            assert cases.bits([once]) == cases.bits([dict(zip(names, store.answer(*asked), strict=True))])
    stores[1].close()


def observe_repeated_and_labelled_later(histories, events, chance):
    arriving = [*events, *chance.choices(events, k=2)]
    chance.shuffle(arriving)
    for event in arriving:
        histories.observe(event._replace(known=NEVER, values=blank(histories.plan, event)))
    for event in arriving:
        histories.observe(event)


@given(cases.plans(), cases.tables())
def test_what_comes_later_changes_nothing_before(plan, rows):
    moment = sorted(row["got"] for row in rows)[len(rows) // 2]
    before = [row for row in rows if row["got"] <= moment]
    # A label that is known later is not there yet.
    early = [{**row, "known": NEVER, "y": float("nan")} if row["known"] > moment else row for row in before]
    whole, part = cases.answers_offline(plan, rows), cases.answers_offline(plan, early)

    kept = [number for number, row in enumerate(rows) if row["got"] <= moment]
    assert cases.bits([whole[number] for number in kept]) == cases.bits(part)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_with_late_events_is_answered_as_the_referee_does(seed):
    chance = random.Random(seed)
    columns = cases.COLUMNS
    declared = {f"_{name}": window for name, window in long_windows().items()}
    plan = window_plan.resolve(declared, columns, {})
    rows = []
    for number in range(400):
        at = chance.randrange(0, 3_000) * cases.SECOND
        got = at + (chance.randrange(0, 2_000) * cases.SECOND if chance.random() < 0.05 else 0)
        known, value = got + 50 * cases.SECOND, round(chance.uniform(0, 500), 2)
        rows.append(
            {
                "id": f"{number:03d}",
                "card": "a",
                "shop": "s",
                "at": at,
                "got": got,
                "known": known,
                "x": value,
                "y": 1.0,
            }
        )
    events = cases.events_of(plan, rows)

    assert cases.bits(cases.answers_offline(plan, rows)) == expected(plan, events)


def long_windows():
    span, windows = cases.timedelta(seconds=700), cases.windows
    made = {
        name: getattr(windows, name)(column="x", by="card", over=span)
        for name in ("total", "mean", "minimum", "maximum", "deviation", "distinct", "share")
    }
    return made | {
        "rows": windows.mean("x", by="card", over=30),
        "labels": windows.total("y", by="card", over=span),
    }
