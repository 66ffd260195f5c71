"""One client's share of the benchmark, in a process of its own.

`python clients.py WHO BASE_URL COUNT IN_FLIGHT HELD FOLDER` makes COUNT predictions and saves their images, IN_FLIGHT
at a time, as `ours` or as `official` (the official client: create, wait, save), then prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import replicate

import imagen_nb.sweeps.collect  # noqa: F401 - imported here, so that it is not measured
from imagen_nb.workspace import Workspace

MODEL = "google/imagen-4"


def lag(path: Path, completed_at: str | datetime) -> float:
    """Seconds from the prediction's completion to its file's appearance on disk."""
    done = (
        completed_at
        if isinstance(completed_at, datetime)
        else datetime.fromisoformat(completed_at[:26].rstrip("Z") + "+00:00")
    )
    return path.stat().st_ctime - done.timestamp()


def official(base_url: str, count: int, in_flight: int, held: bool, folder: Path) -> list[float]:
    client = replicate.Client(api_token="benchmark", base_url=base_url, headers={"User-Agent": "benchmark"})

    def one(number: int) -> float:
        options: dict[str, Any] = {"wait": 60} if held else {"wait": False}
        prediction = client.models.predictions.create(MODEL, {"prompt": f"a fox {number}"}, **options)
        prediction.wait()
        path = folder / f"{number}.jpg"
        with client._client.stream("GET", str(prediction.output)) as reply:
            path.write_bytes(reply.read())
        return lag(path, str(prediction.completed_at))

    with ThreadPoolExecutor(in_flight) as pool:
        return list(pool.map(one, range(count)))


def ours(base_url: str, count: int, in_flight: int, held: bool, folder: Path) -> list[float]:
    with Workspace(folder, provider=base_url, jobs=in_flight) as workspace:
        plan = workspace.plan("a fox {number}", number=[str(number) for number in range(count)])
        lags = []
        for run in workspace.submit(plan, experiment="bench", hold=60 if held else None).as_completed():
            assert run.completed_at is not None, run
            lags.append(lag(run.images[0].path, run.completed_at))
        return lags


class Memory:
    """The largest resident set while it is open, in MB, sampled ten times a second."""

    def __enter__(self) -> Memory:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        self._done = threading.Event()
        self.start = self.peak = self._now()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.1):
            self.peak = max(self.peak, self._now())

    @staticmethod
    def _now() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    who, base_url, count, in_flight, held, folder = sys.argv[1:]
    client = {"ours": ours, "official": official}[who]
    before = resource.getrusage(resource.RUSAGE_SELF)
    with Memory() as memory:
        began = time.perf_counter()
        lags = client(base_url, int(count), int(in_flight), held == "held", Path(folder))
        wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "wall_s": wall,
        "lag_s": sum(lags) / len(lags),
        "cpu_ms": (used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime) * 1000 / len(lags),
        "peak_mb": used.ru_maxrss / 1024,
        "grown_mb": memory.peak - memory.start,
        "images": len(lags),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
