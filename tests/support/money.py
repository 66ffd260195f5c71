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

from acts import fin, rst
from origin import Origin

from imagen_nb.workspace import Workspace

MODEL = "google/imagen-4"
LIST_LAG_S = 2.0
BAD_LUCK = 0.08
"""The share of creates that are dropped before they are processed, and of those that are dropped after it."""
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


def drop_creates(api: Origin, chance: float = BAD_LUCK) -> None:
    """Drop creates unprocessed, and others when they are processed, each with that chance."""
    api.fault("create", instead=[fin], chance=chance)
    api.fault("create", after=[rst], chance=chance)


def scored(who: str, wanted: int, run: Callable[[Origin], int]) -> Score:
    """The score of something that gives the number of images it got from a provider on a bad day."""
    with Origin(latency=0.05, seed=1, token=TOKEN, list_lag=LIST_LAG_S) as api:
        drop_creates(api)
        began = time.monotonic()
        images = run(api)
        return Score(who, wanted, len(api.bills), images, time.monotonic() - began)


def ours(home: Path, wanted: int, *, jobs: int) -> Score:
    """A sweep of different requests, as anybody runs one; the list may lag for 4 s."""

    def run(api: Origin) -> int:
        with Workspace(home, provider=api.base_url, token=TOKEN, jobs=jobs, settle_s=4.0) as workspace:
            workspace.run(workspace.plan("fox {n}", n=[str(n) for n in range(wanted)]), experiment="money")
            frame = workspace.frame()
            assert set(frame.prediction_id.dropna()) == {bill.id for bill in api.bills}
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


def _images(api: Origin, wanted: int, tries: int) -> int:
    client = _client(api.base_url)

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
    print(json.dumps(asdict(scored(who, wanted, lambda api: _images(api, wanted, tries)))))


if __name__ == "__main__":
    main()
