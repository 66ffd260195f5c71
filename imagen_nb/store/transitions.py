"""The changes a row can go through, each written together with its event by the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from imagen_nb.core.records import Prediction, Status
from imagen_nb.store.ids import ids_after
from imagen_nb.store.prepared import Prepared, given
from imagen_nb.store.queries import missing
from imagen_nb.store.rows import prediction_values, reply_text, seconds_between
from imagen_nb.store.tables import events, experiments, images, micros, replies, runs

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
