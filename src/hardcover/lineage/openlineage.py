"""Runs as OpenLineage events, for catalogs such as Marquez, DataHub or OpenMetadata.

Events and facets are those of https://openlineage.io/spec/2-0-2/OpenLineage.json, made by the classes that the project
generates from it.
"""

import uuid
from collections.abc import Iterable

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
    source_code_location_job,
)
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport

from hardcover.errors import HardcoverError
from hardcover.lineage import git_state, graph

PRODUCER = "https://github.com/hardcover/hardcover"


def events(found: graph.Lineage, runs: Iterable[str]) -> list[RunEvent]:
    """Return a START and a COMPLETE event for each run, and for each node that ran in it.

    Parameters
    ----------
    found
        The lineage of the data folder, for versions' sizes and columns.
    runs
        Ids of runs.

    Returns
    -------
    list
        Events in order. A node's run is a child of the run; its id is derived from the run's and the node's name.
    """
    return [event for run in sorted(runs) for event in _of_run(found, graph.of_run(run))]


def _of_run(found: graph.Lineage, run: dict) -> list[RunEvent]:
    namespace, whole = f"file:{found.root}", _uuid(run["run"])
    name = ",".join(run["pipelines"] or ["__default__"])
    job = Job(namespace, name, _code(run))
    nodes = []
    for node, facts in run["nodes"].items():
        if facts["state"] != "ran":
            continue
        parent = parent_run.ParentRunFacet(parent_run.Run(whole), parent_run.Job(namespace, name))
        child = Run(str(uuid.uuid5(uuid.UUID(whole), node)), {"parent": parent})
        given = [
            found.find(f"{other}@{run['outputs'][other]['version']}")
            for other in facts["outputs"]
            if other in run["outputs"]
        ]
        taken = dict.fromkeys(source for item in given for source in found.inputs(item))
        inputs = [InputDataset(namespace, item.dataset, facets=_facets(found, item)) for item in taken]
        outputs = [_output(found, namespace, item) for item in given]
        for state, time in ((RunState.START, run["started"]), (RunState.COMPLETE, run["ended"])):
            nodes.append(_event(state, time, child, Job(namespace, node), inputs, outputs))
    first = _event(RunState.START, run["started"], Run(whole), job, [], [])
    return [first, *nodes, _event(RunState.COMPLETE, run["ended"], Run(whole), job, [], [])]


def _event(state: RunState, time: str, run: Run, job: Job, inputs: list, outputs: list) -> RunEvent:
    return RunEvent(
        eventTime=time, producer=PRODUCER, run=run, job=job, eventType=state, inputs=inputs, outputs=outputs
    )


def _uuid(run: str) -> str:
    try:
        return str(uuid.UUID(run))
    except ValueError:
        # Kedro's own run ids are times.
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}/{run}"))


def _code(run: dict) -> dict:
    remote = git_state.remote()
    if not remote or not run["commit"]:
        return {}
    return {
        "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
            "git", remote, version=run["commit"]
        )
    }


def _facets(found: graph.Lineage, item: graph.Item) -> dict:
    facets: dict = {"version": dataset_version_dataset.DatasetVersionDatasetFacet(item.version)}
    columns = found.manifests.get(item, {}).get("columns")
    if columns:
        fields = [schema_dataset.SchemaDatasetFacetFields(name) for name in columns]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields)
    return facets


def _output(found: graph.Lineage, namespace: str, item: graph.Item) -> OutputDataset:
    manifest = found.manifests[item]
    size = sum(facts["bytes"] for facts in manifest["files"].values())
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=manifest.get("rows"), size=size, fileCount=len(manifest["files"])
    )
    return OutputDataset(
        namespace, item.dataset, facets=_facets(found, item), outputFacets={"outputStatistics": statistics}
    )


def as_json(events: list[RunEvent]) -> str:
    """Return events as a JSON array."""
    return f"[{', '.join(Serde.to_json(event) for event in events)}]"


def send(events: list[RunEvent], url: str) -> None:
    """Send events to an endpoint, such as ``http://marquez:5000``; the path ``/api/v1/lineage`` is added.

    Raises
    ------
    HardcoverError
        When the endpoint cannot be reached or refuses an event.
    """
    client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=url, timeout=10)))
    try:
        for event in events:
            client.emit(event)
    except Exception as error:
        raise HardcoverError(
            f"cannot send OpenLineage events: {error}", url, "Check the address, or print them with --json."
        ) from error
