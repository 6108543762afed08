"""Answers that are counted as they are given, in the bins of a profile."""

import ctypes
import itertools
from typing import Any

from .forest import Forest
from .kernel import Kernel, demand_memory, pointer
from .profile import Profile


def counting(evaluator: Any, profile: Profile) -> "Counting":
    """Return what answers as an evaluator does, and counts into a profile."""
    return (Counting if isinstance(evaluator, Forest) else KernelCounting)(evaluator, profile)


class _ProfileOfC(ctypes.Structure):
    _fields_ = [
        ("columns", ctypes.c_uint64),
        ("inputs", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("first", "edge", "count")),
    ]


class Counting:
    """An evaluator whose answers are counted: a ``Forest``, one row after another.

    Parameters
    ----------
    evaluator
        What answers.
    profile
        What is counted into.
    """

    def __init__(self, evaluator: Any, profile: Profile):
        self._evaluator, self.profile, self.outputs = evaluator, profile, evaluator.outputs

    def predict(self, row: bytes) -> list[float]:
        """Score one row, and count it."""
        found = self._evaluator.predict(row)
        self.count(row, found)
        return found

    def count(self, row: bytes, scores: list[float]) -> None:
        """Count one row that has these scores."""
        self.profile.count(memoryview(row).cast("d"), scores)


class KernelCounting(Counting):
    """A kernel whose answers are counted as it gives them: each row once, whichever thread scores it."""

    def __init__(self, kernel: Kernel, profile: Profile):
        super().__init__(kernel, profile)
        edges = [*itertools.chain.from_iterable(profile.bins.edges)]
        firsts = [0, *itertools.accumulate(map(len, profile.bins.edges))]
        # What C points to must outlive it.
        first, edge = (ctypes.c_uint64 * len(firsts))(*firsts), (ctypes.c_double * max(1, len(edges)))(*edges)
        self._kept = first, edge, pointer(profile.counts)
        places = dict(zip(("first", "edge", "count"), map(ctypes.addressof, self._kept), strict=True))
        self._of_c = _ProfileOfC(columns=len(profile.bins.names), inputs=kernel.features, **places)
        self._profile = ctypes.byref(self._of_c)

    def predict(self, row: bytes) -> list[float]:
        """Score one row, and count it."""
        kernel = self._evaluator
        if kernel.is_single and (score := kernel.score_counted(kernel.of_c, row, self._profile)) == score:
            return [score]
        return super().predict(row)

    def count(self, row: bytes, scores: list[float]) -> None:
        """Count one row that has these scores."""
        given = (ctypes.c_double * len(scores))(*scores)
        demand_memory(self._evaluator.library.count_rows(self._profile, row, ctypes.c_uint64(1), given))

    def predict_many(self, rows, raw: bool = False):
        """Score an array of shape (rows, features), float64, as the kernel does, and count it."""
        return self._evaluator.predict_many(rows, raw, counted=self._profile)
