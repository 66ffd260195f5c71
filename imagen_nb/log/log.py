"""The log: what was asked for, before it is sent, and all that became of it.

Invariants, whatever happens to the process:
- a row is committed before its request leaves, and the prediction's id as soon as it is known;
- a prediction belongs to one row of its provider, and a row has at most one prediction;
- a row that is done stays as it is; only `reopen` takes one back, and only where no prediction was made;
- a row changes together with its line in the table `events`, in one transaction;
- a request whose fate is unknown is sent again at most `RESUBMISSIONS` times, however often the process dies.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from imagen_nb.errors import InputError, LogError
from imagen_nb.log import queries
from imagen_nb.log.database import FILE_NAME, Database
from imagen_nb.log.queries import Leftover, ResumeState, among
from imagen_nb.log.schema import (
    OPEN,
    cut_long_texts,
    experiments,
    image_values,
    load_json,
    replies,
    request_values,
    runs,
    uploads,
)
from imagen_nb.log.schema import images as images_table
from imagen_nb.log.sessions import Session
from imagen_nb.records import Image, Prediction, Request, Run, Status, Upload

if TYPE_CHECKING:
    from typing_extensions import Unpack

RESUBMISSIONS = 3
"""How often a create that was lost, and then found missing, may be repeated for one row."""

_BATCH = 500  # old SQLites take 999 parameters


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def may_access(path: Path, mode: int) -> bool:
    """Whether this process may read (`os.R_OK`) or write what lies there; no for what does not."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


class Log:
    """The log in a home folder, made there if need be; several processes and threads may use one home at once.

    `now` tells the time, as an aware datetime. `session` is this log's claim on the rows it drives. Every method
    raises `LogError` when the log cannot be read or written, and `InputError` for a run id that is not in it. A log
    that one may read and not write is opened all the same: then what would write raises, and says why. Close it, or
    use it as a context manager.
    """

    def __init__(self, home: Path, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.home = Path(home).absolute()
        self._session: Session | None = None
        self._now = now
        self._driven: dict[str, str | None] = {}  # the rows this log is at work on, and the status last seen
        path = self.home / FILE_NAME
        try:
            self._session = Session(self.home)
            self._database = Database(path)
        except BaseException as error:
            if self._session is not None:
                self._session.close()
            is_readable = may_access(path, os.R_OK)
            is_writable = may_access(path, os.W_OK) and may_access(self.home, os.W_OK)
            if not isinstance(error, LogError) or is_writable or not is_readable:
                raise
            self._session, self._database = None, Database(path, error)

    @property
    def session(self) -> Session:
        """This log's claim on the rows it drives. Raises `LogError` where the log can only be read."""
        if self._session is None:
            self.check_writable()
        assert self._session is not None  # noqa: S101 - that has raised
        return self._session

    def check_writable(self) -> None:
        """Raise `LogError` where the log can only be read, with why."""
        with self._database.writing():
            pass

    # What happens to a row, in the order in which it happens.

    def intend(
        self,
        requests: Iterable[Request],
        *,
        provider: str,
        experiment: str | None = None,
        tag: str | None = None,
        kind: str | None = None,
    ) -> list[str]:
        """Write a row of status `intent` for each request, and return their run ids; on the disk when it returns."""
        names = {"provider": provider, "experiment": experiment or None, "tag": tag or None, "kind": kind}
        with self._driving() as driven, self._database.writing() as conn:
            self._insert(conn, driven, [request_values(request) for request in requests], names)
        return driven

    def intend_new(
        self,
        request: Request,
        *,
        provider: str,
        experiment: str | None = None,
        tag: str | None = None,
        kind: str | None = None,
    ) -> tuple[str, bool]:
        """The same for one request that the experiment does not have yet: the run id, and whether the row is new.

        Of two that resume an experiment at once, one writes the row of a request, and the other gets to see it.
        """
        names = {"provider": provider, "experiment": experiment or None, "tag": tag or None, "kind": kind}
        with self._driving() as driven, self._database.writing() as conn:
            mine = [*queries.is_of(experiment, kind), runs.c.provider == provider, runs.c.key == request.key]
            if taken := queries.read_keys(conn, *mine, runs.c.status.in_([*OPEN, str(Status.SUCCEEDED)])):
                return taken[-1][1], False
            self._insert(conn, driven, [request_values(request)], names)
        return driven[0], True

    def _insert(self, conn: Any, driven: list[str], asked: list[dict[str, Any]], names: dict[str, Any]) -> None:
        driven.extend(queries.insert_intents(conn, self._now(), asked, names | {"owner": self.session.id}))
        self._driven.update(dict.fromkeys(driven))

    def accept(self, run_id: str, prediction: Prediction) -> bool:
        """Record that the provider took the request as this prediction. Recording the same again is fine.

        False when the prediction is another row's already, or the row already has another prediction: then only an
        event is written. A prediction that is done at once leaves the row `processing` until `settle` brings what it
        came to.
        """
        with self._database.writing() as conn:
            row, now = queries.find_row(conn, run_id), self._now()
            holder = queries.find_holder(conn, row.provider, prediction.id)
            if holder not in (None, run_id) or row.prediction_id not in (None, prediction.id):
                detail = f"not taken: prediction {prediction.id}{f' of run {holder}' if holder else ''}"
                queries.write_events(conn, now, [run_id], row.seen, detail)
                return False
            if row.status in OPEN:
                owner, detail = row.owner or self.session.id, f"prediction {prediction.id}"
                queries.record_reply(conn, now, row, prediction, owner=owner, detail=detail)
                self._driven[run_id] = queries.status_word(prediction)
            elif row.prediction_id is None:
                queries.record_late_reply(conn, now, row, prediction)
        return True

    def observe(self, run_id: str, prediction: Prediction) -> None:
        """Record the status of a prediction that is under way; nothing is written when it is the one already seen."""
        word = queries.status_word(prediction)
        if self._driven.get(run_id) == word:
            return
        with self._database.writing() as conn:
            row = queries.find_row(conn, run_id)
            if row.status in OPEN and row.seen != word:
                queries.record_reply(conn, self._now(), row, prediction, owner=row.owner)
        if run_id in self._driven:
            self._driven[run_id] = word

    def settle(
        self,
        run_id: str,
        status: Status | str,
        *,
        prediction: Prediction | None = None,
        images: Sequence[Image] = (),
        error: str | None = None,
        error_code: str | None = None,
        cost: float | None = None,
        cost_source: str | None = None,
    ) -> Run:
        """Record what a run came to, with its images, and return it; a run that is done already stays as it was.

        Fewer images than the row has already do not take their place. `status` is a terminal one, or `unknown`. `cost`
        is in US dollars. Raises `ValueError` for another status.
        """
        status = Status(status)
        if not (status.is_terminal or status is Status.UNKNOWN):
            raise ValueError(f"a run cannot be settled as {status}")
        values = {
            "error": cut_long_texts(error) or None,
            "error_code": error_code or None,
            "cost": cost,
            "cost_source": cost_source or None,
        }
        with self._database.writing() as conn:
            row = queries.find_row(conn, run_id)
            if row.status in OPEN:
                queries.record_end(conn, self._now(), row, status, prediction=prediction, values=values)
                queries.keep_images(conn, row.seq, image_values(row.seq, images, self.home))
            run = queries.read_run(conn, run_id, self.home)
        self._driven.pop(run_id, None)
        return run

    def mark_unknown(
        self, run_id: str, error: str, *, error_code: str | None = "uncertain", is_final: bool = True
    ) -> None:
        """Record that it is not known what became of the request.

        `leftovers` offers the row from then on, unless `is_final` is False: then this session goes on looking.
        """
        if is_final:
            self.settle(run_id, Status.UNKNOWN, error=error, error_code=error_code)
            return
        values = {"error": cut_long_texts(error) or None, "error_code": error_code}
        with self._database.writing() as conn:
            row = queries.find_row(conn, run_id)
            if row.status in OPEN:
                queries.record_end(conn, self._now(), row, Status.UNKNOWN, values=values | {"owner": row.owner})

    def reopen(self, run_ids: Iterable[str]) -> list[str]:
        """Take rows that are done, but never became a prediction, back to `intent`; those that were, in log order."""
        ended = runs.c.status.not_in([*OPEN, str(Status.SUCCEEDED)])
        return self._send_again(run_ids, [ended], detail="reopened", attempts=1, intended_at=self._now())

    def begin_resubmission(self, run_id: str) -> bool:
        """Permit one more create for a row whose last one was found missing; on the disk when it returns True.

        False when that was permitted `RESUBMISSIONS` times since the row was last asked for, by whichever processes, or
        when the row has a prediction (but of its own id, which makes no second one), is done, or is driven by another
        session.
        """
        lost = [
            runs.c.status.in_([str(Status.INTENT), str(Status.UNKNOWN)]),
            runs.c.attempts <= RESUBMISSIONS,
            sa.or_(runs.c.owner.is_(None), runs.c.owner == self.session.id),
        ]
        return bool(self._send_again([run_id], lost, detail="resubmitted", attempts=runs.c.attempts + 1))

    def _send_again(
        self, run_ids: Iterable[str], conditions: list[sa.ColumnElement[bool]], *, detail: str, **values: Any
    ) -> list[str]:
        with self._driving() as driven, self._database.writing() as conn:
            has_none = sa.or_(runs.c.prediction_id.is_(None), runs.c.prediction_id == runs.c.run_id)
            unsent = [among(runs.c.run_id, run_ids), has_none, *conditions]
            driven.extend(run_id for _, run_id in queries.read_keys(conn, *unsent))
            queries.send_again(conn, self._now(), driven, {"owner": self.session.id} | values, detail)
            self._driven.update(dict.fromkeys(driven))
        return driven

    # Whose a row is.

    def leftovers(self, provider: str | None = None) -> list[Leftover]:
        """The rows, oldest first, that are not done and that no living session drives."""
        conditions = [] if provider is None else [runs.c.provider == provider]
        with self._database.reading() as conn:
            rows = queries.read_open_rows(conn, *conditions)
        return [each for each in self._leftovers(rows) if each.is_free]

    def adopt_rows(self, run_ids: Iterable[str]) -> list[Leftover]:
        """Own those leftovers, and return which one got, as they are now: of two who ask, one gets a row."""
        wanted = list(run_ids)
        with self._database.reading() as conn:
            rows = queries.read_open_rows(conn, among(runs.c.run_id, wanted))
        owners = {row.owner for row in rows if row.owner is not None}
        dead = owners - self.session.alive(owners)  # asked before the transaction, for it takes time
        with self._driving() as driven, self._database.writing() as conn:
            idle = among(runs.c.run_id, [run_id for run_id in wanted if run_id not in self._driven])
            free = sa.or_(runs.c.owner.is_(None), among(runs.c.owner, [self.session.id, *dead]))
            rows = queries.read_open_rows(conn, idle, free)
            driven.extend(row.run_id for row in rows)
            conn.execute(sa.update(runs).where(among(runs.c.run_id, driven)).values(owner=self.session.id))
            self._driven.update(dict.fromkeys(driven))
        return self._leftovers(rows)

    def pending_creates(self, provider: str) -> list[Leftover]:
        """The rows of other living sessions that wait for the reply to a create, oldest first."""
        pending = [runs.c.status == str(Status.INTENT), runs.c.prediction_id.is_(None), runs.c.owner.is_not(None)]
        with self._database.reading() as conn:
            rows = queries.read_open_rows(conn, runs.c.provider == provider, *pending, runs.c.owner != self.session.id)
        return [each for each in self._leftovers(rows) if not each.is_free]

    def release(self, run_ids: Iterable[str]) -> None:
        """Let go of rows of one's own that are not done, so that `leftovers` offers them.

        Should the log not be writable now, this session offers them all the same.
        """
        let_go = list(run_ids)
        self._forget(let_go)
        mine = sa.and_(among(runs.c.run_id, let_go), runs.c.owner == self.session.id)
        with self._database.writing() as conn:
            conn.execute(sa.update(runs).where(mine).values(owner=None))

    def resume_state(
        self,
        experiment: str | None,
        provider: str | None = None,
        *,
        request: Request | None = None,
        kind: str | None = None,
    ) -> ResumeState:
        """How far an experiment has come, by request key; with a provider or a request, only those rows count.

        With a `kind` it is the rows of that kind, which are in no experiment.
        """
        mine = queries.is_of(experiment, kind) + ([] if provider is None else [runs.c.provider == provider])
        mine += [] if request is None else [runs.c.key == request.key]
        with self._database.reading() as conn:
            succeeded = queries.read_keys(conn, *mine, runs.c.status == str(Status.SUCCEEDED))
            rows = queries.read_open_rows(conn, *mine)
            unsent = queries.read_keys(conn, *mine, runs.c.status.not_in(OPEN), runs.c.prediction_id.is_(None))
        # One place for each key: what succeeded counts before what is under way, and that before what failed unsent.
        done = dict(succeeded)
        under_way = {row.key: row for row in self._leftovers(rows) if row.key not in done}
        never_sent = {key: run_id for key, run_id in unsent if key not in done and key not in under_way}
        return ResumeState(succeeded=done, open=under_way, unsent=never_sent)

    def _leftovers(self, rows: Sequence[Any]) -> list[Leftover]:
        """What open rows are to this session. It asks whether their owners still live: not for within a transaction."""
        alive = self.session.alive(row.owner for row in rows if row.owner) - {self.session.id}
        return [
            queries.leftover_of(row, self.home, is_free=row.owner not in alive and row.run_id not in self._driven)
            for row in rows
        ]

    @contextmanager
    def _driving(self) -> Iterator[list[str]]:
        """A list to put run ids in that this log drives from now on; it does not when the transaction fails."""
        driven: list[str] = []
        try:
            yield driven
        except BaseException:
            self._forget(driven)
            raise

    def _forget(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            self._driven.pop(run_id, None)

    # What is in it.

    @property
    def is_there(self) -> bool:
        """Whether the file is still where it was opened, and has not been moved or deleted."""
        return self._database.is_there

    def get(self, run_id: str) -> Run:
        """One run."""
        with self._database.reading() as conn:
            return queries.read_run(conn, run_id, self.home)

    def runs(
        self, *, limit: int | None = None, newest_first: bool = False, **filters: Unpack[queries.Filters]
    ) -> list[Run]:
        """The runs that meet all filters, in the order of the log; a limit keeps the newest so many."""
        query = sa.select(runs).where(*queries.filters(**filters))
        with self._database.reading() as conn:
            return queries.read_runs(conn, queries.newest(query, limit, newest_first=newest_first), self.home)

    def run_ids(self, **filters: Unpack[queries.Filters]) -> list[str]:
        """The ids of the runs that meet all filters, the newest first."""
        query = sa.select(runs.c.run_id).where(*queries.filters(**filters)).order_by(runs.c.seq.desc())
        with self._database.reading() as conn:
            return list(conn.execute(query).scalars())

    def count(self, **filters: Unpack[queries.Filters]) -> int:
        """How many runs meet all filters."""
        query = sa.select(sa.func.count()).select_from(runs).where(*queries.filters(**filters))
        with self._database.reading() as conn:
            return conn.execute(query).scalar_one()

    def names(self, column: Literal["model", "tag"]) -> list[str]:
        """What stands in this column of the log, each once, in the order of the first run that has it."""
        found = runs.c[column]
        query = sa.select(found).where(found.is_not(None), *queries.filters()).group_by(found)
        query = query.order_by(sa.func.min(runs.c.seq))
        with self._database.reading() as conn:
            return list(conn.execute(query).scalars())

    def find_predictions(self, provider: str, prediction_ids: Iterable[str]) -> set[str]:
        """Those of the prediction ids that a row of this provider has."""
        wanted = list(prediction_ids)
        found: set[str] = set()
        with self._database.reading() as conn:
            for start in range(0, len(wanted), _BATCH):
                some = runs.c.prediction_id.in_(wanted[start : start + _BATCH])
                query = sa.select(runs.c.prediction_id).where(runs.c.provider == provider, some)
                found.update(conn.execute(query).scalars())
        return found

    def model_aliases(self, provider: str, model: str) -> set[str]:
        """What the provider called this model in its newest reply; empty where no reply said."""
        newest_reply = (
            sa.select(replies.c.raw)
            .join(runs, runs.c.run_id == replies.c.run_id)
            .where(runs.c.provider == provider, runs.c.model == model)
            .order_by(runs.c.seq.desc())
            .limit(1)
        )
        with self._database.reading() as conn:
            name = load_json(conn.execute(newest_reply).scalar()).get("model")
        return {name} if isinstance(name, str) and name else set()

    def find_maker(self, sha256: str) -> Run | None:
        """The first run that made an image of these bytes."""
        of = images_table.c
        query = sa.select(runs.c.run_id).join(images_table, of.run == runs.c.seq).where(of.sha256 == sha256)
        with self._database.reading() as conn:
            run_id = conn.execute(query.order_by(runs.c.seq).limit(1)).scalar()
            return None if run_id is None else queries.read_run(conn, run_id, self.home)

    def keep_upload(self, provider: str, sha256: str, upload: Upload) -> None:
        """Record an upload of the file with this hash; on the disk when it returns: only then may a request name it.

        So a create that is lost is told by the address in it, whatever happens to this process.
        """
        values = {each.name: getattr(upload, each.name) for each in fields(upload)}
        with self._database.writing() as conn:
            conn.execute(
                sa.insert(uploads).prefix_with("OR REPLACE"), {"provider": provider, "sha256": sha256, **values}
            )

    def find_upload(self, provider: str, sha256: str) -> Upload | None:
        """The upload of the file with this hash that lives longest."""
        query = sa.select(uploads).where(uploads.c.provider == provider, uploads.c.sha256 == sha256)
        with self._database.reading() as conn:
            row = conn.execute(query.order_by(uploads.c.expires_at.desc()).limit(1)).first()
        return None if row is None else Upload(row.id, row.url, row.made_at, row.expires_at)

    def upload_hashes(self, provider: str) -> dict[str, str]:
        """The SHA-256 of the file behind each address that an upload to the provider ever had."""
        query = sa.select(uploads.c.url, uploads.c.sha256).where(uploads.c.provider == provider)
        with self._database.reading() as conn:
            return {row.url: row.sha256 for row in conn.execute(query)}

    def latencies(self, model: str, provider: str, limit: int = 200) -> list[float]:
        """Seconds from creation to completion of the newest runs that succeeded, newest first."""
        query = (
            sa.select(runs.c.total_s)
            .where(runs.c.provider == provider, runs.c.model == model, runs.c.status == str(Status.SUCCEEDED))
            .where(runs.c.total_s.is_not(None))
            .order_by(runs.c.seq.desc())
            .limit(limit)
        )
        with self._database.reading() as conn:
            return list(conn.execute(query).scalars())

    def experiments(self) -> list[str]:
        """The names of all experiments, in the order of their first run."""
        with self._database.reading() as conn:
            return list(conn.execute(sa.select(experiments.c.name).order_by(experiments.c.seq)).scalars())

    def rate(
        self, run_id: str, *, rating: int | None = None, note: str | None = None, favourite: bool | None = None
    ) -> None:
        """Set a rating of 1 to 5, a note, or the mark of a favourite; None leaves it, and 0, "" and False take it away.

        Raises `InputError` for any other rating.
        """
        values: dict[str, Any] = {} if rating is None else {"rating": _rating(rating)}
        values |= {} if note is None else {"note": str(note) or None}
        values |= {} if favourite is None else {"favourite": bool(favourite)}
        with self._database.writing() as conn:
            queries.find_row(conn, run_id)
            if values:
                conn.execute(sa.update(runs).where(runs.c.run_id == run_id).values(**values))

    def verify(self) -> list[str]:
        """What is wrong with the file, its rows and the images they name, one line each; empty when all is well."""
        with self._database.reading() as conn:
            return queries.find_problems(conn, self.home)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A connection in a transaction that only reads, for `log.frame`."""
        return self._database.reading()

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """A connection in a transaction that is committed when this ends, for `log.judgements`."""
        return self._database.writing()

    def close(self) -> None:
        """Close the file and end the session: rows that are still its own are leftovers. Closing twice is fine."""
        self._database.close()
        if self._session is not None:
            self._session.close()

    def __enter__(self) -> Log:  # noqa: PYI034 - Self is younger than Python 3.10
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _rating(value: Any) -> int | None:
    number = -1 if isinstance(value, bool) or not hasattr(value, "__index__") else operator.index(value)
    if number not in range(6):
        raise InputError(f"a rating cannot be {value!r}", "Give a whole number from 1 to 5, or 0 to take it away.")
    return number or None
