"""The lock: one holder, named to those who wait, gone with its process."""

import subprocess
import sys

import pytest

from hardcover.errors import RunLocked
from hardcover.store import run_lock

HOLD = "import time; from hardcover.store import run_lock\nwith run_lock.hold(wait=0): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def holder(here):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_lock(holder):
    with (
        pytest.raises(RunLocked, match=f"another run is at work: process {holder.pid}"),
        run_lock.hold(wait=0),
    ):
        pass


def test_who_waits_says_so_once(holder, capsys):
    with pytest.raises(RunLocked), run_lock.hold(wait=0.5):
        pass

    assert capsys.readouterr().err.count(f"waiting up to 0 s for another run: process {holder.pid}") == 1


def test_a_killed_holder_holds_no_longer(holder):
    holder.kill()
    holder.wait()

    with run_lock.hold(wait=5) as first:
        assert first


def test_within_one_process_the_lock_is_held_once(here):
    with run_lock.hold() as outer, run_lock.hold() as inner:
        assert (outer, inner) == (True, False)
    with run_lock.hold() as again:
        assert again


def test_processes_of_a_run_that_holds_the_lock_do_not_wait(holder, monkeypatch):
    monkeypatch.setenv("HARDCOVER_LOCK", "run")

    with run_lock.hold(wait=0) as first:
        assert not first
