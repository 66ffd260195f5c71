"""CSV that a spreadsheet cannot run and that reads back as it was: quotes mark text, so types need no guessing.

Text stands in quotes; numbers, booleans and what is missing do not. A text that a spreadsheet would take for a formula
(`= + - @`, a tab or a line break first) gets an apostrophe in front, and so does one that begins with apostrophes and
then such a character, so that taking one apostrophe away is always right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from imagen_nb.comparison.columns import plain

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - full-width signs start a formula in some programs
_GUARDED = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - as above
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|\Z)')
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_MOST_INT = 2**63
_WORDS = {
    "": None,
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def written(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of the file, each with its end."""
    for row in (header, *rows):
        yield ",".join(_cell(item) for item in row) + "\r\n"


def read(text: str) -> Iterator[list[Any]]:
    """The rows of a CSV text, ours or anyone's: str, int, float, bool and None."""
    row: list[Any] = []
    at, end = 0, len(text)
    while at < end or row:
        found = _CELL.match(text, at)
        if found is None:  # a stray quote inside a bare cell: take the line as far as its next comma
            found = re.compile(r"()([^,\r\n]*)(,|\r\n|\n|\r|\Z)").match(text, at)
            assert found is not None  # noqa: S101 - the pattern matches anywhere
        quoted, bare, stop = found.groups()
        row.append(_bare(bare) if quoted is None or found[0][:1] != '"' else unguarded(quoted.replace('""', '"')))
        at = found.end()
        if stop != ",":
            if row != [None]:
                yield row
            row = []


def guarded(text: str) -> str:
    """The text so that no spreadsheet runs it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if _GUARDED.match(text) else text


def _cell(item: Any) -> str:
    if isinstance(item, list | tuple) or getattr(item, "ndim", False):
        item = json.dumps(list(item), ensure_ascii=False, default=str)
    item = plain(item)
    if item is None:
        return ""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return repr(item)
    if isinstance(item, datetime):
        item = _stamp(item)
    elif isinstance(item, dict):
        item = json.dumps(item, ensure_ascii=False, default=str)
    return '"' + guarded(str(item)).replace('"', '""') + '"'


def _stamp(when: datetime) -> str:
    """UTC with microseconds, and a `Z`."""
    stamp = pd.Timestamp(when)
    utc = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return str(utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _bare(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text) and -_MOST_INT <= int(text) < _MOST_INT:  # what a column of Int64 holds
        return int(text)
    try:
        return float(text)
    except ValueError:
        return unguarded(text)
