"""What every test gets: an environment without tokens or settings, and nothing kept from the test before."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, and no word on how slow they are: a machine that is busy fails no test.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

VARIABLES = (
    "IMAGEN_NB_HOME",
    "IMAGEN_NB_MODEL",
    "IMAGEN_NB_PROVIDER",
    "IMAGEN_NB_TOKEN",
    "KKIAI_API_KEY",
    "REPLICATE_API_TOKEN",
)
# They are not only hidden from each test: what is made once for a module is made before any test's own fixtures.
for each in VARIABLES:
    os.environ.pop(each, None)
# Whatever starts the tests in its background may have them ignore an interrupt, and so all processes they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A shell puts its own module in this place, and leaves it there, emptied; new processes then cannot start.
MAIN = sys.modules["__main__"]


@pytest.fixture(autouse=True)
def isolation(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No token and no setting from outside, an empty HOME; what a test set, remembered or opened goes with it."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("user")))
    yield
    for variable in VARIABLES:  # cells set them as users do
        os.environ.pop(variable, None)
    sys.modules["__main__"] = MAIN
    if known := sys.modules.get("imagen_nb.settings"):
        known.logins.clear()
    if default := sys.modules.get("imagen_nb.shared"):
        if default._default is not None:
            default._default.close()
        default.set_default_workspace(None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for a log, not made yet."""
    return tmp_path / "imagen_runs"


@pytest.fixture
def simulator() -> Iterator[Any]:
    """A simulator that answers at once."""
    from imagen_nb.simulator import Simulator

    with Simulator(latency=0.05) as started:
        yield started
