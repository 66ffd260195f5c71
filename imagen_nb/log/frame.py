"""The log as a pandas DataFrame: rows of the database to typed columns.

Made for 100,000 rows in about a second, so values go by the column and not by the row, and a JSON text that many rows
share is read once.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

import imagen_nb.accessor  # noqa: F401 - whoever holds a frame of the log has df.imagen
from imagen_nb.errors import encodable
from imagen_nb.log.judgements import find_scored, merge_scores
from imagen_nb.log.log import Log
from imagen_nb.log.queries import Names, Statuses, among, filters, newest
from imagen_nb.log.schema import FILE_KEY, decode_files, decode_text, load_json, runs, to_number
from imagen_nb.log.schema import events as events_table
from imagen_nb.log.schema import images as images_table
from imagen_nb.records import LEADING_COLUMNS, LOG_COLUMNS, TRAILING_COLUMNS, Status, is_own_column, name_files

_FILE_MARK = f'{{"{FILE_KEY}":'
_MOST_INT = 2**63
_CHUNK = 100
_NO_TIME = np.iinfo(np.int64).min
_MOST_TIME = 62e15  # µs: about 1965 years from 1970 either way, all of which a datetime has

Column = Any
"""A numpy array or a pandas extension array: one value a row."""


def frame(
    log: Log,
    *,
    experiment: Names = None,
    status: Statuses = None,
    ids: Iterable[str] | None = None,
    last: int | None = None,
    kind: str | None = None,
) -> pd.DataFrame:
    """One row a run, newest last, indexed by `run_id`; only those that meet all filters, `last` the newest so many.

    Columns: `LEADING_COLUMNS`, one per slot and one per model input (as sent, else as the reply repeats it) in the
    order in which they first appear, `TRAILING_COLUMNS`, and `score_<name>` for each scorer. A slot or input named like
    one of these columns is called `slot_<name>` or `input_<name>`. Missing is missing. Half a surrogate pair shows as
    U+FFFD, so that the frame can be written to any file. `kind` is that of `queries.Filters`. Raises `LogError`, and
    `InputError` for a status that does not exist.
    """
    chosen = [runs.c.cost.label(name) if name == "cost_usd" else runs.c[name] for name in _READ]
    conditions = filters(ids=ids, experiment=experiment, status=status, kind=kind)
    with log.reading() as conn:
        table = _table(conn, newest(sa.select(*chosen).where(*conditions), last))
        of = images_table.c
        images = sa.select(of.run, of.file, of.width, of.height, of.bytes, of.sha256).order_by(of.run, of.position)
        is_part = any(each is not None for each in (ids, experiment, status, last, kind))
        pictures = _table(conn, images.where(among(of.run, table["seq"])) if is_part else images)
    with _without_collector():
        found = {name: _column_of(name, values) for name, values in table.items() if name in LOG_COLUMNS}
        found |= _image_columns(table["seq"], pictures, log.home)
        inputs = _input_columns(table["slots"], table["echo"], table["params"])
    ordered = (
        {name: found[name] for name in LEADING_COLUMNS} | inputs | {name: found[name] for name in TRAILING_COLUMNS}
    )
    if scored := find_scored(log, pictures["sha256"] if is_part else None):
        hashes: dict[int, list[str]] = {place: [] for place in table["seq"]}
        for place, sha256 in zip(pictures["run"], pictures["sha256"], strict=True):
            hashes.get(place, []).append(sha256)
        ordered |= {name: score_column(values, hashes.values()) for name, values in scored.items()}
    whole: pd.DataFrame = pd.DataFrame(ordered, index=pd.Index(table["run_id"], dtype=str, name="run_id"), copy=False)
    return whole


def events(log: Log, *, experiment: Names = None, ids: Iterable[str] | None = None) -> pd.DataFrame:
    """One row per status change, oldest first: `run_id`, `at`, `status` in the provider's own word, `detail`."""
    told = events_table.c
    query = sa.select(told.run_id, told.at, told.status, told.detail).order_by(told.seq)
    conditions = filters(ids=ids, experiment=experiment, kind="any")
    if conditions:
        query = query.where(told.run_id.in_(sa.select(runs.c.run_id).where(*conditions)))
    with log.reading() as conn:
        table = _table(conn, query)
    columns = {name: _moments(values) if name == "at" else _texts(values) for name, values in table.items()}
    whole: pd.DataFrame = pd.DataFrame(columns, copy=False)
    return whole


_READ = (
    *("seq", "run_id", *LEADING_COLUMNS, "slots", "echo", "params"),
    *(name for name in TRAILING_COLUMNS if name == "cost_usd" or name in runs.c),
)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Without the garbage collector, which so many small values that all stay would only set to work in vain."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def _table(conn: sa.Connection, query: sa.Select[Any]) -> dict[str, list[Any]]:
    """The result by the column, as the driver gives the values.

    A `Row` and typed values cost too much for very many rows; and not all come at once, because so many tuples would
    only keep the garbage collector busy.
    """
    cursor: Any = conn.execute(query).cursor
    columns: list[list[Any]] = [[] for _ in query.selected_columns]
    while rows := cursor.fetchmany(_CHUNK):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    return dict(zip(query.selected_columns.keys(), columns, strict=True))


# -- one column of one kind ------------------------------------------------------------------------------------------


def _column_of(name: str, values: list[Any]) -> Column:
    kind = _KINDS[LOG_COLUMNS[name]]
    if len(values) > 1 and values.count(values[0]) == len(values):  # an empty or unvaried column costs next to nothing
        return kind(values[:1]).take(np.zeros(len(values), dtype="int64"))
    return kind(values)


def statuses(values: Sequence[Any]) -> Column:
    """A category of the statuses that occur, in their order, so that counting them shows none that does not."""
    there = set(values)
    words = [str(status) for status in Status if status in there]
    place = {word: code for code, word in enumerate(words)}
    return pd.Categorical.from_codes([place.get(value, -1) for value in values], categories=pd.Index(words))


def _texts(values: list[Any]) -> Column:
    if bytes in set(map(type, values)):
        values = [encodable(decode_text(value)) if type(value) is bytes else value for value in values]
    return pd.array(values, dtype="string")


def _floats(values: list[Any]) -> Column:
    try:
        return np.array(values, dtype="float64")
    except (ValueError, TypeError, OverflowError):  # a value that somebody wrote there is missing, and costs no other
        return np.array([to_number(value) for value in values], dtype="float64")


def _moments(values: list[Any]) -> Column:
    """Whole µs since 1970, or None, as UTC datetimes."""
    exact = _floats(values)  # holds whole µs exactly for 285 years
    is_none = ~(np.abs(exact) < _MOST_TIME)
    ticks = np.where(is_none, _NO_TIME, np.nan_to_num(exact)).astype("int64")
    return pd.DatetimeIndex(ticks.view("datetime64[us]")).tz_localize("UTC").array


def _truths(values: list[Any]) -> Column:
    return np.array([value == 1 for value in values], dtype="bool")


def _integers(values: list[Any]) -> Column:
    numbers = _floats(values)
    missing = np.isnan(numbers)
    return pd.arrays.IntegerArray(np.where(missing, 0, np.nan_to_num(numbers)).astype("int64"), missing)


_KINDS: Mapping[str, Callable[[list[Any]], Column]] = {
    "text": _texts,
    "whole": _integers,
    "number": _floats,
    "time": _moments,
    "status": statuses,
    "truth": _truths,
}


# -- slots and model inputs --------------------------------------------------------------------------------------------


def _input_columns(slots: list[Any], echoes: list[Any], params: list[Any]) -> dict[str, Column]:
    """The columns of the slots, then those of the model's inputs; a slot and an input of the same name share one."""
    slot_texts, slot_rows = _distinct(slots)
    named = _read_maps(slot_texts, "slot")
    input_texts, input_rows = _distinct(zip(echoes, params, strict=True))
    sent = _read_maps([text for _, text in input_texts], "input")
    merged = [{**a, **b} for a, b in zip(_read_maps([text for text, _ in input_texts], "input"), sent, strict=True)]
    is_slot, is_input = set(chain.from_iterable(named)), set(chain.from_iterable(merged))
    names = dict.fromkeys(chain.from_iterable(chain(named, sent, merged)))
    columns: dict[str, Column] = {}
    for name in names:
        of_slot = [each.get(name) for each in named] if name in is_slot else None
        of_input = [each.get(name) for each in merged] if name in is_input else None
        if of_slot is None or of_input is None:
            values, rows = (of_slot, slot_rows) if of_input is None else (of_input, input_rows)
            columns[name] = narrowest(values or []).take(rows)
        else:
            pairs = zip(slot_rows.tolist(), input_rows.tolist(), strict=True)
            columns[name] = narrowest([of_input[b] if of_slot[a] is None else of_slot[a] for a, b in pairs])
    return columns


def _distinct(values: Iterable[Any]) -> tuple[list[Any], np.ndarray]:
    """The distinct values in order of appearance, and for each row the place of its value among them."""
    place: dict[Any, int] = {}
    codes = [place.setdefault(value, len(place)) for value in values]
    return list(place), np.array(codes, dtype="int64")


def _read_maps(texts: list[Any], kind: str) -> list[dict[str, Any]]:
    """The JSON maps in these texts, their keys named as columns; a text that many share is read once."""
    distinct, rows = _distinct(texts)
    maps = _load_maps(distinct)
    if any(_FILE_MARK in text for text in distinct if isinstance(text, str)):
        maps = [{name: name_files(decode_files(value, Path())) for name, value in each.items()} for each in maps]
    columns = {name: _column_name(name, kind) for name in set(chain.from_iterable(maps))}
    if any(name != column for name, column in columns.items()):
        maps = [{columns[name]: value for name, value in each.items()} for each in maps]
    return [maps[row] for row in rows.tolist()]


def _load_maps(texts: list[Any]) -> list[dict[str, Any]]:
    """The JSON maps in the texts, all in one go, or one by one where some text is missing or damaged."""
    try:
        maps = json.loads(f"[{','.join(texts)}]")
    except (ValueError, TypeError, RecursionError):
        maps = []
    if len(maps) == len(texts) and set(map(type, maps)) <= {dict}:
        return list(maps)
    return [load_json(text) for text in texts]


def _column_name(name: str, kind: str) -> str:
    return f"{kind}_{name}" if is_own_column(name) else encodable(name)


def score_column(values: Mapping[str, Any], hashes: Iterable[Sequence[str]]) -> Column:
    """A scorer's figures, by the SHA-256 of the images, for runs that have these images."""
    return narrowest([merge_scores([values.get(each) for each in some]) for some in hashes])


def narrowest(values: list[Any]) -> Column:
    """JSON values as the narrowest type that holds them all: boolean, Int64, float64, else string."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool}:
        return pd.array(values, dtype="boolean")
    if kinds == {int} and all(value is None or -_MOST_INT <= value < _MOST_INT for value in values):
        return pd.array(values, dtype="Int64")
    if kinds in ({float}, {int, float}):
        return np.array(values, dtype="float64")
    words = values
    if kinds != {str}:
        is_plain = (str, type(None))
        words = [each if isinstance(each, is_plain) else json.dumps(each, ensure_ascii=False) for each in values]
    try:
        "".join(filter(None, words)).encode()
    except UnicodeEncodeError:
        words = [word and encodable(word) for word in words]
    return pd.array(words, dtype="string")


# -- images ----------------------------------------------------------------------------------------------------------


def _image_columns(places: list[int], pictures: dict[str, list[Any]], home: Path) -> dict[str, Column]:
    """The first image of each run, and the paths of all."""
    owners, first, count = np.unique(np.array(pictures["run"], dtype="int64"), return_index=True, return_counts=True)
    # Absolute, in this system's form; a file outside the home is so already.
    base = os.path.join(home, "")  # noqa: PTH118 - it ends in a separator, which a Path does not
    paths = [file if file[0] == "/" or file[1:2] == ":" else base + file for file in map(decode_text, pictures["file"])]
    paths = paths if os.sep == "/" else [path.replace("/", os.sep) for path in paths]
    where = np.searchsorted(owners, places)
    has_any = np.isin(places, owners)
    takes = np.full(len(places), -1)
    takes[has_any] = first[where[has_any]]
    columns = {"image": _texts(paths)} | {
        name: _column_of(name, pictures[name]) for name in ("width", "height", "bytes", "sha256")
    }
    found = {name: column.take(takes, allow_fill=True) for name, column in columns.items()}
    several = np.empty(len(first), dtype=object)
    several[:] = [tuple(paths[start : start + length]) for start, length in zip(first, count, strict=True)]
    tuples = np.full(len(places), pd.NA, dtype=object)
    tuples[has_any] = several[where[has_any]]
    return found | {"images": tuples}
