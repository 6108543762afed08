"""Past runs are rebuilt from their records and compared, byte for byte; what is gone is named."""

import json
import os
import shutil

import pytest

from hardcover.lineage import reproduce, run_records
from tests.conftest import FEW, ROOT, Place
from tests.test_readme import COMMANDS

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
RUN = ("hardcover", "run", "--pipeline", "--env", "ci", "--json")


def run(checkout, place: Place, *options: str) -> dict:
    return json.loads(checkout.call(place, *RUN, *options).stdout)[0]


def reproduced(checkout, place: Place, run: str, code: int = 0) -> dict:
    # As the README shows it.
    (line,) = [line for line in COMMANDS if "reproduce" in line]
    words = line.removeprefix(".venv/bin/").replace("RUN", run[:12]).split()
    done = checkout.call(place, *words, "--json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def checkout(checkout):
    """Share the locked environment, which takes half a minute to install and as long to import first."""
    (checkout.folder / reproduce.ENVIRONMENTS).parent.mkdir()
    (ROOT / reproduce.ENVIRONMENTS).mkdir(parents=True, exist_ok=True)
    (checkout.folder / reproduce.ENVIRONMENTS).symlink_to(ROOT / reproduce.ENVIRONMENTS)
    return checkout


def commit(checkout, message: str) -> None:
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", message)


def test_past_runs_are_rebuilt_to_the_byte(checkout, place):
    old = run(checkout, place, *FEW)
    checkout.edit("conf/base/parameters_maintenance.yml", "num_leaves: 7", "num_leaves: 6")
    commit(checkout, "fewer leaves")
    checkout.edit(
        "notebooks/maintenance/02_features.ipynb", "return torque * tool_wear", "return tool_wear * torque"
    )
    commit(checkout, "another order")
    checkout.edit("conf/base/parameters_maintenance.yml", "    unit: EUR", "    unit: USD")
    commit(checkout, "fewer pictures")
    clean = run(checkout, place, *FEW)
    checkout.edit(
        "src/hardcover/modelling/explanation.py",
        "figure.set_size_inches(width, height)",
        "figure.set_size_inches(width, width)",
    )
    (checkout.folder / "src" / "casebook" / "untracked.py").write_text("ANSWER = 42\n")
    dirty = run(checkout, place, *FEW)
    (checkout.folder / "src" / "casebook" / "untracked.py").unlink()

    # The newest clean one is as the old one is, of another commit.
    past = (old, dirty, clean) if SOAK else (old, dirty)
    found = [reproduced(checkout, place, said["run"]) for said in past]

    assert all(facts["identical"] for facts in found), found
    assert len(found[0]["outputs"]) == 24
    assert found[0]["outputs"]["maintenance.wheel"] == "identical"
    assert found[0]["outputs"]["maintenance.registration_report"] == "external"
    # The dirty run made what its change reached; the rest it had reused.
    assert set(found[1]["outputs"]) == {f"maintenance.{name}_figures" for name in ("overview", "errors")}
    assert "worktrees" not in {path.name for path in (checkout.folder / ".git").iterdir()} or not any(
        (checkout.folder / ".git" / "worktrees").iterdir()
    )

    _what_is_gone_is_named(checkout, place, dirty)


def _what_is_gone_is_named(checkout, place: Place, dirty: dict) -> None:
    shutil.rmtree(place.newest("04_feature", "features.parquet").parent)
    done = checkout.call(place, "hardcover", "reproduce", dirty["run"], check=False)
    assert done.returncode == 1
    assert "what the run read is gone: maintenance.features@20" in done.stderr

    patch = next((place.data / ".runs").glob("*.patch"))
    patch.unlink()
    done = checkout.call(place, "hardcover", "reproduce", dirty["run"], check=False)
    assert "the patch of the run's dirty checkout is missing" in done.stderr


def test_a_raw_file_that_changed_is_named(checkout, place, ai4i_csv, tmp_path):
    raw = tmp_path / "machines.csv"
    shutil.copy(ai4i_csv, raw)
    said = run(checkout, place, "--data", str(raw), "--stage", "data")
    raw.write_text(raw.read_text() + "\n")

    done = checkout.call(place, "hardcover", "reproduce", said["run"], check=False)

    assert done.returncode == 1
    assert f"the raw file {raw} as it was (SHA-256 " in done.stderr
    raw.unlink()
    done = checkout.call(place, "hardcover", "reproduce", said["run"], check=False)
    assert f"what the run read is gone: the raw file {raw}" in done.stderr


def test_a_run_that_reused_everything_says_whose_results_those_are(checkout, place):
    # Another request than the first, so that it is a run of its own.
    first, second = (
        run(checkout, place, "--stage", "data", "features"),
        run(checkout, place, "--stage", "data"),
    )

    done = checkout.call(place, "hardcover", "reproduce", second["run"], check=False)

    assert "made nothing, it reused everything" in done.stderr
    assert first["run"] in done.stderr


def test_an_unknown_run_is_refused_with_those_on_record(here):
    run_records.record("abc123", {"outputs": {}})

    done = here.call("hardcover", "reproduce", "xyz", check=False)

    assert done.returncode == 1
    assert "unknown run 'xyz'" in done.stderr
    assert "abc123" in done.stderr
