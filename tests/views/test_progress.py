from __future__ import annotations

import re

from markup import Markup
from sample_runs import pixel, run, unseen

from imagen_nb.records import Progress
from imagen_nb.views.progress import announcement, live_tile, progress_line, progress_text, render_progress

HALF = Progress(
    120, done=38, succeeded=34, failed=2, canceled=1, skipped=1, in_flight=16, elapsed=48.2, left=110, cost=1.48
)


def test_the_live_view_counts_everything() -> None:
    """Done, failed, canceled, in flight, elapsed, left and cost are said in words, in HTML and as text."""
    shown = render_progress(HALF)
    expected = (
        "37 of 120 done · 2 failed · 1 canceled · 1 skipped · 16 in flight · 48 s elapsed"
        " · about 1 min 50 s left · $1.48 so far"
    )
    assert expected in Markup.of(shown["text/html"]).text
    assert shown["text/plain"] == f"[#######.................] {expected}"


def test_what_was_canceled_is_not_done() -> None:
    """An interrupted sweep says how many ended by themselves, and what they cost is no longer "so far"."""
    ended = Progress(12, done=12, succeeded=8, canceled=4, elapsed=3.0, cost=0.32, state="ended")
    assert progress_line(ended).startswith("8 of 12 done · 4 canceled · ")
    assert progress_line(ended).endswith("$0.32")


def test_a_narrow_terminal_loses_whole_parts() -> None:
    """The bar goes first, then what matters least; the time left and the cost stay, and no figure is ever cut."""
    whole = set(progress_line(HALF).split(" · "))
    assert progress_text(HALF, 200) == progress_text(HALF)
    assert progress_text(HALF, 79) == ("37 of 120 done · 2 failed · 1 canceled · about 1 min 50 s left · $1.48 so far")
    for width in range(14, 160):
        text = progress_text(HALF, width)
        assert len(text) <= width
        assert set(re.sub(r"^\[[#.]{6,24}\] ", "", text).split(" · ")) <= whole
    few = Progress(18, done=4, in_flight=14, elapsed=2.4, left=8.3, cost=0.16)
    assert progress_text(few, 79) == progress_line(few)
    assert progress_text(few, 90) == f"[##........] {progress_line(few)}"


def test_the_bar_is_as_long_as_the_work_done() -> None:
    """The bar's parts are shares of the total."""
    styles = Markup.of(render_progress(Progress(200, done=60, succeeded=50, failed=10))["text/html"]).attributes(
        "style"
    )
    widths = [style.rsplit("width:", 1)[1] for style in styles if style.endswith("%")]
    assert widths == ["25.0%", "0.0%", "5.0%"]


def test_a_wait_that_the_provider_asks_for_is_said() -> None:
    """The user sees why nothing moves, and no false promise of an end."""
    shown = render_progress(Progress(10, state="waiting", message="Resets in 7 s.", left=3.0))["text/plain"]
    assert "The provider asks to wait · Resets in 7 s." in shown
    assert "left" not in shown


def test_nothing_to_do_is_all_done() -> None:
    """A sweep of nothing divides by nothing."""
    assert "0 of 0 done" in render_progress(Progress(0))["text/html"]
    assert progress_text(Progress(0)).startswith("[" + "#" * 24)


def test_a_failure_is_visible_among_the_images() -> None:
    """A run without an image has a tile with its state, its reason as the title."""
    tile = live_tile(run(error="out of paint"), pixel)
    page = Markup.of(render_progress(HALF, [tile])["text/html"])
    assert "failed" in page.text
    assert "a red fox in snow: out of paint" in page.attributes("title")


def test_an_update_is_small_however_large_the_sweep() -> None:
    """A refresh at 1,000 runs is bounded in size."""
    thumb = "data:image/webp;base64," + "A" * 4_600
    tiles = [live_tile(run(images=[unseen(n)]), lambda _image: thumb) for n in range(1_000)]
    progress = Progress(1_000, done=1_000, succeeded=1_000)
    shown = render_progress(progress, tiles)
    assert Markup.of(shown["text/html"]).tags.count("img") == 24
    assert "and 976 earlier ones" in shown["text/html"]
    assert len(shown["text/html"]) < 140_000


def test_each_tile_has_its_place_from_the_start() -> None:
    """What is to come waits in its place, and what came stays there; only the 25th takes the place of the first."""
    tiles = [live_tile(run(f"fox {n}", [unseen(n)]), pixel) for n in range(30)]

    def places(done: int, total: int) -> list[str]:
        page = Markup.of(render_progress(Progress(total, done=done, succeeded=done), tiles[:done])["text/html"])
        assert page.text.count("waiting") == max(0, min(total, 24) - done)
        return page.attributes("alt")

    assert places(0, 4) == []
    assert places(3, 4) == ["fox 0", "fox 1", "fox 2"]
    assert places(25, 60) == ["fox 24", *(f"fox {n}" for n in range(1, 24))]


def test_a_screen_reader_hears_a_few_words() -> None:
    """A sweep of 120 is announced at each quarter, at the first failure, when it has to wait, and at its end."""
    said = [announcement(Progress(120, done=n, succeeded=n - (n > 50), failed=n > 50)) for n in range(120)]
    assert list(dict.fromkeys(said)) == [
        "0 % of 120 requests done",
        "25 % of 120 requests done",
        "25 % of 120 requests done · with failures",
        "50 % of 120 requests done · with failures",
        "75 % of 120 requests done · with failures",
    ]
    assert announcement(Progress(8, state="waiting")) == "0 % of 8 requests done · The provider asks to wait"
    ended = Progress(8, done=8, succeeded=5, failed=2, canceled=1, state="ended", elapsed=3.0)
    assert announcement(ended) == "7 of 8 done · 2 failed · 1 canceled"
