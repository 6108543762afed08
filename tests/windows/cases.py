"""Random windows, events and their arrival, as Hypothesis draws them; and how the engines answer."""

import math
from datetime import timedelta

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from hardcover.modelling import windows as offline
from hardcover.modelling.events import Table
from hardcover.runtime import window_plan, windows
from hardcover.runtime.events import NEVER, Event

COLUMNS = {
    "id": {"kind": "text", "role": "key", "nullable": False},
    "card": {"kind": "text", "role": "entity", "nullable": True},
    "shop": {"kind": "text", "role": "context", "nullable": False},
    "at": {"kind": "time", "role": "time", "nullable": False},
    "got": {"kind": "time", "role": "received", "nullable": False},
    "known": {"kind": "time", "role": "known", "nullable": True},
    "x": {"kind": "number", "role": "input", "nullable": True},
    "y": {"kind": "number", "role": "target", "nullable": True},
}
SECOND = 1_000_000
# Few different moments, so that edges are met and times are equal.
moments = st.integers(0, 30).map(lambda second: second * SECOND)
near = st.floats(-1000, 1000).map(lambda value: round(value, 2))
# No two of these have much to do with each other: their sums are as wide as floats are.
wild = st.builds(math.ldexp, st.floats(-1, 1), st.integers(-1000, 900))


@st.composite
def plans(draw) -> window_plan.Plan:
    """Draw what windows there are."""
    names = draw(st.lists(st.sampled_from(windows.AGGREGATES), min_size=1, max_size=6))
    made = {f"_w{number}": draw(one_window(name)) for number, name in enumerate(names)}
    return window_plan.resolve(made, COLUMNS, {})


@st.composite
def one_window(draw, aggregate: str) -> windows.Window:
    column = draw(st.sampled_from(["x", "y"]))
    options = {"by": draw(st.sampled_from(["card", "shop", ("card", "shop")]))}
    seconds = st.integers(1, 20).map(lambda count: timedelta(seconds=count))
    over = draw(st.one_of(seconds, st.integers(1, 5), st.none()))
    options["delay"] = draw(st.one_of(st.just(timedelta(0)), seconds))
    if aggregate == "recent":
        options["rows"] = draw(st.integers(1, 4))
    else:
        options["over"] = over
    if aggregate in ("count", "since"):
        column = draw(st.sampled_from(["x", "y", None]))
    if aggregate == "distinct" and column == "x":
        column = draw(st.sampled_from(["x", "shop"]))
    if aggregate not in ("last", "since") and not options["delay"] and column != "y":
        options["itself"] = draw(st.booleans())
    return getattr(windows, aggregate)(column=column, **options)


@st.composite
def tables(draw, size: int = 25) -> list[dict]:
    """Draw rows: late ones, labels known later or never, missing values and entities, equal times."""
    numbers = draw(st.sampled_from([near, wild]))
    values = st.one_of(st.just(math.nan), st.just(0.0), st.just(-0.0), numbers)
    rows = []
    for number in range(draw(st.integers(1, size))):
        at = draw(moments)
        got = at + draw(st.sampled_from([0, 0, 0, 1, 7])) * SECOND
        known = draw(
            st.one_of(st.just(NEVER), st.integers(0, 9).map(lambda later, got=got: got + later * SECOND))
        )
        label = math.nan if known == NEVER else float(draw(st.booleans()))
        card, shop = draw(st.sampled_from(["a", "b", None])), draw(st.sampled_from(["s", "t"]))
        rows.append(
            {
                "id": f"k{number}",
                "card": card,
                "shop": shop,
                "at": at,
                "got": got,
                "known": known,
                "x": draw(values),
                "y": label,
            }
        )
    return rows


def events_of(plan: window_plan.Plan, rows: list[dict]) -> list[Event]:
    """Return rows as events."""
    return [
        Event(
            row["at"], row["got"], row["known"], row["id"],
            tuple(None if None in names else "\x1f".join(names) for names in ([row[name] for name in by] for by in plan.entities)),
            tuple(row[name] if isinstance(row[name], str) else row[name] + 0.0 for name in plan.columns),
        )
        for row in rows
    ]  # fmt: skip


def table_of(plan: window_plan.Plan, rows: list[dict]) -> Table:
    """Return rows as the offline engine takes them."""
    frame = pd.DataFrame(rows)
    for name in ("at", "got", "known"):
        frame[name] = pd.to_datetime(frame[name].where(frame[name] != NEVER), unit="us").astype(
            "datetime64[us]"
        )
    found = Table(plan, frame)
    found.read({})
    return found


def answers_offline(plan: window_plan.Plan, rows: list[dict]) -> list[dict]:
    """Return what the offline engine says of each row."""
    found = offline.compute(table_of(plan, rows))
    return [{name: values[row] for name, values in found.items()} for row in range(len(rows))]


def answers_online(plan: window_plan.Plan, histories, rows: list[Event]) -> list[dict]:
    """Return what histories say of each row."""
    return [
        dict(
            zip(plan.windows, histories.answer(row.time, row.received, row.entities, row.values), strict=True)
        )
        for row in rows
    ]


def bits(answers: list[dict]) -> list[dict]:
    """Return answers so that they are equal only where every bit is; NaN is one value."""

    def exact(value):
        if isinstance(value, tuple | np.ndarray):
            return tuple(map(exact, value))
        return "nan" if value != value else float(value).hex()

    return [{name: exact(value) for name, value in answer.items()} for answer in answers]
