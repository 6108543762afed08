"""How much each caller may ask of a worker: token buckets (https://en.wikipedia.org/wiki/Token_bucket), refilled by the clock."""

import time
from collections import OrderedDict
from typing import NamedTuple

from hardcover.serving.exchange import Request

# So many callers are told apart; who has not asked for longest is forgotten, with a full bucket.
MAX_CALLERS = 10_000


class Budget(NamedTuple):
    """What one caller may ask of one worker.

    Attributes
    ----------
    requests, explanations
        A second, in buckets of their own that hold two seconds' worth, at least one; 0: as much as there is.
    header
        The header that names a caller, in lower case; who has none goes by address.
    """

    requests: float = 0.0
    explanations: float = 0.0
    header: bytes = b"x-caller"


class Callers:
    """The buckets of all callers of a worker."""

    def __init__(self, budget: Budget):
        self.budget = budget
        self._left: OrderedDict[tuple[bool, bytes], tuple[float, float]] = OrderedDict()

    def spend(self, request: Request, address: bytes, now: float | None = None) -> float:
        """Take a request from its caller's bucket; return 0, or the seconds until there is one in it."""
        explains = request.path.endswith(b"/explain")
        rate = self.budget.explanations if explains else self.budget.requests
        if rate <= 0.0:
            return 0.0
        now = time.monotonic() if now is None else now
        # Of a name that is long, the beginning must do: it is kept.
        caller = explains, request.headers.get(self.budget.header, address)[:128]
        size = max(2.0 * rate, 1.0)
        left, since = self._left.pop(caller, (size, now))
        left = min(size, left + (now - since) * rate)
        self._left[caller] = (left - 1.0 if left >= 1.0 else left), now
        if len(self._left) > MAX_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1.0 else (1.0 - left) / rate
