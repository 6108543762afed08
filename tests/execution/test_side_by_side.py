"""Several cases in one run, two at a time: each ends as it would alone, and what goes wrong in one is said once."""

import json
import os
import signal
from contextlib import nullcontext

import pytest

from hardcover.errors import DataError
from hardcover.execution import side_by_side
from hardcover.execution.request import Plan, Request
from hardcover.notebooks import forkserver
from hardcover.reporting.progress import silent
from tests import projects
from tests.conftest import Place, eventually
from tests.execution.test_interrupted import processes_with

RUN = ("hardcover", "run", "all", "--pipeline", "--export", "--json")


@pytest.fixture
def three(tmp_path) -> Place:
    """A project with three cases."""
    return Place(projects.write(tmp_path / "project", ["regression", "count", "multiclass"]))


def test_a_case_that_fails_is_named_and_what_is_at_work_is_finished(three):
    (three.folder / "data" / "count.csv").unlink()

    done = projects.call(three.folder, *RUN, "--stage", "data", "features", check=False)

    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["kind"] == "SourceError"
    assert "count.csv" in found["error"]
    assert "count: failed" in done.stderr
    made = list(three.data.glob("04_feature/*/features.parquet/*/manifest.json"))
    assert "multiclass" in {path.parts[-4] for path in made}


def test_after_a_failure_no_other_case_is_begun(monkeypatch):
    begun = []

    def fail(request, plan, folder, say):
        begun.append(plan.case)
        raise DataError("no rows", "the test")

    monkeypatch.setattr(side_by_side, "AT_ONCE", 1)
    monkeypatch.setattr(side_by_side, "_ask", fail)
    monkeypatch.setattr(forkserver, "warm", nullcontext)
    plans = [Plan(case, [], None, {}, False, silent) for case in ("first", "second", "third")]

    with pytest.raises(DataError, match="no rows"):
        side_by_side.run(Request(), plans, silent)

    assert begun == ["first"]


def test_ctrl_c_stops_what_is_at_work_and_begins_nothing(three):
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = three.start(*RUN, start_new_session=True, **heard, **projects.surroundings(three.folder))
    eventually(lambda: any(three.data.glob("0*/*/*/*/manifest.json")), every=0.1)

    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "error: stopped by Ctrl-C (case " in said
    assert "Traceback" not in said
    assert eventually(lambda: not processes_with(str(three.folder)), seconds=20)
    assert all(
        (folder / "manifest.json").exists() for folder in three.data.glob("0[1-7]*/*/*/*") if folder.is_dir()
    )
