"""Which columns span a grid, and the order and text of their values."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd

from imagen_nb.comparison.columns import Names, column, distinct, names_of, settings_columns, values
from imagen_nb.comparison.rows import slot_names
from imagen_nb.errors import InputError
from imagen_nb.view.words import joined, value

UNSET = "not set"
_SORTED = (int | float, date, timedelta, pd.Period, pd.Interval)
_MOST_VALUES = 30
_MOST_COLS = 8


@dataclass(frozen=True, slots=True)
class Labels:
    """One axis of a grid, over one or more columns: `codes[i]` is the place in `texts` of the frame's row i.

    `pairs` has, for each of the texts, the names of the columns with their values; those that are not set are left out.
    """

    name: str
    codes: Sequence[int]
    texts: Sequence[str]
    pairs: Sequence[Sequence[tuple[str, str]]] = ((),)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The columns for the three axes. `mixed` are columns that vary within a cell, which no axis parts."""

    rows: list[str]
    cols: list[str]
    facet: list[str]
    mixed: list[str]


def chosen(frame: pd.DataFrame, rows: Names, cols: Names, facet: Names) -> Chosen:
    """The columns asked for, and for axes left open the columns that vary: slots first, then parameters and model.

    Raises `InputError` for a column that is not there or that is to be two axes at once.
    """
    asked = [names_of(frame, given, role) for given, role in ((rows, "rows"), (cols, "cols"), (facet, "facet"))]
    _check_distinct(asked)
    spare = varying(frame, [each for names in asked for each in names])
    if rows is None and cols is None:
        first, second = _spread(frame, spare)
        asked[0], asked[1] = first, second
    elif rows is None or cols is None:
        asked[0 if rows is None else 1] = spare[:1]
    used = {each for names in asked for each in names}
    rest = [name for name in spare if name not in used]
    if facet is None and rows is None and cols is None:
        asked[2], rest = rest, []
    return Chosen(asked[0], asked[1], asked[2], rest)


def varying(frame: pd.DataFrame, besides: Sequence[str] = ()) -> list[str]:
    """Columns that tell these runs apart, without those that only repeat another (zipped axes, a prompt from slots).

    A column that is different in every run (a seed, a score) is left out where others are not.
    """
    kept = {name: values(frame, name) for name in besides}
    found = []
    for name, most in _candidates(frame).items():
        items = values(frame, name)
        if name in kept or not 2 <= distinct(items) <= most or any(_repeats(items, k) for k in kept.values()):  # noqa: PLR2004 - one value is no axis
            continue
        kept[name] = items
        found.append(name)
    shared = [name for name in found if distinct(kept[name]) < len(frame)]
    return shared or found


def labels(frame: pd.DataFrame, names: Sequence[str]) -> Labels:
    """The axis over these columns: numbers and categories in their own order, everything else as it appears."""
    if not names:
        return Labels("", [0] * len(frame), [""])
    parts = [_coded(column(frame, name)) for name in names]
    keys = list(zip(*(codes for codes, _ in parts), strict=True))
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    told = [[texts[code] for code, (_, texts) in zip(key, parts, strict=True)] for key in order]
    pairs = [[(name, text) for name, text in zip(names, texts, strict=True) if text != UNSET] for texts in told]
    return Labels(joined(names), [order[key] for key in keys], [joined(texts) for texts in told], pairs)


def _check_distinct(asked: Sequence[Sequence[str]]) -> None:
    seen: set[str] = set()
    for name in (name for names in asked for name in names):
        if name in seen:
            raise InputError(
                f"{name!r} is asked for as two axes of the grid", "Give each of rows=, cols=, facet= its own."
            )
        seen.add(name)


def _candidates(frame: pd.DataFrame) -> dict[str, int]:
    """Template, slots, parameters, model and experiment, in that order, with the most values each may have."""
    settings = settings_columns(frame)
    slots = {name for template in set(values(frame, "template")) if template for name in slot_names(str(template))}
    text = "template" if slots and "template" in frame.columns else "prompt"
    many = [text, *(name for name in settings if name in slots)]
    few = [*(name for name in settings if name not in slots), "model", "experiment"]
    limits = {**dict.fromkeys(many, len(frame)), **dict.fromkeys(few, _MOST_VALUES)}
    return {name: most for name, most in limits.items() if name in frame.columns}


def _spread(frame: pd.DataFrame, spare: Sequence[str]) -> tuple[list[str], list[str]]:
    """Rows and columns from the first two: the one with fewer values across where the other would be too wide."""
    if len(spare) < 2:  # noqa: PLR2004 - rows and columns
        is_wide = any(distinct(values(frame, name)) > _MOST_COLS for name in spare)
        return (list(spare), []) if is_wide else ([], list(spare))
    down, across = spare[:2]
    wide, narrow = (distinct(values(frame, name)) for name in (across, down))
    return ([across], [down]) if wide > _MOST_COLS and narrow < wide else ([down], [across])


def _repeats(items: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether one column says no more than the other: each value of the one goes with one of the other, and back."""
    pairs = {(repr(a), repr(b)) for a, b in zip(items, other, strict=True) if a is not None and b is not None}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and len(pairs) > 1


def _coded(series: pd.Series[Any]) -> tuple[list[int], list[str]]:
    """A code for each row and a text for each code; what is missing comes last."""
    categories = series.cat.categories.tolist() if isinstance(series.dtype, pd.CategoricalDtype) else None
    found = values(series.to_frame("_"), "_")
    texts = [None if item is None else value(item) for item in found]
    items = dict(zip(texts, found, strict=True))
    items.pop(None, None)
    ordered = _ordered(items, categories)
    if None in texts:
        ordered.append(UNSET)
    place = {text: code for code, text in enumerate(ordered)}
    return [place[UNSET if text is None else text] for text in texts], ordered


def _ordered(items: dict[Any, Any], categories: list[Any] | None) -> list[str]:
    """The texts in the order of the categories, or of the values where those have one, else as they appear."""
    if categories is not None:
        return [text for text in dict.fromkeys(map(value, categories)) if text in items]
    if any(all(isinstance(item, kind) for item in items.values()) for kind in _SORTED):
        with contextlib.suppress(TypeError, ValueError):  # times with and without a zone, periods of days and of months
            return sorted(items, key=items.__getitem__)
    return list(items)
