"""How long Feast takes to read 12 features of one entity that somebody put there before; runs in ``.tools/feast``.

python benchmarks/feast_peer.py sqlite|redis CONNECTION CALLS
"""

import json
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

NAMES = [f"window_{number}" for number in range(12)]


def main(kind: str, connection: str, calls: str) -> None:
    """Write 100 entities, then read one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        online = (
            f"type: sqlite\n    path: {folder}/online.db"
            if kind == "sqlite"
            else f"type: redis\n    connection_string: {connection}"
        )
        Path(folder, "feature_store.yaml").write_text(
            f"project: bench\nregistry: {folder}/registry.db\nprovider: local\nentity_key_serialization_version: 3\n"
            f"offline_store:\n    type: file\nonline_store:\n    {online}\n"
        )
        rows = pd.DataFrame({"customer": [str(number) for number in range(100)], **dict.fromkeys(NAMES, 1.5)})
        rows["at"] = pd.Timestamp.now(tz="UTC")
        rows.to_parquet(f"{folder}/rows.parquet")
        customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
        view = FeatureView(
            name="windows",
            entities=[customer],
            ttl=timedelta(days=30),
            schema=[Field(name=name, dtype=Float64) for name in NAMES],
            source=FileSource(path=f"{folder}/rows.parquet", timestamp_field="at"),
        )
        store = FeatureStore(repo_path=folder)
        store.apply([customer, view])
        store.write_to_online_store("windows", rows)
        wanted, seconds = [f"windows:{name}" for name in NAMES], []
        for number in range(int(calls)):
            begin = time.perf_counter()
            found = store.get_online_features(wanted, [{"customer": str(number % 100)}]).to_dict()
            seconds.append(time.perf_counter() - begin)
        assert found["window_0"] == [1.5], found
        print(json.dumps(statistics.median(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
