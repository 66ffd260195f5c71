"""A report: one HTML file that opens offline, with everything it shows and does inside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from imagen_nb.records import Run
from imagen_nb.views.cards import failures, summary_line
from imagen_nb.views.pages import asset, fingerprint, page, replace_once, source
from imagen_nb.views.pictures import Picture, Thumb, picture
from imagen_nb.views.words import (
    NO_RUNS,
    Chip,
    chip,
    count,
    dollars,
    dot_list,
    is_simulated,
    reason_line,
    seconds,
    value_text,
    why,
)

REPORT_BOX = 4096
MOST_OF_A_REASON = 400
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""One transparent pixel, so that an image without a picture yet is still valid HTML."""

_TEXTS = ("prompt", "template")
_STYLE = '<link rel="stylesheet" href="../assets/report.css">'
_SCRIPT = '<script src="../assets/report.js"></script>'


@dataclass(frozen=True, slots=True)
class Axes:
    """Which settings span the report's grid when it opens; a reader can choose others. None for no axis.

    `orders` has the values of settings as texts, in the order in which an axis shows them; a setting that is not in it
    goes by number where all its values are numbers, else as they appear.
    """

    rows: str | None = None
    cols: str | None = None
    facet: str | None = None
    orders: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One run in the report."""

    key: str
    data: str
    pictures: Sequence[Picture]
    chip: Chip
    why: str | None
    prompt: str
    settings: Sequence[tuple[str, str, str]]
    figures: str
    cells: Sequence[tuple[str, float | None, str]]


def report(
    runs: Sequence[Run],
    thumb: Thumb,
    *,
    title: str,
    axes: Axes = Axes(),
    made_at: datetime | None = None,
    note: str | None = None,
) -> str:
    """The whole page as text. Data reach it escaped, and its policy forbids any script and style but its own."""
    names = _setting_names(runs)
    same = _common(runs, names)
    columns = [each for each in _columns([n for n in names if n not in same]) if any(each.text(run) for run in runs)]
    items = [_item(str(key), run, thumb, same, columns) for key, run in enumerate(runs)]
    chosen = {name for name in (axes.rows, axes.cols) if name}
    return page(
        _template(),
        policy=_policy(),
        title=title,
        summary=summary_line(runs) if runs else NO_RUNS,
        common=dot_list(f"{name}={text}" for name, text in same.items()),
        reasons=failures(runs),
        view="matrix" if chosen else "gallery",
        states=list(dict.fromkeys(item.chip.word for item in items)),
        axes=[*_TEXTS, *names],
        rows=axes.rows,
        cols=axes.cols,
        facet=axes.facet,
        orders=json.dumps(dict(axes.orders)),
        items=items,
        columns=[(column.name, column.look) for column in columns],
        blank=BLANK,
        footer=_footer(runs, made_at, note),
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: how a run fills it, as text in some `form`, and as a number where it sorts as one."""

    name: str
    look: str
    of: Any
    form: Callable[[Any], str] = value_text

    def number(self, run: Run) -> float | None:
        found = self.of(run)
        return float(found) if self.look == "number" and found is not None else None

    def text(self, run: Run) -> str:
        found = self.of(run)
        if found is None:
            return ""
        if isinstance(found, datetime):
            return found.strftime("%Y-%m-%d %H:%M:%S")
        return self.form(found)


def _columns(names: Sequence[str]) -> list[_Column]:
    settings = [_Column(name, "setting", lambda run, name=name: _settings(run).get(name)) for name in names]
    return [
        _Column("prompt", "text", lambda run: run.request.prompt),
        *settings,
        _Column("status", "status", lambda run: chip(run).word),
        _Column("reason", "text", lambda run: reason.text if (reason := why(run)) else None),
        _Column("seconds", "number", lambda run: run.total_s, seconds),
        _Column("cost", "number", lambda run: run.cost, dollars),
        _Column("rating", "number", lambda run: run.rating),
        _Column("note", "text", lambda run: run.note),
        _Column("experiment", "setting", lambda run: run.experiment),
        _Column("tag", "setting", lambda run: run.tag),
        _Column("created", "stamp", lambda run: run.created_at),
        _Column("run", "stamp", lambda run: run.id),
    ]


def _item(key: str, run: Run, thumb: Thumb, same: Mapping[str, str], columns: Sequence[_Column]) -> Item:
    pictures = [each for image in run.images if (each := picture(image, thumb, box=REPORT_BOX)).src]
    reason = why(run)
    missing = "The picture is not in this report." if run.images and not pictures else None
    settings = {name: value_text(found) for name, found in _settings(run).items() if found is not None}
    figures = dot_list([seconds(run.total_s), dollars(run.cost), "simulated" if is_simulated(run) else ""])
    return Item(
        key=key,
        data=_data(key, run, settings, None if pictures else (reason_line(run, MOST_OF_A_REASON) or missing)),
        pictures=pictures,
        chip=chip(run),
        why=None if pictures else (reason.text if reason else missing),
        prompt=run.request.prompt,
        settings=[(name, text, "same" if name in same else "own") for name, text in settings.items()],
        figures=dot_list([figures, "★" * (run.rating or 0), run.note or ""]),
        cells=[(column.text(run), column.number(run), column.look) for column in columns],
    )


def _data(key: str, run: Run, settings: Mapping[str, str], reason: str | None) -> str:
    """What the page's script needs to know of a run, as JSON for an attribute; `reason` is why it has no picture."""
    prompt, state = run.request.prompt, chip(run)
    words = [run.id, prompt, state.word, run.experiment or "", run.tag or "", run.note or "", run.error or ""]
    text = " ".join([*words, *settings.values()]).lower()
    axes = {"prompt": prompt, "template": run.request.template, **settings}
    told = {"key": key, "state": state.word, "prompt": prompt, "axes": axes, "text": text}
    return json.dumps(told if reason is None else {**told, "tone": state.tone, "reason": reason})


def _settings(run: Run) -> dict[str, Any]:
    return {"model": run.request.model, **run.request.slots, **run.request.params}


def _setting_names(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in _settings(run)))


def _common(runs: Sequence[Run], names: Sequence[str]) -> dict[str, str]:
    """The settings that are the same in every run, as text; none where there is only one run."""
    found = {name: {value_text(_settings(run).get(name)) for run in runs} for name in names}
    return {name: texts.pop() for name, texts in found.items() if len(texts) == 1 and len(runs) > 1}


def _footer(runs: Sequence[Run], made_at: datetime | None, note: str | None) -> str:
    simulated = sum(is_simulated(run) for run in runs)
    return dot_list(
        [
            count(len(runs), "run"),
            f"{simulated:,} of them simulated" if simulated else "",
            f"made {made_at:%Y-%m-%d %H:%M} UTC" if made_at else "",
            note or "",
        ]
    )


@cache
def _template() -> str:
    """The template with its style and script written in, in place of the links that make it viewable as it stands."""
    text = source("report.html")
    text = replace_once(text, _STYLE, "<style>{% raw %}" + asset("report.css") + "{% endraw %}</style>")
    return replace_once(text, _SCRIPT, "<script>{% raw %}" + asset("report.js") + "{% endraw %}</script>")


@cache
def _policy() -> str:
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{fingerprint(asset('report.css'))}'",
            f"script-src '{fingerprint(asset('report.js'))}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
