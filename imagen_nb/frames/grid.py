"""A frame as a grid of runs: which columns span it, and the runs in its cells, looked at one page at a time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError, comma_list
from imagen_nb.frames.gallery import Shown, images_of, need_images, page_of, small_thumbs
from imagen_nb.frames.runs import Names, column, names_of, plain_values, runs_of, settings_columns, slot_names, values
from imagen_nb.planning.values import whole_number
from imagen_nb.views.image_grid import MOST_IN_CELL, Facet, Grid, GridRow, render_grid
from imagen_nb.views.pictures import below
from imagen_nb.views.words import NO_RUNS, dot_list, one_line, value_text

MOST_COLS = 12
MOST_OF_A_VALUE = 60
UNSET = "not set"
_SORTED = (int | float, date, timedelta, pd.Period, pd.Interval)
"""Kinds of values that have an order of their own."""
_DENSE = 0.5
"""Every facet has all rows (or columns) where at least this share of them occurs, else each its own."""
_MOST_VALUES = 30
"""How many values a parameter may have to be an axis by itself."""
_WIDE = 8
"""How many columns are too wide where another axis has fewer."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The columns for the three axes. `mixed` are columns that vary within a cell, which no axis parts."""

    rows: list[str]
    cols: list[str]
    facet: list[str]
    mixed: list[str]


@dataclass(frozen=True, slots=True)
class Labels:
    """One axis of a grid, over one or more columns: `codes[i]` is the place in `texts` of the frame's row i.

    `pairs` has, for each of the texts, the names of the columns with their values; those that are not set are left out.
    """

    name: str
    codes: Sequence[int]
    texts: Sequence[str]
    pairs: Sequence[Sequence[tuple[str, str]]] = ((),)


def grid(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names, *, page: int, per_page: int) -> Shown:
    """The frame as a grid, one page of it."""
    need_images(frame)
    whole = grid_of(frame, rows, cols, facet, page=page, per_page=whole_number("per_page", per_page))
    cells = [cell for part in whole.facets for row in part.rows for cell in row.cells]
    images = [image for cell in cells for image in images_of(cell)[:MOST_IN_CELL]]
    return Shown(render_grid(whole, small_thumbs(images), link=below(Path.cwd())))


def grid_of(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names, *, page: int, per_page: int) -> Grid:
    """The grid of one page: about `per_page` runs, in whole rows. Arguments as of `df.imagen.grid`."""
    axes = axes_of(frame, rows, cols, facet)
    down, across, apart = (labels(frame, names) for names in (axes.rows, axes.cols, axes.facet))
    codes = pd.DataFrame({"facet": apart.codes, "row": down.codes, "col": across.codes})
    places = codes.groupby(["facet", "row", "col"]).indices  # of the frame's rows, by their cell
    columns = _in_facets(codes, "col", len(across.texts))
    cells = {
        (part, row): [places.get((part, row, col), ()) for col in columns[part][:MOST_COLS]]
        for part, inside in _in_facets(codes, "row", len(down.texts)).items()
        for row in inside
    }
    pages = _pages(cells, per_page)
    here = page_of(page, len(pages))
    lines = pages[here.number - 1] if pages else []

    # Only what is on the page is made into runs.
    wanted = [place for line in lines for cell in cells[line] for place in cell]
    runs = dict(zip(wanted, runs_of(frame.iloc[wanted]), strict=True))
    titles = _titles(apart)
    facets = []
    for part in dict.fromkeys(part for part, _ in lines):
        grid_rows = [
            GridRow(down.texts[row], [[runs[place] for place in cell] for cell in cells[part, row]])
            for each, row in lines
            if each == part
        ]
        facets.append(Facet(titles[part], grid_rows, [across.texts[col] for col in columns[part][:MOST_COLS]]))

    notes = [] if lines else [NO_RUNS]
    if here.of > 1:
        shown = f"Page {here.number} of {here.of} ({len(lines)} of {len(cells):,} rows)"
        notes.append(f"{shown}; .grid({here.hint}) shows another.")
    most = max((len(columns[part]) for part, _ in lines), default=0)
    if most > MOST_COLS:
        notes.append(f"{MOST_COLS} of {most:,} columns are shown; filter the frame, or swap rows= and cols=.")
    if axes.mixed:
        notes.append(f"Cells mix different {comma_list(axes.mixed)}; facet={axes.mixed[0]!r} parts them.")
    return Grid(down.name, across.name, facets, dot_list(notes) or None)


def axes_of(frame: pd.DataFrame, rows: Names = None, cols: Names = None, facet: Names = None) -> Axes:
    """The columns asked for, and for axes left open the columns that vary: slots first, then parameters and model.

    Raises `InputError` for a column that is not there or that is to be two axes at once.
    """
    asked = [names_of(frame, given, role) for given, role in ((rows, "rows"), (cols, "cols"), (facet, "facet"))]
    used = [name for names in asked for name in names]
    for name, times in Counter(used).items():
        if times > 1:
            hint = "Give each of rows=, cols=, facet= its own."
            raise InputError(f"{name!r} is asked for as two axes of the grid", hint)
    spare = varying(frame, used)
    if rows is None and cols is None:
        sizes = [distinct(values(frame, name)) for name in spare[:2]]
        if len(sizes) < 2:  # noqa: PLR2004 - rows and columns
            asked[0 if max(sizes, default=0) > _WIDE else 1] = spare
        else:  # the one with fewer values lies across where the other would be too wide
            is_turned = sizes[1] > _WIDE and sizes[0] < sizes[1]
            asked[0], asked[1] = (spare[1:2], spare[:1]) if is_turned else (spare[:1], spare[1:2])
        if facet is None:
            asked[2] = spare[2:]
    elif rows is None or cols is None:
        asked[0 if rows is None else 1] = spare[:1]
    used = [name for names in asked for name in names]
    mixed = [name for name in spare if name not in used]
    return Axes(asked[0], asked[1], asked[2], mixed)


def varying(frame: pd.DataFrame, besides: Sequence[str] = ()) -> list[str]:
    """Columns that tell these runs apart, without those that only repeat another (zipped axes, a prompt from slots).

    A column that is different in every run (a seed, a score) is left out where others are not.
    """
    settings = settings_columns(frame)
    slots = {name for template in set(values(frame, "template")) if template for name in slot_names(str(template))}
    text = "template" if slots and "template" in frame.columns else "prompt"
    # The text and the slots may have any number of values, of the rest only so many.
    many = [text, *(name for name in settings if name in slots)]
    few = [*(name for name in settings if name not in slots), "model", "experiment"]
    limits = {**dict.fromkeys(many, len(frame)), **dict.fromkeys(few, _MOST_VALUES)}
    kept = {name: values(frame, name) for name in besides}
    found = []
    for name, most in limits.items():
        if name in kept or name not in frame.columns:
            continue
        items = values(frame, name)
        if 2 <= distinct(items) <= most and not any(_repeats(items, other) for other in kept.values()):  # noqa: PLR2004 - one value is no axis
            kept[name] = items
            found.append(name)
    return [name for name in found if distinct(kept[name]) < len(frame)] or found


def labels(frame: pd.DataFrame, names: Sequence[str]) -> Labels:
    """The axis over these columns: numbers and categories in their own order, everything else as it appears."""
    if not names:
        return Labels("", [0] * len(frame), [""])
    columns = pd.DataFrame({name: _categories(column(frame, name)) for name in names})
    codes = columns.groupby(list(names), observed=True).ngroup().tolist()
    keys = list(columns.drop_duplicates().sort_values(list(names)).itertuples(index=False, name=None))
    pairs = [[(name, text) for name, text in zip(names, key, strict=True) if text != UNSET] for key in keys]
    return Labels(dot_list(names), codes, [dot_list(key) for key in keys], pairs)


def distinct(items: Sequence[Any]) -> int:
    """How many different values there are, not counting what is missing."""
    return len({repr(item) for item in items if item is not None})


def _in_facets(codes: pd.DataFrame, name: str, size: int) -> Mapping[int, Sequence[int]]:
    """The codes of each facet's rows or columns, in order: all in each where most occur anyway, else those that do."""
    grouped: Any = codes.groupby("facet")[name]
    there = {part: sorted(set(inside)) for part, inside in grouped}
    if sum(map(len, there.values())) >= _DENSE * len(there) * size:
        return {part: range(size) for part in there}
    return there


def _pages(cells: Mapping[tuple[int, int], Sequence[Sequence[int]]], per_page: int) -> list[list[tuple[int, int]]]:
    """The rows of the grid in pages of at most `per_page` runs, one row at least on each."""
    pages: list[list[tuple[int, int]]] = []
    room = 0
    for line, inside in cells.items():
        runs = sum(min(len(cell), MOST_IN_CELL) for cell in inside)
        if not pages or runs > room:
            pages.append([])
            room = per_page
        pages[-1].append(line)
        room -= runs
    return pages


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


def _repeats(items: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether one column says no more than the other: each value of the one goes with one of the other, and back."""
    pairs = {(repr(a), repr(b)) for a, b in zip(items, other, strict=True) if a is not None and b is not None}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and len(pairs) > 1


def _categories(series: pd.Series[Any]) -> pd.Categorical:
    """The column as texts in order: that of its categories, or of its values where those have one, else as they appear.

    What is missing comes last.
    """
    found = plain_values(series)
    texts = [UNSET if item is None else value_text(item) for item in found]
    items = {text: item for text, item in zip(texts, found, strict=True) if item is not None}
    order = list(items)
    if isinstance(series.dtype, pd.CategoricalDtype):
        order = [text for text in dict.fromkeys(map(value_text, series.cat.categories.tolist())) if text in items]
    elif any(all(isinstance(item, kind) for item in items.values()) for kind in _SORTED):
        with contextlib.suppress(TypeError, ValueError):  # times with and without a zone, periods of days and of months
            order = sorted(items, key=items.__getitem__)
    return pd.Categorical(texts, list(dict.fromkeys([*order, UNSET])), ordered=True)
