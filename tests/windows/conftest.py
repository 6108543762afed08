"""A real server of Valkey, which the tests start themselves."""

import pytest

from tests.windows.servers import started


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory):
    with started(tmp_path_factory.mktemp("valkey")) as client:
        yield client
