"""Every test may ask for a server; there is one for all of them, and a folder for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from webdav_server import Server, serving

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("webdav") / "served") as server:
        yield server


@pytest.fixture
def server(service: Server) -> Server:
    folder = service.folder.with_name(f"folder{next(_NUMBERS)}")
    folder.mkdir()
    return replace(service, folder=folder)
