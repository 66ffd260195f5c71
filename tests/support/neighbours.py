"""Notebooks that share a home: `python neighbours.py HOME BASE_URL SECONDS NAME` works in it for so many seconds.

It runs sweeps, reads the log, rates and reconciles, and prints how many runs it made. Anything that fails ends it with
a traceback and a code other than 0.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from imagen_nb.records import Status
from imagen_nb.workspace import Workspace


def at_work(home: Path, base_url: str, seconds: float, count: int = 4) -> list[subprocess.Popen[str]]:
    """So many of them, started."""
    arguments = [str(home), base_url, str(seconds)]
    return [
        subprocess.Popen(
            [sys.executable, __file__, *arguments, f"notebook {number}"], stdout=subprocess.PIPE, text=True
        )
        for number in range(count)
    ]


def main() -> None:
    home, base_url, seconds, name = sys.argv[1:]
    until, made = time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        with Workspace(Path(home), provider=base_url, settle_s=1.0) as workspace:
            for _ in range(5):
                runs = workspace.run(workspace.plan("fox {n}", n=["1", "2", "3"], repeat=3), experiment=name)
                assert {run.status for run in runs} == {Status.SUCCEEDED}, runs
                made += len(runs)
                workspace.rate(runs[0].id, 5, "good")
                workspace.reconcile()
                assert len(workspace.frame()) >= made
    print(made)


if __name__ == "__main__":
    main()
