"""A proof as the lines that the command prints, and as a page."""

import html

from hardcover.proof.compare import CONTRIBUTIONS, QUANTITIES, TOGETHER
from hardcover.reporting import pages

HEADINGS = ["features", "raw score", *QUANTITIES[2:], CONTRIBUTIONS]


def lines(proof: dict) -> list[str]:
    """Return the proof as a table of faces and hashes, and a line for each difference."""
    width = max(map(len, proof["faces"]))
    count = f"{proof['rows']['holdout']} holdout rows, {proof['rows']['generated']} generated, {proof['rows']['inputs']} of model inputs"
    table = [f"{'face':<{width}}  {' '.join(f'{name:<13}' for name in HEADINGS)} seconds"]
    for name, face in proof["faces"].items():
        table.append(
            f"{name:<{width}}  "
            + " ".join(f"{face.get(quantity, '')[:8]:<13}" for quantity in (*QUANTITIES, CONTRIBUTIONS))
            + f" {face.get('seconds', '')}"
        )
    verdict = "all faces give the same bits" if proof["passed"] else "the faces differ"
    return [
        f"{proof['case']}: {count}",
        *table,
        *(f"{name}: left out, since {why}" for name, why in proof.get("left_out", {}).items()),
        *(_sentence(difference) for difference in proof["differences"][:20]),
        verdict,
    ]


def _sentence(difference: dict) -> str:
    far = difference.get("ulps")
    distance = f", {far} ulps apart" if far is not None else ""
    what = "bin" if difference["quantity"] == TOGETHER else "row"
    return (
        f"{difference['face']} differs from {difference['against']} in {difference['quantity']}, column "
        f"{difference['column']!r}, first in {what} {difference['row']}: {difference['value']}, expected {difference['expected']}"
        f"{distance} ({difference.get('rows', 'all')} {what}s)"
    )


WHAT_FACES_ARE = {
    "notebook": "the notebooks, executed by papermill",
    "module": "the exported module, imported in a fresh process",
    "pipeline": "the Kedro pipeline, run in a fresh data folder",
    "wheel": "the wheel, installed with numpy and nothing else; all rows at once",
    "wheel without numpy": "the wheel, installed alone; row by row",
    "wheel without kernel": "the wheel with its model in plain Python; row by row",
    "wheel on SQLite": "the wheel with the events of its windows in a file of SQLite; row by row",
    "wheel on Valkey": "the wheel with the events of its windows in a Valkey server; row by row",
    "service JSON": "the wheel behind HTTP, record by record; raw rows alone, as for all faces of the service",
    "service Arrow": "the same, all rows at once as an Arrow stream",
    "service OIP JSON": "the same by the Open Inference Protocol, tensors as JSON",
    "service OIP binary": "the same, tensors as their bytes",
    "service gRPC": "the same by gRPC",
}


def page(proof: dict) -> str:
    """Return the proof as one HTML file that loads nothing."""
    rows = [
        [
            f"<b>{html.escape(name)}</b>",
            *(f"<code>{face.get(quantity, '')[:8]}</code>" for quantity in (*QUANTITIES, CONTRIBUTIONS)),
            str(face.get("seconds", "")),
        ]
        for name, face in proof["faces"].items()
    ]
    verdict = lines(proof)[-1]
    counts = proof["rows"]
    differences = "".join(
        f"<li>{html.escape(_sentence(difference))}</li>" for difference in proof["differences"]
    )
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
        ("platform", proof.get("platform")),
    ]
    body = f"""<h1>Proof of {html.escape(proof["case"])}: <span class="{"good" if proof["passed"] else "bad"}">{verdict}</span></h1>
<p>A <i>face</i> is a way to get an answer from this model: as a notebook, a module, a pipeline or a wheel. Each face answered the same
{counts["holdout"] + counts["generated"] + counts["inputs"]:,} rows: {counts["holdout"]:,} of the holdout, which no training saw, {counts["generated"]:,} generated ones, with missing,
extreme and unknown values, and {counts["inputs"]:,} on and beside every threshold of the model.</p>
<p>A <i>hash</i> below stands for all answers in a column, bit by bit: two equal hashes mean that not one bit of one answer differs.
Contributions, the Shapley values of {counts["explained"]:,} rows, are compared by bits among the wheel's faces, and with LightGBM's own within 1e-10.</p>
{pages.table(["face", *HEADINGS, "seconds"], rows, [len(HEADINGS) + 1])}
{pages.facts((name, html.escape(WHAT_FACES_ARE.get(name, "a face of another distribution"))) for name in proof["faces"])}
{left_out}{f"<h2>What differs</h2><ul>{differences}</ul>" if differences else ""}
<h2>What was proven</h2>{pages.facts((name, html.escape(str(value))) for name, value in facts)}
<details><summary>{len(proof["versions"])} versions that were read</summary><ul>{versions}</ul></details>"""
    return pages.page(f"Proof of {proof['case']}", body)
