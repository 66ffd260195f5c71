"""The pictures: real files, of the right size, always the same, and never out of words."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from imagen_nb.simulator.painter import LINE, MARK, fit, font, paint, spell

PARAMS = {"aspect_ratio": "1:1", "output_format": "jpg"}
LONG = " ".join(["a young woman with brightly dyed pink-gold hair and freckled skin,"] * 20)


def painting(width: int = 256, height: int = 256, fmt: str = "jpg", prompt: str = "a fox", **other: Any) -> bytes:
    words = {"model": "google/imagen-4", "params": PARAMS, "variation": "0", **other}
    return paint(width, height, fmt, prompt=prompt, **words)


@pytest.mark.parametrize(("fmt", "name"), [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
@pytest.mark.parametrize("size", [(256, 256), (1408, 768), (320, 768), (257, 511)])
def test_a_picture_is_a_whole_file_of_that_format_and_size(fmt: str, name: str, size: tuple[int, int]) -> None:
    """It decodes to the end, has the pixels asked for, and says in its metadata that it is simulated."""
    with Image.open(io.BytesIO(painting(*size, fmt))) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == (name, "RGB", size)
        assert picture.getexif()[0x010E] == MARK


def test_the_same_words_give_the_same_bytes_and_a_repeat_another_picture() -> None:
    """Painting again changes nothing; the variation, the prompt and a parameter each do."""
    first = painting()
    assert painting() == first
    others = [painting(variation="1"), painting(prompt="an owl"), painting(params={**PARAMS, "aspect_ratio": "4:3"})]
    assert len({first, *others}) == 4


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        LONG * 4,
        "x" * 5000,
        "\x00\x1b[31m\u202e",
        "\ud800 lone",
        "🦊👩‍🚀 一只狐狸 ثعلب рыжая",
        "a\nb\tc",
        "%s {0} <script>",
    ],
)
def test_any_prompt_can_be_painted(prompt: str) -> None:
    """Empty, endless, unprintable or in another script: there is always a picture."""
    with Image.open(io.BytesIO(painting(prompt=prompt))) as picture:
        picture.load()


def test_the_words_are_in_the_picture() -> None:
    """Two prompts of the same length differ in the plate, whatever the picture behind it."""
    one, other = (
        Image.open(io.BytesIO(painting(512, 512, "png", prompt=each))).crop((60, 330, 450, 480)).convert("L")
        for each in ("mmmm mmmm", "iiii iiii")
    )
    bright = [sum(each.histogram()[200:]) for each in (one, other)]
    assert bright[0] > 1.5 * bright[1] > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ein süßer Fuchs", "Ein susser Fuchs"),
        ("50 \u00d7 50 \u2013 “so”", "50 x 50 - “so”"),
        ("🦊 in snow", "(fox face) in snow"),
        ("一只狐狸 cat", "[CJK: 4 letters] cat"),
        ("рыжая лиса", "[Cyrillic: 9 letters]"),
        ("line\none\ttwo", "line one two"),
        ("½ of a²", "1\u20442 of a2"),
    ],
)
def test_letters_that_the_font_lacks_are_spelt(text: str, expected: str) -> None:
    """By their base letter, their name, or the name and length of their script."""
    assert spell(text) == expected


@pytest.mark.parametrize("text", ["a fox", LONG, "x" * 400, "word " * 2000])
def test_lines_keep_within_their_box(text: str) -> None:
    """Wrapped or, at the smallest size, cut: no line is too wide and the block not too tall."""
    lines, size = fit(text, 600, 300, (48, 32, 24, 16))
    assert len(lines) * size * LINE <= 300
    assert max(font(size).getlength(line) for line in lines) <= 600 + size


def test_a_short_prompt_is_large_and_a_long_one_whole() -> None:
    """The largest size that fits is taken, and nothing is cut that has room."""
    assert fit("a fox", 600, 300, (48, 16)) == (["a fox"], 48)
    assert " ".join(fit(LONG, 900, 700, (48, 32, 24, 16))[0]) == LONG
