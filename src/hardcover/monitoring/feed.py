"""Does data come, and as much as before: rules, not tests, for what is not there has no distribution."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from hardcover.errors import HardcoverError

# Windows by name, as pandas knows them, and how long they are.
PERIODS = {"hour": "h", "day": "D", "week": "W-SUN"}
LENGTHS = {"hour": pd.Timedelta(hours=1), "day": pd.Timedelta(days=1), "week": pd.Timedelta(weeks=1)}
VOLUME, SERVED, LABELS = "volume", "silence of served", "silence of labels"
# Windows that a window's rows are compared with, and how many there must be.
PAST, LEAST = 28, 7
# Fewer rows than this share of the fewest, and more than that of the most, are too few and too many.
FEW, MANY = 0.6, 1.6


def known_events(begins: Iterable[str], options: dict) -> dict[str, str]:
    """Return what is known to be special of windows, by their begin; those of which nothing is are left out.

    Parameters
    ----------
    begins
        Of windows.
    options
        ``monitoring`` of ``conf/``; ``known`` lists events with ``from``, ``to`` (a day counts whole) and ``what``.

    Raises
    ------
    HardcoverError
        When an event lacks one of them, or a time cannot be read.
    """
    found: dict[str, str] = {}
    for each in options["known"]:
        try:
            first, last, what = pd.Timestamp(str(each["from"])), str(each["to"]), str(each["what"])
            end = pd.Timestamp(last) + pd.Timedelta(days=int(len(last) <= len("2026-12-26")))
        except (KeyError, TypeError, ValueError) as error:
            fix = "Write {from: 2026-12-24, to: 2026-12-26, what: holidays}."
            raise HardcoverError(
                f"{each!r} is no event: {error}", "monitoring.known in conf/", fix
            ) from error
        length = LENGTHS[options["window"]]
        mine = [begin for begin in begins if first - length < pd.Timestamp(begin) < end]
        found |= dict.fromkeys(mine, what)
    return found


def silence(
    state: dict[str, Any], options: dict, now: pd.Timestamp, told: set[str]
) -> Iterator[tuple[str, list[str] | None]]:
    """Yield the tests of silence, each with what is wrong and why, or None.

    Parameters
    ----------
    state, options
        As `watch.Watch` takes them.
    now
        The time.
    told
        The tests whose episodes are open: of windows without rows, ``volume`` says it already.
    """
    length, last = LENGTHS[options["window"]], state["last"]
    if "served" in last and options["silence"]:
        silent = now - pd.Timestamp(last["served"]) > options["silence"] * length and VOLUME not in told
        words = [
            f"no answers were collected since {last['served'][:16]}",
            "the service, its log, or what collects it",
        ]
        yield SERVED, words if silent else None
    if "labels" in last and options["label_silence"]:
        silent = now - pd.Timestamp(last["labels"]) > options["label_silence"] * length
        yield (
            LABELS,
            [f"no labels came since {last['labels'][:16]}", "what delivers labels"] if silent else None,
        )


def volume(state: dict[str, Any], options: dict, now: pd.Timestamp) -> Iterator[tuple[str, int, str | None]]:
    """Yield each window that is over and was not looked at, its rows, and what is wrong with that, or None.

    Fewer rows than 0.6 times the fewest of the 28 windows before, or more than 1.6 times the most of them, are not usual; with less than seven windows before, all
    is. What was looked at last is kept in ``state["last"]["volume"]``.
    """
    length, last, counts = LENGTHS[options["window"]], state["last"], _counts(state)
    if not counts:
        return
    first = min(counts)
    begin = pd.Timestamp(last[VOLUME]) + length if VOLUME in last else first
    while begin + length <= min(now, _end(state, options)):
        before = [begin - number * length for number in range(1, PAST + 1)]
        past = [counts.get(each, 0) for each in before if each >= first]
        rows, wrong = counts.get(begin, 0), None
        if len(past) >= LEAST and rows < FEW * min(past):
            wrong = f"{rows:,} rows, never below {min(past):,} in the {len(past)} windows before"
        elif len(past) >= LEAST and rows > MANY * max(past):
            wrong = f"{rows:,} rows, never above {max(past):,} in the {len(past)} windows before"
        last[VOLUME] = begin.isoformat()
        yield begin.isoformat(), rows, wrong
        begin += length


def due(state: dict[str, Any], options: dict) -> str | None:
    """Return when these rules may have something to say, if nothing comes; None when they have said it, or never will."""
    told = {each["test"] for each in state["episodes"] if each["until"] is None}
    length, last, found = LENGTHS[options["window"]], state["last"], []
    if "labels" in last and options["label_silence"] and LABELS not in told:
        found.append(pd.Timestamp(last["labels"]) + options["label_silence"] * length)
    if VOLUME not in told and SERVED not in told:
        if "served" in last and options["silence"]:
            found.append(pd.Timestamp(last["served"]) + options["silence"] * length)
        following = pd.Timestamp(last[VOLUME]) + 2 * length if VOLUME in last else None
        if following is not None and following <= _end(state, options):
            found.append(following)
    return min(found).isoformat() if found else None


def _counts(state: dict[str, Any]) -> dict[pd.Timestamp, int]:
    counts: dict[pd.Timestamp, int] = {}
    for window in state["windows"]:
        begin = pd.Timestamp(window["begin"])
        counts[begin] = counts.get(begin, 0) + window["rows"]
    return counts


def _end(state: dict[str, Any], options: dict) -> pd.Timestamp:
    """Return until when windows are looked at: what is silent for longer was told."""
    return max(_counts(state)) + (max(1, options["silence"]) + 1) * LENGTHS[options["window"]]


def took(nanoseconds: pd.Series) -> dict[str, int]:
    """Return how many answers took how long: by the bits of their nanoseconds, so that counts of parts add up."""
    bits = nanoseconds.dropna().astype("int64").map(int.bit_length)
    return {str(each): int(count) for each, count in bits.value_counts().sort_index().items()}


def slowest(counts: dict[str, int], share: float = 0.99) -> float | None:
    """Return the milliseconds within which such a share of answers came, at most twice as many as it was; None without any."""
    passed, total = 0, sum(counts.values())
    for bits in sorted(counts, key=int):
        passed += counts[bits]
        if passed >= share * total:
            return 2 ** int(bits) / 1e6
    return None
