"""A workspace in a process that forks: each process has connections, a log and a session of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import forking
import pytest
from acts import Act, pause, reply
from ledger import books
from origin import Origin, Seen, picture

from imagen_nb.log.log import Log

COUNT = 3
CHILDREN = [f"child {number}" for number in range(COUNT)]
PARENT = ["before", "meanwhile", "after"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def test_children_of_a_used_workspace_get_their_own_images(home: Path) -> None:
    """Four processes ask at once over what was one idle connection: each row has the image of its own prompt."""
    with Origin(latency=0.5) as api:
        lines = _run(str(home), api)
        ledger = books(home, api)
        ledger.balance(COUNT + len(PARENT))
        for row in ledger.rows:
            bill = api.bill(str(row.prediction_id))
            assert bill is not None
            assert bill.input["prompt"] == row.request.prompt
            assert row.images[0].sha256 == hashlib.sha256(_picture_of(bill.id)).hexdigest()
    assert {line[0]: line[1] for line in lines} == dict.fromkeys([*PARENT, *CHILDREN], "succeeded")


def test_each_process_has_a_session_of_its_own(home: Path) -> None:
    """The parent keeps its session through a fork, and no child drives its rows as the parent."""
    with Origin() as api:
        sessions = {prompt: session for prompt, _, session in _run(str(home), api)}
    assert len({sessions[prompt] for prompt in PARENT}) == 1
    assert len(set(sessions.values())) == 1 + COUNT


def test_a_connection_is_not_shared_with_a_child() -> None:
    """Whoever asks over a connection that was opened before the fork gets the reply to what it asked."""

    def slowly(seen: Seen) -> list[Act]:
        return [pause(0.3), reply(seen.path.encode())]

    with Origin() as api:
        api.fault("file", instead=slowly)
        lines = _run("line", api)
    assert len(lines) == COUNT + len(PARENT)
    assert all(path == got for path, got in lines)


def test_a_fork_in_the_middle_of_a_write_blocks_nobody(home: Path) -> None:
    """While a thread of the parent writes without a pause, each child can write to the same log at once."""
    seconds = [float(line[0]) for line in _run(str(home), "log", 8)]
    assert len(seconds) == 8
    assert max(seconds) < 20.0
    with Log(home) as log:
        assert log.verify() == []
        assert log.count(text="a fox") == 8


def _run(home: str, api: Origin | str, count: int = COUNT) -> list[list[str]]:
    """What the processes printed, by the field."""
    base_url = api if isinstance(api, str) else api.base_url
    command = [sys.executable, forking.__file__, home, base_url, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


def _picture_of(prediction_id: str) -> bytes:
    """The picture that the origin serves for a prediction."""
    return picture("JPEG", seed=hash(f"/files/{prediction_id}.jpg") % 4096)
