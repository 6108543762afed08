"""Several cases of a run, two at a time, each in a process that is forked from one that has imported the libraries.

A case alone keeps two cores busy for two thirds of its time: kernels start, notebooks follow each other, a proof ends with one face.
"""

import json
import os
import pickle
import sys
import tempfile
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from hardcover import processes, settings
from hardcover.errors import HardcoverError, Stopped
from hardcover.execution import one_case
from hardcover.execution.request import Plan, Request
from hardcover.notebooks import forkserver
from hardcover.reporting.progress import Reporter, silent
from hardcover.store import disk, drafts, run_lock

AT_ONCE = 2
ASKED, FOUND, SAID = "asked.pickle", "found.pickle", "said.txt"


def run(request: Request, plans: list[Plan], say: Reporter) -> list[dict]:
    """Run the cases and return a summary of each, as ``one_case.run`` does.

    Once one has failed, no other is begun; those that are at work are waited for. Ctrl-C ends them.

    Raises
    ------
    HardcoverError
        That of the first case, in their order, which failed.
    """
    given_up = threading.Event()

    def ask(plan: Plan) -> dict:
        if given_up.is_set():
            return {}
        try:
            return _ask(request, plan, Path(folder) / plan.case, say)
        except Exception:
            given_up.set()
            raise

    with tempfile.TemporaryDirectory(prefix="hardcover-cases-") as folder, forkserver.warm():
        pool = ThreadPoolExecutor(AT_ONCE)
        asked = {pool.submit(ask, plan): plan.case for plan in plans}
        try:
            for each in wait(asked, return_when=FIRST_EXCEPTION).done:
                if each.exception():
                    say(f"{asked[each]}: failed; what is at work is waited for")
            pool.shutdown()
        except KeyboardInterrupt as error:
            given_up.set()
            names = " and ".join(repr(case) for each, case in asked.items() if each.running())
            forkserver.interrupt()
            pool.shutdown()
            drafts.clean(Path(settings.read("data.root")))
            raise Stopped(f"case {names}") from error
        return [each.result() for each in asked]


def _ask(request: Request, plan: Plan, folder: Path, say: Reporter) -> dict:
    folder.mkdir()
    (folder / ASKED).write_bytes(pickle.dumps((request, plan._replace(say=silent))))
    environment = {**os.environ, run_lock.INHERITED: "run"}
    others: list[str] = []

    def hear(line: str) -> None:
        try:
            told = json.loads(line)
            say(f"{plan.case} {told['line']}", transient=told["transient"])
        except (ValueError, TypeError, KeyError):
            # What a library has to say.
            others.append(line)
            print(line, file=sys.stderr)  # noqa: T201

    forkserver.call(__name__, [str(folder)], environment, Path.cwd(), folder / SAID, hear)
    if not (folder / FOUND).exists():
        where = f"case {plan.case!r}"
        if others:
            raise processes.failed("run the case", "\n".join(others), where)
        fix = f"Where memory ran out, run one case at a time: hardcover run {plan.case}."
        raise HardcoverError("the process of the case was killed", where, fix)
    found = pickle.loads((folder / FOUND).read_bytes())
    if isinstance(found, Exception):
        raise found
    return found


def _say(line: str, transient: bool = False) -> None:
    print(json.dumps({"line": line, "transient": transient}), flush=True)  # noqa: T201


def main(folder: str) -> None:
    """Run what is asked in a folder and leave there what was found: the whole of a process that was forked for it."""
    request, plan = pickle.loads((Path(folder) / ASKED).read_bytes())
    settings.enter(request.env)
    settings.make_importable()
    try:
        # Forked before LightGBM computes in this process: OpenMP's threads do not survive a fork.
        with forkserver.warm():
            found: Any = one_case.run(request, plan._replace(say=_say))
    except HardcoverError as error:
        found = error
    except KeyboardInterrupt:
        found = Stopped(f"case {plan.case!r}")
    disk.write_atomically(Path(folder) / FOUND, pickle.dumps(found))
