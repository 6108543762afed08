"""Lists: runs, versions and cases, newest first, with ids that other commands take."""

import json

from tests.conftest import Place


def test_runs_are_listed_with_an_id_that_lineage_takes(notebook_run):
    done = notebook_run.place.call("hardcover", "list", "--env", "ci")

    # Other tests may have executed a notebook there meanwhile.
    whole = notebook_run.said["run"]
    (line,) = [line for line in done.stdout.splitlines() if whole.startswith(line.split()[0])]
    run = line.split()[0]
    assert "notebook, ci" in line
    assert f"AP {notebook_run.said['metrics']['holdout']['average_precision']:.3f}" in line
    assert "commit " in line
    assert notebook_run.said["run"] in notebook_run.place.call("hardcover", "lineage", run).stdout


def test_versions_are_listed_newest_first_up_to_a_limit(notebook_run):
    done = notebook_run.place.call("hardcover", "list", "versions", "--limit", "3")

    *rows, more = done.stdout.splitlines()
    names = [row.split()[0].partition("@")[2] for row in rows]
    assert len(rows) == 3
    assert names == sorted(names, reverse=True)
    assert more.endswith("more; --limit 0 shows all")
    everything = json.loads(
        notebook_run.place.call("hardcover", "list", "versions", "--limit", "0", "--json").stdout
    )
    assert len(everything) == len(notebook_run.place.versions())


def test_cases_are_listed_with_what_is_released(notebook_run):
    found = json.loads(notebook_run.place.call("hardcover", "list", "cases", "--json").stdout)
    (case,) = [each for each in found if each["case"] == "maintenance"]

    assert case["wheel"] == notebook_run.said["release_report"]["wheel"]
    assert case["registry"] == "promoted to champion: there was none"


def test_an_empty_folder_says_that_there_is_nothing(tmp_path):
    done = Place(tmp_path).call("hardcover", "list")

    assert done.stdout.startswith("no runs in ")
