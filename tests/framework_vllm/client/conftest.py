"""Stub servers, started once for all tests that ask for the same options."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.framework_vllm.client.loads import Serve, Stub


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Start a stub server with options, or give the one that already has them."""
    running: dict[tuple[str, ...], Stub] = {}

    def start(*options: str) -> Stub:
        if options not in running:
            running[options] = Stub(*options)
        return running[options]

    yield start
    for stub in running.values():
        stub.end()
