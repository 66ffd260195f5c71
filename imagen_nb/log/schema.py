"""The tables of the log, and how values lie in them.

Times are whole microseconds since 1970 in UTC, open maps are JSON text, and images are named relative to the home, so
that the folder can be moved. `runs.seq` is the order of the log. `runs.owner` is the session that drives a row, or
null: a row that is done, or that anybody may take over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from imagen_nb.errors import ImageError
from imagen_nb.log.images import image_place
from imagen_nb.records import Image, InputFile, Json, Prediction, Request, Run, Status

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

OPEN = tuple(str(status) for status in Status if not status.is_terminal)
"""The statuses of rows that still may change."""

_STATUSES = frozenset(map(str, Status))
_BEYOND_ANY = 2**63  # no integer of SQLite is as large


def micros(moment: datetime) -> int:
    """Whole µs since 1970; a time without a zone counts as UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - EPOCH) // _MICROSECOND


def encode_text(text: str) -> str | bytes:
    """The text as SQLite can hold it: half a surrogate pair has no UTF-8, so such a text becomes a blob."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def decode_text(value: Any) -> Any:
    """The text that `encode_text` was given."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # not ours
        return value.decode("utf-8", "replace")


def to_number(value: Any) -> Any:
    """The number in a column of numbers; None for anything else that somebody wrote there."""
    return value if isinstance(value, int | float) and abs(value) < _BEYOND_ANY else None


def dump_json(value: Any) -> str:
    """Compact JSON in plain ASCII, key order kept."""
    return json.dumps(value, separators=(",", ":"), default=str)


def load_json(text: Any) -> dict[str, Any]:
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
        try:
            return None if to_number(value) is None else EPOCH + timedelta(microseconds=value)
        except OverflowError:
            return None


class AnyText(sa.types.TypeDecorator[str]):
    """Any Python string, also one that has no UTF-8."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else encode_text(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return decode_text(value)


class JsonMap(sa.types.TypeDecorator[Mapping[str, Any]]):
    """A map of JSON values."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Any) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else dump_json(dict(value))

    def process_result_value(self, value: Any, dialect: Any) -> dict[str, Any]:  # noqa: ARG002 - SQLAlchemy's signature
        return load_json(value)


class JsonValue(sa.types.TypeDecorator[Any]):
    """A number, a bool, a text or nothing, each as itself."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else dump_json(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        try:
            return None if value is None else json.loads(value)
        except (ValueError, TypeError, RecursionError):  # not ours
            return None


metadata = sa.MetaData()

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("name", AnyText, nullable=False, unique=True),
    sa.Column("created_at", Moment, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, unique=True),
    sa.Column("experiment", AnyText, sa.ForeignKey("experiments.name")),
    sa.Column("tag", AnyText),
    sa.Column("provider", AnyText, nullable=False),
    sa.Column("key", sa.Text, nullable=False, comment="of the request: equal for equal requests"),
    sa.Column("model", AnyText, nullable=False),
    sa.Column("prompt", AnyText, comment="null where the input has no prompt that is text"),
    sa.Column("template", AnyText, nullable=False),
    sa.Column("slots", JsonMap, nullable=False),
    sa.Column("params", JsonMap, nullable=False, comment="every other input; files as `encode_files` writes them"),
    sa.Column("echo", JsonMap, comment="the input as the reply repeats it, defaults filled in, without the prompt"),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("seen", AnyText, nullable=False, comment="the status in the provider's own word, as last logged"),
    sa.Column("error", AnyText),
    sa.Column("error_code", AnyText),
    sa.Column("prediction_id", AnyText),
    sa.Column("owner", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, comment="creates since last asked for, the coming one included"),
    sa.Column("intended_at", Moment, nullable=False),
    sa.Column("created_at", Moment),
    sa.Column("started_at", Moment),
    sa.Column("completed_at", Moment),
    sa.Column("total_s", sa.Float),
    sa.Column("predict_s", sa.Float),
    sa.Column("cost", sa.Float, comment="US dollars"),
    sa.Column("cost_source", AnyText),
    sa.Column("rating", sa.Integer),
    sa.Column("note", AnyText),
    sa.Column("favourite", sa.Boolean),
    sa.Column("text", AnyText, comment="what the model answers in words"),
    sa.Column("parent", sa.Text, comment="the run that made a file of the input"),
    sa.Column("kind", sa.Text, comment="`judge` for what a model was asked about pictures; else null"),
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
    sa.Column("status", AnyText, nullable=False),
    sa.Column("detail", AnyText),
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("runs.seq"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("file", AnyText, nullable=False, comment="relative to the home, with forward slashes"),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("mime", sa.Text, nullable=False),
    sa.Column("url", AnyText),
    sqlite_with_rowid=False,
)

# Apart from the runs, so that reading all runs does not wade through their raw replies.
replies = sa.Table(
    "replies",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("raw", sa.Text, nullable=False, comment="the last reply, long texts shortened"),
)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("provider", AnyText, primary_key=True),
    sa.Column("url", AnyText, primary_key=True, comment="what stands for the file in an input"),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("id", AnyText, nullable=False),
    sa.Column("made_at", Moment, nullable=False, comment="by our clock, as the other"),
    sa.Column("expires_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

votes = sa.Table(
    "votes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("rater", AnyText, comment="null for one nobody named"),
    sa.Column("question", AnyText, nullable=False),
    sa.Column("by", AnyText, nullable=False, comment="the column that is compared"),
    sa.Column("level_a", AnyText, nullable=False),
    sa.Column("level_b", AnyText, nullable=False),
    sa.Column("group", AnyText, nullable=False, comment="what was equal"),
    sa.Column("run_a", sa.Text, nullable=False),
    sa.Column("run_b", sa.Text, nullable=False),
    sa.Column("choice", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, comment="from shown to answered"),
    sa.Column("chosen_by", AnyText, comment="how the pair was chosen, or what its judge was swayed by"),
    sa.Index("votes_by_question", "by", "question"),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True, comment="of the image"),
    sa.Column("scorer", AnyText, primary_key=True),
    sa.Column("version", AnyText, primary_key=True),
    sa.Column("part", AnyText, primary_key=True, comment="the key of a scorer that gives several; else empty"),
    sa.Column("value", JsonValue, comment="a number, a bool or a text; null where there is none"),
    sa.Column("reason", AnyText),
    sa.Column("at", Moment, nullable=False),
    sqlite_with_rowid=False,
)


# -- nouns to rows and back: what a request, a prediction and an image put into the log, and the `Run` that comes out --

FILE_KEY = "$file"
"""What marks the map of a file among the parameters; no input of a model is called so."""

_LONGEST_TEXT = 10_000
_LONGEST_REPLY = 200_000
_DEEPEST = 20


def request_values(request: Request) -> dict[str, Any]:
    """The columns that describe what is asked for. A prompt that is no text stays among the parameters."""
    prompt = request.input.get("prompt")
    is_text = isinstance(prompt, str)
    return {
        "key": request.key,
        "model": request.model,
        "prompt": prompt if is_text else None,
        "template": request.template,
        "slots": dict(request.slots),
        "params": {
            name: encode_files(value) for name, value in request.input.items() if name != "prompt" or not is_text
        },
        "repeat": request.repeat,
        "parent": request.parent,
    }


def encode_files(value: Any) -> Any:
    """The value with each file in it, alone or in a list, as a map that says all about it but its place."""
    if isinstance(value, InputFile):
        facts = {each.name: getattr(value, each.name) for each in fields(value) if each.name != "path"}
        return {FILE_KEY: {name: fact for name, fact in facts.items() if fact is not None}}
    return list(map(encode_files, value)) if isinstance(value, list | tuple) else value


def decode_files(value: Any, home: Path) -> Any:
    """The value that `encode_files` was given, its files in this home; what is no such file stays as it is."""
    if isinstance(value, list):
        return [decode_files(each, home) for each in value]
    if not isinstance(value, dict) or value.keys() != {FILE_KEY}:
        return value
    facts = value[FILE_KEY]
    try:
        return InputFile(path=image_place(home, facts["sha256"], facts["mime"]), **facts)
    except (TypeError, KeyError, ImageError):
        return value


def request_of(row: Any, home: Path) -> Request:
    """The request that `request_values` described, equal in everything but the order of its input."""
    prompt = {} if row.prompt is None else {"prompt": row.prompt}
    params = {name: decode_files(value, home) for name, value in row.params.items()}
    return Request(
        model=row.model,
        input=prompt | params,
        template=row.template,
        slots=row.slots,
        repeat=to_number(row.repeat) or 1,
    )


def prediction_values(prediction: Prediction) -> dict[str, Any]:
    """The columns that a reply fills; None for what it does not say."""
    total_s = prediction.total_s
    return {
        "created_at": prediction.created_at,
        "started_at": prediction.started_at,
        "completed_at": prediction.completed_at,
        "total_s": seconds_between(prediction.created_at, prediction.completed_at) if total_s is None else total_s,
        "predict_s": prediction.predict_s,
        "text": prediction.text or None,
        "echo": cut_long_texts({name: value for name, value in prediction.input.items() if name != "prompt"}) or None,
    }


def reply_text(raw: Json) -> str:
    """The reply as JSON text of at most about 200,000 characters: long texts shortened, then large fields left out."""
    text = dump_json(cut_long_texts(raw))
    if len(text) <= _LONGEST_REPLY:
        return text
    fields = {str(name): cut_long_texts(value) for name, value in list(raw.items())[:100]}
    return dump_json({name: value for name, value in fields.items() if len(dump_json(value)) < _LONGEST_REPLY / 100})


def cut_long_texts(value: Any, depth: int = 0) -> Any:
    """The JSON value with every long text (a `data:` URI, a chatty log) cut to its beginning, and no endless depth."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:200]}… ({len(value)} characters)"
    if isinstance(value, Mapping | list | tuple) and depth == _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(name): cut_long_texts(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [cut_long_texts(item, depth + 1) for item in value]
    return value


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end, where both are known and in order."""
    seconds = (end - start).total_seconds() if start and end else -1.0
    return seconds if seconds >= 0 else None


def image_values(place: int, images: Sequence[Image], home: Path) -> list[dict[str, Any]]:
    """One row an image of the run at this place, in the order given; a file inside the home is named relative to it."""
    return [
        {
            "run": place,
            "position": position,
            "sha256": image.sha256,
            "file": (image.path.relative_to(home) if image.path.is_relative_to(home) else image.path).as_posix(),
            "width": image.width,
            "height": image.height,
            "bytes": image.bytes,
            "mime": image.mime,
            "url": cut_long_texts(image.url),
        }
        for position, image in enumerate(images)
    ]


def image_of(row: Any, home: Path) -> Image:
    """The image of a row, its path absolute."""
    return Image(
        path=home / row.file,
        sha256=row.sha256,
        width=to_number(row.width) or 0,
        height=to_number(row.height) or 0,
        bytes=to_number(row.bytes) or 0,
        mime=decode_text(row.mime),
        url=row.url,
    )


def run_of(row: Any, home: Path, images: Iterable[Image] = ()) -> Run:
    """The run of a row of the table `runs`."""
    return Run(
        id=row.run_id,
        request=request_of(row, home),
        status=Status(row.status) if row.status in _STATUSES else Status.UNKNOWN,
        error=row.error,
        error_code=row.error_code,
        prediction_id=row.prediction_id,
        images=tuple(images),
        cost=to_number(row.cost),
        cost_source=row.cost_source,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        total_s=to_number(row.total_s),
        predict_s=to_number(row.predict_s),
        provider=row.provider,
        experiment=row.experiment,
        tag=row.tag,
        rating=to_number(row.rating),
        note=row.note,
        favourite=row.favourite is True,
        text=row.text,
        parent=row.parent,
    )
