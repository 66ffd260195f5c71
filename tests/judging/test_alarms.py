"""Alarms: what was ignored is found, and honest sweeps are left in peace."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from imagen_nb.judging.alarms import find_alarms, glance
from imagen_nb.records import NOT_AS_ASKED
from imagen_nb.simulator.painter import paint

STYLES, ANIMALS = ("oil", "ink", "wash"), ("fox", "owl", "cat", "dog")


def sweep(look: Any, levels: tuple[Any, ...] = STYLES) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Four prompts, three levels, two repeats; `look(prompt, level)` is the picture of 8 x 9 pixels."""
    cells = list(product(ANIMALS, levels, (1, 2)))
    frame = pd.DataFrame(cells, columns=["prompt", "style", "repeat"], index=[f"run{n}" for n in range(len(cells))])
    frame["sha256"] = [f"{n:064x}" for n in range(len(cells))]
    looks = {digest: look(*cell[:2]) for digest, cell in zip(frame["sha256"], cells, strict=True)}
    return frame.assign(status="succeeded", width=64, height=64, error=None, error_code=None), looks


def study(seed: int, *, strength: float) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Pictures of noise about what the prompt and, with a strength, the level of it have to show."""
    dice = np.random.default_rng(seed)
    subject: dict[Any, Any] = {
        each: dice.normal(0, 30 if len(each) == 1 else strength, (8, 9, 3))
        for each in [*((animal,) for animal in ANIMALS), *product(ANIMALS, STYLES)]
    }
    return sweep(
        lambda prompt, level: 128 + subject[(prompt,)] + subject[prompt, level] + dice.normal(0, 25, (8, 9, 3))
    )


def painted(seed: int, levels: tuple[Any, ...]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What the simulator paints of such a sweep: the levels are styles in the prompt, or values of a parameter."""
    variations = iter(range(100))

    def look(animal: str, level: Any) -> Any:
        prompt, params = f"a {animal}, no. {seed}", {"aspect_ratio": "1:1", "guidance": 5}
        prompt, params = (
            (f"{prompt} in {level}", params) if level in STYLES else (prompt, {**params, "guidance": level})
        )
        words: Mapping[str, Any] = {"prompt": prompt, "model": "google/imagen-4", "params": params}
        made = paint(256, 256, "jpg", variation=f"{seed}/{next(variations)}", **words)
        return glance(Pillow.open(io.BytesIO(made)))

    return sweep(look, levels)


def test_an_ignored_parameter_is_found_in_95_of_100_sweeps() -> None:
    """Four prompts, three levels, two repeats, and pictures that only differ as repeats do."""
    found = [
        find_alarms(frame, ["prompt", "style"], looks) for frame, looks in (study(n, strength=0) for n in range(200))
    ]
    assert sum("ignored" in set(each["alarm"]) for each in found) >= 190
    assert set(pd.concat(found)["alarm"]) == {"ignored"}
    assert "style (oil, ink, wash) made no difference to the pictures in 4 groups" in set(pd.concat(found)["said"])


def test_a_parameter_that_did_something_is_left_in_peace() -> None:
    """As little as half of what parts two repeats is seen in 99 of 100."""
    found = [
        find_alarms(*(frame, ["prompt", "style"], looks))
        for frame, looks in (study(n, strength=18) for n in range(200))
    ]
    assert sum(map(len, found)) <= 2


@pytest.mark.parametrize("levels", [STYLES, (2, 5, 9)], ids=["styles", "parameter"])
def test_honest_sweeps_of_the_simulator_give_no_alarm(levels: tuple[Any, ...]) -> None:
    """A style in the prompt and a parameter beside it both show in what it paints; the bench has more of them."""
    for seed in range(8):
        frame, looks = painted(seed, levels)
        assert find_alarms(frame, ["prompt", "style"], looks).empty


def test_each_alarm_names_its_runs() -> None:
    """A wrong shape, a blank picture, the same bytes, near pictures, another model, a level that fails."""
    frame, looks = study(1, strength=18)
    frame["aspect_ratio"] = "16:9"
    frame.loc[frame.index[1:], ["width", "height"]] = [1600, 900]
    frame.loc["run3", "sha256"] = frame.loc["run9", "sha256"]  # other inputs
    frame.loc["run11", "sha256"] = frame.loc["run10", "sha256"]  # a repeat
    looks[frame.loc["run5", "sha256"]] = looks[frame.loc["run12", "sha256"]] + 1
    frame.loc["run7", ["error", "error_code"]] = ["some/model answered", NOT_AS_ASKED]
    made = find_alarms(frame, ["prompt", "style"], looks, [frame.loc["run2", "sha256"]])
    found = {(alarm, sure): runs for alarm, runs, sure in zip(made["alarm"], made["runs"], made["sure"], strict=True)}
    assert found == {
        ("reply", "certain"): ["run7"],
        ("shape", "certain"): ["run0"],
        ("blank", "certain"): ["run2"],
        ("same", "certain"): ["run3", "run9"],
        ("repeats", "certain"): ["run10", "run11"],
        ("same", "likely"): ["run5", "run12"],
    }
    failed = pd.concat([frame.assign(style=style).add_suffix(f"-{style}", axis=0) for style in STYLES])
    failed.loc[failed["style"] == "ink", "status"] = ["failed"] * 20 + ["succeeded"] * 4
    (alarm,) = find_alarms(failed, ["prompt", "style"], {}).query("alarm == 'failing'").itertuples()
    assert alarm.said == "style 'ink': 20 of 24 failed, and 0 of the 48 others"
    assert len(alarm.runs) == 20


def test_what_is_not_meant_to_change_a_picture_is_no_alarm() -> None:
    """The format of the file, and a parameter that changes the size."""
    frame, looks = study(2, strength=0)
    assert find_alarms(frame.rename(columns={"style": "output_format"}), ["prompt", "output_format"], looks).empty
    frame["width"] = frame["style"].map({"oil": 64, "ink": 128, "wash": 96})
    assert find_alarms(frame, ["prompt", "style"], looks).empty
