"""What is read from the log: which rows a filter means, and the records made from them."""

from __future__ import annotations

import json
from collections import defaultdict, namedtuple
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

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
    restored_json,
    run_of,
    runs,
    seconds_between,
)
from imagen_nb.log.sessions import Session, ids_after
from imagen_nb.records import Image, Prediction, Request, Run, Status

# ----------------------------------------------------------------------------------------------------
# Statements composed with SQLAlchemy and compiled once, for those that run several times for each prediction.
# Building, looking up and typing a statement anew costs ten times what SQLite needs to run it.

_DIALECT = SQLiteDialect_pysqlite()

Process = Callable[[Any], Any]


class Prepared:
    """A select, insert, update or delete whose parameters are given by name when it runs; compiled on first use."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement

    def rows(self, conn: sa.Connection, **values: Any) -> list[Any]:
        """The rows it selects, as named tuples of Python values."""
        make, processors = self._row
        found = _raw(conn).execute(self._sql, self._bound(values)).fetchall()
        return [
            make(
                *[value if process is None else process(value) for value, process in zip(row, processors, strict=True)]
            )
            for row in found
        ]

    def value(self, conn: sa.Connection, **values: Any) -> Any:
        """The first column of the first row, or None."""
        return next(iter(self.rows(conn, **values)), (None,))[0]

    def run(self, conn: sa.Connection, **values: Any) -> None:
        """Change what it changes, once."""
        _raw(conn).execute(self._sql, self._bound(values))

    def run_each(self, conn: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Change what it changes, once for each map of values."""
        _raw(conn).executemany(self._sql, [self._bound(row) for row in rows])

    def _bound(self, values: Mapping[str, Any]) -> list[Any]:
        return [
            fixed if name not in values else values[name] if process is None else process(values[name])
            for name, fixed, process in self._parameters
        ]

    @cached_property
    def _compiled(self) -> Any:
        return self._statement.compile(dialect=_DIALECT)

    @cached_property
    def _sql(self) -> str:
        return str(self._compiled)

    @cached_property
    def _parameters(self) -> list[tuple[str, Any, Process | None]]:
        """For each mark in the text: its name, its value where the statement itself gives one, how to type a value."""
        compiled, kinds = self._compiled, self._compiled.binds
        return [
            (name, compiled.params[name], kinds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT))
            for name in compiled.positiontup or ()
        ]

    @cached_property
    def _row(self) -> tuple[Callable[..., Any], list[Process | None]]:
        columns = list(self._statement.selected_columns)
        make = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc] # noqa: PYI024 - its fields are known only now
        return make, [column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None) for column in columns]


def given(name: str, like: sa.Column[Any]) -> sa.BindParameter[Any]:
    """A parameter of a prepared statement, typed like a column."""
    return sa.bindparam(name, type_=like.type, required=False)


def _raw(conn: sa.Connection) -> Any:
    return conn.connection.dbapi_connection


# ----------------------------------------------------------------------------------------------------
# Reading

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
        raise InputError(f"{name} cannot be {brief(value)}; allowed: a name, or several", "Names are text.")
    return wanted


def _statuses(status: Statuses) -> list[str]:
    wanted = _several("status", status)
    known = [str(each) for each in Status]
    for word in wanted:
        if str(word) not in known:
            raise InputError(f"there is no status {str(word)!r}", f"Choose from {', '.join(known)}.")
    return [str(word) for word in wanted]


# ----------------------------------------------------------------------------------------------------
# The changes a row can go through, each written together with its event by the caller's transaction.

_INTENT = str(Status.INTENT)
_SAID = ("created_at", "started_at", "completed_at", "total_s", "predict_s", "echo", "prediction_id")
_CREATED = (
    *("run_id", "experiment", "tag", "provider", "key", "model", "prompt", "template", "slots", "params", "repeat"),
    *("status", "seen", "owner", "attempts", "intended_at"),
)


def _insert(table: sa.Table, names: Iterable[str]) -> Any:
    return insert(table).values({name: given(name, table.c[name]) for name in names})


def _update(*names: str) -> Any:
    """Set the named columns of one run; what a reply does not say stays as it was."""
    values = {name: given(f"new_{name}", runs.c[name]) for name in names}
    said = {name: sa.func.coalesce(given(f"new_{name}", runs.c[name]), runs.c[name]) for name in _SAID}
    return sa.update(runs).where(_THIS).values(**said, **values)


_THIS = runs.c.run_id == given("of", runs.c.run_id)
_KEYS = (*("seq", "run_id", "provider", "status", "seen", "prediction_id", "owner", "created_at"),)
_FIND = Prepared(sa.select(*[runs.c[name] for name in _KEYS]).where(_THIS))
_NEWEST = Prepared(sa.select(runs.c.run_id).order_by(runs.c.seq.desc()).limit(1))
_HOLDER = Prepared(
    sa.select(runs.c.run_id).where(
        runs.c.provider == given("who", runs.c.provider), runs.c.prediction_id == given("what", runs.c.prediction_id)
    )
)
_CREATE = Prepared(_insert(runs, _CREATED))
_SEE = Prepared(_update("status", "seen", "error", "error_code", "owner"))
_NOTE = Prepared(_update())
_END = Prepared(_update("status", "seen", "error", "error_code", "owner", "cost", "cost_source"))
_TELL = Prepared(_insert(events, ["run_id", "at", "status", "detail"]))
_NAME = Prepared(_insert(experiments, ["name", "created_at"]).on_conflict_do_nothing())
_REPLY = _insert(replies, ["run_id", "raw"])
_KEEP_REPLY = Prepared(_REPLY.on_conflict_do_update(index_elements=["run_id"], set_={"raw": _REPLY.excluded.raw}))
_DROP_IMAGES = Prepared(sa.delete(images).where(images.c.run == given("of", images.c.run)))
_COUNT_IMAGES = Prepared(
    sa.select(sa.func.count().label("count")).select_from(images).where(images.c.run == given("of", images.c.run))
)
_KEEP_IMAGE = Prepared(_insert(images, images.c.keys()))


def row_of(conn: sa.Connection, run_id: str) -> Any:
    """What decides about a run's next change. Raises `InputError` for an id that is not in the log."""
    found = _FIND.rows(conn, of=run_id)
    if not found:
        raise missing(run_id)
    return found[0]


def insert_intents(
    conn: sa.Connection, now: datetime, asked: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> list[str]:
    """Write one row of status `intent` for each of what is asked; their run ids, greater than all before."""
    if not asked:
        return []
    ids = ids_after(_NEWEST.value(conn), micros(now))
    fresh = {"status": _INTENT, "seen": _INTENT, "attempts": 1, "intended_at": now}
    rows = [{"run_id": next(ids), **fresh, **common, **each} for each in asked]
    if common["experiment"] is not None:
        _NAME.run(conn, name=common["experiment"], created_at=now)
    _CREATE.run_each(conn, rows)
    run_ids = [str(row["run_id"]) for row in rows]
    tell(conn, now, run_ids, _INTENT)
    return run_ids


def see(
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
    running = Status.PROCESSING if prediction.status.is_terminal else prediction.status
    word = seen_word(prediction)
    _SEE.run(conn, of=row.run_id, new_status=str(running), new_seen=word, new_owner=owner, **_said(row, prediction))
    keep_reply(conn, row.run_id, prediction)
    if word != row.seen:
        tell(conn, now, [row.run_id], word, detail or prediction.error)


def note_late(conn: sa.Connection, now: datetime, row: Any, prediction: Prediction) -> None:
    """Record that a row which is done, without a prediction, has one after all; its status stays."""
    _NOTE.run(conn, of=row.run_id, **_said(row, prediction))
    keep_reply(conn, row.run_id, prediction)
    tell(
        conn, now, [row.run_id], seen_word(prediction), f"prediction {prediction.id}, known only after the run was done"
    )


def end(
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
        said = _said(row, prediction)
        if row.prediction_id is None and holder(conn, row.provider, prediction.id) is not None:
            said["new_prediction_id"] = None
        keep_reply(conn, row.run_id, prediction)
    change = {f"new_{name}": value for name, value in values.items()}
    _END.run(conn, of=row.run_id, new_status=str(status), new_seen=str(status), **said, **change)
    if row.seen != str(status):
        tell(conn, now, [row.run_id], str(status), values.get("error"))


def send_again(
    conn: sa.Connection, now: datetime, run_ids: Sequence[str], values: Mapping[str, Any], detail: str
) -> None:
    """Take rows back to `intent` for a further create, with these values besides."""
    change = {"status": _INTENT, "seen": _INTENT, "error": None, "error_code": None, "cost": None, "cost_source": None}
    for run_id in run_ids:
        again = sa.update(runs).where(runs.c.run_id == run_id)
        conn.execute(again.values(**change, **values))
    tell(conn, now, run_ids, _INTENT, detail)


def holder(conn: sa.Connection, provider: str, prediction_id: str) -> str | None:
    """The run id of the row that has this prediction of the provider."""
    found: str | None = _HOLDER.value(conn, who=provider, what=prediction_id)
    return found


def tell(conn: sa.Connection, now: datetime, run_ids: Sequence[str], status: str, detail: str | None = None) -> None:
    """Write an event for each of the rows."""
    _TELL.run_each(conn, [{"run_id": run_id, "at": now, "status": status, "detail": detail} for run_id in run_ids])


def keep_reply(conn: sa.Connection, run_id: str, prediction: Prediction) -> None:
    """Keep the raw reply in place of the one before."""
    if prediction.raw:
        _KEEP_REPLY.run(conn, run_id=run_id, raw=reply_text(prediction.raw))


def keep_images(conn: sa.Connection, place: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep which files a run produced, in place of those of an attempt that did not get more of them."""
    if len(rows) < int(_COUNT_IMAGES.value(conn, of=place)):
        return
    _DROP_IMAGES.run(conn, of=place)
    _KEEP_IMAGE.run_each(conn, rows)


def seen_word(prediction: Prediction) -> str:
    """The status in the provider's own word."""
    return prediction.seen_status or str(prediction.status)


def _said(row: Any, prediction: Prediction) -> dict[str, Any]:
    """What the reply tells, as parameters; the id only of a row that has none."""
    values = prediction_values(prediction)
    if values["total_s"] is None:
        values["total_s"] = seconds_between(row.created_at, prediction.completed_at)
    values["prediction_id"] = prediction.id if row.prediction_id is None else None
    return {f"new_{name}": value for name, value in values.items()}


# ----------------------------------------------------------------------------------------------------
# Rows that nobody drives any more, and rows that an experiment can be resumed from.


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


def open_rows(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Sequence[Any]:
    """The rows of the table `runs`, oldest first, that are not done and meet the conditions."""
    return conn.execute(sa.select(runs).where(runs.c.status.in_(OPEN), *conditions).order_by(runs.c.seq)).all()


def keyed(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
    """The request key and the run id, oldest first, of the rows that meet the conditions."""
    query = sa.select(runs.c.key, runs.c.run_id).where(*conditions).order_by(runs.c.seq)
    return [(key, run_id) for key, run_id in conn.execute(query)]


def leftovers(rows: Iterable[Any], session: Session, driven: Container[str]) -> list[Leftover]:
    """What the rows are to this session, which is at work on those in `driven`.

    It asks whether the owners still live, so it is not for within a transaction.
    """
    rows = list(rows)
    alive = session.alive(row.owner for row in rows if row.owner) - {session.id}
    return [_leftover(row, is_free=row.owner not in alive and row.run_id not in driven) for row in rows]


def resume_state(
    succeeded: Iterable[tuple[str, str]], under_way: Iterable[Leftover], unsent: Iterable[tuple[str, str]]
) -> ResumeState:
    """One place for each key: what succeeded counts before what is under way, and that before what failed unsent."""
    done = dict(succeeded)
    still_open = {each.key: each for each in under_way if each.key not in done}
    return ResumeState(
        succeeded=done,
        open=still_open,
        unsent={key: run_id for key, run_id in unsent if key not in done and key not in still_open},
    )


def take_over(conn: sa.Connection, owner: str, run_ids: Iterable[str], dead: Iterable[str]) -> list[str]:
    """Make a session the owner of those open rows that nobody, it itself or a dead session owned; in log order.

    To be called in a writing transaction: of two that ask for the same row, one gets it.
    """
    free = sa.or_(runs.c.owner.is_(None), among(runs.c.owner, [owner, *dead]))
    query = sa.select(runs.c.run_id).where(among(runs.c.run_id, run_ids), runs.c.status.in_(OPEN), free)
    taken = list(conn.execute(query.order_by(runs.c.seq)).scalars())
    conn.execute(sa.update(runs).where(among(runs.c.run_id, taken)).values(owner=owner))
    return taken


def read_owners(conn: sa.Connection, run_ids: Iterable[str]) -> set[str]:
    """The sessions that own any of these rows."""
    query = sa.select(runs.c.owner).where(among(runs.c.run_id, run_ids), runs.c.owner.is_not(None)).distinct()
    return set(conn.execute(query).scalars())


def _leftover(row: Any, *, is_free: bool) -> Leftover:
    return Leftover(
        run_id=row.run_id,
        key=row.key,
        request=request_of(row),
        provider=row.provider,
        status=Status(row.status),
        prediction_id=row.prediction_id,
        intended_at=row.intended_at,
        experiment=row.experiment,
        tag=row.tag,
        attempts=row.attempts,
        is_free=is_free,
    )
