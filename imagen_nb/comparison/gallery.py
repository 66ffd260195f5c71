"""A frame as pictures in a cell: a gallery, or a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from imagen_nb import view
from imagen_nb.comparison.columns import Names, need
from imagen_nb.comparison.grid import grid_of
from imagen_nb.comparison.paging import page_of, pages_in, size_of
from imagen_nb.comparison.rows import runs_of
from imagen_nb.comparison.shown import Shown
from imagen_nb.comparison.thumbnails import thumbs
from imagen_nb.core.records import Image, Run
from imagen_nb.view.matrix import MOST_IN_CELL
from imagen_nb.view.words import NO_RUNS

TILE_PX = 256
MOST_SOURCE = 14_600
"""The most characters of one thumbnail, so that an image takes at most 16 kB of notebook with all around it."""


def gallery(frame: pd.DataFrame, *, page: int, per_page: int) -> Shown:
    """The frame's runs in its order, one page of them."""
    need_images(frame)
    size = size_of(per_page)
    here = page_of(page, pages_in(len(frame), size))
    runs = runs_of(frame.iloc[(here.number - 1) * size : here.number * size])
    note = None
    if here.of > 1:
        part = f"Page {here.number} of {here.of} ({len(runs)} of {len(frame):,} runs)"
        note = f"{part}; .gallery({here.hint}) shows another."
    heading = None if len(frame) else NO_RUNS
    return Shown(view.gallery(runs, _small(images_of(runs)), link=view.below(Path.cwd()), heading=heading, note=note))


def grid(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names, *, page: int, per_page: int) -> Shown:
    """The frame as a matrix, one page of it."""
    need_images(frame)
    made = grid_of(frame, rows, cols, facet, page=page, per_page=size_of(per_page))
    cells = [cell for part in made.facets for row in part.rows for cell in row.cells]
    shown = [image for cell in cells for image in images_of(cell)[:MOST_IN_CELL]]
    return Shown(view.grid(made, _small(shown), link=view.below(Path.cwd())))


def _small(images: Sequence[Image]) -> view.Thumb:
    """Thumbnails for tiles of these images."""
    return thumbs(images, TILE_PX, most=MOST_SOURCE)


def images_of(runs: Sequence[Run]) -> list[Image]:
    """Every image of these runs."""
    return [image for run in runs for image in run.images]


def need_images(frame: pd.DataFrame) -> None:
    """Raise `InputError` where the frame lacks what pictures are shown from."""
    need(frame, "prompt", "status")
    if "images" not in frame.columns:
        need(frame, "image")
