"""A sweep in a process of its own, to be killed: `python sweeping.py HOME BASE_URL COUNT JOBS`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from imagen_nb.planning.plan import Plan
from imagen_nb.workspace import Workspace

EXPERIMENT = "killed"


def plan(workspace: Workspace, count: int) -> Plan:
    """`count` different requests."""
    return workspace.plan("fox number {n}", n=[str(n) for n in range(count)])


def started(home: Path, base_url: str, count: int, jobs: int) -> subprocess.Popen[bytes]:
    """The process, sweeping."""
    return subprocess.Popen([sys.executable, __file__, str(home), base_url, str(count), str(jobs)])


def main() -> None:
    home, base_url, count, jobs = sys.argv[1:]
    with Workspace(home, provider=base_url, jobs=int(jobs)) as workspace:
        workspace.run(plan(workspace, int(count)), experiment=EXPERIMENT, resume=True)


if __name__ == "__main__":
    main()
