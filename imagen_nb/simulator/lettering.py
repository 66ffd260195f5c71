"""Prompts as lines of letters: what the built-in font has, wrapped to fit a box.

The font is the one inside Pillow, so that a picture looks the same everywhere. It has ASCII and little more: other
letters are written by their base letter, signs by their name, and runs of another script by its name and length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from PIL import ImageFont

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
