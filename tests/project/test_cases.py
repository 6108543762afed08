"""Cases: found by their notebooks, ordered by their datasets."""

import pytest
from kedro.pipeline import node, pipeline

from hardcover.errors import HardcoverError
from hardcover.project import cases, pipelines


def part(needs: str | None, gives: str):
    return pipeline([node(lambda *rows: rows, needs, gives, name=gives)])


def test_stages_are_found_in_reading_order_with_their_modules(here):
    found = cases.stages("maintenance")

    assert cases.names() == ["alerts", "failure_mode", "fraud", "maintenance", "recommendation"]
    assert cases.chosen([]) == ["maintenance"]
    assert cases.chosen(["all"]) == cases.names()
    assert [stage.name for stage in found] == ["data", "features", "train", "explain", "release"]
    assert found[2].module == "casebook.model.train"


def test_the_order_is_that_of_the_datasets_whatever_the_order_given():
    parts = {
        "train": part("features", "model"),
        "features": part("clean", "features"),
        "data": part(None, "clean"),
    }

    assert pipelines.in_order(parts) == ["data", "features", "train"]


def test_stages_that_need_each_other_are_refused():
    with pytest.raises(HardcoverError, match="in a circle"):
        pipelines.in_order({"a": part("y", "x"), "b": part("x", "y")})


def test_every_pipeline_is_registered_by_case_and_stage(here):
    found = pipelines.register_pipelines()

    assert {"__default__", "maintenance", "maintenance.data", "maintenance.release"} <= set(found)
    assert {*found["__default__"].nodes} == {node for case in cases.names() for node in found[case].nodes}
    for case in cases.names():
        assert all(name.startswith(f"{case}.") for name in found[case].all_outputs())


def test_no_node_changes_what_it_is_given(here):
    """Pure nodes: the data that a node is given are the same after it ran, in every node of every case."""
    import copy

    from casebook.maintenance import data
    from hardcover import ingest
    from hardcover.project.case import Case

    case = Case("maintenance", env="ci", params={"files": []})
    mapping, split = case.parameter("column_mapping"), case.parameter("split")
    table = ingest.as_data(data.SCHEMA)
    raw, source = data.read([], case.parameter("simulator"), mapping)
    unified = ingest.unify_files(raw, source, mapping, {}, table=table)
    checked, quarantine = ingest.quarantine_rows(unified, table=table)
    clean, how = ingest.split_rows(checked, split, "binary", table=table)
    for function, arguments in (
        (ingest.unify_files, (raw, source, mapping, {})),
        (ingest.quarantine_rows, (unified,)),
        (ingest.split_rows, (checked, split, "binary")),
        (ingest.report_rows, (raw, source, clean, quarantine, how, mapping, "binary", {})),
    ):
        before = copy.deepcopy(arguments)

        function(*arguments, table=table)

        for theirs, ours in zip(before, arguments, strict=True):
            assert theirs.equals(ours) if hasattr(theirs, "equals") else theirs == ours, function.__name__
