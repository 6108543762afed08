"""How the histories of one kind of entity are kept and asked: made once of a plan, shared by all tracks."""

from collections.abc import Callable
from typing import NamedTuple

from .track_code import written
from .values import NEEDS, OF_VALUES
from .window_plan import Plan
from .windows import MICROSECOND


class Asked(NamedTuple):
    """One window as a track answers it: its place in the answer, its ``aggregate`` and column, how many values it returns, and whether
    the row is in it."""

    slot: int
    aggregate: str
    function: Callable[..., float] | None
    column: int | None
    size: int
    itself: bool


class Cut(NamedTuple):
    """Windows that begin at one place: ``span`` microseconds before their end, or ``rows`` rows; both None: at the beginning."""

    span: int | None
    rows: int | None
    windows: list[Asked]


class Layout(NamedTuple):
    """How the tracks of one kind of entity are kept and asked.

    Attributes
    ----------
    place
        Which of ``Plan.entities`` it is.
    columns
        Which of ``Plan.columns`` are kept, with the prefix sums that they need.
    asked
        The windows by what they wait for, ``(is it a label, delay in microseconds)``, and by where they begin.
    quick
        All of them where what is visible is a stretch, as ``track_code.written`` writes it.
    """

    place: int
    columns: dict[int, frozenset[str]]
    asked: list[tuple[bool, int, list[Cut]]]
    quick: Callable[..., bool]

    def recall(self, known: dict, which: tuple, found: list) -> bool:
        """Write what ``keep`` kept of the same question into ``found``; returns whether there was any."""
        there = known.get((self.place, *which))
        for slot, value in there or ():
            found[slot] = value
        return there is not None

    def keep(self, known: dict, which: tuple, found: list) -> None:
        """Keep what windows hold for an entity at a moment, unless the row itself is in one of them."""
        windows = [window for _, _, cuts in self.asked for cut in cuts for window in cut.windows]
        if not any(window.itself for window in windows):
            known[self.place, *which] = [(window.slot, found[window.slot]) for window in windows]


def _never(*_: object) -> bool:
    return False


def layouts(plan: Plan) -> list[Layout]:
    """Return how the tracks of each of ``Plan.entities`` are kept."""
    found = []
    for place, by in enumerate(plan.entities):
        columns: dict[int, set[str]] = {}
        asked: dict[tuple[bool, int], dict[tuple, list[Asked]]] = {}
        for slot, window in enumerate(plan.windows.values()):
            if window.by != by:
                continue
            column = None if window.column is None else plan.columns.index(window.column)
            if column is not None:
                columns.setdefault(column, set()).update(NEEDS.get(window.aggregate, set()))
            waits = window.column in plan.labels, window.delay // MICROSECOND
            function, size = OF_VALUES.get(window.aggregate), window.rows or 0
            each = Asked(slot, window.aggregate, function, column, size, window.itself)
            cut = window.span, None if window.rows is None else window.rows - window.itself
            asked.setdefault(waits, {}).setdefault(cut, []).append(each)
        cuts = [
            (*waits, [Cut(*cut, windows) for cut, windows in mine.items()]) for waits, mine in asked.items()
        ]
        kept = {column: frozenset(needs) for column, needs in columns.items()}
        layout = Layout(place, kept, cuts, _never)
        found.append(layout._replace(quick=written(layout)))
    return found
