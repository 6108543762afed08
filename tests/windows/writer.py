"""A process that observes events and says of each that it is kept, until it is killed.

python writer.py memory|sqlite|valkey PLACE FIRST COUNT
"""

import sys
from datetime import timedelta

import valkey

from hardcover.runtime import window_plan, windows
from hardcover.runtime.events import NEVER, Event
from hardcover.runtime.histories import Histories
from hardcover.runtime.histories_sqlite import SqliteHistories
from hardcover.runtime.histories_valkey import ValkeyHistories
from tests.windows.cases import COLUMNS

PLAN = window_plan.resolve({"total": windows.total("x", by="card", over=timedelta(days=1))}, COLUMNS, {})
HOUR = 3_600_000_000


def event(number: int) -> Event:
    """Return one of the events that all writers write: of two cards, a second apart."""
    return Event(
        HOUR + number * 1_000_000, HOUR + number * 1_000_000, NEVER, f"k{number}", ("ab"[number % 2],), (1.0,)
    )


def histories(kind: str, place: str):
    """Open a store."""
    if kind == "sqlite":
        return SqliteHistories(PLAN, place)
    if kind == "valkey":
        return ValkeyHistories(PLAN, valkey.Valkey(port=int(place)), "kill")
    return Histories(PLAN)


def main(kind: str, place: str, first: str, count: str) -> None:
    """Observe; in memory, what is kept is what a snapshot has."""
    store = histories(kind, place)
    for number in range(int(first), int(first) + int(count)):
        store.observe(event(number))
        if kind == "memory":
            store.save(place)
        print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
