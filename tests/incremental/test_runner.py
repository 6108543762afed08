"""The incremental runner: what ran is what had to, whichever face computed the rest."""

import datetime
import json
import shutil
from pathlib import Path

import pytest
from kedro.pipeline import node, pipeline

from hardcover.incremental.runner import IncrementalRunner
from hardcover.store import catalog as catalogs
from hardcover.store import versions
from hardcover.store.catalog import VersionedCatalog
from tests.conftest import Place

CALLS = []


def read(files, rows):
    CALLS.append("read")
    return [*map(float, Path(files[0]).read_text().split())][:rows]


def double(raw):
    CALLS.append("double")
    return [2 * value for value in raw]


def split(doubled, share):
    CALLS.append("split")
    count = int(len(doubled) * share)
    return doubled[:count], doubled[count:]


def total(train):
    CALLS.append("total")
    return {"total": sum(train)}


def count(holdout):
    CALLS.append("count")
    return {"count": len(holdout)}


def count_since(holdout, since):
    CALLS.append("count")
    return {"count": len(holdout), "since": str(since["first"])}


NODES = [
    node(read, ["params:files", "params:rows"], "raw", name="read"),
    node(double, "raw", "doubled", name="double"),
    node(split, ["doubled", "params:share"], ["train", "holdout"], name="split"),
    node(total, "train", "total", name="total"),
    node(count, "holdout", "count", name="count"),
]
KEPT = ("raw", "train", "total", "count")


@pytest.fixture
def run(here, tmp_path):
    """Run the nodes with parameters; gives the names of those that ran."""
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("1 2 3 4 5 6 7 8")

    def call(nodes=NODES, force=False, **params) -> list[str]:
        CALLS.clear()
        catalogs._verified.clear()
        config = {
            name: {"type": "json.JSONDataset", "filepath": f"{tmp_path}/{name}.json", "versioned": True}
            for name in KEPT
        }
        catalog = VersionedCatalog.from_config(config)
        for name, value in {"files": [str(numbers)], "rows": 6, "share": 0.5, **params}.items():
            catalog[f"params:{name}"] = value
        catalog.in_run = True
        whole = pipeline(nodes)
        IncrementalRunner(force=force).run(whole, catalog)
        makers = {name: each.name for each in whole.nodes for name in each.outputs}
        catalog.commit(lambda name: catalog.origins[makers[name]])
        call.reasons = catalog.reasons
        assert sorted(catalog.reasons) == sorted(CALLS)
        return [each.name for each in NODES if each.name in CALLS]

    call.folder, call.numbers = tmp_path, numbers
    return call


def loaded(run, name: str):
    folder = run.folder / f"{name}.json"
    return json.loads((folder / versions.latest(folder) / f"{name}.json").read_text())


def test_nothing_runs_when_nothing_changed(run):
    assert run() == ["read", "double", "split", "total", "count"]

    assert run() == []
    assert len(versions.committed(run.folder / "total.json")) == 1


def test_what_lives_in_memory_only_is_made_when_a_node_needs_it(run):
    run()

    # 'holdout' is not kept, so who reads it needs 'split', and that needs 'double'.
    assert run(share=0.25) == ["double", "split", "total", "count"]
    assert run.reasons["double"] == ["needed by split"]
    assert run.reasons["split"] == ["parameter share 0.5 -> 0.25"]
    assert loaded(run, "total") == {"total": 2.0}


def test_a_node_whose_inputs_have_the_same_content_as_before_does_not_run(run):
    run(rows=8)
    run.numbers.write_text("1  2  3  4  5  6  7  8")

    assert run(rows=8) == ["read"]
    assert run.reasons["read"] == [f"file {run.numbers} changed"]


def test_a_parameter_that_goes_back_brings_the_old_result_back(run):
    run()
    run(rows=4)
    assert loaded(run, "total") == {"total": 6.0}

    assert run() == []
    assert loaded(run, "total") == {"total": 12.0}
    newest = run.folder / "total.json" / versions.latest(run.folder / "total.json")
    assert "same_as" in versions.manifest_of(newest)


def test_parameters_of_any_kind_that_yaml_has_are_compared(run):
    nodes = [*NODES[:4], node(count_since, ["holdout", "params:since"], "count", name="count")]
    odd = {9: "nine", "first": datetime.date(2026, 1, 1)}
    run(nodes, since=odd)

    assert run(nodes, since=dict(reversed(odd.items()))) == []
    assert run(nodes, since={**odd, "first": datetime.date(2026, 1, 2)}) == ["double", "split", "count"]
    assert run.reasons["count"] == ["parameter since.first '2026-01-01' -> '2026-01-02'"]


def test_a_damaged_result_is_made_again(run):
    run()
    folder = run.folder / "total.json"
    (folder / versions.latest(folder) / "total.json").write_text("{}")

    assert run() == ["total"]
    assert "is not the one that was committed" in run.reasons["total"][0]
    assert loaded(run, "total") == {"total": 12.0}


def test_a_lost_result_is_made_again(run):
    run()
    shutil.rmtree(run.folder / "count.json")

    assert run() == ["double", "split", "count"]


def test_a_node_tagged_always_runs_always(run):
    nodes = [*NODES[:3], node(total, "train", "total", name="total", tags="always"), NODES[4]]
    run(nodes)

    assert run(nodes) == ["total"]
    assert run.reasons["total"] == ["it is tagged 'always'"]


def test_what_such_a_node_gives_in_memory_makes_its_readers_run(run):
    nodes = [NODES[0], node(double, "raw", "doubled", name="double", tags="always"), *NODES[2:]]
    run(nodes)

    # 'train' is kept and has the same content, so 'total' need not run.
    assert run(nodes) == ["double", "split", "count"]


def test_a_parameter_that_is_too_long_for_a_path_is_a_text(run):
    nodes = [*NODES[:4], node(count_since, ["holdout", "params:since"], "count", name="count")]

    assert run(nodes, since={"first": "select " + "x" * 5000}) != []


def test_force_runs_everything(run):
    run()

    assert run(force=True) == ["read", "double", "split", "total", "count"]


def test_a_result_that_is_not_kept_is_made_each_time(run):
    assert run(NODES[:2]) == ["read", "double"]
    assert run(NODES[:2]) == ["double"]
    assert run.reasons["double"] == ["its output 'doubled' is not kept"]


def test_each_change_runs_exactly_the_nodes_that_it_reaches_in_both_faces(checkout, tmp_path):
    faces = {"--pipeline": Place(tmp_path / "pipeline"), "--notebooks": Place(tmp_path / "notebooks")}
    first = faces["--pipeline"]
    first.folder.mkdir()

    def ran(face: str, place: Place, **environment: str) -> set[str]:
        command = ("hardcover", "run", face, "--env", "ci", "--json")
        done = checkout.call(
            place, *command, env={"PYTHONPATH": f"{checkout.folder}/src:{checkout.folder}/libraries"}
        )
        (said,) = json.loads(done.stdout)
        return {name.split(".")[1] for name, facts in said["nodes"].items() if facts["state"] == "ran"}

    assert len(ran("--pipeline", first)) == 19
    shutil.copytree(first.folder, faces["--notebooks"].folder)
    explain, features = "src/hardcover/modelling/explanation.py", "notebooks/maintenance/02_features.ipynb"

    def edit_a_comment() -> None:
        checkout.edit(explain, "    figure = plt.gcf()", "    # as shap left it\n    figure = plt.gcf()")
        checkout.edit(features, "Load on the worn tool, in min·Nm.", "Load on the tool.")

    def edit_a_helper() -> None:
        checkout.edit(
            explain,
            "figure.set_size_inches(width, height)",
            "figure.set_size_inches(height, width)",
        )

    def edit_a_parameter() -> None:
        checkout.edit("conf/ci/parameters_maintenance.yml", "dependence: 1", "dependence: 2")

    def bump_a_library() -> None:
        metadata = checkout.folder / "libraries" / "shap-99.0.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text("Metadata-Version: 2.1\nName: shap\nVersion: 99.0\n")

    steps = {
        edit_a_comment: ("--pipeline", "--notebooks", set()),
        edit_a_helper: ("--pipeline", "--notebooks", {"draw_overview", "draw_errors"}),
        edit_a_parameter: ("--pipeline", {"draw_dependence"}),
        bump_a_library: ("--pipeline", {"draw_overview", "draw_dependence", "draw_errors"}),
    }
    for change, (*through, expected) in steps.items():
        change()
        for face in through:
            assert ran(face, faces[face]) == expected, (change.__name__, face)
    assert ran("--pipeline", faces["--pipeline"]) == set()
