from __future__ import annotations

import pandas as pd
import pytest
from markup import Markup

from imagen_nb.errors import InputError
from imagen_nb.frames.compare import Comparison, place_of
from imagen_nb.records import Run


def test_two_runs_of_a_frame_are_compared(log: pd.DataFrame, runs: list[Run]) -> None:
    """Ids, beginnings of ids, positions and runs all name a run; a frame of two needs no names."""
    for a, b in ((0, -1), (runs[0].id, runs[-1].id), (runs[0], runs[-1])):
        compared = log.imagen.compare(a, b)
        assert (compared.a, compared.b) == (runs[0], runs[-1])
    assert log.iloc[[3, 5]].imagen.compare().a.id == runs[3].id
    assert log.imagen.compare(3, 1, 2).runs == (runs[3], runs[1], runs[2])
    assert log.imagen.compare(a=0, b=1).b == runs[1]
    assert len(log.iloc[:6].imagen.compare().runs) == 6
    assert place_of(log, runs[7].id) == 7
    unique = log.rename(index={runs[4].id: "zebra1"})
    assert place_of(unique, "zeb") == 4


def test_a_comparison_is_a_plain_value_that_shows_itself(log: pd.DataFrame) -> None:
    """Runs and differences are there for other displays; by itself it is static, with the pictures in it."""
    compared = log.imagen.compare(0, 2)
    assert isinstance(compared, Comparison)
    assert [each.name for each in compared.params_diff] == ["aspect_ratio"]
    assert [change.kind for change in compared.prompt_diff] == ["same"]
    shown = compared._repr_mimebundle_()
    assert Markup.of(shown["text/html"]).tags.count("img") == 2
    assert "aspect_ratio  1:1 -> 16:9" in shown["text/plain"]


def test_a_failed_run_can_be_compared_too(log: pd.DataFrame) -> None:
    """One side without an image says why."""
    compared = log.imagen.compare(0, 5)
    assert "Flagged." in compared._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ((), "this frame has 16 runs, and two to 6 are compared"),
        ((0,), "one run is named, and two to 6"),
        (range(7), "7 runs are named, and two to 6"),
        (("0k3v", 1), "16 runs begin with '0k3v'"),
        (("nobody", 1), "no run 'nobody'"),
        ((0, 16), "no run at position 16"),
        ((0, 1.5), "a float names no run"),
        ((0, True), "a bool names no run"),
        (([1], 0), "a list names no run"),
        (("", 0), "no run ''"),
    ],
)
def test_a_run_that_cannot_be_found_is_one_line(log: pd.DataFrame, keys: tuple[object, ...], message: str) -> None:
    """A wrong or ambiguous name is named, with what would do."""
    with pytest.raises(InputError) as caught:
        log.imagen.compare(*keys)
    assert message in caught.value.message
    assert caught.value.hint
