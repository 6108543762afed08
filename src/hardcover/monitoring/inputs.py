"""Are inputs broken, or elsewhere than in the reference: bets on where their values lie, by the counts of profiles.

Each input's bins make a few groups: what is missing, what the reference never had (below its least value, above its largest one, an unseen category), and
parts that hold about the same share of it. Against "no more rows than in the reference, and some, lie in this group", rows in it are bet on as losses are. The mean of
all stakes is an e-value too, so all inputs together are one test, and the stakes that have grown most say which input it is, and how.
"""

from dataclasses import dataclass

import numpy as np

from hardcover.runtime.profile import Profile

# Shares of a stake.
SHARES = 2.0 ** -np.arange(1, 8)
SHARES.setflags(write=False)
# Groups of what the reference had.
PARTS = 8
# Beyond all that the holdout had, the world may move a part of the rows, and a wrong unit all of them.
MOSTLY = 0.5
MISSING, UNSEEN, BELOW, ABOVE, ELSEWHERE = "missing", "unseen", "below", "above", "elsewhere"


@dataclass(frozen=True)
class Group:
    """Some bins of an input.

    Attributes
    ----------
    name, kind
        Of the input; and what it means to be in it.
    bins
        Their places among the counts.
    share
        How many rows of the reference are in it, from 0 to 1.
    low, high
        The edges of a part, for people.
    """

    name: str
    kind: str
    bins: np.ndarray
    share: float
    low: float = float("nan")
    high: float = float("nan")

    def words(self) -> str:
        """Return what a row in it has."""
        if self.kind != ELSEWHERE:
            return f"{self.name} {'never seen' if self.kind == UNSEEN else self.kind + ('' if self.kind == MISSING else ' all of the reference')}"
        return f"{self.name} in ({self.low:.4g}, {self.high:.4g}]"


def groups_of(reference: Profile, inputs: int) -> list[Group]:
    """Return the groups of the first ``inputs`` names of a profile."""
    found, counted = [], reference.arrays
    for name, edges in zip(reference.bins.names[:inputs], reference.bins.edges, strict=False):
        counts = counted[name]
        shares = counts / max(1, counts.sum())
        categories = bool(edges) and edges[0] == -0.5
        last = len(counts) - 1
        outside = {0: UNSEEN if categories else BELOW, last - 1: ABOVE} if edges else {}
        if categories:
            # The last level is a level, unless the reference has none of it.
            outside = {place: UNSEEN for place in outside if not counts[place]}
        found.append(Group(name, MISSING, np.array([last]), float(shares[last])))
        found += [
            Group(name, kind, np.array([place]), float(shares[place])) for place, kind in outside.items()
        ]
        inner = np.array([place for place in range(last) if place not in outside], dtype=int)
        if len(inner) < 2:
            continue
        below = np.cumsum(shares[inner]) - shares[inner] / 2
        part = (
            np.minimum(PARTS - 1, (below / max(below[-1], 1e-12) * PARTS).astype(int))
            if len(inner) > PARTS
            else np.arange(len(inner))
        )
        for number in np.unique(part):
            mine = inner[part == number]
            low = edges[mine[0] - 1] if mine[0] else -np.inf
            high = edges[mine[-1]] if mine[-1] < len(edges) else np.inf
            found.append(Group(name, ELSEWHERE, mine, float(shares[mine].sum()), low, high))
    return found


def counts_in(groups: list[Group], profile: Profile) -> np.ndarray:
    """Return how many rows lie in each group."""
    counted = profile.arrays
    return np.array([counted[group.name][group.bins].sum() for group in groups], dtype=np.int64)


def rows_in(groups: list[Group], profile: Profile, table: np.ndarray, names: list[str]) -> np.ndarray:
    """Return which rows of inputs, shape (rows, inputs), lie in each group, shape (groups, rows), as 0 and 1."""
    places = {name: profile.bins.place(name, column) for name, column in zip(names, table.T, strict=True)}
    return np.array([np.isin(places[group.name], group.bins) for group in groups], dtype=np.float64)


def is_broken(kind: str, share: float) -> bool:
    """Check whether rows of a group, such a share of all, are a fault of who delivers them rather than the world's: missing, never seen, or for the most part beyond all that was."""
    return kind in (MISSING, UNSEEN) or (kind in (BELOW, ABOVE) and share > MOSTLY)


def bounds(groups: list[Group], shares: np.ndarray, moved: float, broken: float) -> np.ndarray:
    """Return the share of rows up to which each group is as usual: the usual one, and ``moved`` of a part, ``broken`` of what should not be there."""
    more = np.array([moved if group.kind == ELSEWHERE else broken for group in groups])
    return np.minimum(shares + more, 0.999)


def growth(counts: np.ndarray, rows: int, bound: np.ndarray, dependence: np.ndarray) -> np.ndarray:
    """Return the logarithm of what a window multiplies each stake by, shape (groups, shares): what `evidence.growth` is, of rows in a group as losses of 1.

    Parameters
    ----------
    counts, bound, dependence
        Of each group: rows in it, the share up to which that is as usual, and of how many rows one counts.
    rows
        How many there are.
    """
    inside = np.log1p(np.multiply.outer(1 / bound - 1, SHARES)) * counts[:, None]
    outside = np.log1p(-SHARES) * (rows - counts)[:, None]
    return (inside + outside) / dependence[:, None]
