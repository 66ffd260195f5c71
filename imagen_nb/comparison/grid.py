"""A frame as a matrix of runs: pivoted, cut into pages, and only then looked at row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import pandas as pd

from imagen_nb.comparison.axes import UNSET, Chosen, Labels, chosen, labels
from imagen_nb.comparison.columns import Names
from imagen_nb.comparison.paging import Page, page_of
from imagen_nb.comparison.rows import runs_of
from imagen_nb.core.records import Run
from imagen_nb.core.words import listed
from imagen_nb.view import Facet, Grid, GridRow
from imagen_nb.view.matrix import MOST_IN_CELL
from imagen_nb.view.words import NO_RUNS, joined, one_line

MOST_COLS = 12
MOST_OF_A_VALUE = 60
_DENSE = 0.5

Cells = dict[tuple[int, int, int], list[int]]


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
    return joined(_notes(here, total, bands, cols, axes))


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
        yield f"Cells mix different {listed(axes.mixed)}; facet={axes.mixed[0]!r} parts them."
