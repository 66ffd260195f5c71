"""A frame as a report: how large its pictures may be, how its grid opens, and the file."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd

from imagen_nb.errors import InputError
from imagen_nb.files import absolute_path, replace_file, write_errors
from imagen_nb.frames.conclusions import conclude
from imagen_nb.frames.gallery import images_of, need_images
from imagen_nb.frames.grid import axes_of, labels
from imagen_nb.frames.runs import input_name, runs_of, settings_columns, values
from imagen_nb.views.report_page import render_report
from imagen_nb.views.thumbnails import thumbs

_SIZES = ((40, 1024), (150, 768), (600, 512), (4000, 256))
"""Up to so many images, thumbnails of so many pixels: a report stays below about 60 MB."""

MOST_IMAGES = 4000


def report(
    frame: pd.DataFrame, path: str | os.PathLike[str], *, title: str | None = None, votes: pd.DataFrame | None = None
) -> Path:
    """Write the report and return its absolute path. Raises `InputError` for a name that is not one of an HTML file.

    Its title is the experiment's name where there is one only; `votes` are those of the frame's log, if it has one.
    """
    need_images(frame)
    target = absolute_path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"a report is an HTML file, and {target.name!r} is not one", "Name it something.html.")
    experiments = {str(name) for name in values(frame, "experiment") if name is not None}
    runs = runs_of(frame)
    images = images_of(runs)
    px = next((px for most, px in _SIZES if len(images) <= most), _SIZES[-1][1])
    axes = axes_of(frame)
    # The order of each setting's values, as in a grid, where it is another than that in which they appear.
    orders: dict[str, list[str]] = {}
    for name in dict.fromkeys(settings_columns(frame)):
        axis = labels(frame, [name])
        if list(dict.fromkeys(axis.codes)) != sorted(set(axis.codes)):
            orders[input_name(name)] = [text for text, pairs in zip(axis.texts, axis.pairs, strict=True) if pairs]
    page = render_report(
        runs,
        thumbs(images[:MOST_IMAGES], px),
        title=title or (experiments.pop() if len(experiments) == 1 else "Image runs"),
        rows=next(iter(axes.rows), None),
        cols=next(iter(axes.cols), None),
        facet=next(iter(axes.facet), None),
        orders=orders,
        made_at=datetime.now(timezone.utc),
        findings=conclude(frame, votes),
        note=f"pictures of the first {MOST_IMAGES:,} images only" if len(images) > MOST_IMAGES else None,
    )
    with write_errors(target), replace_file(target) as temporary:
        temporary.write_text(page, "utf-8")
    return target
