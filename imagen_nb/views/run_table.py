"""Runs as a table with pictures: the columns that a report has too, and the table of a cell and of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imagen_nb.records import Rendering, Run
from imagen_nb.views.names import image_names
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, pictures_of, references_of
from imagen_nb.views.words import (
    chip,
    cost_text,
    one_line,
    remark,
    seconds,
    terminal_text,
    value_text,
    why,
)

BOX = 80
MOST_PICTURES = 4
_REASON, _TITLE = 100, 400
_MOST = {"text": 140}
"""The most characters of a cell by its look; of others `_SHORT`. A terminal shows `_NARROW` of a text."""
_SHORT, _NARROW = 80, 40


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the table: how a run fills it, in which words, and as a number where it sorts as one."""

    name: str
    look: str
    of: Callable[[Run], Any]
    words: Callable[[Run], str] | None = None

    def number(self, run: Run) -> float | None:
        found = self.of(run)
        return float(found) if self.look == "number" and found is not None else None

    def text(self, run: Run) -> str:
        found = self.of(run)
        if found is None:
            return ""
        if self.words:
            return self.words(run)
        return f"{found:%Y-%m-%d %H:%M:%S}" if isinstance(found, datetime) else value_text(found)


LEADING = (TableColumn("prompt", "text", lambda run: run.request.prompt),)
TRAILING = (
    TableColumn("status", "status", lambda run: chip(run).word),
    TableColumn("reason", "text", lambda run: reason.text if (reason := why(run)) else None),
    TableColumn("seconds", "number", lambda run: run.total_s, lambda run: seconds(run.total_s)),
    TableColumn("cost", "number", lambda run: run.cost, cost_text),
    TableColumn("rating", "number", lambda run: run.rating),
    TableColumn("favourite", "setting", lambda run: run.favourite or None, lambda _is_so: "♥"),
    TableColumn("note", "text", lambda run: run.note),
    TableColumn("experiment", "setting", lambda run: run.experiment),
    TableColumn("tag", "setting", lambda run: run.tag),
    TableColumn("created", "stamp", lambda run: run.created_at),
    TableColumn("run", "stamp", lambda run: run.id),
)
"""Before and after the columns of the settings."""


def render_table(
    runs: Sequence[Run],
    columns: Sequence[TableColumn],
    thumb: Thumb,
    *,
    link: Link | None = None,
    heading: str | None = None,
    note: str | None = None,
    width: int | None = None,
) -> Rendering:
    """One row a run: its pictures, four at most and each within 80 CSS pixels, then its cells.

    A status tells its reason where the run has no image. `heading` stands above, `note` below. In a terminal `width`
    characters wide, settings are left out from the last one on until the lines fit.
    """
    rows = []
    for run, names in zip(runs, image_names(runs), strict=True):
        pictures = pictures_of(run, thumb, box=BOX, link=link, names=names)
        needed: dict[str, list[Picture]] = {}
        for name, reference in references_of(run, link):
            for column in (name, f"input_{name}"):
                needed.setdefault(column, []).append(reference)
        rows.append(
            {
                "pictures": pictures[:MOST_PICTURES],
                "hidden": len(pictures[MOST_PICTURES:]),
                "chip": chip(run),
                "reason": remark(run, _REASON),
                "whole_reason": remark(run, _TITLE),
                "cells": [
                    (column.look, *_cut(column.text(run), column.look), needed.get(column.name, []))
                    for column in columns
                ],
            }
        )
    heads = [(column.name, column.look) for column in columns]
    html = fill("table.html", heads=heads, rows=rows, heading=heading, note=note)
    # For a terminal: the same cells in columns of one width each.
    table = {each: [each.name, *(one_line(each.text(run), _NARROW) for run in runs)] for each in columns}
    widths = {each: max(map(len, texts)) + 2 for each, texts in table.items()}
    for each in [each for each in reversed(columns) if each.look == "setting"]:
        if width is not None and sum(widths.values()) - 2 > width:
            del table[each], widths[each]
    padded = [[text.ljust(widths[each]) for text in texts] for each, texts in table.items()]
    lines = ["".join(line).rstrip() for line in zip(*padded, strict=True)] if runs else []
    text = terminal_text([*filter(None, (heading, *lines, note))])
    return {"text/plain": text, "text/html": html}


def _cut(text: str, look: str) -> tuple[str, str]:
    """The text of a cell on one line, and more of it for hovering where it is cut."""
    most = _MOST.get(look, _SHORT)
    return one_line(text, most), one_line(text, _TITLE) if len(text) > most else ""
