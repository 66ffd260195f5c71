"""Rows of a frame back into runs, so that a frame from anywhere shows as the log it came from would."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image as Pillow

from imagen_nb.errors import InputError, brief, comma_list, did_you_mean
from imagen_nb.planning.template import parse
from imagen_nb.records import INDEX, LEADING_COLUMNS, LOG_COLUMNS, TRAILING_COLUMNS, Image, Request, Run, Status

_HASH = re.compile("[0-9a-f]{64}")
_MIMES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
          ".avif": "image/avif"}  # fmt: skip


def runs_of(frame: pd.DataFrame) -> list[Run]:
    """A run for each row, in order. What the frame lacks is missing; files are looked at only where sizes are."""
    settings = settings_columns(frame)
    names = [INDEX, *LEADING_COLUMNS, *settings, *TRAILING_COLUMNS]
    rows = zip(*(values(frame, name) for name in names), strict=True)
    return [_run(dict(zip(names, row, strict=True)), settings, place) for place, row in enumerate(rows)]


def paths_of(row: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files of a run: `images`, else `image`. A list that a CSV turned into text is read again."""
    many = paths_in(row.get("images"))
    one = row.get("image")
    return tuple(Path(path).absolute() for path in (many or ([one] if isinstance(one, str) and one else [])))


def sha256_of(path: Path) -> str | None:
    """The hash that a file of a home is named by, or None for any other file."""
    return path.stem if _HASH.fullmatch(path.stem) else None


def mime_of(path: Path) -> str:
    """The type that a file's ending says."""
    return _MIMES.get(path.suffix.lower(), "application/octet-stream")


def _run(row: dict[str, Any], settings: Sequence[str], place: int) -> Run:
    return Run(
        id=_text(row[INDEX]) or str(place),
        request=_request(row, settings),
        status=_status(row["status"]),
        error=_text(row["error"]),
        error_code=_text(row["error_code"]),
        prediction_id=_text(row["prediction_id"]),
        images=_images(row),
        cost=_number(row["cost_usd"]),
        cost_source=_text(row["cost_source"]),
        created_at=_time(row["created_at"]),
        started_at=_time(row["started_at"]),
        completed_at=_time(row["completed_at"]),
        total_s=_number(row["total_s"]),
        predict_s=_number(row["predict_s"]),
        provider=_text(row["provider"]),
        experiment=_text(row["experiment"]),
        tag=_text(row["tag"]),
        rating=_whole(row["rating"]),
        note=_text(row["note"]),
    )


def _request(row: Mapping[str, Any], settings: Sequence[str]) -> Request:
    prompt = _text(row["prompt"]) or ""
    template = _text(row["template"]) or prompt
    given = {name: row[name] for name in settings if row[name] is not None}
    slots = {name: given.pop(own) for name in slot_names(template) if (own := column_name(name, "slot")) in given}
    return Request(
        model=_text(row["model"]) or "",
        input={"prompt": prompt, **{input_name(name): item for name, item in given.items()}},
        template=template,
        slots=slots,
        repeat=_whole(row["repeat"]) or 1,
    )


def column_name(name: str, kind: str) -> str:
    """The column of a slot or an input: its own name, or `slot_…` and `input_…` where that is one of the log's own."""
    return f"{kind}_{name}" if name in LOG_COLUMNS else name


def input_name(column: str) -> str:
    """The input that a column holds."""
    short = column.removeprefix("input_")
    return short if short in LOG_COLUMNS else column


@lru_cache(maxsize=4096)
def slot_names(template: str) -> tuple[str, ...]:
    """The names of a template's slots; none for a text that is no template."""
    try:
        return tuple(slot.name for slot in parse(template).slots)
    except InputError:
        return ()


def _images(row: Mapping[str, Any]) -> tuple[Image, ...]:
    """The run's images. The columns of sizes speak of the first; of the others the files do."""
    paths = paths_of(row)
    known = [_whole(row[name]) for name in ("width", "height", "bytes")]
    first = _image(paths[:1], _text(row["sha256"]), known)
    return (*first, *(image for path in paths[1:] for image in _image([path], None, [None, None, None])))


def _image(paths: Sequence[Path], sha256: str | None, known: Sequence[int | None]) -> list[Image]:
    made = []
    for path in paths:
        width, height, size = [each or 0 for each in known] if all(known) else _measured(str(path))
        made.append(Image(path, sha256_of(path) or sha256 or "", width, height, size, mime_of(path)))
    return made


@lru_cache(maxsize=4096)
def _measured(path: str) -> tuple[int, int, int]:
    """Width, height and bytes from the file's head; zeros where there is no such image."""
    try:
        with Pillow.open(path) as image:
            return (*image.size, Path(path).stat().st_size)
    except (OSError, ValueError, Pillow.DecompressionBombError):
        return 0, 0, 0


def paths_in(item: Any) -> list[str]:
    """Paths from a cell of `images`: a list of any kind, or the text that a CSV writer made of one."""
    if item is None:
        return []
    if isinstance(item, str):
        item = _parsed(item)
    return [path for path in item if isinstance(path, str) and path] if hasattr(item, "__iter__") else []


def _parsed(text: str) -> Any:
    """A list written as text by any CSV writer: JSON, a Python literal, or one bare path."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list | tuple) else []
    return [text]


def _text(item: Any) -> str | None:
    return None if item is None else str(item)


def _number(item: Any) -> float | None:
    try:
        number = float(item)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _whole(item: Any) -> int | None:
    number = _number(item)
    return int(number) if number is not None and abs(number) < float("inf") else None


def _status(item: Any) -> Status:
    try:
        return Status(item)
    except ValueError:
        return Status.UNKNOWN


def _time(item: Any) -> datetime | None:
    """A time from a timestamp or an ISO text; without a zone it is UTC."""
    if item is None or isinstance(item, int | float):
        return None
    try:
        found = plain(pd.Timestamp(item))
    except (ValueError, TypeError):
        return None
    when: datetime | None = found.to_pydatetime(warn=False) if found is not None else None
    return when.replace(tzinfo=timezone.utc) if when and when.tzinfo is None else when


# ----------------------------------------------------------------------------------------------------
# Which columns a log's frame has, which of them are settings, and what to say when one is missing.


Names = str | Iterable[str] | None


def with_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every named level of its index as a column, but for `run_id`, which alone is the index.

    A level that is a column already is left out, so is one without a name; a frame as the log gives it is returned as
    it is. `pd.concat` with `keys=` and `set_index` make such levels.
    """
    names = list(frame.index.names)
    if names == [None] or (names == [INDEX] and INDEX not in frame.columns):
        return frame
    fresh = [name for name in dict.fromkeys(names) if isinstance(name, str) and name not in frame.columns]
    made: pd.DataFrame = frame.reset_index(level=[names.index(name) for name in fresh]) if fresh else frame
    made = made.reset_index(drop=True)
    return made.set_index(INDEX) if INDEX in fresh else made


def settings_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of slots and parameters, in their order: all that the log does not name itself."""
    return [name for name in frame.columns if isinstance(name, str) and name not in LOG_COLUMNS]


def need(frame: pd.DataFrame, *names: str) -> None:
    """Raise `InputError` where the frame lacks one of the columns that make it a log."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(
            f"this frame has no column {comma_list(missing)}",
            "df.imagen works on frames with the columns of imagen_nb.frame(): keep them, or select rows only.",
        )


def names_of(frame: pd.DataFrame, given: Names, role: str) -> list[str]:
    """The column names that were asked for, as a list. Raises `InputError` for one that the frame lacks."""
    if given is None:
        return []
    names = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    known = known_names(frame)
    for name in names:
        if not (isinstance(name, str) and name in known):
            there = f"The columns are {comma_list(known)}."
            hint = did_you_mean(name, known, there) if isinstance(name, str) else there
            raise InputError(f"{role}={brief(name)} is not a column of this frame", hint)
    return [str(name) for name in names]


def known_names(frame: pd.DataFrame) -> list[str]:
    """Names that one can group by: the columns and, where it has one, the index's name."""
    columns = [name for name in frame.columns if isinstance(name, str)]
    return [*columns, INDEX] if frame.index.name == INDEX and INDEX not in columns else columns


def column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column by its name; `run_id` may also be the index. Of several with one name, the first."""
    if name not in frame.columns and frame.index.name == name:
        return frame.index.to_series().reset_index(drop=True)
    found = frame[name]
    return (found.iloc[:, 0] if isinstance(found, pd.DataFrame) else found).reset_index(drop=True)


def values(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain Python values, None where it is missing; all None where there is no such column."""
    if name not in frame.columns and frame.index.name != name:
        return [None] * len(frame)
    return [plain(item) for item in column(frame, name).tolist()]


def plain(item: Any) -> Any:
    """A cell as a plain Python value; NA, NaT, NaN and None are None."""
    if item is None or item is pd.NA or item is pd.NaT or (isinstance(item, float) and item != item):  # noqa: PLR0124 - NaN
        return None
    return item.item() if hasattr(item, "item") and getattr(item, "ndim", 0) == 0 else item


def distinct(items: Iterable[Any]) -> int:
    """How many different values there are, not counting what is missing."""
    return len({repr(item) for item in items if item is not None})
