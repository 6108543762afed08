"""The arrays of a forest: their names and types, and the rules that they keep. ``Forest`` tells what they mean."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from .arrays import KINDS, DamagedRelease

FORMAT = "hardcover.forest/2"
# Ranks of a node that say what it is, and the most thresholds that one slot tells apart.
LEAF, IN_PLACE, MAX_RANK = 65535, 65534, 65533
MAX_SLOTS, MAX_CODES = 65536, 65536
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


def check_sizes(forest: Any) -> None:
    """Check what the kernel takes for granted: the arrays' lengths, and the metadata."""
    demand(0 < forest.features <= 1 << 20 and 0 < forest.outputs <= 1 << 16, "it has no features or outputs")
    demand(forest.link in LINKS and math.isfinite(forest.slope), "its link is unknown")
    demand(math.isfinite(forest.divisor) and forest.divisor >= 1.0, "its divisor is no number of iterations")
    demand(len(forest.tree) and forest.nodes < 1 << 31, "it has no trees")
    demand(len(forest.threshold_offset) == forest.features + 1, RULES[1])
    demand(forest.trees % forest.outputs == 0, "its trees are no whole iterations")
    for name, values in forest.arrays.items():
        # Lists, of tests, are read by Python alone.
        kind = values.format if isinstance(values, memoryview) else KINDS[ARRAYS[name]][0]
        demand(kind == KINDS[ARRAYS[name]][0], f"{name} is not of {ARRAYS[name]}")
    lengths = {name: len(values) for name, values in forest.arrays.items()}
    for names in (
        ("node", "leaf", "cover"),
        ("slot_feature", "slot_first", "slot_zero", "slot_nan"),
        ("table_feature", "table_slot", "table_slots", "table_codes", "table_offset"),
        ("linear_feature", "linear_weight"),
    ):
        demand(len({lengths[name] for name in names}) == 1, f"{' and '.join(names)} differ in length")
    coded = forest.nodes if lengths["book"] else 0
    demand(
        (lengths["value"], lengths["code"]) == (forest.nodes - coded, coded),
        "value and code differ from node",
    )
    demand(len(forest.set_offset) > 0, RULES[6])
    demand(lengths["node_set"] in (0, forest.nodes), RULES[6])
    demand(lengths["linear_plain"] in (0, forest.nodes), RULES[7])
    wanted = forest.nodes + 1 if lengths["linear_plain"] else 0
    demand(lengths["linear_offset"] == wanted, RULES[7])
    demand(bool(lengths["linear_plain"]) or not lengths["linear_weight"], RULES[7])


def check(forest: Any) -> None:
    """Do what ``check`` of the kernel does, and break the same rules."""
    demand(_rises(forest.tree, forest.nodes), RULES[0])
    demand(_rises(forest.threshold_offset, len(forest.threshold)), RULES[1])
    for first, last in itertools.pairwise(forest.threshold_offset):
        mine = forest.threshold[first:last]
        demand(all(at == at for at in mine), RULES[2])
        demand(all(low < high for low, high in itertools.pairwise(mine)), RULES[2])
    for values in (forest.value, forest.book, forest.linear_weight, forest.linear_plain):
        demand(all(map(math.isfinite, values)), RULES[3])
    demand(all(feature < forest.features for feature in forest.slot_feature), RULES[4])
    demand(all(number <= LEAF for number in itertools.chain(forest.slot_zero, forest.slot_nan)), RULES[4])
    slots = len(forest.slot_feature)
    for number, feature in enumerate(forest.table_feature):
        codes, count = forest.table_codes[number], forest.table_slots[number]
        room = len(forest.table_cell) - forest.table_offset[number]
        fits = feature < forest.features and forest.table_slot[number] == slots and 0 < count <= MAX_SLOTS
        demand(fits and codes <= MAX_CODES and (codes + 1) * count <= room, RULES[5])
        slots += count
    demand(0 < slots <= MAX_SLOTS, RULES[5])
    sets = len(forest.set_offset) - 1
    demand(_rises(forest.set_offset, len(forest.set_word)), RULES[6])
    demand(all(number < sets for number in forest.node_set), RULES[6])
    if len(forest.linear_plain):
        demand(_rises(forest.linear_offset, len(forest.linear_weight)), RULES[7])
        demand(all(feature < forest.features for feature in forest.linear_feature), RULES[7])
    for first, last in itertools.pairwise(forest.tree):
        demand(first < last, RULES[8])
        _check_tree(forest, first, last, slots)
    demand(all(code < len(forest.book) for code in forest.code), RULES[11])


def _check_tree(forest: Any, first: int, last: int, slots: int) -> None:
    following = first + 1
    for at in range(first, last):
        slot, rank, child = parts_of(forest.node[at])
        demand(slot < slots, RULES[9])
        if child == at:
            demand(rank == LEAF, RULES[10])
            continue
        demand(child == following and following + 2 <= last and rank != LEAF, RULES[10])
        demand(rank != IN_PLACE or (len(forest.node_set) > 0 and slot < len(forest.slot_feature)), RULES[6])
        following += 2
    demand(following == last, RULES[10])


def parts_of(word: int) -> tuple[int, int, int]:
    """Return slot, rank and left child of a node."""
    return word & 0xFFFF, word >> 16 & 0xFFFF, word >> 32


def demand(condition: bool, complaint: str) -> None:
    """Raise ``DamagedRelease`` unless a condition holds."""
    if not condition:
        raise DamagedRelease(f"the model is damaged: {complaint}")


def _rises(offsets: Sequence[int], end: int) -> bool:
    if not len(offsets) or offsets[0] != 0 or offsets[len(offsets) - 1] != end:
        return False
    return all(low <= high for low, high in itertools.pairwise(offsets))
