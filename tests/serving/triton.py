"""Triton's server with the case's wheel behind its Python backend: ``python triton.py FOLDER HTTP GRPC METRICS``; FOLDER holds the unpacked wheel."""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

sys.path.insert(0, sys.argv[1])
from casebook_maintenance import model

NAMES = list(model.schema["properties"])


@batch
def score(**tensors):
    """Answer by the wheel, row by row."""
    columns = {
        name: np.char.decode(column) if column.dtype.kind in "OS" else column
        for name, column in text(tensors)
    }
    rows = zip(*(column.ravel().tolist() for column in columns.values()), strict=True)
    found = [model.predict(dict(zip(columns, row, strict=True))) for row in rows]
    return {
        "score": np.array([[each.score] for each in found]),
        "label": np.array([[each.label] for each in found]),
    }


def text(tensors):
    """Yield tensors by name, texts as arrays of bytes."""
    for name, column in tensors.items():
        yield name, column.astype(bytes) if column.dtype.kind == "O" else column


ports = dict(zip(("http_port", "grpc_port", "metrics_port"), map(int, sys.argv[2:]), strict=True))
inputs = [Tensor(name=name, dtype=bytes if name == "quality" else np.float64, shape=(1,)) for name in NAMES]
outputs = [
    Tensor(name="score", dtype=np.float64, shape=(1,)),
    Tensor(name="label", dtype=np.bool_, shape=(1,)),
]
with Triton(config=TritonConfig(**ports)) as server:
    server.bind("maintenance", score, inputs, outputs, config=ModelConfig(max_batch_size=1000))
    server.serve()
