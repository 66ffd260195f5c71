"""Panels on a log of their own, closed with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagen_nb.notebook.panel import Panel
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace


@pytest.fixture
def workspace(home: Path, simulator: Simulator) -> Iterator[Workspace]:
    with Workspace(home, provider=simulator.base_url) as opened:
        yield opened


@pytest.fixture
def opened(workspace: Workspace) -> Iterator[Callable[..., Panel]]:
    """Opens panels, and closes them with the test."""
    made: list[Panel] = []

    def open_one(on: Workspace | None = None, **options: Any) -> Panel:
        made.append(Panel(on or workspace, **options))
        return made[-1]

    yield open_one
    for each in made:
        each.close()
