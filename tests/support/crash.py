"""Processes and workspaces that die: at a chosen moment, without a last word.

`python crash.py HOME BASE_URL COUNT JOBS` is a sweep in a process of its own, to be killed; its token comes from
`IMAGEN_NB_TOKEN`, and it goes on where an earlier one ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acts import Wire, fin
from origin import Origin

from imagen_nb.planning.plan import Plan
from imagen_nb.workspace import Workspace

EXPERIMENT = "killed"
SETTLE_S = 0.6


class Hold:
    """A place where a server stops answering: `reached` is set by the first request that comes there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._over = threading.Event()

    def __call__(self, wire: Wire) -> None:
        self.reached.set()
        while not self._over.wait(0.02):
            wire.sleep(0.0)  # ends with the server
        fin(wire)

    def lift(self) -> None:
        """End the connections that are held here, and those of requests to come."""
        self._over.set()


def hold_at(api: Origin, kind: str, *, is_done: bool = True, **options: int) -> Hold:
    """Stop answering requests of `kind`, after doing what they ask or before it; see `Origin.fault` for the options."""
    hold = Hold()
    api.fault(kind, **{"after" if is_done else "instead": [hold]}, **options)
    return hold


def abandon(workspace: Workspace) -> None:
    """End a workspace as a SIGKILL would: nothing that its threads still do reaches the log, and its rows are free."""
    workspace.log.close()
    workspace.connections.api.close()
    workspace.connections.downloader.close()


def planned(workspace: Workspace, count: int) -> Plan:
    """`count` requests, an even number, of which each two have the same input."""
    return workspace.plan("fox {n}", n=[str(n) for n in range(count // 2)], repeat=2)


@contextmanager
def sweeping(
    home: Path, base_url: str, count: int, *, jobs: int, token: str | None = None, stderr: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work on a sweep; killed with SIGKILL at the end, if it is still there."""
    command = [sys.executable, __file__, str(home), base_url, str(count), str(jobs)]
    environment = {**os.environ, **({"IMAGEN_NB_TOKEN": token} if token else {})}
    process = subprocess.Popen(command, env=environment, stderr=None if stderr else subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    # Where the tests run in the background of a script, an interrupt is ignored by them and all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home, base_url, count, jobs = sys.argv[1:]
    with Workspace(home, provider=base_url, jobs=int(jobs), settle_s=SETTLE_S) as workspace:
        workspace.run(planned(workspace, int(count)), experiment=EXPERIMENT, resume=True)


if __name__ == "__main__":
    main()
