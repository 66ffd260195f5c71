"""Plain values out of whatever a notebook holds: numpy scalars, pandas columns, missing values, typed text.

Nothing here imports numpy or pandas; their objects are known by the methods they have.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from imagen_nb.errors import InputError, brief
from imagen_nb.records import Image, InputFile, Run, canonical

VARIABLE = re.compile(r"\{\s*([^\W\d]\w*)\s*\}")
"""How a variable of the notebook stands where a file is wanted: `{fox}`."""

_MISSING_TYPES = frozenset({"NAType", "NaTType"})
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_BAR = re.compile(r"(\\*)\|")
_BAR_OR_GROUP = re.compile(
    r"""(?<!\w)(?:"(?:[^"\\]|\\.)*"|'(?=\S)[^']*(?<=\S)'|“[^”]*”)(?!\w)|\\*\||[()\[\]{}]""", re.DOTALL
)


def is_missing(value: Any) -> bool:
    """Whether a value means "not given": None, NaN, `pandas.NA` or `pandas.NaT`. Never an error, whatever is given."""
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    made = plain(value)
    return isinstance(made, float) and math.isnan(made)


def plain(value: Any) -> Any:
    """A numpy scalar as the Python value it holds, and text or a number of a type of its own (an enum) as such.

    A float of 32 bits becomes the number it is written as: 0.1, not 0.10000000149011612. Anything else stays as it is.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        made = item()
        return float(str(value)) if isinstance(made, float) and _is_narrow(value) else made
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, float) else value


def _is_narrow(value: Any) -> bool:
    """Whether a numpy object holds floats of fewer bits than Python's."""
    kind: Any = getattr(value, "dtype", None)
    return getattr(kind, "kind", None) == "f" and kind.itemsize < 8  # noqa: PLR2004 - bytes of a Python float


def is_address(text: str, schemes: str = "https?|data") -> bool:
    """Whether the text is an address that a provider can take: `https:`, `http:` or `data:`, or of these `schemes`."""
    return re.match(rf"\s*(?:{schemes}):", text, re.IGNORECASE) is not None


def is_file_source(value: Any) -> bool:
    """Whether a value surely holds or names a file: a path, bytes, a picture, a run. A text alone may be anything."""
    kinds = (os.PathLike, bytes, bytearray, Image, Run, InputFile)
    return isinstance(value, kinds) or callable(getattr(value, "getbands", None))


def axis_values(name: str, value: Any) -> Sequence[Any] | None:
    """The values of an axis (a list, a tuple, a range, a Series, an array), or None for a single value.

    A range stays one, so that ten million values cost nothing. Raises `InputError` for a set, a generator or a table.
    """
    if isinstance(value, str | bytes | bytearray | Mapping):
        return None
    if isinstance(value, list | tuple | range):
        return value
    if isinstance(value, Sequence):  # the runs of a sweep
        return list(value)
    listing = getattr(value, "tolist", None)
    if callable(listing):
        made = listing()
        if isinstance(made, list) and _is_narrow(value):
            array = value.to_numpy() if hasattr(value, "to_numpy") else value
            return [plain(each) for each in array] if array.ndim == 1 else made
        return made if isinstance(made, list) else None
    if isinstance(value, Iterable):
        raise InputError(f"{name} is a {type(value).__name__}, which is no axis", f"Give a list: {name}=[…].")
    return None


def slot_value(name: str, value: Any) -> str | int | float:
    """A slot's value: text or a finite number. Raises `InputError` for anything else."""
    made = plain(value)
    if isinstance(made, str):
        return made
    if isinstance(made, int | float) and not isinstance(made, bool) and math.isfinite(made):
        return made
    raise InputError(
        f"the slot {name} cannot be {brief(made)}: a slot holds text or a finite number",
        f"Give text, a number, or a list of them for {name}.",
    )


def as_whole(value: Any) -> int | None:
    """The whole number that a value is (an int, 2.0, numpy's own), or None; True and text are none."""
    made = plain(value)
    if isinstance(made, float) and made.is_integer():
        return int(made)
    return made if isinstance(made, int) and not isinstance(made, bool) else None


def whole_number(name: str, value: Any, *, most: int | None = None) -> int:
    """A count: a whole number from 1 to `most`. Raises `InputError` for anything else."""
    number = as_whole(value)
    if number is not None and number >= 1 and (most is None or number <= most):
        return number
    shown = brief(plain(value) if number is None else number)
    limit = "from 1" if most is None else f"from 1 to {most:,}"
    raise InputError(f"{name} cannot be {shown}; allowed: a whole number {limit}", f"Set {name} so, or leave it out.")


def positive_number(name: str, value: Any) -> float:
    """A finite number above 0. Raises `InputError` for anything else."""
    made = plain(value)
    if isinstance(made, int | float) and not isinstance(made, bool) and made > 0 and math.isfinite(made):
        return made
    raise InputError(f"{name} cannot be {brief(made)}; allowed: a number above 0", f"Set {name} so, or leave it out.")


def split_bars(text: str) -> list[str]:
    r"""The alternatives of `V1|V2` as typed, with their spaces: a bar parts them, `\|` is a bar within one.

    Nor does a bar part them within quotes or brackets that are closed; an apostrophe and a sign for inches open none.
    Backslashes before a bar count in pairs, so that an alternative may end in one.
    """
    bars: list[int] = []
    opened: list[tuple[str, int]] = []
    for found in _BAR_OR_GROUP.finditer(text):
        mark = found[0]
        if mark in _BRACKETS:
            opened.append((_BRACKETS[mark], len(bars)))
        elif mark.endswith("|") and len(mark) % 2:
            bars.append(found.end())
        elif partner := next((each for each in reversed(opened) if each[0] == mark), None):
            del bars[partner[1] :], opened[opened.index(partner) :]
    typed = [text[start:end] for start, end in pairwise([0, *bars, len(text)])]
    read = [_BAR.sub(lambda found: "\\" * (len(found[1]) // 2) + "|", each) for each in typed]
    return [*(each[:-1] for each in read[:-1]), read[-1]]


def escape_bars(text: str, *, is_last: bool) -> str:
    """The text as an alternative that `split_bars` reads as just this, before another one or the last."""
    return _BAR.sub(r"\1\1\\|", text) if is_last else _BAR.sub(r"\1\1\\|", f"{text}|")[:-2]


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """What names map to; nothing is an empty one. Raises `InputError` for anything else."""
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise InputError(f"{name} cannot be {brief(value)}; allowed: names and their values", f"Give {name}={{…}}.")


def label(name: str, value: Any) -> str | None:
    """A name that a user gives something, without surrounding space; None for an empty one. Raises `InputError`."""
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    raise InputError(f"{name} cannot be {brief(value)}; allowed: text", "Give a short name.")


def check_distinct(name: str, values: Sequence[Any]) -> None:
    """Raise `InputError` when a value comes twice. 1 and "1" differ, and so do 1 and 1.0."""
    if isinstance(values, range) or len(values) == 1:
        return
    seen: set[Any] = set()
    for value in values:
        key = _identity(value)
        if key in seen:
            raise InputError(
                f"{name} has the value {brief(str(value) if isinstance(value, InputFile) else value)} twice",
                "Leave one out; repeat asks for several of each.",
            )
        seen.add(key)


def read_literal(text: str) -> Any:
    """The JSON value that a text spells (a number, true, false, a list, an object), else the text itself."""
    value = _parse_json(text)
    if isinstance(value, str):
        return value if value.startswith("@") else unquote(text)
    is_infinite = isinstance(value, float) and not math.isfinite(value)
    return text if value is None or is_infinite else value


def unquote(text: str) -> str:
    """The text within a JSON string whose text spells JSON itself, as in `"3"`; any other text as it is.

    So a text that looks like a number can be written where numbers are read, and quotes around words stay quotes.
    """
    inner = _parse_json(text)
    return inner if isinstance(inner, str) and spells_json(inner) else text


def spells_json(text: str) -> bool:
    """Whether the text is a JSON value of any kind."""
    return _parse_json(text, _NOTHING) is not _NOTHING


def json_end(text: str, at: int, *, strict: bool = True) -> int | None:
    """Where the JSON value that begins at `at` ends, or None; where `strict`, no line break may stand in a string."""
    try:
        return _DECODERS[strict].raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None


_NOTHING = object()
_DECODERS = {strict: json.JSONDecoder(strict=strict) for strict in (True, False)}


def _parse_json(text: str, otherwise: Any = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def _identity(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | Mapping):
        return canonical(value), type(value)
    return value, type(value)
