"""One input of a model: its type and limits, read from a schema, and how a value becomes what is sent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagen_nb.errors import InputError, brief, comma_list, did_you_mean
from imagen_nb.planning.values import (
    VARIABLE,
    as_whole,
    is_address,
    is_file_source,
    is_missing,
    plain,
    read_literal,
    split_bars,
    unquote,
)
from imagen_nb.records import InputFile

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)?")
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_WANTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a JSON object",
}
_ADDRESS = re.compile(r"data:.*|https?://[^\s/?#]+\S*", re.IGNORECASE | re.DOTALL)
_LAST = 1000
"""The place of an input that the schema gives no order."""


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One input of a model.

    `type` is string, integer, number, boolean, array, object, or any where nothing is known; `item_type` the same for
    an array's items. `default` is None where there is none. `enum` are the allowed values, `minimum` and `maximum`
    inclusive limits, or None. `order` is the schema's `x-order`. `is_file` says whether it takes a file, or, being an
    array, several of them; `most` is how many items an array may have, or None.
    """

    name: str
    type: str = "any"
    default: Any = None
    enum: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    order: int = 0
    required: bool = False
    item_type: str = "any"
    is_file: bool = False
    most: int | None = None

    def coerce(self, value: Any) -> Any:
        """The JSON value for a Python value or a text: "3" is 3 for an integer, 1 is "1" for a string.

        Raises `InputError` that names the parameter, the mistake and what is allowed.
        """
        try:
            is_one_file = self.is_file and self.type != "array"
            made = (_file if is_one_file else _COERCIONS.get(self.type, _any))(plain(value), self)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise self._refusal(value) from None
        is_number = isinstance(made, int | float) and not isinstance(made, bool)
        if self.most is not None and isinstance(made, list) and len(made) > self.most:
            raise InputError(f"{self.name} takes {self.most} at most, and {len(made)} are given", "Leave some out.")
        if (
            (self.enum is not None and made not in self.enum)
            or (is_number and self.minimum is not None and made < self.minimum)
            or (is_number and self.maximum is not None and made > self.maximum)
        ):
            raise self._refusal(value)
        return made

    def parse(self, text: str) -> Any:
        """The JSON value for a text as typed on a command line: by the schema, else as the JSON literal it looks like.

        A text that looks like a literal is written as a JSON string, `"3"`. `@path` names a file where one is taken, or
        nothing is known; `@a,@b` and a JSON list name several. What they name comes as a `Path`, an address and a
        variable `{name}` as they are, all of it for `take_files`. Raises `InputError` as `coerce` does.
        """
        if self.is_file:
            return self._parse_files(text)
        if self.type != "any":
            return self.coerce(unquote(text))
        value = Path(text[1:]) if text.startswith("@") else read_literal(text)
        return self.coerce([_name_file(each) for each in value] if isinstance(value, list) else value)

    def _parse_files(self, text: str) -> Any:
        if self.type != "array" or VARIABLE.fullmatch(text):
            return _name_file(text, is_marked=True)
        listed = read_literal(text) if text.lstrip().startswith("[") else text
        return [_name_file(each, is_marked=True) for each in (listed if isinstance(listed, list) else text.split(",@"))]

    @property
    def allowed(self) -> str:
        """What may be given, in a few words: `1:1, 16:9`, `a whole number from 1 to 4`."""
        if self.enum is not None:
            return comma_list(self.enum)
        if self.is_file:
            return (
                "a list of files or their https: addresses" if self.type == "array" else "a file or its https: address"
            )
        wanted = _WANTED.get(self.type, "any JSON value")
        if self.minimum is not None and self.maximum is not None:
            return f"{wanted} from {_figure(self.minimum)} to {_figure(self.maximum)}"
        if self.minimum is not None:
            return f"{wanted} from {_figure(self.minimum)}"
        return wanted if self.maximum is None else f"{wanted} up to {_figure(self.maximum)}"

    def _refusal(self, value: Any) -> InputError:
        otherwise = "Choose an allowed value, or leave it out for the model's own."
        return InputError(
            f"{self.name} cannot be {brief(value)}; allowed: {self.allowed}",
            did_you_mean(value, self.enum or (), otherwise),
        )


def take_files(param: ParamSpec, value: Any, read: Callable[[Any], InputFile | str] | None) -> Any:
    """The value with whatever names or holds a file in it, alone or in a list, as what `read` makes of it.

    A plan touches no disk: `read` is the caller's, and without one files are refused. Raises `InputError`.
    """
    may_be_file = "any" in (param.type, param.item_type if param.type == "array" else "")

    def take(each: Any) -> Any:
        named = _name_file(each, is_marked=True) if param.is_file else each
        is_held = isinstance(named, InputFile) or (isinstance(named, str) and is_address(named, "https?"))
        if is_held or is_missing(named) or not (param.is_file or (may_be_file and is_file_source(named))):
            return named
        if read is None:
            raise InputError(f"{param.name} is a file, and there is no home to keep it in", "Use Workspace.plan().")
        return read(named)

    given = param.parse(value) if isinstance(value, str) and param.is_file else _unwrap_array(plain(value))
    return list(map(take, given)) if isinstance(given, list | tuple) else take(given)


def _name_file(text: Any, *, is_marked: bool = False) -> Any:
    """The path in `@path`, or where no mark is needed in any text but an address and a variable; all else as it is."""
    if not isinstance(text, str) or not (is_marked or text.startswith("@")):
        return text
    bare = text.removeprefix("@")
    return bare if is_address(bare) or VARIABLE.fullmatch(bare) else Path(bare)


def split_values(text: str, param: ParamSpec | None = None, mark: str = ",") -> list[Any]:
    """The values of `V1,V2` (or, with `mark="|"`, of `V1|V2`) as typed on a command line, without surrounding space.

    `split_bars` says which bars part them. For a parameter they are parsed by its schema, so that an array parameter
    gives a list of lists; `param=None` is a slot and keeps text. A text that the parameter allows as a whole is one
    value, and so is, between commas, what an array or object parameter is given. Raises `InputError` for an empty value
    of a parameter and as `coerce` does.
    """
    is_one = param is not None and (text in (param.enum or ()) or (mark == "," and param.type in ("array", "object")))
    split = split_bars(text) if mark == "|" else text.split(mark)
    pieces = [text] if is_one else [piece.strip() for piece in split]
    if param is None:
        return list(pieces)
    if "" in pieces and param.type != "string":
        raise InputError(f"{param.name} has an empty value in {brief(text)}", f"Allowed: {param.allowed}.")
    return [param.parse(piece) for piece in pieces]


def mapping_or_empty(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one: what a schema should hold, and what it may hold."""
    return value if isinstance(value, Mapping) else {}


def resolve_schema(shape: Any, schemas: Mapping[str, Any], seen: set[str] | None = None) -> dict[str, Any]:
    """The schema with what its `$ref`, `allOf`, `anyOf` and `oneOf` point at folded in; its own keys win.

    A reference is followed once, so that a schema that refers to itself ends.
    """
    seen = set() if seen is None else seen
    own = dict(mapping_or_empty(shape))
    parts = [part for key in ("allOf", "anyOf", "oneOf") for part in _list(own.pop(key, None))]
    reference = own.pop("$ref", None)
    if isinstance(reference, str) and reference not in seen:
        seen.add(reference)
        parts.append(schemas.get(reference.rpartition("/")[2]))
    folded: dict[str, Any] = {}
    for part in parts:
        found = resolve_schema(part, schemas, seen)
        if found.get("type") != "null":
            folded = {**found, **folded}
    return {**folded, **own}


def read_param(name: str, shape: Mapping[str, Any], required: bool) -> ParamSpec:
    """The parameter that a resolved property of a schema describes."""
    order = shape.get("x-order")
    values = tuple(value for value in _list(shape.get("enum")) if value is not None)
    items = mapping_or_empty(shape.get("items"))
    most = shape.get("maxItems")
    return ParamSpec(
        name,
        _type(shape),
        default=shape.get("default"),
        enum=values or None,
        minimum=_limit(shape.get("minimum")),
        maximum=_limit(shape.get("maximum")),
        description=str(shape.get("description") or ""),
        order=order if isinstance(order, int) else _LAST,
        required=required,
        item_type=_type(items),
        is_file="string" in (_type(shape), _type(items)) and "uri" in (shape.get("format"), items.get("format")),
        most=most if isinstance(most, int) else None,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type(shape: Mapping[str, Any]) -> str:
    named = shape.get("type")
    names = [name for name in _list(named) or [named] if name != "null"]
    return names[0] if len(names) == 1 and isinstance(names[0], str) and names[0] in _WANTED else "any"


def _limit(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _figure(limit: float) -> str:
    number = as_whole(limit)
    return str(limit if number is None else number)


def _text(value: Any, param: ParamSpec) -> str:
    """Text as it is; a number as its digits, since enums like "1" and "0.25" are typed as numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(param.name)
    number = as_whole(value)
    return str(value if number is None else number)


def _integer(value: Any, param: ParamSpec) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    number = as_whole(value)
    if number is None:
        raise ValueError(param.name)
    return number


def _number(value: Any, param: ParamSpec) -> float:
    """Always a float, so that 5 and 5.0 are the same request."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not math.isfinite(float(value)):
        raise ValueError(param.name)
    return float(value)


def _boolean(value: Any, param: ParamSpec) -> bool:
    if isinstance(value, bool):
        return value
    word = value if isinstance(value, str) else str(as_whole(value))
    truth = _TRUTHS.get(word.strip().lower())
    if truth is None:
        raise ValueError(param.name)
    return truth


def _file(value: Any, param: ParamSpec) -> Any:
    """A file that is kept, or an address, which has a host and no space."""
    if isinstance(value, InputFile) or (isinstance(value, str) and _ADDRESS.fullmatch(value.strip())):
        return value
    raise TypeError(param.name)


def _array(value: Any, param: ParamSpec) -> list[Any]:
    """A list; a single value is a list of one, and a text that begins with a bracket is JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    value = _unwrap_array(value)
    items = list(value) if isinstance(value, list | tuple) else [value]
    item = ParamSpec(param.name, param.item_type, is_file=param.is_file)
    return [item.coerce(each) for each in items]


def _object(value: Any, param: ParamSpec) -> dict[str, Any]:
    made = json.loads(value) if isinstance(value, str) else value
    if not isinstance(made, Mapping) or not all(isinstance(name, str) for name in made):
        raise TypeError(param.name)
    return {name: _any(each, param) for name, each in made.items()}


def _unwrap_array(value: Any) -> Any:
    """An array or a Series as the list it holds; anything else as it is."""
    listing = getattr(value, "tolist", None)
    return listing() if callable(listing) else value


def _any(value: Any, param: ParamSpec) -> Any:
    """Whatever JSON can say, arrays as lists."""
    made = _unwrap_array(plain(value))
    if isinstance(made, Mapping):
        return _object(made, param)
    if isinstance(made, list | tuple):
        return [_any(each, param) for each in made]
    if (
        made is None
        or isinstance(made, str | int | Path | InputFile)
        or (isinstance(made, float) and math.isfinite(made))
    ):
        return made
    raise TypeError(param.name)


_COERCIONS: dict[str, Callable[[Any, ParamSpec], Any]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
