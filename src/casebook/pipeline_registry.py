"""The pipelines that ``kedro run --pipeline`` knows: each case, and each of its stages as ``case.stage``."""

from hardcover.project import register_pipelines

__all__ = ["register_pipelines"]
