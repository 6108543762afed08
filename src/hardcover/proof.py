"""The comparison of faces by bits: what differs first, and by how much; as a table and as a page."""

import html
import math
import struct
from collections.abc import Callable

from hardcover import pages, storage

FORMAT = "hardcover.proof/2"
QUANTITIES = ("features", "raw", "score", "label")
# Of the largest contribution: what other roundings of the same exact values may differ by.
NEAR = 1e-10
RECORD = "record"


def compare(answers: dict[str, dict], record: dict) -> dict:
    """Compare answers by bits.

    Parameters
    ----------
    answers
        By face: ``features`` by name, ``raw``, ``score``, ``label``, lists over the same rows; and for some of them ``reasons``, or
        ``pred_contrib``, which are LightGBM's own: as exact, but of other roundings.
    record
        ``features`` and ``score`` that training saved for the first rows. Faces that differ from it are wrong; else those
        are that differ from what most faces say.

    Returns
    -------
    dict
        ``passed``; ``faces``, a hash of each quantity; ``differences``, for each face that differs its first row, column,
        both values and their distance in ulps.
    """
    found = {name: _hashes(answer) for name, answer in answers.items()}
    right = [name for name in answers if not _first_differences(answers[name], record)]
    reference = _most_alike(found, right or list(found))
    differences = []
    for name, answer in answers.items():
        against = [(RECORD, record), (reference, answers[reference])]
        for other, expected in against:
            first = _first_differences(answer, expected)
            if first:
                differences += [{"face": name, "against": other, **difference} for difference in first]
                break
        else:
            if found[name] != found[reference]:
                counts = {
                    "value": str(len(answer["score"])),
                    "expected": str(len(answers[reference]["score"])),
                }
                more = {
                    "quantity": "rows",
                    "column": "rows",
                    "row": len(answers[reference]["score"]),
                    **counts,
                }
                differences.append({"face": name, "against": reference, **more})
    differences += _differing_reasons(answers, {difference["face"] for difference in differences})
    for name, answer in answers.items():
        found[name]["reasons"] = (
            storage.digest_of(_bits(_flat(answer["reasons"]))) if "reasons" in answer else ""
        )
    return {"passed": not differences, "reference": reference, "faces": found, "differences": differences}


def _differing_reasons(answers: dict[str, dict], wrong: set[str]) -> list[dict]:
    """Compare reasons by bits, and to ``NEAR`` with LightGBM's of the faces that are not ``wrong`` anyway."""
    ours = {name: answer["reasons"] for name, answer in answers.items() if "reasons" in answer}
    theirs = {
        name: answer["pred_contrib"]
        for name, answer in answers.items()
        if "pred_contrib" in answer and name not in wrong
    }
    differences = []
    for name, reasons in ours.items():
        for other, expected in theirs.items():
            most = max(map(abs, _flat(expected)), default=0.0)
            far = _first_row(reasons, expected, lambda one, two, most=most: abs(one - two) <= NEAR * most)
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
    for row, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
        for column, (one, two) in enumerate(zip(mine, yours, strict=True)):
            if not same(one, two):
                facts = {"row": row, "value": repr(one), "expected": repr(two), "ulps": ulps(one, two)}
                return {"quantity": "reasons", "column": str(column), "rows": "some", **facts}
    return None


def _flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]


def _most_alike(found: dict[str, dict], names: list[str]) -> str:
    values = [tuple(found[name].values()) for name in names]
    return max(names, key=lambda name: (values.count(tuple(found[name].values())), -names.index(name)))


def _hashes(answer: dict) -> dict[str, str]:
    return {
        "features": storage.digest_of(
            b"".join(_bits(answer["features"][name]) for name in sorted(answer["features"]))
        ),
        **{quantity: storage.digest_of(_bits(answer[quantity])) for quantity in QUANTITIES[1:]},
    }


def _bits(values: list) -> bytes:
    return struct.pack(
        f"<{len(values)}d", *(math.nan if value != value else float(value) for value in values)
    )


def _first_differences(answer: dict, expected: dict) -> list[dict]:
    """Give the first difference of each quantity; a row that the answer lacks is one."""
    found = []
    columns = {("features", name): values for name, values in expected.get("features", {}).items()}
    columns |= {
        (quantity, quantity): expected[quantity] for quantity in QUANTITIES[1:] if quantity in expected
    }
    for (quantity, name), theirs in columns.items():
        ours = answer["features"].get(name) if quantity == "features" else answer[quantity]
        if ours is None:
            found.append(
                {"quantity": quantity, "column": name, "row": 0, "value": "missing", "expected": theirs[0]}
            )
            continue
        size = min(len(ours), len(theirs))
        if size < len(theirs):
            lost = {
                "row": size,
                "rows": len(theirs) - size,
                "value": "missing",
                "expected": repr(theirs[size]),
            }
            found.append({"quantity": quantity, "column": name, **lost})
            continue
        if _bits(ours[:size]) == _bits(theirs[:size]):
            continue
        rows = [row for row in range(size) if _bits(ours[row : row + 1]) != _bits(theirs[row : row + 1])]
        value, other = float(ours[rows[0]]), float(theirs[rows[0]])
        found.append(
            {
                "quantity": quantity,
                "column": name,
                "row": rows[0],
                "rows": len(rows),
                "value": repr(value),
                "expected": repr(other),
                "ulps": ulps(value, other),
            }
        )
    return found


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


def lines(proof: dict) -> list[str]:
    """Give the proof as a table of faces and hashes, and a line for each difference."""
    width = max(map(len, proof["faces"]))
    count = f"{proof['rows']['holdout']} holdout rows, {proof['rows']['generated']} generated, {proof['rows']['inputs']} of model inputs"
    table = [
        f"{'face':<{width}}  {'features':<10} {'raw score':<10} {'score':<10} {'label':<10} {'reasons':<10} seconds"
    ]
    for name, face in proof["faces"].items():
        table.append(
            f"{name:<{width}}  "
            + " ".join(f"{face[quantity][:8]:<10}" for quantity in (*QUANTITIES, "reasons"))
            + f" {face.get('seconds', '')}"
        )
    verdict = "all faces give the same bits" if proof["passed"] else "the faces differ"
    return [
        f"{proof['case']}: {count}",
        *table,
        *(f"{name}: left out, since {why}" for name, why in proof.get("left_out", {}).items()),
        *(_said(difference) for difference in proof["differences"][:20]),
        verdict,
    ]


def _said(difference: dict) -> str:
    far = difference.get("ulps")
    distance = f", {far} ulps apart" if far is not None else ""
    return (
        f"{difference['face']} differs from {difference['against']} in {difference['quantity']}, column "
        f"{difference['column']!r}, first in row {difference['row']}: {difference['value']}, expected {difference['expected']}"
        f"{distance} ({difference.get('rows', 'all')} rows)"
    )


WHAT_FACES_ARE = {
    "notebook": "the notebooks, executed by papermill",
    "module": "the exported module, imported in a fresh process",
    "pipeline": "the Kedro pipeline, run in a fresh data folder",
    "wheel": "the wheel, installed with numpy and nothing else; all rows at once",
    "wheel without numpy": "the wheel, installed alone; row by row",
    "wheel without kernel": "the wheel with its model in plain Python; row by row",
}


def page(proof: dict) -> str:
    """Return the proof as one HTML file that loads nothing."""
    rows = [
        [
            f"<b>{html.escape(name)}</b>",
            *(f"<code>{face[quantity][:8]}</code>" for quantity in (*QUANTITIES, "reasons")),
            str(face.get("seconds", "")),
        ]
        for name, face in proof["faces"].items()
    ]
    verdict = lines(proof)[-1]
    counts = proof["rows"]
    differences = "".join(f"<li>{html.escape(_said(difference))}</li>" for difference in proof["differences"])
    left_out = "".join(
        f"<p>Left out: {html.escape(name)}, since {html.escape(why)}.</p>"
        for name, why in proof.get("left_out", {}).items()
    )
    versions = "".join(
        f"<li>{html.escape(name)} <code>{version}</code></li>" for name, version in proof["versions"].items()
    )
    commit = f"{proof['commit'] or 'none'}{' with changes' if proof.get('dirty') else ''}"
    facts = [
        ("wheel", proof["wheel"]),
        ("commit", commit),
        ("Python", proof["python"]),
        ("machine", proof.get("platform")),
    ]
    body = f"""<h1>Proof of {html.escape(proof["case"])}: <span class="{"good" if proof["passed"] else "bad"}">{verdict}</span></h1>
<p>A <i>face</i> is a way to get an answer from this model: as a notebook, a module, a pipeline or a wheel. Each face answered the same
{counts["holdout"] + counts["generated"] + counts["inputs"]:,} rows: {counts["holdout"]:,} of the holdout, which no training saw, {counts["generated"]:,} generated ones, with missing,
extreme and unknown values, and {counts["inputs"]:,} on and beside every threshold of the model.</p>
<p>A <i>hash</i> below stands for all answers in a column, bit by bit: two equal hashes mean that not one bit of one answer differs.
Reasons, the Shapley values of {counts["explained"]:,} rows, are compared by bits among the wheel's faces, and with LightGBM's own within 1e-10.</p>
{pages.table(["face", "features", "raw score", "score", "label", "reasons", "seconds"], rows, [6])}
{pages.facts((name, html.escape(WHAT_FACES_ARE.get(name, "a face of another distribution"))) for name in proof["faces"])}
{left_out}{f"<h2>What differs</h2><ul>{differences}</ul>" if differences else ""}
<h2>What was proven</h2>{pages.facts((name, html.escape(str(value))) for name, value in facts)}
<details><summary>{len(proof["versions"])} versions that were read</summary><ul>{versions}</ul></details>"""
    return pages.page(f"Proof of {proof['case']}", body)
