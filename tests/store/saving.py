"""Save datasets in processes that are killed or whose disk fails, and see what a reader gets.

    LD_PRELOAD=faults.so python tests/saving.py FOLDER KIND calls            at each call that changes a file
    LD_PRELOAD=faults.so python tests/saving.py FOLDER KIND moments COUNT    at random moments
    LD_PRELOAD=faults.so python tests/saving.py FOLDER KIND ENOSPC           each call fails in turn; EIO likewise

Each attempt is a fork of this process, which has imported everything. Prints one JSON object.
"""

import ctypes
import errno
import functools
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("agg")
import kedro_datasets.json
import kedro_datasets.matplotlib
import kedro_datasets.pandas
import kedro_datasets.partitions  # noqa: F401
import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet  # noqa: F401

from hardcover.errors import StorageError
from hardcover.store import catalog, drafts, versions

KINDS = {
    "csv": {
        "type": "pandas.CSVDataset",
        "filepath": "rows.csv",
        "versioned": True,
        "save_args": {"index": False},
    },
    "parquet": {"type": "pandas.ParquetDataset", "filepath": "rows.parquet", "versioned": True},
    "json": {"type": "json.JSONDataset", "filepath": "facts.json", "versioned": True},
    "picture": {"type": "matplotlib.MatplotlibDataset", "filepath": "figure.png", "versioned": True},
    "partitioned": {
        "type": "partitions.PartitionedDataset",
        "path": "parts",
        "filename_suffix": ".csv",
        "dataset": {"type": "pandas.CSVDataset", "save_args": {"index": False}},
        "metadata": {"versioned": True},
    },
}


def open_catalog(folder: Path, kind: str) -> catalog.VersionedCatalog:
    catalog._verified.clear()
    key = "path" if "path" in KINDS[kind] else "filepath"
    return catalog.VersionedCatalog.from_config({"data": KINDS[kind] | {key: str(folder / KINDS[kind][key])}})


def content(kind: str, number: int):
    """Make what is saved: everything in it tells which save it is."""
    rows = pd.DataFrame({"save": np.full(3000, number), "row": np.arange(3000) * 0.5})
    if kind == "json":
        return {"save": number, "rows": list(range(5000))}
    if kind == "picture":
        figure = plt.figure(figsize=(2, 2))
        figure.text(0.1, 0.5, f"save {number}")
        plt.close(figure)
        return figure
    return {f"part{part}": rows for part in range(3)} if kind == "partitioned" else rows


def save(folder: Path, kind: str, number: int) -> None:
    open_catalog(folder, kind).save("data", content(kind, number))


def seen(folder: Path, kind: str) -> None:
    """Load as a reader would; fails when the data are of two saves, or not whole."""
    catalog = open_catalog(folder, kind)
    if kind == "picture":
        # Kedro's dataset only writes; the bytes are compared with the manifest's.
        versions.verify(catalog.committed_folder("data"))
        return
    found = catalog.load("data")
    if kind == "json":
        assert found["rows"] == list(range(5000))
        return
    tables = [found] if kind != "partitioned" else [load() for load in found.values()]
    assert len(tables) == (3 if kind == "partitioned" else 1)
    assert {len(table) for table in tables} == {3000}
    assert len({value for table in tables for value in table["save"]}) == 1


def in_child(action) -> int:
    """Run in a fork; gives its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(start(action), 0)[1])


def start(action) -> int:
    child = os.fork()
    if child:
        return child
    try:
        action()
    except StorageError:
        os._exit(3)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def check(folder: Path, kind: str, before: str) -> str:
    """Look at the folder after an attempt: a whole version for the reader, nothing but versions after ``clean``."""
    assert in_child(lambda: seen(folder, kind)) == 0, "the reader failed"
    dataset = next(iter(versions.datasets(folder)))
    newest = versions.latest(dataset)
    assert newest >= before
    drafts.clean(folder)
    assert versions.names(dataset) == versions.committed(dataset)
    assert versions.latest(dataset) == newest == versions.committed(dataset)[0]
    strange = [path.name for path in dataset.rglob(".*") if path.name not in (".lock", ".latest")]
    assert not strange, strange
    return newest


def main() -> None:
    folder, kind, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    arm = ctypes.CDLL(None).faults_arm
    assert in_child(lambda: save(folder, kind, 0)) == 0
    newest = check(folder, kind, "")
    tried = old = number = 0
    begin = time.perf_counter()
    assert in_child(lambda: save(folder, kind, 1)) == 0
    typical = time.perf_counter() - begin
    newest = check(folder, kind, newest)
    chance = random.Random(kind)
    while True:
        number += 1
        if how == "moments":
            if number > int(sys.argv[4]):
                break
            child = start(functools.partial(save, folder, kind, number))
            time.sleep(chance.uniform(0, typical))
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            error = 0 if how == "calls" else getattr(errno, how)

            def attempt(at=number, error=error):
                arm(str(folder).encode(), ctypes.c_long(at), error)
                save(folder, kind, at)
                # Fewer calls than that: all have been hit.
                os._exit(4 if ctypes.CDLL(None).faults_calls() < at else 0)

            code = in_child(attempt)
            assert code in ((-signal.SIGKILL, 4) if how == "calls" else (0, 3, 4)), (
                f"call {number} gave {code}"
            )
        found = check(folder, kind, newest)
        if code == 4:
            break
        tried, old, newest = tried + 1, old + (found == newest), found
    print(json.dumps({"tried": tried, "old": old, "new": tried - old}))


if __name__ == "__main__":
    main()
