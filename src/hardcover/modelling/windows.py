"""All windows of a table at once: in C, and to the same bits in Python where a column's values are too far apart for C."""

import ctypes
import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from hardcover.errors import ReleaseError
from hardcover.modelling.events import Table
from hardcover.release import compiler
from hardcover.runtime.events import Event
from hardcover.runtime.track import Track
from hardcover.runtime.track_layout import layouts
from hardcover.runtime.windows import AGGREGATES, MICROSECOND, Window

SOURCE = "windows.c"
NEEDS = {
    "total": 1, "mean": 1, "deviation": 1 | 2, "share": 4, "minimum": 8, "maximum": 16, "last": 32, "since": 32,
}  # fmt: skip
# Bits of a whole number in C, its sign left out; and of the square of a sum.
ROOM, SQUARED_ROOM = 126, 254
# Exponents between which a result cannot become subnormal and so be rounded twice.
LOWEST_UNIT = -900
MAX_ROWS = 2**31 - 2


class _ColumnOfC(ctypes.Structure):
    _fields_ = [
        ("values", ctypes.c_void_p),
        ("codes", ctypes.c_void_p),
        ("needs", ctypes.c_int32),
        ("unit", ctypes.c_int32),
        ("distinct", ctypes.c_int64),
    ]


class _WindowOfC(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("aggregate", "column", "label", "itself")),
        *((name, ctypes.c_int64) for name in ("delay", "span", "rows")),
        ("out", ctypes.c_void_p),
    ]


@cache
def _library() -> ctypes.CDLL:
    source = (Path(__file__).parent / SOURCE).read_bytes()
    library = ctypes.CDLL(str(compiler.library("windows", {SOURCE: source})))
    pointer, whole, count = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.hardcover_unit.argtypes = [pointer, whole, pointer, pointer]
    library.hardcover_gather.argtypes = [pointer, pointer, whole, whole, pointer, pointer]
    library.hardcover_gather.restype = None
    library.hardcover_windows.argtypes = [*[pointer] * 7, whole, whole, pointer, count, pointer, count]
    return library


def compute(table: Table, threads: int = 2) -> dict[str, np.ndarray]:
    """Return each window's values by name: float64, shape (rows,), of ``recent`` (rows, its length).

    Parameters
    ----------
    table
        The events; each row is asked about, too.
    threads
        How many, each for a part of the entities.
    """
    found: dict[str, np.ndarray] = {}
    for place, by in enumerate(table.plan.entities):
        windows = {name: window for name, window in table.plan.windows.items() if window.by == by}
        fits = {name: window for name, window in windows.items() if _fits(table, place, window)}
        if fits:
            found |= _in_c(table, place, fits, threads)
        if len(fits) < len(windows):
            found |= in_python(table, place, [name for name in windows if name not in fits])
    return found


@cache
def _has_library() -> bool:
    try:
        _library()
    except (ReleaseError, OSError):
        return False
    return True


def _fits(table: Table, place: int, window: Window) -> bool:
    """Check whether C can hold a window's totals exactly."""
    if not _has_library() or table.size > MAX_ROWS:
        return False
    if window.aggregate not in ("total", "mean", "deviation"):
        return True
    unit, top = _unit(table, str(window.column))
    growth = math.ceil(math.log2(table.size + 1))
    if unit < LOWEST_UNIT or top > 1000 - growth:
        return False
    if window.aggregate == "deviation":
        return 2 * (top - unit) + 2 * growth <= SQUARED_ROOM and top - unit + growth <= ROOM
    return top - unit + growth <= ROOM


def _unit(table: Table, column: str) -> tuple[int, int]:
    values = table.values[table.plan.columns.index(column)]
    unit, top = ctypes.c_int32(), ctypes.c_int32()
    _library().hardcover_unit(values.ctypes.data, len(values), ctypes.byref(unit), ctypes.byref(top))
    return unit.value, top.value


def _in_c(table: Table, place: int, windows: dict[str, Window], threads: int) -> dict[str, np.ndarray]:
    library, plan = _library(), table.plan
    codes, names = table.entities[place]
    asked_starts, asked = _gathered(codes, table, len(names))
    starts, order = asked_starts, asked
    if table.events is not None:
        starts, order = _gathered(np.where(table.events, codes, np.int32(-1)), table, len(names))
    used = list(dict.fromkeys(window.column for window in windows.values() if window.column is not None))
    columns, held = (_ColumnOfC * max(1, len(used)))(), []
    for number, name in enumerate(used):
        mine = [window.aggregate for window in windows.values() if window.column == name]
        columns[number], arrays = _column(table, name, mine)
        held.append(arrays)
    specs, found, alone = (_WindowOfC * len(windows))(), {}, codes < 0
    for number, (name, window) in enumerate(windows.items()):
        shape = [table.size, window.rows or 0] if window.aggregate == "recent" else [table.size]
        found[name] = out = np.empty(shape)
        if alone.any():
            out[alone] = 0.0 if window.aggregate in ("count", "total", "distinct") else math.nan
        specs[number] = _WindowOfC(
            AGGREGATES.index(window.aggregate),
            -1 if window.column is None else used.index(window.column),
            window.column in plan.labels,
            window.itself,
            window.delay // MICROSECOND,
            window.span or 0,
            window.rows or 0,
            out.ctypes.data,
        )
    arrays = [table.times, table.received, table.known, starts, order, asked_starts, asked]

    def part(first: int, last: int) -> int:
        return library.hardcover_windows(
            *(array.ctypes.data for array in arrays), first, last, columns, len(used), specs, len(windows)
        )

    # Parts of about as many rows.
    bounds = np.searchsorted(
        asked_starts[: len(names) + 1], np.linspace(0, asked_starts[len(names)], threads + 1)
    )
    bounds[0], bounds[-1] = 0, len(names)
    with ThreadPoolExecutor(threads) as pool:
        if any(pool.map(part, bounds[:-1].tolist(), bounds[1:].tolist())):
            raise MemoryError(f"windows by {', '.join(plan.entities[place])} of {table.size} rows")
    _answer_rows_alone(table, windows, codes, found)
    return found


def _gathered(codes: np.ndarray, table: Table, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where each entity's rows begin, and the rows of all, by entity and in order."""
    starts, rows = np.zeros(count + 2, dtype=np.int64), np.empty(table.size, dtype=np.int64)
    given = None if table.order is None else table.order.ctypes.data
    _library().hardcover_gather(
        codes.ctypes.data, given, table.size, count, starts.ctypes.data, rows.ctypes.data
    )
    return starts, rows


def _column(table: Table, name: str, aggregates: list[str]) -> tuple[_ColumnOfC, list[np.ndarray]]:
    values = table.values[table.plan.columns.index(name)]
    needs, arrays = 0, [values]
    for aggregate in aggregates:
        needs |= NEEDS.get(aggregate, 0)
    if name in table.plan.texts:
        return _ColumnOfC(None, values.ctypes.data, needs, 0, int(values.max(initial=-1)) + 1), arrays
    unit = _unit(table, name)[0] if needs & NEEDS["total"] else 0
    if "distinct" not in aggregates:
        return _ColumnOfC(values.ctypes.data, None, needs, unit, 0), arrays
    codes = pd.factorize(values)[0].astype(np.int32)
    distinct = int(codes.max(initial=-1)) + 1
    return _ColumnOfC(values.ctypes.data, codes.ctypes.data, needs, unit, distinct), [values, codes]


def _answer_rows_alone(
    table: Table, windows: dict[str, Window], codes: np.ndarray, found: dict[str, np.ndarray]
) -> None:
    """Rows without an entity have no past, but they have themselves."""
    (rows,) = np.nonzero(codes < 0)
    if not len(rows) or not any(window.itself for window in windows.values()):
        return
    answer: list = [None] * len(windows)
    kinds = layouts(table.plan._replace(windows=windows))
    for row in rows:
        for layout in kinds:
            Track(layout).answer(answer, int(table.times[row]), int(table.received[row]), _own(table, row))
        for name, value in zip(windows, answer, strict=True):
            found[name][row] = value


def _own(table: Table, row: int) -> tuple:
    texts = table.plan.texts
    return tuple(
        (None if values[row] < 0 else str(values[row])) if name in texts else float(values[row])
        for name, values in zip(table.plan.columns, table.values, strict=True)
    )


def in_python(table: Table, place: int, names: list[str]) -> dict[str, np.ndarray]:
    """Return windows of one kind of entity as the online histories answer them, row by row: for any finite numbers."""
    plan, (codes, _) = table.plan, table.entities[place]
    layout = layouts(plan._replace(windows={name: plan.windows[name] for name in names}))[place]
    found = {
        name: np.full((table.size, plan.windows[name].rows or 0), math.nan)
        if plan.windows[name].aggregate == "recent"
        else np.full(table.size, math.nan)
        for name in names
    }
    tracks: dict[int, Track] = {}
    keys = table.keys.astype("str").tolist()
    for row in range(table.size) if table.order is None else table.order.tolist():
        code = int(codes[row])
        if code >= 0 and (table.events is None or table.events[row]):
            time, received, known = int(table.times[row]), int(table.received[row]), int(table.known[row])
            event = Event(time, received, known, keys[row], (), _own(table, row))
            tracks.setdefault(code, Track(layout)).insert(event)
    answer: list = [None] * len(names)
    for row in range(table.size):
        track = tracks.get(int(codes[row])) or Track(layout)
        track.answer(answer, int(table.times[row]), int(table.received[row]), _own(table, row))
        for name, value in zip(names, answer, strict=True):
            found[name][row] = value
    return found
