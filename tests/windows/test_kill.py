"""Whoever is killed, no event that was acknowledged is lost, and none counts twice."""

import os
import random
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.windows import writer

KILLS = 40 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 3


def started(kind, place, first, count):
    command = [sys.executable, "-m", "tests.windows.writer", kind, str(place), str(first), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def place_of(kind, tmp_path, valkey_server):
    if kind == "valkey":
        valkey_server.flushall()
        return valkey_server.connection_pool.connection_kwargs["port"]
    return tmp_path / "histories"


def total_of(store, numbers):
    """Return how many events both cards are said to have, after the last."""
    end = writer.event(max(numbers) + 1)
    return sum(store.answer(end.time, end.received, (card,), (0.0,))[0] for card in "ab")


@pytest.mark.parametrize("kind", ["memory", "sqlite", "valkey"])
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged(kind, tmp_path, valkey_server):
    place, chance, kept = place_of(kind, tmp_path, valkey_server), random.Random(5), set()
    for attempt in range(KILLS):
        process = started(kind, place, 10_000 * attempt, 10_000)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        rest = process.stdout.read()
        # Memory begins anew with each process; its snapshot holds what it observed.
        kept = set() if kind == "memory" else kept
        kept |= {
            10_000 * attempt,
            *(int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")),
        }

        store = writer.histories(kind, str(place))
        if kind == "memory":
            store.restore(place)
        lost = [number for number in kept if store.event(f"k{number}") is None]
        assert lost == []
        # At most the one that was being written is there, too, and whole.
        numbers = {number for number in (*kept, max(kept) + 1) if store.event(f"k{number}")}
        kept = numbers
        for number in numbers:
            assert not store.observe(writer.event(number))
        assert total_of(store, numbers) == len(numbers)


@pytest.mark.parametrize("kind", ["sqlite", "valkey"])
def test_eight_writers_of_the_same_events_lose_none_and_count_each_once(kind, tmp_path, valkey_server):
    place, count = place_of(kind, tmp_path, valkey_server), 60
    processes = [started(kind, place, 0, count) for _ in range(8)]
    assert all(len(process.communicate()[0].splitlines()) == count for process in processes)
    assert [process.returncode for process in processes] == [0] * 8

    assert total_of(writer.histories(kind, str(place)), range(count)) == count
