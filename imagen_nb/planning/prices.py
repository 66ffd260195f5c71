"""What a prediction costs, as a rule: so much a run, an image, a megapixel, or a figure that the reply tells.

A rule is a number, US dollars an output image, or a sum of terms as in the files of the catalogue:

    {"run": 0.015, "input_mp": 0.015, "output_mp": 0.015}
    {"image": {"by": "resolution", "prices": {"1K": 0.067, "2K": 0.101, "4K": 0.151}}}
    {"metrics": {"predict_time": 0.0014}}

`output_mp` and `input_mp` are for each megapixel (1,048,576 pixels) of an output image and of an input file; each is
rounded up by itself to a multiple of `mp_step`, by default 1, and 0 rounds nothing. `metrics` are figures of the reply,
so that such a price is unknown before the run. Every price may be one by the value of an input.

An estimate errs on the dear side: a value that has no price counts as the dearest, an input file of unknown size as
`UNKNOWN_FILE_MP` megapixels, and an output as large as the input files as the largest that the model makes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imagen_nb.errors import InputError, brief, comma_list, did_you_mean
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.planning.values import plain
from imagen_nb.records import InputFile

MEGAPIXEL = 1024 * 1024
"""Pixels, as the publishers of prices by the megapixel count them."""

UNKNOWN_FILE_MP = 9.0
"""Megapixels of an input file whose size nobody knows: as many as FLUX.2 takes for all files together."""

LARGEST_MP = 4.0
"""Megapixels of an output as large as the input files, where the schema names no limit."""

PIXELS_OFF, RATIO_OFF, SIZE_LEFT = 32, 0.12, 0.7
"""How far an image may be off and still is as asked for: in pixels a side, since models round to multiples of them; as
a part of the ratio of the sides; and what part of the size must be there."""

_UNITS = {
    "run": "a run",
    "image": "an image",
    "output_mp": "an output megapixel",
    "input_mp": "an input megapixel",
    "both": "a megapixel in and out",
    "predict_time": "a second",
    "input_token_count": "a million tokens in",
    "output_token_count": "a million out",
}
_SUMMED = ("run", "image", "output_mp", "input_mp")
_SIZES = ("resolution", "size", "image_size", "output_megapixels", "megapixels")
_SIDES = ("width", "height")
SIZE_INPUTS = ("aspect_ratio", *_SIZES, *_SIDES)
"""The inputs that say how large an output is to be."""

_HOW = 'A price is US dollars an image, 0.04, or a rule such as {"run": 0.01, "image": 0.03}.'
_SIDE_BY_SIDE = re.compile(r"(\d{2,5})\s*[x*]\s*(\d{2,5})")
_MEGAPIXELS = re.compile(r"(\d{1,2}(?:\.\d+)?)(?:\s*MP)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"(\d)K", re.IGNORECASE)
_RATIO = re.compile(r"(\d{1,2}):(\d{1,2})")
_ADDRESS = re.compile(r"\s*(?:https?|data):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Figure:
    """US dollars for one unit, by the value of the input `by` as JSON text; without `by`, the one price there is."""

    prices: Mapping[str, float]
    by: str | None = None

    def at(self, values: Mapping[str, Any]) -> float:
        """The price where the inputs have these values."""
        return self.prices.get(_key(values.get(str(self.by))), max(self.prices.values()))


@dataclass(frozen=True, slots=True)
class Price:
    """A rule. `terms` are figures by what they are for: `run image output_mp input_mp`, or a metric's name."""

    terms: Mapping[str, Figure]
    mp_step: float = 1.0

    @property
    def by(self) -> tuple[str, ...]:
        """The inputs whose values decide on a price."""
        return tuple(dict.fromkeys(figure.by for figure in self.terms.values() if figure.by))

    @property
    def is_known_before(self) -> bool:
        """Whether it is known before the run, and needs nothing of the reply's metrics."""
        return self.terms.keys() <= set(_SUMMED)

    def billed_mp(self, megapixels: float) -> float:
        """The megapixels that one image of this size counts as."""
        if not self.mp_step:
            return megapixels
        return max(1, math.ceil(megapixels / self.mp_step - 1e-9)) * self.mp_step

    def total(self, values: Mapping[str, Any], amounts: Mapping[str, Any]) -> float | None:
        """US dollars for these amounts of each term, the inputs having these values; None where one is not told."""
        total = 0.0
        for name, figure in self.terms.items():
            amount = amounts.get(name)
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < math.inf:
                return None
            total += figure.at(values) * amount
        return round(total, 10)

    @property
    def words(self) -> str:
        """The rule as a reader takes it in: `$0.067 to 0.151 an image by resolution`.

        It has one dollar sign: a notebook takes what is between two for mathematics.
        """
        terms = dict(self.terms)
        if "input_mp" in terms and terms["input_mp"] == terms.get("output_mp"):
            terms["both"] = terms.pop("input_mp")
            del terms["output_mp"]
        return "$" + " + ".join(_words(name, figure) for name, figure in terms.items())


def read_price(model: str, rule: Any) -> Price | None:
    """The price that a number or a rule is, None for None. Raises `InputError` that names the model and the mistake."""
    if rule is None or isinstance(rule, Price):
        return rule
    if not isinstance(rule, Mapping):
        return Price({"image": _read_figure(model, "image", rule)})
    terms = {name: figure for name, figure in rule.items() if name not in ("metrics", "mp_step")}
    metrics, step = rule.get("metrics", {}), rule.get("mp_step", 1.0)
    if wrong := [name for name in terms if name not in _SUMMED]:
        known = (*_SUMMED, "metrics", "mp_step")
        raise InputError(
            f"the price of {model} has a term {brief(wrong[0])}; terms are {comma_list(known)}",
            did_you_mean(wrong[0], known, _HOW),
        )
    if not isinstance(metrics, Mapping) or not (terms or metrics) or _dollars_or_none(step) is None:
        raise InputError(f"the price of {model} is {brief(rule)}", _HOW)
    return Price(
        {str(name): _read_figure(model, name, each) for name, each in {**terms, **metrics}.items()}, float(step)
    )


def _read_figure(model: str, term: str, figure: Any) -> Figure:
    if isinstance(figure, Mapping):
        by, prices = figure.get("by"), figure.get("prices")
        read = {_key(value): _dollars_or_none(each) for value, each in prices.items()} if prices else {}
        if isinstance(by, str) and read and None not in read.values() and figure.keys() == {"by", "prices"}:
            return Figure({value: each for value, each in read.items() if each is not None}, by)
    elif (price := _dollars_or_none(figure)) is not None:
        return Figure({_key(None): price})
    how = 'By an input: {"by": "resolution", "prices": {"1K": 0.03, "4K": 0.1}}.' if term != "image" else _HOW
    raise InputError(f"the price of {model} is {brief(figure)} {_UNITS.get(term, f'a {term}')}", how)


def _dollars_or_none(value: Any) -> float | None:
    made = plain(value)
    is_price = isinstance(made, int | float) and not isinstance(made, bool) and 0 <= made < math.inf
    return float(made) if is_price else None


def _key(value: Any) -> str:
    """A value as the text that prices go by: `true`, `2`, `1 MP`."""
    made = plain(value)
    if isinstance(made, float) and made.is_integer():
        made = int(made)
    return made if isinstance(made, str) else json.dumps(made, default=str)


def _words(name: str, figure: Figure) -> str:
    unit = _UNITS.get(name, f"a million of {name}")
    scale = 1_000_000 if unit.startswith("a million") else 1
    low, high = (_figure(scale * each) for each in (min(figure.prices.values()), max(figure.prices.values())))
    by = f" by {figure.by}" if figure.by else ""
    return f"{low if low == high else f'{low} to {high}'} {unit}{by}"


def _figure(price: float) -> str:
    whole, _, cents = f"{price:.7f}".rstrip("0").partition(".")
    return f"{whole}.{cents:0<2}"


# -- how large, before anything is there


def asked_pixels(values: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height where the inputs name both: a size `1365x1024`, or a custom one; else None."""
    for name in _SIZES:
        if found := _SIDE_BY_SIDE.fullmatch(str(values.get(name))):
            return int(found[1]), int(found[2])
    width, height = (values.get(side) for side in _SIDES)
    is_custom = "custom" in (values.get("aspect_ratio"), values.get("size")) or "aspect_ratio" not in values
    return (width, height) if is_custom and isinstance(width, int) and isinstance(height, int) else None


def asked_mp(values: Mapping[str, Any], params: Mapping[str, ParamSpec]) -> float:
    """Megapixels of each output that inputs with these values ask for, 1 where nothing says how many."""
    if pixels := asked_pixels(values):
        return math.prod(pixels) / MEGAPIXEL
    sides = [values.get(side) or (params[side].maximum if side in params else None) or 0 for side in _SIDES]
    largest = math.prod(sides) / MEGAPIXEL or LARGEST_MP
    if "custom" in (values.get("aspect_ratio"), values.get("size")):
        return largest
    named = [mp for name in _SIZES if (mp := named_mp(values.get(name))) is not None]
    if named:
        return max(named)
    if "match_input_image" not in (values.get(name) for name in SIZE_INPUTS):
        return 1.0
    choices = [mp for name in _SIZES if name in params for each in params[name].enum or () if (mp := named_mp(each))]
    return max(choices, default=largest)


def size_note(given: Mapping[str, Any], sizes: Iterable[tuple[int, int]]) -> str | None:
    """Which image is of another size than these inputs ask for, in words; None where all are as asked for."""
    ratio = _RATIO.fullmatch(str(given.get("aspect_ratio")))
    pixels = None if ratio else asked_pixels(given)
    wishes = [str(given[name]) for name in _SIZES if name in given]
    for width, height in sizes:
        wish = None
        if pixels and max(abs(width - pixels[0]), abs(height - pixels[1])) > PIXELS_OFF:
            wish = f"{pixels[0]}x{pixels[1]}"
        if ratio and not 1 - RATIO_OFF < width / height * int(ratio[2]) / int(ratio[1]) < 1 + RATIO_OFF:
            wish = ratio[0]
        for each in wishes:
            if (found := _THOUSANDS.fullmatch(each)) and max(width, height) < SIZE_LEFT * 1024 * int(found[1]):
                wish = each
            if (found := _MEGAPIXELS.fullmatch(each)) and width * height < SIZE_LEFT * MEGAPIXEL * float(found[1]):
                wish = each
        if wish:
            return f"{width}x{height} pixels came, {wish} was asked for"
    return None


def named_mp(value: Any) -> float | None:
    """The megapixels that a value such as `1 MP`, `0.25`, `2K` or `1365x1024` names, or None."""
    text = _key(value)
    if found := _MEGAPIXELS.fullmatch(text):
        return float(found[1])
    if found := _THOUSANDS.fullmatch(text):
        return float(found[1]) ** 2
    found = _SIDE_BY_SIDE.fullmatch(text)
    return int(found[1]) * int(found[2]) / MEGAPIXEL if found else None


def files_mp(values: Mapping[str, Any]) -> list[float]:
    """Megapixels of each file among the inputs; one given by its address, or no picture, is of unknown size."""
    lists = (
        value if isinstance(value, list | tuple) else [value] for name, value in values.items() if name != "prompt"
    )
    return [mp for each in lists for item in each if (mp := _file_mp(item)) is not None]


def _file_mp(value: Any) -> float | None:
    if isinstance(value, InputFile):
        return value.width * value.height / MEGAPIXEL if value.width and value.height else UNKNOWN_FILE_MP
    return UNKNOWN_FILE_MP if isinstance(value, str) and _ADDRESS.match(value) else None
