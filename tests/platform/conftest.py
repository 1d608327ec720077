"""Fixtures of the machinery's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL server for the session."""
    server = Server()
    server.initialise()
    server.start()
    yield server
    server.stop()
