"""A grid of images with labels on its axes; repeats share a cell, and a cell without an image says why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagen_nb.records import Rendering, Run
from imagen_nb.views.names import image_names
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, pictures_of
from imagen_nb.views.words import Chip, chip, count, one_line, remark, terminal_text

WIDE_BOX, BOX, NARROW_BOX, LEAST_BOX = 168, 132, 104, 84
GAP = 4
FEW_COLS, MANY_COLS = 4, 7
MOST_IN_CELL = 12
"""The most pictures in a cell by default."""
REASON_LINES, REASON_EDGES, LETTER, LEAST_NOTE = 5, 18, 7, 104
LABEL, TITLE = 140, 400


@dataclass(frozen=True, slots=True)
class GridRow:
    """One row: its label, and for each column the runs that share the cell (none: nothing was run there)."""

    label: str
    cells: Sequence[Sequence[Run]]
    heads: Sequence[Picture] = ()
    """The pictures that its label names."""


@dataclass(frozen=True, slots=True)
class Facet:
    """One grid of several, with rows and columns of its own; `label` is "" where there is only one.

    `row_name` and `col_name` say what its axes are.
    """

    label: str
    rows: Sequence[GridRow]
    cols: Sequence[str]
    row_name: str = ""
    col_name: str = ""
    heads: Sequence[Sequence[Picture]] = ()
    """For each column the pictures that its label names; none where no column has any."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What to show. `note` says what was left out and how to see it."""

    facets: Sequence[Facet]
    note: str | None = None
    per_cell: int = MOST_IN_CELL
    box: int | None = None
    """How wide and high each picture may be in CSS pixels; by default as the number of columns leaves room."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as the template shows it: images, and of runs without one the state, the reason, and all of the reason."""

    pictures: Sequence[Picture]
    reasons: Sequence[tuple[Chip, str, str]]
    hidden: int
    """How many images more there are."""
    width: int
    """Of a reason, in CSS pixels."""
    room: int
    """Of the whole cell: repeats stand in a block about as wide as it is high."""


def render_grid(grid: Grid, thumb: Thumb, *, link: Link | None = None) -> Rendering:
    """The grid. 256-pixel thumbnails are sharp in it; cells narrow as the columns become many."""
    box = grid.box or box_for(max((len(facet.cols) for facet in grid.facets), default=0))
    every = [run for facet in grid.facets for row in facet.rows for cell in row.cells for run in cell]
    names = dict(zip(map(id, every), image_names(every), strict=True))

    def shown(runs: Sequence[Run], box: int) -> list[Picture]:
        """The pictures of a cell, as many as it may show."""
        some, left = [], grid.per_cell
        for run in runs:
            some += pictures_of(run, thumb, box=box, link=link, names=names[id(run)])[:left]
            left = grid.per_cell - len(some)
        return some

    facets = [
        {
            "label": facet.label,
            "row_name": facet.row_name,
            "col_name": facet.col_name,
            "cols": [
                (*_label(col), heads)
                for col, heads in zip(facet.cols, facet.heads or [()] * len(facet.cols), strict=True)
            ],
            "rows": [
                (*_label(row.label), row.heads, [_cell(cell, shown, grid, box) for cell in row.cells])
                for row in facet.rows
            ],
        }
        for facet in grid.facets
    ]
    html = fill("grid.html", facets=facets, note=grid.note, box=box)
    # For a terminal: what each cell holds, in words.
    blocks = []
    for facet in grid.facets:
        table = [["", *(one_line(col, 24) for col in facet.cols)]]
        table += [[one_line(row.label, 32), *map(_cell_words, row.cells)] for row in facet.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
        blocks.append("\n".join([facet.label, *lines] if facet.label else lines))
    text = terminal_text("\n\n".join([*blocks, grid.note] if grid.note else blocks).split("\n"))
    return {"text/plain": text, "text/html": html}


def box_for(columns: int) -> int:
    """The width of a cell's images in CSS pixels."""
    if columns <= FEW_COLS:
        return WIDE_BOX
    return BOX if columns <= MANY_COLS else NARROW_BOX


def _label(text: str) -> tuple[str, str]:
    """A label, and the longer form of it for hovering."""
    return one_line(text, LABEL), one_line(text, TITLE)


def _cell(runs: Sequence[Run], pictures: Callable[[Sequence[Run], int], list[Picture]], grid: Grid, box: int) -> Cell:
    images = sum(len(run.images) for run in runs)
    failed = [run for run in runs if not run.images]
    shown = min(images, grid.per_cell) + len({(chip(run), remark(run, TITLE)) for run in failed})
    width = box if shown <= 1 or grid.box else max(box * 3 // 4, LEAST_BOX)
    across = math.ceil(math.sqrt(shown))
    # A reason is cut to about five lines of that width, so that it is never longer than the images beside it; runs that
    # failed alike say it once, with their number.
    note = max(width, LEAST_NOTE)
    letters = REASON_LINES * (note - REASON_EDGES) // LETTER
    alike = Counter((chip(run), remark(run, letters), remark(run, TITLE)) for run in failed)
    reasons = [
        (Chip(f"{number} {state.word}", state.tone) if number > 1 else state, text, title)
        for (state, text, title), number in alike.items()
    ]
    hidden = max(images - grid.per_cell, 0)
    room = max(across * width + (across - 1) * GAP, note if failed else 0)
    return Cell(pictures(runs, width), reasons, hidden, note, room)


def _cell_words(runs: Sequence[Run]) -> str:
    images = sum(len(run.images) for run in runs)
    others = Counter(chip(run).word for run in runs if not run.images)
    parts = [count(images, "image")] if images else []
    return ", ".join([*parts, *(f"{number} {word}" for word, number in others.items())]) or "no run"
