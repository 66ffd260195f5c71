"""Rows that nobody drives any more, and rows that an experiment can be resumed from."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from imagen_nb.core.records import Request, Status
from imagen_nb.store import queries
from imagen_nb.store.rows import request_of
from imagen_nb.store.sessions import Session
from imagen_nb.store.tables import OPEN, runs


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
    free = sa.or_(runs.c.owner.is_(None), queries.among(runs.c.owner, [owner, *dead]))
    query = sa.select(runs.c.run_id).where(queries.among(runs.c.run_id, run_ids), runs.c.status.in_(OPEN), free)
    taken = list(conn.execute(query.order_by(runs.c.seq)).scalars())
    conn.execute(sa.update(runs).where(queries.among(runs.c.run_id, taken)).values(owner=owner))
    return taken


def read_owners(conn: sa.Connection, run_ids: Iterable[str]) -> set[str]:
    """The sessions that own any of these rows."""
    query = sa.select(runs.c.owner).where(queries.among(runs.c.run_id, run_ids), runs.c.owner.is_not(None)).distinct()
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
