from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markup import Markup
from sample_runs import pixel, run, unseen

from imagen_nb.views.differences import (
    render_comparison,
    setting_differences,
    word_changes,
)


def pieces(a: str, b: str) -> list[tuple[str, str]]:
    return [(change.kind, change.text) for change in word_changes(a, b)]


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
    changes = word_changes(a, b)
    assert "".join(change.text for change in changes if change.kind != "added") == a
    assert "".join(change.text for change in changes if change.kind != "removed") == b
    assert all(change.text for change in changes)


def test_a_long_prompt_is_compared_at_once() -> None:
    """Ten thousand words take no noticeable time."""
    words = " ".join(f"word{n % 500}" for n in range(10_000))
    assert len(word_changes(words, words.replace("word7 ", "other "))) > 2


def test_settings_that_differ_are_listed_by_name() -> None:
    """Model, slots and parameters that differ are listed; one that a run lacks is None."""
    a = run(params={"steps": 4, "seed": 1}, slots={"style": "oil"})
    b = run(params={"steps": 4.0, "guidance": 2.5}, slots={"style": "ink"}, model="a/b")
    found = [(each.name, each.a, each.b) for each in setting_differences([a, b])]
    assert found == [
        ("model", "google/imagen-4", "a/b"),
        ("style", "oil", "ink"),
        ("seed", "1", None),
        ("guidance", None, "2.5"),
    ]


def test_two_runs_are_shown_with_what_differs() -> None:
    """Both images under a slider, the words that changed, the settings that differ and those that do not."""
    a = run("a red fox", [unseen(1)], number=1, params={"steps": 4})
    b = run("a grey fox", [unseen(2)], number=2, params={"steps": 4.0, "seed": 42})
    shown = render_comparison([a, b], pixel)
    page = Markup.of(shown["text/html"])
    assert page.tags.count("img") == 2
    assert "imagen-nb-slide" in page.attributes("class")
    assert "del" in page.tags
    assert "ins" in page.tags
    for text in (a.id, b.id, "a redgrey fox", "seednot set42", "In both: model=google/imagen-4 · steps=4"):
        assert text in page.text
    assert "prompt  a [-red-]{+grey+} fox" in shown["text/plain"]
    assert "seed  not set -> 42" in shown["text/plain"]


def test_the_prompts_difference_keeps_every_space_and_line() -> None:
    """The pieces stand together exactly as the prompts have them."""
    a = run("a  red\nfox", [unseen(1)])
    shown = render_comparison([a, a], pixel)
    assert ">a  red\nfox</div>" in shown["text/html"]
    assert "The prompt is the same" in shown["text/html"]
    assert "No setting differs" in shown["text/html"]


def test_a_run_without_an_image_says_why_in_a_comparison() -> None:
    """A failed side is explained where its image would be."""
    shown = render_comparison([run(images=[unseen()]), run(error="out of paint")], pixel)
    assert "imagen-nb-slide" not in shown["text/html"]
    assert "out of paint" in Markup.of(shown["text/html"]).text
    assert "out of paint" in shown["text/plain"]


def test_three_runs_stand_side_by_side() -> None:
    """Each has its letter and its picture; each other prompt is told from the first, and each setting has a column."""
    words = ("a red fox", "a red fox", "a grey fox")
    several = [run(text, [unseen(n)], number=n, params={"seed": n}) for n, text in enumerate(words)]
    shown = render_comparison(several, pixel)
    page = Markup.of(shown["text/html"])
    assert page.tags.count("img") == 3
    assert "imagen-nb-slide" not in page.attributes("class")
    assert "Prompt, from A to C a redgrey fox Settings that differ settingABC seed012 In all: model" in page.text
    assert "from A to B" not in page.text
    assert "seed  0 -> 1 -> 2" in shown["text/plain"]
