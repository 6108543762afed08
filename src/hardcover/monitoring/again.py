"""A past pass of the loop, done again: from the state before it, by the versions, the wheels and the options of then."""

from pathlib import Path
from typing import Any

import pandas as pd

from hardcover import settings
from hardcover.errors import HardcoverError
from hardcover.monitoring.cycle import RETURNS, WATCH, state_in
from hardcover.monitoring.passes import Pass
from hardcover.project import cases
from hardcover.release import publish
from hardcover.store import versions

# What a pass computes; the rest is what was done about it.
COMPUTED = ("windows", "tests", "last", "episodes", "reference", "since", "fresh", "coverage", "outlook")


def reproduce(case: str, number: int | None = None) -> dict[str, Any]:
    """Do a pass again, and compare what it saw and decided.

    Parameters
    ----------
    case, number
        The case, and which of its passes, from 1; None: the newest.

    Returns
    -------
    dict
        ``case``, ``pass``, ``identical``, ``outputs`` (for each part of the state, and each verdict on a challenger, ``identical`` or ``differs``), and the state's ``version``.

    Raises
    ------
    HardcoverError
        When there was no such pass, or a wheel or a run that it needs is gone.
    """
    cases.check(case)
    places = _places(case)
    number = max(places, default=0) if number is None else number
    if number not in places:
        known = f"Passes 1 to {max(places)} are on record." if places else f"Run: hardcover cycle {case}"
        raise HardcoverError(f"there was no pass {number}", f"case {case!r}", known)
    after, before = state_in(places[number]), state_in(places[number - 1]) if number > 1 else None
    champion = _pointer(case, after["wheel"], after)
    again = Pass(
        case,
        before,
        after["conf"],
        champion,
        pd.Timestamp(after["now"]),
        find=lambda wheel: _pointer(case, wheel, after),
    )
    again.look(after["taken"])
    found = {name: again.state.get(name) == after.get(name) for name in COMPUTED}
    for each in after["decisions"]:
        if each["pass"] == number and each["kind"] == "promote":
            found[f"verdict on {each['challenger']}"] = _verdict(case, again, after, each) == each["evidence"]
    outputs = {name: "identical" if same else "differs" for name, same in found.items()}
    return {
        "case": case,
        "pass": number,
        "identical": all(found.values()),
        "outputs": outputs,
        "version": places[number].name,
    }


def _verdict(case: str, again: Pass, after: dict, decision: dict) -> dict[str, Any]:
    """Return the evidence for a decision, computed again."""
    wheel = decision["challenger"]
    trained = [
        each.get("challenger")
        for each in after["decisions"]
        if each["pass"] == decision["pass"] and each["kind"] == "train"
    ]
    found = again.state["challenger"]
    if wheel in trained:
        found = again.succession.begun(_pointer(case, wheel, after), found)
    elif decision["outcome"] == RETURNS:
        found = again.state["guard"]
    return {name: (found or {}).get(name) for name in decision["evidence"]}


def _places(case: str) -> dict[int, Path]:
    """Return the version with the state after each pass, by the pass's number."""
    place = versions.by_dataset(Path(settings.read("data.root"))).get(f"{case}.{WATCH}")
    found = [place / version for version in sorted(versions.committed(place))] if place else []
    return {versions.manifest_of(each)["pass"]: each for each in found}


def _pointer(case: str, wheel: str, state: dict) -> dict:
    """Return what says where a wheel came from, also one that never was champion."""
    known = [*publish.history(case), publish.current(case, publish.CHALLENGER) or {}]
    trained = [{"wheel": each.get("challenger"), "run": each.get("run")} for each in state["decisions"]]
    pointer = next(
        (each for each in [*known, *trained] if each.get("wheel") == wheel and each.get("run")), None
    )
    if pointer is None:
        fix = "Restore the pointers of the folder of wheels."
        raise HardcoverError(f"nothing says which run made {wheel}", str(publish.folder()), fix)
    return {**pointer, "case": case}
