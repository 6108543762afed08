"""Kill a pass of the loop at calls that change a file, let others follow until nothing is new, and compare with passes that nothing happened to.

    LD_PRELOAD=faults.so python -m tests.monitoring.passing PLACE FOLDER COUNT

``PLACE`` is as the fixture ``contested`` leaves it: the pass has harm to tell of, and a challenger to promote. ``COUNT`` calls are hit, evenly spread; 0: all. Each attempt is
a fork of this process, which has imported everything. Prints one JSON object.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import mlflow.lightgbm  # noqa: F401
from mlflow import MlflowClient

from hardcover.monitoring import cycle, passes  # noqa: F401
from hardcover.release import publish
from tests.conftest import Place

CASE, NOW = "maintenance", datetime(2026, 3, 10)


def in_child(action: Callable[[], None]) -> int:
    """Run in a fork; return its exit code, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        action()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def do_a_pass(folder: Path, at: int) -> None:
    """Do a pass in a place, which the ``at``-th call kills."""
    os.environ.update(Place(folder).environment)
    ctypes.CDLL(None).faults_arm(str(folder).encode(), ctypes.c_long(at), 0)
    cycle.cycle(CASE, env="ci", now=NOW)


def go_on(folder: Path, calls: Path | None = None) -> None:
    """Do passes until nothing is new, and say how many calls the first one made."""
    do_a_pass(folder, 0)
    if calls:
        calls.write_text(str(ctypes.CDLL(None).faults_calls()))
    for _ in range(5):
        if cycle.cycle(CASE, env="ci", now=NOW)["version"] is None:
            return
    raise AssertionError("there is something new in each pass")


def result_of(folder: Path) -> dict:
    """Return what a pass left: the state, who is champion by pointer and alias, and what was told."""
    os.environ.update(Place(folder).environment)
    state = cycle.newest_state(CASE)
    assert state is not None
    client = MlflowClient(Place(folder).tracking)
    version = client.get_registered_model(CASE).aliases["champion"]
    lines = (folder / "data" / "08_reporting" / CASE / "alerts.jsonl").read_text().splitlines()
    # How many passes it took is what differs.
    for facts in [state, *state["decisions"]]:
        facts.pop("passes", None), facts.pop("pass", None)
    return {
        "state": state,
        "pointer": publish.current(CASE)["wheel"],
        "alias": client.get_model_version(CASE, str(version)).tags["wheel"],
        "told": [json.loads(line)["event_id"] for line in lines],
    }


def look(folder: Path, said: Path) -> None:
    """Write what a pass left, from another process."""
    assert in_child(lambda: said.write_text(json.dumps(result_of(folder)))) == 0


def main() -> None:
    place, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    said, calls = folder / "said.json", folder / "calls"
    whole = shutil.copytree(place, folder / "whole")
    assert in_child(lambda: go_on(whole, calls)) == 0
    look(whole, said)
    expected, total = json.loads(said.read_text()), int(calls.read_text())
    step = max(1, total // count) if count else 1
    tried = []
    # In the middle of each part: at its ends little is under way.
    for at in range((step + 1) // 2, total + 1, step):
        mine = shutil.copytree(place, folder / "attempt")
        code = in_child(lambda at=at, mine=mine: do_a_pass(mine, at))
        assert code == -signal.SIGKILL, f"call {at} of {total} gave {code}"
        # What is there is whole, whatever was killed.
        assert in_child(lambda mine=mine: _readable(mine)) == 0, f"after call {at} of {total}"
        assert in_child(lambda mine=mine: go_on(mine)) == 0, f"the passes after call {at} of {total}"
        look(mine, said)
        found = json.loads(said.read_text())
        assert len(found["told"]) == len(set(found["told"])), f"told twice after call {at}"
        assert found == expected, f"after call {at} of {total}: {_difference(found, expected)}"
        tried.append(at)
        shutil.rmtree(mine)
    print(
        json.dumps(
            {"calls": total, "tried": len(tried), "pointer": expected["pointer"], "told": expected["told"]}
        )
    )


def _readable(folder: Path) -> None:
    os.environ.update(Place(folder).environment)
    assert publish.current(CASE) is not None
    assert cycle.newest_state(CASE) is not None


def _difference(found: dict, expected: dict) -> str:
    names = [name for name in expected if found[name] != expected[name]]
    inner = [name for name in expected["state"] if found["state"][name] != expected["state"][name]]
    return f"{names} {inner} " + "; ".join(
        f"{str(found['state'][name])[-500:]} FOR {str(expected['state'][name])[-700:]}" for name in inner
    )


if __name__ == "__main__":
    main()
