from __future__ import annotations

from markup import Markup
from sample_runs import pixel, run, unseen

from imagen_nb import views as view

CHANGES = [
    view.Change("same", "a "),
    view.Change("removed", "red"),
    view.Change("added", "grey"),
    view.Change("same", " fox"),
]


def test_two_runs_stand_side_by_side_with_what_differs() -> None:
    """Both images, the words that changed, and the settings that differ."""
    a, b = run("a red fox", [unseen(1)], number=1), run("a grey fox", [unseen(2)], number=2)
    shown = view.comparison(a, b, CHANGES, [view.Difference("seed", None, "42")], pixel, same=[("steps", "4")])
    page = Markup.of(shown["text/html"])
    assert page.tags.count("img") == 2
    assert "del" in page.tags
    assert "ins" in page.tags
    for text in (a.id, b.id, "a redgrey fox", "seednot set42", "In both: steps=4"):
        assert text in page.text
    assert "prompt  a [-red-]{+grey+} fox" in shown["text/plain"]
    assert "seed  not set -> 42" in shown["text/plain"]


def test_the_prompts_difference_keeps_every_space_and_line() -> None:
    """The pieces stand together exactly as the prompts have them."""
    a = run("a  red\nfox", [unseen(1)])
    shown = view.comparison(a, a, [view.Change("same", "a  red\nfox")], [], pixel)
    assert ">a  red\nfox</div>" in shown["text/html"]
    assert "The prompt is the same" in shown["text/html"]
    assert "No setting differs" in shown["text/html"]


def test_a_run_without_an_image_says_why_in_a_comparison() -> None:
    """A failed side is explained where its image would be."""
    shown = view.comparison(run(images=[unseen()]), run(error="out of paint"), CHANGES, [], pixel)
    assert "out of paint" in Markup.of(shown["text/html"]).text
    assert "out of paint" in shown["text/plain"]
