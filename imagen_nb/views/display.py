"""How runs, their images and sweeps are shown: the views, with thumbnails of the files and links to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagen_nb.records import Image, Progress, Rendering, Run
from imagen_nb.views.cards import card, image_alone
from imagen_nb.views.cards import runs as tiles
from imagen_nb.views.pictures import below, card_px
from imagen_nb.views.thumbnails import thumb

TILE_PX = 256


def render_run(run: Run) -> Rendering:
    """One run as a card."""
    px = card_px(run.images)
    return card(run, thumb(px if len(run.images) <= 1 else min(TILE_PX, px)), link=below(Path.cwd()))


def render_image(image: Image) -> Rendering:
    """One image by itself."""
    return image_alone(image, thumb(card_px([image])), link=below(Path.cwd()))


def render_runs(runs: Sequence[Run], progress: Progress) -> Rendering:
    """The runs of a sweep as tiles below a line that sums them up, and what was never sent."""
    px = card_px([image for run in runs for image in run.images[:1]][:1])
    left = progress.total - progress.done
    note = None
    if progress.state == "ended" and left:
        note = f"{left:,} of {progress.total:,} requests were not sent"
        note = f"{note}: {progress.message}." if progress.message else f"{note}; --resume goes on."
    return tiles(runs, thumb(min(TILE_PX, px)), link=below(Path.cwd()), progress=progress, note=note)
