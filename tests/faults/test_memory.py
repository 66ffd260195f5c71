"""However much a provider sends, memory does not follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import monsters
import pytest
from acts import Act, bomb, endless, reply
from ledger import books
from origin import Origin

MOST_MB = 80
BOMB = bomb(200)
MONSTERS: dict[str, tuple[str, Act]] = {
    "a bomb for an image": ("file", BOMB),
    "an endless image": ("file", endless(b"\xff" * 65536, start=b"\xff\xd8\xff")),
    "200 megapixels": ("file", reply(monsters.huge(), content_type="image/png")),
    "a bomb for a reply": ("get", BOMB),
    "an endless reply": ("get", endless(b" " * 65536, start=b'{"id": "')),
    "an endless list": ("list", endless(b"[" * 65536)),
}


@pytest.mark.parametrize("kinds", [["file"], ["get", "list"]], ids=["images", "replies"])
def test_no_reply_makes_memory_grow(home: Path, kinds: list[str]) -> None:
    """200 MB out of a small body, bodies without end, 200 megapixels: the peak rises by 80 MB at most."""
    met = [(kind, act) for kind, act in MONSTERS.values() if kind in kinds]
    with Origin(latency=0.3) as api, started(home, api.base_url, len(met)) as process:
        assert process.stdout.readline() == "ready\n"
        api.fault("create", after=[reply(b"", 502)])  # so that the list is read each time
        for kind, act in met:
            api.fault(kind, instead=[act], times=1)
        first, last, *ends = process.communicate("go\n", timeout=120)[0].split()
        assert float(last) - float(first) <= MOST_MB
        assert set(ends) <= {"succeeded", "failed", "unknown"}
        assert all(fault.played for fault in api._faults), "not every reply was met"
        books(home, api).check()


def started(home: Path, base_url: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, monsters.__file__, str(home), base_url, str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
