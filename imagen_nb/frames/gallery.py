"""A frame as a gallery in a cell, and what it shares with the grid: pages, small pictures, and what is returned."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.frames import GALLERY_PAGE
from imagen_nb.frames.runs import need, runs_of
from imagen_nb.planning.values import whole_number
from imagen_nb.records import Image, Rendering, Run
from imagen_nb.views.cards import TILE_BOX, render_gallery
from imagen_nb.views.pictures import Thumb, below
from imagen_nb.views.thumbnails import USUAL_PX, thumbs
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


def gallery(frame: pd.DataFrame, *, size: int | None, page: int, per_page: int) -> Shown:
    """The frame's runs in its order, one page of them; arguments as of `df.imagen.gallery`."""
    need_images(frame)
    box = TILE_BOX if size is None else picture_size(size)
    most = whole_number("per_page", per_page)
    here = page_of(page, math.ceil(len(frame) / most))
    runs = runs_of(frame.iloc[(here.number - 1) * most : here.number * most])
    options = {"size": size, "per_page": most if most != GALLERY_PAGE else None}
    note = page_note(here, f"{len(runs)} of {len(frame):,} runs", "gallery", **options)
    heading = None if len(frame) else NO_RUNS
    thumb = small_thumbs(images_of(runs), size)
    return Shown(render_gallery(runs, thumb, link=below(Path.cwd()), heading=heading, note=note, box=box))


def page_of(number: Any, count: int) -> Page:
    """The page with this number. Raises `InputError` where there is none."""
    wanted = whole_number("page", number)
    if wanted > max(count, 1):
        raise InputError(f"there is no page {wanted}", f"Pages run from 1 to {max(count, 1)}.")
    return Page(wanted, max(count, 1))


def page_note(page: Page, part: str, verb: str, **options: Any) -> str | None:
    """`Page 2 of 4 (6 of 20 runs); df.imagen.gallery(page=3) shows the next.`; None where there is one page only."""
    if page.of == 1:
        return None
    is_last = page.number == page.of
    following = call(verb, **options, page=1 if is_last else page.number + 1)
    return f"Page {page.number} of {page.of} ({part}); {following} shows the {'first' if is_last else 'next'}."


def call(verb: str, **options: Any) -> str:
    """A call on the frame as one can paste it, without the options that are None."""
    given = (f"{name}={json.dumps(item, ensure_ascii=False)}" for name, item in options.items() if item is not None)
    return f"df.imagen.{verb}({', '.join(given)})"


def picture_size(size: Any) -> int:
    """The longer side of the pictures that was asked for. Raises `InputError` for one that no thumbnail has."""
    return whole_number("size", size, most=max(USUAL_PX))


def small_thumbs(images: Sequence[Image], size: int | None = None) -> Thumb:
    """Thumbnails for tiles of these images, by default so small that each takes at most 16 kB of a notebook."""
    if size is None or size <= TILE_PX:
        return thumbs(images, TILE_PX, most=MOST_SOURCE)
    return thumbs(images, next(px for px in USUAL_PX if px >= size))


def images_of(runs: Sequence[Run]) -> list[Image]:
    """Every image of these runs."""
    return [image for run in runs for image in run.images]


def need_images(frame: pd.DataFrame) -> None:
    """Raise `InputError` where the frame lacks what pictures are shown from."""
    need(frame, "prompt", "status")
    if "images" not in frame.columns:
        need(frame, "image")
