"""A small experiment with real files: two slots, a parameter and two repeats, one of them blocked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sample_runs import frame, image, run

import imagen_nb.accessor  # noqa: F401 - gives frames their .imagen
from imagen_nb.records import Run


def experiment(home: Path, *, experiment: str = "animals", first: int = 0) -> list[Run]:
    """Sixteen runs in `home`; the sixth is blocked."""
    made = []
    for animal in ("fox", "owl"):
        for style in ("oil", "ink"):
            for ratio in ("1:1", "16:9"):
                for repeat in (1, 2):
                    number = first + len(made)
                    is_blocked = len(made) == 5
                    made.append(
                        run(
                            f"a {animal} in {style}",
                            [] if is_blocked else [image(home, number, (64, 64) if ratio == "1:1" else (64, 36))],
                            number=number,
                            template="a {animal} in {style}",
                            slots={"animal": animal, "style": style},
                            params={"aspect_ratio": ratio, "steps": 4},
                            repeat=repeat,
                            experiment=experiment,
                            error="Flagged. (E005) (abc)" if is_blocked else None,
                            error_code="blocked" if is_blocked else None,
                        )
                    )
    return made


@pytest.fixture
def runs(home: Path) -> list[Run]:
    return experiment(home)


@pytest.fixture
def log(runs: list[Run]) -> pd.DataFrame:
    """The experiment as `ws.frame()` gives it."""
    return frame(runs)
