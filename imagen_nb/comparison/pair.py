"""Two runs compared: what differs, and how they look side by side."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb import view
from imagen_nb.comparison.columns import INDEX, need, values
from imagen_nb.comparison.diff import prompt_diff, settings_diff, settings_shared
from imagen_nb.comparison.rows import runs_of
from imagen_nb.comparison.thumbnails import thumbs
from imagen_nb.core.records import Image, Rendering, Run
from imagen_nb.core.words import did_you_mean, listed
from imagen_nb.errors import InputError
from imagen_nb.view import Change, Difference, Thumb

PAIR_PX = 768

Key = str | int | Run


@dataclass(frozen=True)
class Comparison:
    """Two runs and what differs between them. Shown by itself it is a static picture of both, side by side."""

    a: Run
    b: Run
    thumb: Callable[[Sequence[Image], int], Thumb] = field(default=thumbs, repr=False, compare=False)
    """Makes thumbnails of images: of any home by default."""

    @cached_property
    def prompt_diff(self) -> tuple[Change, ...]:
        """The prompts word by word: pieces of kind `same`, `removed` (only in `a`) and `added` (only in `b`)."""
        return prompt_diff(self.a.request.prompt, self.b.request.prompt)

    @cached_property
    def params_diff(self) -> tuple[Difference, ...]:
        """Model, slots and parameters that differ, as `name`, `a` and `b`; None where a run does not have it."""
        return settings_diff(self.a, self.b)

    @property
    def image_a(self) -> Path | None:
        """The first image file of `a`, or None."""
        return self.a.images[0].path if self.a.images else None

    @property
    def image_b(self) -> Path | None:
        """The first image file of `b`, or None."""
        return self.b.images[0].path if self.b.images else None

    def sources(self, px: int = PAIR_PX) -> tuple[str, str]:
        """The first images of both as `data:` URIs, the longer side `px` pixels at most; "" where there is none."""
        images = [run.images[0] if run.images else None for run in (self.a, self.b)]
        thumb = self.thumb([image for image in images if image], px)
        first, second = (thumb(image) if image else "" for image in images)
        return first, second

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol
        return view.comparison(
            self.a,
            self.b,
            self.prompt_diff,
            self.params_diff,
            self.thumb([*self.a.images, *self.b.images], PAIR_PX),
            same=settings_shared(self.a, self.b),
            link=view.below(Path.cwd()),
        )


def place_of(frame: pd.DataFrame, key: Key) -> int:
    """Where in the frame a run is, by its id, the beginning of its id, or its position (from the end if negative).

    Raises `InputError` for a run that is not there and for a beginning that several ids share.
    """
    if isinstance(key, Run):
        key = key.id
    if not isinstance(key, str):
        return _position(frame, key)
    ids = [str(each) for each in values(frame, INDEX)]
    if key in ids:
        return ids.index(key)
    found = list(dict.fromkeys(each for each in ids if key and each.startswith(key)))
    if len(found) == 1:
        return ids.index(found[0])
    if found:
        raise InputError(
            f"{len(found)} runs begin with {key!r}", f"They are {listed(found, shown=5)}: give more of one."
        )
    raise InputError(
        f"no run {key!r} in this frame", did_you_mean(key, ids, "df.index lists the ids; positions do too.")
    )


def both_places(frame: pd.DataFrame, a: Key | None, b: Key | None) -> tuple[int, int]:
    """The places of two runs; without names, those of a frame that has exactly two."""
    need(frame, "prompt")
    if a is None and b is None:
        if len(frame) != 2:  # noqa: PLR2004 - two are compared
            raise InputError(
                f"this frame has {len(frame):,} runs, and two are compared",
                "Name them: df.imagen.compare(a, b), with run ids or positions.",
            )
        return 0, 1
    if a is None or b is None:
        raise InputError("one run is named, and two are compared", "Name both: df.imagen.compare(a, b).")
    return place_of(frame, a), place_of(frame, b)


def _position(frame: pd.DataFrame, key: Any) -> int:
    try:
        position = operator.index(key)
    except TypeError:
        position = None
    if position is None or isinstance(key, bool):
        raise InputError(
            f"a {type(key).__name__} names no run", "Give a run id, the beginning of one, or a position."
        ) from None
    if not -len(frame) <= position < len(frame):
        raise InputError(f"no run at position {position}", f"This frame has {len(frame):,} runs, counted from 0.")
    return position % len(frame)


def compared(frame: pd.DataFrame, first: int, second: int) -> Comparison:
    """The runs at these places, compared."""
    a, b = runs_of(frame.iloc[[first, second]])
    return Comparison(a, b)
