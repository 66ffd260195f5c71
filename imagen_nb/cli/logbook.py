"""`imagen-nb log` and `models`: the log as a table that fits a terminal, or as files, and what is known of models."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagen_nb.errors import InputError, readable
from imagen_nb.records import Run
from imagen_nb.settings import DEFAULT_HOME
from imagen_nb.views.words import chip, clip, cost_text, count, dollars, dot_list, is_simulated, one_line, seconds, why
from imagen_nb.workspace import Workspace

Filters = Mapping[str, Any]
"""`experiment` and `status`, each a text or None."""

SHOWN = 40
"""How many rows the table shows where `--last` does not say."""

WIDTH, WIDEST = 80, 160


def show_log(
    home: str | None, filters: Filters, last: int | None = None, files: Mapping[str, str] | None = None
) -> int:
    """Print the newest rows that meet the filters, or write them all to `files` (path to kind: csv, parquet, html)."""
    with Workspace(home=home, provider="simulator") as workspace:  # the log needs no provider, and so no token
        if not (workspace.home / "log.sqlite").exists():
            hint = f"--home names its folder; usual is {DEFAULT_HOME}."
            raise InputError(f"there is no log in {workspace.home}", hint)
        if files:
            _write_files(workspace, filters, last, files)
            return 0
        total = workspace.log.count(**filters)
        runs = workspace.log.runs(**filters, limit=last or SHOWN)
        for line in table(runs, shutil.get_terminal_size((WIDTH, 24)).columns):
            sys.stdout.write(readable(line) + "\n")
        hidden = f", the newest {len(runs):,} shown (--last N shows N)" if len(runs) < total else ""
        simulated = ", simulated" if runs and all(map(is_simulated, runs)) else ""
        sys.stdout.write(f"{count(total, 'run')}{simulated}{hidden}\n")
    return 0


def _write_files(workspace: Workspace, filters: Filters, last: int | None, files: Mapping[str, str]) -> None:
    import imagen_nb.accessor  # noqa: F401 - gives frames their .imagen
    from imagen_nb.log.frame import frame

    for path, kind in files.items():
        target, endings = Path(path).expanduser(), (".html", ".htm") if kind == "html" else (f".{kind}",)
        if target.suffix.lower() not in endings:
            hint = f"Call it {target.stem or 'log'}{endings[0]}."
            raise InputError(f"--{kind} {path} does not end in {endings[0]}", hint)
        if not target.absolute().parent.is_dir():
            raise InputError(f"there is no folder {target.parent}", "Make it first, or choose another.")
    rows: Any = frame(workspace.log, **filters, last=last)
    for path, kind in files.items():
        target = Path(path).expanduser()
        (rows.imagen.report if kind == "html" else rows.imagen.export)(target)
        sys.stdout.write(f"{count(len(rows), 'run')} written to {target}\n")


def show_models(home: str | None, provider: str | None) -> int:
    """Print what is known of each model: its price, what it takes and answers with, and what follows it."""
    with Workspace(home=home, provider=provider) as workspace:
        frame = workspace.models().drop(columns=["typical_s", "partial"]).fillna("")
    rows = frame.reset_index().to_dict("records")
    head = "price, simulated" if {row["price_source"] for row in rows} <= {"simulated", ""} else "price"
    cells = [("model", head), *((row["model"], row["price"]) for row in rows)]
    notes = ["about"] + [
        dot_list(
            [
                f"shut down {row['retired_on']}, {row['successor']} follows" if row["retired_on"] else "",
                "answers with text" if row["output"] == "text" else "",
                f"takes {row['files']}" if row["files"] else "",
            ]
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    width = max(shutil.get_terminal_size((WIDTH, 24)).columns, sum(widths) + 60)
    for each, note in zip(cells, notes, strict=True):
        sys.stdout.write(_line(each, widths, note, width - sum(widths) - 4) + "\n")
    return 0


def table(runs: Sequence[Run], width: int) -> Iterator[str]:
    """A line for each run, and a second one where there is no image: why. No line is wider than `width` columns.

    Which costs are simulated stands beside them, unless all are.
    """
    costs = [dollars(run.cost) for run in runs] if all(map(is_simulated, runs)) else list(map(cost_text, runs))
    cells = [
        (
            run.id,
            chip(run).word,
            seconds(run.total_s),
            cost,
            clip(run.request.model.rpartition("/")[2], 16),
        )
        for run, cost in zip(runs, costs, strict=True)
    ]
    if not cells:
        return
    head = ("run", "status", "time", "cost", "model")
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    room = max(min(width, WIDEST) - sum(widths) - 2 * len(widths), 12)
    yield _line(head, widths, "prompt", room)
    for run, each in zip(runs, cells, strict=True):
        yield _line(each, widths, run.request.prompt, room)
        if run.status.is_terminal and (reason := why(run)):
            yield "  " + one_line(reason.text, max(width - 2, 12))


def _line(cells: Iterable[str], widths: Iterable[int], text: str, room: int) -> str:
    columns = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([*columns, one_line(text, room)]).rstrip()
