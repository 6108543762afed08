"""Profiles: how often a model's inputs and raw scores lay in which of a few fixed bins.

A booster tells rows apart by its thresholds only, so the thresholds that it uses most are edges of the bins, beside quantiles of the reference and its ends. Counts are integers: profiles
of parts add up to the profile of the whole, bit for bit, in whichever order.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hardcover.forest.lightgbm_text import Trees

FORMAT = "hardcover.profile/1"
# Edges of an input at most; two are its ends, and half of the others may be thresholds.
EDGES, ENDS = 63, 2
_CATEGORICAL = 1


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

    def place(self, name: str, column: np.ndarray) -> np.ndarray:
        """Return the bin of each value of an input or output, shape (rows,); the last one where it is missing."""
        edges = self.edges[self.names.index(name)]
        found = np.searchsorted(edges, column, side="left")
        found[np.isnan(column)] = len(edges) + 1
        return found

    @property
    def sizes(self) -> list[int]:
        """How many counts each has: one more than edges, and what is missing."""
        return [len(edges) + 2 for edges in self.edges]


def bins_of(
    trees: Trees, names: Sequence[str], inputs: np.ndarray, raw: np.ndarray, outputs: Sequence[str]
) -> Bins:
    """Return bins for a model and its reference rows.

    Parameters
    ----------
    trees
        The model.
    names, inputs
        Its inputs' names, and the reference's, shape (rows, inputs), float64.
    raw, outputs
        The reference's raw scores, shape (rows, outputs), float64, and the outputs' names.
    """
    is_category = (trees.decision & _CATEGORICAL).astype(bool)
    edges = []
    for number, column in enumerate(inputs.T):
        mine = trees.feature == number
        if (mine & is_category).any():
            edges.append(_edges_of_categories(column))
        else:
            edges.append(_edges_of_numbers(column, trees.threshold[mine & ~is_category], (EDGES - ENDS) // 2))
    edges += [_edges_of_numbers(column, np.empty(0), EDGES - ENDS) for column in raw.T]
    return Bins([*names, *outputs], edges)


def _edges_of_numbers(column: np.ndarray, thresholds: np.ndarray, quantiles: int) -> list[float]:
    values, used = np.unique(thresholds, return_counts=True)
    most = values[np.argsort(-used, kind="stable")[: EDGES - ENDS - quantiles]]
    known = column[np.isfinite(column)]
    shares = np.arange(1, quantiles + 1) / (quantiles + 1)
    places = np.quantile(known, shares, method="lower") if len(known) else np.empty(0)
    # What lies outside of all that the reference had is in bins of its own.
    ends = [np.nextafter(known.min(), -np.inf), known.max()] if len(known) else []
    found = np.unique(np.concatenate([most, places, ends]))
    # Of two zeros one is enough.
    return [float(edge) for edge in found[np.isfinite(found)] + 0.0]


def _edges_of_categories(column: np.ndarray) -> list[float]:
    known = column[np.isfinite(column)]
    levels = min(int(known.max(initial=0)) + 1, EDGES - 1)
    # What was unseen is -1, and below all.
    return [-0.5, *map(float, range(levels))]


class Profile:
    """Counts in bins.

    Parameters
    ----------
    bins
        The model's.
    counts
        Of each name in turn, by bin, and last what is missing; int64.
    """

    def __init__(self, bins: Bins, counts: np.ndarray):
        self.bins, self.counts = bins, counts

    @classmethod
    def of(cls, bins: Bins, inputs: np.ndarray, raw: np.ndarray) -> "Profile":
        """Count rows of inputs, shape (rows, inputs), and of raw scores, shape (rows, outputs)."""
        parts = []
        columns = [*inputs.T, *raw.T]
        for name, column, size in zip(bins.names, columns, bins.sizes, strict=True):
            parts.append(np.bincount(bins.place(name, column), minlength=size))
        return cls(bins, np.concatenate(parts).astype(np.int64))

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return int(self.counts[: self.bins.sizes[0]].sum())

    @cached_property
    def by_name(self) -> dict[str, np.ndarray]:
        """The counts of each input and output."""
        parts = np.split(self.counts, np.cumsum(self.bins.sizes)[:-1])
        return dict(zip(self.bins.names, parts, strict=True))

    def __add__(self, other: "Profile") -> "Profile":
        """Return the profile of both's rows.

        Raises
        ------
        ValueError
            When they have other bins.
        """
        if self.bins != other.bins:
            raise ValueError("profiles with other bins cannot be added")
        return Profile(self.bins, self.counts + other.counts)

    def content(self) -> bytes:
        """Return it as bytes: a line of JSON with the bins, and the counts as int64, little-endian."""
        head = {"format": FORMAT, "names": self.bins.names, "edges": self.bins.edges}
        return json.dumps(head).encode() + b"\n" + self.counts.astype("<i8").tobytes()

    @classmethod
    def read(cls, content: bytes) -> "Profile":
        """Return the profile that ``content`` gave.

        Raises
        ------
        ValueError
            When it is not one.
        """
        head, _, counts = content.partition(b"\n")
        facts = json.loads(head)
        if facts.get("format") != FORMAT:
            raise ValueError(f"this is no {FORMAT}")
        found = cls(Bins(facts["names"], facts["edges"]), np.frombuffer(counts, "<i8").astype(np.int64))
        if len(found.counts) != sum(found.bins.sizes) or (found.counts < 0).any():
            raise ValueError("the counts do not belong to the bins")
        return found

    @property
    def digest(self) -> str:
        """The SHA-256 of ``content()``."""
        return hashlib.sha256(self.content()).hexdigest()
