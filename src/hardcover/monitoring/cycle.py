"""A pass of the loop: watch what was served, tell what is wrong, train a new model where that is asked for, and promote what is proven better."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardcover import processes, settings
from hardcover.errors import HardcoverError
from hardcover.monitoring import outbox
from hardcover.project import cases
from hardcover.release import publish
from hardcover.reporting.progress import Reporter, silent
from hardcover.store import run_lock, versions

WATCH = "watch"
STAYS, PROMOTED, DROPPED = "stays challenger", "promoted", "dropped"
FOLLOWS, RETURNS = "follows", "returns"


def cycle(
    case: str,
    *,
    data: tuple[str, ...] = (),
    env: str | None = None,
    params: dict[str, Any] | None = None,
    now: datetime | None = None,
    say: Reporter = silent,
) -> dict[str, Any]:
    """Do a pass. Safe to kill anywhere and to begin again: each step ends with a version, and what was told has an id.

    Parameters
    ----------
    case, env
        The case, and a folder of ``conf/``.
    data
        Raw files for a new model; empty: what ``conf/`` names.
    params
        Overrides, by dotted name below the case.
    now
        The time, UTC; default: the clock's.

    Returns
    -------
    dict
        ``case``, ``wheel``, ``rows`` and ``labels`` that were new, ``skipped`` rows by reason, ``events`` that were told, ``open`` episodes, ``decisions``
        of this pass, and the ``version`` of the state; None where nothing was new.

    Raises
    ------
    UnknownName
        When there is no such case.
    HardcoverError
        When there is no champion, or the run that was asked for fails; what was seen until then is kept.
    RunLocked
        When another pass is at it.
    """
    cases.check(case)
    now = (now or datetime.now(UTC)).replace(tzinfo=None)
    with run_lock.hold(f"cycle-{case}"):
        state = newest_state(case)
        pointer = publish.current(case)
        if pointer and state and not _anything_new(case, state, pointer, now):
            return _told(state, {"rows": 0, "labels": 0, "skipped": {}}, [], None)
        # pandas, scikit-learn and Kedro take long to import, and most passes have nothing to do.
        from hardcover.monitoring.passes import Pass

        this = Pass.of(case, state, env, params or {}, now)
        say("looking at what was served", transient=True)
        seen = this.look()
        version = this.commit()
        told = outbox.tell(case, outbox.untold(this.state), say)
        this.note_told(told)
        try:
            this.track()
        except HardcoverError as error:
            say(f"{error.what}; the next pass tries again")
        this.conclude()
        if wants := this.wants:
            say(f"training a new model: {wants['why']}")
            this.contest(_train(case, data, env, params or {}))
            this.conclude()
        version = this.commit() or version
        outbox.tell_tables(this.state)
        return _told(this.state, seen, told, version)


def newest_state(case: str) -> dict[str, Any] | None:
    """Return the state after the newest pass; None before the first one."""
    place = versions.by_dataset(Path(settings.read("data.root"))).get(f"{case}.{WATCH}")
    version = versions.latest(place) if place else None
    return state_in(place / version) if place and version else None


def state_in(folder: Path) -> dict[str, Any]:
    """Return the state that a version holds."""
    (file,) = versions.verify(folder)["files"]
    return json.loads((folder / file).read_text(encoding="utf-8"))


def outcome_of(contest: dict[str, Any], recipe: dict | None) -> str:
    """Return what follows from a comparison with a challenger: ``STAYS``, ``PROMOTED``, ``FOLLOWS`` or ``DROPPED``.

    Parameters
    ----------
    contest
        As `succession.Succession` keeps it.
    recipe
        Since when fresh models are known to be better than one that stands still; None where that is not known.
    """
    alone = contest["alone"] or contest
    if contest["verdict"] == "worse":
        return DROPPED
    if contest["objections"] or alone["objections"] or alone["verdict"] == "worse":
        return STAYS
    if contest["verdict"] == "better":
        return PROMOTED
    return FOLLOWS if recipe else STAYS


def _anything_new(case: str, state: dict, pointer: dict, now: datetime) -> bool:
    folders = versions.by_dataset(Path(settings.read("data.root")))
    for name in ("served", "labels"):
        place = folders.get(f"{case}.{name}")
        if place and set(versions.committed(place)) - set(state["taken"][name]):
            return True
    return (
        _unfinished(state)
        or pointer["wheel"] != state["wheel"]
        or now.isoformat() >= (state["due"] or "never")
    )


def _unfinished(state: dict) -> bool:
    """Check whether a pass ended, or was ended, before all that follows from what it saw."""
    decided = state["challenger"] and outcome_of(state["challenger"], state.get("recipe")) != STAYS
    returns = state.get("guard") and state["guard"]["verdict"] == "better"
    is_told = not outbox.untold(state) and outbox.has_tables(state)
    return bool(not is_told or state["promoting"] or state["wants"] or decided or returns)


def run(
    case: str, data: Sequence[str], params: dict[str, Any], env: str | None, purpose: str, *options: str
) -> str:
    """Run a case as a pipeline, in a process of its own; returns what that printed.

    Parameters
    ----------
    case, data, params, env
        As `cycle` takes them.
    purpose
        What it is for, to be read after "cannot".
    options
        Others of ``hardcover run``.
    """
    overrides = [f"{case}.{name}={json.dumps(value)}" for name, value in params.items()]
    words = ["--pipeline", *options, *(word for each in overrides for word in ("--param", each))]
    words += [*(["--env", env] if env else []), *(["--data", *data] if data else [])]
    return processes.call(
        processes.ours("run", case, *words), purpose, HardcoverError, settings.project_root()
    )


def _train(case: str, data: Sequence[str], env: str | None, params: dict[str, Any]) -> dict[str, Any]:
    """Train a model that stays challenger; returns what its run says of itself."""
    by_hand = ("--json", "--param", f"{case}.promotion.by=hand")
    (found,) = json.loads(run(case, data, params, env, "train a new model", *by_hand))
    return found


def _told(state: dict, seen: dict, events: list[dict], version: str | None) -> dict[str, Any]:
    return {
        "case": state["case"],
        "wheel": state["wheel"],
        **seen,
        "events": events,
        "open": [each for each in state["episodes"] if each["until"] is None],
        "decisions": [each for each in state["decisions"] if version and each["pass"] == state["passes"]],
        "version": version,
    }
