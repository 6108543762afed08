"""Evaluate a forest of decision trees to the same bits as LightGBM's ``Booster.predict``.

One row at a time in plain Python, many rows by numpy; both follow ``Tree::NumericalDecision`` and
``Tree::CategoricalDecision`` of LightGBM 4 (include/LightGBM/tree.h), add the trees in model order, and apply
the objective's link with the C library's ``exp``, which is the one that LightGBM calls.
"""

import itertools
import math

from .arrays import DamagedRelease, write

FORMAT = "hardcover.forest/1"
# kZeroThreshold of LightGBM is a float32; rows are read with anything nearer to zero taken as zero.
ZERO_THRESHOLD = 1.0000000180025095e-35
CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
# The largest category that LightGBM's int32 cast can give; everything beyond goes right.
INT_LIMIT = 2147483648.0

ARRAYS = {
    "node_offset": "I32",
    "leaf_offset": "I32",
    "feature": "I32",
    "threshold": "F64",
    "decision": "U8",
    "left": "I32",
    "right": "I32",
    "leaf_value": "F64",
    "set_offset": "I32",
    "set_word": "U32",
}


class Forest:
    """Trees as flat arrays, checked once at construction.

    Parameters
    ----------
    arrays
        One sequence of numbers for each name in ``ARRAYS``. Tree ``t`` owns nodes ``node_offset[t]`` to
        ``node_offset[t + 1]`` and leaves likewise. ``left`` and ``right`` hold a node's number or, negative,
        ``~leaf``; a child's number is above its parent's. ``decision`` holds LightGBM's bits: 1 categorical,
        2 missing goes left, 4 x missing type. A categorical node's threshold is the number of its set of
        categories: the bits of ``set_word[set_offset[i]:set_offset[i + 1]]``.
    metadata
        ``format``, ``features`` (how many numbers a row has) and ``sigmoid`` (the link's slope).

    Raises
    ------
    DamagedRelease
        When an index points outside, a tree is not a tree, or a number is not finite.
    """

    def __init__(self, arrays: dict, metadata: dict[str, str]):
        if metadata.get("format") != FORMAT:
            raise DamagedRelease(
                f"the model's format is {metadata.get('format')!r}, this runtime reads {FORMAT!r}"
            )
        if set(arrays) != set(ARRAYS):
            raise DamagedRelease(f"the model has the arrays {sorted(arrays)}, not {sorted(ARRAYS)}")
        for name in ARRAYS:
            setattr(
                self, name, arrays[name].tolist() if hasattr(arrays[name], "tolist") else list(arrays[name])
            )
        try:
            self.features = int(metadata["features"])
            self.sigmoid = float.fromhex(metadata["sigmoid"])
        except (KeyError, ValueError, OverflowError) as error:
            raise DamagedRelease(f"the model's metadata are damaged: {error}") from error
        self._check()

    @property
    def trees(self) -> int:
        """The number of trees."""
        return len(self.node_offset) - 1

    def to_bytes(self) -> bytes:
        """Lay the forest out as a model file; the same forest gives the same bytes."""
        metadata = {"format": FORMAT, "features": str(self.features), "sigmoid": self.sigmoid.hex()}
        return write({name: (kind, getattr(self, name)) for name, kind in ARRAYS.items()}, metadata)

    def _check(self) -> None:
        nodes, leaves, sets = len(self.feature), len(self.leaf_value), len(self.set_offset) - 1
        for name in ("threshold", "decision", "left", "right"):
            _demand(len(getattr(self, name)) == nodes, f"{name} has not one entry a node")
        _demand(0 < self.features < 1 << 20, "the number of features is out of range")
        _demand(0 < self.sigmoid < math.inf, "the link's slope is not positive")
        _demand(all(map(math.isfinite, self.threshold)), "a threshold is not finite")
        _demand(all(map(math.isfinite, self.leaf_value)), "a leaf's value is not finite")
        _rising(self.node_offset, nodes, "node_offset")
        _rising(self.leaf_offset, leaves, "leaf_offset")
        _rising(self.set_offset, len(self.set_word), "set_offset")
        _demand(len(self.leaf_offset) == len(self.node_offset), "the offsets disagree on the number of trees")
        for node in range(nodes):
            _demand(0 <= self.feature[node] < self.features, f"node {node} reads a feature that no row has")
            decision = self.decision[node]
            _demand(decision >> 2 <= MISSING_NAN, f"node {node} has an unknown missing type")
            if decision & CATEGORICAL:
                number = self.threshold[node]
                _demand(
                    number == int(number) and 0 <= number < sets, f"node {node} names no set of categories"
                )
        for tree in range(self.trees):
            self._check_tree(tree)

    def _check_tree(self, tree: int) -> None:
        first, last = self.node_offset[tree], self.node_offset[tree + 1]
        first_leaf, last_leaf = self.leaf_offset[tree], self.leaf_offset[tree + 1]
        _demand(last_leaf - first_leaf == last - first + 1, f"tree {tree} has not one leaf more than nodes")
        seen = set()
        for node in range(first, last):
            for child in (self.left[node], self.right[node]):
                inside = node < child < last if child >= 0 else first_leaf <= ~child < last_leaf
                _demand(inside and child not in seen, f"tree {tree} is not a tree at node {node}")
                seen.add(child)

    def raw(self, row: list[float]) -> float:
        """Add up the trees for one row of ``features`` floats; the score before the link."""
        feature, threshold, decision = self.feature, self.threshold, self.decision
        left, right, leaf_value, leaf_offset = self.left, self.right, self.leaf_value, self.leaf_offset
        row = [0.0 if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD else value for value in row]
        # Not sum(): from Python 3.12 on it compensates rounding, and LightGBM does not.
        total = 0.0
        node_offset = self.node_offset
        for tree in range(len(node_offset) - 1):
            node = node_offset[tree]
            if node == node_offset[tree + 1]:
                total += leaf_value[leaf_offset[tree]]
                continue
            while node >= 0:
                value, kind = row[feature[node]], decision[node]
                if kind & CATEGORICAL:
                    goes_left = self._in_set(value, int(threshold[node]))
                elif value != value:
                    missing = kind >> 2
                    goes_left = threshold[node] >= 0.0 if missing == MISSING_NONE else kind & DEFAULT_LEFT
                elif value == 0.0 and kind >> 2 == MISSING_ZERO:
                    goes_left = kind & DEFAULT_LEFT
                else:
                    goes_left = value <= threshold[node]
                node = left[node] if goes_left else right[node]
            total += leaf_value[~node]
        return total

    def _in_set(self, value: float, number: int) -> bool:
        if not -1.0 < value < INT_LIMIT:
            return False
        category = int(value)
        word = self.set_offset[number] + (category >> 5)
        return word < self.set_offset[number + 1] and bool(self.set_word[word] >> (category & 31) & 1)

    def score(self, raw: float) -> float:
        """Turn a raw score into a probability: ``1 / (1 + exp(-sigmoid * raw))``."""
        try:
            return 1.0 / (1.0 + math.exp(-self.sigmoid * raw))
        except OverflowError:
            return 0.0

    def raw_many(self, rows):
        """Add up the trees for an array of shape (rows, features), float64; gives shape (rows,), float64."""
        import numpy as np

        columns = np.asfortranarray(rows, dtype=np.float64)
        columns = np.where(np.abs(columns) <= ZERO_THRESHOLD, 0.0, columns)
        columns = [columns[:, number] for number in range(self.features)]
        total = np.zeros(len(rows))
        value = np.empty(len(rows))
        everyone = np.arange(len(rows))
        for tree in range(self.trees):
            root = self.node_offset[tree]
            if root == self.node_offset[tree + 1]:
                total += self.leaf_value[self.leaf_offset[tree]]
                continue
            waiting = [(root, everyone)]
            while waiting:
                node, members = waiting.pop()
                if node < 0:
                    value[members] = self.leaf_value[~node]
                    continue
                goes_left = self._decide_many(node, columns[self.feature[node]][members])
                waiting.append((self.left[node], members[goes_left]))
                waiting.append((self.right[node], members[~goes_left]))
            total += value
        return total

    def _decide_many(self, node: int, values):
        import numpy as np

        kind, threshold = self.decision[node], self.threshold[node]
        if kind & CATEGORICAL:
            words = self.set_word[self.set_offset[int(threshold)] : self.set_offset[int(threshold) + 1]]
            known = (values > -1.0) & (values < 32 * len(words))
            category = np.where(known, values, 0.0).astype(np.int64)
            bits = np.asarray(words, dtype=np.uint32)
            return known & ((bits[category >> 5] >> (category & 31).astype(np.uint32)) & 1).astype(bool)
        goes_left, missing = values <= threshold, kind >> 2
        lost = np.isnan(values)
        if missing == MISSING_NONE:
            return np.where(lost, threshold >= 0.0, goes_left)
        if missing == MISSING_ZERO:
            lost |= values == 0.0
        return np.where(lost, bool(kind & DEFAULT_LEFT), goes_left)

    def score_many(self, raw):
        """Turn raw scores, shape (rows,), into probabilities with the same bits as ``score``."""
        import numpy as np

        # numpy's own exp differs from the C library's in the last bit on some processors.
        return np.fromiter(map(self.score, raw.tolist()), dtype=np.float64, count=len(raw))


def _demand(condition: bool, complaint: str) -> None:
    if not condition:
        raise DamagedRelease(f"the model is damaged: {complaint}")


def _rising(offsets: list[int], end: int, name: str) -> None:
    whole = bool(offsets) and offsets[0] == 0 and offsets[-1] == end
    steps = itertools.pairwise(offsets)
    _demand(whole and all(low <= high for low, high in steps), f"{name} does not rise from 0 to {end}")
