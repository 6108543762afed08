"""The compiled evaluator: ``kernel.c`` through ctypes, on the arrays of a ``Forest`` where they lie."""

import ctypes
import itertools
import os
import sys
import weakref
from collections.abc import Sequence

from .arrays import DamagedRelease, packed
from .forest import Forest
from .forest_format import ARRAYS, LINKS, RULES
from .shapley import DEEPEST, TOO_DEEP, Unexplainable, demand_explainable, rule_of

SPLIT = 64  # bytes of a split_t
MOST_LANES = 3
NEAR = 1 << 16  # nodes
# Edges of all trees are kept for explanations up to this many bytes; beyond, they are made tree by tree.
MAX_EDGES = 1 << 26
_COUNTS = (
    "features", "trees", "nodes", "outputs", "thresholds", "slots", "tables", "cells", "sets", "words", "node_sets", "terms",
    "linears", "books",
)  # fmt: skip


class _ForestOfC(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in _COUNTS),
        *((name, ctypes.c_void_p) for name in [*ARRAYS, "depth"]),
        ("all_slots", ctypes.c_uint64),
        ("slope", ctypes.c_double),
        ("divisor", ctypes.c_double),
        ("exp", ctypes.c_void_p),
        ("log1p", ctypes.c_void_p),
        ("lanes", ctypes.c_void_p),
        ("link", ctypes.c_uint32),
        ("processor", ctypes.c_uint32),
    ]


class _ExplainerOfC(ctypes.Structure):
    _fields_ = [
        ("lanes", ctypes.c_uint64),
        ("widest", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("split", "first", "points", "rule", "edge", "base")),
    ]


class NoKernel(RuntimeError):
    """The compiled evaluator cannot be loaded on this machine; the plain one can be used."""


class Kernel:
    """A forest that C evaluates; the same bits as ``Forest``, and safe to call from many threads.

    Parameters
    ----------
    forest
        Constructed with ``check=False``: the kernel checks it.
    path
        The shared library.
    lanes
        At most so wide vectors: 0 walks the trees, 1 has 16 bytes, 2 AVX2, 3 AVX-512. The attribute says which these are, by the
        processor and the model's shape.

    Raises
    ------
    NoKernel
        When the library cannot be loaded here.
    DamagedRelease
        When the forest breaks one of its rules.
    """

    def __init__(self, forest: Forest, path: str, lanes: int = MOST_LANES):
        try:
            self.library = library = ctypes.CDLL(str(path))
            # A row of a small forest takes less time than to let go of the interpreter's lock and to get it back.
            near = ctypes.PyDLL(str(path)) if forest.nodes < NEAR else library
            self._score, self.score_counted = near.score, near.score_counted
            self._score.restype = self.score_counted.restype = ctypes.c_double
            if ctypes.c_uint32.in_dll(library, "forest_size").value != ctypes.sizeof(_ForestOfC):
                raise OSError("it was compiled for another version of this runtime")
        except (OSError, AttributeError, ValueError) as error:
            raise NoKernel(f"cannot load {path}: {error}") from error
        self.forest, self.features = forest, forest.features
        self.outputs, self.trees = forest.outputs, forest.trees
        self._size, self.is_single = 8 * forest.features, forest.outputs == 1
        numpy = sys.modules.get("numpy")
        self._array, self._double = (numpy.ndarray, numpy.dtype("float64")) if numpy else (None, None)
        # What C points to must outlive it.
        self._kept = [pointer(forest.arrays[name]) for name in ARRAYS]
        depth = (ctypes.c_uint32 * max(forest.trees, 1))()
        counts = {
            "features": forest.features, "trees": forest.trees, "nodes": forest.nodes, "outputs": forest.outputs,
            "thresholds": len(forest.threshold), "slots": len(forest.slot_feature), "tables": len(forest.table_feature),
            "cells": len(forest.table_cell), "sets": len(forest.set_offset) - 1, "words": len(forest.set_word),
            "node_sets": len(forest.node_set), "terms": len(forest.linear_weight), "linears": len(forest.linear_plain),
            "books": len(forest.book),
        }  # fmt: skip
        self._own = _ForestOfC(
            **counts,
            **{name: ctypes.addressof(kept) for name, kept in zip(ARRAYS, self._kept, strict=True)},
            depth=ctypes.addressof(depth),
            all_slots=forest.slots,
            slope=forest.slope,
            divisor=forest.divisor,
            exp=_address("exp"),
            log1p=_address("log1p"),
            link=LINKS.index(forest.link),
        )
        self._kept.append(depth)
        self.of_c = ctypes.byref(self._own)
        self._explainer: _Explainer | None = None
        broken = library.check(self.of_c)
        if broken:
            raise DamagedRelease(f"the model is damaged: {RULES[broken - 1]}")
        self.lanes = library.arrange(self.of_c, lanes)
        # Not at exit, where another thread may still score.
        weakref.finalize(self, library.dismiss, self.of_c).atexit = False

    def predict(self, row: Sequence[float] | bytes) -> list[float]:
        """Score one row of ``features`` floats: a number for each output."""
        # The general way takes as long as all of a small forest.
        if type(row) is self._array and row.dtype is self._double:  # type: ignore[union-attr]
            row = row.tobytes()  # type: ignore[union-attr]
        if type(row) is not bytes or len(row) != self._size:
            row = packed(row, self.features)
        if self.is_single and (score := self._score(self.of_c, row)) == score:
            return [score]
        return self._one("predict", row, 0, self.outputs)

    def raw(self, row: Sequence[float] | bytes) -> list[float]:
        """Add up the trees for one row: a raw score for each output."""
        return self._one("predict", packed(row, self.features), 1, self.outputs)

    def leaves(self, row: Sequence[float] | bytes) -> list[int]:
        """Find a row's leaf in each tree, as LightGBM numbers them."""
        return self._one("leaves", packed(row, self.features), None, self.trees, ctypes.c_uint32)

    def explain(self, row: Sequence[float] | bytes) -> list[float]:
        """Return exact Shapley values of the raw scores: for each output a value by feature, and the base value.

        Raises
        ------
        Unexplainable
            When the trees are too deep, or linear.
        """
        explainer = self._ready()
        return self._one("explain", packed(row, self.features), explainer.own, explainer.width)

    def predict_many(self, rows, raw: bool = False, threads: int | None = None, counted=None):
        """Score an array of shape (rows, features), float64; returns shape (rows,), or (rows, outputs) where there are more."""
        found = self._many("predict", rows, int(raw), self.outputs, threads, counted=counted)
        return found[:, 0] if self.outputs == 1 else found

    def leaves_many(self, rows, threads: int | None = None):
        """Find leaves for an array of shape (rows, features); returns shape (rows, trees), uint32."""
        return self._many("leaves", rows, None, self.trees, threads, "uint32")

    def explain_many(self, rows, threads: int | None = None):
        """Explain an array of shape (rows, features); returns shape (rows, outputs x (features + 1)), float64."""
        explainer = self._ready()
        return self._many("explain", rows, explainer.own, explainer.width, threads, worth=16)

    def _one(self, name: str, row: bytes, more, width: int, kind: type = ctypes.c_double) -> list:
        found = (kind * width)()
        demand_memory(getattr(self.library, name)(self.of_c, row, ctypes.c_uint64(1), more, found))
        return list(found)

    def _many(
        self,
        name: str,
        rows,
        more,
        width: int,
        threads: int | None,
        dtype="float64",
        worth=1000,
        counted=None,
    ):
        import numpy as np

        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise ValueError(f"rows have shape {rows.shape}, not (rows, {self.features})")
        found = np.empty((len(rows), width), dtype=dtype)
        function, given, to = getattr(self.library, name), _place_of(rows), _place_of(found)

        def part(first: int, last: int) -> None:
            places = (
                ctypes.c_void_p(given + first * rows.strides[0]),
                ctypes.c_uint64(last - first),
                more,
                ctypes.c_void_p(to + first * found.strides[0]),
            )
            demand_memory(function(self.of_c, *places))
            if counted is not None:
                demand_memory(self.library.count_rows(counted, places[0], places[1], places[3]))

        # Fewer rows than ``worth`` are done before a thread has started.
        count = min(threads or os.cpu_count() or 1, len(rows) // worth) if len(rows) > worth else 1
        if count <= 1:
            part(0, len(rows))
        else:
            # Imported here, since single rows start without it. ctypes lets go of the interpreter's lock.
            from concurrent.futures import ThreadPoolExecutor

            bounds = [len(rows) * number // count for number in range(count + 1)]
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(part, bounds[:-1], bounds[1:]))
        return found

    def _ready(self) -> "_Explainer":
        # Without a lock, which a fork could leave locked for ever: two threads that come first both make it, alike.
        explainer = self._explainer
        if explainer is None:
            self._explainer = explainer = _Explainer(self.library, self.forest, self.of_c)
        return explainer


class _Explainer:
    """What explanations need besides the forest; made at the first one."""

    def __init__(self, library: ctypes.CDLL, forest: Forest, of_c):
        demand_explainable(forest)
        self.width = forest.outputs * (forest.features + 1)
        splits = max(1, (forest.nodes - forest.trees) // 2)
        widest = max([1, *(high - low for low, high in itertools.pairwise(forest.tree))])
        self.split = (ctypes.c_char * (SPLIT * splits))()
        self.first = (ctypes.c_uint32 * (forest.trees + 1))()
        self.points = (ctypes.c_uint32 * max(1, forest.trees))(4)
        self.base = (ctypes.c_double * forest.outputs)()
        of = {name: ctypes.addressof(getattr(self, name)) for name in ("split", "first", "points", "base")}
        self.of_c = _ExplainerOfC(lanes=4, widest=widest, **of)
        self.own = ctypes.byref(self.of_c)
        failed = library.prepare(of_c, self.own, DEEPEST)
        if failed == 2:
            raise Unexplainable(TOO_DEEP)
        demand_memory(failed)
        # The rule with n points lies behind all shorter ones; only those that a tree asks for are made.
        lanes = self.of_c.lanes
        self.rule = (ctypes.c_double * (lanes * (lanes + 4) // 2))()
        for points in set(self.points):
            first = points * (points - 4) // 2
            self.rule[first : first + 4 * points] = rule_of(points)
        self.of_c.rule = ctypes.addressof(self.rule)
        if forest.nodes * lanes * 8 <= MAX_EDGES:
            self.edge = (ctypes.c_double * max(1, forest.nodes * lanes))()
            self.of_c.edge = ctypes.addressof(self.edge)
            library.prepare_edges(of_c, self.own)


def _address(name: str) -> int:
    """Find a function of the C library's, the one that LightGBM and ``math`` call."""
    libraries = ("ucrtbase",) if sys.platform == "win32" else ("libm.so.6", None)
    for library in libraries:
        try:
            return ctypes.cast(getattr(ctypes.CDLL(library), name), ctypes.c_void_p).value
        except (OSError, AttributeError):
            continue
    raise NoKernel(f"the C library has no {name}")


def _place_of(array) -> int:
    """Return where an array's numbers lie."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):
        # It is empty, or cannot be written: numpy's own way, which takes longer.
        return array.ctypes.data


def pointer(values) -> ctypes.Array:
    """Return what C can point to: the memory of a view, or a copy of a list."""
    return ctypes.c_char.from_buffer(values) if len(values) else ctypes.c_char()


def demand_memory(failed: int) -> None:
    """Raise MemoryError when a function of the kernel says that there is none."""
    if failed:
        raise MemoryError("no memory for the kernel's scratch")
