"""A forest of decision trees as flat arrays, evaluated to the same bits as LightGBM's ``Booster.predict``.

Here in plain Python, slowly, as the referee of ``kernel.c`` and for machines that it was not built for. Both follow
``Tree::NumericalDecision``, ``Tree::CategoricalDecision`` and ``Tree::PredictLinear`` of LightGBM 4
(include/LightGBM/tree.h), add the trees in model order, and convert raw scores as its objectives do (src/objective).
"""

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .arrays import KINDS, DamagedRelease, packed

FORMAT = "hardcover.forest/2"
# kZeroThreshold of LightGBM is a float32; anything nearer to zero is taken as zero.
ZERO_THRESHOLD = 1.0000000180025095e-35
# Ranks of a node that say what it is, and the most thresholds that one slot tells apart.
LEAF, IN_PLACE, MAX_RANK = 65535, 65534, 65533
MAX_SLOTS, MAX_CODES = 65536, 65536
# The largest category that LightGBM's int32 cast can give; everything beyond goes right.
INT_LIMIT = 2147483648.0
LINKS = ("identity", "square", "exp", "sigmoid", "softmax", "log1p_exp")

# In the order in which the kernel takes them.
ARRAYS = {
    "node": "U64",
    "value": "F64",
    "code": "U16",
    "book": "F64",
    "leaf": "U32",
    "cover": "U32",
    "tree": "U32",
    "threshold": "F64",
    "threshold_offset": "U32",
    "slot_feature": "U32",
    "slot_first": "U32",
    "slot_zero": "U32",
    "slot_nan": "U32",
    "table_feature": "U32",
    "table_slot": "U32",
    "table_slots": "U32",
    "table_codes": "U32",
    "table_offset": "U32",
    "table_cell": "U8",
    "set_offset": "U32",
    "set_word": "U32",
    "node_set": "U32",
    "linear_offset": "U32",
    "linear_feature": "U32",
    "linear_weight": "F64",
    "linear_plain": "F64",
}
# By the number that ``check`` of the kernel gives.
RULES = (
    "trees do not share out the nodes",
    "features do not share out the thresholds",
    "a feature's thresholds do not rise",
    "a value is not finite",
    "a slot names no feature, or no 16-bit number",
    "a table of categories does not fit",
    "a set of categories does not fit",
    "a linear term does not fit",
    "a tree has no node",
    "a node names no slot",
    "a node's children are not the next two of its tree",
    "a leaf's value is not in the book",
)


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
        self._check_sizes()
        if check:
            self._check()

    def _check_sizes(self) -> None:
        """Check what the kernel takes for granted: the arrays' lengths, and the metadata."""
        _demand(0 < self.features <= 1 << 20 and 0 < self.outputs <= 1 << 16, "it has no features or outputs")
        _demand(self.link in LINKS and math.isfinite(self.slope), "its link is unknown")
        _demand(math.isfinite(self.divisor) and self.divisor >= 1.0, "its divisor is no number of iterations")
        _demand(len(self.tree) and self.nodes < 1 << 31, "it has no trees")
        _demand(len(self.threshold_offset) == self.features + 1, RULES[1])
        _demand(self.trees % self.outputs == 0, "its trees are no whole iterations")
        for name, values in self.arrays.items():
            # Lists, of tests, are read by Python alone.
            kind = values.format if isinstance(values, memoryview) else KINDS[ARRAYS[name]][0]
            _demand(kind == KINDS[ARRAYS[name]][0], f"{name} is not of {ARRAYS[name]}")
        lengths = {name: len(values) for name, values in self.arrays.items()}
        for names in (
            ("node", "leaf", "cover"),
            ("slot_feature", "slot_first", "slot_zero", "slot_nan"),
            ("table_feature", "table_slot", "table_slots", "table_codes", "table_offset"),
            ("linear_feature", "linear_weight"),
        ):
            _demand(len({lengths[name] for name in names}) == 1, f"{' and '.join(names)} differ in length")
        coded = self.nodes if lengths["book"] else 0
        _demand(
            (lengths["value"], lengths["code"]) == (self.nodes - coded, coded),
            "value and code differ from node",
        )
        _demand(len(self.set_offset) > 0, RULES[6])
        _demand(lengths["node_set"] in (0, self.nodes), RULES[6])
        _demand(lengths["linear_plain"] in (0, self.nodes), RULES[7])
        wanted = self.nodes + 1 if lengths["linear_plain"] else 0
        _demand(lengths["linear_offset"] == wanted, RULES[7])
        _demand(bool(lengths["linear_plain"]) or not lengths["linear_weight"], RULES[7])

    def _check(self) -> None:
        """Do what ``check`` of the kernel does, and break the same rules."""
        _demand(_rises(self.tree, self.nodes), RULES[0])
        _demand(_rises(self.threshold_offset, len(self.threshold)), RULES[1])
        for first, last in itertools.pairwise(self.threshold_offset):
            mine = self.threshold[first:last]
            _demand(all(at == at for at in mine), RULES[2])
            _demand(all(low < high for low, high in itertools.pairwise(mine)), RULES[2])
        for values in (self.value, self.book, self.linear_weight, self.linear_plain):
            _demand(all(map(math.isfinite, values)), RULES[3])
        _demand(all(feature < self.features for feature in self.slot_feature), RULES[4])
        _demand(all(number <= LEAF for number in itertools.chain(self.slot_zero, self.slot_nan)), RULES[4])
        slots = len(self.slot_feature)
        for number, feature in enumerate(self.table_feature):
            codes, count = self.table_codes[number], self.table_slots[number]
            room = len(self.table_cell) - self.table_offset[number]
            fits = feature < self.features and self.table_slot[number] == slots and 0 < count <= MAX_SLOTS
            _demand(fits and codes <= MAX_CODES and (codes + 1) * count <= room, RULES[5])
            slots += count
        _demand(0 < slots <= MAX_SLOTS, RULES[5])
        sets = len(self.set_offset) - 1
        _demand(_rises(self.set_offset, len(self.set_word)), RULES[6])
        _demand(all(number < sets for number in self.node_set), RULES[6])
        if len(self.linear_plain):
            _demand(_rises(self.linear_offset, len(self.linear_weight)), RULES[7])
            _demand(all(feature < self.features for feature in self.linear_feature), RULES[7])
        for first, last in itertools.pairwise(self.tree):
            _demand(first < last, RULES[8])
            self._check_tree(first, last, slots)
        _demand(all(code < len(self.book) for code in self.code), RULES[11])

    def _check_tree(self, first: int, last: int, slots: int) -> None:
        following = first + 1
        for at in range(first, last):
            slot, rank, child = _parts(self.node[at])
            _demand(slot < slots, RULES[9])
            if child == at:
                _demand(rank == LEAF, RULES[10])
                continue
            _demand(child == following and following + 2 <= last and rank != LEAF, RULES[10])
            _demand(rank != IN_PLACE or (len(self.node_set) > 0 and slot < len(self.slot_feature)), RULES[6])
            following += 2
        _demand(following == last, RULES[10])

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
            slot, rank, _ = _parts(self.node[at])
            if rank == IN_PLACE:
                number = self.node_set[at]
                codes = 32 * (self.set_offset[number + 1] - self.set_offset[number])
                found += [(self.slot_feature[slot], float(code)) for code in range(0, codes + 1, 7)]
        return sorted(set(found))

    def slots_of(self, row: Sequence[float]) -> list[int]:
        """Say where a row's values lie among the thresholds, and in which sets of categories."""
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
        """Say where a row goes at the node ``at``, whose ``word`` this is."""
        slot, rank = word & 0xFFFF, word >> 16 & 0xFFFF
        if rank != IN_PLACE:
            return slots[slot] > rank
        value = row[self.slot_feature[slot]]
        if not -1.0 < value < INT_LIMIT:
            return True
        number, code = self.node_set[at], int(value)
        place = self.set_offset[number] + (code >> 5)
        return place >= self.set_offset[number + 1] or not self.set_word[place] >> (code & 31) & 1

    def _leaves(self, row: Sequence[float]) -> list[int]:
        """Find a row's leaf in each tree, as a node."""
        slots, node, found = self.slots_of(row), self.node, []
        for at in self.tree[: self.trees]:
            while (word := node[at]) >> 32 != at:
                at = (word >> 32) + self.goes_right(word, at, row, slots)
            found.append(at)
        return found

    def leaves(self, row: Sequence[float] | bytes) -> list[int]:
        """Find a row's leaf in each tree, as LightGBM numbers them."""
        return [self.leaf[at] for at in self._leaves(self.as_row(row))]

    def raw(self, row: Sequence[float] | bytes) -> list[float]:
        """Add up the trees for one row of ``features`` floats: a raw score for each output."""
        row = self.as_row(row)
        # Not sum(): from Python 3.12 on it compensates rounding, and LightGBM does not.
        total = [0.0] * self.outputs
        for tree, at in enumerate(self._leaves(row)):
            total[tree % self.outputs] += self._leaf_value(at, row)
        return total

    def value_of(self, at: int) -> float:
        """Give a leaf's value, or in linear trees its constant."""
        return self.book[self.code[at]] if len(self.book) else self.value[at]

    def _leaf_value(self, at: int, row: Sequence[float]) -> float:
        value = self.value_of(at)
        if len(self.linear_plain):
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
        """Give a row as numbers, whatever it came as."""
        return memoryview(packed(row, self.features)).cast("d")


def _parts(word: int) -> tuple[int, int, int]:
    return word & 0xFFFF, word >> 16 & 0xFFFF, word >> 32


def _exp(value: float) -> float:
    # The C library's, which LightGBM calls; numpy's own differs in the last bit on some processors.
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _demand(condition: bool, complaint: str) -> None:
    if not condition:
        raise DamagedRelease(f"the model is damaged: {complaint}")


def _rises(offsets: Sequence[int], end: int) -> bool:
    if not len(offsets) or offsets[0] != 0 or offsets[len(offsets) - 1] != end:
        return False
    return all(low <= high for low, high in itertools.pairwise(offsets))
