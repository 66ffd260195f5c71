"""A frame as a grid of runs: which columns span it, and the runs in its cells, looked at one page at a time."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError, comma_list
from imagen_nb.frames import GRID_PAGE
from imagen_nb.frames.gallery import (
    Shown,
    call,
    images_of,
    need_images,
    page_note,
    page_of,
    picture_size,
    small_thumbs,
)
from imagen_nb.frames.runs import (
    Names,
    column,
    file_words,
    homes_of,
    input_name,
    names_of,
    paths_in,
    plain_values,
    runs_of,
    settings_columns,
    slot_names,
    values,
)
from imagen_nb.planning.values import whole_number
from imagen_nb.records import Run
from imagen_nb.views.image_grid import MOST_IN_CELL, Facet, Grid, GridRow, render_grid
from imagen_nb.views.pictures import Picture, below, references_of
from imagen_nb.views.words import NO_RUNS, dot_list, one_line, value_text

MOST_COLS = 12
MOST_OF_A_VALUE = 60
UNSET = "not set"
Line = tuple[int, int]
"""One row of a grid: the code of its facet and its own."""
EXPERIMENT = "experiment"
_SORTED = (int | float, date, timedelta, pd.Period, pd.Interval)
"""Kinds of values that have an order of their own."""
_DENSE = 0.5
"""Every facet has all rows (or columns) where at least this share of them occurs, else each its own.

As many of the pairs of two axes have to occur for a grid that is not mostly empty.
"""
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

    @property
    def options(self) -> dict[str, Any]:
        """The axes as one asks for them."""
        asked = {"rows": self.rows, "cols": self.cols, "facet": self.facet}
        return {name: names[0] if len(names) == 1 else names for name, names in asked.items() if names}


@dataclass(frozen=True, slots=True)
class Labels:
    """One axis of a grid, over one or more columns: `codes[i]` is the place in `texts` of the frame's row i.

    `pairs` has, for each of the texts, the names of the columns with their values; those that are not set are left out.
    """

    name: str
    codes: Sequence[int]
    texts: Sequence[str]
    pairs: Sequence[Sequence[tuple[str, str]]] = ((),)

    def of_experiment(self, codes: Sequence[int]) -> tuple[str, list[str]]:
        """The name and the texts of these places in the grid of one experiment: of several columns those that vary."""
        pairs = [dict(self.pairs[code]) for code in codes]
        several = {name for each in self.pairs for name, _ in each}
        names = list(dict.fromkeys(name for each in pairs for name in each))
        if len(several) > 1:
            names = [name for name in names if len({each.get(name) for each in pairs}) > 1]
        texts = [dot_list(each.get(name, "") for name in names) or (UNSET if names else "") for each in pairs]
        return dot_list(names), texts


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a frame lie in a grid: `cells` has their places for each row of each facet, column by column.

    `columns` are the codes of each facet's columns, of which the first twelve are shown.
    """

    axes: Axes
    down: Labels
    across: Labels
    titles: Sequence[str]
    columns: Mapping[int, Sequence[int]]
    cells: Mapping[Line, Sequence[Sequence[int]]]

    def facet(self, part: int, rows: Sequence[int], runs: Mapping[int, Run]) -> Facet:
        """These rows of a facet, with the runs at their places."""
        heads = self.columns[part][:MOST_COLS]
        if EXPERIMENT in self.axes.facet:
            (row_name, row_texts), (col_name, col_texts) = (
                self.down.of_experiment(rows),
                self.across.of_experiment(heads),
            )
        else:
            row_name, row_texts = self.down.name, [self.down.texts[row] for row in rows]
            col_name, col_texts = self.across.name, [self.across.texts[col] for col in heads]
        cells = [[[runs[place] for place in cell] for cell in self.cells[part, row]] for row in rows]
        lines = [GridRow(text, row, _heads(self.axes.rows, row)) for text, row in zip(row_texts, cells, strict=True)]
        pictures = [_heads(self.axes.cols, col) for col in zip(*cells, strict=True)]
        return Facet(self.titles[part], lines, col_texts, row_name, col_name, pictures)


def grid(
    frame: pd.DataFrame,
    rows: Names,
    cols: Names,
    facet: Names,
    *,
    size: int | None,
    per_cell: int | None,
    page: int,
    per_page: int,
) -> Shown:
    """The frame as a grid, one page of it; arguments as of `df.imagen.grid`."""
    need_images(frame)
    whole = grid_of(frame, rows, cols, facet, size=size, per_cell=per_cell, page=page, per_page=per_page)
    cells = [cell for part in whole.facets for row in part.rows for cell in row.cells]
    images = [image for cell in cells for image in images_of(cell)[: whole.per_cell]]
    return Shown(render_grid(whole, small_thumbs(images, size), link=below(Path.cwd())))


def grid_of(
    frame: pd.DataFrame,
    rows: Names = None,
    cols: Names = None,
    facet: Names = None,
    *,
    size: int | None = None,
    per_cell: int | None = None,
    page: int = 1,
    per_page: int = GRID_PAGE,
) -> Grid:
    """The grid of one page: about `per_page` pictures, in whole rows. Arguments as of `df.imagen.grid`."""
    room, box = whole_number("per_page", per_page), None if size is None else picture_size(size)
    axes = axes_of(frame, rows, cols, facet)
    plan = _layout(frame, axes)
    pictures = [max(len(paths_in(item)), 1) for item in values(frame, "images")]  # a run without any is one remark
    counts = {line: [sum(pictures[place] for place in cell) for cell in row] for line, row in plan.cells.items()}
    if per_cell is None:  # as many as leave everything on one page
        filled = sum(number > 0 for row in counts.values() for number in row)
        most = min(max(room // max(filled, 1), 1), MOST_IN_CELL)
    else:
        most = whole_number("per_cell", per_cell)
    pages = _pages({line: sum(min(number, most) for number in row) for line, row in counts.items()}, room)
    here = page_of(page, len(pages))
    lines = pages[here.number - 1] if pages else []

    # Only what is on the page is made into runs.
    wanted = [place for line in lines for cell in plan.cells[line] for place in cell]
    runs = dict(zip(wanted, runs_of(frame.iloc[wanted]), strict=True))
    facets = [
        plan.facet(part, [row for each, row in lines if each == part], runs)
        for part in dict.fromkeys(part for part, _ in lines)
    ]

    options = axes.options | {"size": box, "per_cell": per_cell, "per_page": room if room != GRID_PAGE else None}
    notes = [] if lines else [NO_RUNS]
    notes += filter(None, [page_note(here, f"{len(lines)} of {len(plan.cells):,} rows", "grid", **options)])
    widest = max((len(plan.columns[part]) for part, _ in lines), default=0)
    if widest > MOST_COLS:
        notes.append(f"{MOST_COLS} of {widest:,} columns are shown; filter the frame, or swap rows= and cols=.")
    fullest = max((number for line in lines for number in counts[line]), default=0)
    if fullest > most and per_cell is None:
        whole = call("grid", **options | {"per_cell": fullest})
        notes.append(f"Cells show {most} of up to {fullest:,} pictures; {whole} shows all.")
    if axes.mixed:
        parted = replace(axes, facet=[*axes.facet, axes.mixed[0]])
        notes.append(
            f"Cells mix different {comma_list(axes.mixed)}; {call('grid', **options | parted.options)} parts them."
        )
    return Grid(facets, dot_list(notes) or None, per_cell=most, box=box)


def _layout(frame: pd.DataFrame, axes: Axes) -> Layout:
    down, across, apart = (labels(frame, names) for names in (axes.rows, axes.cols, axes.facet))
    codes = pd.DataFrame({"facet": apart.codes, "row": down.codes, "col": across.codes})
    places = codes.groupby(["facet", "row", "col"]).indices  # of the frame's rows, by their cell
    # Experiments differ in what they vary, so each has the rows and columns that occur in it.
    share = math.inf if EXPERIMENT in axes.facet else _DENSE
    columns = _in_facets(codes, "col", len(across.texts), share)
    cells = {
        (part, row): [places.get((part, row, col), ()) for col in columns[part][:MOST_COLS]]
        for part, inside in _in_facets(codes, "row", len(down.texts), share).items()
        for row in inside
    }
    return Layout(axes, down, across, _titles(apart, axes.facet), columns, cells)


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
        mixed = labels(frame, [EXPERIMENT]) if facet is None and EXPERIMENT in frame.columns else None
        if mixed is not None and len(mixed.texts) > 1:
            return _axes_of_experiments([part for _, part in frame.groupby(list(mixed.codes))], frame)
        asked[0], asked[1], *rest = _spread(frame, spare)
        if facet is None:
            asked[2] = rest[0]
    elif rows is None or cols is None:
        asked[0 if rows is None else 1] = spare[:1]
    used = [name for names in asked for name in names]
    return Axes(asked[0], asked[1], asked[2], [name for name in spare if name not in used])


def _spread(frame: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """These columns as rows, columns and facets: a single short one across, the shorter of two where one is wide."""
    sizes = [distinct(values(frame, name)) for name in names[:2]]
    if len(sizes) < 2:  # noqa: PLR2004 - rows and columns
        return (list(names), [], []) if max(sizes, default=0) > _WIDE else ([], list(names), [])
    first, second, *rest = names
    return ([second], [first], rest) if sizes[1] > _WIDE and sizes[0] < sizes[1] else ([first], [second], rest)


def _axes_of_experiments(parts: Sequence[pd.DataFrame], whole: pd.DataFrame) -> Axes:
    """Axes for several experiments: each spans a grid of its own with what varies in it.

    Where that is one axis or none, and most experiments share its values, the experiment is the other axis.
    """
    axes: list[list[str]] = [[], [], []]
    spans = [varying(part, [EXPERIMENT]) for part in parts]
    if any(
        slots_of(part) for part in parts
    ):  # prompts made of slots are all different; without slots they are templates
        spans = [["template" if name == "prompt" else name for name in own] for own in spans]
    for part, own in zip(parts, spans, strict=True):
        for wanted, names in enumerate(_spread(part, own)):
            for name in names:
                if any(name in axis for axis in axes):
                    continue
                free = [place for place in (wanted, 0, 1) if not set(axes[place]) & set(own)]
                axes[free[0] if free else 2].append(name)
    rows, cols, facet = axes
    if rows and cols:
        return Axes(rows, cols, [EXPERIMENT, *facet], [])
    one = labels(whole, rows or cols)
    pairs = set(zip(one.codes, labels(whole, [EXPERIMENT]).codes, strict=True))
    if len(pairs) < _DENSE * len(one.texts) * len(parts):
        return Axes(rows, cols, [EXPERIMENT], [])
    return Axes(rows or [EXPERIMENT], [EXPERIMENT] if rows else cols, [], [])


def varying(frame: pd.DataFrame, besides: Sequence[str] = ()) -> list[str]:
    """Columns that tell these runs apart, without those that only repeat another (zipped axes, a prompt from slots).

    A column that is different in every run (a seed, a score) is left out where others are not.
    """
    settings = settings_columns(frame)
    slots = slots_of(frame)
    text = "template" if slots and "template" in frame.columns else "prompt"
    # The slots and the text may have any number of values, of the rest only so many.
    many = [*(name for name in settings if name in slots), text]
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


def slots_of(frame: pd.DataFrame) -> set[str]:
    """The names of the slots in the frame's templates."""
    return {name for template in set(values(frame, "template")) if template for name in slot_names(str(template))}


def labels(frame: pd.DataFrame, names: Sequence[str]) -> Labels:
    """The axis over these columns: numbers and categories in their own order, everything else as it appears."""
    if not names:
        return Labels("", [0] * len(frame), [""])
    columns = pd.DataFrame({name: _categories(column(frame, name)) for name in names})
    codes = columns.groupby(list(names), observed=True).ngroup().tolist()
    keys = list(columns.drop_duplicates().sort_values(list(names)).itertuples(index=False, name=None))
    homes = homes_of(frame)
    words = [file_words(texts, homes) for texts in zip(*keys, strict=True)]
    pairs = [
        [(name, of.get(text, text)) for name, of, text in zip(names, words, key, strict=True) if text != UNSET]
        for key in keys
    ]
    texts = [dot_list(text for _, text in each) or UNSET for each in pairs]
    return Labels(dot_list(names), codes, texts, pairs)


def distinct(items: Sequence[Any]) -> int:
    """How many different values there are, not counting what is missing."""
    return len({repr(item) for item in items if item is not None})


def _in_facets(codes: pd.DataFrame, name: str, size: int, share: float) -> Mapping[int, Sequence[int]]:
    """The codes of each facet's rows or columns, in order: those that occur in it, or all where `share` of them do."""
    grouped: Any = codes.groupby("facet")[name]
    there = {part: sorted(set(inside)) for part, inside in grouped}
    if sum(map(len, there.values())) >= share * len(there) * size:
        return {part: range(size) for part in there}
    return there


def _heads(names: Sequence[str], cells: Iterable[Sequence[Run]]) -> list[Picture]:
    """The pictures of input files that an axis over these columns names, of the runs in one row or column of it."""
    first = next((run for cell in cells for run in cell), None)
    inputs = set(map(input_name, names))
    return [each for name, each in references_of(first, below(Path.cwd())) if name in inputs] if first else []


def _pages(rows: Mapping[Line, int], room: int) -> list[list[Line]]:
    """The rows of the grid, each with its number of pictures, in pages of at most `room`; one row at least on each."""
    pages: list[list[Line]] = []
    left = 0
    for line, pictures in rows.items():
        if not pages or pictures > left:
            pages.append([])
            left = room
        pages[-1].append(line)
        left -= pictures
    return pages


def _titles(apart: Labels, names: Sequence[str]) -> list[str]:
    """A title for each facet, its values cut one by one, and numbered where that makes two the same."""
    if not apart.name:
        return [""]
    titles = []
    for pairs in apart.pairs:
        told = [f"{name}={one_line(text, MOST_OF_A_VALUE)}" for name, text in pairs]
        if EXPERIMENT in names and EXPERIMENT not in dict(pairs):
            told.insert(0, "no experiment")
        titles.append(", ".join(told) or f"{apart.name}: {UNSET}")
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
