"""A matrix of images with labels on its axes; repeats share a cell, and a cell without an image says why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from imagen_nb.records import Rendering, Run
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, picture
from imagen_nb.views.words import Chip, chip, count, one_line, reason_line, terminal_text

WIDE_BOX, BOX, NARROW_BOX, LEAST_BOX = 168, 132, 104, 84
GAP = 4
FEW_COLS, MANY_COLS = 4, 7
MOST_IN_CELL = 12
REMARK_LINES, REMARK_EDGES, LETTER = 5, 18, 7
LABEL, TITLE = 140, 400


@dataclass(frozen=True, slots=True)
class GridRow:
    """One row: its label, and for each column the runs that share the cell (none: nothing was run there)."""

    label: str
    cells: Sequence[Sequence[Run]]


@dataclass(frozen=True, slots=True)
class Facet:
    """One matrix of several, with columns of its own; `label` is "" where there is only one."""

    label: str
    rows: Sequence[GridRow]
    cols: Sequence[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A matrix to show. The names say what the axes are; `note` says what was left out and how to see it."""

    row_name: str
    col_name: str
    facets: Sequence[Facet]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """What stands in a cell for a run that has no image."""

    chip: Chip
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as the template shows it."""

    pictures: Sequence[Picture]
    remarks: Sequence[Remark]
    hidden: int
    width: int
    """Of a remark, in CSS pixels."""
    room: int
    """Of the whole cell: repeats stand in a block about as wide as it is high."""

    @property
    def is_empty(self) -> bool:
        return not self.pictures and not self.remarks


@dataclass(frozen=True, slots=True)
class Matrix:
    """One facet as the template shows it: each label short, and long for hovering over it."""

    label: str
    cols: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, str, Sequence[Cell]]]


def grid(value: Grid, thumb: Thumb, *, link: Link | None = None) -> Rendering:
    """The matrix. 256-pixel thumbnails are sharp in it; cells narrow as the columns become many."""
    box = box_for(max((len(facet.cols) for facet in value.facets), default=0))
    html = fill(
        "grid.html",
        facets=[_matrix(facet, thumb, link, box) for facet in value.facets],
        row_name=value.row_name,
        col_name=value.col_name,
        note=value.note,
        box=box,
    )
    return {"text/plain": _text(value), "text/html": html}


def _matrix(facet: Facet, thumb: Thumb, link: Link | None, box: int) -> Matrix:
    rows = [
        (one_line(row.label, LABEL), one_line(row.label, TITLE), [_cell(runs, thumb, link, box) for runs in row.cells])
        for row in facet.rows
    ]
    return Matrix(facet.label, [(one_line(col, LABEL), one_line(col, TITLE)) for col in facet.cols], rows)


def box_for(columns: int) -> int:
    """The width of a cell's images in CSS pixels."""
    if columns <= FEW_COLS:
        return WIDE_BOX
    return BOX if columns <= MANY_COLS else NARROW_BOX


def _cell(runs: Sequence[Run], thumb: Thumb, link: Link | None, box: int) -> Cell:
    images = [(run, image) for run in runs for image in run.images]
    silent = [run for run in runs if not run.images]
    count = min(len(images), MOST_IN_CELL) + len({(chip(run), reason_line(run, TITLE)) for run in silent})
    each = box if count <= 1 else max(box * 3 // 4, LEAST_BOX)
    remarks = _grouped([_remark(run, each) for run in silent])
    pictures = [picture(image, thumb, box=each, link=link) for run, image in images[:MOST_IN_CELL]]
    across = math.ceil(math.sqrt(count))
    return Cell(pictures, remarks, len(images) - len(pictures), each, across * each + (across - 1) * GAP)


def _remark(run: Run, width: int) -> Remark:
    """The reason is cut to about five lines of such a width, so that it is never longer than the images beside it."""
    letters = REMARK_LINES * (width - REMARK_EDGES) // LETTER
    return Remark(chip(run), reason_line(run, letters), reason_line(run, TITLE))


def _grouped(remarks: Sequence[Remark]) -> list[Remark]:
    """Repeats that failed alike said once, with their number."""
    return [
        Remark(Chip(f"{number} {each.chip.word}", each.chip.tone), each.text, each.title) if number > 1 else each
        for each, number in Counter(remarks).items()
    ]


def _text(value: Grid) -> str:
    """The matrix for a terminal: what each cell holds, in words."""
    blocks = [_block(facet) for facet in value.facets]
    return terminal_text("\n\n".join([*blocks, value.note] if value.note else blocks).split("\n"))


def _block(facet: Facet) -> str:
    table = [["", *(one_line(col, 24) for col in facet.cols)]]
    table += [[one_line(row.label, 32), *(_summary(runs) for runs in row.cells)] for row in facet.rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([facet.label, *lines] if facet.label else lines)


def _summary(runs: Sequence[Run]) -> str:
    images = sum(len(run.images) for run in runs)
    others = Counter(chip(run).word for run in runs if not run.images)
    parts = [count(images, "image")] if images else []
    return ", ".join([*parts, *(f"{number} {word}" for word, number in others.items())]) or "no run"
