"""Profiles: how often a model's inputs and scores lay in which of a few fixed bins.

A booster tells rows apart by its thresholds only, so the thresholds that it uses most are edges of the bins, beside quantiles of the reference and its ends. Counts are integers: profiles
of parts add up to the profile of the whole, bit for bit, in whichever order.
"""

import hashlib
import itertools
import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

FORMAT = "hardcover.profile/2"


class NotProfiled(ValueError):
    """A release that has no profile; the message says why."""


class Bins(NamedTuple):
    """The bins of a model.

    Attributes
    ----------
    names
        Of the model's inputs, then of its outputs.
    edges
        Of each, strictly ascending. Bin ``i`` holds what is above edge ``i - 1`` and not above edge ``i``, as a split's left side does.
    """

    names: list[str]
    edges: list[list[float]]

    def place(self, name: str, column: Any) -> Any:
        """Return the bin of each value of an input or output, shape (rows,); the last one where it is missing."""
        import numpy as np

        edges = self.edges[self.names.index(name)]
        found = np.searchsorted(edges, column, side="left")
        found[np.isnan(column)] = len(edges) + 1
        return found

    @property
    def sizes(self) -> list[int]:
        """How many counts each has: one more than edges, and what is missing."""
        return [len(edges) + 2 for edges in self.edges]


class Profile:
    """Counts in bins.

    Parameters
    ----------
    bins
        The model's.
    counts
        Memory for a count of 8 bytes by bin, of each name in turn, last what is missing; None: of its own, all 0. The attribute is a view of it.

    Raises
    ------
    ValueError
        When there are more counts than bins, or fewer.
    """

    def __init__(self, bins: Bins, counts: Any = None):
        self.bins, size = bins, sum(bins.sizes)
        self.counts = memoryview(bytearray(8 * size) if counts is None else counts).cast("B").cast("Q")
        if len(self.counts) != size:
            raise ValueError("the counts do not belong to the bins")

    @classmethod
    def of(cls, bins: Bins, inputs: Any, scores: Any) -> "Profile":
        """Count rows of inputs, shape (rows, inputs), and of scores, shape (rows,) or (rows, outputs), float64."""
        import numpy as np

        columns = [*inputs.T, *np.column_stack([scores]).T]
        parts = [
            np.bincount(bins.place(name, column), minlength=size)
            for name, column, size in zip(bins.names, columns, bins.sizes, strict=True)
        ]
        return cls(bins, np.concatenate(parts).astype(np.uint64))

    def count(self, row: Sequence[float], scores: Sequence[float]) -> None:
        """Count one row."""
        first = 0
        for edges, value in zip(self.bins.edges, [*row, *scores], strict=True):
            self.counts[first + (len(edges) + 1 if value != value else bisect_left(edges, value))] += 1
            first += len(edges) + 2

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return sum(self.counts[: self.bins.sizes[0]])

    @property
    def by_name(self) -> dict[str, list[int]]:
        """The counts of each input and output."""
        return {name: part.tolist() for name, part in self._parts()}

    @property
    def arrays(self) -> dict[str, Any]:
        """The same as arrays, int64."""
        import numpy as np

        return {name: np.array(part, dtype=np.int64) for name, part in self._parts()}

    def _parts(self) -> Iterator[tuple[str, memoryview]]:
        first = 0
        for name, size in zip(self.bins.names, self.bins.sizes, strict=True):
            yield name, self.counts[first : first + size]
            first += size

    def __add__(self, other: "Profile") -> "Profile":
        """Return the profile of both's rows.

        Raises
        ------
        ValueError
            When they have other bins.
        """
        return self._with(other, int.__add__)

    def __sub__(self, other: "Profile") -> "Profile":
        """Return the profile of the rows that came after ``other``, an earlier one of the same; raises what addition does, and where it is none."""
        return self._with(other, int.__sub__)

    def _with(self, other: "Profile", join: Callable[[int, int], int]) -> "Profile":
        if self.bins != other.bins:
            raise ValueError("profiles with other bins cannot be added")
        try:
            return Profile(self.bins, array("Q", map(join, self.counts, other.counts)))
        except OverflowError as error:
            raise ValueError("the other profile has rows that this one has not") from error

    def content(self) -> bytes:
        """Return it as bytes: a line of JSON with the names and how many edges each has, the edges as float64, and the counts of 8 bytes, little-endian."""
        head = {"format": FORMAT, "names": self.bins.names, "edges": [*map(len, self.bins.edges)]}
        edges = array("d", itertools.chain.from_iterable(self.bins.edges))
        return b"".join([json.dumps(head).encode(), b"\n", edges.tobytes(), self.counts.tobytes()])

    @classmethod
    def read(cls, content: bytes) -> "Profile":
        """Return the profile that ``content`` gave.

        Raises
        ------
        ValueError
            When it is not one.
        """
        head, _, rest = content.partition(b"\n")
        try:
            facts = json.loads(head)
            if facts["format"] != FORMAT:
                raise ValueError(f"this is no {FORMAT}")
            names, sizes, edges, first = facts["names"], facts["edges"], [], 0
            for size in sizes:
                edges.append(memoryview(rest[first : first + 8 * size]).cast("d").tolist())
                first += 8 * size
            if len(names) != len(sizes) or any(map(_is_wrong, edges)):
                raise ValueError("edges do not ascend, or are not those of the names")
            return cls(Bins(names, edges), bytearray(rest[first:]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no {FORMAT}: {error}") from error

    @property
    def digest(self) -> str:
        """The SHA-256 of ``content()``."""
        return hashlib.sha256(self.content()).hexdigest()


def _is_wrong(edges: list[float]) -> bool:
    return edges != sorted({*edges}) or not all(map(math.isfinite, edges))
