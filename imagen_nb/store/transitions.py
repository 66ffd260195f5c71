"""The changes a row can go through, each written together with its event by the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from imagen_nb.core.records import Prediction, Status
from imagen_nb.store.ids import ids_after
from imagen_nb.store.queries import missing
from imagen_nb.store.rows import prediction_values, reply_text, seconds_between
from imagen_nb.store.tables import events, experiments, images, micros, replies, runs

_INTENT = str(Status.INTENT)


def row_of(conn: sa.Connection, run_id: str) -> Any:
    """The row of a run. Raises `InputError` for an id that is not in the log."""
    row = conn.execute(sa.select(runs).where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        raise missing(run_id)
    return row


def insert_intents(
    conn: sa.Connection, now: datetime, asked: Sequence[dict[str, Any]], common: dict[str, Any]
) -> list[str]:
    """Write one row of status `intent` for each of what is asked; their run ids, greater than all before."""
    newest = conn.execute(sa.select(runs.c.run_id).order_by(runs.c.seq.desc()).limit(1)).scalar()
    ids = ids_after(newest, micros(now))
    rows = [
        {"run_id": next(ids), "status": _INTENT, "seen": _INTENT, "attempts": 1, "resubmitted": False}
        | {"intended_at": now}
        | common
        | each
        for each in asked
    ]
    if rows and common["experiment"] is not None:
        named = {"name": common["experiment"], "created_at": now}
        conn.execute(insert(experiments).on_conflict_do_nothing().values(**named))
    if rows:
        conn.execute(sa.insert(runs), rows)
    run_ids = [str(row["run_id"]) for row in rows]
    tell(conn, now, run_ids, _INTENT)
    return run_ids


def see(conn: sa.Connection, now: datetime, row: Any, prediction: Prediction, values: dict[str, Any]) -> None:
    """Record a reply on a row that is under way, and with it the further values.

    The row is not done before it is settled, so that a prediction that ended while nobody looked is still collected.
    """
    running = Status.PROCESSING if prediction.status.is_terminal else prediction.status
    change = {"status": str(running), "seen": seen_word(prediction), "error": None, "error_code": None}
    _update(conn, row.run_id, change | prediction_values(prediction) | values)
    keep_reply(conn, row.run_id, prediction)
    if seen_word(prediction) != row.seen:
        detail = f"prediction {prediction.id}" if "prediction_id" in values else prediction.error
        tell(conn, now, [row.run_id], seen_word(prediction), detail)


def note_late(conn: sa.Connection, now: datetime, row: Any, prediction: Prediction) -> None:
    """Record that a row which is done, without a prediction, has one after all; its status stays."""
    _update(conn, row.run_id, prediction_values(prediction) | {"prediction_id": prediction.id})
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
    values: dict[str, Any],
) -> None:
    """Record what a row came to. Nobody owns it afterwards, unless the values say otherwise."""
    change = {"status": str(status), "seen": str(status), "owner": None} | values
    if prediction is not None:
        change |= prediction_values(prediction)
        change["total_s"] = change.get("total_s") or seconds_between(row.created_at, prediction.completed_at)
        if row.prediction_id is None and holder(conn, row.provider, prediction.id) is None:
            change["prediction_id"] = prediction.id
        keep_reply(conn, row.run_id, prediction)
    _update(conn, row.run_id, change)
    if row.seen != str(status):
        tell(conn, now, [row.run_id], str(status), values.get("error"))


def send_again(
    conn: sa.Connection, now: datetime, run_ids: Iterable[str], values: dict[str, Any], detail: str
) -> list[str]:
    """Take rows back to `intent` for a further create, and count it."""
    again = list(run_ids)
    for run_id in again:
        change = {"status": _INTENT, "seen": _INTENT, "error": None, "error_code": None}
        _update(conn, run_id, change | {"attempts": runs.c.attempts + 1} | values)
    tell(conn, now, again, _INTENT, detail)
    return again


def holder(conn: sa.Connection, provider: str, prediction_id: str) -> str | None:
    """The run id of the row that has this prediction of the provider."""
    query = sa.select(runs.c.run_id).where(runs.c.provider == provider, runs.c.prediction_id == prediction_id)
    return conn.execute(query).scalar()


def tell(conn: sa.Connection, now: datetime, run_ids: Sequence[str], status: str, detail: str | None = None) -> None:
    """Write an event for each of the rows."""
    lines = [{"run_id": run_id, "at": now, "status": status, "detail": detail} for run_id in run_ids]
    if lines:
        conn.execute(sa.insert(events), lines)


def keep_reply(conn: sa.Connection, run_id: str, prediction: Prediction) -> None:
    """Keep the raw reply in place of the one before."""
    if prediction.raw:
        text = reply_text(prediction.raw)
        statement = insert(replies).values(run_id=run_id, raw=text)
        conn.execute(statement.on_conflict_do_update(index_elements=["run_id"], set_={"raw": statement.excluded.raw}))


def keep_images(conn: sa.Connection, place: int, rows: Sequence[dict[str, Any]]) -> None:
    """Keep which files a run produced, in place of those of an attempt that did not get them all."""
    conn.execute(sa.delete(images).where(images.c.run == place))
    if rows:
        conn.execute(sa.insert(images), list(rows))


def seen_word(prediction: Prediction) -> str:
    """The status in the provider's own word."""
    return prediction.seen_status or str(prediction.status)


def _update(conn: sa.Connection, run_id: str, values: dict[str, Any]) -> None:
    conn.execute(sa.update(runs).where(runs.c.run_id == run_id).values(**values))
