"""Runs of a frame compared: what differs, and how they look under a slider or side by side."""

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
from imagen_nb.views.differences import (
    LETTERS,
    Change,
    Difference,
    render_comparison,
    setting_differences,
    word_changes,
)
from imagen_nb.views.pictures import below
from imagen_nb.views.thumbnails import thumbs

PAIR_PX = 768

Key = str | int | Run


@dataclass(frozen=True)
class Comparison:
    """Two runs or more and what differs between them.

    Shown by itself, two are under a slider and more side by side, in HTML that works without a kernel.
    """

    runs: tuple[Run, ...]

    @property
    def a(self) -> Run:
        """The first of them."""
        return self.runs[0]

    @property
    def b(self) -> Run:
        """The second of them."""
        return self.runs[1]

    @cached_property
    def prompt_diff(self) -> tuple[Change, ...]:
        """The prompts word by word: pieces of kind `same`, `removed` (only in `a`) and `added` (only in `b`)."""
        return word_changes(self.a.request.prompt, self.b.request.prompt)

    @cached_property
    def params_diff(self) -> tuple[Difference, ...]:
        """Model, slots and parameters that differ: `name` and `values`, one a run, None where it does not have it."""
        return setting_differences(self.runs)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol
        thumb = thumbs([image for run in self.runs for image in run.images], PAIR_PX)
        return render_comparison(self.runs, thumb, link=below(Path.cwd()))


def compare(frame: pd.DataFrame, *keys: Key) -> Comparison:
    """Two to six runs of the frame, each named as in `place_of`; without names, all of a frame that has so many."""
    need(frame, "prompt")
    most = len(LETTERS)
    keys = keys or tuple(range(len(frame)))
    if not 2 <= len(keys) <= most:  # noqa: PLR2004 - one run differs from none
        named = "one run is named" if len(keys) == 1 else f"{len(keys):,} runs are named"
        where = named if len(keys) != len(frame) else f"this frame has {len(frame):,} runs"
        raise InputError(
            f"{where}, and two to {most} are compared",
            "Name them: df.imagen.compare(a, b), with run ids or positions.",
        )
    return Comparison(tuple(runs_of(frame.iloc[[place_of(frame, key) for key in keys]])))


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
