"""Exact path-dependent Shapley values in plain Python: the referee of ``shapley.h``, which says how they come about.

Operation for operation the same as in C, so the bits are, too.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .forest import Forest
from .forest_format import LEAF

# In deeper trees contributions explain little, and finding a feature on a path takes as long as it is deep.
DEEPEST = 1024
TOO_DEEP = f"a tree is deeper than {DEEPEST}, too deep for explanations"


class Unexplainable(ValueError):
    """A model whose scores have no Shapley values here; the message says why."""


class Split(NamedTuple):
    """A split; nodes count from the tree's first, and ``before`` is the node below the same feature's split above, or 0.

    ``z`` and ``scale`` are by child: the share of the training rows that follow the path at the feature's splits, and the value
    of a leaf or 1.
    """

    node: int
    left: int
    before: int
    feature: int
    z: tuple[float, float]
    scale: tuple[float, float]
    missing: float
    inverse: float


class Explainer:
    """Explain rows of a forest.

    Attributes
    ----------
    base
        By output: the mean raw score over the training rows.

    Raises
    ------
    Unexplainable
        When the trees are linear, or deeper than ``DEEPEST``.
    """

    def __init__(self, forest: Forest):
        demand_explainable(forest)
        self._forest, self.base, self._trees = forest, [0.0] * forest.outputs, []
        self._rules: dict[int, tuple] = {}
        for tree in range(forest.trees):
            splits, mean, different = self._prepare(forest.tree[tree], forest.tree[tree + 1])
            self.base[tree % forest.outputs] += mean
            points = max(4, (different + 7) // 8 * 4)
            t, u, *_ = self._rules.setdefault(points, _quarters(rule_of(points)))
            edges = {0: [1.0] * points}
            for split in splits:
                for side in (0, 1):
                    z = split.z[side]
                    edges[split.left + side] = [
                        1.0 / d if (d := z * u[q] + t[q]) else math.inf for q in range(points)
                    ]
            self._trees.append((forest.tree[tree], points, splits, edges))
        self._lanes = max([4, *self._rules])

    def _prepare(self, first: int, last: int) -> tuple[list[Split], float, int]:
        forest, splits, mean, different = self._forest, [], 0.0, 0
        count = last - first
        parent, level, edge_feature, unlike = [0] * count, [0] * count, [-1] * count, [0] * count
        z, share = [1.0] * count, [1.0] * count
        for at in range(count):
            word = forest.node[first + at]
            left = (word >> 32) - first
            if left == at:
                mean += forest.value_of(first + at) * share[at]
                different = max(different, unlike[at])
                continue
            feature, above = forest.feature_of(word & 0xFFFF), at
            while above and edge_feature[above] != feature:
                above = parent[above]
            scale = []
            for child in (left, left + 1):
                whole, part = forest.cover[first + at], forest.cover[first + child]
                ratio = part / whole if whole else 0.0
                parent[child], edge_feature[child], level[child] = at, feature, level[at] + 1
                unlike[child] = unlike[at] + (not above)
                z[child], share[child] = z[above] * ratio, share[at] * ratio
                is_leaf = forest.node[first + child] >> 16 & 0xFFFF == LEAF
                scale.append(forest.value_of(first + child) if is_leaf else 1.0)
            if level[left] > DEEPEST:
                raise Unexplainable(TOO_DEEP)
            inverse = 1.0 / z[above] if z[above] > 0.0 else 0.0
            splits.append(
                Split(at, left, above, feature, (z[left], z[left + 1]), tuple(scale), 1.0 - z[above], inverse)
            )
        return splits, mean, different

    def explain(self, row: Sequence[float] | bytes) -> list[float]:
        """Return each output's values by feature, and its base value: outputs x (features + 1) numbers."""
        forest, lanes = self._forest, self._lanes
        row = forest.as_row(row)
        slots = forest.slots_of(row)
        credit = [[[0.0] * lanes for _ in range(forest.features)] for _ in range(forest.outputs)]
        for number, (root, points, splits, edges) in enumerate(self._trees):
            self._explain_tree(row, slots, root, points, splits, edges, credit[number % forest.outputs])
        values = []
        for output in range(forest.outputs):
            for feature in range(forest.features):
                total = 0.0
                for value in credit[output][feature]:
                    total += value
                values.append(total)
            values.append(self.base[output])
        return values

    def _explain_tree(self, row, slots, root, points, splits, edges, credit) -> None:
        forest, (t, u, inverse, weight) = self._forest, self._rules[points]
        each = range(points)
        carry, follows, right = {0: weight}, {0: True}, []
        for split in splits:
            word = forest.node[root + split.node]
            side = int(forest.goes_right(word, root + split.node, row, slots))
            hot, cold = split.left + side, split.left + 1 - side
            above, given = edges[split.before], carry[split.node]
            right.append(side)
            follows[hot], follows[cold] = follows[split.before], False
            hot_z, cold_z = split.z[side], split.z[1 - side]
            hot_scale, cold_scale = split.scale[side], split.scale[1 - side]
            if follows[hot]:
                part = [given[q] * above[q] for q in each]
                carry[hot] = [part[q] * (hot_z * u[q] + t[q]) * hot_scale for q in each]
                carry[cold] = [part[q] * (cold_z * cold_scale * u[q]) for q in each]
            else:
                hot_scale *= hot_z * split.inverse
                cold_scale *= cold_z * split.inverse
                carry[hot], carry[cold] = [x * hot_scale for x in given], [x * cold_scale for x in given]
        for split, side in zip(reversed(splits), reversed(right), strict=True):
            a, b = carry[split.left + side], carry[split.left + 1 - side]
            both = [a[q] + b[q] for q in each]
            carry[split.node] = both
            if follows[split.before]:
                above, here, mine = edges[split.before], edges[split.left + side], credit[split.feature]
                gain, missing = 1.0 - split.z[side], split.missing
                for q in each:
                    mine[q] += gain * here[q] * a[q] - inverse[q] * b[q] - missing * above[q] * both[q]


def demand_explainable(forest: Forest) -> None:
    """Refuse linear trees, whose leaves have no one value."""
    if len(forest.linear_plain):
        raise Unexplainable("linear trees have no explanations: a leaf's value depends on the row")


def rule_of(points: int) -> list[float]:
    """Return Gauss and Legendre's rule on [0, 1]: points t, then 1 - t, 1 / (1 - t), and weights.

    By Newton's method on the Legendre polynomial (Abramowitz and Stegun, 25.4.29).

    Examples
    --------
    >>> t, _, _, weight = _quarters(rule_of(4))
    >>> abs(sum(w * x**7 for w, x in zip(weight, t)) - 1 / 8) < 1e-15
    True
    """
    t, weight = [0.0] * points, [0.0] * points
    for number in range(points):
        x = math.cos(math.pi * (number + 0.75) / (points + 0.5))
        for _ in range(50):
            value, slope = _legendre(points, x)
            change = value / slope
            x -= change
            if abs(change) < 1e-16:
                break
        _, slope = _legendre(points, x)
        t[number], weight[number] = (1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope)
    return [*t, *(1.0 - x for x in t), *(1.0 / (1.0 - x) for x in t), *weight]


def _legendre(degree: int, x: float) -> tuple[float, float]:
    before, value = 1.0, x
    for k in range(2, degree + 1):
        before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
    return value, degree * (x * value - before) / (x * x - 1.0)


def _quarters(numbers: list[float]) -> tuple[list[float], ...]:
    size = len(numbers) // 4
    return tuple(numbers[first : first + size] for first in range(0, 4 * size, size))
