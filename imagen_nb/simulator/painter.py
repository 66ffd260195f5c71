"""Paints a picture in which the prompt and the parameters can be read, and which is plainly no photograph.

A small landscape or composition, drawn from a hash of the words: the model and the prompt choose the motif and the
colours, the parameters and the variation its shapes. The same arguments give the same bytes.
"""

from __future__ import annotations

import io
import math
import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from imagen_nb.simulator.files import Reference

MARK = "SIMULATED"
LINE = 1.32
"""Height of a line, in sizes of its font."""

_INK, _AMBER, _PAPER, _GREY = "#0e1018ce", "#ffce80", "#fafaf7", "#c4c9d6"
_FORMATS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "jpg": ("JPEG", {"quality": 88}),
    "png": ("PNG", {"compress_level": 1}),
    "webp": ("WEBP", {"quality": 82, "method": 0}),
}
# Sky from top to bottom, the light in it, then the land from far to near.
_PALETTES: Sequence[str] = (
    "#2b2d5b #8d5a97 #f6a58a #ffe0a3 #8c5f95 #5d4581 #3a2f63 #211d45",  # dusk
    "#0f4c75 #3f8fb5 #bfe3e0 #fff4c9 #6fa8b4 #3f7f93 #22596f #10364a",  # lake
    "#f3c98b #f6dfb4 #fbf1dc #ff8c61 #e0a765 #c47f4e #9a5640 #64343a",  # desert
    "#10182e #253a5e #3f6e83 #f2f6d0 #33566b #254457 #183143 #0c1d2c",  # night
    "#ffd1c9 #ffe6d6 #fff6ea #ff7f6b #e8a7a0 #c7808a #8f5a78 #57406a",  # blossom
    "#79bfa1 #b9dfb9 #f4f3d0 #ffc857 #84b58e #4f8f73 #2f6a5a #1a4542",  # forest
    "#3a1c5d #8a2f6b #e8636b #ffd166 #a6406f #6f2c66 #451f55 #26133c",  # neon
    "#8fb8de #c6dcf0 #f7f4ef #ffffff #9fb6cf #7390b1 #4d6a90 #2d4468",  # frost
)


def paint(
    width: int,
    height: int,
    fmt: str,
    *,
    prompt: str,
    model: str,
    params: Mapping[str, Any],
    variation: str,
    references: Sequence[Reference] = (),
) -> bytes:
    """A picture of that size in pixels, as the bytes of a "jpg", "png" or "webp" file; it shows the references."""
    subject = _dice(model, prompt)
    details = _dice(model, prompt, sorted(params.items(), key=str), variation)
    colours = subject.choice(_PALETTES).split()
    sky = ImageOps.colorize(Image.linear_gradient("L"), black=colours[0], mid=colours[1], white=colours[2])
    picture = sky.resize((1, height)).resize((width, height), Image.Resampling.NEAREST)  # quicker than at once
    subject.choice(_MOTIFS)(picture, colours, details)
    settings = sorted((name, str(value)) for name, value in params.items() if name != "seed")
    light = _dice(prompt, settings)  # a parameter shows, and a repeat keeps it
    curves = [2.0 ** light.uniform(-0.9, 0.9) for _ in "rgb"]
    picture = picture.reduce(2).point([round(255 * (level / 255) ** curve) for curve in curves for level in range(256)])
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)  # softens the edges
    _letter(picture, prompt, model, params)
    gap = max(2, round(min(width, height) / 50))
    top = round(0.1 * min(math.sqrt(width * height), 1.4 * min(width, height)))  # below the mark
    side = min(min(width, height) // 6, (width - 3 * gap) // max(1, len(references)) - gap)
    for place, reference in enumerate(references[: width // 24][::-1]):
        with Image.open(io.BytesIO(reference.picture)) as small:
            tile = ImageOps.expand(ImageOps.fit(small.convert("RGB"), (max(4, side - 4),) * 2), 2, _PAPER)
        picture.paste(tile, (width - (place + 1) * (tile.width + gap) - gap, top))

    exif = Image.Exif()  # the file says what it is in its metadata too
    exif[0x0131], exif[0x010E] = "imagen_nb simulator", MARK
    kind, options = _FORMATS[fmt]
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def _dice(*words: Any) -> random.Random:
    """Chance that is always the same for the same words."""
    seed = "\n".join(map(str, words)).encode("utf-8", "surrogatepass")
    return random.Random(seed)  # noqa: S311 - a picture must repeat


# -- the motifs ----------------------------------------------------------------------------------------------------


def _land(picture: Image.Image, colours: Sequence[str], dice: random.Random, *, is_jagged: bool) -> None:
    """A sun or moon over hills, or over jagged peaks, that grow darker as they come near."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    x, y = width * dice.uniform(0.2, 0.8), height * dice.uniform(0.16, 0.38)
    radius = min(width, height) * dice.uniform(0.08, 0.15)
    halo = Image.radial_gradient("L").point([round(max(0.0, 1 - level / 180) ** 2 * 140) for level in range(256)])
    picture.paste(colours[3], (round(x - 4 * radius), round(y - 4 * radius)), halo.resize((round(8 * radius),) * 2))
    draw.ellipse(_box(x, y, radius), fill=colours[3])
    for layer, colour in enumerate(colours[4:]):
        level = height * (0.41 + 0.125 * layer + dice.uniform(-0.025, 0.025))
        if is_jagged:  # straight slopes between random heights
            swing, steps = height * (0.16 - 0.03 * layer), dice.randint(5, 8)
            line = sorted(
                (width * (step + dice.uniform(-0.3, 0.3)) / steps, level - swing * dice.uniform(-0.4, 1))
                for step in range(-1, steps + 2)
            )
        else:  # three waves, one upon the other
            swing = height * (0.10 - 0.012 * layer)
            waves = [(dice.uniform(4, 10) * n, dice.uniform(0, math.tau), swing * 0.62 ** (n - 1)) for n in (1, 2, 3)]
            line = [
                (at, level - sum(part * math.sin(turn * at / width + phase) for turn, phase, part in waves))
                for at in range(0, width + 8, 8)
            ]
        draw.polygon([*line, (width, height), (0, height)], fill=colour)


def _orbs(picture: Image.Image, colours: Sequence[str], dice: random.Random) -> None:
    """Discs of tinted glass, large and small, through which one sees the others."""
    width, height = picture.size
    glass = ImageDraw.Draw(picture, "RGBA")
    for turn, colour in enumerate((*colours[4:7], *colours[3:7])):
        radius = min(width, height) * dice.uniform(0.22, 0.36) / (1 + turn % 4 * 0.6)
        x, y = width * dice.uniform(0.02, 0.98), height * dice.uniform(0.06, 0.66)
        glass.ellipse(_box(x, y, radius), fill=f"{colour}b0")


def _arcs(picture: Image.Image, colours: Sequence[str], dice: random.Random) -> None:
    """Rings that rise from the ground like rainbows."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    for step, place in enumerate(dice.sample((0.0, 0.25, 0.5, 0.75, 1.0), 3)):
        outer = min(width, height) * dice.uniform(0.66, 0.74) * (1 - 0.18 * step)
        rings, bands = dice.randint(6, 8), dice.sample(colours[2:], 5)
        for ring in range(rings):
            box = _box(width * place, height * (0.74 + 0.1 * step), outer * (1 - ring / (rings + 2)))
            draw.ellipse(box, fill=bands[ring % len(bands)])


_MOTIFS = (partial(_land, is_jagged=False), partial(_land, is_jagged=True), _orbs, _arcs)


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius, y - radius, x + radius, y + radius)


# -- the lettering: in the font inside Pillow, so that a picture looks the same everywhere -------------------------


def _letter(picture: Image.Image, prompt: str, model: str, params: Mapping[str, Any]) -> None:
    """A dark plate at the foot with model, prompt and parameters, and the mark in the corner."""
    width, height = picture.size
    unit = min(math.sqrt(width * height), 1.4 * min(width, height)) / 1024
    margin, pad, gap = 34 * unit, 38 * unit, 20 * unit
    inside = width - 2 * (margin + pad)
    given = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
    note = " · ".join(f"{name} {str(value)[:80]}" for name, value in given.items() if value not in (None, "", []))

    def size(*points: int) -> list[int]:
        return [max(8, round(each * unit)) for each in points]

    title, notes = fit(model, inside, height, size(24, 21, 18)), fit(note, inside, height * 0.2, size(21, 18, 16))
    room = height * 0.7 - _height(title) - _height(notes) - 2 * pad - 2 * gap
    text = fit(prompt or "(no prompt)", inside, room, size(66, 60, 54, 48, 43, 39, 35, 32, 29, 26, 24, 22, 20, 18))
    draw = ImageDraw.Draw(picture, "RGBA")
    y = height - margin - pad - _height(notes) - gap - _height(text) - gap - _height(title)
    draw.rounded_rectangle((margin, y - pad, width - margin, height - margin), 26 * unit, fill=_INK)
    for block, colour in ((title, _AMBER), (text, _PAPER), (notes, _GREY)):
        lines, points = block
        for number, line in enumerate(lines):
            draw.text((margin + pad, y + number * points * LINE), line, font=font(points), fill=colour)
        y += _height(block) + gap

    points, mark = max(9, round(25 * unit)), " ".join(MARK)
    right, bottom = margin + 40 * unit + font(points).getlength(mark), margin + 20 * unit + points * LINE
    draw.rounded_rectangle((margin, margin, right, bottom), (bottom - margin) / 2, fill=_INK)
    place = (margin + 20 * unit, margin + 10 * unit)
    draw.text(place, mark, font=font(points), fill=_AMBER, stroke_width=round(unit))


def fit(text: str, width: float, height: float, sizes: Sequence[int]) -> tuple[list[str], int]:
    """The lines of the text, and the largest of the sizes (largest first) in which they fit a box; all in pixels.

    A word of more than 24 letters is broken; a text that fits in no size is cut, with dots.
    """
    words = re.findall(r"\S{1,24}", spell(text)) or [""]
    widths = {word: font(64).getlength(word) / 64 for word in {*words, " "}}
    for size in sizes:
        most, room = max(1, int(height / (size * LINE))), 0.0
        lines: list[str] = []
        for word in words:
            room -= widths[" "] + widths[word]
            if lines and room >= 0:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
                room = width / size - widths[word]
        if len(lines) <= most and max(widths.values()) * size <= width:
            break
    return (lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]}…"]), size


def _height(block: tuple[list[str], int]) -> float:
    return len(block[0]) * block[1] * LINE


@lru_cache(maxsize=48)
def font(size: int) -> Any:
    """The built-in font at that size in pixels, laid out plainly: the same everywhere, and quicker."""
    built_in: Any = ImageFont.load_default(size)
    return built_in.font_variant(layout_engine=ImageFont.Layout.BASIC)


# -- the letters: the font has ASCII and little more ---------------------------------------------------------------

_KNOWN = str.maketrans(
    {"\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00d7": "x", "\u2022": "·", "\u2192": "->", "\u201e": '"'}
    | {"ß": "ss", "æ": "ae", "ø": "o", "€": "EUR"}
)


def spell(text: str) -> str:
    """The text on one line in letters that the font has, at most 4,000 of them.

    Others by their base letter, signs by their name, a run of letters of another script by its name and length.
    """
    letters = "".join(map(_spell, unicodedata.normalize("NFC", text[:4000]).translate(_KNOWN)))
    runs = r"\0(\w+)\0(?: *\0\1\0)*"
    named = re.sub(runs, lambda run: f" [{run[1]}: {(n := run[0].count(run[1]))} letter{'s' * (n > 1)}] ", letters)
    return " ".join(named.split())[:4000]


@lru_cache(maxsize=4096)
def _spell(char: str) -> str:
    """One character; a letter of another script is the script's name between two zeros."""
    if char.isspace():
        return " "
    if plain := "".join(part for part in (char if _has(char) else unicodedata.normalize("NFKD", char)) if _has(part)):
        return plain
    kind = unicodedata.category(char)[0]
    if kind in "MC":
        return ""
    if kind in "SPN":
        return f" ({unicodedata.name(char, 'sign').lower()}) "
    script = unicodedata.name(char, "OTHER").split()[0].partition("-")[0]
    return f"\0{script if script == 'CJK' else script.capitalize()}\0"


def _has(char: str) -> bool:
    """Whether the font has a picture of that character, other than its box for those it has not."""
    picture_of = font(24).getmask
    return char.isprintable() and bytes(picture_of(char)) != bytes(picture_of("\ue123"))
