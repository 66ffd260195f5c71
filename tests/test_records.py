"""The nouns: values that can be kept, copied, compared and counted like any other."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imagen_nb.planning.plan import plan
from imagen_nb.records import Image, Request, Run, Status


def request(**params: Any) -> Request:
    return Request("a/b", {"prompt": "a fox", **params}, "a {animal}", {"animal": "fox"}, 2)


def image(name: str = "1.png") -> Image:
    return Image(Path("home") / name, "0f" * 32, 640, 480, 1234, "image/png", "https://example.com/1", request())


def run(status: Status = Status.SUCCEEDED, **params: Any) -> Run:
    asked = request(images=["u", {"v": 1}], **params)
    return Run("01J", asked, status, images=(image(),), cost=0.04, created_at=datetime(2026, 1, 1, tzinfo=timezone.utc))


VALUES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "request": (lambda: request(seed=1, size={"w": [1, 2]}), lambda: request(seed=1, size={"w": [2, 1]})),
    "image": (image, lambda: image("2.png")),
    "run": (run, lambda: run(Status.FAILED)),
    "run of another request": (run, lambda: run(seed=2)),
    "plan": (
        lambda: plan("a {x}", model="a/b", x=range(10**7), images=[["u"], ["v"]]),
        lambda: plan("a {x}", model="a/b", x=range(10**7), images=[["u"], ["w"]]),
    ),
    "plan of a table": (
        lambda: plan(pd.DataFrame({"prompt": ["a fox", "an owl"]}), model="a/b", seed=np.arange(2)),
        lambda: plan(pd.DataFrame({"prompt": ["a fox", "an elk"]}), model="a/b", seed=np.arange(2)),
    ),
    "sampled plan": (
        lambda: plan("a {x}", model="a/b", x=range(100), sample=3),
        lambda: plan("a {x}", model="a/b", x=range(100), sample=3, sample_seed=1),
    ),
}


@pytest.mark.parametrize("kind", VALUES)
def test_equal_values_are_one(kind: str) -> None:
    """What is made twice, copied or pickled is the same value, in a set and as a key too; another value is not."""
    make, make_other = VALUES[kind]
    value, other = make(), make_other()
    copies = [make(), copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))]  # noqa: S301 - our own
    assert all(each == value for each in copies)
    assert {value, *copies} == {value}
    assert other != value
    assert {value: "found"}.get(other) is None


def test_numbers_that_are_equal_are_equal_requests() -> None:
    """Hashes agree where values do: 1 and 1.0 are one number, and the order of an input's names says nothing."""
    assert len({request(seed=1, cfg=2), request(cfg=2.0, seed=1.0)}) == 1
