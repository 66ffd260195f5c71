"""What is asked of the log, and how its rows change: statements for the caller's transaction.

First what is read and which rows a filter means, then the changes that a row goes through, each written together with
its event, and last the rows that are to be taken up again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from imagen_nb.errors import InputError, brief
from imagen_nb.log.schema import (
    OPEN,
    events,
    experiments,
    image_of,
    images,
    micros,
    prediction_values,
    replies,
    reply_text,
    request_of,
    run_of,
    runs,
    seconds_between,
)
from imagen_nb.log.sessions import ids_after
from imagen_nb.records import BLOCKED, STATUS_WORDS, Image, Prediction, Request, Run, Status

Statuses = str | Status | Iterable[str | Status] | None
Names = str | Iterable[str] | None

# Statements that run several times for each prediction are made once: to make one anew costs five times as much CPU
# as to run it again, and that while the others wait for the lock.
_OF: sa.BindParameter[Any] = sa.bindparam("of")
_THIS_RUN = runs.c.run_id == _OF
_THESE_IMAGES = images.c.run.in_(sa.select(sa.func.json_each(_OF).table_valued("value").c.value))

_ROW_KEYS = ("seq", "run_id", "provider", "status", "seen", "prediction_id", "owner", "created_at")
_ROW = sa.select(*[runs.c[name] for name in _ROW_KEYS]).where(_THIS_RUN)
_WHOLE_ROW = sa.select(runs).where(_THIS_RUN)
_NEWEST_ID = sa.select(runs.c.run_id).order_by(runs.c.seq.desc()).limit(1)
_HOLDER = sa.select(runs.c.run_id).where(runs.c.provider == sa.bindparam("provider"), runs.c.prediction_id == _OF)
_IMAGES = sa.select(images).where(_THESE_IMAGES).order_by(images.c.run, images.c.position)
_COUNT_IMAGES = sa.select(sa.func.count()).select_from(images).where(images.c.run == _OF)

_UPDATE = sa.update(runs).where(_THIS_RUN)
_DELETE_IMAGES = sa.delete(images).where(images.c.run == _OF)
_INSERT_RUN, _INSERT_EVENT, _INSERT_IMAGE = sa.insert(runs), sa.insert(events), sa.insert(images)
_NAME_EXPERIMENT = insert(experiments).on_conflict_do_nothing()
_REPLY = insert(replies)
_KEEP_REPLY = _REPLY.on_conflict_do_update(index_elements=["run_id"], set_={"raw": _REPLY.excluded.raw})

# -- reading ---------------------------------------------------------------------------------------------------------


def among(column: sa.ColumnElement[Any], values: Iterable[str | int]) -> sa.ColumnElement[bool]:
    """Whether the column is one of the values, however many of our own making: they travel as one parameter."""
    each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(sa.select(each.c.value))


class Filters(TypedDict, total=False):
    """What the log can be asked for; what is not given, or None, filters nothing.

    `experiment`, `status`, `model` and `tag` take one name or several; `text` is looked for in the prompt, upper and
    lower case alike; the status "blocked" is what a safety filter refused; `rating` is the least that a run must have,
    0 those that have none; `favourite` True means favourites; `before` is a run id, and means the rows older than it.
    `kind` None means runs that make something of their own, `judge` what a model was asked about their pictures, "any"
    both; where there are `ids`, these say which.
    """

    ids: Iterable[str] | None
    experiment: Names
    status: Statuses
    model: Names
    tag: Names
    text: str | None
    rating: int | None
    favourite: bool | None
    before: str | None
    kind: str | None


def filters(
    *,
    ids: Iterable[str] | None = None,
    experiment: Names = None,
    status: Statuses = None,
    model: Names = None,
    tag: Names = None,
    text: str | None = None,
    rating: int | None = None,
    favourite: bool | None = None,
    before: str | None = None,
    kind: str | None = None,
) -> list[sa.ColumnElement[bool]]:
    """The conditions on the table `runs` that together mean these `Filters`.

    Raises `InputError` for a status that does not exist.
    """
    found: list[sa.ColumnElement[bool]] = []
    if ids is not None:
        found.append(among(runs.c.run_id, [ids] if isinstance(ids, str) else ids))
    elif kind != "any":
        found.append(runs.c.kind.is_not_distinct_from(kind))
    given = {"experiment": experiment, "status": status, "model": model, "tag": tag}
    names = {column: _names(column, value) for column, value in given.items() if value is not None}
    if (statuses := names.pop("status", None)) is not None:
        for word in statuses:
            if word not in STATUS_WORDS:
                raise InputError(f"there is no status {word!r}", f"Choose from {', '.join(STATUS_WORDS)}.")
        is_blocked = (runs.c.error_code == BLOCKED) & (runs.c.status != str(Status.SUCCEEDED))
        is_one = runs.c.status.in_(statuses)
        found.append(is_one | is_blocked if BLOCKED in statuses else is_one)
    found += [runs.c[column].in_(wanted) for column, wanted in names.items()]
    if text:
        found.append(runs.c.prompt.contains(text, autoescape=True))
    if rating is not None:
        found.append(runs.c.rating >= rating if rating else runs.c.rating.is_(None))
    if favourite:
        found.append(runs.c.favourite.is_(True))
    if before is not None:
        older = runs.alias("older")
        found.append(runs.c.seq < sa.select(older.c.seq).where(older.c.run_id == before).scalar_subquery())
    return found


def is_of(experiment: str | None, kind: str | None) -> list[sa.ColumnElement[bool]]:
    """The conditions on the table `runs` for the rows of an experiment; what is of a `kind` is in none."""
    return [runs.c.experiment.is_not_distinct_from(experiment), runs.c.kind.is_not_distinct_from(kind)]


def _names(filter_name: str, value: Any) -> list[str]:
    """The names asked for. Raises `InputError` for what is neither text nor several texts."""
    wanted = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(each, str) for each in wanted):
        raise InputError(f"{filter_name} cannot be {brief(value)}; allowed: a name, or several", "Names are text.")
    return [str(each) for each in wanted]


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
    return _add_images(conn, conn.execute(query).all(), home)


def read_run(conn: sa.Connection, run_id: str, home: Path) -> Run:
    """One run. Raises `InputError` for an id that is not in the log."""
    found = _add_images(conn, conn.execute(_WHOLE_ROW, {"of": run_id}).all(), home)
    if not found:
        raise _missing(run_id)
    return found[0]


def _add_images(conn: sa.Connection, rows: Sequence[Any], home: Path) -> list[Run]:
    found: dict[int, list[Image]] = defaultdict(list)
    for row in conn.execute(_IMAGES, {"of": json.dumps([row.seq for row in rows])}):
        found[row.run].append(image_of(row, home))
    return [run_of(row, home, found[row.seq]) for row in rows]


def find_problems(conn: sa.Connection, home: Path) -> list[str]:
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


# -- the changes that a row goes through -----------------------------------------------------------------------------

_INTENT = str(Status.INTENT)


def insert_intents(
    conn: sa.Connection, now: datetime, requests: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> list[str]:
    """Write one row of status `intent` for each request; their run ids, greater than all before."""
    if not requests:
        return []
    ids = ids_after(conn.execute(_NEWEST_ID).scalar(), micros(now))
    fresh = {"status": _INTENT, "seen": _INTENT, "attempts": 1, "intended_at": now}
    rows = [{"run_id": next(ids), **fresh, **common, **each} for each in requests]
    if common["experiment"] is not None:
        conn.execute(_NAME_EXPERIMENT, {"name": common["experiment"], "created_at": now})
    conn.execute(_INSERT_RUN, rows)
    run_ids = [str(row["run_id"]) for row in rows]
    write_events(conn, now, run_ids, _INTENT)
    return run_ids


def find_row(conn: sa.Connection, run_id: str) -> Any:
    """What decides about a run's next change. Raises `InputError` for an id that is not in the log."""
    found = conn.execute(_ROW, {"of": run_id}).first()
    if found is None:
        raise _missing(run_id)
    return found


def find_holder(conn: sa.Connection, provider: str, prediction_id: str) -> str | None:
    """The run id of the row that has this prediction of the provider."""
    return conn.execute(_HOLDER, {"provider": provider, "of": prediction_id}).scalar()


def record_reply(
    conn: sa.Connection,
    now: datetime,
    row: Any,
    prediction: Prediction,
    *,
    owner: str | None,
    detail: str | None = None,
) -> None:
    """Record a reply on a row that is under way.

    The row is not done before it is settled, so that a prediction that ended while nobody looked is still collected.
    """
    status = Status.PROCESSING if prediction.status.is_terminal else prediction.status
    word = status_word(prediction)
    values = {"status": str(status), "seen": word, "error": None, "error_code": None, "owner": owner}
    _update(conn, row.run_id, values | _reply_values(row, prediction))
    _keep_reply(conn, row.run_id, prediction)
    if word != row.seen:
        write_events(conn, now, [row.run_id], word, detail or prediction.error)


def record_late_reply(conn: sa.Connection, now: datetime, row: Any, prediction: Prediction) -> None:
    """Record that a row which is done, without a prediction, has one after all; its status stays."""
    _update(conn, row.run_id, _reply_values(row, prediction))
    _keep_reply(conn, row.run_id, prediction)
    detail = f"prediction {prediction.id}, known only after the run was done"
    write_events(conn, now, [row.run_id], status_word(prediction), detail)


def record_end(
    conn: sa.Connection,
    now: datetime,
    row: Any,
    status: Status,
    *,
    prediction: Prediction | None = None,
    values: Mapping[str, Any],
) -> None:
    """Record what a row came to. Nobody owns it afterwards, unless the values say otherwise."""
    said: dict[str, Any] = {}
    if prediction is not None:
        said = _reply_values(row, prediction)
        if row.prediction_id is None and find_holder(conn, row.provider, prediction.id) is not None:
            del said["prediction_id"]
        _keep_reply(conn, row.run_id, prediction)
    changes = {"error": None, "error_code": None, "owner": None, "cost": None, "cost_source": None, **values}
    _update(conn, row.run_id, {"status": str(status), "seen": str(status), **said, **changes})
    if row.seen != str(status):
        write_events(conn, now, [row.run_id], str(status), values.get("error"))


def send_again(
    conn: sa.Connection, now: datetime, run_ids: Sequence[str], values: Mapping[str, Any], detail: str
) -> None:
    """Take rows back to `intent` for a further create, with these values besides."""
    change = {"status": _INTENT, "seen": _INTENT, "error": None, "error_code": None, "cost": None, "cost_source": None}
    for run_id in run_ids:
        conn.execute(_UPDATE.values(**change, **values), {"of": run_id})  # a value may be an expression
    write_events(conn, now, run_ids, _INTENT, detail)


def write_events(
    conn: sa.Connection, now: datetime, run_ids: Sequence[str], status: str, detail: str | None = None
) -> None:
    """Write an event for each of the rows."""
    if run_ids:
        lines = [{"run_id": run_id, "at": now, "status": status, "detail": detail} for run_id in run_ids]
        conn.execute(_INSERT_EVENT, lines)


def keep_images(conn: sa.Connection, place: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep which files a run produced, in place of those of an attempt that did not get more of them."""
    if len(rows) >= conn.execute(_COUNT_IMAGES, {"of": place}).scalar_one():
        conn.execute(_DELETE_IMAGES, {"of": place})
        if rows:
            conn.execute(_INSERT_IMAGE, list(rows))


def status_word(prediction: Prediction) -> str:
    """The status in the provider's own word."""
    return prediction.seen_status or str(prediction.status)


def _update(conn: sa.Connection, run_id: str, values: Mapping[str, Any]) -> None:
    conn.execute(_UPDATE, {"of": run_id, **values})


def _reply_values(row: Any, prediction: Prediction) -> dict[str, Any]:
    """The columns that the reply fills; what it does not say stays as it was, and the id of a row that has one."""
    values = prediction_values(prediction)
    if values["total_s"] is None:
        values["total_s"] = seconds_between(row.created_at, prediction.completed_at)
    if row.prediction_id is None:
        values["prediction_id"] = prediction.id
    return {name: value for name, value in values.items() if value is not None}


def _keep_reply(conn: sa.Connection, run_id: str, prediction: Prediction) -> None:
    """Keep the raw reply in place of the one before."""
    if prediction.raw:
        conn.execute(_KEEP_REPLY, {"run_id": run_id, "raw": reply_text(prediction.raw)})


def _missing(run_id: str) -> InputError:
    return InputError(
        f"the log has no run {run_id!r}", "Run ids are the index of imagen_nb.frame(); is this the right home?"
    )


# -- rows to take up again -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leftover:
    """A row that is not done. `is_free` says that no living session drives it, so that `adopt_rows` may take it.

    `intended_at` is when the row was written by this machine's clock; `attempts` counts the creates that may have
    been sent since the row was last asked for.
    """

    run_id: str
    key: str
    request: Request
    provider: str
    status: Status
    prediction_id: str | None
    intended_at: datetime
    experiment: str | None
    tag: str | None
    attempts: int
    is_free: bool


@dataclass(frozen=True, slots=True)
class ResumeState:
    """An experiment by request key: what is done, what is under way, and what never became a prediction.

    `succeeded` maps to the run id; `open` to a row that is not done; `unsent` to the run id of a row that failed or
    was canceled before the provider accepted it, which `Log.reopen` can send again. A key is in at most one of them.
    """

    succeeded: Mapping[str, str] = field(default_factory=dict)
    open: Mapping[str, Leftover] = field(default_factory=dict)
    unsent: Mapping[str, str] = field(default_factory=dict)


def read_keys(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
    """The request key and the run id, oldest first, of the rows that meet the conditions."""
    query = sa.select(runs.c.key, runs.c.run_id).where(*conditions).order_by(runs.c.seq)
    return [(key, run_id) for key, run_id in conn.execute(query)]


def read_open_rows(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Sequence[Any]:
    """The rows of the table `runs`, oldest first, that are not done and meet the conditions."""
    return conn.execute(sa.select(runs).where(runs.c.status.in_(OPEN), *conditions).order_by(runs.c.seq)).all()


def leftover_of(row: Any, home: Path, *, is_free: bool) -> Leftover:
    """The leftover of an open row of the table `runs`."""
    return Leftover(
        run_id=row.run_id,
        key=row.key,
        request=request_of(row, home),
        provider=row.provider,
        status=Status(row.status),
        prediction_id=row.prediction_id,
        intended_at=row.intended_at,
        experiment=row.experiment,
        tag=row.tag,
        attempts=row.attempts,
        is_free=is_free,
    )
