"""Prove that all faces of a case give the same bits: features, raw scores, scores and labels, on the same rows.

The rows are the whole holdout and ten thousand generated ones, or as many as are asked for: missing, extreme, on each split's threshold, unseen
categories.
"""

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.errors import HardcoverError, ProofFailed, UnknownName
from hardcover.lineage import git_state
from hardcover.notebooks import forkserver
from hardcover.project import cases
from hardcover.project.context import open_context
from hardcover.proof import compare, faces, report, service_client, wheel_faces
from hardcover.proof import subject as subjects
from hardcover.release import publish, wheel_file
from hardcover.reporting.progress import Reporter, silent
from hardcover.store import run_lock, versions
from hardcover.tracking import mlflow_log, registry

CHECKOUT = ("commit", "dirty", "patch", "lock", "python", "platform")


def prove(
    case: str,
    env: str | None = None,
    only: list[str] | None = None,
    rows: int | None = None,
    seed: int = 1,
    say: Reporter = silent,
) -> dict:
    """Let the faces of a case answer the same rows and compare the answers by bits.

    Parameters
    ----------
    case
        The case.
    env
        A folder of ``conf/``; None is the one that the model was made with.
    only
        Names of faces; None or empty: all.
    rows, seed
        How many rows are generated, by default as the setting ``prove.rows`` says, and from which seed.
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
    cases.check(case)
    rows = int(settings.read("prove.rows")) if rows is None else rows
    known = faces.known()
    for name in only or []:
        if name not in known:
            raise UnknownName("face", name, known)
    with run_lock.alone():
        say("reading what is to be proven", transient=True)
        session = subjects.session_of(case)
        catalog = open_context(env or session.get("env"), session.get("params")).catalog
        with tempfile.TemporaryDirectory(prefix="hardcover-proof-") as scratch:
            subject, saved = subjects.load(case, catalog, session, env, rows, seed, Path(scratch))
            left_out = wheel_faces.left_out(subject)
            without = {*left_out, *(() if subject.events else wheel_faces.STORES)}
            chosen = {
                name: face
                for name, face in known.items()
                if name not in without and (not only or name in only)
            }
            try:
                answers, seconds = _ask(chosen, subject, say)
            finally:
                service_client.end(Path(scratch))
        found = {
            "format": compare.FORMAT,
            "case": case,
            "rows": {
                "holdout": len(next(iter(saved["score"].values()))),
                "generated": rows,
                "inputs": len(subject.inputs),
                "explained": len(subject.explained),
                "seed": seed,
            },
            "left_out": left_out,
            "wheel": wheel_file.file_name(subject.wheel),
            "versions": {name: facts["version"] for name, facts in sorted(catalog.loaded.items())},
            **{key: value for key, value in git_state.describe().items() if key in CHECKOUT},
            **compare.compare(answers, saved),
        }
        for name, face in found["faces"].items():
            face["seconds"] = round(seconds.get(name, 0.0), 1)
        if not only:
            found["published"] = _save(case, catalog, found, subject.wheel, say)
    return found


def passing_proof(case: str) -> dict | None:
    """Return the newest proof of a case if it passed, is about the newest wheel, and that wheel is published; else None."""
    folders = versions.by_dataset(Path(settings.read("data.root")))
    places = [folders.get(f"{case}.{name}") for name in ("proof", "wheel")]
    newest = [place / version for place in places if place and (version := versions.latest(place))]
    if len(newest) < 2:
        return None
    proof = versions.manifest_of(newest[0])
    if proof["inputs"][f"{case}.wheel"]["content"] != versions.manifest_of(newest[1])["content"]:
        return None
    (file,) = proof["files"]
    found = json.loads((newest[0] / file).read_text(encoding="utf-8"))
    pointers = [publish.current(case, role) for role in (publish.CHAMPION, publish.CHALLENGER)]
    mine = [pointer for pointer in pointers if pointer and pointer["wheel"] == found["wheel"]]
    return {**found, "published": mine[0]} if found["passed"] and mine else None


def _ask(chosen: dict[str, Callable], subject: subjects.Subject, say: Reporter) -> tuple[dict, dict]:
    """Let the faces answer, two at a time; returns answers and seconds by face."""
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
        say(f"{name}: {len(next(iter(found['score'].values())))} scores in {seconds[name]:.1f} s")
        return found

    # The faces of the project are forked from one process that has imported the libraries; the others begin while it does.
    forked = forkserver.warm() if chosen.keys() & faces.OF_THE_PROJECT else nullcontext()
    turns = _turns(chosen)
    # The fork server is left before the pool, so that what is interrupted need not be waited for.
    with ThreadPoolExecutor(2) as pool, forked:
        asked = [pool.submit(lambda names: {name: ask(name) for name in names}, turn) for turn in turns]
        try:
            found = {name: answer for each in asked for name, answer in each.result().items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: found[name] for name in chosen}, seconds


def _turns(chosen: dict[str, Callable]) -> list[list[str]]:
    """Return which faces are asked one after the other: those that one server answers, else each alone, the longest of the project first.

    What needs no fork server comes before what does.
    """
    service = [name for name in chosen if name in wheel_faces.SERVICE]
    project = [name for name in faces.OF_THE_PROJECT if name in chosen]
    others = [[name] for name in chosen if name not in {*service, *project}]
    return [*others, *([service] if service else []), *([name] for name in project)]


def _save(case: str, catalog: Any, found: dict, built: bytes, say: Reporter) -> dict | None:
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
    catalog.save(f"{case}.proof_page", report.page(found))
    manifests = catalog.commit(lambda _: facts)
    files = [
        catalog.folder_of(name) / manifest["version"] / file
        for name, manifest in manifests.items()
        for file in manifest["files"]
    ]
    say("telling the tracking server", transient=True)
    facts = {"run": made_by, "commit": found["commit"], "registry": "challenger"}
    registered = catalog.load(f"{case}.registration_report")
    with run_lock.hold("tracking"):
        # Published first: a champion always has its wheel.
        pointer = publish.publish(case, built, found, facts) if found["passed"] else None
        mlflow_log.log_proof(made_by, found["passed"], files)
        promoted, words = registry.promote(registered, found["wheel"], found["commit"], found["passed"])
        if pointer is None:
            return None
        pointer = publish.note(pointer, registry=words)
        return publish.promote(pointer, "run") if promoted or publish.current(case) is None else pointer
