"""Challengers in the shadow: asked what champions were asked, once their answers have left."""

import time
from collections import deque
from typing import Any

from hardcover.serving.counters import Counters
from hardcover.serving.records import Scored
from hardcover.serving.release import Release

# The share of a worker's time that challengers may take, the nanoseconds that they may save up, and the answers that wait at most.
SHARE, SAVED, MOST = 0.05, 5_000_000, 1024


class Shadow:
    """What challengers are to be asked; what they say differently is counted in ``counters``."""

    def __init__(self, counters: Counters):
        self.counters = counters
        self._waiting: deque[tuple[Release, Any, Any]] = deque()
        self._allowed, self._since = 0, time.perf_counter_ns()

    def __bool__(self) -> bool:
        """Whether a challenger waits to be asked."""
        return bool(self._waiting)

    def add(self, challenger: Release, scored: Scored) -> None:
        """Let a challenger be asked later what was answered to records; tables, and what is too much, it is not asked."""
        records, found = scored.inputs, scored.found
        if isinstance(found, dict):
            return
        if len(self._waiting) + len(records) > MOST:
            self.counters.add("shadow_dropped", len(records))
            return
        self._waiting.extend(zip([challenger] * len(records), records, found, strict=True))

    def compare(self) -> None:
        """Ask challengers within their share of the time; what is left over is dropped."""
        now = time.perf_counter_ns()
        self._allowed = min(self._allowed + int((now - self._since) * SHARE), SAVED)
        self._since = now
        while self._waiting and self._allowed > 0:
            challenger, record, found = self._waiting.popleft()
            try:
                differs = challenger.model.predict(record).score != found.score
            except Exception:
                differs = True
            self.counters.add("compared")
            if differs:
                self.counters.add("differing")
            after = time.perf_counter_ns()
            self._allowed, now = self._allowed - (after - now), after
        if self._waiting:
            self.counters.add("shadow_dropped", len(self._waiting))
            self._waiting.clear()
