"""A log in an empty home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagen_nb.log.log import Log


@pytest.fixture
def log(home: Path) -> Iterator[Log]:
    with Log(home) as opened:
        yield opened
