"""A process that dies in mid-sweep owes nothing extra and has lost nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sweeping

from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

COUNT = 60


def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def settled(home: Path, base_url: str, count: int) -> Any:
    """The log after the experiment was gone on with in this process."""
    with Workspace(home, provider=base_url, settle_s=1.0) as workspace:
        workspace.run(sweeping.plan(workspace, count), experiment=sweeping.EXPERIMENT, resume=True)
        assert workspace.log.verify() == []
        return workspace.frame()


def test_a_sweep_killed_half_way_is_resumed_without_paying_twice(home: Path) -> None:
    """SIGKILL in the middle, then --resume: as many predictions and rows as were asked for, all succeeded."""
    with Simulator(latency=0.3) as simulator:
        process = sweeping.started(home, simulator.base_url, COUNT, 8)
        until(lambda: len(simulator.predictions) >= COUNT // 2)
        process.kill()
        process.wait()
        frame = settled(home, simulator.base_url, COUNT)
        assert len(simulator.predictions) == COUNT
        assert len(frame) == COUNT
        assert set(frame.status) == {"succeeded"}
        assert set(frame.prediction_id) == {each["id"] for each in simulator.predictions}


@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_killed_again_and_again_still_pays_once(home: Path, seed: int) -> None:
    """SIGKILL at random moments, several times: each request is billed once and has one row."""
    moments = random.Random(seed)  # noqa: S311 - repeatable, not secret
    with Simulator(latency=0.2) as simulator:
        for _ in range(3):
            process = sweeping.started(home, simulator.base_url, COUNT, 8)
            already = len(simulator.predictions)
            until(lambda already=already, process=process: len(simulator.predictions) > already or process.poll() == 0)
            time.sleep(moments.random() * 0.8)
            process.kill()
            process.wait()
        frame = settled(home, simulator.base_url, COUNT)
        assert (len(simulator.predictions), len(frame)) == (COUNT, COUNT)
        assert set(frame.status) == {"succeeded"}
