"""The front page of a run: what was asked, what came out, whether it is proven, and where everything is."""

import html
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from hardcover import settings
from hardcover.execution import summary
from hardcover.lineage import run_records
from hardcover.proof import report
from hardcover.reporting import pages
from hardcover.store import versions

NAME = "index.html"
# Datasets of pictures, what a reader looks at first.
PICTURES = ("performance_figures", "overview_figures")
MAX_PICTURES = 4


def folder_of(case: str, run: str) -> Path:
    """Return the folder of a run's reports, which is named by its start and id; a new one where it has none."""
    reports = Path(settings.read("data.root")) / "08_reporting" / case
    found = sorted(reports.glob(f"*-{run[:8]}"))
    return found[0] if found else reports / f"{datetime.now(UTC):%Y-%m-%dT%H.%M.%S}-{run[:8]}"


def of_results(case: str, run: str) -> Path | None:
    """Return the front page of the run that made the metrics which a run reused; None where there is none."""
    made_by = run_records.outputs(run).get(f"{case}.metrics", {}).get("made_by")
    page = folder_of(case, made_by) / NAME if made_by else None
    return page if page and page.is_file() else None


def write(facts: dict) -> Path:
    """Write the front page of a run.

    Parameters
    ----------
    facts
        What ``summary.collect`` returned, with ``seconds`` and, where the faces were compared, ``proof``.

    Returns
    -------
    Path
        ``data/08_reporting/<case>/<start>-<run>/index.html``.
    """
    folder = folder_of(facts["case"], facts["run"])
    folder.mkdir(parents=True, exist_ok=True)
    session, outputs = run_records.read(facts["run"])["sessions"][0], run_records.outputs(facts["run"])
    parts = [
        f"<h1>{html.escape(facts['case'])}: {_headline(facts)}</h1>",
        _stages(folder),
        "<h2>What was asked</h2>",
        _section(lambda: pages.facts(_asked(facts, session))),
        _section(lambda: "\n".join(_metrics(facts))),
        _section(lambda: "\n".join(_decision(facts))),
        _pictures(facts["case"], outputs),
        _section(lambda: "\n".join(_proof(facts, folder))),
        "<h2>What it was made of</h2>",
        _section(lambda: pages.facts(_origin(facts, session))),
        _versions(outputs),
    ]
    (folder / NAME).write_text(pages.page(f"Run of {facts['case']}", "\n".join(parts)), encoding="utf-8")
    return folder / NAME


def _section(make: Callable[[], str]) -> str:
    """Make a section; one whose report lacks what it shows says so, and the others are there."""
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        return f"<p class='soft'>(a report has no {html.escape(str(error))})</p>"


def _headline(facts: dict) -> str:
    try:
        text = f"{facts['metrics']['primary']['label']} {summary.holdout_line(facts)}"
    except (KeyError, TypeError, ValueError):
        return "a run"
    if "proof" not in facts:
        return f"{html.escape(text)}, <span class='soft'>not proven</span>"
    passed = facts["proof"]["passed"]
    verdict = "proven" if passed else "the faces differ"
    return f"{html.escape(text)}, <span class='{'good' if passed else 'bad'}'>{verdict}</span>"


def _stages(folder: Path) -> str:
    links = [
        f'<li><a href="{path.name}">{html.escape(path.stem.partition("_")[2])}</a></li>'
        for path in sorted(folder.glob("[0-9]*_*.html"))
    ]
    return f"<nav><b>The stages, executed</b><ul>{''.join(links)}</ul></nav>" if links else ""


def _asked(facts: dict, session: dict) -> Iterator[tuple[str, str]]:
    yield "source", html.escape(facts.get("source", {}).get("description", "none was read"))
    report = facts.get("data_report")
    if report:
        yield (
            "rows",
            f"{report['rows']:,} raw = {report['clean']:,} clean + {report['quarantined']:,} quarantined",
        )
        yield "split", html.escape(str(report["split_by"]))
    yield "environment", html.escape(session["env"] or settings.HOME)
    yield (
        "parameters",
        f"<code>{html.escape(json.dumps(session['params']))}</code>"
        if session["params"]
        else "those of conf/",
    )
    ran = sum(node["state"] == "ran" for node in facts["nodes"].values())
    yield "nodes", f"{ran} ran, {len(facts['nodes']) - ran} reused, {facts['seconds']:.0f} s"


def _metrics(facts: dict) -> Iterator[str]:
    metrics = facts.get("metrics")
    if not metrics:
        return
    baselines = metrics.get("baseline", {})
    rows = []
    for name, value in metrics["holdout"].items():
        interval = metrics.get("interval", {}).get(name)
        between = f"[{interval['low']:.4g}, {interval['high']:.4g}]" if interval else ""
        others = [f"{found[name]:.4g}" if name in found else "" for found in baselines.values()]
        rows.append([name.replace("_", " "), f"<b>{value:.4g}</b>", between, *others])
    head = ["metric, holdout rows", "model", "interval", *(name.replace("_", " ") for name in baselines)]
    yield "<h2>Metrics</h2>"
    yield pages.table(head, rows, range(1, len(head)))
    label = metrics["primary"]["label"]
    yield f"<p class='soft'>{html.escape(label)} in folds over all rows: {summary.folds_line(facts)}. Intervals are bootstrapped.</p>"
    careless = metrics.get("random_split", {}).get(metrics["primary"]["name"])
    if careless is not None:
        yield f"<p class='soft'>A random split, which mixes entities and times, would have shown {careless:.3f}.</p>"
    if metrics.get("replaced"):
        own = ", ".join(
            f"{step} by <code>{html.escape(name)}</code>" for step, name in metrics["replaced"].items()
        )
        yield f"<p>The project's own: {own}.</p>"


def _decision(facts: dict) -> Iterator[str]:
    metrics = facts.get("metrics")
    if not metrics:
        return
    yield "<h2>Decision</h2>"
    yield f"<p>{_rule(metrics)}</p>"
    if facts.get("registration_report"):
        yield f"<p>Registry: {html.escape(summary.registry_line(facts))}.</p>"


def _rule(metrics: dict) -> str:
    decision, holdout = metrics["decision"], metrics["holdout"]
    if decision["kind"] == "threshold":
        return (
            f"The label is true from a score of <b>{decision['threshold']:.4g}</b> on, which follows from the costs in "
            f"<code>conf/</code>. On the holdout this catches {holdout['recall']:.0%} of the positives, and "
            f"{holdout['precision']:.0%} of its alarms are right."
        )
    if decision["kind"] == "classes":
        way = (
            "costs least by the costs in <code>conf/</code>" if decision.get("costs") else "is the likeliest"
        )
        return f"The label is the class that {way}; {holdout['accuracy']:.0%} of the holdout's are right."
    return "Nothing is decided: the score is the answer."


def _pictures(case: str, outputs: dict) -> str:
    paths = [
        path
        for name in PICTURES
        for path in run_records.files_of(outputs.get(f"{case}.{name}", {}))
        if path.suffix == ".png"
    ]
    found = [
        f'<figure><img src="{pages.embedded(path)}" alt="{html.escape(path.stem.replace("_", " "))}"></figure>'
        for path in paths[:MAX_PICTURES]
    ]
    return f'<h2>Pictures</h2><div class="pictures">{"".join(found)}</div>' if found else ""


def _proof(facts: dict, folder: Path) -> Iterator[str]:
    yield "<h2>Proof and wheel</h2>"
    found = facts.get("proof")
    if not found:
        yield f"<p>The faces were not compared; <code>hardcover prove {html.escape(facts['case'])}</code> does that.</p>"
        return
    verdict = report.lines(found)[-1]
    yield (
        f"<p class='{'good' if found['passed'] else 'bad'}'>{len(found['faces'])} ways to get an answer from this model gave "
        f"{found['rows']['holdout'] + found['rows']['generated'] + found['rows']['inputs']:,} rows: {html.escape(verdict)}.</p>"
    )
    page = newest_proof_page(facts["case"])
    if page:
        yield f'<p><a href="{os.path.relpath(page, folder)}">What was compared, with which hashes</a></p>'
    if found.get("published"):
        path = html.escape(found["published"]["path"])
        yield pages.facts(
            [("wheel", f"<code>{path}</code>"), ("install", f"<code>pip install {path}</code>")]
        )


def newest_proof_page(case: str) -> Path | None:
    """Return the newest page of a case's proofs; None where there is none."""
    folder = versions.by_dataset(Path(settings.read("data.root"))).get(f"{case}.proof_page")
    newest = folder and versions.latest(folder)
    return next((folder / newest).glob("*.html"), None) if newest else None


def _origin(facts: dict, session: dict) -> Iterator[tuple[str, str]]:
    commit = f"{session['commit'] or 'none'}{' with changes' if session['dirty'] else ''}"
    yield "run", f"<code>{facts['run']}</code>"
    yield "commit", f"<code>{commit}</code>"
    yield "face", html.escape(session["face"])
    yield "again", f"<code>hardcover reproduce {facts['run'][:8]}</code>"
    store = settings.read("tracking.uri")
    if store.startswith("sqlite:"):
        # A local store's first experiment is the project's.
        address = f"http://127.0.0.1:5000/#/experiments/1/runs/{facts['run']}?workflowType=machine_learning"
        command = f"<code>mlflow ui --backend-store-uri {html.escape(store)}</code>"
        yield "in MLflow", f'{command}, then <a href="{address}">this run</a>'


def _versions(outputs: dict) -> str:
    rows = [
        [html.escape(name), f"<code>{found['version']}</code>"] for name, found in sorted(outputs.items())
    ]
    return f"<details><summary>{len(rows)} versions</summary>{pages.table(['dataset', 'version'], rows)}</details>"
