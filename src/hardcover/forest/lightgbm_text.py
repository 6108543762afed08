"""Parse LightGBM's text model strictly.

LightGBM's own reader trusts a file's indices. This one checks every count, child, feature, category and number
before it is used, and refuses by name what the runtime cannot evaluate exactly. The format is the one that
``GBDT::SaveModelToString`` and ``Tree::ToString`` of LightGBM 4 write (src/boosting/gbdt_model_text.cpp,
src/io/tree.cpp).
"""

import re
from typing import NamedTuple

import numpy as np

from hardcover.errors import ModelTextError, some

CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
MAX_TREES, MAX_LEAVES, MAX_FEATURES = 1_000_000, 1_000_000, 1_000_000
MAX_CLASSES = 10_000
_INTEGER = "-?[0-9]{1,10}"
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?"
_THRESHOLD = f"(?:{_NUMBER}|-?inf)"
_INTEGERS, _NUMBERS, _THRESHOLDS = (
    re.compile(f"{one}(?: {one})*") for one in (_INTEGER, _NUMBER, _THRESHOLD)
)
AGAIN = "Save the model again with Booster.save_model."
# What LightGBM's ConvertOutput does for each objective; see src/objective.
LINKS = {
    "": "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "lambdarank": "identity",
    "rank_xendcg": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "binary": "sigmoid",
    "cross_entropy": "sigmoid",
    "multiclassova": "sigmoid",
    "multiclass": "softmax",
    "cross_entropy_lambda": "log1p_exp",
}
WITH_SQRT = {"regression", "regression_l1", "huber", "fair", "quantile", "mape"}


class Trees(NamedTuple):
    """A parsed model: the numbers of all trees one after the other, as the text has them.

    Attributes
    ----------
    features, outputs
        How many numbers a row has, and a prediction.
    link, slope, divisor
        What makes a prediction of raw scores: a name of ``LINKS``, the sigmoid's slope, and the number of iterations where
        a random forest takes their mean, else 1.
    leaves
        By tree: its number of leaves; it has one split less.
    feature, threshold, decision, left, right, split_count
        By split. Children count from the tree's first split, or are ``~leaf``. A categorical split's threshold is a
        number of ``set_offset``, of all trees.
    leaf_value, leaf_count
        By leaf. Counts are of training rows.
    set_offset, set_word
        Sets of categories: the bits of ``set_word[set_offset[i]:set_offset[i + 1]]``.
    linear_offset, linear_feature, linear_weight, linear_constant
        Of linear trees: terms by leaf; empty where there are none.
    """

    features: int
    outputs: int
    link: str
    slope: float
    divisor: float
    leaves: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    split_count: np.ndarray
    leaf_value: np.ndarray
    leaf_count: np.ndarray
    set_offset: np.ndarray
    set_word: np.ndarray
    linear_offset: np.ndarray
    linear_feature: np.ndarray
    linear_weight: np.ndarray
    linear_constant: np.ndarray


def parse(text: str) -> Trees:
    """Check a text model and give its numbers.

    Parameters
    ----------
    text
        What ``Booster.model_to_string()`` gives.

    Raises
    ------
    ModelTextError
        When the text is truncated or inconsistent, or the model is of a kind that is not supported.
    """
    head, sections = _sections(text)
    features = _integer(head, "max_feature_idx", "header", 0, MAX_FEATURES - 1) + 1
    outputs = _integer(head, "num_tree_per_iteration", "header", 1, MAX_CLASSES)
    if _integer(head, "num_class", "header", 1, MAX_CLASSES) != outputs:
        raise ModelTextError(
            "num_class and num_tree_per_iteration differ: the model has other outputs than trees of an iteration"
        )
    sizes = (head.get("tree_sizes") or "").split()
    if len(sizes) != len(sections):
        raise ModelTextError(
            f"the header announces {len(sizes)} trees, the text has {len(sections)}", "", "Save it again."
        )
    if len(sections) % outputs:
        raise ModelTextError(
            f"{len(sections)} trees are no whole iterations of {outputs}", "", "Save it again."
        )
    link, slope = _objective(head, outputs)
    averages = "average_output" in head
    if averages and not sections:
        raise ModelTextError("a random forest without trees has no mean", "", "Train again.")
    columns: dict[str, list] = {name: [] for name in Trees._fields[5:]}
    columns["set_offset"].append(np.zeros(1, np.int64))
    linear = any("\nis_linear=1\n" in section for section in sections)
    sets = 0
    for number, section in enumerate(sections):
        for name, values in _tree(_fields(section), f"tree {number}", features, linear).items():
            if name == "threshold":
                # Behind its decisions, in the order of ``_tree``.
                decision = columns["decision"][-1]
                values = values + np.where(decision & CATEGORICAL, sets, 0)
            elif name == "set_offset":
                sets += len(values)
                values = values + columns["set_offset"][-1][-1]
                if not len(values):
                    continue
            columns[name].append(values)
    kinds = dict.fromkeys(("threshold", "leaf_value", "linear_weight", "linear_constant"), np.float64)
    joined = {
        name: np.concatenate([np.zeros(0, kinds.get(name, np.int64)), *parts])
        for name, parts in columns.items()
    }
    if linear:
        joined["linear_offset"] = np.concatenate([[0], np.cumsum(joined["linear_offset"])])
    divisor = float(len(sections) // outputs) if averages else 1.0
    return Trees(features, outputs, link, slope, divisor, **joined)


def _sections(text: str) -> tuple[dict[str, str], list[str]]:
    if "\r" in text:
        raise ModelTextError("the text has the line ends of Windows", "", "Copy the file as it was saved.")
    body, end, _ = text.partition("\nend of trees")
    if not text.startswith("tree\n") or not end:
        where = (
            "it does not start with 'tree'" if not text.startswith("tree\n") else "'end of trees' is missing"
        )
        raise ModelTextError("not a whole LightGBM text model", where, AGAIN)
    head, *trees = body.split("\nTree=")
    if len(trees) > MAX_TREES:
        raise ModelTextError(f"{len(trees)} trees are more than {MAX_TREES}")
    for number, tree in enumerate(trees):
        if tree.partition("\n")[0] != str(number):
            raise ModelTextError(
                f"tree {number} is numbered {tree.partition(chr(10))[0][:20]!r}", "", "Save it again."
            )
    return _fields(head), trees


def _fields(section: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in section.split("\n")[1:]:
        key, equals, value = line.partition("=")
        if key and key in fields:
            raise ModelTextError(f"the field {key[:40]!r} comes twice", "", "Save the model again.")
        fields[key] = value if equals else ""
    return fields


def _objective(head: dict[str, str], outputs: int) -> tuple[str, float]:
    name, *options = (head.get("objective") or "").split(" ")
    if name not in LINKS:
        raise ModelTextError(f"objective {name[:40]!r} is not supported", "", f"Supported: {some(LINKS)}.")
    link, slope = LINKS[name], 1.0
    if name in WITH_SQRT and options == ["sqrt"]:
        return "square", slope
    expected = {"multiclass": ["num_class"], "multiclassova": ["num_class", "sigmoid"], "binary": ["sigmoid"]}
    given = dict(option.partition(":")[::2] for option in options)
    if list(given) != expected.get(name, []) or len(given) != len(options):
        raise ModelTextError(f"unknown options of the objective {name!r}: {some(options)}")
    if given.get("num_class", str(outputs)) != str(outputs):
        raise ModelTextError(
            f"the objective's num_class is {given['num_class'][:20]!r}, the header's {outputs}"
        )
    if outputs > 1 and name and not name.startswith("multiclass"):
        raise ModelTextError(f"objective {name!r} with {outputs} outputs is not supported")
    if "sigmoid" in given:
        slope = float(_numbers(given, "sigmoid", "objective", 1)[0])
        if slope <= 0:
            raise ModelTextError(f"sigmoid is {slope}, not greater than zero", "objective")
    return link, slope


def _tree(tree: dict[str, str], where: str, features: int, linear: bool) -> dict[str, np.ndarray]:
    """Return one tree's numbers by field of ``Trees``; offsets of sets and numbers of terms are its own."""
    leaves = _integer(tree, "num_leaves", where, 1, MAX_LEAVES)
    splits = leaves - 1
    found = {
        "leaves": np.array([leaves]),
        "feature": _integers(tree, "split_feature", where, splits, 0, features - 1),
        "decision": _integers(tree, "decision_type", where, splits, 0, 11),
        "threshold": _thresholds(tree, where, splits),
        "left": _integers(tree, "left_child", where, splits, -leaves, splits - 1),
        "right": _integers(tree, "right_child", where, splits, -leaves, splits - 1),
        "split_count": _integers(tree, "internal_count", where, splits, 0, 2**31 - 1),
        "leaf_value": _numbers(tree, "leaf_value", where, leaves),
    }
    # A tree of one leaf may come without the number of its rows.
    counted = leaves > 1 or tree.get("leaf_count")
    found["leaf_count"] = (
        _integers(tree, "leaf_count", where, leaves, 0, 2**31 - 1) if counted else np.zeros(1, np.int64)
    )
    count = _integer(tree, "num_cat", where, 0, MAX_LEAVES)
    names = found["threshold"][(found["decision"] & CATEGORICAL) > 0]
    if ((names != np.floor(names)) | (names < 0) | (names >= count)).any():
        raise ModelTextError(f"a split names a set of categories that is none of {count}", where)
    if count:
        bounds = _integers(tree, "cat_boundaries", where, count + 1, 0, MAX_LEAVES)
        if bounds[0] != 0 or (np.diff(bounds) <= 0).any():
            raise ModelTextError(f"cat_boundaries do not rise: {some(bounds.tolist())}", where)
        found["set_offset"] = bounds[1:]
        found["set_word"] = _integers(tree, "cat_threshold", where, int(bounds[-1]), 0, 2**32 - 1)
    kind = _integer(tree, "is_linear", where, 0, 1) if "is_linear" in tree else 0
    if linear:
        found |= _linear(tree, where, leaves, found["leaf_value"], features, bool(kind))
    return found


def _linear(
    tree: dict[str, str], where: str, leaves: int, values: np.ndarray, features: int, is_linear: bool
) -> dict:
    if not is_linear:
        return {"linear_offset": np.zeros(leaves, np.int64), "linear_constant": values}
    terms = _integers(tree, "num_features", where, leaves, 0, features)
    total = int(terms.sum())
    # LightGBM ends each leaf's list with a space, an empty one too.
    spaced = {key: " ".join((tree.get(key) or "").split()) for key in ("leaf_features", "leaf_coeff")}
    return {
        "linear_offset": terms,
        "linear_constant": _numbers(tree, "leaf_const", where, leaves),
        "linear_feature": _integers(spaced, "leaf_features", where, total, 0, features - 1),
        "linear_weight": _numbers(spaced, "leaf_coeff", where, total),
    }


def _split(
    fields: dict[str, str], key: str, where: str, count: int, pattern: re.Pattern, what: str
) -> list[str]:
    text = fields.get(key) or ""
    parts = text.split(" ") if text else []
    if len(parts) != count:
        raise ModelTextError(f"{key} has {len(parts)} numbers, not {count}", where, "Save the model again.")
    if parts and not pattern.fullmatch(text):
        wrong = next(part for part in parts if not pattern.fullmatch(part))
        raise ModelTextError(f"{key} holds {wrong[:30]!r}, which is not {what}", where)
    return parts


def _numbers(fields: dict[str, str], key: str, where: str, count: int) -> np.ndarray:
    parts = _split(fields, key, where, count, _NUMBERS, "a finite number")
    numbers = np.array([*map(float, parts)], np.float64)
    if not np.isfinite(numbers).all():
        wrong = parts[int(np.flatnonzero(~np.isfinite(numbers))[0])]
        raise ModelTextError(f"{key} holds {wrong[:30]!r}, which is not a finite number", where)
    return numbers


def _thresholds(tree: dict[str, str], where: str, count: int) -> np.ndarray:
    # A split that only parts missing values from all others has the threshold inf.
    parts = _split(tree, "threshold", where, count, _THRESHOLDS, "a number")
    return np.array([*map(float, parts)], np.float64)


def _integers(fields: dict[str, str], key: str, where: str, count: int, low: int, high: int) -> np.ndarray:
    parts = _split(fields, key, where, count, _INTEGERS, f"an integer from {low} to {high}")
    numbers = np.array([*map(int, parts)], np.int64)
    outside = np.flatnonzero((numbers < low) | (numbers > high))
    if len(outside):
        wrong = parts[int(outside[0])]
        raise ModelTextError(f"{key} holds {wrong!r}, which is not an integer from {low} to {high}", where)
    return numbers


def _integer(fields: dict[str, str], key: str, where: str, low: int, high: int) -> int:
    return int(_integers(fields, key, where, 1, low, high)[0])
