"""Two runs at once, Ctrl-C and kills: nothing unfinished is read, and nothing goes on."""

import os
import re
import signal
from pathlib import Path

from tests.conftest import eventually


def test_two_runs_at_once_both_end_well_and_the_second_says_that_it_waits(place):
    # Forced, as the second would otherwise reuse what the first made.
    command = (
        "hardcover",
        "run",
        "maintenance",
        "--pipeline",
        "--env",
        "ci",
        "--force",
        "--stage",
        "data",
        "features",
    )
    first, second = place.start(*command), place.start(*command)

    said = [process.communicate(timeout=300) for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], said
    assert sum("waiting up to 600 s for another run: process" in error for _, error in said) == 1
    assert len(list(place.data.glob("03_primary/maintenance/clean.parquet/*/manifest.json"))) == 2
    assert all((folder / "manifest.json").exists() for folder in place.versions())


def test_a_run_that_may_not_wait_says_at_once_who_is_at_work(place):
    first = place.start("hardcover", "run", "--env", "ci", "--stage", "data")
    eventually(lambda: (place.data / ".run.lock").read_text())

    second = place.call("hardcover", "run", "--env", "ci", check=False, env={"HARDCOVER_RUN_WAIT": "0"})

    first.communicate(timeout=300)
    assert first.returncode == 0
    assert second.returncode == 1
    assert f"another run is at work: process {first.pid}" in second.stderr


def test_ctrl_c_leaves_no_unfinished_version_and_no_kernel(place):
    # A shell's background job, in which tests may run, ignores SIGINT, and so do its children.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = place.start("hardcover", "run", "--env", "ci", start_new_session=True, **heard)
    features = "04_feature/maintenance/features.parquet/*/manifest.json"
    # The notebook that made it has cells left, so a stage is running.
    eventually(lambda: any(place.data.glob(features)))
    os.killpg(process.pid, signal.SIGINT)

    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert re.search(r"error: stopped by Ctrl-C \(case 'maintenance', (after )?stage '\w+'", said), said
    assert "Nothing unfinished was kept" in said
    assert "Traceback" not in said
    assert all((folder / "manifest.json").exists() for folder in place.versions())
    assert eventually(lambda: not processes_with(str(place.folder)), seconds=20)


def processes_with(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            if text in environment and folder.name != str(os.getpid()):
                found.append(folder.name)
        except OSError:
            continue
    return found


def test_what_a_killed_run_started_ends_with_it(place):
    process = place.start("hardcover", "run", "--env", "ci", start_new_session=True)
    # The command, the warm process, and a notebook's kernel.
    eventually(lambda: len(processes_with(str(place.folder))) >= 3)

    process.kill()
    process.communicate(timeout=30)

    assert eventually(lambda: not processes_with(str(place.folder)), seconds=5)


def test_a_killed_runs_leftovers_are_never_read_and_are_swept_by_the_next(place):
    process = place.start("kedro", "run", "--pipeline", "maintenance", "--env", "ci", start_new_session=True)
    eventually(lambda: place.versions())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    left = place.versions()
    assert left
    assert not any((folder / "manifest.json").exists() for folder in left)

    place.call("kedro", "run", "--pipeline", "maintenance.data", "--env", "ci")

    assert all((folder / "manifest.json").exists() for folder in place.versions())
    assert not any(folder.exists() for folder in left)
