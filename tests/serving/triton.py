"""Triton's server with the case's wheel behind its Python backend, in an environment that has nvidia-pytriton.

``python triton.py FOLDER HTTP GRPC METRICS``: FOLDER holds the unpacked wheel, the others are ports.
"""

import os
import sys
import sysconfig
from pathlib import Path


def main(folder: str, http: int, grpc: int, metrics: int) -> None:
    """Serve until the process ends."""
    import numpy as np
    from pytriton.decorators import batch
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    sys.path.insert(0, folder)
    from casebook_maintenance import model

    @batch
    def score(**tensors):
        """Answer by the wheel, row by row."""
        columns = [
            np.char.decode(column.astype(bytes)) if column.dtype.kind in "OS" else column
            for column in tensors.values()
        ]
        rows = zip(*(column.ravel().tolist() for column in columns), strict=True)
        found = [model.predict(dict(zip(tensors, row, strict=True))) for row in rows]
        scores, labels = [[each.score] for each in found], [[each.label] for each in found]
        return {"score": np.array(scores), "label": np.array(labels)}

    inputs = [
        Tensor(name=name, dtype=bytes if "string" in rule["type"] else np.float64, shape=(1,))
        for name, rule in model.schema["properties"].items()
    ]
    outputs = [
        Tensor(name="score", dtype=np.float64, shape=(1,)),
        Tensor(name="label", dtype=np.bool_, shape=(1,)),
    ]
    with Triton(config=TritonConfig(http_port=http, grpc_port=grpc, metrics_port=metrics)) as server:
        server.bind("maintenance", score, inputs, outputs, config=ModelConfig(max_batch_size=1000))
        server.serve()


def preload() -> None:
    """Begin again with this interpreter's libpython: the Python backend brings another, which does not fit every standard library of the same version."""
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME") or "none")
    if "LD_PRELOAD" not in os.environ and library.exists():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "LD_PRELOAD": str(library)})


if __name__ == "__main__":
    preload()
    main(sys.argv[1], *map(int, sys.argv[2:]))
