"""Prove that all faces of a case give the same bits: features, raw scores, scores and labels, on the same rows.

The rows are the whole holdout and at least ten thousand generated ones: missing, extreme, on each split's threshold, unseen
categories.
"""

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hardcover import (
    cases,
    faces,
    hostile,
    lock,
    proof,
    provenance,
    publish,
    settings,
    stage,
    tracking,
    versions,
    wheel,
)
from hardcover.errors import HardcoverError, ProofFailed, UnknownName

# So many rows are explained; plain Python takes some ten milliseconds for each.
EXPLAINED = 200
CHECKOUT = ("commit", "dirty", "patch", "lock", "python", "platform")


def prove(
    case: str,
    package: str,
    env: str | None = None,
    only: list[str] | None = None,
    rows: int = 10_000,
    seed: int = 1,
    say: Callable = print,
) -> dict:
    """Let the faces of a case answer the same rows and compare the answers by bits.

    Parameters
    ----------
    case, package
        The case, and the package that cases are in.
    env
        A folder of ``conf/``; None is the one that the model was made with.
    only
        Names of faces; None or empty: all.
    rows, seed
        How many rows are generated, and from which seed.
    say
        Called with lines of progress.

    Returns
    -------
    dict
        The proof: ``passed``, ``faces`` with their hashes and seconds, ``differences``, the rows, and what was proven. Unless
        ``only`` some faces were compared, it is saved with its page as ``proof`` and ``proof_page``; where it passed, the model
        is promoted if it beat the champion, and the wheel is published with its proof, which ``published`` says.

    Raises
    ------
    UnknownName
        When a face or the case does not exist.
    HardcoverError
        When a face cannot answer at all.
    """
    if case not in cases.names():
        raise UnknownName("case", case, cases.names())
    known = faces.known()
    for name in only or []:
        if name not in known:
            raise UnknownName("face", name, known)
    chosen = {name: face for name, face in known.items() if not only or name in only}
    with lock.alone():
        say("reading what is to be proven", transient=True)
        session = _session(case)
        context = stage.open_context(env or session.get("env"), session.get("params"))
        catalog = context.catalog
        with tempfile.TemporaryDirectory(prefix="hardcover-proof-") as scratch:
            subject, record = _subject(case, package, catalog, session, env, rows, seed, Path(scratch))
            left_out = faces.left_out(subject.wheel)
            chosen = {name: face for name, face in chosen.items() if name not in left_out}
            answers, seconds = _ask(chosen, subject, say)
        found = {
            "format": proof.FORMAT,
            "case": case,
            "rows": {
                "holdout": len(record["score"]),
                "generated": rows,
                "inputs": len(subject.inputs),
                "explained": len(subject.explained),
                "seed": seed,
            },
            "left_out": left_out,
            "wheel": wheel.file_name(subject.wheel),
            "versions": {name: facts["version"] for name, facts in sorted(catalog.loaded.items())},
            **{key: value for key, value in provenance.checkout().items() if key in CHECKOUT},
            **proof.compare(answers, record),
        }
        for name, face in found["faces"].items():
            face["seconds"] = round(seconds.get(name, 0.0), 1)
        if not only:
            found["published"] = _save(case, catalog, found, subject.wheel, say)
    return found


def proven(case: str) -> dict | None:
    """Return the newest proof of a case if it passed, is about the newest wheel, and that wheel is published; else None."""
    root = Path(settings.read("data.root"))
    places = root / "08_reporting" / case / "proof.json", root / "06_models" / case / "release.whl"
    newest = [place / version for place in places if (version := versions.latest(place))]
    if len(newest) < 2:
        return None
    about = versions.manifest_of(newest[0])["inputs"][f"{case}.wheel"]["content"]
    if about != versions.manifest_of(newest[1])["content"]:
        return None
    found = json.loads((newest[0] / "proof.json").read_text(encoding="utf-8"))
    pointer = publish.current(case)
    if not found["passed"] or pointer is None or pointer["wheel"] != found["wheel"]:
        return None
    return {**found, "published": pointer}


def _session(case: str) -> dict:
    """Find the latest session that gave the case's model: its parameters are those to run with again."""
    for run in provenance.runs():
        for session in reversed(provenance.read(run)["sessions"]):
            if f"{case}.model" in session["outputs"]:
                return session
    return {}


def _subject(case, package, catalog, session, env, rows, seed, folder) -> tuple[faces.Subject, dict]:
    from hardcover import layout, lightgbm_text

    def load(name: str) -> Any:
        return catalog.load(f"{case}.{name}")

    schema, plan, model = load("schema"), load("feature_plan"), load("model")
    clean, predictions, features = load("clean"), load("predictions"), load("features")
    built, threshold = load("wheel"), load("metrics")["threshold"]
    forest = layout.forest_of(lightgbm_text.parse(model))
    holdout = clean[clean["split"] == "holdout"]
    texts = [name for name, rule in schema["properties"].items() if "enum" in rule]
    columns = {
        name: [*(hostile.plain(value) for value in holdout[name]), *made]
        for name, made in hostile.columns(schema, texts, plan["inputs"], forest, rows, seed).items()
    }
    inputs = hostile.inputs(forest, rows, seed).tolist()
    total = len(holdout) + rows + len(inputs)
    subject = faces.Subject(
        case,
        env or session.get("env"),
        session.get("params"),
        folder,
        columns,
        inputs,
        list(range(0, total, max(1, total // EXPLAINED))),
        texts,
        schema,
        plan,
        model,
        threshold,
        built,
        catalog.load(f"params:{case}.features_module"),
        catalog.load(f"params:{case}.features")["libraries"],
        package,
    )
    kept = features[features["split"] == "holdout"]
    record = {
        "features": {name: kept[name].astype(float).tolist() for name in plan["inputs"]},
        "score": predictions["score"].tolist(),
    }
    return subject, record


def _ask(chosen: dict[str, Callable], subject: faces.Subject, say: Callable) -> tuple[dict, dict]:
    """Let the faces answer, two at a time; gives answers and seconds by face."""
    seconds = {}

    def ask(name: str) -> dict:
        begin = time.monotonic()
        folder = subject.folder / name.replace(" ", "-")
        folder.mkdir()
        try:
            found = chosen[name](subject._replace(folder=folder))
        except HardcoverError as error:
            raise ProofFailed(
                f"the {name} cannot answer: {error.what}", f"case {subject.case!r}", error.fix
            ) from error
        seconds[name] = time.monotonic() - begin
        say(f"{name}: {len(found['score'])} scores in {seconds[name]:.1f} s")
        return found

    with ThreadPoolExecutor(2) as pool:
        asked = {name: pool.submit(ask, name) for name in chosen}
        return {name: future.result() for name, future in asked.items()}, seconds


def _save(case: str, catalog: Any, found: dict, built: bytes, say: Callable) -> dict | None:
    """Save a proof and tell the tracking server; where it passed, promote and publish. Returns the pointer, if any."""
    inputs = {
        name: {"version": facts["version"], "content": facts["content"]}
        for name, facts in catalog.loaded.items()
    }
    made_by = catalog.loaded[f"{case}.wheel"].get("run")
    facts = {
        "node": "prove",
        "inputs": inputs,
        "run": made_by,
        "face": None,
        **{key: found[key] for key in CHECKOUT},
    }
    catalog.in_run = True
    catalog.save(f"{case}.proof", found)
    catalog.save(f"{case}.proof_page", proof.page(found))
    manifests = catalog.commit(lambda _: facts)
    files = [
        catalog.folder_of(name) / manifest["version"] / file
        for name, manifest in manifests.items()
        for file in manifest["files"]
    ]
    say("telling the tracking server", transient=True)
    facts = {"run": made_by, "commit": found["commit"], "registry": "challenger"}
    # Published first: a champion always has its wheel.
    pointer = publish.publish(case, built, found, facts) if found["passed"] else None
    registered = catalog.load(f"{case}.registration_report")
    with lock.hold("tracking"):
        tracking.log_proof(made_by, found["passed"], files)
        decision = tracking.promote(registered, found["wheel"], found["commit"], found["passed"])
    return publish.note(pointer, registry=decision) if pointer else None
