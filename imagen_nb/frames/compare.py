"""Two runs of a frame compared: what differs, and how they look side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError, comma_list, did_you_mean
from imagen_nb.frames.runs import need, runs_of, values
from imagen_nb.planning.values import as_whole
from imagen_nb.records import INDEX, Rendering, Run
from imagen_nb.views.differences import Change, Difference, render_comparison, setting_differences, word_changes
from imagen_nb.views.pictures import below
from imagen_nb.views.thumbnails import thumbs

PAIR_PX = 768

Key = str | int | Run


@dataclass(frozen=True)
class Comparison:
    """Two runs and what differs between them. Shown by itself it is a static picture of both, side by side."""

    a: Run
    b: Run

    @cached_property
    def prompt_diff(self) -> tuple[Change, ...]:
        """The prompts word by word: pieces of kind `same`, `removed` (only in `a`) and `added` (only in `b`)."""
        return word_changes(self.a.request.prompt, self.b.request.prompt)

    @cached_property
    def params_diff(self) -> tuple[Difference, ...]:
        """Model, slots and parameters that differ, as `name`, `a` and `b`; None where a run does not have it."""
        return setting_differences(self.a, self.b)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol
        thumb = thumbs([*self.a.images, *self.b.images], PAIR_PX)
        return render_comparison(self.a, self.b, thumb, link=below(Path.cwd()))


def compare(frame: pd.DataFrame, a: Key | None = None, b: Key | None = None) -> Comparison:
    """Two runs of the frame, each named as in `place_of`; without names, those of a frame that has exactly two."""
    need(frame, "prompt")
    if a is None and b is None:
        if len(frame) != 2:  # noqa: PLR2004 - two are compared
            raise InputError(
                f"this frame has {len(frame):,} runs, and two are compared",
                "Name them: df.imagen.compare(a, b), with run ids or positions.",
            )
        a, b = 0, 1
    if a is None or b is None:
        raise InputError("one run is named, and two are compared", "Name both: df.imagen.compare(a, b).")
    first, second = runs_of(frame.iloc[[place_of(frame, a), place_of(frame, b)]])
    return Comparison(first, second)


def place_of(frame: pd.DataFrame, key: Key) -> int:
    """Where in the frame a run is, by its id, the beginning of its id, or its position (from the end if negative).

    Raises `InputError` for a run that is not there and for a beginning that several ids share.
    """
    if isinstance(key, Run):
        key = key.id
    if isinstance(key, str):
        ids = [str(each) for each in values(frame, INDEX)]
        if key in ids:
            return ids.index(key)
        found = list(dict.fromkeys(each for each in ids if key and each.startswith(key)))
        if len(found) == 1:
            return ids.index(found[0])
        if found:
            several = f"They are {comma_list(found, shown=5)}: give more of one."
            raise InputError(f"{len(found)} runs begin with {key!r}", several)
        hint = did_you_mean(key, ids, "df.index lists the ids; positions do too.")
        raise InputError(f"no run {key!r} in this frame", hint)
    position = as_whole(key)
    if position is None:
        kind = type(key).__name__
        raise InputError(f"a {kind} names no run", "Give a run id, the beginning of one, or a position.")
    if not -len(frame) <= position < len(frame):
        raise InputError(f"no run at position {position}", f"This frame has {len(frame):,} runs, counted from 0.")
    return position % len(frame)
