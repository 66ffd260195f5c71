"""A provider that can misbehave in any way, and a workspace that asks it, with a token that nobody else may see."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from origin import Origin
from providers import CANARY

from imagen_nb.workspace import Workspace

LIST_LAG_S = 0.2
SETTLE_S = 0.6


@pytest.fixture
def api() -> Iterator[Origin]:
    """A provider whose list lags a little."""
    with Origin(token=CANARY, list_lag=LIST_LAG_S) as started:
        yield started


@pytest.fixture
def ws(home: Path, api: Origin) -> Iterator[Workspace]:
    """A workspace that knows how long the list may lag."""
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=SETTLE_S) as opened:
        yield opened


@pytest.fixture
def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
