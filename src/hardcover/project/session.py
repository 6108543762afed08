"""What a session was about to do, what it did, and its entry in the record of its run."""

from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.lineage import git_state, run_records

# Set by ``hardcover run --force`` for the kernels of its notebooks.
FORCE = "HARDCOVER_FORCE"
FACE: ContextVar[str] = ContextVar("face", default="pipeline")
_last_run: str | None = None


def facts(face: str, env: str | None, pipelines: list[str] | None, params: dict | None) -> dict:
    """Describe what a session is about to do, and with which code."""
    asked = {"face": face, "env": env, "pipelines": pipelines, "params": params, "started": now()}
    return {**asked, **git_state.describe()}


def record(run: str, session: dict, pipeline: Any, catalog: Any, manifests: dict[str, dict]) -> None:
    """Write what a session did into the record of its run."""
    nodes = {
        node.name: {
            "state": "ran" if node.name in catalog.reasons else "reused",
            "reasons": catalog.reasons.get(node.name, []),
            "inputs": list(node.inputs),
            "outputs": list(node.outputs),
        }
        for node in pipeline.nodes
    }
    root = Path(settings.read("data.root"))
    outputs = {
        name: {
            "version": manifest["version"],
            "content": manifest["content"],
            "made_by": manifest["run"],
            "folder": str(_within(root, catalog.folder_of(name) / manifest["version"])),
            "files": sorted(manifest["files"]),
        }
        for name, manifest in manifests.items()
    }
    inputs = {
        name: {"version": manifest["version"], "content": manifest["content"]}
        for name, manifest in catalog.loaded.items()
        if name not in outputs
    }
    facts = {"nodes": nodes, "outputs": outputs, "inputs": inputs, "ended": now()}
    run_records.record(run, {**session, **facts})
    global _last_run
    _last_run = run


def _within(root: Path, folder: Path) -> Path:
    """Return a folder relative to the data folder, which may move, where it lies in it."""
    return folder.relative_to(root) if folder.is_relative_to(root) else folder


def reused(
    face: str, env: str | None, pipelines: list[str], params: dict | None, pipeline: Any, catalog: Any
) -> tuple[dict, Any, Any, dict[str, dict]]:
    """Commit what a session reused, all of it being there; returns what ``record`` takes after the run.

    Without a Kedro session, whose plugins would open the tracking store: there is nothing to log.
    """
    return facts(face, env, pipelines, params), pipeline, catalog, catalog.commit(lambda _: {})


def now() -> str:
    """Return the time in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def last_run() -> str | None:
    """Return the run of the last commit in this process."""
    return _last_run
