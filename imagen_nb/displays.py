"""How runs and plans are shown: the views, with thumbnails and links to the files of one home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_nb.core.plan import Plan
from imagen_nb.core.records import Image, Progress, Rendering, Run

if TYPE_CHECKING:
    from imagen_nb.store.images import Images
    from imagen_nb.view import Thumb

CARD_PX = 512
"""The longer side of a card's thumbnail in pixels: twice what it is shown at, so sharp on a dense screen."""

TILE_PX = 256


class Displays:
    """Renders with the thumbnails that `images()` keeps; `thumbnail` is the longer side of a card's, in pixels."""

    def __init__(self, images: Callable[[], Images], thumbnail: int = CARD_PX) -> None:
        self._images = images
        self._thumbnail = thumbnail

    def run(self, run: Run) -> Rendering:
        """One run as a card."""
        from imagen_nb.view import below, card

        px = self._thumbnail if len(run.images) <= 1 else min(TILE_PX, self._thumbnail)
        return card(run, self.thumb(px), link=below(Path.cwd()))

    def image(self, run: Run, image: Image) -> Rendering:
        """One image of a run, by itself."""
        from imagen_nb.view import below, image_alone

        return image_alone(run, image, self.thumb(self._thumbnail), link=below(Path.cwd()))

    def runs(self, runs: Sequence[Run], progress: Progress) -> Rendering:
        """The runs of a sweep as tiles below a line that sums them up."""
        from imagen_nb.view import below
        from imagen_nb.view import runs as tiles

        thumb = self.thumb(min(TILE_PX, self._thumbnail))
        return tiles(runs, thumb, link=below(Path.cwd()), progress=progress, note=_unsent(progress))

    def thumb(self, px: int) -> Thumb:
        """Thumbnails of `px` pixels as `data:` URIs."""
        from imagen_nb.view import data_uri

        images = self._images()
        return lambda image: data_uri(images.thumbnail(image.path, image.sha256, px))


def _unsent(progress: Progress) -> str | None:
    """What to say of requests that were never sent, and why; None where all were."""
    left = progress.total - progress.done
    if progress.state != "ended" or not left:
        return None
    said = f"{left:,} of {progress.total:,} requests were not sent"
    return f"{said}: {progress.message}." if progress.message else f"{said}; --resume goes on."


def shown_plan(plan: Plan) -> Rendering:
    """A plan as its axes, first prompts and estimate."""
    from imagen_nb.view import plan as view

    return view(plan)
