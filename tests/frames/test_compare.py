from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markup import Markup
from sample_runs import run

from imagen_nb.errors import InputError
from imagen_nb.frames import Comparison
from imagen_nb.frames.compare import place_of, prompt_diff, settings_diff
from imagen_nb.records import Run


def pieces(a: str, b: str) -> list[tuple[str, str]]:
    return [(change.kind, change.text) for change in prompt_diff(a, b)]


def test_prompts_differ_by_whole_words() -> None:
    """Changed words are marked whole, and neighbours as one change."""
    assert pieces("a red fox sitting in snow", "a red fox leaping over snow") == [
        ("same", "a red fox "),
        ("removed", "sitting in"),
        ("added", "leaping over"),
        ("same", " snow"),
    ]


def test_equal_prompts_have_one_piece_and_empty_ones_none() -> None:
    """No difference is no mark."""
    assert pieces("a fox", "a fox") == [("same", "a fox")]
    assert pieces("", "") == []
    assert pieces("", "a fox") == [("added", "a fox")]


def test_scripts_without_spaces_differ_by_character() -> None:
    """A Japanese or Chinese prompt is not one single word."""
    assert pieces("雪の中の狐", "雪の中の犬") == [("same", "雪の中の"), ("removed", "狐"), ("added", "犬")]


@given(st.text("ab \n,雪"), st.text("ab \n,雪"))
def test_the_pieces_join_to_both_prompts(a: str, b: str) -> None:
    """Nothing is lost or invented by the difference, whatever the prompts."""
    changes = prompt_diff(a, b)
    assert "".join(change.text for change in changes if change.kind != "added") == a
    assert "".join(change.text for change in changes if change.kind != "removed") == b
    assert all(change.text for change in changes)


def test_a_long_prompt_is_compared_at_once() -> None:
    """Ten thousand words take no noticeable time."""
    words = " ".join(f"word{n % 500}" for n in range(10_000))
    assert len(prompt_diff(words, words.replace("word7 ", "other "))) > 2


def test_settings_differ_by_name() -> None:
    """Model, slots and parameters that differ are listed; one that a run lacks is None."""
    a = run(params={"steps": 4, "seed": 1}, slots={"style": "oil"})
    b = run(params={"steps": 4.0, "guidance": 2.5}, slots={"style": "ink"}, model="a/b")
    found = [(each.name, each.a, each.b) for each in settings_diff(a, b)]
    assert found == [
        ("model", "google/imagen-4", "a/b"),
        ("style", "oil", "ink"),
        ("seed", "1", None),
        ("guidance", None, "2.5"),
    ]


def test_two_runs_of_a_frame_are_compared(log: pd.DataFrame, runs: list[Run]) -> None:
    """Ids, beginnings of ids, positions and runs all name a run; a frame of two needs no names."""
    for a, b in ((0, -1), (runs[0].id, runs[-1].id), (runs[0], runs[-1])):
        compared = log.imagen.compare(a, b)
        assert (compared.a, compared.b) == (runs[0], runs[-1])
    assert log.iloc[[3, 5]].imagen.compare().a.id == runs[3].id
    assert place_of(log, runs[7].id) == 7
    unique = log.rename(index={runs[4].id: "zebra1"})
    assert place_of(unique, "zeb") == 4


def test_a_comparison_is_a_plain_value_that_shows_itself(log: pd.DataFrame, runs: list[Run]) -> None:
    """Runs, differences and image files are there for other displays; by itself it is static."""
    compared = log.imagen.compare(0, 2)
    assert isinstance(compared, Comparison)
    assert (compared.image_a, compared.image_b) == (runs[0].images[0].path, runs[2].images[0].path)
    assert [each.name for each in compared.params_diff] == ["aspect_ratio"]
    assert [change.kind for change in compared.prompt_diff] == ["same"]
    assert all(source.startswith("data:image/webp;base64,") for source in compared.sources(64))
    shown = compared._repr_mimebundle_()
    assert Markup.of(shown["text/html"]).tags.count("img") == 2
    assert "aspect_ratio  1:1 -> 16:9" in shown["text/plain"]


def test_a_failed_run_can_be_compared_too(log: pd.DataFrame) -> None:
    """One side without an image says why."""
    compared = log.imagen.compare(0, 5)
    assert compared.image_b is None
    assert compared.sources()[1] == ""
    assert "Flagged." in compared._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ((), "this frame has 16 runs, and two are compared"),
        ((0,), "one run is named"),
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
