"""A frame as a matrix of runs: pivoted, cut into pages, and only then looked at row by row."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError, comma_list
from imagen_nb.frames.gallery import Page, Shown, images_of, need_images, page_of, size_of, small_thumbs
from imagen_nb.frames.runs import Names, column, distinct, names_of, runs_of, settings_columns, slot_names, values
from imagen_nb.records import Run
from imagen_nb.views.image_grid import MOST_IN_CELL, Facet, Grid, GridRow, render_grid
from imagen_nb.views.pictures import below
from imagen_nb.views.words import NO_RUNS, dot_list, one_line, value_text

MOST_COLS = 12
MOST_OF_A_VALUE = 60
_DENSE = 0.5

Cells = dict[tuple[int, int, int], list[int]]


def grid(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names, *, page: int, per_page: int) -> Shown:
    """The frame as a matrix, one page of it."""
    need_images(frame)
    made = grid_of(frame, rows, cols, facet, page=page, per_page=size_of(per_page))
    cells = [cell for part in made.facets for row in part.rows for cell in row.cells]
    shown = [image for cell in cells for image in images_of(cell)[:MOST_IN_CELL]]
    return Shown(render_grid(made, small_thumbs(shown), link=below(Path.cwd())))


def grid_of(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names, *, page: int, per_page: int) -> Grid:
    """The matrix of one page: about `per_page` runs, in whole rows. Arguments as of `df.imagen.grid`."""
    axes = chosen(frame, rows, cols, facet)
    down, across, apart = (labels(frame, names) for names in (axes.rows, axes.cols, axes.facet))
    cells = _cells(down, across, apart)
    columns = _cols(cells, across)
    pages = _paged(_bands(cells, down), cells, columns, per_page)
    here = page_of(page, len(pages))
    bands = pages[here.number - 1] if pages else []
    runs = _runs(frame, bands, cells, columns)
    titles = _titles(apart)
    facets = [
        Facet(
            titles[code],
            [_row(down, band, cells, columns[code], runs) for band in bands if band[0] == code],
            [across.texts[col] for col in columns[code][:MOST_COLS]],
        )
        for code in dict.fromkeys(band[0] for band in bands)
    ]
    note = _note(here, sum(len(each) for each in pages), bands, columns, axes)
    return Grid(down.name, across.name, facets, note or None)


def _cells(down: Labels, across: Labels, apart: Labels) -> Cells:
    """Places of the frame's rows, by facet, row and column."""
    cells: Cells = {}
    for place, key in enumerate(zip(apart.codes, down.codes, across.codes, strict=True)):
        cells.setdefault(key, []).append(place)
    return cells


def _bands(cells: Cells, down: Labels) -> list[tuple[int, int]]:
    """The rows of every facet, in order: all rows in each where most occur anyway, else those that occur."""
    there = sorted({(facet, row) for facet, row, _ in cells})
    every = [(facet, row) for facet in sorted({facet for facet, _ in there}) for row in range(len(down.texts))]
    return every if len(there) >= _DENSE * len(every) else there


def _cols(cells: Cells, across: Labels) -> dict[int, list[int]]:
    """The columns of each facet, by the same rule."""
    there = sorted({(facet, col) for facet, _, col in cells})
    facets = list(dict.fromkeys(facet for facet, _ in there))
    if len(there) >= _DENSE * len(facets) * len(across.texts):
        return {facet: list(range(len(across.texts))) for facet in facets}
    return {facet: [col for each, col in there if each == facet] for facet in facets}


def _paged(
    bands: Sequence[tuple[int, int]], cells: Cells, cols: Mapping[int, Sequence[int]], per_page: int
) -> list[list[tuple[int, int]]]:
    """The bands in pages of at most `per_page` runs, one band at least on each."""
    pages: list[list[tuple[int, int]]] = []
    room = 0
    for band in bands:
        runs = sum(min(len(cells.get((*band, col), ())), MOST_IN_CELL) for col in cols[band[0]][:MOST_COLS])
        if not pages or runs > room:
            pages.append([])
            room = per_page
        pages[-1].append(band)
        room -= runs
    return pages


def _runs(
    frame: pd.DataFrame, bands: Sequence[tuple[int, int]], cells: Cells, cols: Mapping[int, Sequence[int]]
) -> dict[int, Run]:
    """The runs of these bands by their place in the frame."""
    places = [place for band in bands for col in cols[band[0]][:MOST_COLS] for place in cells.get((*band, col), ())]
    return dict(zip(places, runs_of(frame.iloc[places]), strict=True))


def _row(down: Labels, band: tuple[int, int], cells: Cells, cols: Sequence[int], runs: dict[int, Run]) -> GridRow:
    shown = cols[:MOST_COLS]
    return GridRow(down.texts[band[1]], [[runs[place] for place in cells.get((*band, col), ())] for col in shown])


def _titles(apart: Labels) -> list[str]:
    """A title for each facet, its values cut one by one, and numbered where that makes two the same."""
    if not apart.name:
        return [""]
    titles = [
        ", ".join(f"{name}={one_line(text, MOST_OF_A_VALUE)}" for name, text in pairs) or f"{apart.name}: {UNSET}"
        for pairs in apart.pairs
    ]
    alike = Counter(titles)
    numbers = {title: count(1) for title in alike}
    return [f"{title} ({next(numbers[title])})" if alike[title] > 1 else title for title in titles]


def _note(
    here: Page, total: int, bands: Sequence[tuple[int, int]], cols: Mapping[int, Sequence[int]], axes: Chosen
) -> str:
    return dot_list(_notes(here, total, bands, cols, axes))


def _notes(
    here: Page, total: int, bands: Sequence[tuple[int, int]], cols: Mapping[int, Sequence[int]], axes: Chosen
) -> Iterator[str]:
    """What is not shown, and how to see it."""
    if not bands:
        yield NO_RUNS
    if here.of > 1:
        yield f"Page {here.number} of {here.of} ({len(bands)} of {total:,} rows); .grid({here.hint}) shows another."
    most = max((len(cols[facet]) for facet, _ in bands), default=0)
    if most > MOST_COLS:
        yield f"{MOST_COLS} of {most:,} columns are shown; filter the frame, or swap rows= and cols=."
    if axes.mixed:
        yield f"Cells mix different {comma_list(axes.mixed)}; facet={axes.mixed[0]!r} parts them."


# ----------------------------------------------------------------------------------------------------
# Which columns span a grid, and the order and text of their values.

UNSET = "not set"
_SORTED = (int | float, date, timedelta, pd.Period, pd.Interval)
_MOST_VALUES = 30
_MOST_COLS = 8


@dataclass(frozen=True, slots=True)
class Labels:
    """One axis of a grid, over one or more columns: `codes[i]` is the place in `texts` of the frame's row i.

    `pairs` has, for each of the texts, the names of the columns with their values; those that are not set are left out.
    """

    name: str
    codes: Sequence[int]
    texts: Sequence[str]
    pairs: Sequence[Sequence[tuple[str, str]]] = ((),)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The columns for the three axes. `mixed` are columns that vary within a cell, which no axis parts."""

    rows: list[str]
    cols: list[str]
    facet: list[str]
    mixed: list[str]


def chosen(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names) -> Chosen:
    """The columns asked for, and for axes left open the columns that vary: slots first, then parameters and model.

    Raises `InputError` for a column that is not there or that is to be two axes at once.
    """
    asked = [names_of(frame, given, role) for given, role in ((rows, "rows"), (cols, "cols"), (facet, "facet"))]
    _check_distinct(asked)
    spare = varying(frame, [each for names in asked for each in names])
    if rows is None and cols is None:
        first, second = _spread(frame, spare)
        asked[0], asked[1] = first, second
    elif rows is None or cols is None:
        asked[0 if rows is None else 1] = spare[:1]
    used = {each for names in asked for each in names}
    rest = [name for name in spare if name not in used]
    if facet is None and rows is None and cols is None:
        asked[2], rest = rest, []
    return Chosen(asked[0], asked[1], asked[2], rest)


def varying(frame: pd.DataFrame, besides: Sequence[str] = ()) -> list[str]:
    """Columns that tell these runs apart, without those that only repeat another (zipped axes, a prompt from slots).

    A column that is different in every run (a seed, a score) is left out where others are not.
    """
    kept = {name: values(frame, name) for name in besides}
    found = []
    for name, most in _candidates(frame).items():
        items = values(frame, name)
        if name in kept or not 2 <= distinct(items) <= most or any(_repeats(items, k) for k in kept.values()):  # noqa: PLR2004 - one value is no axis
            continue
        kept[name] = items
        found.append(name)
    shared = [name for name in found if distinct(kept[name]) < len(frame)]
    return shared or found


def labels(frame: pd.DataFrame, names: Sequence[str]) -> Labels:
    """The axis over these columns: numbers and categories in their own order, everything else as it appears."""
    if not names:
        return Labels("", [0] * len(frame), [""])
    parts = [_coded(column(frame, name)) for name in names]
    keys = list(zip(*(codes for codes, _ in parts), strict=True))
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    told = [[texts[code] for code, (_, texts) in zip(key, parts, strict=True)] for key in order]
    pairs = [[(name, text) for name, text in zip(names, texts, strict=True) if text != UNSET] for texts in told]
    return Labels(dot_list(names), [order[key] for key in keys], [dot_list(texts) for texts in told], pairs)


def _check_distinct(asked: Sequence[Sequence[str]]) -> None:
    seen: set[str] = set()
    for name in (name for names in asked for name in names):
        if name in seen:
            raise InputError(
                f"{name!r} is asked for as two axes of the grid", "Give each of rows=, cols=, facet= its own."
            )
        seen.add(name)


def _candidates(frame: pd.DataFrame) -> dict[str, int]:
    """Template, slots, parameters, model and experiment, in that order, with the most values each may have."""
    settings = settings_columns(frame)
    slots = {name for template in set(values(frame, "template")) if template for name in slot_names(str(template))}
    text = "template" if slots and "template" in frame.columns else "prompt"
    many = [text, *(name for name in settings if name in slots)]
    few = [*(name for name in settings if name not in slots), "model", "experiment"]
    limits = {**dict.fromkeys(many, len(frame)), **dict.fromkeys(few, _MOST_VALUES)}
    return {name: most for name, most in limits.items() if name in frame.columns}


def _spread(frame: pd.DataFrame, spare: Sequence[str]) -> tuple[list[str], list[str]]:
    """Rows and columns from the first two: the one with fewer values across where the other would be too wide."""
    if len(spare) < 2:  # noqa: PLR2004 - rows and columns
        is_wide = any(distinct(values(frame, name)) > _MOST_COLS for name in spare)
        return (list(spare), []) if is_wide else ([], list(spare))
    down, across = spare[:2]
    wide, narrow = (distinct(values(frame, name)) for name in (across, down))
    return ([across], [down]) if wide > _MOST_COLS and narrow < wide else ([down], [across])


def _repeats(items: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether one column says no more than the other: each value of the one goes with one of the other, and back."""
    pairs = {(repr(a), repr(b)) for a, b in zip(items, other, strict=True) if a is not None and b is not None}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and len(pairs) > 1


def _coded(series: pd.Series[Any]) -> tuple[list[int], list[str]]:
    """A code for each row and a text for each code; what is missing comes last."""
    categories = series.cat.categories.tolist() if isinstance(series.dtype, pd.CategoricalDtype) else None
    found = values(series.to_frame("_"), "_")
    texts = [None if item is None else value_text(item) for item in found]
    items = dict(zip(texts, found, strict=True))
    items.pop(None, None)
    ordered = _ordered(items, categories)
    if None in texts:
        ordered.append(UNSET)
    place = {text: code for code, text in enumerate(ordered)}
    return [place[UNSET if text is None else text] for text in texts], ordered


def _ordered(items: dict[Any, Any], categories: list[Any] | None) -> list[str]:
    """The texts in the order of the categories, or of the values where those have one, else as they appear."""
    if categories is not None:
        return [text for text in dict.fromkeys(map(value_text, categories)) if text in items]
    if any(all(isinstance(item, kind) for item in items.values()) for kind in _SORTED):
        with contextlib.suppress(TypeError, ValueError):  # times with and without a zone, periods of days and of months
            return sorted(items, key=items.__getitem__)
    return list(items)
