"""Parse LightGBM's text model strictly into a ``Forest``.

LightGBM's own reader trusts a file's indices. This one checks every count, child, feature, category and number
before it is used, and refuses by name what the runtime cannot evaluate exactly. The format is the one that
``GBDT::SaveModelToString`` and ``Tree::ToString`` of LightGBM 4 write (src/boosting/gbdt_model_text.cpp,
src/io/tree.cpp).
"""

import itertools
import re

from hardcover.errors import ModelTextError, some
from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.forest import CATEGORICAL, FORMAT, Forest

_INTEGER = re.compile(r"-?[0-9]{1,10}")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
MOST_TREES, MOST_LEAVES, MOST_FEATURES = 1_000_000, 1_000_000, 1_000_000


def parse(text: str) -> Forest:
    """Turn a text model into a checked forest.

    Parameters
    ----------
    text
        What ``Booster.model_to_string()`` gives, for a binary objective.

    Raises
    ------
    ModelTextError
        When the text is truncated or inconsistent, or the model is of a kind that is not supported: more than
        one class, another objective, random forest averaging, linear trees.
    """
    head, trees = _sections(text)
    sigmoid = _objective(head)
    features = _integer(head, "max_feature_idx", "header", 0, MOST_FEATURES - 1) + 1
    sizes = (head.get("tree_sizes") or "").split()
    if len(sizes) != len(trees):
        raise ModelTextError(
            f"the header announces {len(sizes)} trees, the text has {len(trees)}", "", "Save it again."
        )
    arrays: dict[str, list] = {
        "node_offset": [0],
        "leaf_offset": [0],
        "feature": [],
        "threshold": [],
        "decision": [],
        "left": [],
        "right": [],
        "leaf_value": [],
        "set_offset": [0],
        "set_word": [],
    }
    for number, tree in enumerate(trees):
        _add_tree(arrays, tree, f"tree {number}", features)
    metadata = {"format": FORMAT, "features": str(features), "sigmoid": sigmoid.hex()}
    try:
        return Forest(arrays, metadata)
    except DamagedRelease as error:
        raise ModelTextError(f"the model's trees are inconsistent: {error}", "", "Train again.") from error


def _sections(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    body, end, _ = text.partition("\nend of trees")
    if not text.startswith("tree\n") or not end:
        where = (
            "it does not start with 'tree'" if not text.startswith("tree\n") else "'end of trees' is missing"
        )
        raise ModelTextError(
            "not a whole LightGBM text model", where, "Save it again with Booster.save_model."
        )
    head, *trees = body.split("\nTree=")
    if len(trees) > MOST_TREES:
        raise ModelTextError(f"{len(trees)} trees are more than {MOST_TREES}")
    for number, tree in enumerate(trees):
        if tree.partition("\n")[0] != str(number):
            raise ModelTextError(
                f"tree {number} is numbered {tree.partition(chr(10))[0][:20]!r}", "", "Save it again."
            )
    return _fields(head), [_fields(tree) for tree in trees]


def _fields(section: str) -> dict[str, str]:
    fields = {}
    for line in section.split("\n")[1:]:
        key, equals, value = line.partition("=")
        if key and key in fields:
            raise ModelTextError(f"the field {key[:40]!r} comes twice", "", "Save the model again.")
        fields[key] = value if equals else ""
    return fields


def _objective(head: dict[str, str]) -> float:
    if "average_output" in head:
        raise ModelTextError("random forests (average_output) are not supported")
    for key in ("num_class", "num_tree_per_iteration"):
        if head.get(key) != "1":
            raise ModelTextError(f"{key}={head.get(key, '')[:20]!r} is not supported, only 1")
    name, *options = (head.get("objective") or "none").split()
    if name != "binary":
        raise ModelTextError(f"objective {name[:40]!r} is not supported, only 'binary'")
    if len(options) != 1 or not options[0].startswith("sigmoid:"):
        raise ModelTextError(f"unknown options of the objective: {some(options)}")
    return _numbers({"sigmoid": options[0].removeprefix("sigmoid:")}, "sigmoid", "objective", 1)[0]


def _add_tree(arrays: dict[str, list], tree: dict[str, str], where: str, features: int) -> None:
    leaves = _integer(tree, "num_leaves", where, 1, MOST_LEAVES)
    if tree.get("is_linear", "0") != "0":
        raise ModelTextError("linear trees are not supported", where)
    values = _numbers(tree, "leaf_value", where, leaves)
    if leaves == 1:
        arrays["leaf_value"] += values
        arrays["leaf_offset"].append(arrays["leaf_offset"][-1] + 1)
        arrays["node_offset"].append(arrays["node_offset"][-1])
        return
    nodes = leaves - 1
    feature = _integers(tree, "split_feature", where, nodes, 0, features - 1)
    threshold = _numbers(tree, "threshold", where, nodes)
    decision = _integers(tree, "decision_type", where, nodes, 0, 11)
    left = _integers(tree, "left_child", where, nodes, -leaves, nodes - 1)
    right = _integers(tree, "right_child", where, nodes, -leaves, nodes - 1)
    sets = len(arrays["set_offset"]) - 1
    categories = _add_sets(arrays, tree, where)
    first_node, first_leaf = arrays["node_offset"][-1], arrays["leaf_offset"][-1]
    # Parents before children, so that a reader sees at a glance that there is no cycle.
    order = _preorder(left, right, where)
    place = {node: first_node + position for position, node in enumerate(order)}

    def child(number: int) -> int:
        return place[number] if number >= 0 else ~(first_leaf + ~number)

    for node in order:
        if decision[node] & CATEGORICAL and not (
            threshold[node] == int(threshold[node]) and 0 <= threshold[node] < categories
        ):
            raise ModelTextError(f"node {node} names the set of categories {threshold[node]!r}", where)
        arrays["feature"].append(feature[node])
        arrays["threshold"].append(
            threshold[node] + sets if decision[node] & CATEGORICAL else threshold[node]
        )
        arrays["decision"].append(decision[node])
        arrays["left"].append(child(left[node]))
        arrays["right"].append(child(right[node]))
    arrays["leaf_value"] += values
    arrays["node_offset"].append(first_node + nodes)
    arrays["leaf_offset"].append(first_leaf + leaves)


def _add_sets(arrays: dict[str, list], tree: dict[str, str], where: str) -> int:
    count = _integer(tree, "num_cat", where, 0, MOST_LEAVES)
    if not count:
        return 0
    bounds = _integers(tree, "cat_boundaries", where, count + 1, 0, MOST_LEAVES)
    if bounds[0] != 0 or any(low >= high for low, high in itertools.pairwise(bounds)):
        raise ModelTextError(f"cat_boundaries do not rise: {some(bounds)}", where)
    arrays["set_word"] += _integers(tree, "cat_threshold", where, bounds[-1], 0, 2**32 - 1)
    base = arrays["set_offset"][-1]
    arrays["set_offset"] += [base + bound for bound in bounds[1:]]
    return count


def _preorder(left: list[int], right: list[int], where: str) -> list[int]:
    order, seen, waiting = [], set(), [0]
    while waiting:
        node = waiting.pop()
        if node in seen:
            raise ModelTextError(f"child {node} is reached twice", where)
        seen.add(node)
        if node >= 0:
            order.append(node)
            waiting += [right[node], left[node]]
    if len(order) != len(left):
        raise ModelTextError(f"{len(left) - len(order)} of {len(left)} nodes hang from no root", where)
    return order


def _split(fields: dict[str, str], key: str, where: str, count: int) -> list[str]:
    parts = (fields.get(key) or "").split(" ")
    if len(parts) != count:
        raise ModelTextError(f"{key} has {len(parts)} numbers, not {count}", where, "Save the model again.")
    return parts


def _numbers(fields: dict[str, str], key: str, where: str, count: int) -> list[float]:
    parts = _split(fields, key, where, count)
    for part in parts:
        if not _NUMBER.fullmatch(part) or abs(float(part)) == float("inf"):
            raise ModelTextError(f"{key} holds {part[:30]!r}, which is not a finite number", where)
    return [float(part) for part in parts]


def _integers(fields: dict[str, str], key: str, where: str, count: int, low: int, high: int) -> list[int]:
    parts = _split(fields, key, where, count)
    for part in parts:
        if not _INTEGER.fullmatch(part) or not low <= int(part) <= high:
            raise ModelTextError(
                f"{key} holds {part[:30]!r}, which is not an integer from {low} to {high}", where
            )
    return [int(part) for part in parts]


def _integer(fields: dict[str, str], key: str, where: str, low: int, high: int) -> int:
    return _integers(fields, key, where, 1, low, high)[0]
