"""What the service answers, whatever carries it."""

import copy
import json
import math
from typing import NamedTuple

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.runtime.prediction import Prediction, as_json
from hardcover.runtime.profile import Profile
from hardcover.serving import arrow
from hardcover.serving.app import ENDPOINTS, App
from hardcover.serving.asked import Ask
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import ARROW, LINES, Refused
from hardcover.serving.records import Scoring
from hardcover.serving.release import Served
from tests.conftest import RECORD
from tests.serving.conftest import PREDICT, ask, examples

EXPLAIN, INFER = "/v1/models/maintenance/explain", "/v2/models/maintenance/infer"


def records():
    """Records that the schema allows."""
    return st.fixed_dictionaries(
        {
            "quality": st.sampled_from("LMH"),
            "air_temperature": st.floats(290, 300),
            "process_temperature": st.floats(305, 315),
            "rotational_speed": st.integers(1200, 2800),
            "torque": st.floats(4, 76),
            "tool_wear": st.integers(0, 250),
        }
    )


@examples(60, 10_000)
@given(record=records())
def test_a_score_read_from_json_has_the_wheels_bits(app, release, record):
    expected = release.model.predict(record, explain=True)
    alone, explained = (json.loads(ask(app, path, record).body) for path in (PREDICT, EXPLAIN))

    assert alone == {"score": expected.score, "label": expected.label, "version": expected.version}
    assert explained["contributions"] == [each._asdict() for each in expected.contributions]
    assert explained["base_value"] == expected.base_value


@examples(20, 2_000)
@given(many=st.lists(records(), min_size=1, max_size=20))
def test_many_records_are_answered_like_each_alone_in_every_format(app, release, many):
    expected = [release.model.predict(record) for record in many]
    scores = [each.score for each in expected]

    as_list = json.loads(ask(app, PREDICT, many).body)
    lines = ask(app, PREDICT, b"\n".join(json.dumps(each).encode() for each in many), LINES).body
    columns = {name: [record[name] for record in many] for name in many[0]}
    table = pa.table(
        {
            name: values if name == "quality" else pa.array(values, pa.float64())
            for name, values in columns.items()
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    arrow = pa.ipc.open_stream(ask(app, PREDICT, sink.getvalue().to_pybytes(), ARROW).body).read_all()

    assert [each["score"] for each in as_list] == scores
    assert [json.loads(line)["score"] for line in lines.splitlines()] == scores
    assert arrow["score"].to_pylist() == scores
    assert arrow["label"].to_pylist() == [each.label for each in expected]


def tensors(columns: dict, rows: int) -> list[dict]:
    return [
        {"name": name, "shape": [rows], "datatype": "BYTES" if name == "quality" else "FP64", "data": values}
        for name, values in columns.items()
    ]


@examples(20, 2_000)
@given(many=st.lists(records(), min_size=1, max_size=20))
def test_tensors_are_answered_with_the_same_bits_as_json_and_as_bytes(app, release, many):
    scores = [release.model.predict(record).score for record in many]
    columns = {name: [record[name] for record in many] for name in many[0]}
    inputs = tensors(columns, len(many))

    found = json.loads(ask(app, INFER, {"id": "7", "inputs": inputs}).body)
    content = b""
    for tensor in inputs:
        if tensor["datatype"] == "FP64":
            mine = np.array(tensor.pop("data"), "<f8").tobytes()
            tensor["parameters"] = {"binary_data_size": len(mine)}
            content += mine
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    answer = ask(app, INFER, header + content, inference_header_content_length=str(len(header)).encode())
    size = int(
        dict(line.split(b": ") for line in answer.lines.splitlines())[b"inference-header-content-length"]
    )

    assert (found["id"], found["model_version"]) == ("7", release.version)
    assert found["outputs"][0]["data"] == scores
    assert np.frombuffer(answer.body[size : size + 8 * len(many)], "<f8").tolist() == scores


@examples(20, 1_000)
@given(many=st.lists(records(), min_size=1, max_size=20))
def test_how_sure_and_how_unusual_is_told_alike_in_every_format(app, release, many):
    asked = f"{PREDICT}?confidence=true&anomaly=true"
    expected = [release.model.predict(record, confidence=True, anomaly=True) for record in many]
    sure = [each.confidence for each in expected]
    low, high, labels = ([getattr(each, name) for each in sure] for name in ("low", "high", "labels"))
    labels = [list(each) for each in labels]
    anomaly = [each.anomaly for each in expected]

    found = json.loads(ask(app, asked, many).body)
    told = [each["confidence"] for each in found]
    assert ([each["low"] for each in told], [each["labels"] for each in told]) == (low, labels)
    assert {each["level"] for each in told} == {0.9}
    assert [each["anomaly"] for each in found] == anomaly
    columns = {name: [record[name] for record in many] for name in many[0]}
    table = pa.ipc.open_stream(ask(app, asked, arrow.stream(columns), ARROW).body).read_all().to_pydict()
    assert (table["confidence_low"], table["confidence_high"], table["confidence_labels"]) == (
        low,
        high,
        labels,
    )
    assert table["anomaly"] == anomaly
    names = ["score", "confidence_low", "confidence_labels", "anomaly"]
    tensors = [
        {
            "name": name,
            "shape": [len(many)],
            "datatype": "BYTES" if name == "quality" else "FP64",
            "data": values,
        }
        for name, values in columns.items()
    ]
    told = json.loads(
        ask(app, INFER, {"inputs": tensors, "outputs": [{"name": name} for name in names]}).body
    )
    data = {each["name"]: each["data"] for each in told["outputs"]}
    assert list(data) == names
    assert (data["confidence_low"], data["anomaly"]) == (low, anomaly)
    assert data["confidence_labels"] == [label in each for each in labels for label in (False, True)]


def test_answers_of_releases_of_before_are_written_as_they_are():
    fields = Prediction._fields
    for count in range(6, len(fields) + 1):
        older = NamedTuple("Prediction", [(name, object) for name in fields[:count]])
        answer = older(0.25, True, "1.0", *[None] * (count - 3))
        assert as_json(answer) == {"score": 0.25, "label": True, "version": "1.0"}
        assert as_json(answer._replace(label=None)) == {"score": 0.25, "version": "1.0"}
    whole = Prediction(0.25, True, "1.0", inputs=(math.nan,), anomaly=0.5)
    assert as_json(whole) == {"score": 0.25, "label": True, "version": "1.0", "anomaly": 0.5}


def test_a_release_of_before_that_knows_neither_says_so(release, monkeypatch):
    monkeypatch.delattr(release.module.runtime.many.Many, "anomaly_many")
    scoring = Scoring(release, Counters(1, ENDPOINTS))

    with pytest.raises(Refused, match="train and release it again") as refused:
        scoring.one(RECORD, Ask(anomaly=True))

    assert refused.value.status == 501
    assert scoring.one(RECORD, Ask()).score == release.model.predict(RECORD).score


def test_what_cannot_be_checked_is_scored_where_that_is_asked_for(app, release):
    odd = {**RECORD, "torque": None, "quality": "Z", "tool_wear": -5}
    found = json.loads(ask(app, f"{PREDICT}?validate=false", odd).body)

    assert ask(app, PREDICT, odd).status == 422
    assert found["score"] == release.model.predict(odd, validate=False).score


REFUSED = {
    "no JSON": (b"{'a': 1}", 400),
    "cut off": (b'{"torque": 4', 400),
    "empty": (b"", 400),
    "NaN": (b'{"torque": NaN}', 400),
    "Infinity": (b'{"torque": Infinity}', 400),
    "invalid UTF-8": (b'{"torque": "\xff"}', 400),
    "deep": (b"[" * 100_000 + b"]" * 100_000, 400),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
    "a million digits": (b'{"torque": ' + b"1" * 1_000_000 + b"}", 400),
    "twice": (json.dumps(RECORD).encode()[:-1] + b', "torque": 3}', 400),
    "twice by escape": (json.dumps(RECORD).encode()[:-1] + b', "torqu\\u0065": 3}', 400),
    "a number": (b"3", 422),
    "null": (b"null", 422),
    "list of numbers": (b"[1, 2]", 422),
    "out of range": (json.dumps({**RECORD, "torque": 1e308}).encode(), 422),
    "of another type": (json.dumps({**RECORD, "torque": {"a": 1}}).encode(), 422),
    "unknown field": (json.dumps({**RECORD, "torqe": 1}).encode(), 422),
    "missing field": (b"{}", 422),
    "too many": (b"[" + b",".join([b"1"] * 10_001) + b"]", 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_body_is_told_from_a_wrong_record(app, name):
    body, status = REFUSED[name]
    answer = ask(app, PREDICT, body)
    told = json.loads(answer.body)

    assert (answer.status, answer.kind, told["status"]) == (status, b"application/problem+json", status)
    assert status != 422 or all({"field", "message"} <= set(each) for each in told["problems"])


def test_every_fields_problem_is_named_with_its_row(app):
    told = json.loads(ask(app, PREDICT, [RECORD, {**RECORD, "torque": "x", "quality": "Q"}]).body)
    assert {(each["row"], each["field"]) for each in told["problems"]} == {(1, "torque"), (1, "quality")}


def test_of_lines_each_is_answered_or_refused_alone(app):
    body = b"\n".join([json.dumps(RECORD).encode(), b"{", b"", json.dumps({**RECORD, "torque": -1}).encode()])
    found = [json.loads(line) for line in ask(app, PREDICT, body, LINES).body.splitlines()]
    assert ["score" in each for each in found] == [True, False, False]
    assert [each.get("line") for each in found] == [None, 2, 4]


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/nope", "GET", {}, 404),
        (PREDICT, "GET", {}, 405),
        ("/readyz", "POST", {}, 405),
        (f"{PREDICT}?top=x", "POST", {}, 400),
        (f"{PREDICT}?tpo=3", "POST", {}, 400),
        (PREDICT, "POST", {"content_type": b"text/csv"}, 415),
        (PREDICT, "POST", {"content_encoding": b"gzip"}, 415),
        ("/v1/models/maintenance/events", "POST", {}, 404),
        (INFER, "POST", {"inference_header_content_length": b"99999999"}, 400),
    ],
)
def test_what_is_not_asked_rightly_is_refused_as_the_standards_say(app, path, method, headers, status):
    answer = ask(app, path, RECORD, method=method, **headers)
    assert answer.status == status
    assert status != 405 or b"allow: " in answer.lines


@examples(300, 100_000)
@given(
    path=st.sampled_from(
        [PREDICT, EXPLAIN, INFER, "/v1/models/maintenance/rank", "/v1/models/maintenance/events"]
    ),
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(),
                st.floats(allow_nan=False, allow_infinity=False),
                st.text(max_size=8),
            ),
            lambda inner: st.one_of(
                st.lists(inner, max_size=4),
                st.dictionaries(
                    st.sampled_from(
                        [
                            *RECORD,
                            "inputs",
                            "outputs",
                            "name",
                            "shape",
                            "datatype",
                            "data",
                            "parameters",
                            "candidates",
                            "query",
                            "top",
                            "binary_data_size",
                        ]
                    ),
                    inner,
                    max_size=6,
                ),
            ),
        ),
    ),
    kind=st.sampled_from([b"application/json", LINES, ARROW, b"application/octet-stream", b""]),
    length=st.one_of(st.none(), st.integers(-1, 300)),
)
def test_no_body_makes_the_service_fail(app, path, body, kind, length):
    headers = {} if length is None else {"inference_header_content_length": str(length).encode()}
    assert ask(app, path, body, kind, **headers).status < 500


def test_candidates_are_ranked_as_the_wheel_ranks_them(app, release):
    query = {name: value for name, value in RECORD.items() if name != "torque"}
    candidates = [{"torque": torque} for torque in (20.0, 70.0, 45.0)]
    found = json.loads(
        ask(app, "/v1/models/maintenance/rank", {"query": query, "candidates": candidates, "top": 2}).body
    )
    # All were scored, though two are told.
    assert app.counters.total("records") == 3
    expected = release.model.rank(query, candidates, 2)
    assert [(each["candidate"], each["score"]) for each in found] == [
        (at, each.score) for at, each in expected
    ]


def test_the_description_fits_what_is_answered(app):
    document = json.loads(ask(app, "/openapi.json", method="GET").body)
    schemas = document["components"]["schemas"]
    jsonschema.Draft202012Validator.check_schema(schemas["maintenance.Record"])

    jsonschema.validate(RECORD, schemas["maintenance.Record"])
    jsonschema.validate(json.loads(ask(app, PREDICT, RECORD).body), schemas["maintenance.Answer"])
    jsonschema.validate(json.loads(ask(app, PREDICT, {}).body), schemas["Problem"])
    for path, methods in document["paths"].items():
        for method in methods:
            assert ask(app, path, RECORD, method=method.upper()).status == 200, path


def test_counts_add_up_and_outlive_the_worker(release):
    counters = Counters(2, ENDPOINTS, release.fields)
    for worker in (0, 1):
        counters.take(worker)
        app = App([Served(release)], counters)
        for body in (RECORD, RECORD, {**RECORD, "torque": "x"}):
            ask(app, PREDICT, body)
    counters.take(0)
    lines = ask(app, "/metrics", method="GET").body.decode().splitlines()
    found = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")
    }

    assert found['hardcover_requests_total{endpoint="predict",status="200"}'] == 4
    assert found['hardcover_requests_total{endpoint="predict",status="422"}'] == 2
    assert found['hardcover_request_seconds_count{endpoint="predict"}'] == 6
    assert found['hardcover_invalid_fields_total{field="torque"}'] == 2
    assert found["hardcover_records_total"] == 4
    assert sum(value for name, value in found.items() if name.startswith("hardcover_scores_total")) == 4


def test_the_profile_of_what_workers_scored_is_that_of_the_same_rows_and_of_no_others(release, tmp_path):
    counters = Counters(2, ENDPOINTS, release.fields, tmp_path)
    profile, odd = "/v1/models/maintenance/profile", {**RECORD, "torque": 71.5, "tool_wear": 230.0}
    for worker in (0, 1):
        # A worker that comes after another has ended finds what that has counted.
        counters.take(worker)
        app = App([Served(release)], counters)
        assert ask(app, PREDICT, RECORD).status == 200
        assert ask(app, PREDICT, [odd, RECORD]).status == 200
        assert ask(app, PREDICT, [odd, odd, {**RECORD, "torque": "x"}]).status == 422
        tensors = [{"name": name, "datatype": "FP64", "shape": [1], "data": [1.0]} for name in ("a", "b")]
        assert ask(app, "/v2/models/maintenance/infer", {"inputs": tensors}).status == 422
    found = json.loads(ask(app, profile, method="GET").body)

    rows = [RECORD, odd, RECORD] * 2
    columns = {name: [row[name] for row in rows] for name in RECORD}
    inputs = release.model.inputs_of(columns)
    naive = Profile.of(release.model.profile.bins, inputs, release.model.evaluator.predict_many(inputs))
    assert found["rows"] == len(rows)
    assert found["counts"] == naive.by_name
    assert found["digest"] == release.digest
    assert found["holdout"] == release.model.profile.by_name


def test_a_challenger_is_asked_in_the_shadow_and_never_heard(release):
    counters = Counters(1, ENDPOINTS)

    class Failing:
        def __init__(self):
            self.about = {"files": {}}

        def predict(self, record):
            raise RuntimeError("broken")

    class Broken:
        name, version, digest, model = release.name, "0.2.0", "other", Failing()
        module, task = release.module, release.task

    app = App([Served(release, Broken())], counters)
    answer = ask(app, PREDICT, RECORD)
    app.shadow._allowed = 10**9
    app.shadow.compare()

    assert answer.status == 200
    assert json.loads(answer.body)["version"] == release.version
    assert (counters.total("compared"), counters.total("differing")) == (1, 1)
    for _ in range(2_000):
        ask(app, PREDICT, RECORD)
    assert counters.total("shadow_dropped") > 0


def test_who_is_answered_by_the_challenger_stays_the_same(release):
    served = Served(release, release, share=0.3, by="machine")
    other = type("Other", (), {"name": release.name})()
    served.challenger = other
    chosen = {number: served.chosen(None, {"machine": number}) for number in range(2_000)}

    assert all(served.chosen(None, {"machine": number}) is each for number, each in chosen.items())
    share = sum(each is other for each in chosen.values()) / 2_000
    assert math.isclose(share, 0.3, abs_tol=0.05)


def test_how_many_a_challenger_answers_is_counted_beside_how_many_it_should(release):
    other = copy.copy(release)
    other.digest = "0" * 64
    counters = Counters(1, ENDPOINTS, release.fields)
    app = App([Served(release, other, share=0.3)], counters)
    for number in range(400):
        ask(app, PREDICT, RECORD, x_request_id=str(number).encode())

    assert counters.total("divided") == 400
    assert counters.total("challenged_expected_ppm") == 400 * 300_000
    assert abs(counters.total("challenged") - 120) < 4 * math.sqrt(400 * 0.3 * 0.7)
