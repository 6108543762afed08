"""Lay a parsed model out as the flat arrays that the runtime reads; ``runtime/forest.py`` says what they mean."""

import json
import struct
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from hardcover.errors import ModelTextError
from hardcover.forest.lightgbm_text import CATEGORICAL, DEFAULT_LEFT, MISSING_NONE, MISSING_ZERO, Trees
from hardcover.runtime.arrays import KINDS, parse
from hardcover.runtime.forest import Forest
from hardcover.runtime.forest_format import ARRAYS, FORMAT, IN_PLACE, LEAF, MAX_CODES, MAX_RANK

# Tables of categories stay in the processor's nearest cache; beyond, sets are looked up split by split.
MAX_CELLS, MAX_SETS, MAX_SLOTS = 1 << 17, 2048, 1 << 16
NUMPY = {"F64": "f8", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1"}
MAX_CODED = 1 << 16
# What a split does with missing values: take them as zero; send zeros and them, or only them, to one side.
AS_ZERO, ZERO_RIGHT, ZERO_LEFT, NAN_RIGHT, NAN_LEFT = range(5)


def forest_of(trees: Trees) -> Forest:
    """Return the checked forest of a parsed model.

    Raises
    ------
    ModelTextError
        When a tree is none, or the model is too large for the layout.
    """
    content = to_bytes(trees)
    return Forest(*parse(bytearray(content), "the model"))


def to_bytes(trees: Trees) -> bytes:
    """Return the model's file, in the safetensors layout; the same model gives the same bytes.

    Raises
    ------
    ModelTextError
        As ``forest_of``.
    """
    made = arrays_of(trees)
    metadata = {
        "format": FORMAT,
        "features": str(trees.features),
        "outputs": str(trees.outputs),
        "link": trees.link,
        "slope": trees.slope.hex(),
        "divisor": trees.divisor.hex(),
    }
    return write({name: (ARRAYS[name], made[name]) for name in ARRAYS}, metadata)


def write(arrays: dict[str, tuple[str, Any]], metadata: dict[str, str]) -> bytes:
    """Lay out arrays as the bytes of one file, as ``runtime.arrays`` reads them.

    Parameters
    ----------
    arrays
        Name -> (dtype name of ``runtime.arrays.KINDS``, numbers).
    metadata
        Strings to keep in the header.

    Returns
    -------
    bytes
        The same for the same input, so a digest of it identifies the content.
    """
    header: dict = {"__metadata__": dict(sorted(metadata.items()))}
    parts, end = [], 0
    # Wide numbers first, so that each array starts at a multiple of its own size.
    for name in sorted(arrays, key=lambda name: (-KINDS[arrays[name][0]][1], name)):
        kind, numbers = arrays[name]
        content = np.asarray(numbers, dtype=f"<{NUMPY[kind]}").tobytes()
        offsets = [end, end + len(content)]
        header[name] = {"dtype": kind, "shape": [len(numbers)], "data_offsets": offsets}
        end += len(content)
        parts.append(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def arrays_of(trees: Trees) -> dict[str, np.ndarray]:
    """Return each array of ``runtime.forest.ARRAYS``."""
    splits, count = len(trees.feature), int((2 * trees.leaves - 1).sum())
    child = _child_ids(trees)
    place, tree = _places(trees, child)
    slot, rank, columns = _slots(trees)
    node = np.zeros(count, np.uint64)
    node[place[:splits]] = (
        slot + (rank << np.uint64(16)) + (place[child[0]].astype(np.uint64) << np.uint64(32))
    )
    at = place[splits:].astype(np.uint64)
    node[place[splits:]] = np.uint64(LEAF << 16) + (at << np.uint64(32))
    value, leaf, cover = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    own = np.repeat(_firsts(trees.leaves), trees.leaves)
    linear = len(trees.linear_offset) > 0
    of_leaves = trees.linear_constant if linear else trees.leaf_value
    value[place[splits:]] = of_leaves
    values = {"value": value, "code": np.zeros(0), "book": np.zeros(0)}
    book, code = np.unique(of_leaves, return_inverse=True)
    # Codes of two bytes, where they and what they stand for are much smaller than values of eight.
    if len(book) <= MAX_CODED and len(book) < count / 4:
        values |= {"value": np.zeros(0), "code": np.zeros(count), "book": book}
        values["code"][place[splits:]] = code
    leaf[place[splits:]] = np.arange(len(trees.leaf_value)) - own
    cover[place] = np.concatenate([trees.split_count, trees.leaf_count])
    if len(columns["node_set"]):
        sets, columns["node_set"] = columns["node_set"], np.zeros(count, np.int64)
        columns["node_set"][place[:splits]] = sets
    made = {**values, "node": node, "leaf": leaf, "cover": cover, "tree": tree, **columns}
    return {**made, **_linear(trees, place[splits:], count)}


def _firsts(counts: np.ndarray) -> np.ndarray:
    """Return where each tree's share starts."""
    return np.cumsum(counts) - counts


def _child_ids(trees: Trees) -> np.ndarray:
    """Return children as numbers of splits, then leaves, of all trees: shape (2, splits)."""
    first_split = np.repeat(_firsts(trees.leaves - 1), trees.leaves - 1)
    first_leaf = np.repeat(_firsts(trees.leaves), trees.leaves - 1) + len(trees.feature)
    both = np.stack([trees.left, trees.right])
    return np.where(both >= 0, first_split + both, first_leaf + ~both)


def _places(trees: Trees, child: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place all splits and leaves: trees in turn, level by level, siblings side by side. Also where each tree starts."""
    splits, leaves = len(trees.feature), len(trees.leaf_value)
    sizes = 2 * trees.leaves - 1
    start = np.concatenate([[0], np.cumsum(sizes)])
    front = np.where(trees.leaves > 1, _firsts(trees.leaves - 1), splits + _firsts(trees.leaves))
    owner = np.arange(len(trees.leaves))
    seen = np.zeros(splits + leaves, bool)
    levels, owners = [], []
    while len(front):
        if seen[front].any() or len(np.unique(front)) < len(front):
            again = owner[seen[front]][:1].tolist() or ["?"]
            raise ModelTextError("a child is reached twice", f"tree {again[0]}", "Train again.")
        seen[front] = True
        levels.append(front)
        owners.append(owner)
        inner = front < splits
        owner = np.repeat(owner[inner], 2)
        front = child[:, front[inner]].T.ravel()
    if not seen.all():
        raise ModelTextError(f"{int((~seen).sum())} splits and leaves hang from no root", "", "Train again.")
    ids, of = (
        np.concatenate([*levels, np.zeros(0, np.int64)]),
        np.concatenate([*owners, np.zeros(0, np.int64)]),
    )
    place = np.zeros(len(ids), np.int64)
    place[ids[np.argsort(of, kind="stable")]] = np.arange(len(ids))
    return place, start


def _slots(trees: Trees) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return each split's slot and rank, and the arrays from which a row's slots are filled."""
    slot, rank = np.zeros((2, len(trees.feature)), np.uint64)
    tables, others = _sets(trees)
    known, columns = _slots_of_numbers(trees, slot, rank, {group.feature for group in others})
    slots = len(known) + sum(len(table.members) for table in tables)
    if slots > MAX_SLOTS:
        raise ModelTextError(
            f"the features need {slots} slots, more than {MAX_SLOTS}", "", "Use fewer features."
        )
    columns |= _tables(tables, len(known), slot)
    node_set = np.zeros(len(slot) if others else 0, np.int64)
    words: list[np.ndarray] = []
    for group in others:
        for members, splits in group.members:
            slot[splits], rank[splits] = np.searchsorted(known[:, 0], group.feature), IN_PLACE
            node_set[splits] = len(words)
            words.append(members)
    columns["set_word"] = np.concatenate([np.zeros(0, np.int64), *words])
    columns["set_offset"] = np.cumsum([0, *map(len, words)])
    return slot, rank, {**columns, "node_set": node_set}


def _slots_of_numbers(
    trees: Trees, slot: np.ndarray, rank: np.ndarray, needed: set[int]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Place splits of numbers; returns the slots as rows of feature, treatment and chunk, and their arrays."""
    splits = np.flatnonzero((trees.decision & CATEGORICAL) == 0)
    feature, at, decision = trees.feature[splits], trees.threshold[splits], trees.decision[splits]
    order = np.lexsort((at, feature))
    new = np.ones(len(order), bool)
    new[1:] = (feature[order][1:] != feature[order][:-1]) | (at[order][1:] != at[order][:-1])
    threshold, owner = at[order][new], feature[order][new]
    offset = np.searchsorted(owner, np.arange(trees.features + 1))
    position = np.zeros(len(order), np.int64)
    position[order] = np.cumsum(new) - 1
    position -= offset[feature]
    missing, default = decision >> 2, (decision & DEFAULT_LEFT) > 0
    treatment = np.where(
        missing == MISSING_NONE, AS_ZERO, np.where(missing == MISSING_ZERO, ZERO_RIGHT, NAN_RIGHT) + default
    )
    keys = np.stack([feature, treatment, position // MAX_RANK])
    # A set that is looked up in place needs a slot that names its feature, and a leaf any slot at all.
    more = np.array([(feature, AS_ZERO, 0) for feature in sorted(needed | {0})]).T
    size = (trees.features, NAN_LEFT + 1, len(threshold) + 1)
    # As one number each, which numpy sorts much faster than rows of three.
    numbers, found = np.unique(np.ravel_multi_index(np.hstack([keys, more]), size), return_inverse=True)
    known = np.stack(np.unravel_index(numbers, size), axis=1)
    slot[splits], rank[splits] = found[: len(splits)], position % MAX_RANK
    feature, treatment, low = known[:, 0], known[:, 1], known[:, 2] * MAX_RANK
    below = [np.searchsorted(threshold[offset[one] : offset[one + 1]], 0.0) for one in feature]
    natural = np.clip(below - low, 0, MAX_RANK)
    # Left of every rank, or right of it.
    fixed = np.where((treatment == ZERO_RIGHT) | (treatment == NAN_RIGHT), LEAF, 0)
    is_zero_missing = (treatment == ZERO_RIGHT) | (treatment == ZERO_LEFT)
    return known, {
        "threshold": threshold,
        "threshold_offset": offset,
        "slot_feature": feature,
        "slot_first": low,
        "slot_zero": np.where(is_zero_missing, fixed, natural),
        "slot_nan": np.where(treatment == AS_ZERO, natural, fixed),
    }


class _Group(NamedTuple):
    """The sets of categories of one feature: each with the splits that use it."""

    feature: int
    codes: int
    members: list[tuple[np.ndarray, list[int]]]


def _sets(trees: Trees) -> tuple[list[_Group], list[_Group]]:
    """Gather sets by feature: those that become tables, and those that are looked up in place."""
    found: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for split in np.flatnonzero((trees.decision & CATEGORICAL) > 0):
        number = int(trees.threshold[split])
        words = trees.set_word[trees.set_offset[number] : trees.set_offset[number + 1]]
        found[int(trees.feature[split])][words.tobytes()].append(int(split))
    tables, others, slots = [], [], 0
    for feature, by_words in sorted(found.items()):
        members = [(np.frombuffer(words, np.int64), splits) for words, splits in by_words.items()]
        codes = 32 * max(len(words) for words, _ in members)
        is_small = (codes + 1) * len(members) <= MAX_CELLS and slots + len(members) <= MAX_SETS
        is_small &= codes <= MAX_CODES
        slots += len(members) if is_small else 0
        (tables if is_small else others).append(_Group(feature, codes, members))
    return tables, others


def _tables(tables: list[_Group], first: int, slot: np.ndarray) -> dict[str, np.ndarray]:
    """Place the splits whose sets are in tables; returns the tables' arrays. A cell is 0 inside the set, 1 outside."""
    rows: list[tuple[int, ...]] = []
    cells = [np.zeros(0, np.uint8)]
    for table in tables:
        outside = np.ones((table.codes + 1, len(table.members)), np.uint8)
        for number, (words, splits) in enumerate(table.members):
            bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
            outside[np.flatnonzero(bits), number] = 0
            slot[splits] = first + number
        rows.append((table.feature, first, len(table.members), table.codes, sum(map(len, cells))))
        cells.append(outside.ravel())
        first += len(table.members)
    names = ("table_feature", "table_slot", "table_slots", "table_codes", "table_offset")
    columns = np.array(rows, np.int64).reshape(-1, len(names)).T
    return {**dict(zip(names, columns, strict=True)), "table_cell": np.concatenate(cells)}


def _linear(trees: Trees, places: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return the terms of linear trees by node; ``places`` are those of the leaves."""
    if not len(trees.linear_offset):
        nothing = np.zeros(0)
        return dict.fromkeys(("linear_offset", "linear_feature", "linear_weight", "linear_plain"), nothing)
    terms, plain = np.zeros(count, np.int64), np.zeros(count)
    terms[places], plain[places] = np.diff(trees.linear_offset), trees.leaf_value
    order = np.argsort(places, kind="stable")
    pieces = [np.arange(trees.linear_offset[leaf], trees.linear_offset[leaf + 1]) for leaf in order]
    taken = np.concatenate([np.zeros(0, np.int64), *pieces])
    return {
        "linear_offset": np.concatenate([[0], np.cumsum(terms)]),
        "linear_feature": trees.linear_feature[taken],
        "linear_weight": trees.linear_weight[taken],
        "linear_plain": plain,
    }
