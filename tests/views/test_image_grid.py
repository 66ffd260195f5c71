from __future__ import annotations

from pathlib import Path

from markup import Markup
from sample_runs import pixel, run, unseen

from imagen_nb.views.image_grid import Facet, Grid, GridRow, box_for, render_grid
from imagen_nb.views.pictures import below

BLOCKED = run(error="Flagged. (E005) (abc)", error_code="blocked")


def a_grid(*cells: list[object], note: str | None = None) -> Grid:
    rows = [GridRow("oil", cells[:2]), GridRow("ink", cells[2:])]  # type: ignore[arg-type] - runs
    return Grid([Facet("", rows, ["fox", "owl"], "style", "animal")], note)


def test_a_grid_has_its_axes_and_every_image() -> None:
    """Rows, columns and their names are labelled, and each image stands in its cell."""
    shown = render_grid(a_grid(*[[run(images=[unseen(n)])] for n in range(4)]), pixel)
    page = Markup.of(shown["text/html"])
    assert page.tags.count("img") == 4
    assert [attrs["scope"] for tag, attrs in page.elements if tag == "th"] == ["col", "col", "row", "row"]
    for label in ("fox", "owl", "oil", "ink", "style\xa0↓", "animal\xa0→"):
        assert label in "".join(page.texts)
    assert shown["text/plain"].splitlines() == ["     fox      owl", "oil  1 image  1 image", "ink  1 image  1 image"]


def test_a_cell_without_an_image_says_why() -> None:
    """A block shows its reason, and a combination that nobody ran says so."""
    page = Markup.of(
        render_grid(a_grid([run(images=[unseen()])], [BLOCKED], [], [run(error="out of paint")]), pixel)["text/html"]
    )
    for text in ("blocked", "Flagged. (E005)", "no run", "out of paint"):
        assert text in page.text


def test_repeats_share_a_cell_and_like_failures_are_counted() -> None:
    """Four repeats are four images in one cell; three alike refusals are one remark."""
    four = run(images=[unseen(n) for n in range(4)])
    shown = render_grid(a_grid([four], [BLOCKED] * 3, [four, BLOCKED], []), pixel)
    page = Markup.of(shown["text/html"])
    assert page.tags.count("img") == 8
    assert "3 blocked" in page.text
    assert "4 images, 1 blocked" in shown["text/plain"]


def test_a_reason_fits_its_cell_and_ends_in_an_ellipsis() -> None:
    """The narrower the cell, the shorter its reason; nothing is cut by the cell's edge."""
    failed = run(error="the model stopped with an error " * 9)
    wide, crowded = ([[failed], [], [], []], [[failed, run(images=[unseen()])], [], [], []])
    remarks = [render_grid(a_grid(*cells), pixel)["text/html"] for cells in (wide, crowded)]  # type: ignore[arg-type] - runs
    texts = [next(text for text in Markup.of(html).texts if "the model" in text) for html in remarks]
    assert all(text.endswith("…") for text in texts)
    assert len(texts[1]) < len(texts[0]) < 110
    assert "max-height" not in remarks[0]


def test_a_crowded_cell_is_capped_and_says_so() -> None:
    """No cell grows without bound."""
    page = Markup.of(render_grid(a_grid([run(images=[unseen(n)]) for n in range(30)], [], [], []), pixel)["text/html"])
    assert page.tags.count("img") == 12
    assert "+18" in page.text


def test_facets_are_titled_and_the_note_comes_last() -> None:
    """Several matrices each have their title; what was left out is said at the end."""
    facets = [Facet(f"ratio={n}", [GridRow("oil", [[run(images=[unseen(n)])]])], ["fox"]) for n in range(2)]
    shown = render_grid(Grid(facets, "Page 1 of 2."), pixel)
    assert "ratio=0" in shown["text/plain"]
    assert shown["text/plain"].endswith("Page 1 of 2.")
    assert Markup.of(shown["text/html"]).text.endswith("Page 1 of 2.")


def test_cells_narrow_as_columns_become_many() -> None:
    """A wide grid stays readable."""
    assert box_for(3) > box_for(6) > box_for(12)


def test_an_image_in_a_grid_costs_little_more_than_its_thumbnail() -> None:
    """What surrounds each image leaves room in its 16 kB."""
    cols = [f"c{n}" for n in range(10)]
    rows = [GridRow(f"r{n}", [[run(images=[unseen(n * 10 + m)])] for m in range(10)]) for n in range(10)]
    shown = render_grid(
        Grid([Facet("", rows, cols, "x", "y")]),
        lambda _image: "data:image/webp;base64,",
        link=below(Path("/home/me")),
    )
    assert len(shown["text/html"]) / 100 < 1_400
