"""Lineage: from a wheel up to raw files, and from a raw file's hash down to wheels."""

import http.server
import json
import re
import shutil
import threading
import uuid

import pytest

from hardcover.errors import UnknownName
from hardcover.lineage import drawing, graph, openlineage
from hardcover.release import wheel_file
from hardcover.store import disk
from tests.conftest import Place


@pytest.fixture(scope="module")
def released(tmp_path_factory, ai4i_csv) -> Place:
    """A case that was released from a raw file."""
    place = Place(tmp_path_factory.mktemp("lineage"))
    place.call("hardcover", "run", "--pipeline", "--env", "ci", "--data", str(ai4i_csv))
    return place


@pytest.fixture
def found(released, monkeypatch) -> graph.Lineage:
    for name, value in released.environment.items():
        monkeypatch.setenv(name, value)
    return graph.Lineage(released.data)


def test_a_wheel_leads_up_to_the_raw_file_through_what_lived_in_memory(found, ai4i_csv):
    wheel = found.find("maintenance.wheel")

    above = found.reach([wheel], found.inputs)

    names = {item.dataset for item in above}
    assert {"maintenance.model", "maintenance.clean", "maintenance.raw"} <= names
    assert graph.Item(ai4i_csv.name, disk.digest(ai4i_csv), True) in above
    tree = "\n".join(found.tree(wheel, found.inputs))
    assert f"{ai4i_csv.name}@{disk.digest(ai4i_csv)[:12]} (raw file)" in tree
    assert "node maintenance.fit, pipeline, run " in tree


def test_a_raw_files_hash_leads_down_to_the_wheels_that_hold_it(found, released, ai4i_csv):
    items = found.holding(disk.digest(ai4i_csv)[:16])

    ((item, name),) = found.wheels(items)
    assert item.dataset == "maintenance.wheel"
    assert name == wheel_file.file_name(found.folders[item].joinpath("release.whl").read_bytes())


def test_the_command_answers_which_wheels_hold_a_raw_file(released, ai4i_csv):
    done = released.call("hardcover", "lineage", disk.digest(ai4i_csv)[:12])

    lines = done.stdout.splitlines()
    assert lines[0] == "wheels"
    assert lines[1].strip().startswith("casebook_maintenance-0.1.0+m")
    assert "made from" in lines
    assert len(lines) <= 30
    assert lines[-1].endswith("more lines; --all shows them")


def test_a_raw_file_is_in_no_wheel_of_other_data(released, ai4i_csv, tmp_path):
    """Their feature plans are equal, byte for byte; their versions are not."""
    place = Place(tmp_path / "both")
    shutil.copytree(released.folder, place.folder)
    place.call("hardcover", "run", "--pipeline", "--env", "ci")
    place.call("hardcover", "run", "--pipeline", "--env", "ci", "--data", str(ai4i_csv))

    done = place.call("hardcover", "lineage", disk.digest(ai4i_csv), "--all")

    wheels = [line for line in done.stdout.splitlines() if line.strip().startswith("casebook_")]
    assert len(list(place.data.glob("06_models/maintenance/release.whl/2*"))) == 3
    assert len(wheels) == 1
    (plans,) = {
        path.read_text() for path in place.data.glob("04_feature/maintenance/feature_plan.json/*/*plan.json")
    }
    assert plans


def test_the_record_of_a_run_tells_nodes_and_versions(released):
    run = next((released.data / ".runs").glob("*.json")).stem

    done = released.call("hardcover", "lineage", run[:10], "--all")

    assert f"run          {run}" in done.stdout
    assert "maintenance.fit " in done.stdout
    assert "maintenance.model@2" in done.stdout


def test_a_plain_kedro_run_is_on_record_with_every_node(kedro_run):
    (path,) = (kedro_run.data / ".runs").glob("*.json")

    (session,) = json.loads(path.read_text())["sessions"]

    assert {node["state"] for node in session["nodes"].values()} == {"ran"}
    assert len(session["outputs"]) == 24
    assert (session["face"], session["env"]) == ("pipeline", "ci")


def test_a_picture_is_one_file_that_loads_nothing(released, tmp_path):
    path = tmp_path / "lineage.html"

    done = released.call("hardcover", "lineage", "maintenance.wheel", "--html", str(path), "--mermaid")

    page = path.read_text()
    assert "<svg" in page
    assert "maintenance.raw" in page
    assert not any(word in page for word in ("http://", "https://", "<script", "<link"))
    stages = re.findall(r"<h2>([^<]*)</h2>", page)
    assert stages == ["raw files", "data", "features", "train", "release"]
    assert done.stdout.startswith("flowchart LR\n")
    assert "maintenance.raw" in done.stdout


def test_no_arrow_crosses_a_box(released, tmp_path):
    path = tmp_path / "lineage.html"
    released.call("hardcover", "lineage", "maintenance.clean", "--html", str(path))

    page = path.read_text()
    boxes = [tuple(map(float, box)) for box in re.findall(r'class="box" x="([\d.]+)" y="([\d.]+)"', page)]
    arrows = re.findall(r'<path d="([^"]*)"', page)
    assert len(boxes) > 15
    for arrow in arrows:
        for x, y in points(arrow):
            for left, top in boxes:
                inside = left < x < left + drawing.WIDTH and top + 0.5 < y < top + drawing.HEIGHT - 0.5
                assert not inside, (arrow, left, top)


def points(path: str) -> list[tuple[float, float]]:
    """Return points along a path of curves (C) and vertical lines (V)."""
    numbers = [float(number) for number in re.match(r"M([\d.]+),([\d.]+)", path).groups()]
    place, found = (numbers[0], numbers[1]), []
    for kind, text in re.findall(r"([CV])([^CV]*)", path):
        given = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        for step in range(1, 21):
            t = step / 20
            if kind == "V":
                found.append((place[0], place[1] + t * (given[0] - place[1])))
                continue
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            corners = [place, *zip(given[::2], given[1::2], strict=True)]
            found.append(
                tuple(
                    sum(w * corner[axis] for w, corner in zip(weights, corners, strict=True))
                    for axis in (0, 1)
                )
            )
        place = found[-1]
    return found


def test_events_keep_to_openlineage(found, released):
    run = next((released.data / ".runs").glob("*.json")).stem

    events = json.loads(openlineage.as_json(openlineage.events(found, [run])))

    # The generated classes check ids, times and addresses; the rest of the schema is what it requires.
    # https://openlineage.io/spec/2-0-2/OpenLineage.json
    for event in events:
        assert {"eventTime", "producer", "schemaURL", "run", "job", "eventType"} <= set(event)
        assert uuid.UUID(event["run"]["runId"])
        for dataset in (*event["inputs"], *event["outputs"]):
            assert dataset["namespace"]
            assert dataset["name"].count("@") == 0
            assert all({"_producer", "_schemaURL"} <= set(facet) for facet in dataset["facets"].values())
    states = [(event["run"]["runId"], event["eventType"]) for event in events]
    assert len(states) == len(set(states))
    assert {state for _, state in states} == {"START", "COMPLETE"}
    fit = next(event for event in events if event["job"]["name"] == "maintenance.fit")
    made = {dataset["name"] for dataset in fit["outputs"]}
    assert made == {"maintenance.model", "maintenance.compression_report"}
    assert {dataset["name"] for dataset in fit["inputs"]} == {
        "maintenance.features",
        "maintenance.feature_plan",
    }
    assert fit["run"]["facets"]["parent"]["run"]["runId"] == events[0]["run"]["runId"]


def test_events_reach_an_endpoint(released):
    received = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, json.loads(body)["eventType"]))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"

    done = released.call("hardcover", "lineage", "maintenance.model", "--send", url)

    server.shutdown()
    assert f"events to {url}" in done.stderr
    assert received[0] == ("/api/v1/lineage", "START")
    assert len(received) == 2 * 20


def test_an_endpoint_that_is_not_there_is_an_error_that_says_so(released):
    done = released.call(
        "hardcover", "lineage", "maintenance.model", "--send", "http://127.0.0.1:9", check=False
    )

    assert done.returncode == 1
    assert "cannot send OpenLineage events" in done.stderr


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("maintenance.weel", "Did you mean 'maintenance.wheel'?"),
        ("maintenance.wheel@2020", "unknown version '2020'"),
        ("0123456789abcdef", "unknown dataset, run or SHA-256"),
    ],
)
def test_what_is_unknown_is_refused_with_what_is_near(found, name, complaint):
    with pytest.raises(UnknownName) as caught:
        found.find(name) if "." in name else found.holding(name)

    assert complaint in str(caught.value)


def test_mlflow_links_the_run_to_the_versions_that_it_read(tmp_path_factory):
    from mlflow import MlflowClient

    place = Place(tmp_path_factory.mktemp("linked"))
    place.call("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data")
    said = place.call("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "features", "--json")

    run = MlflowClient(place.tracking).get_run(json.loads(said.stdout)[0]["run"])

    linked = {item.dataset.name: item for item in run.inputs.dataset_inputs}
    assert set(linked) == {"maintenance.clean", "maintenance.schema"}
    version = place.newest("03_primary", "clean.parquet").parent.name
    assert version in {tag.value for tag in linked["maintenance.clean"].tags}
