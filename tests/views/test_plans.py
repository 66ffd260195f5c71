from __future__ import annotations

from markup import Markup

from imagen_nb.planning.plan import plan
from imagen_nb.views.plans import render_plan
from imagen_nb.views.words import TIMES

MODEL = "google/imagen-4"


def test_a_plan_shows_axes_product_cost_and_prompts() -> None:
    """Before anything is sent one sees how many, along which axes, for how much, and the first prompts."""
    asked = plan(
        "a {animal} in {style}",
        model=MODEL,
        animal=["fox", "owl"],
        style=["oil", "ink"],
        aspect_ratio=["1:1", "16:9"],
        repeat=3,
        output_format="png",
    )
    shown = render_plan(asked, notes=["More than 20."])
    page = Markup.of(shown["text/html"]).text
    for text in (
        "24 requests · about $0.96",
        "animal",
        "fox",
        "parameter",
        f"2 {TIMES} 2 {TIMES} 2 {TIMES} 3 repeats = 24",
        "output_format=png",
    ):
        assert text in page
    assert "a fox in oil" in page
    assert "More than 20." in page
    assert "Nothing has been sent." in page
    assert shown["text/plain"].splitlines()[0] == "24 requests · about $0.96"
    assert "3 repeats = 24" in shown["text/plain"]
    assert "  > a fox in ink" in shown["text/plain"]


def test_a_plan_of_ten_million_is_shown_unexpanded() -> None:
    """Nothing is expanded to be looked at."""
    asked = plan("a {x} {y}", model=MODEL, x=[str(n) for n in range(10_000)], y=[str(n) for n in range(1_000)])
    shown = render_plan(asked)
    assert "10,000,000 requests" in shown["text/plain"]
    assert "and 9,988 more" in shown["text/plain"]
    assert len(shown["text/html"]) < 12_000


def test_zipped_axes_count_once() -> None:
    """Axes that move together are one factor."""
    asked = plan("a {x} {y}", model=MODEL, x=["a", "b"], y=["c", "d"], zipped=[("x", "y")], repeat=2)
    page = Markup.of(render_plan(asked)["text/html"]).text
    assert f"2 {TIMES} 2 repeats = 4" in page
    assert "slot · with y" in page


def test_a_sample_says_what_it_is_a_sample_of() -> None:
    """A random subset names the whole."""
    asked = plan("a {x} {y}", model=MODEL, x=[str(n) for n in range(10)], y=[str(n) for n in range(10)], sample=12)
    assert "a random 12 of 100" in Markup.of(render_plan(asked)["text/html"]).text


def test_an_unknown_price_is_said() -> None:
    """No estimate is shown where there is none."""
    assert "price unknown" in render_plan(plan("a fox", model="nobody/knows"))["text/plain"]
