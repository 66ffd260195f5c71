"""How far conclusions can be trusted, over more studies than a test has time for; all with fixed seeds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "judging"))

STUDIES, SWEEPS = 300, 100
KINDS = [(5, 1), (8, 1), (12, 1), (25, 1), (12, 3)]
"""Prompts and votes a pair of simulated studies; the prompts have tastes of their own."""


def measure() -> Iterator[tuple[str, float, float | None]]:
    """Names, figures, and the most that each may be."""
    from test_alarms import STYLES, painted, study
    from test_rankings import count_held, count_held_effects

    from imagen_nb import judging
    from imagen_nb.judging.alarms import find_alarms

    for prompts, per_pair in KINDS:
        held, wrong = count_held(prompts, per_pair, 0.8, STUDIES)
        name = f"{prompts} prompts x {per_pair} votes a pair"
        yield f"intervals of 95 % that hold, {name}", held, 0.98
        yield f"intervals of 95 % that do not, {name}", 1 - held, 0.06
        yield f"null studies that say better, {name}", wrong, 0.05
    for prompts in (5, 12):
        yield (
            f"intervals of effects that do not hold, {prompts} prompts",
            1 - count_held_effects(prompts, STUDIES),
            0.07,
        )

    def is_quiet(swept: tuple[pd.DataFrame, dict[str, Any]]) -> bool:
        return find_alarms(swept[0], ["prompt", "style"], swept[1]).empty

    missed = sum(is_quiet(study(seed, strength=0)) for seed in range(SWEEPS))
    yield f"ignored parameters that are not found, of {SWEEPS}", missed, 5
    for name, levels in (("styles", STYLES), ("a parameter", (2, 5, 9))):
        false = sum(not is_quiet(painted(seed, levels)) for seed in range(SWEEPS))
        yield f"alarms in honest sweeps of the simulator, of {SWEEPS}: {name}", false, 1

    dice = np.random.default_rng(0)
    levels_of, groups = dice.integers(0, 40, (10_000, 2)), dice.integers(0, 500, 10_000)
    votes = pd.DataFrame({"level_a": levels_of[:, 0], "level_b": (levels_of[:, 0] + 1 + levels_of[:, 1] % 39) % 40})
    votes["choice"], votes["group"] = dice.choice(["a", "b", "tie"], 10_000), groups
    began = time.perf_counter()
    judging.ranking(votes)
    yield "seconds for 10,000 votes, 40 levels, 500 prompts", time.perf_counter() - began, 0.5
