"""The case's features and model behind FastAPI, explained by shap; run by ``serving.py`` in the project's environment.

HARDCOVER_MODEL=model.txt uvicorn serving_shap:app
"""

import os
from pathlib import Path
from typing import Literal

import lightgbm as lgb
import numpy as np
import shap
from casebook_maintenance.row import row_of as row_by_wheel
from fastapi import FastAPI
from pydantic import BaseModel

booster = lgb.Booster(model_file=str(Path(os.environ["HARDCOVER_MODEL"])))
explainer = shap.TreeExplainer(booster)
app = FastAPI()


class Record(BaseModel):
    """A record."""

    quality: Literal["L", "M", "H"]
    air_temperature: float
    process_temperature: float
    rotational_speed: float
    torque: float
    tool_wear: float


def row_of(record: Record) -> np.ndarray:
    """Return the model's inputs, shape (1, inputs), by the wheel's own code, which is quicker than what is written by hand."""
    return np.frombuffer(row_by_wheel(record.model_dump()), dtype=np.float64).reshape(1, -1)


@app.post("/predict")
async def predict(record: Record) -> dict:
    """Score a record by LightGBM."""
    return {"score": float(booster.predict(row_of(record))[0])}


@app.post("/explain")
async def explain(record: Record) -> dict:
    """Score a record and explain the score by shap."""
    row = row_of(record)
    values = np.ravel(explainer.shap_values(row)).tolist()
    contributions = dict(zip(booster.feature_name(), values, strict=True))
    return {"score": float(booster.predict(row)[0]), "contributions": contributions}
