"""A report: one HTML file that opens offline, with everything it shows and does inside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from imagen_nb.records import Run
from imagen_nb.views.cards import failures, summary_line
from imagen_nb.views.charts import Bar, lay_out
from imagen_nb.views.differences import settings_of
from imagen_nb.views.names import image_names
from imagen_nb.views.pages import asset, fill
from imagen_nb.views.pictures import Picture, Thumb, pictures_of, references_of
from imagen_nb.views.run_table import LEADING, TRAILING, TableColumn
from imagen_nb.views.words import (
    NO_RUNS,
    Chip,
    chip,
    cost_text,
    count,
    dot_list,
    is_simulated,
    one_line,
    reason_line,
    seconds,
    value_text,
    why,
)

Finding = tuple[str, str, Sequence[tuple[str, Sequence[Bar]]], Sequence[str]]
"""What is found of what: its name, the sentence, its intervals in parts, and remarks."""

REPORT_BOX = 4096
MOST_OF_A_REASON = 400
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""One transparent pixel, so that an image without a picture yet is still valid HTML."""


@dataclass(frozen=True, slots=True)
class ReportRun:
    """One run in the report."""

    key: str
    data: str
    pictures: Sequence[Picture]
    references: Sequence[tuple[str, Picture]]
    chip: Chip
    why: str | None
    text: str | None
    prompt: str
    settings: Sequence[tuple[str, str, str]]
    figures: str
    cells: Sequence[tuple[str, float | None, str]]


def render_report(
    runs: Sequence[Run],
    thumb: Thumb,
    *,
    title: str,
    rows: str | None = None,
    cols: str | None = None,
    facet: str | None = None,
    orders: Mapping[str, Sequence[str]] | None = None,
    made_at: datetime | None = None,
    note: str | None = None,
    findings: Sequence[Finding] = (),
) -> str:
    """The whole page as text. Data reach it escaped, and its policy forbids any script and style but its own.

    `rows`, `cols` and `facet` are the settings that span its grid when it opens; a reader can choose others. `orders`
    has the values of settings as texts, in the order in which an axis shows them; a setting that is not in it goes by
    number where all its values are numbers, else as they appear. `findings` stand above the pictures.
    """
    found = [settings_of(run) for run in runs]
    names = list(dict.fromkeys(name for each in found for name in each))
    texts = {name: {value_text(each.get(name)) for each in found} for name in names}
    same = {name: each.pop() for name, each in texts.items() if len(each) == 1 and len(runs) > 1}
    varying = [
        TableColumn(name, "setting", lambda run, name=name: settings_of(run).get(name))  # type: ignore[misc] # bound early
        for name in names
        if name not in same
    ]
    columns = [each for each in (*LEADING, *varying, *TRAILING) if any(each.text(run) for run in runs)]
    items = [
        _report_run(str(key), run, pictures_of(run, thumb, box=REPORT_BOX, names=own), same, columns)
        for key, (run, own) in enumerate(zip(runs, image_names(runs), strict=True))
    ]
    mixed = ["experiment"] if len({run.experiment for run in runs}) > 1 else []
    simulated = sum(is_simulated(run) for run in runs)
    footer = [
        count(len(runs), "run"),
        f"{simulated:,} of them simulated" if simulated else "",
        f"made {made_at:%Y-%m-%d %H:%M} UTC" if made_at else "",
        note or "",
    ]
    return fill(
        "report.html",
        policy=_policy(),
        title=title,
        summary=summary_line(runs) if runs else NO_RUNS,
        common=dot_list(f"{name}={text}" for name, text in same.items()),
        reasons=failures(runs),
        findings=[(name, sentence, lay_out(parts), remarks) for name, sentence, parts, remarks in findings],
        view="grid" if rows or cols else "gallery",
        states=list(dict.fromkeys(item.chip.word for item in items)),
        axes=[*mixed, "prompt", "template", *names],
        rows=rows,
        cols=cols,
        facet=facet,
        orders=json.dumps(dict(orders or {}), ensure_ascii=False),
        items=items,
        columns=[(column.name, column.look) for column in columns],
        blank=BLANK,
        footer=dot_list(footer),
    )


def _report_run(
    key: str, run: Run, pictures: Sequence[Picture], same: Mapping[str, str], columns: Sequence[TableColumn]
) -> ReportRun:
    pictures = [each for each in pictures if each.src]
    prompt, state, reason = run.request.prompt, chip(run), why(run)
    missing = "The picture is not in this report." if run.images and not pictures else None
    told = {name: value_text(found) for name, found in settings_of(run).items() if found is not None}
    experiment = {"experiment": run.experiment} if run.experiment else {}
    # What the page's script needs to know of the run, as JSON for an attribute.
    words = [
        run.id,
        prompt,
        state.word,
        *(each or "" for each in (run.experiment, run.tag, run.note, run.error, run.text)),
    ]
    data = {
        "key": key,
        "state": state.word,
        "prompt": prompt,
        "axes": {**experiment, "prompt": prompt, "template": run.request.template, **told},
        "text": " ".join([*words, *told.values()]).lower(),
    }
    text = one_line(run.text or "", MOST_OF_A_REASON)
    if not pictures and (short := reason_line(run, MOST_OF_A_REASON) or missing or text):
        data |= {"tone": state.tone, "reason": short}
    figures = dot_list([seconds(run.total_s), cost_text(run)])
    return ReportRun(
        key=key,
        data=json.dumps(data, ensure_ascii=False),
        pictures=pictures,
        references=references_of(run),
        chip=state,
        text=run.text,
        why=None if pictures else (reason.text if reason else missing),
        prompt=prompt,
        settings=[(name, text, "same" if name in same else "own") for name, text in told.items()],
        figures=dot_list([figures, "★" * (run.rating or 0), run.note or ""]),
        cells=[(column.text(run), column.number(run), column.look) for column in columns],
    )


@cache
def _policy() -> str:
    """What the page may do, as a browser reads it: run its own script and style, by their hashes, and nothing else."""
    style, script = (
        base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode() for name in ("report.css", "report.js")
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )
