"""A frame as a matrix of runs: pivoted, cut into pages, and only then looked at row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from imagen_nb.comparison.axes import Chosen, Labels, chosen, labels
from imagen_nb.comparison.columns import Names
from imagen_nb.comparison.rows import runs_of
from imagen_nb.core.records import Run
from imagen_nb.core.words import listed
from imagen_nb.errors import InputError
from imagen_nb.view import Facet, Grid, GridRow
from imagen_nb.view.words import joined

MOST_COLS = 12
MOST_IN_CELL = 12
PER_PAGE = 100
_DENSE = 0.5

Cells = dict[tuple[int, int, int], list[int]]


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a long list. `number` counts from 1."""

    number: int
    of: int

    @property
    def hint(self) -> str:
        """How to see the next one, or the first again."""
        return f"page={self.number + 1 if self.number < self.of else 1}"


def page_of(number: int, count: int) -> Page:
    """The page with this number. Raises `InputError` where there is none."""
    if not 1 <= number <= max(count, 1):
        raise InputError(f"there is no page {number}", f"Pages run from 1 to {max(count, 1)}.")
    return Page(number, max(count, 1))


def grid_of(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names, *, page: int, per_page: int) -> Grid:
    """The matrix of one page: about `per_page` runs, in whole rows. Arguments as of `df.imagen.grid`."""
    axes = chosen(frame, rows, cols, facet)
    down, across, apart = (labels(frame, names) for names in (axes.rows, axes.cols, axes.facet))
    cells = _cells(down, across, apart)
    shown_cols = range(min(len(across.texts), MOST_COLS))
    pages = _paged(_bands(cells, down), cells, shown_cols, per_page)
    here = page_of(page, len(pages))
    bands = pages[page - 1] if pages else []
    runs = _runs(frame, bands, cells, shown_cols)
    facets = [
        Facet(_titled(apart, code), [_row(down, band, cells, shown_cols, runs) for band in bands if band[0] == code])
        for code in dict.fromkeys(band[0] for band in bands)
    ]
    note = _note(here, sum(len(each) for each in pages), bands, across, axes)
    return Grid(down.name, across.name, [across.texts[code] for code in shown_cols], facets, note or None)


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


def _paged(
    bands: Sequence[tuple[int, int]], cells: Cells, cols: Sequence[int], per_page: int
) -> list[list[tuple[int, int]]]:
    """The bands in pages of at most `per_page` runs, one band at least on each."""
    pages: list[list[tuple[int, int]]] = []
    room = 0
    for band in bands:
        runs = sum(min(len(cells.get((*band, col), ())), MOST_IN_CELL) for col in cols)
        if not pages or runs > room:
            pages.append([])
            room = per_page
        pages[-1].append(band)
        room -= runs
    return pages


def _runs(frame: pd.DataFrame, bands: Sequence[tuple[int, int]], cells: Cells, cols: Sequence[int]) -> dict[int, Run]:
    """The runs of these bands by their place in the frame."""
    places = [place for band in bands for col in cols for place in cells.get((*band, col), ())]
    return dict(zip(places, runs_of(frame.iloc[places]), strict=True))


def _row(down: Labels, band: tuple[int, int], cells: Cells, cols: Sequence[int], runs: dict[int, Run]) -> GridRow:
    return GridRow(down.texts[band[1]], [[runs[place] for place in cells.get((*band, col), ())] for col in cols])


def _titled(apart: Labels, code: int) -> str:
    return f"{apart.name} = {apart.texts[code]}" if apart.name else ""


def _note(here: Page, total: int, bands: Sequence[tuple[int, int]], across: Labels, axes: Chosen) -> str:
    return joined(_notes(here, total, bands, across, axes))


def _notes(here: Page, total: int, bands: Sequence[tuple[int, int]], across: Labels, axes: Chosen) -> Iterator[str]:
    """What is not shown, and how to see it."""
    if here.of > 1:
        yield f"Page {here.number} of {here.of} ({len(bands)} of {total:,} rows); .grid({here.hint}) shows another."
    if len(across.texts) > MOST_COLS:
        yield f"{MOST_COLS} of {len(across.texts):,} columns are shown; filter the frame, or swap rows= and cols=."
    if axes.mixed:
        yield f"Cells mix different {listed(axes.mixed)}; facet={axes.mixed[0]!r} parts them."


def pages_in(count: int, per_page: int) -> int:
    """How many pages so many things fill."""
    return math.ceil(count / per_page)
