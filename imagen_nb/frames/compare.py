"""Two runs compared: what differs, and how they look side by side."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from imagen_nb import views as view
from imagen_nb.errors import InputError, comma_list, did_you_mean
from imagen_nb.frames.runs import need, runs_of, values
from imagen_nb.records import INDEX, Image, Rendering, Run
from imagen_nb.views import Change, Difference, Thumb
from imagen_nb.views.thumbnails import thumbs
from imagen_nb.views.words import value_text

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
            f"{len(found)} runs begin with {key!r}", f"They are {comma_list(found, shown=5)}: give more of one."
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


# ----------------------------------------------------------------------------------------------------
# What differs between two runs: their prompts word by word, and their settings name by name.

_WORDS = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|\W")
_LONG = 2_000


def prompt_diff(a: str, b: str) -> tuple[Change, ...]:
    """The way from one text to the other as pieces that both, only the first or only the second has.

    The pieces that are not `added` join to `a`, those that are not `removed` to `b`.
    """
    before, after = _WORDS.findall(a), _WORDS.findall(b)
    matcher = SequenceMatcher(None, before, after, autojunk=max(len(before), len(after)) > _LONG)
    return tuple(Change(kind, text) for kind, text in _steps(matcher, before, after) if text)


def settings_diff(a: Run, b: Run) -> tuple[Difference, ...]:
    """Model, slots and parameters that differ, in their order; None for one that a run does not have."""
    first, second = _settings(a), _settings(b)
    pairs = [(name, first.get(name), second.get(name)) for name in {**first, **second}]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def settings_shared(a: Run, b: Run) -> tuple[tuple[str, str], ...]:
    """Model, slots and parameters that both runs have alike, as text."""
    second = _settings(b)
    return tuple((name, text) for name, text in _settings(a).items() if text == second.get(name))


def _steps(matcher: SequenceMatcher[str], before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    """The pieces in order. A space that stayed between two changed words belongs to the change around it."""
    removed = added = ""
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        left, right = "".join(before[a0:a1]), "".join(after[b0:b1])
        if tag == "equal" and not ((removed or added) and left.isspace() and a1 < len(before) and b1 < len(after)):
            yield from (("removed", removed), ("added", added), ("same", left))
            removed = added = ""
        else:
            removed, added = removed + left, added + right
    yield from (("removed", removed), ("added", added))


def _settings(run: Run) -> dict[str, str]:
    """As text, since a whole number may have come back from a file as a float."""
    named = {"model": run.request.model, **run.request.slots, **run.request.params}
    return {name: value_text(item) for name, item in named.items() if item is not None}
