"""Thumbnails: upright, small, kept in the home where there is one."""

from __future__ import annotations

import os
import random
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import encoded, published
from PIL import Image as Picture
from PIL import ImageFilter

from imagen_nb.errors import ImageError
from imagen_nb.views.thumbnails import _reduced, make_thumbnail, most_bytes, thumbnail, thumbnails


def photo(seed: int = 0, size: tuple[int, int] = (1024, 1024), detail: float = 1.0) -> Picture.Image:
    """Soft shapes and some grain, about as hard to compress as a photograph."""
    noise = random.Random(seed)  # noqa: S311 - the same picture each time
    small = Picture.frombytes("RGB", (64, 64), noise.randbytes(64 * 64 * 3)).resize(size, Picture.Resampling.BICUBIC)
    grain = Picture.frombytes("RGB", (256, 256), noise.randbytes(256 * 256 * 3)).resize(size)
    return Picture.blend(small.filter(ImageFilter.GaussianBlur(4)), grain, 0.1 * detail)


def stored(tmp_path: Path, picture: Picture.Image, kind: str = "PNG", **options: object) -> Path:
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(encoded(picture, kind, **options))
    return path


def shown(content: bytes) -> Picture.Image:
    picture = Picture.open(BytesIO(content))
    assert picture.format == "WEBP"
    return picture


@pytest.mark.parametrize(("px", "most"), [(256, 12_000), (512, 40 * 1024)])
@pytest.mark.parametrize("detail", [0.0, 1.0, 3.0])
def test_a_thumbnail_is_small(tmp_path: Path, px: int, most: int, detail: float) -> None:
    """However rich the picture, it fits the notebook's measure and keeps its size."""
    content = make_thumbnail(stored(tmp_path, photo(detail=detail), "JPEG", quality=90), px)
    assert len(content) <= most_bytes(px) <= most
    assert shown(content).size == (px, px)


def test_noise_becomes_a_smaller_picture(tmp_path: Path) -> None:
    """What no quality can squeeze into the measure is shown at fewer pixels."""
    noise = Picture.frombytes("RGB", (512, 512), os.urandom(512 * 512 * 3))
    assert len(make_thumbnail(stored(tmp_path, noise), 512)) <= most_bytes(512)
    assert len(make_thumbnail(stored(tmp_path, noise), 40)) <= most_bytes(40)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1408, 768), (256, 140)), ((768, 1408), (140, 256)), ((200, 100), (200, 100)), ((3000, 2), (256, 1))],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thumbnail_keeps_its_shape(
    tmp_path: Path, kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """The longer side is as asked, and a small picture is not blown up."""
    assert shown(make_thumbnail(stored(tmp_path, photo(size=size), kind), 256)).size == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thumbnail_stands_upright(tmp_path: Path, kind: str) -> None:
    """A camera's turn in the EXIF data is made."""
    exif = Picture.Exif()
    exif[0x0112] = 6  # the camera was turned: the row that lies on top belongs to the right
    picture = Picture.new("RGB", (400, 200), "black")
    picture.paste("white", (0, 0, 400, 40))
    small = shown(make_thumbnail(stored(tmp_path, picture, kind, exif=exif), 100)).convert("L")
    assert small.size == (50, 100)
    assert small.getpixel((45, 50)) > 200
    assert small.getpixel((5, 50)) < 50


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), (None, 0)),
        ("LA", (200, 0), (None, 0)),
        ("RGB", "red", ((255, 0, 0), 255)),
        ("L", 255, ((255, 255, 255), 255)),
        ("1", 1, ((255, 255, 255), 255)),
        ("I;16", 0x8000, ((128, 128, 128), 255)),
        ("P", 0, ((0, 0, 0), 255)),
    ],
)
def test_every_kind_of_pixel_is_shown(tmp_path: Path, mode: str, colour: object, expected: tuple[object, int]) -> None:
    """Alpha stays, greys and palettes become colours, 16 bits do not turn white."""
    picture = Picture.new(mode, (300, 300), colour)  # type: ignore[arg-type]
    colours = shown(make_thumbnail(stored(tmp_path, picture), 64)).convert("RGBA").getpixel((32, 32))
    assert isinstance(colours, tuple)
    assert colours[3] == expected[1]
    if isinstance(expected[0], tuple):
        assert all(abs(one - other) <= 3 for one, other in zip(colours[:3], expected[0], strict=True))


def test_cmyk_is_shown(tmp_path: Path) -> None:
    """A printer's JPEG too."""
    assert shown(make_thumbnail(stored(tmp_path, Picture.new("CMYK", (90, 90)), "JPEG"), 64)).mode == "RGB"


def test_of_an_animation_the_first_frame_is_shown(tmp_path: Path) -> None:
    """As a still picture."""
    frames = [Picture.new("RGB", (80, 80), colour) for colour in ("red", "blue")]
    path = stored(tmp_path, frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    small = shown(make_thumbnail(path, 40))
    assert not getattr(small, "is_animated", False)
    assert small.convert("RGB").getpixel((20, 20))[0] > 200


def test_a_thumbnail_is_made_once(home: Path) -> None:
    """It is kept beside the image, serves when the image is gone, and a damaged one is made anew."""
    image = published(home)
    content = thumbnail(image.path, 32)
    kept = home / "thumbnails" / f"{image.sha256}-32.webp"
    assert kept.read_bytes() == content
    kept.write_bytes(content[:20])
    assert thumbnail(image.path, 32) == content
    image.path.unlink()
    assert thumbnail(image.path, 32) == content
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_smaller_thumbnail_is_made_of_a_larger_one(home: Path) -> None:
    """Reading the original again would take much longer; a kept one that is damaged is not relied on."""
    image = published(home, encoded(photo(size=(700, 500))))
    thumbnail(image.path, 512)
    image.path.rename(home / "away.jpg")
    assert shown(thumbnail(image.path, 256)).size == (256, 183)
    with pytest.raises(ImageError, match="is missing"):
        thumbnail(image.path, 400)
    (home / "away.jpg").rename(image.path)
    for kept in (home / "thumbnails").iterdir():
        kept.write_bytes(b"RIFF")
    assert shown(thumbnail(image.path, 160)).size == (160, 114)


def test_a_home_that_is_moved_away_meanwhile_is_not_begun_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was being made is shown, and no folder is left where the home was."""
    image = published(home)

    def make(path: Path, px: int) -> bytes:
        content = make_thumbnail(path, px)
        home.rename(home.with_name("moved"))
        return content

    monkeypatch.setattr("imagen_nb.views.thumbnails.make_thumbnail", make)
    assert thumbnail(image.path, 32)
    assert not home.exists()


def test_a_thumbnail_that_cannot_be_kept_is_shown_all_the_same(home: Path) -> None:
    """A full or forbidden folder costs only the making of it again."""
    image = published(home)
    (home / "thumbnails").write_text("in the way")
    assert shown(thumbnail(image.path, 32)).size == (32, 24)


@pytest.mark.parametrize("content", [b"", b"<svg onload=x>", b"GIF89a", encoded(photo(size=(64, 64)))[:300]])
def test_a_damaged_original_is_an_error(tmp_path: Path, content: bytes) -> None:
    """Nothing half shown: the error names the file and what to do."""
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"broken.jpg cannot be read: .+\n.*damaged"):
        make_thumbnail(path, 256)


def test_of_many_only_the_broken_are_missing(home: Path) -> None:
    """The others come, in order."""
    good, broken, gone = published(home), published(home, b"no image"), published(home, b"soon gone")
    gone.path.unlink()
    found = thumbnails([good, broken, gone, good], 32)
    assert [each is None for each in found] == [False, True, True, False]
    with pytest.raises(ImageError, match="is missing"):
        thumbnail(gone.path, 32)


@given(st.integers(1, 600), st.integers(1, 600), st.sampled_from([16, 100, 256]))
@settings(max_examples=25)
def test_any_shape_fits(tmp_path_factory: pytest.TempPathFactory, width: int, height: int, px: int) -> None:
    """Never larger than asked nor than it was, never nothing."""
    path = stored(tmp_path_factory.mktemp("shape"), Picture.new("RGB", (width, height), "green"))
    small = shown(make_thumbnail(path, px))
    assert max(small.size) == min(px, max(width, height))
    assert min(small.size) >= 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_strips_leave_no_seam(mode: str) -> None:
    """A picture that is made smaller a few lines at a time looks like one that was made smaller as a whole."""
    picture = Picture.merge(mode, [Picture.effect_noise((701, 1103), 90) for _ in mode])
    assert _reduced(picture, 3).tobytes() == picture.reduce(3).tobytes()
