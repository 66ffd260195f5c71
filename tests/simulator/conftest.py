"""Connections to a simulator, closed when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from caller import Caller

from imagen_nb.simulator import Simulator


@pytest.fixture
def calling() -> Iterator[Callable[[Simulator], Caller]]:
    """Opens connections to simulators, and closes them at the end."""
    opened: list[Caller] = []

    def open_one(simulator: Simulator) -> Caller:
        opened.append(Caller(simulator.port))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def call(simulator: Simulator, calling: Callable[[Simulator], Caller]) -> Caller:
    """A connection to the simulator that answers almost at once."""
    return calling(simulator)
