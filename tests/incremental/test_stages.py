"""Stages made of functions: a project's own takes the place of the library's, is fingerprinted and named."""

import inspect

from hardcover.incremental import fingerprint, stages
from hardcover.modelling import train, training


def my_fit(features, feature_plan, training, mine):
    """Fit otherwise, by a parameter of the project's own."""
    return "a model", {"leaf_bits": mine}


def my_decision(costs, classes):
    return {"kind": "threshold", "threshold": 0.5}


def node_of(pipeline, name: str):
    (node,) = (node for node in pipeline.nodes if node.name == name)
    return node


def test_parameters_name_datasets_or_else_parameters_of_the_case():
    def step(clean, schema, costs, *, table, optional=None): ...

    assert stages.inputs_of(stages.bound(step, table={})) == ["clean", "schema", "params:costs"]


def test_a_replacement_reads_what_it_names_and_is_fingerprinted():
    pipeline = train.create_pipeline(fit=my_fit)

    node = node_of(pipeline, "fit")
    assert node.inputs == ["features", "feature_plan", "params:training", "params:mine"]
    assert fingerprint.code_of(node.func).hash == fingerprint.code_of(my_fit).hash
    assert fingerprint.code_of(node.func).hash != fingerprint.code_of(training.fit).hash


def test_the_report_names_what_was_replaced_and_nothing_else():
    plain, own = train.create_pipeline(), train.create_pipeline(fit=my_fit, decide=my_decision)

    def bound_to(pipeline) -> dict:
        return getattr(node_of(pipeline, "evaluate").func, "keywords", {})

    assert "replaced" not in bound_to(plain)
    assert bound_to(own)["replaced"] == {"fit": "my_fit", "decide": "my_decision"}
    assert bound_to(own)["decide"] is my_decision
    assert fingerprint.code_of(node_of(plain, "evaluate").func) != fingerprint.code_of(
        node_of(own, "evaluate").func
    )


def test_a_bound_function_keeps_its_name_and_the_annotations_of_what_is_left():
    def step(clean: int, *, table: dict) -> str: ...

    found = stages.bound(step, table={"a": 1})

    assert found.__name__ == "step"
    assert found.__annotations__ == {"clean": int, "return": str}
    assert next(iter(inspect.signature(found).parameters)) == "clean"
