"""Paints a picture in which the prompt and the parameters can be read, and which is plainly no photograph.

A small landscape or composition, drawn from a hash of the words: the model and the prompt choose the motif and the
colours, the parameters and the variation its shapes. The same arguments give the same bytes.
"""

from __future__ import annotations

import colorsys
import io
import math
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from PIL import Image, ImageDraw, ImageFont

MARK = "SIMULATED"
Colour = tuple[int, int, int]

_PROMPT_SIZES = (66, 60, 54, 48, 43, 39, 35, 32, 29, 26, 24, 22, 20, 18)
_NOTE_SIZES = (21, 18, 16)
_LONGEST_VALUE = 80
_INK: Colour = (14, 16, 24)
_PAPER: Colour = (250, 250, 247)
_AMBER: Colour = (255, 206, 128)
_GREY: Colour = (196, 201, 214)
# Sky from top to bottom, the light in it, then the land from far to near.
_PALETTES: Sequence[tuple[str, ...]] = (
    ("2b2d5b", "8d5a97", "f6a58a", "ffe0a3", "8c5f95", "5d4581", "3a2f63", "211d45"),  # dusk
    ("0f4c75", "3f8fb5", "bfe3e0", "fff4c9", "6fa8b4", "3f7f93", "22596f", "10364a"),  # lake
    ("f3c98b", "f6dfb4", "fbf1dc", "ff8c61", "e0a765", "c47f4e", "9a5640", "64343a"),  # desert
    ("10182e", "253a5e", "3f6e83", "f2f6d0", "33566b", "254457", "183143", "0c1d2c"),  # night
    ("ffd1c9", "ffe6d6", "fff6ea", "ff7f6b", "e8a7a0", "c7808a", "8f5a78", "57406a"),  # blossom
    ("79bfa1", "b9dfb9", "f4f3d0", "ffc857", "84b58e", "4f8f73", "2f6a5a", "1a4542"),  # forest
    ("3a1c5d", "8a2f6b", "e8636b", "ffd166", "a6406f", "6f2c66", "451f55", "26133c"),  # neon
    ("8fb8de", "c6dcf0", "f7f4ef", "ffffff", "9fb6cf", "7390b1", "4d6a90", "2d4468"),  # frost
)


@dataclass(frozen=True)
class _Sheet:
    """What a motif paints with. Sizes in pixels, `unit` being a thousandth of the shorter side."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    colours: tuple[Colour, ...]
    rng: random.Random

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size


def paint(
    width: int, height: int, fmt: str, *, prompt: str, model: str, params: Mapping[str, Any], variation: str
) -> bytes:
    """A picture of that size in pixels, as the bytes of a "jpg", "png" or "webp" file."""
    subject = _dice(model, prompt)
    details = _dice(model, prompt, sorted(params.items(), key=str), variation)
    picture = _background(width, height, subject, details)
    _letter(picture, prompt, model, params)
    return _encoded(picture, fmt)


def _dice(*words: Any) -> random.Random:
    """Chance that is always the same for the same words."""
    seed = "\n".join(map(str, words)).encode("utf-8", "surrogatepass")
    return random.Random(seed)  # noqa: S311 - a picture must repeat


# -- the composition -----------------------------------------------------------------------------------------------


def _background(width: int, height: int, subject: random.Random, details: random.Random) -> Image.Image:
    """Sky and motif, drawn large and made smaller for smooth edges."""
    colours = _shifted(subject.choice(_PALETTES), details.uniform(-0.03, 0.03))
    motif = subject.choice(_MOTIFS)
    image = _sky(width, height, colours[:3])
    motif(_Sheet(image, ImageDraw.Draw(image), colours, details))
    smooth = image.reduce(2)
    return smooth.resize((width, height), Image.Resampling.BICUBIC)


def _sky(width: int, height: int, colours: Sequence[Colour]) -> Image.Image:
    strip = Image.new("RGB", (1, len(colours)))
    strip.putdata(list(colours))
    return strip.resize((1, height), Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.NEAREST)


def _hills(sheet: _Sheet) -> None:
    """A sun or moon over ridges that grow darker as they come near."""
    width, height = sheet.size
    _light(sheet, sheet.rng.uniform(0.18, 0.82), sheet.rng.uniform(0.16, 0.36), sheet.rng.uniform(0.07, 0.13))
    for layer, colour in enumerate(sheet.colours[4:]):
        level = height * (0.40 + 0.13 * layer + sheet.rng.uniform(-0.03, 0.03))
        line = _ridge(sheet.rng, width, level, height * (0.10 - 0.012 * layer), jagged=False)
        sheet.draw.polygon([*line, (width, height), (0, height)], fill=colour)


def _peaks(sheet: _Sheet) -> None:
    """Mountains, jagged, with the light low behind them."""
    width, height = sheet.size
    _light(sheet, sheet.rng.uniform(0.25, 0.75), sheet.rng.uniform(0.20, 0.40), sheet.rng.uniform(0.09, 0.16))
    for layer, colour in enumerate(sheet.colours[4:]):
        level = height * (0.42 + 0.12 * layer + sheet.rng.uniform(-0.02, 0.02))
        line = _ridge(sheet.rng, width, level, height * (0.16 - 0.03 * layer), jagged=True)
        sheet.draw.polygon([*line, (width, height), (0, height)], fill=colour)


def _orbs(sheet: _Sheet) -> None:
    """Discs of tinted glass, large and small, through which one sees the others."""
    width, height = sheet.size
    side = min(width, height)
    for turn, colour in enumerate((*sheet.colours[4:7], *sheet.colours[3:7])):
        radius = side * sheet.rng.uniform(0.22, 0.36) / (1 + turn % 4 * 0.6)
        x, y = width * sheet.rng.uniform(0.02, 0.98), height * sheet.rng.uniform(0.06, 0.66)
        size = round(radius * 2)
        glass = Image.new("L", (size, size), 0)
        ImageDraw.Draw(glass).ellipse((0, 0, size - 1, size - 1), fill=176)
        sheet.image.paste(colour, (round(x - radius), round(y - radius)), glass)


def _arcs(sheet: _Sheet) -> None:
    """Rings that rise from the ground like rainbows."""
    width, height = sheet.size
    side = min(width, height)
    places = sheet.rng.sample((0.0, 0.25, 0.5, 0.75, 1.0), 3)
    for step, place in enumerate(places):
        x, y = width * place, height * (0.74 + 0.1 * step)
        outer, rings = side * sheet.rng.uniform(0.66, 0.74) * (1 - 0.18 * step), sheet.rng.randint(6, 8)
        colours = sheet.rng.sample(sheet.colours[2:], 5)
        for ring in range(rings):
            radius = outer * (1 - ring / (rings + 2))
            sheet.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[ring % len(colours)])


_MOTIFS: Sequence[Callable[[_Sheet], None]] = (_hills, _peaks, _orbs, _arcs)


def _light(sheet: _Sheet, x: float, y: float, radius: float) -> None:
    """A disc with a halo; place and radius as fractions of the sheet."""
    width, height = sheet.size
    x, y, radius = x * width, y * height, radius * min(width, height)
    _glow(sheet, (x, y), radius * 4, sheet.colours[3], 0.55)
    sheet.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=sheet.colours[3])


def _glow(sheet: _Sheet, centre: tuple[float, float], radius: float, colour: Colour, strength: float) -> None:
    size = max(2, round(radius * 2))
    falloff = Image.radial_gradient("L").point(
        [round(max(0.0, 1 - level / 180) ** 2 * 255 * strength) for level in range(256)]
    )
    sheet.image.paste(colour, (round(centre[0] - radius), round(centre[1] - radius)), falloff.resize((size, size)))


def _ridge(rng: random.Random, width: int, level: float, swing: float, *, jagged: bool) -> list[tuple[float, float]]:
    """A line from left to right around a level: waves, or straight slopes between random heights."""
    if jagged:
        steps = rng.randint(5, 8)
        peaks = [
            (width * (step + rng.uniform(-0.3, 0.3)) / steps, level - swing * rng.uniform(-0.4, 1))
            for step in range(-1, steps + 2)
        ]
        return sorted(peaks)
    waves = [(rng.uniform(0.6, 1.6) * (order + 1), rng.uniform(0, math.tau), 0.62**order) for order in range(3)]
    points = range(0, width + 8, 8)
    return [
        (x, level - swing * sum(part * math.sin(turns * math.tau * x / width + phase) for turns, phase, part in waves))
        for x in points
    ]


def _shifted(palette: Sequence[str], turn: float) -> tuple[Colour, ...]:
    """The colours of a palette, their hue turned a little."""
    return tuple(_turned(bytes.fromhex(each), turn) for each in palette)


def _turned(rgb: bytes, turn: float) -> Colour:
    hue, light, vividness = colorsys.rgb_to_hls(*(part / 255 for part in rgb))
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, light, vividness)
    return round(red * 255), round(green * 255), round(blue * 255)


# -- the lettering -------------------------------------------------------------------------------------------------


def _letter(picture: Image.Image, prompt: str, model: str, params: Mapping[str, Any]) -> None:
    """A dark plate at the foot with model, prompt and parameters, and the mark in the corner."""
    width, height = picture.size
    unit = min(math.sqrt(width * height), 1.4 * min(width, height)) / 1024
    margin, pad, gap = 34 * unit, 38 * unit, 20 * unit
    inside = width - 2 * (margin + pad)
    title = fit(model, inside, height, _sizes(_NOTE_SIZES, unit * 1.15))
    notes = fit(_note(params), inside, height * 0.2, _sizes(_NOTE_SIZES, unit))
    room = height * 0.70 - title.height - notes.height - 2 * pad - 2 * gap
    text = fit(prompt or "(no prompt)", inside, room, _sizes(_PROMPT_SIZES, unit))
    tall = title.height + text.height + notes.height + 2 * gap + 2 * pad
    top = height - margin - tall
    _plate(picture, (margin, top, width - margin, height - margin), 26 * unit)
    draw, left, y = ImageDraw.Draw(picture), margin + pad, top + pad
    for block, colour in ((title, _AMBER), (text, _PAPER), (notes, _GREY)):
        _lines(draw, left, y, block, colour)
        y += block.height + gap
    _mark(picture, margin, unit)


def _sizes(sizes: Sequence[int], unit: float) -> tuple[int, ...]:
    return tuple(max(8, round(size * unit)) for size in sizes)


def _note(params: Mapping[str, Any]) -> str:
    said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
    return " · ".join(
        f"{name} {str(value)[:_LONGEST_VALUE]}" for name, value in said.items() if value not in (None, "", [])
    )


def _lines(draw: ImageDraw.ImageDraw, x: float, y: float, block: Block, colour: Colour) -> None:
    for number, line in enumerate(block.lines):
        draw.text((x, y + number * block.size * LINE), line, font=font(block.size), fill=colour)


def _plate(picture: Image.Image, box: tuple[float, float, float, float], radius: float) -> None:
    """A dark, slightly translucent plate with round corners."""
    left, top, right, bottom = (round(each) for each in box)
    mask = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, right - left - 1, bottom - top - 1), radius, fill=206)
    picture.paste(_INK, (left, top), mask)


def _mark(picture: Image.Image, margin: float, unit: float) -> None:
    """SIMULATED, on a plate in the upper left corner."""
    size, track, pad = max(9, round(27 * unit)), 4 * unit, 20 * unit
    lengths = [font(size).getlength(letter) for letter in MARK]
    right = margin + 2 * pad + sum(lengths) + track * (len(MARK) - 1)
    bottom = margin + size * LINE + pad
    _plate(picture, (margin, margin, right, bottom), (bottom - margin) / 2)
    draw, x = ImageDraw.Draw(picture), margin + pad
    for letter, length in zip(MARK, lengths, strict=True):
        draw.text((x, margin + pad / 2), letter, font=font(size), fill=_AMBER, stroke_width=round(unit))
        x += length + track


def _encoded(picture: Image.Image, fmt: str) -> bytes:
    """The file, which says what it is in its metadata too."""
    exif = Image.Exif()
    exif[0x0131] = "imagen_nb simulator"
    exif[0x010E] = MARK
    buffer = io.BytesIO()
    if fmt == "png":
        picture.save(buffer, "PNG", compress_level=1, exif=exif)
    elif fmt == "webp":
        picture.save(buffer, "WEBP", quality=82, method=0, exif=exif)
    else:
        picture.save(buffer, "JPEG", quality=88, exif=exif)
    return buffer.getvalue()


# ----------------------------------------------------------------------------------------------------
# Prompts as lines of letters: what the built-in font has, wrapped to fit a box. The font is the one inside
# Pillow, so that a picture looks the same everywhere. It has ASCII and little more: other letters are written
# by their base letter, signs by their name, and runs of another script by its name and length.

LINE = 1.32
"""Height of a line, in sizes of its font."""
_REFERENCE = 64
_LONGEST_TEXT = 4000
_KNOWN = str.maketrans(
    {
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u00d7": "x",
        "\u2022": "·",
        "\u2192": "->",
        "\u201e": '"',
        "ß": "ss",
        "æ": "ae",
        "ø": "o",
        "€": "EUR",
    }
)
_LONG_WORD = 24


@dataclass(frozen=True)
class Block:
    """Lines of one size, in pixels."""

    lines: tuple[str, ...]
    size: int

    @property
    def height(self) -> float:
        return len(self.lines) * self.size * LINE


@lru_cache(maxsize=48)
def font(size: int) -> Any:
    """The built-in font at that size in pixels, laid out plainly: the same everywhere, and quicker."""
    built_in: Any = ImageFont.load_default(size)
    return built_in.font_variant(layout_engine=ImageFont.Layout.BASIC)


def fit(text: str, width: float, height: float, sizes: Sequence[int]) -> Block:
    """The text in the largest of the sizes (largest first) in which it fits; cut with dots if it fits in none."""
    words = spelt(text).split()
    for size in sizes:
        lines = _wrapped(_narrowed(words, width / size, _LONG_WORD), width / size)
        if len(lines) * size * LINE <= height and max(map(_width, lines), default=0) * size <= width:
            return Block(tuple(lines), size)
    size = sizes[-1]
    lines = _wrapped(_narrowed(words, width / size), width / size)
    most = max(1, int(height / (size * LINE)))
    return Block(tuple(lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]}…"]), size)


def spelt(text: str) -> str:
    """The text in letters that the font has."""
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text[:_LONGEST_TEXT]).translate(_KNOWN))
    if text.isascii():
        return text
    runs = groupby(zip(text, _scripts(text), strict=True), key=lambda pair: pair[1])
    return re.sub(r" +", " ", "".join(_run(script, "".join(char for char, _ in run)) for script, run in runs)).strip()


def _scripts(text: str) -> Iterator[str]:
    """The script of each character; a space counts to what it follows, so that a sentence is one run."""
    script = ""
    for char in text:
        script = script if char == " " else _script(char)
        yield script


def _script(char: str) -> str:
    """Nothing for what the font has; else LATIN, SIGN, MARK, or the first word of its name, which is its script."""
    kind = unicodedata.category(char)
    if _has(char):
        return ""
    if kind in ("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"):
        return "MARK"
    if _plain(char):
        return "LATIN"
    return "SIGN" if kind[0] in "SPN" else unicodedata.name(char, "OTHER").split()[0]


def _run(script: str, run: str) -> str:
    """One run of characters of one script, as text that the font has."""
    if script == "":
        return run
    if script == "LATIN":
        return "".join(_plain(char) for char in run)
    letters = run.replace(" ", "")
    if script == "SIGN":
        return "".join(f" ({unicodedata.name(char, 'sign').lower()}) " for char in letters)
    if script == "MARK":
        return " "[: len(run) - len(letters)]
    name = script if script == "CJK" else script.capitalize()
    return f" [{name}: {len(letters)} letter{'s' if len(letters) > 1 else ''}] "


def _plain(char: str) -> str:
    """The letter without its accents, a digit for a raised one, and so on; "" when there is nothing of the kind."""
    return "".join(part for part in unicodedata.normalize("NFKD", char) if _has(part))


@lru_cache(maxsize=4096)
def _has(char: str) -> bool:
    """Whether the font has a picture of that character, other than its box for those it has not."""
    return char == " " or (char.isprintable() and bytes(font(24).getmask(char)) != _missing())


@lru_cache(maxsize=1)
def _missing() -> bytes:
    return bytes(font(24).getmask("\ue123"))


@lru_cache(maxsize=4096)
def _width(word: str) -> float:
    """Width in sizes of the font."""
    return float(font(_REFERENCE).getlength(word)) / _REFERENCE


def _wrapped(words: Iterable[str], limit: float) -> list[str]:
    """Words in lines no wider than `limit`, as far as a single word is not."""
    lines: list[str] = []
    line: list[str] = []
    used, space = 0.0, _width(" ")
    for word in words:
        if line and used + space + _width(word) > limit:
            lines.append(" ".join(line))
            line, used = [], 0.0
        used += _width(word) + (space if line else 0)
        line.append(word)
    return [*lines, " ".join(line)] if line else lines


def _narrowed(words: Iterable[str], limit: float, at_least: int = 2) -> Iterator[str]:
    """The words, those of at least so many letters broken where they are wider than `limit`."""
    for word in words:
        if len(word) < at_least or _width(word) <= limit:
            yield word
            continue
        letters = max(1, int(len(word) * limit / _width(word) * 0.9))
        yield from (word[start : start + letters] for start in range(0, len(word), letters))
