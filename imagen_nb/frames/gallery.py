"""A frame as a gallery in a cell, and what it shares with the grid: pages, small pictures, and what is returned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.frames.runs import need, runs_of
from imagen_nb.planning.values import whole_number
from imagen_nb.records import Image, Rendering, Run
from imagen_nb.views.cards import render_gallery
from imagen_nb.views.pictures import Thumb, below
from imagen_nb.views.thumbnails import thumbs
from imagen_nb.views.words import NO_RUNS

TILE_PX = 256
MOST_SOURCE = 14_600
"""The most characters of one thumbnail, so that an image takes at most 16 kB of notebook with all around it."""


@dataclass(frozen=True)
class Shown:
    """A finished rendering. `.html` is a fragment with inline styles alone, `.text` the same for a terminal."""

    rendering: Rendering = field(repr=False)

    @property
    def html(self) -> str:
        return self.rendering["text/html"]

    @property
    def text(self) -> str:
        return self.rendering["text/plain"]

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol
        return self.rendering


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a long list. `number` counts from 1."""

    number: int
    of: int

    @property
    def hint(self) -> str:
        """How to see the next one, or the first again."""
        return f"page={self.number + 1 if self.number < self.of else 1}"


def gallery(frame: pd.DataFrame, *, page: int, per_page: int) -> Shown:
    """The frame's runs in its order, one page of them."""
    need_images(frame)
    size = whole_number("per_page", per_page)
    here = page_of(page, math.ceil(len(frame) / size))
    runs = runs_of(frame.iloc[(here.number - 1) * size : here.number * size])
    note = None
    if here.of > 1:
        part = f"Page {here.number} of {here.of} ({len(runs)} of {len(frame):,} runs)"
        note = f"{part}; .gallery({here.hint}) shows another."
    heading = None if len(frame) else NO_RUNS
    thumb = small_thumbs(images_of(runs))
    return Shown(render_gallery(runs, thumb, link=below(Path.cwd()), heading=heading, note=note))


def page_of(number: Any, count: int) -> Page:
    """The page with this number. Raises `InputError` where there is none."""
    wanted = whole_number("page", number)
    if wanted > max(count, 1):
        raise InputError(f"there is no page {wanted}", f"Pages run from 1 to {max(count, 1)}.")
    return Page(wanted, max(count, 1))


def small_thumbs(images: Sequence[Image]) -> Thumb:
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
