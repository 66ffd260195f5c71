"""A frame as a table with pictures: what `df.imagen` shows by itself."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from imagen_nb.frames import TABLE_PAGE
from imagen_nb.frames.gallery import MOST_SOURCE, Shown, need_images, page_note, page_of
from imagen_nb.frames.grid import distinct
from imagen_nb.frames.runs import (
    Names,
    column,
    column_names,
    file_words,
    homes_of,
    names_of,
    plain_values,
    runs_of,
    settings_columns,
    values,
)
from imagen_nb.planning.values import whole_number
from imagen_nb.records import INDEX, SCORE_PREFIX, Run
from imagen_nb.views.pictures import Thumb, below
from imagen_nb.views.run_table import LEADING, MOST_PICTURES, TRAILING, TableColumn, render_table
from imagen_nb.views.thumbnails import thumbs
from imagen_nb.views.words import NO_RUNS, value_text

THUMB_PX = 160
_OF_LOG = {"total_s": "seconds", "cost_usd": "cost", "created_at": "created", INDEX: "run"}
"""Columns of the log that the table calls otherwise."""
_KNOWN = {each.name: each for each in (*LEADING, *TRAILING)}
_USUAL = ("status", "seconds", "cost", "rating", "favourite")


def table(
    frame: pd.DataFrame, columns: Names = None, *, page: int = 1, per_page: int = TABLE_PAGE, thumb: Thumb | None = None
) -> Shown:
    """One page of the frame as a table; see `df.imagen.table`. `thumb` makes its pictures where they are not wanted."""
    need_images(frame)
    size = whole_number("per_page", per_page)
    if columns is None:
        scores = [name for name in column_names(frame) if name.startswith(SCORE_PREFIX)]
        names = [*(each.name for each in LEADING), *columns_that_vary(frame), *scores, *_USUAL]
    else:
        given = [columns] if isinstance(columns, str) else list(columns)
        names = [name if name in _KNOWN else names_of(frame, [name], "columns")[0] for name in given]
    here = page_of(page, math.ceil(len(frame) / size))
    part = frame.iloc[(here.number - 1) * size : here.number * size]
    runs = runs_of(part)
    shown = [_KNOWN.get(_OF_LOG.get(name, name)) or _own_column(part, runs, name) for name in dict.fromkeys(names)]
    if columns is None:  # a column where no run has anything says nothing
        shown = [each for each in shown if any(each.text(run) for run in runs)]
    if thumb is None:
        images = [run.images[:MOST_PICTURES] for run in runs]
        most = MOST_SOURCE // max([1, *map(len, images)])
        thumb = thumbs([image for some in images for image in some], THUMB_PX, most=most)
    options = {"columns": columns if columns is None else names, "per_page": size if size != TABLE_PAGE else None}
    note = page_note(here, f"{len(runs)} of {len(frame):,} runs", "table", **options)
    heading = None if len(frame) else NO_RUNS
    width = None if columns is not None else shutil.get_terminal_size((100, 24)).columns
    return Shown(render_table(runs, shown, thumb, link=below(Path.cwd()), heading=heading, note=note, width=width))


def columns_that_vary(frame: pd.DataFrame) -> list[str]:
    """Slots, parameters and model with several values; repeat, experiment and tag that not all runs share."""
    names = [name for name in dict.fromkeys([*settings_columns(frame), "model"]) if distinct(values(frame, name)) > 1]
    return [*names, *(name for name in ("repeat", "experiment", "tag") if len(set(values(frame, name))) > 1)]


def _own_column(frame: pd.DataFrame, runs: Sequence[Run], name: str) -> TableColumn:
    """A column of the frame that the table knows nothing about."""
    series = column(frame, name)
    is_number = pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series)
    found = dict(zip(map(id, runs), plain_values(series), strict=True))
    files = file_words((item for item in found.values() if isinstance(item, str)), homes_of(frame))

    def words(run: Run) -> str:
        item = found[id(run)]
        return f"{item:.6g}" if isinstance(item, float) else files.get(text := value_text(item), text)

    return TableColumn(name, "number" if is_number else "setting", lambda run: found[id(run)], words)
