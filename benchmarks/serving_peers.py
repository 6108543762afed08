"""The case's wheel behind what services are usually made of; run by ``serving.py`` in the peers' environment.

    uvicorn serving_peers:starlette_app

Each answers ``POST /predict`` with a record by score, label and version, and ``POST /explain`` with all contributions, as ours does.
"""

from typing import Literal

import litserve
from casebook_maintenance import model
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Record(BaseModel):
    """A record, as a FastAPI service declares it."""

    quality: Literal["L", "M", "H"]
    air_temperature: float = Field(ge=280, le=320)
    process_temperature: float = Field(ge=285, le=330)
    rotational_speed: float = Field(ge=500, le=4500)
    torque: float = Field(ge=0, le=120)
    tool_wear: float = Field(ge=0, le=300)


class Answer(BaseModel):
    """An answer, as a FastAPI service declares it."""

    score: float
    label: bool
    version: str


fastapi_app = FastAPI()


@fastapi_app.post("/predict")
async def fastapi_predict(record: Record) -> Answer:
    """Score a record."""
    found = model.predict(record.model_dump())
    return Answer(score=found.score, label=found.label, version=found.version)


@fastapi_app.post("/explain")
async def fastapi_explain(record: Record) -> dict:
    """Score a record and explain the score."""
    return _explained(record.model_dump())


def _explained(record: dict) -> dict:
    found = model.predict(record, explain=True)
    contributions = [each._asdict() for each in found.contributions]
    return {
        "score": found.score,
        "label": found.label,
        "version": found.version,
        "contributions": contributions,
    }


async def _predict(request: Request) -> JSONResponse:
    found = model.predict(await request.json())
    return JSONResponse({"score": found.score, "label": found.label, "version": found.version})


async def _explain(request: Request) -> JSONResponse:
    return JSONResponse(_explained(await request.json()))


starlette_app = Starlette(
    routes=[Route("/predict", _predict, methods=["POST"]), Route("/explain", _explain, methods=["POST"])]
)


class Lit(litserve.LitAPI):
    """The same by LitServe."""

    def setup(self, device: str) -> None:
        """Load nothing: the wheel is imported."""

    def predict(self, record: dict) -> dict:
        """Score a record."""
        found = model.predict(record)
        return {"score": found.score, "label": found.label, "version": found.version}


if __name__ == "__main__":
    import sys

    server = litserve.LitServer(Lit(api_path="/predict"), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), num_api_servers=1, log_level="error", generate_client_file=False)
