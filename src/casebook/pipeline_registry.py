"""The pipelines that ``kedro run --pipeline`` knows: a case, and each of its stages as ``case.stage``."""

from kedro.pipeline import Pipeline

from hardcover import cases


def register_pipelines() -> dict[str, Pipeline]:
    """Give every case's pipelines, and all of them together as the default."""
    return cases.pipelines("casebook")
