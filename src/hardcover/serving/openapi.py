"""The service's description as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), made of the schemas that the wheels carry."""

from collections.abc import Sequence
from typing import Any

from hardcover.serving.exchange import VERSION
from hardcover.serving.release import Release

# The page takes nothing from elsewhere, and nothing may embed it.
PAGE_POLICY = (
    b"content-security-policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"connect-src 'self'; frame-ancestors 'none'\r\n"
)
_PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "row": {"type": ["integer", "null"]},
                },
            },
        },
    },
}
_REASONS = {
    "400": "not JSON, or not what is asked for here",
    "413": "too large",
    "415": "of another media type",
    "422": "a record has problems, by field",
    "429": "this caller has asked too much; try again",
    "503": "the service is behind; try again",
}


def document(releases: Sequence[Release]) -> dict[str, Any]:
    """Return the description of a service that answers with these releases."""
    paths: dict[str, Any] = {
        "/livez": {"get": _get("Whether the worker turns")},
        "/readyz": {"get": _get("Whether requests are accepted")},
        "/metrics": {"get": _get("Counts and latencies, as Prometheus reads them")},
        "/v1/models": {"get": _get("What is served")},
    }
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    for release in releases:
        name, mine = release.name, f"/v1/models/{release.name}"
        schemas[f"{name}.Record"] = _record(release)
        schemas[f"{name}.Answer"] = _answer(release)
        paths[mine] = {"get": _get(f"What {name} is: release, proof, schema")}
        paths[f"{mine}/profile"] = {"get": _get("How the inputs and scores of all rows lay in bins")}
        for verb, what in (("predict", "Score"), ("explain", "Score, and say what contributed to it,")):
            paths[f"{mine}/{verb}"] = {"post": _post(f"{what} one record, or many", name)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hardcover",
            "version": VERSION,
            "description": "Proven models, the same bits on the wire.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _record(release: Release) -> dict[str, Any]:
    schema = release.model.schema
    kept = {
        name: value for name, value in schema.items() if name in ("type", "properties", "required", "title")
    }
    return {"type": "object", **kept}


def _answer(release: Release) -> dict[str, Any]:
    properties: dict[str, Any] = {"score": {"type": "number"}, "version": {"type": "string"}}
    if release.task == "threshold":
        properties["label"] = {"type": "boolean"}
    if release.task == "classes":
        properties["label"] = {"type": "string"}
        properties["scores"] = {"type": "object", "additionalProperties": {"type": "number"}}
    properties["anomaly"] = {"type": "number", "minimum": 0, "maximum": 1}
    properties["confidence"] = {"type": "object", "required": ["level"]}
    return {"type": "object", "required": ["score", "version"], "properties": properties}


def _get(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "the answer"}}}


def _post(summary: str, name: str) -> dict[str, Any]:
    def one_or_many(what: str) -> dict[str, Any]:
        reference = {"$ref": f"#/components/schemas/{name}.{what}"}
        return {"oneOf": [reference, {"type": "array", "items": reference}]}

    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refused = {status: {"description": why, "content": problem} for status, why in _REASONS.items()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": one_or_many("Record")}}},
        "responses": {
            "200": {
                "description": "the answer",
                "content": {"application/json": {"schema": one_or_many("Answer")}},
            },
            **refused,
        },
    }
