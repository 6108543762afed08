"""A forest of decision trees as flat arrays, evaluated to the same bits as LightGBM's ``Booster.predict``.

Here in plain Python, slowly, as the referee of ``kernel.c`` and for machines that it was not built for. Both follow
``Tree::NumericalDecision``, ``Tree::CategoricalDecision`` and ``Tree::PredictLinear`` of LightGBM 4
(include/LightGBM/tree.h), add the trees in model order, and convert raw scores as its objectives do (src/objective).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

from .arrays import DamagedRelease, packed
from .forest_format import ARRAYS, FORMAT, IN_PLACE, MAX_RANK, check_sizes, parts_of
from .forest_format import check as check_forest

# kZeroThreshold of LightGBM is a float32; anything nearer to zero is taken as zero.
ZERO_THRESHOLD = 1.0000000180025095e-35
# The largest category that LightGBM's int32 cast can give; everything beyond goes right.
INT_LIMIT = 2147483648.0


class Forest:
    """Trees as flat arrays, checked once at construction.

    A row is first turned into *slots*, 16-bit numbers. The slot of a number counts the feature's thresholds below the
    value, less ``slot_first`` and at most ``MAX_RANK``; ``slot_zero`` and ``slot_nan`` replace it where the value is zero or
    missing. The slots of a table are its row for the feature's category, the last row for any that it does not have: 0
    inside a set, 1 outside. A node goes right where its slot exceeds its rank.

    Parameters
    ----------
    arrays
        One sequence of numbers for each name in ``ARRAYS``.

        ``node``: slot, rank and left child, of 16, 16 and 32 bits from the lowest; the right child is the next node. A leaf has
        the rank ``LEAF`` and is its own child. Tree ``t`` owns the nodes ``tree[t]`` to ``tree[t + 1]``, level by level. The rank
        ``IN_PLACE`` stands for a set of categories that is in no table: the bits of ``set_word``, from ``set_offset`` of
        ``node_set``; then the slot tells the feature.

        By node: ``value`` of leaves, or where few are different, ``code``, which of ``book`` it is; ``leaf`` as LightGBM
        numbers them, ``cover`` in training rows, and in linear trees the terms from ``linear_offset`` on and
        ``linear_plain``, which is the value where a term's feature is missing.
    metadata
        ``format``, ``features`` of a row, ``outputs`` of a prediction, ``link`` of ``LINKS``, its ``slope``, and the ``divisor`` of raw
        scores.

    Raises
    ------
    DamagedRelease
        When an index points outside, a tree is not a tree, or a number is not finite.
    """

    def __init__(self, arrays: dict[str, Sequence], metadata: dict[str, str], check: bool = True):
        if metadata.get("format") != FORMAT:
            raise DamagedRelease(
                f"the model's format is {metadata.get('format')!r}, this runtime reads {FORMAT!r}"
            )
        if set(arrays) != set(ARRAYS):
            other = sorted(set(arrays) ^ set(ARRAYS))[0]
            raise DamagedRelease(
                f"the model's arrays are not those of {FORMAT}: {other[:40]!r} is missing or unknown"
            )
        try:
            self.features, self.outputs = int(metadata["features"]), int(metadata["outputs"])
            self.link, self.slope = metadata["link"], float.fromhex(metadata["slope"])
            self.divisor = float.fromhex(metadata["divisor"])
        except (KeyError, ValueError, OverflowError) as error:
            raise DamagedRelease(f"the model's metadata are damaged: {error}") from error
        self.arrays, self.metadata = arrays, metadata
        self.__dict__.update(arrays)
        self.trees, self.nodes = len(self.tree) - 1, len(self.node)
        self.slots = len(self.slot_feature) + sum(self.table_slots)
        check_sizes(self)
        if check:
            check_forest(self)

    def splits(self) -> list[tuple[int, float]]:
        """List the values where the model's answer can change, by feature: thresholds, and categories of sets."""
        found = [
            (feature, value)
            for feature in range(self.features)
            for value in self.threshold[self.threshold_offset[feature] : self.threshold_offset[feature + 1]]
        ]
        for feature, codes in zip(self.table_feature, self.table_codes, strict=True):
            found += [(feature, float(code)) for code in range(codes + 1)]
        for at in range(self.nodes if len(self.node_set) else 0):
            slot, rank, _ = parts_of(self.node[at])
            if rank == IN_PLACE:
                number = self.node_set[at]
                codes = 32 * (self.set_offset[number + 1] - self.set_offset[number])
                found += [(self.slot_feature[slot], float(code)) for code in range(0, codes + 1, 7)]
        return sorted(set(found))

    def slots_of(self, row: Sequence[float]) -> list[int]:
        """Find where a row's values lie among the thresholds, and in which sets of categories."""
        slots, low_of, at_zero, at_nan = [], self.slot_first, self.slot_zero, self.slot_nan
        for slot, feature in enumerate(self.slot_feature):
            value = row[feature]
            if value != value:
                slots.append(at_nan[slot])
            elif -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD:
                slots.append(at_zero[slot])
            else:
                first, last = self.threshold_offset[feature], self.threshold_offset[feature + 1]
                rank = bisect_left(self.threshold, value, first, last) - first - low_of[slot]
                slots.append(min(max(rank, 0), MAX_RANK))
        for table, feature in enumerate(self.table_feature):
            codes, count, value = self.table_codes[table], self.table_slots[table], row[feature]
            code = int(value) if -1.0 < value < codes else codes
            first = self.table_offset[table] + code * count
            slots += self.table_cell[first : first + count]
        return slots

    def feature_of(self, slot: int) -> int:
        """Tell the feature that a slot is filled from."""
        if slot < len(self.slot_feature):
            return self.slot_feature[slot]
        return self.table_feature[bisect_right(self.table_slot, slot) - 1]

    def goes_right(self, word: int, at: int, row: Sequence[float], slots: list[int]) -> bool:
        """Find where a row goes at the node ``at``, whose ``word`` this is."""
        slot, rank = word & 0xFFFF, word >> 16 & 0xFFFF
        if rank != IN_PLACE:
            return slots[slot] > rank
        value = row[self.slot_feature[slot]]
        return not -1.0 < value < INT_LIMIT or int(value) not in self._sets[at]

    def _leaves(self, row: Sequence[float]) -> list[int]:
        """Find a row's leaf in each tree, as a node."""
        slots, codes, found = self.slots_of(row), self._codes(row), []
        (slot, rank, left), sets = self._columns, self._sets
        for at in self.tree[: self.trees]:
            while (child := left[at]) != at:
                if (limit := rank[at]) != IN_PLACE:
                    at = child + (slots[slot[at]] > limit)
                else:
                    at = child + (codes[slot[at]] not in sets[at])
            found.append(at)
        return found

    @cached_property
    def _columns(self) -> tuple[list[int], ...]:
        """Slot, rank and left child of every node, as lists: Python reads these faster than words."""
        return tuple([parts_of(word)[part] for word in self.node] for part in range(3))

    @cached_property
    def _sets(self) -> dict[int, frozenset[int]]:
        """The categories that go left at each node whose set is in no table."""
        return {
            at: frozenset(self._set(self.node_set[at]))
            for at, rank in enumerate(self._columns[1])
            if rank == IN_PLACE
        }

    def _set(self, number: int) -> Iterator[int]:
        first, last = self.set_offset[number], self.set_offset[number + 1]
        for place in range(first, last):
            word = self.set_word[place]
            yield from (32 * (place - first) + bit for bit in range(32) if word >> bit & 1)

    def _codes(self, row: Sequence[float]) -> list[int]:
        """Return the category of each slot's feature, -1 where there can be none; nothing where no set is in place."""
        if not self._sets:
            return []
        values = [row[feature] for feature in self.slot_feature]
        return [int(value) if -1.0 < value < INT_LIMIT else -1 for value in values]

    def leaves(self, row: Sequence[float] | bytes) -> list[int]:
        """Find a row's leaf in each tree, as LightGBM numbers them."""
        return [self.leaf[at] for at in self._leaves(self.as_row(row))]

    def raw(self, row: Sequence[float] | bytes) -> list[float]:
        """Add up the trees for one row of ``features`` floats: a raw score for each output."""
        row = self.as_row(row)
        # Not sum(): from Python 3.12 on it compensates rounding, and LightGBM does not.
        total, values, linear = [0.0] * self.outputs, self._values, len(self.linear_plain) > 0
        for tree, at in enumerate(self._leaves(row)):
            total[tree % self.outputs] += self._linear_value(at, row) if linear else values[at]
        return total

    def value_of(self, at: int) -> float:
        """Return a leaf's value, or in linear trees its constant."""
        return self.book[self.code[at]] if len(self.book) else self.value[at]

    @cached_property
    def _values(self) -> list[float]:
        return [self.value_of(at) for at in range(self.nodes)]

    def _linear_value(self, at: int, row: Sequence[float]) -> float:
        value = self._values[at]
        for term in range(self.linear_offset[at], self.linear_offset[at + 1]):
            given = row[self.linear_feature[term]]
            if given != given:
                return self.linear_plain[at]
            given = 0.0 if -ZERO_THRESHOLD <= given <= ZERO_THRESHOLD else given
            value += self.linear_weight[term] * given
        return value

    def convert(self, raw: list[float]) -> list[float]:
        """Turn raw scores into what ``Booster.predict`` gives, such as probabilities."""
        scores = [score / self.divisor for score in raw]
        if self.link == "softmax":
            most = scores[0]
            for score in scores:
                most = score if score > most else most
            powers, total = [_exp(score - most) for score in scores], 0.0
            for power in powers:
                total += power
            return [power / total for power in powers]
        return [self._converted(score) for score in scores]

    def _converted(self, raw: float) -> float:
        if self.link == "sigmoid":
            return 1.0 / (1.0 + _exp(-self.slope * raw))
        if self.link == "square":
            return ((raw > 0) - (raw < 0)) * raw * raw
        if self.link == "exp":
            return _exp(raw)
        return math.log1p(_exp(raw)) if self.link == "log1p_exp" else raw

    def predict(self, row: Sequence[float] | bytes) -> list[float]:
        """Score one row: a number for each output."""
        return self.convert(self.raw(row))

    def as_row(self, row: Sequence[float] | bytes) -> Sequence[float]:
        """Return a row as numbers, whatever it came as."""
        return memoryview(packed(row, self.features)).cast("d")


def _exp(value: float) -> float:
    # The C library's, which LightGBM calls; numpy's own differs in the last bit on some processors.
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
