"""A frame as pictures in a cell: a gallery, or a grid."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError, brief
from imagen_nb.frames.runs import need, runs_of
from imagen_nb.records import Image, Rendering, Run
from imagen_nb.views.cards import render_gallery
from imagen_nb.views.pictures import Thumb, below
from imagen_nb.views.thumbnails import thumbs
from imagen_nb.views.words import NO_RUNS

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
    return Shown(
        render_gallery(runs, small_thumbs(images_of(runs)), link=below(Path.cwd()), heading=heading, note=note)
    )


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


# ----------------------------------------------------------------------------------------------------
# Which page of a long list is asked for, and which there are.


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a long list. `number` counts from 1."""

    number: int
    of: int

    @property
    def hint(self) -> str:
        """How to see the next one, or the first again."""
        return f"page={self.number + 1 if self.number < self.of else 1}"


def page_of(number: Any, count: int) -> Page:
    """The page with this number. Raises `InputError` where there is none."""
    wanted = _whole("page", number)
    if not 1 <= wanted <= max(count, 1):
        raise InputError(f"there is no page {wanted}", f"Pages run from 1 to {max(count, 1)}.")
    return Page(wanted, max(count, 1))


def size_of(per_page: Any) -> int:
    """How many a page is to hold. Raises `InputError` for what is no number of 1 or more."""
    size = _whole("per_page", per_page)
    if size < 1:
        raise InputError(f"per_page={size} shows nothing", "Give a number of 1 or more.")
    return size


def pages_in(count: int, per_page: int) -> int:
    """How many pages so many things fill."""
    return math.ceil(count / per_page)


def _whole(name: str, given: Any) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise InputError(
            f"{name} cannot be {brief(given)}; allowed: a whole number of 1 or more", f"As in {name}=2."
        ) from None


# ----------------------------------------------------------------------------------------------------
# What the methods of `df.imagen` return: something to look at, in a cell and in a terminal.


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
