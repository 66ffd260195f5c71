"""The log as a pandas DataFrame: rows of the database to typed columns.

Made for 100,000 rows in about a second, so values go by the column and not by the row, and a JSON text that many rows
share is read once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

import imagen_nb.accessor  # noqa: F401 - whoever holds a frame of the log has df.imagen
from imagen_nb.log.log import Log
from imagen_nb.log.queries import Names, Statuses, among, filters, newest
from imagen_nb.log.schema import decode_text, load_json, runs
from imagen_nb.log.schema import events as events_table
from imagen_nb.log.schema import images as images_table
from imagen_nb.records import INDEX, LEADING_COLUMNS, LOG_COLUMNS, TRAILING_COLUMNS, Status

STATUSES = pd.CategoricalDtype([str(status) for status in Status])
"""The type of the column `status`."""

_MOST_INT = 2**63
_CHUNK = 100

Array = Any
"""A numpy array or a pandas extension array: one value a row."""


def frame(
    log: Log,
    *,
    experiment: Names = None,
    status: Statuses = None,
    ids: Iterable[str] | None = None,
    last: int | None = None,
) -> pd.DataFrame:
    """One row a run, newest last, indexed by `run_id`; only those that meet all filters, `last` the newest so many.

    Columns: `LEADING_COLUMNS`, one per slot and one per model input (as sent, else as the reply repeats it) in the
    order in which they first appear, `TRAILING_COLUMNS`. A slot or input named like one of these columns is called
    `slot_<name>` or `input_<name>`. Missing is missing. Half a surrogate pair shows as U+FFFD, so that the frame can be
    written to any file. Raises `LogError`, and `InputError` for a status that does not exist.
    """
    stored = [runs.c[name] for name in ("seq", "slots", "echo", "params", *LOG_COLUMNS) if name in runs.c]
    conditions = filters(ids=ids, experiment=experiment, status=status)
    query = newest(sa.select(*stored, runs.c.cost.label("cost_usd")).where(*conditions), last)
    of = images_table.c
    pictures_query = sa.select(of.run, of.file, of.width, of.height, of.bytes, of.sha256).order_by(of.run, of.position)
    with log.reading() as conn:
        table = _columns(conn, query)
        if conditions or last is not None:
            pictures_query = pictures_query.where(among(of.run, table["seq"]))
        pictures = _columns(conn, pictures_query)
    found = {name: _array(LOG_COLUMNS[name], values) for name, values in table.items() if name in LOG_COLUMNS}
    found |= _image_arrays(table["seq"], pictures, log.home)
    inputs = _input_arrays(table["slots"], table["echo"], table["params"])
    ordered = {name: found[name] for name in LEADING_COLUMNS} | inputs
    ordered |= {name: found[name] for name in TRAILING_COLUMNS}
    whole: pd.DataFrame = pd.DataFrame(ordered, index=pd.Index(table[INDEX], dtype=str, name=INDEX), copy=False)
    return whole


def events(log: Log, *, experiment: Names = None, ids: Iterable[str] | None = None) -> pd.DataFrame:
    """One row per status change, oldest first: `run_id`, `at`, `status` in the provider's own word, `detail`."""
    of = events_table.c
    query = sa.select(of.run_id, of.at, of.status, of.detail).order_by(of.seq)
    conditions = filters(ids=ids, experiment=experiment)
    if conditions:
        query = query.where(of.run_id.in_(sa.select(runs.c.run_id).where(*conditions)))
    with log.reading() as conn:
        table = _columns(conn, query)
    arrays = {name: _array("time" if name == "at" else "text", values) for name, values in table.items()}
    whole: pd.DataFrame = pd.DataFrame(arrays, copy=False)
    return whole


def _columns(conn: sa.Connection, query: sa.Select[Any]) -> dict[str, list[Any]]:
    """The result by the column, as the driver gives the values.

    A `Row` and typed values cost too much for very many rows; and not all come at once, because so many tuples would
    only keep the garbage collector busy.
    """
    cursor: Any = conn.execute(query).cursor
    columns: dict[str, list[Any]] = {name: [] for name in query.selected_columns.keys()}  # noqa: SIM118 - no dict
    while rows := cursor.fetchmany(_CHUNK):
        for column, values in zip(columns.values(), zip(*rows, strict=True), strict=True):
            column.extend(values)
    return columns


# -- one column ------------------------------------------------------------------------------------------------------


def _array(kind: str, values: list[Any]) -> Array:
    """A column of the log, whose kind `LOG_COLUMNS` says; None is missing."""
    if len(values) > 1 and values.count(values[0]) == len(values):  # an empty or unvaried column costs next to nothing
        return _array(kind, values[:1]).take(np.zeros(len(values), dtype="int64"))
    if kind == "number":
        return np.array(values, dtype="float64")
    if kind == "whole":
        return pd.array(values, dtype="Int64")
    if kind == "time":  # whole µs since 1970
        return pd.DatetimeIndex(np.array(values, dtype="datetime64[us]"), tz="UTC").array
    if kind == "status":
        place = {word: code for code, word in enumerate(STATUSES.categories)}
        return pd.Categorical.from_codes([place.get(value, -1) for value in values], dtype=STATUSES)
    if bytes in set(map(type, values)):
        values = [_encodable(decode_text(value)) if type(value) is bytes else value for value in values]
    return pd.array(values, dtype="string")


def narrowest(values: list[Any]) -> Array:
    """JSON values as the narrowest type that holds them all: boolean, Int64, float64, else string."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool}:
        return pd.array(values, dtype="boolean")
    if kinds == {int} and all(value is None or -_MOST_INT <= value < _MOST_INT for value in values):
        return pd.array(values, dtype="Int64")
    if kinds in ({float}, {int, float}):
        return np.array(values, dtype="float64")
    texts = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values
    ]
    try:
        "".join(filter(None, texts)).encode()
    except UnicodeEncodeError:
        texts = [text and _encodable(text) for text in texts]
    return pd.array(texts, dtype="string")


def _encodable(text: str) -> str:
    """The text with every half of a surrogate pair replaced, so that it can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# -- slots and model inputs ------------------------------------------------------------------------------------------


def _input_arrays(slots: list[Any], echoes: list[Any], params: list[Any]) -> dict[str, Array]:
    """The columns of the slots, then those of the model's inputs; a slot and an input of the same name share one."""
    slot_texts, slot_rows = _distinct(slots)
    input_texts, input_rows = _distinct(zip(echoes, params, strict=True))
    of_slots = _read_maps(slot_texts, "slot")
    sent = _read_maps([text for _, text in input_texts], "input")
    repeated = _read_maps([text for text, _ in input_texts], "input")
    of_inputs = [{**echo, **param} for echo, param in zip(repeated, sent, strict=True)]
    slot_names, input_names = set(chain.from_iterable(of_slots)), set(chain.from_iterable(of_inputs))
    arrays: dict[str, Array] = {}
    for name in dict.fromkeys(chain.from_iterable(chain(of_slots, sent, of_inputs))):
        slot_values = [each.get(name) for each in of_slots]
        input_values = [each.get(name) for each in of_inputs]
        if name not in slot_names:
            arrays[name] = narrowest(input_values).take(input_rows)
        elif name not in input_names:
            arrays[name] = narrowest(slot_values).take(slot_rows)
        else:
            pairs = zip(slot_rows.tolist(), input_rows.tolist(), strict=True)
            arrays[name] = narrowest([input_values[b] if slot_values[a] is None else slot_values[a] for a, b in pairs])
    return arrays


def _distinct(values: Iterable[Any]) -> tuple[list[Any], np.ndarray]:
    """The distinct values in order of appearance, and for each row the place of its value among them."""
    place: dict[Any, int] = {}
    codes = [place.setdefault(value, len(place)) for value in values]
    return list(place), np.array(codes, dtype="int64")


def _read_maps(texts: list[Any], kind: str) -> list[dict[str, Any]]:
    """The JSON maps in these texts, their keys named as columns."""
    distinct, rows = _distinct(texts)
    try:  # all in one go, or one by one where some text is missing or damaged
        maps = json.loads(f"[{','.join(distinct)}]")
    except (ValueError, TypeError, RecursionError):
        maps = []
    if len(maps) != len(distinct) or not set(map(type, maps)) <= {dict}:
        maps = [load_json(text) for text in distinct]
    columns = {
        name: f"{kind}_{name}" if name in LOG_COLUMNS else _encodable(name) for name in set(chain.from_iterable(maps))
    }
    if any(name != column for name, column in columns.items()):
        maps = [{columns[name]: value for name, value in each.items()} for each in maps]
    return [maps[row] for row in rows.tolist()]


# -- images ----------------------------------------------------------------------------------------------------------


def _image_arrays(places: list[int], pictures: dict[str, list[Any]], home: Path) -> dict[str, Array]:
    """The first image of each run, and the paths of all; `pictures` are ordered by run."""
    base = os.path.join(home, "")  # noqa: PTH118 - it ends in a separator, which a Path does not
    paths = [file if file[0] == "/" or file[1:2] == ":" else base + file for file in pictures["file"]]
    if os.sep != "/":
        paths = [path.replace("/", os.sep) for path in paths]
    owners, firsts, counts = np.unique(np.array(pictures["run"], dtype="int64"), return_index=True, return_counts=True)
    where = pd.Index(owners).get_indexer(places)  # -1 for a run without images, which is the last place in what follows
    tuples = np.empty(len(owners) + 1, dtype=object)
    tuples[:-1] = [tuple(paths[first : first + count]) for first, count in zip(firsts, counts, strict=True)]
    tuples[-1] = pd.NA
    columns = {"image": paths} | {name: pictures[name] for name in ("width", "height", "bytes", "sha256")}
    rows = np.append(firsts, -1)[where]
    return {"images": tuples[where]} | {
        name: _array(LOG_COLUMNS[name], values).take(rows, allow_fill=True) for name, values in columns.items()
    }
