"""The same requests against the same bad luck, by this package and by the official client as people use it.

`python money.py WANTED TRIES` scores the official client, which leaves connections open, in a process of its own, and
prints its score as JSON; `python money.py BASE_URL` makes one image with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from origin import picture

from imagen_nb.simulator import Faults, Simulator
from imagen_nb.workspace import Workspace

MODEL = "google/imagen-4"
LIST_LAG_S = 2.0
BAD_LUCK = Faults(drop_before=0.08, drop_after=0.08, list_lag_s=LIST_LAG_S)
TOKEN = "money"


@dataclass(frozen=True, slots=True)
class Score:
    """What `wanted` images came to."""

    who: str
    wanted: int
    bills: int
    images: int
    seconds: float

    @property
    def lost(self) -> int:
        """How many were asked for and not had."""
        return self.wanted - self.images

    def __str__(self) -> str:
        return (
            f"{self.who:42} {self.wanted:4} wanted  {self.bills:4} billed  {self.images:4} images  "
            f"{self.lost:3} lost  {self.seconds:5.1f} s"
        )


def dot(_width: int, _height: int, fmt: str, **_: Any) -> bytes:
    """Paints a small picture in no time."""
    return picture("PNG" if fmt == "png" else "JPEG")


def scored(who: str, wanted: int, run: Callable[[Simulator], int], faults: Faults = BAD_LUCK) -> Score:
    """The score of something that gives the number of images it got from a simulator."""
    with Simulator(latency=0.05, seed=1, token=TOKEN, faults=faults, paint=dot) as simulator:
        began = time.monotonic()
        images = run(simulator)
        return Score(who, wanted, len(simulator.predictions), images, time.monotonic() - began)


def ours(home: Path, wanted: int, *, jobs: int) -> Score:
    """A sweep of different requests, as anybody runs one; the list may lag for 4 s."""

    def run(simulator: Simulator) -> int:
        with Workspace(home, provider=simulator.base_url, token=TOKEN, jobs=jobs, settle_s=4.0) as workspace:
            workspace.run(workspace.plan("fox {n}", n=[str(n) for n in range(wanted)]), experiment="money")
            frame = workspace.frame()
            assert set(frame.prediction_id.dropna()) == {each["id"] for each in simulator.predictions}
            assert workspace.log.verify() == []
            return int((frame.status == "succeeded").sum())

    return scored("imagen_nb", wanted, run)


def official(*arguments: object) -> dict[str, Any]:
    """What the official client says in a process of its own, with the arguments of `main`."""
    command = [sys.executable, "-W", "ignore", __file__, *map(str, arguments)]
    said: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    return said


def official_score(wanted: int, *, tries: int) -> Score:
    """The official client in a loop, with a plain `try` around it where there is more than one try."""
    return Score(**official(wanted, tries))


def _client(base_url: str) -> Any:
    import replicate

    return replicate.Client(api_token=TOKEN, base_url=base_url)


def _image(client: Any, prompt: str) -> bytes:
    from replicate.helpers import FileOutput

    output = client.run(MODEL, input={"prompt": prompt})
    return FileOutput(str(output), client).read()  # which run() makes of https URLs by itself


def _images(simulator: Simulator, wanted: int, tries: int) -> int:
    client = _client(simulator.base_url)

    def one(number: int) -> bool:
        for _ in range(tries):
            try:
                return bool(_image(client, f"fox {number}"))
            except Exception:  # noqa: BLE001, S112 - as people write it
                continue
        return False

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(one, range(wanted)))


def main() -> None:
    if len(sys.argv) == 2:
        print(json.dumps({"bytes": len(_image(_client(sys.argv[1]), "a fox"))}))
        return
    wanted, tries = int(sys.argv[1]), int(sys.argv[2])
    who = f"replicate {version('replicate')}, {'no retry' if tries == 1 else 'a naive retry'}"
    print(json.dumps(asdict(scored(who, wanted, lambda simulator: _images(simulator, wanted, tries)))))


if __name__ == "__main__":
    main()
