"""Scoring a frame's pictures: each once, on several threads, and every figure in the log.

What has no score is tried again the next time; so is nothing else, unless the version is another.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.frames.runs import runs_of
from imagen_nb.judging.scorers import Question, Scored, Scorer, find_scorer, score_pictures
from imagen_nb.log.frame import score_column
from imagen_nb.log.judgements import add_scores, find_scored, find_scores
from imagen_nb.log.log import Log
from imagen_nb.planning.values import label
from imagen_nb.records import Image
from imagen_nb.views.words import count

WRITE_S = 1.0
"""How long scores may wait for others before they are written, in seconds."""

Ask = Callable[[Question, Sequence[Image]], Iterable[Scored]]
"""Asks a model about each of the images."""


def score(
    frame: pd.DataFrame,
    log: Log,
    scorer: Scorer | str | Question,
    name: str | None = None,
    version: str = "1",
    *,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
    ask: Ask,
) -> dict[str, Any]:
    """The columns of these scores for the frame's rows; what was not scored yet is, and stands in the log.

    `tell` hears how many pictures are done, and of how many. Raises `InputError` for what is no scorer, and a frame
    without pictures.
    """
    function = scorer if isinstance(scorer, Question) else find_scorer(scorer)
    named = label("name", name) or (scorer if isinstance(scorer, str) else getattr(function, "__name__", ""))
    if not named or named == "<lambda>":
        raise InputError("the scorer has no name of its own", "Give one, as in df.imagen.score(…, name='mine').")
    version = str(version)
    if isinstance(function, Question):  # another question is another scorer, whatever it is called
        version += f" {hashlib.sha256(repr(function).encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    runs = runs_of(frame)
    owners = {image.sha256: (run, image) for run in reversed(runs) for image in run.images if image.path.is_file()}
    if not owners:
        raise InputError(
            f"none of {count(len(runs), 'run')} has a picture on the disk to be scored",
            "Score a frame of runs that succeeded, where their home is.",
        )
    known = find_scores(log, named, version, owners)
    done = {each for each, parts in known.items() if all(value is not None for value, _ in parts.values())}
    left = [owner for sha256, owner in reversed(owners.items()) if sha256 not in done]
    if isinstance(function, Question):
        made = ask(function, [image for _, image in left])
    else:
        made = score_pictures(function, left)
    rows: list[dict[str, Any]] = []
    written_at = time.monotonic()
    try:
        for number, (sha256, parts) in enumerate(made if left else (), 1):
            about = {"sha256": sha256, "scorer": named, "version": version}
            rows += [
                {**about, "part": part, "value": each.value, "reason": each.reason} for part, each in parts.items()
            ]
            tell(number, len(left))
            if time.monotonic() - written_at > WRITE_S:
                add_scores(log, rows)
                rows, written_at = [], time.monotonic()
    finally:  # an interrupt keeps what was scored
        add_scores(log, rows)
    hashes = [[image.sha256 for image in run.images] for run in runs]
    return {column: score_column(values, hashes) for column, values in find_scored(log, owners, named, version).items()}
