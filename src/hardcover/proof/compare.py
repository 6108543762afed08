"""The comparison of faces by bits: what differs first, and by how much."""

import math
import struct
from collections.abc import Callable

from hardcover.release.isolated_env import RELATIVE_TOLERANCE
from hardcover.store import disk

FORMAT = "hardcover.proof/5"
QUANTITIES = ("features", "raw", "score", "label", "confidence", "anomaly", "profile")
# Of all raw rows together, which every face answers.
TOGETHER = "profile"
CONTRIBUTIONS = "contributions"
TRAINING = "training"


def compare(answers: dict[str, dict], saved: dict) -> dict:
    """Compare answers by bits.

    Parameters
    ----------
    answers
        By face: ``QUANTITIES``, each a list by column, over the same rows; and for some of them
        ``contributions``, or ``pred_contrib``, which are LightGBM's own: as exact, but of other roundings. A face that answers only
        ``rows`` rows, the first, and some of these, is compared by them.
    saved
        ``features`` and ``score`` that training saved for the first rows. Faces that differ from it are wrong; else those
        are that differ from what most faces answer.

    Returns
    -------
    dict
        ``passed``; ``faces``, a hash of each quantity; ``differences``, for each face that differs its first row, column,
        both values and their distance in ulps.
    """
    found = {name: _hashes(answer) for name, answer in answers.items()}
    whole = [name for name in answers if "rows" not in answers[name]] or list(answers)
    right = [name for name in whole if not _first_differences(answers[name], _cut(saved, answers[name]))]
    reference = _most_alike(found, right or whole)
    differences = []
    for name, answer in answers.items():
        asked = _cut(answers[reference], answer)
        for other, expected in ((TRAINING, _cut(saved, answer)), (reference, asked)):
            first = _first_differences(answer, expected)
            if first:
                differences += [{"face": name, "against": other, **difference} for difference in first]
                break
        else:
            if found[name] != _hashes(asked):
                differences.append({"face": name, "against": reference, **_longer(answer, asked)})
    differences += _differing_contributions(answers, {difference["face"] for difference in differences})
    for name, answer in answers.items():
        given = answer.get(CONTRIBUTIONS)
        found[name][CONTRIBUTIONS] = "" if given is None else disk.digest_of(_bits(_flat(given)))
    return {"passed": not differences, "reference": reference, "faces": found, "differences": differences}


def _cut(expected: dict, answer: dict) -> dict:
    """Return what a face is held against: of the quantities that it answers the rows that it answers."""
    rows = answer.get("rows")
    if rows is None:
        return expected
    return {
        quantity: {
            name: values if quantity == TOGETHER else values[:rows]
            for name, values in expected[quantity].items()
        }
        for quantity in QUANTITIES
        if quantity in answer and quantity in expected
    }


def _longer(answer: dict, expected: dict) -> dict:
    """Describe an answer that has all that is expected, and more rows."""
    rows, wanted = (len(next(iter(each["score"].values()))) for each in (answer, expected))
    return {"quantity": "rows", "column": "rows", "row": wanted, "value": str(rows), "expected": str(wanted)}


def _differing_contributions(answers: dict[str, dict], wrong: set[str]) -> list[dict]:
    """Compare contributions by bits, and nearly with LightGBM's of the faces that are not ``wrong`` anyway."""
    ours = {name: answer[CONTRIBUTIONS] for name, answer in answers.items() if CONTRIBUTIONS in answer}
    theirs = {
        name: answer["pred_contrib"]
        for name, answer in answers.items()
        if "pred_contrib" in answer and name not in wrong
    }
    differences = []
    for name, contributions in ours.items():
        for other, expected in theirs.items():
            bound = RELATIVE_TOLERANCE * max(map(abs, _flat(expected)), default=0.0)
            far = _first_row(contributions, expected, lambda one, two, bound=bound: abs(one - two) <= bound)
            if far:
                differences.append({"face": name, "against": other, **far})
                break
    right = [name for name in ours if name not in {difference["face"] for difference in differences}]
    for name in right[1:]:
        far = _first_row(ours[name], ours[right[0]], lambda one, two: _bits([one]) == _bits([two]))
        if far:
            differences.append({"face": name, "against": right[0], **far})
    return differences


def _first_row(ours: list[list], theirs: list[list], same: Callable[[float, float], bool]) -> dict | None:
    # A face that answers the first rows explains the first of those that are explained.
    for row, (mine, yours) in enumerate(zip(ours, theirs, strict=False)):
        for column, (one, two) in enumerate(zip(mine, yours, strict=True)):
            if not same(one, two):
                facts = {"row": row, "value": repr(one), "expected": repr(two), "ulps": ulps(one, two)}
                return {"quantity": CONTRIBUTIONS, "column": str(column), "rows": "some", **facts}
    return None


def _flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]


def _most_alike(found: dict[str, dict], names: list[str]) -> str:
    values = [tuple(found[name].values()) for name in names]
    return max(names, key=lambda name: (values.count(tuple(found[name].values())), -names.index(name)))


def _hashes(answer: dict) -> dict[str, str]:
    return {
        quantity: disk.digest_of(b"".join(_bits(answer[quantity][name]) for name in sorted(answer[quantity])))
        if quantity in answer
        else ""
        for quantity in QUANTITIES
    }


def _bits(values: list) -> bytes:
    return struct.pack(
        f"<{len(values)}d", *(math.nan if value != value else float(value) for value in values)
    )


def _first_differences(answer: dict, expected: dict) -> list[dict]:
    """Return the first difference of each column; a row that the answer lacks is one."""
    found = []
    for quantity in QUANTITIES:
        for name, theirs in expected.get(quantity, {}).items():
            difference = _first_difference(answer.get(quantity, {}).get(name), theirs)
            if difference:
                found.append({"quantity": quantity, "column": name, **difference})
    return found


def _first_difference(ours: list | None, theirs: list) -> dict | None:
    if ours is None:
        return {"row": 0, "value": "missing", "expected": theirs[0]}
    size = len(theirs)
    if len(ours) < size:
        lost = len(ours)
        return {"row": lost, "rows": size - lost, "value": "missing", "expected": repr(theirs[lost])}
    if _bits(ours[:size]) == _bits(theirs):
        return None
    rows = [row for row in range(size) if _bits(ours[row : row + 1]) != _bits(theirs[row : row + 1])]
    value, other = float(ours[rows[0]]), float(theirs[rows[0]])
    facts = {"value": repr(value), "expected": repr(other), "ulps": ulps(value, other)}
    return {"row": rows[0], "rows": len(rows), **facts}


def ulps(one: float, other: float) -> int | None:
    """Count the doubles from one to the other; None where either is NaN.

    Examples
    --------
    >>> ulps(1.0, 1.0 + 2**-52), ulps(0.0, -0.0), ulps(-5e-324, 5e-324)
    (1, 0, 2)
    """
    if one != one or other != other:
        return None

    def place(value: float) -> int:
        (bits,) = struct.unpack("<q", struct.pack("<d", value))
        return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)

    return abs(place(one) - place(other))
