"""Columns that came from a file, typed as the log types them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from imagen_nb.comparison.columns import INDEX, plain
from imagen_nb.comparison.rows import listed
from imagen_nb.store.frame import AFTER, BEFORE, STATUSES
from imagen_nb.view.words import value

_MOST_INT = 2**63
_TIMES = frozenset({"created_at", "started_at", "completed_at"})
_FLOATS = frozenset({"total_s", "predict_s", "cost_usd"})
_WHOLE = frozenset({"repeat", "width", "height", "bytes", "rating"})
_TEXTS = frozenset({INDEX, *BEFORE, *AFTER}) - _TIMES - _FLOATS - _WHOLE - {"status", "images"}


def typed(columns: dict[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame of these columns with the log's types, indexed by `run_id` where that is among them.

    A slot or parameter has the narrowest type that holds all its values: boolean, Int64, float64, else string.
    """
    cells = {name: [plain(item) for item in items] for name, items in columns.items()}
    ids = cells.pop(INDEX, None)
    index = None if ids is None else pd.Index([None if item is None else value(item) for item in ids], name=INDEX)
    made: pd.DataFrame = pd.DataFrame({name: _column(name, items) for name, items in cells.items()})
    return made if index is None else made.set_index(index)


def _column(name: str, items: list[Any]) -> Any:
    if name == "status":
        words = [item if item in STATUSES.categories else None for item in items]
        return pd.Categorical(words, dtype=STATUSES)
    if name in _TIMES:
        return pd.to_datetime(pd.Series(items, dtype=object), utc=True, errors="coerce", format="ISO8601").astype(
            "datetime64[us, UTC]"
        )
    if name in _FLOATS:
        return _numbers(items).astype("float64")
    if name in _WHOLE:
        return _numbers(items).round().astype("Int64")
    if name == "images":
        return _tuples([listed(item) for item in items])
    return _texts(items) if name in _TEXTS else _narrowed(items)


def _numbers(items: list[Any]) -> Any:
    return pd.to_numeric(pd.Series(items, dtype=object), errors="coerce").astype("Float64")


def _tuples(items: list[list[str]]) -> Any:
    column = np.empty(len(items), dtype=object)
    column[:] = [tuple(each) if each else pd.NA for each in items]
    return column


def _texts(items: list[Any]) -> Any:
    return pd.array([None if item is None else value(item) for item in items], dtype="string")


def _narrowed(items: list[Any]) -> Any:
    kinds = {type(item) for item in items if item is not None}
    if kinds == {bool}:
        return pd.array(items, dtype="boolean")
    if kinds == {int} and all(item is None or -_MOST_INT <= item < _MOST_INT for item in items):
        return pd.array(items, dtype="Int64")
    if kinds and kinds <= {int, float} and kinds != {int}:
        return np.array([np.nan if item is None else item for item in items], dtype="float64")
    return _texts(items)
