"""What was answered is kept, once, whatever dies; and a disk that is full stops no answer, unless it must."""

import json
import os
import signal
import socket
import time

import pandas as pd
import pyarrow as pa
import pytest

from hardcover.errors import HardcoverError
from hardcover.serving import prediction_log
from hardcover.serving.app import ENDPOINTS
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import ARROW, JSON, Request
from hardcover.serving.prediction_log import Policy, PredictionLog
from tests.conftest import RECORD, eventually
from tests.serving.conftest import BODY, PREDICT, Load, ask, often
from tests.serving.test_serve import counted


@pytest.fixture
def logged(app, tmp_path):
    app.log = PredictionLog(Policy(str(tmp_path / "log")), app.counters)
    return app


def collected(place, folder) -> tuple[dict, pd.DataFrame]:
    """Collect, and read all versions that there are by now."""
    said = json.loads(place.call("hardcover", "collect", folder, "--json").stdout)
    files = sorted(place.data.glob("07_model_output/maintenance/served.parquet/*/served.parquet"))
    return said, pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)


def test_each_answer_is_a_row_with_its_inputs_and_who_gave_it(logged, release, place, tmp_path):
    made = ask(logged, PREDICT, [RECORD, {**RECORD, "torque": 70.0}], x_request_id=b"order 7")
    ask(logged, PREDICT, {**RECORD, "torque": "x"})
    ask(logged, "/v1/models/maintenance/explain?top=1", RECORD)
    logged.log.close()
    said, table = collected(place, tmp_path / "log")

    assert b"x-request-id: order 7\r\n" in made.lines
    assert said["segments"] == 1
    assert table["id"].tolist()[:2] == ["order 7", "order 7"]
    assert table["row"].tolist() == [0, 1, 0]
    assert table["score"].tolist()[:2] == [each["score"] for each in json.loads(made.body)]
    assert table["input.torque"].tolist() == [42.8, 70.0, 42.8]
    assert set(table["release"]) == {release.version}
    assert json.loads(table["contributions"].iloc[2])[0][0] in release.model.inputs
    assert not list((tmp_path / "log").iterdir())


def arrow_of(records: list[dict]) -> bytes:
    table, sink = pa.Table.from_pylist(records), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("rows", [2, 40])
def test_tables_and_candidates_are_rows_as_records_are(logged, release, place, tmp_path, rows):
    records = [{**RECORD, "torque": 20.0 + row} for row in range(rows)]
    expected = [release.model.predict(record).score for record in records]
    tensors = [
        {
            "name": name,
            "shape": [rows],
            "datatype": "BYTES" if name == "quality" else "FP64",
            "data": [record[name] for record in records],
        }
        for name in RECORD
    ]
    query = {"quality": RECORD["quality"]}
    candidates = [{name: value for name, value in record.items() if name not in query} for record in records]
    for body, path, kind in (
        (arrow_of(records), PREDICT, ARROW),
        ({"inputs": tensors}, "/v2/models/maintenance/infer", JSON),
        ({"query": query, "candidates": candidates, "top": rows}, "/v1/models/maintenance/rank", JSON),
    ):
        made = ask(logged, path, body, kind, x_request_id=path.encode())
        assert made.status == 200, made.body
        assert b"x-request-id: " in made.lines
    logged.log.close()
    _, table = collected(place, tmp_path / "log")

    assert logged.counters.total("records") == 3 * rows
    for name, found in table.groupby("id"):
        assert found["row"].tolist() == list(range(rows))
        # The best candidate comes first.
        in_order = found.sort_values("input.torque") if name.endswith("rank") else found
        assert in_order["score"].tolist() == expected
        assert in_order["input.torque"].tolist() == [record["torque"] for record in records]
        assert in_order["input.quality"].tolist() == [RECORD["quality"]] * rows
    assert len(set(table["label"])) <= 2


def test_inputs_are_kept_as_the_policy_says(app, tmp_path):
    for inputs, there in (("digest", {"inputs_sha256"}), ("no", set())):
        app.log = PredictionLog(Policy(str(tmp_path / inputs), inputs=inputs), app.counters)
        ask(app, PREDICT, RECORD)
        ask(app, PREDICT, arrow_of([RECORD, RECORD]), ARROW)
        app.log.close()
        (segment,) = prediction_log.segments(tmp_path / inputs)
        events = list(prediction_log.read(segment))
        assert [{name for name in event if "inputs" in name} for event in events] == [there] * 3
        assert len({event.get("inputs_sha256") for event in events}) == 1


def test_a_line_that_was_cut_off_is_left_out_and_a_damaged_one_is_named(logged, tmp_path):
    for _ in range(3):
        ask(logged, PREDICT, RECORD)
    logged.log.close()
    (segment,) = prediction_log.segments(tmp_path / "log")
    content = segment.read_bytes()

    for size in (len(content) - 1, len(content) - 40):
        segment.write_bytes(content[:size])
        assert len(list(prediction_log.read(segment))) in (2, 3)
    segment.write_bytes(content[:50] + b"X" + content[51:])
    with pytest.raises(HardcoverError, match="line 1 of a segment is damaged"):
        list(prediction_log.read(segment))


def test_a_disk_that_is_full_stops_no_answer_unless_it_must(logged, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    assert ask(logged, PREDICT, RECORD).status == 200
    monkeypatch.setattr(os, "fdatasync", full)
    logged.log.write(logged.log.lines())
    assert logged.log.is_failing
    assert ask(logged, PREDICT, RECORD).status == 200
    logged.log.policy = logged.log.policy._replace(required=True)
    assert ask(logged, PREDICT, RECORD).status == 503

    monkeypatch.undo()
    logged.log.write(logged.log.lines())
    assert ask(logged, PREDICT, RECORD).status == 200
    logged.log.close()
    (segment,) = prediction_log.segments(tmp_path / "log")
    assert len(list(prediction_log.read(segment))) == 3
    assert logged.counters.total("logged") == 3


def test_a_durable_log_drops_what_it_could_not_write_and_tries_again(logged, monkeypatch, tmp_path):
    logged.log.policy = logged.log.policy._replace(durable=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    assert ask(logged, PREDICT, RECORD, x_request_id=b"refused").status == 200
    assert logged.log.is_holding
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        assert not logged.log.write(logged.log.lines())
        assert not logged.log.write([])
        assert ask(logged, PREDICT, RECORD).status == 503
    assert logged.log.write([])
    assert ask(logged, PREDICT, RECORD, x_request_id=b"answered").status == 200
    logged.log.close()
    (segment,) = prediction_log.segments(tmp_path / "log")
    assert [event["id"] for event in prediction_log.read(segment)] == ["answered"]


def test_while_the_disk_takes_nothing_the_oldest_go_and_are_counted(release, monkeypatch, tmp_path):
    counters = Counters(1, ENDPOINTS)
    log = PredictionLog(Policy(str(tmp_path)), counters)
    monkeypatch.setattr(prediction_log, "WAITING", 2_000)
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    for _ in range(50):
        log.add(release, Request(b"POST", b"/"), [RECORD], [release.model.predict(RECORD)], 1)
        log.write(log.lines())
    assert sum(map(len, log._waiting)) <= 2_000
    assert counters.total("log_lost") + len(log._waiting) == 50


def test_large_segments_are_left_to_be_collected_while_more_is_written(logged, monkeypatch, tmp_path, place):
    monkeypatch.setattr(prediction_log, "SEGMENT", 1_000)
    for _ in range(20):
        ask(logged, PREDICT, RECORD)
        logged.log.write(logged.log.lines())
    said, table = collected(place, tmp_path / "log")
    # The segment that is being written is left alone.
    assert len(table) < 20
    logged.log.close()
    again, table = collected(place, tmp_path / "log")
    assert len(table) == 20
    assert said["segments"] + again["segments"] >= 5


def test_what_is_collected_already_counts_once_if_its_removal_was_cut_off(logged, tmp_path, place):
    ask(logged, PREDICT, RECORD)
    logged.log.close()
    (segment,) = prediction_log.segments(tmp_path / "log")
    content = segment.read_bytes()
    collected(place, tmp_path / "log")
    segment.write_bytes(content)
    said, table = collected(place, tmp_path / "log")
    assert (said["segments"], said["cases"], len(table)) == (1, {}, 1)


def test_killed_workers_lose_no_more_than_the_last_moment_and_nothing_counts_twice(
    serve, wheel, place, tmp_path
):
    server = serve(wheel, "--workers", 2, "--log", tmp_path / "log")
    clients = [Load(server.address, named=True) for _ in range(3)]
    for each in clients:
        each.start()
    time.sleep(2.5)
    killed = time.time()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.until("worker died")
    time.sleep(0.5)
    for each in clients:
        each.end()
    assert counted(server)["hardcover_logged_total"] > 0
    assert server.stop() == 0

    _, table = collected(place, tmp_path / "log")
    names = table["id"].tolist()
    answered = {name: moment for each in clients for name, moment in each.named}
    lost = [moment for name, moment in answered.items() if name not in set(names)]
    assert len(names) == len(set(names))
    # What was written is safe; what was not yet is of the moment before the kill, some times the interval where the machine is busy.
    assert all(killed - 1.5 <= moment <= killed + 0.5 for moment in lost)
    assert len(lost) < len(answered) / 2


def test_with_a_durable_log_every_answer_that_a_client_saw_is_in_it_whoever_is_killed(
    serve, wheel, place, tmp_path
):
    server = serve(wheel, "--workers", 2, "--log", tmp_path / "log", "--log-durable")
    clients = [Load(server.address, named=True) for _ in range(4)]
    for each in clients:
        each.start()
    for _ in range(often(3, 60)):
        time.sleep(0.3)
        os.kill(eventually(server.workers)[0], signal.SIGKILL)
        server.until("worker died")
    time.sleep(0.3)
    for each in clients:
        each.end()
    assert server.stop() == 0

    _, table = collected(place, tmp_path / "log")
    names, answered = table["id"].tolist(), {name for each in clients for name, _ in each.named}
    assert len(names) == len(set(names))
    assert answered <= set(names)
    # Beside these, only what was in flight when its worker was killed.
    assert len(names) - len(answered) <= sum(len(each.broken) for each in clients)
    assert len(answered) > 100


def test_answers_that_wait_for_the_disk_keep_their_order_on_a_connection(serve, wheel, tmp_path):
    server = serve(wheel, "--log", tmp_path / "log", "--log-durable", "--patience", 10_000)
    host, port = server.address.split(":")
    asked = []
    for number in range(600):
        if number % 3:
            asked.append(
                b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-request-id: %d\r\n"
                b"content-length: %d\r\n\r\n%s" % (PREDICT.encode(), number, len(BODY), BODY.encode())
            )
        else:
            asked.append(b"GET /none/%d HTTP/1.1\r\nhost: x\r\n\r\n" % number)
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"".join(asked))
        said = b""
        while said.count(b"HTTP/1.1 ") < 600:
            said += client.recv(2**20)
    answers = said.split(b"HTTP/1.1 ")[1:]
    for number, answer in enumerate(answers):
        if number % 3:
            assert b"x-request-id: %d\r\n" % number in answer
        else:
            assert b"/none/%d;" % number in answer


def test_at_the_end_of_a_service_all_answers_are_in_the_log_once(serve, wheel, place, tmp_path):
    server = serve(wheel, "--log", tmp_path / "log")
    clients = [Load(server.address, named=True) for _ in range(3)]
    for each in clients:
        each.start()
    time.sleep(1.0)
    assert server.stop() == 0
    for each in clients:
        each.end()

    _, table = collected(place, tmp_path / "log")
    assert sorted(table["id"]) == sorted(name for each in clients for name, _ in each.named)
