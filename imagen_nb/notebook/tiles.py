"""Runs as the values that the gallery and the slider show: plain dictionaries, text only, nothing to escape."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imagen_nb.core.records import Image, Run
from imagen_nb.view.words import chip, count, dollars, joined, one_line, seconds, why

CAPTION, ALT = 60, 400


def picture_key(image: Image) -> str:
    """What an image's thumbnail is asked for by: the same for the same bytes."""
    return image.sha256[:24]


def items_of(run: Run, caption: str | None = None) -> list[dict[str, Any]]:
    """A tile for each image of the run, or one that says why there is none; the prompt is its caption by default."""
    text = one_line(run.request.prompt, CAPTION) if caption is None else caption
    return [_item(run, text, number, image) for number, image in enumerate(run.images)] or [_item(run, text, 0, None)]


def pictures_of(runs: Iterable[Run]) -> dict[str, Image]:
    """Every image of the runs by its key."""
    return {picture_key(image): image for run in runs for image in run.images}


def side_of(letter: str, run: Run) -> dict[str, Any]:
    """One side of a comparison; its first image stands for the run."""
    image = run.images[0] if run.images else None
    reason = why(run)
    return {
        "letter": letter,
        "alt": one_line(run.request.prompt, ALT),
        "caption": joined([run.request.model, seconds(run.total_s), dollars(run.cost)]),
        "why": "" if reason is None else reason.text,
        "width": image.width if image else 1,
        "height": image.height if image else 1,
    }


def short_path(path: Path) -> str:
    """The path as it is named from the notebook's folder, where it lies in it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def still_text(runs: Iterable[Run]) -> str:
    """What stands for a gallery in a terminal."""
    shown = list(runs)
    lines = [f"  {run.id}  {chip(run).word}  {one_line(run.request.prompt, 80)}" for run in shown]
    return "\n".join([count(len(shown), "run"), *lines])


def _item(run: Run, caption: str, number: int, image: Image | None) -> dict[str, Any]:
    state, reason = chip(run), why(run)
    return {
        "key": f"{run.id}-{number}",
        "run": run.id,
        "picture": picture_key(image) if image else None,
        "alt": one_line(run.request.prompt, ALT),
        "caption": caption,
        "word": state.word,
        "tone": state.tone,
        "why": one_line(reason.text, 200) if reason and run.status.is_terminal else "",
        "figures": joined([seconds(run.total_s), dollars(run.cost)]) if number == 0 else "",
        "rating": run.rating or 0,
        "width": image.width if image else 1,
        "height": image.height if image else 1,
    }
