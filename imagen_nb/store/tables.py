"""The tables of the log, and how values lie in them.

Times are whole microseconds since 1970 in UTC, open maps are JSON text, and images are named relative to the home, so
that the folder can be moved. `runs.seq` is the order of the log. `runs.owner` is the session that drives a row, or
null: a row that is done, or that anybody may take over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa

from imagen_nb.core.records import Status

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

OPEN = tuple(str(status) for status in Status if not status.is_terminal)
"""The statuses of rows that still may change."""


def micros(moment: datetime) -> int:
    """Whole µs since 1970; a time without a zone counts as UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - EPOCH) // _MICROSECOND


def stored_text(text: str) -> str | bytes:
    """The text as SQLite can hold it: half a surrogate pair has no UTF-8, so such a text becomes a blob."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def restored_text(value: Any) -> Any:
    """The text that `stored_text` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def stored_json(value: Any) -> str:
    """Compact JSON in plain ASCII, key order kept."""
    return json.dumps(value, separators=(",", ":"), default=str)


def restored_json(text: Any) -> dict[str, Any]:
    """The map in a JSON text; empty where the text is null, damaged, or no map."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware datetime, stored as whole µs since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else micros(value)

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Words(sa.types.TypeDecorator[str]):
    """Any Python string, also one that has no UTF-8."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else stored_text(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return restored_text(value)


class JsonMap(sa.types.TypeDecorator[Mapping[str, Any]]):
    """A map of JSON values."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Any) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else stored_json(dict(value))

    def process_result_value(self, value: Any, dialect: Any) -> dict[str, Any]:  # noqa: ARG002 - SQLAlchemy's signature
        return restored_json(value)


metadata = sa.MetaData()

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("name", Words, nullable=False, unique=True),
    sa.Column("created_at", Moment, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, unique=True),
    sa.Column("experiment", Words, sa.ForeignKey("experiments.name")),
    sa.Column("tag", Words),
    sa.Column("provider", Words, nullable=False),
    sa.Column("key", sa.Text, nullable=False, comment="of the request: equal for equal requests"),
    sa.Column("model", Words, nullable=False),
    sa.Column("prompt", Words, comment="null where the input has no prompt that is text"),
    sa.Column("template", Words, nullable=False),
    sa.Column("slots", JsonMap, nullable=False),
    sa.Column("params", JsonMap, nullable=False, comment="every other input, as sent"),
    sa.Column("echo", JsonMap, comment="the input as the reply repeats it, defaults filled in, without the prompt"),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("seen", Words, nullable=False, comment="the status in the provider's own word, as last logged"),
    sa.Column("error", Words),
    sa.Column("error_code", Words),
    sa.Column("prediction_id", Words),
    sa.Column("owner", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, comment="creates since last asked for, the coming one included"),
    sa.Column("intended_at", Moment, nullable=False),
    sa.Column("created_at", Moment),
    sa.Column("started_at", Moment),
    sa.Column("completed_at", Moment),
    sa.Column("total_s", sa.Float),
    sa.Column("predict_s", sa.Float),
    sa.Column("cost", sa.Float, comment="US dollars"),
    sa.Column("cost_source", Words),
    sa.Column("rating", sa.Integer),
    sa.Column("note", Words),
    sa.UniqueConstraint("provider", "prediction_id"),
    sa.Index("runs_by_experiment", "experiment", "key"),
    sa.Index("runs_by_status", "status"),
    sa.Index("runs_by_model", "provider", "model"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("status", Words, nullable=False),
    sa.Column("detail", Words),
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("runs.seq"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("file", Words, nullable=False, comment="relative to the home, with forward slashes"),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("mime", sa.Text, nullable=False),
    sa.Column("url", Words),
    sqlite_with_rowid=False,
)

# Apart from the runs, so that reading all runs does not wade through their raw replies.
replies = sa.Table(
    "replies",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("raw", sa.Text, nullable=False, comment="the last reply, long texts shortened"),
)
