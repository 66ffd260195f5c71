"""The command as a function, its log, and a folder without tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagen_nb.cli import main

Command = Callable[..., int]


@pytest.fixture
def command(simulator: Any, home: Path) -> Command:
    """The command with this test's home and simulator."""
    return lambda *words: main(["--home", str(home), "--provider", simulator.base_url, *words])


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def logged(command: Command, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with four runs in the log: one failed, one blocked."""
    assert command("run", "-q", "-e", "zoo", "a {red fox|[fail] fox|[blocked] fox}") == 1
    assert command("run", "-q", "-a", "16:9", "an owl " + "in a very long story " * 20) == 0
    capsys.readouterr()
    return command
