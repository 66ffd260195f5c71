"""What is read from the log: which rows a filter means, and the records made from them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from imagen_nb.core.records import Image, Run, Status
from imagen_nb.core.words import shortened
from imagen_nb.errors import InputError
from imagen_nb.store.prepared import Prepared, given
from imagen_nb.store.rows import image_of, run_of
from imagen_nb.store.tables import events, experiments, images, replies, restored_json, runs

Statuses = str | Status | Iterable[str | Status] | None
Names = str | Iterable[str] | None


_BATCH = 500  # old SQLites take 999 parameters
_RUN = Prepared(sa.select(runs).where(runs.c.run_id == given("of", runs.c.run_id)))
_IMAGES = Prepared(sa.select(images).where(images.c.run == given("of", images.c.run)).order_by(images.c.position))


def among(column: sa.ColumnElement[Any], values: Iterable[str | int]) -> sa.ColumnElement[bool]:
    """Whether the column is one of the values, however many of our own making: they travel as one parameter."""
    each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(sa.select(each.c.value))


def matching(
    *,
    ids: Iterable[str] | None = None,
    experiment: Names = None,
    status: Statuses = None,
    text: str | None = None,
    before: str | None = None,
) -> list[sa.ColumnElement[bool]]:
    """The conditions on the table `runs` that together mean these filters; None filters nothing.

    `experiment` and `status` take one name or several; `text` is looked for in the prompt, upper and lower case alike;
    `before` is a run id, and means the rows older than it. Raises `InputError` for a status that does not exist.
    """
    found: list[sa.ColumnElement[bool]] = []
    if ids is not None:
        found.append(among(runs.c.run_id, [ids] if isinstance(ids, str) else ids))
    if experiment is not None:
        found.append(runs.c.experiment.in_(_several("experiment", experiment)))
    if status is not None:
        found.append(runs.c.status.in_(_statuses(status)))
    if text:
        found.append(runs.c.prompt.contains(text, autoescape=True))
    if before is not None:
        older = runs.alias("older")
        found.append(runs.c.seq < sa.select(older.c.seq).where(older.c.run_id == before).scalar_subquery())
    return found


def newest(query: sa.Select[Any], limit: int | None, *, newest_first: bool = False) -> sa.Select[Any]:
    """The query's rows in the order of the log; with a limit, the newest so many of them."""
    if limit is None:
        return query.order_by(runs.c.seq.desc() if newest_first else runs.c.seq)
    cut = query.order_by(runs.c.seq.desc()).limit(max(limit, 0))
    if newest_first:
        return cut
    window = cut.add_columns(runs.c.seq.label("_order")).subquery()
    return sa.select(*[column for column in window.c if column.key != "_order"]).order_by(window.c._order)  # noqa: SLF001 - a column's name


def read_runs(conn: sa.Connection, query: sa.Select[Any], home: Path) -> list[Run]:
    """The runs, with their images, of a query that selects the whole table `runs`."""
    rows = conn.execute(query).all()
    found: dict[int, list[Image]] = defaultdict(list)
    pictures = sa.select(images).where(among(images.c.run, [row.seq for row in rows]))
    for row in conn.execute(pictures.order_by(images.c.run, images.c.position)):
        found[row.run].append(image_of(row, home))
    return [run_of(row, found[row.seq]) for row in rows]


def read_run(conn: sa.Connection, run_id: str, home: Path) -> Run:
    """One run. Raises `InputError` for an id that is not in the log."""
    found = _RUN.rows(conn, of=run_id)
    if not found:
        raise missing(run_id)
    return run_of(found[0], [image_of(row, home) for row in _IMAGES.rows(conn, of=found[0].seq)])


def missing(run_id: str) -> InputError:
    """The error for a run id that is not in the log."""
    return InputError(
        f"the log has no run {run_id!r}", "Run ids are the index of imagen_nb.frame(); is this the right home?"
    )


def read_claimed(conn: sa.Connection, provider: str, prediction_ids: Sequence[str]) -> set[str]:
    """Those of the prediction ids that some row of this provider has."""
    found: set[str] = set()
    for start in range(0, len(prediction_ids), _BATCH):
        some = runs.c.prediction_id.in_(prediction_ids[start : start + _BATCH])
        found |= set(conn.execute(sa.select(runs.c.prediction_id).where(runs.c.provider == provider, some)).scalars())
    return found


def read_called(conn: sa.Connection, provider: str, model: str) -> set[str]:
    """What the newest reply to a request for this model calls it; empty where no reply said."""
    query = (
        sa.select(replies.c.raw)
        .join(runs, runs.c.run_id == replies.c.run_id)
        .where(runs.c.provider == provider, runs.c.model == model)
        .order_by(runs.c.seq.desc())
        .limit(1)
    )
    name = restored_json(conn.execute(query).scalar()).get("model")
    return {name} if isinstance(name, str) and name else set()


def read_latencies(conn: sa.Connection, model: str, provider: str, limit: int) -> list[float]:
    """Seconds from creation to completion of the newest runs that succeeded, newest first."""
    query = (
        sa.select(runs.c.total_s)
        .where(runs.c.provider == provider, runs.c.model == model, runs.c.status == str(Status.SUCCEEDED))
        .where(runs.c.total_s.is_not(None))
        .order_by(runs.c.seq.desc())
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def read_experiments(conn: sa.Connection) -> list[str]:
    """The names of all experiments, in the order of their first run."""
    return list(conn.execute(sa.select(experiments.c.name).order_by(experiments.c.seq)).scalars())


def problems(conn: sa.Connection, home: Path) -> list[str]:
    """What is wrong with the file, its rows and the images they name; one line each."""
    lines = [str(line) for line in conn.exec_driver_sql("PRAGMA integrity_check").scalars() if line != "ok"]
    lines += [f"a row of {row[0]} belongs to no run" for row in conn.exec_driver_sql("PRAGMA foreign_key_check")]
    query = sa.select(runs.c.run_id, images.c.file, images.c.bytes).join(images, images.c.run == runs.c.seq)
    for run_id, file, size in conn.execute(query.order_by(runs.c.seq)):
        path = home / file
        if not path.is_file():
            lines.append(f"the image {file} of run {run_id} is missing")
        elif path.stat().st_size != size:
            lines.append(f"the image {file} of run {run_id} has {path.stat().st_size} bytes instead of {size}")
    without = sa.select(runs.c.run_id).where(~sa.exists().where(events.c.run_id == runs.c.run_id))
    return lines + [f"the run {run_id} has no events" for run_id in conn.execute(without).scalars()]


def _several(name: str, value: Any) -> list[str]:
    """The names asked for. Raises `InputError` for what is neither text nor several texts."""
    wanted = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(each, str) for each in wanted):
        raise InputError(f"{name} cannot be {shortened(value)}; allowed: a name, or several", "Names are text.")
    return wanted


def _statuses(status: Statuses) -> list[str]:
    wanted = _several("status", status)
    known = [str(each) for each in Status]
    for word in wanted:
        if str(word) not in known:
            raise InputError(f"there is no status {str(word)!r}", f"Choose from {', '.join(known)}.")
    return [str(word) for word in wanted]
