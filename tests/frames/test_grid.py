from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from markup import Markup
from sample_runs import frame, run, unseen

from imagen_nb.errors import InputError
from imagen_nb.frames.grid import axes_of, grid_of, labels, varying
from imagen_nb.frames.runs import Names
from imagen_nb.views.image_grid import Grid


def made(log: pd.DataFrame, rows: Names = None, cols: Names = None, facet: Names = None, **paging: int) -> Grid:
    return grid_of(log, rows, cols, facet, **{"page": 1, "per_page": 100, **paging})


def counts(grid: Grid) -> list[list[list[int]]]:
    return [[[len(cell) for cell in row.cells] for row in facet.rows] for facet in grid.facets]


def test_what_varies_spans_the_grid(log: pd.DataFrame) -> None:
    """Without names, slots and parameters that vary are the axes, and repeats share a cell."""
    grid = made(log)
    assert (grid.facets[0].row_name, grid.facets[0].col_name) == ("animal", "style")
    assert [facet.label for facet in grid.facets] == ["aspect_ratio=1:1", "aspect_ratio=16:9"]
    assert counts(grid) == [[[2, 2], [2, 2]], [[2, 2], [2, 2]]]
    assert grid.note is None


def test_axes_are_any_columns_and_several_together(log: pd.DataFrame) -> None:
    """A list of names makes one axis of their combinations."""
    grid = made(log, rows=["style", "aspect_ratio"], cols="animal")
    assert [row.label for row in grid.facets[0].rows] == ["oil · 1:1", "oil · 16:9", "ink · 1:1", "ink · 16:9"]
    assert made(log, rows="repeat", cols="run_id").facets[0].cols == list(log.index[:12])


def test_runs_that_no_axis_parts_are_pointed_out(log: pd.DataFrame) -> None:
    """A cell that mixes settings says so, and how to part them."""
    grid = made(log, rows="animal", cols="style")
    assert counts(grid) == [[[4, 4], [4, 4]]]
    parted = 'df.imagen.grid(rows="animal", cols="style", facet="aspect_ratio")'
    assert grid.note == f"Cells mix different aspect_ratio; {parted} parts them."


def test_a_combination_that_was_not_run_is_an_empty_cell(log: pd.DataFrame) -> None:
    """Missing cells are there, empty, in their places."""
    part = log[~((log["animal"] == "owl") & (log["style"] == "ink"))]
    assert counts(made(part, "animal", "style")) == [[[4, 4], [4, 0]]]


def test_numbers_and_categories_come_in_their_order_and_what_is_missing_last() -> None:
    """Labels are sorted where that has a meaning, and otherwise stand as they appear."""
    log = pd.DataFrame({"n": [10, 9, None], "c": pd.Categorical(["b", "a", "b"], ["b", "a"]), "t": ["z", "a", "z"]})
    assert labels(log, ["n"]).texts == ["9", "10", "not set"]
    assert labels(log, ["c"]).texts == ["b", "a"]
    assert labels(log, ["t"]).texts == ["z", "a"]
    assert list(labels(log, ["t"]).codes) == [0, 1, 0]


@pytest.mark.parametrize(
    ("items", "texts"),
    [
        (pd.to_datetime(["2025-03-02", "2025-03-01", None]), ["2025-03-01 00:00:00", "2025-03-02 00:00:00", "not set"]),
        (pd.to_datetime(["2025-03-02", "2025-03-01"], utc=True).date, ["2025-03-01", "2025-03-02"]),
        (pd.to_timedelta([90, 5], "s"), ["0 days 00:00:05", "0 days 00:01:30"]),
        (pd.PeriodIndex(["2025-03", "2024-12"], freq="M"), ["2024-12", "2025-03"]),
        (pd.arrays.IntervalArray.from_tuples([(2, 10), (0, 2)]), ["(0, 2]", "(2, 10]"]),
        (pd.cut([9.0, 1.0, 3.0], [0, 2, 4, 10]), ["(0, 2]", "(2, 4]", "(4, 10]"]),
        ([pd.Period("2025-03", "M"), pd.Period("2024-12-01", "D")], ["2025-03", "2024-12-01"]),
    ],
)
def test_dates_and_intervals_come_in_their_order(items: Any, texts: list[str]) -> None:
    """An axis of times or ranges runs from the first to the last, in plain words."""
    assert labels(pd.DataFrame({"when": items}), ["when"]).texts == texts


def test_a_column_that_says_nothing_new_is_no_axis(log: pd.DataFrame) -> None:
    """Constants, a prompt that its slots decide, zipped columns and a value different in every run are left out."""
    log = log.assign(mood=log["style"].map({"oil": "warm", "ink": "cool"}), score=range(len(log)))
    assert varying(log) == ["animal", "style", "aspect_ratio"]


def test_a_set_of_prompts_is_one_axis_however_long() -> None:
    """Two hundred prompts on two models are two hundred rows of two columns, in pages."""
    runs = [run(f"prompt {n}", [unseen(n)], model=f"a/{m}", number=n) for n in range(200) for m in "xy"]
    grid = made(frame(runs))
    assert (grid.facets[0].row_name, list(grid.facets[0].cols)) == ("prompt", ["a/x", "a/y"])
    assert len(grid.facets[0].rows) == 50
    assert grid.note == (
        'Page 1 of 4 (50 of 200 rows); df.imagen.grid(rows="prompt", cols="model", page=2) shows the next.'
    )


def test_one_setting_that_varies_is_the_columns() -> None:
    """A single short axis lies side by side."""
    runs = [run(f"a {x}", [unseen()], template="a {x}", slots={"x": x}) for x in ("fox", "owl")]
    grid = made(frame(runs))
    assert (grid.facets[0].row_name, grid.facets[0].col_name, counts(grid)) == ("", "x", [[[1, 1]]])


def test_one_run_of_another_prompt_leaves_the_slots_the_axes() -> None:
    """A stray run in a sweep is a row and a column more: the sweep's grid is not torn apart by the prompt."""
    runs = [
        run(f"a {x} {y}", [unseen(x + y)], template="a {x} {y}", slots={"x": x, "y": y})
        for x in ("fox", "owl")
        for y in ("oil", "ink")
    ]
    grid = made(frame([*runs, run("a boat", [unseen("boat")])]))
    assert (grid.facets[0].row_name, grid.facets[0].col_name) == ("x", "y")


def test_repeats_alone_share_one_cell() -> None:
    """Where nothing varies there is one cell."""
    assert counts(made(frame([run(images=[unseen(n)], repeat=n) for n in range(1, 4)]))) == [[[3]]]


def test_pages_hold_whole_rows_and_miss_nothing() -> None:
    """Every run is on exactly one page."""
    runs = [
        run(f"a {x}", [unseen(x)], template="a {x}", slots={"x": str(x)}, params={"y": y}, number=x * 9 + y)
        for x in range(30)
        for y in range(9)
    ]
    log = frame(runs)
    pages = [made(log, "x", "y", page=page, per_page=100) for page in (1, 2, 3)]
    seen = [
        one.id for page in pages for facet in page.facets for row in facet.rows for cell in row.cells for one in cell
    ]
    assert sorted(seen) == sorted(each.id for each in runs)
    assert [len(page.facets[0].rows) for page in pages] == [11, 11, 8]
    assert "page=1" in (pages[2].note or "")
    with pytest.raises(InputError, match="there is no page 4"):
        made(log, "x", "y", page=4)


def test_repeats_are_as_many_as_leave_the_grid_on_one_page(log: pd.DataFrame) -> None:
    """Ten by ten with ten repeats is one page; `per_cell` shows more of them in more, and the hint is the call."""
    every = [(x, y, n) for x in "abcdefghij" for y in "abcdefghij" for n in range(1, 11)]
    runs = [
        run(f"a {x} {y}", [unseen(x + y + str(n))], slots={"x": x, "y": y}, template="a {x} {y}", repeat=n)
        for x, y, n in every
    ]
    grid = made(frame(runs))
    assert (grid.per_cell, len(grid.facets[0].rows)) == (1, 10)
    assert grid.note == 'Cells show 1 of up to 10 pictures; df.imagen.grid(rows="x", cols="y", per_cell=10) shows all.'
    some = made(frame(runs), per_cell=3)
    assert len(some.facets[0].rows) == 3
    assert some.note == (
        'Page 1 of 4 (3 of 10 rows); df.imagen.grid(rows="x", cols="y", per_cell=3, page=2) shows the next.'
    )
    page = Markup.of(log.imagen.grid("animal", "style", per_cell=3, size=90).html)
    assert page.text.count("+1") == 3
    assert page.tags.count("img") == 12
    assert {*page.attributes("width"), *page.attributes("height")} <= {"64", "36"}
    with pytest.raises(InputError, match="size cannot be 2000"):
        log.imagen.grid(size=2000)


def test_several_experiments_are_a_grid_each_of_what_they_vary() -> None:
    """No cell is empty for what an experiment never meant to run, and runs of none stand by themselves."""
    foxes = [
        run(f"a {a} in {s}", [unseen(a + s)], template="a {a} in {s}", slots={"a": a, "s": s}, experiment="animals")
        for a in ("fox", "owl")
        for s in ("oil", "ink")
    ]
    towns = [
        run(f"{t} in {s}", [unseen(t + s)], template="{t} in {s}", slots={"t": t, "s": s}, experiment="towns")
        for t in ("Oslo", "Lima")
        for s in ("ink", "fog")
    ]
    loose = [run(prompt, [unseen(prompt)]) for prompt in ("a bear", "a hare")]
    log = frame([*foxes, *towns, *loose])
    grid = made(log)
    assert [(each.label, each.row_name, each.col_name) for each in grid.facets] == [
        ("experiment=animals", "a", "s"),
        ("experiment=towns", "t", "s"),
        ("no experiment", "", "template"),
    ]
    assert [[row.label for row in each.rows] for each in grid.facets] == [["fox", "owl"], ["Oslo", "Lima"], [""]]
    assert counts(grid) == [[[1, 1], [1, 1]], [[1, 1], [1, 1]], [[1, 1]]]
    assert grid.note is None
    again = frame([run(each.request.prompt, [unseen(n)], experiment=e) for e in "xy" for n, each in enumerate(loose)])
    assert (axes_of(again).rows, axes_of(again).cols, axes_of(again).facet) == (["experiment"], ["prompt"], [])


def test_too_many_columns_are_cut_and_said() -> None:
    """A grid is never wider than a notebook can bear."""
    runs = [run(f"a {x}", [unseen(x)], template="a {x}", slots={"x": str(x)}) for x in range(40)]
    grid = made(frame(runs), cols="x", rows=[])
    assert len(grid.facets[0].cols) == 12
    assert "12 of 40 columns are shown" in (grid.note or "")


def test_facets_are_told_apart_by_their_titles() -> None:
    """Each title has the values that are set, each cut by itself, and a number where that makes two the same."""
    log = pd.DataFrame(
        {"prompt": "a", "status": "failed", "image": None, "style": ["oil", None, "z" * 90 + "1", "z" * 90 + "2"]}
    )
    log = log.assign(ratio=["1:1", "16:9", None, None])
    grid = made(log, rows=[], cols=[], facet=["style", "ratio"])
    z = "style=" + "z" * 59 + "…"
    assert [facet.label for facet in grid.facets] == ["style=oil, ratio=1:1", f"{z} (1)", f"{z} (2)", "ratio=16:9"]
    assert [facet.label for facet in made(log.assign(style=None), rows=[], cols=[], facet="style").facets] == [
        "style: not set"
    ]


def test_a_facet_has_the_columns_that_occur_in_it() -> None:
    """Where facets have few columns in common, each shows its own, twelve at most."""
    log = frame(
        [run(f"{t} {n}", slots={"t": t, "n": n + i * 20}, number=n) for i, t in enumerate("abc") for n in range(14)]
    )
    grid = made(log, rows=[], cols="n", facet="t")
    assert [list(facet.cols) for facet in grid.facets] == [[str(n + i * 20) for n in range(12)] for i in range(3)]
    assert counts(grid) == [[[1] * 12]] * 3
    assert grid.note == "12 of 14 columns are shown; filter the frame, or swap rows= and cols=."
    alike = frame([run(slots={"t": t, "n": n}) for t, n in ("a1", "a2", "b2")])
    assert [list(facet.cols) for facet in made(alike, rows=[], cols="n", facet="t").facets] == [["1", "2"]] * 2


@pytest.mark.parametrize(
    ("axes", "message", "hint"),
    [
        ({"rows": "stile"}, "rows='stile' is not a column", "Did you mean style?"),
        ({"cols": ["style", "zzzz"]}, "cols='zzzz' is not a column", "The columns are"),
        ({"rows": "style", "facet": "style"}, "'style' is asked for as two axes", "its own"),
    ],
)
def test_a_wrong_axis_is_one_line_with_a_guess(
    log: pd.DataFrame, axes: dict[str, Names], message: str, hint: str
) -> None:
    """A column that is not there is named, with the one that was probably meant."""
    with pytest.raises(InputError) as caught:
        axes_of(log, axes.get("rows"), axes.get("cols"), axes.get("facet"))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_the_accessor_shows_the_grid_with_real_thumbnails(log: pd.DataFrame) -> None:
    """Fifteen images and one reason, in a cell and in a terminal."""
    shown = log.imagen.grid()
    page = Markup.of(shown.html)
    assert page.tags.count("img") == 15
    assert all(source.startswith("data:image/webp;base64,") for source in page.attributes("src"))
    assert "Flagged. (E005)" in page.text
    assert repr(shown) == shown.text
    assert "1 image, 1 blocked" in shown.text
    assert shown._repr_mimebundle_() == {"text/plain": shown.text, "text/html": shown.html}
