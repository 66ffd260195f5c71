"""What a whole image is: by its structure to the end, by a decode where that is cheap, never by what is beside it."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import monsters
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, JpegImagePlugin, features

from imagen_nb.api import image_files
from imagen_nb.api.image_files import ImageInfo, examine, is_turned
from imagen_nb.api.transport import DeadlineExceeded
from imagen_nb.errors import ImageError

KINDS = ["JPEG", "PNG", "WEBP", "GIF", *(["AVIF"] if features.check("avif") else [])]
TURNED = [kind for kind in KINDS if kind != "GIF"]


@cache
def encoded(kind: str, size: tuple[int, int] = (120, 90), **options: Any) -> bytes:
    """A picture with something in it, so that no part of the file is without meaning."""
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def examined(folder: Path, data: bytes, seconds_left: Callable[[], float] = lambda: 20.0) -> ImageInfo:
    path = folder / "picture"
    path.write_bytes(data)
    return examine(path, seconds_left)


# -- what is whole -----------------------------------------------------------------------------------------------------

VARIETIES: dict[str, bytes] = {
    "grey JPEG": encoded("JPEG", keep_rgb=True),
    "progressive JPEG": encoded("JPEG", progressive=True, subsampling=0),
    "JPEG with restarts": encoded("JPEG", restart_marker_rows=1),
    "small JPEG": encoded("JPEG", (1, 1)),
    "lossless WebP": encoded("WEBP", lossless=True),
    "odd PNG": encoded("PNG", (13, 7)),
    "unpacked PNG": encoded("PNG", compress_level=0),
    "PNG of one row": encoded("PNG", (200, 1)),
}


@pytest.mark.parametrize("kind", VARIETIES)
def test_every_variety_of_a_whole_image_is_whole(tmp_path: Path, kind: str) -> None:
    """Scans, restarts, odd sizes, however it was packed."""
    with Image.open(io.BytesIO(VARIETIES[kind])) as picture:
        found = examined(tmp_path, VARIETIES[kind])
        assert (found.width, found.height) == picture.size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("is_interlaced", [False, True])
def test_the_pixels_of_any_png_are_counted(tmp_path: Path, mode: str, *, is_interlaced: bool) -> None:
    """Of every colour type, depth and order: as many as there are is whole, one less is not."""
    bits, colour = {"1": (1, 0), "L": (8, 0), "LA": (8, 4), "P": (8, 3), "I;16": (16, 0)}.get(mode, (8, 2))
    colour = 6 if mode == "RGBA" else colour
    width, height = 21, 13
    passes = image_files._ADAM7 if is_interlaced else ((0, 0, 1, 1),)
    rows = b""
    for x, y, dx, dy in passes:
        columns, lines = len(range(x, width, dx)), len(range(y, height, dy))
        row = bytes(1 + -(-columns * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8))
        rows += row * lines if columns else b""
    palette = monsters.chunk(b"PLTE", bytes(6)) if mode == "P" else b""
    head = monsters.png_head(width, height, bits, colour, is_interlaced=is_interlaced) + palette
    whole = head + monsters.chunk(b"IDAT", zlib.compress(rows)) + monsters.chunk(b"IEND", b"")
    with Image.open(io.BytesIO(whole)) as picture:
        picture.load()  # Pillow finds it whole too
    assert examined(tmp_path, whole) == ImageInfo(width, height, "image/png")
    short = head + monsters.chunk(b"IDAT", zlib.compress(rows[:-1])) + monsters.chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="pixels are missing"):
        examined(tmp_path, short)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "trailing", [bytes(5000), b"trailing words " * 1000, encoded("JPEG"), b"\n"], ids=["zeros", "text", "JPEG", "line"]
)
def test_what_follows_a_whole_image_does_not_count(tmp_path: Path, kind: str, trailing: bytes) -> None:
    """Kilobytes behind its end, as cameras, phones and careless writers leave them."""
    assert examined(tmp_path, encoded(kind) + trailing) == examined(tmp_path, encoded(kind))


@pytest.mark.skipif("AVIF" not in KINDS, reason="this Pillow has no AVIF")
@pytest.mark.parametrize("brand", [b"mif1", b"avis"])
def test_an_avif_may_have_the_brand_of_its_container(tmp_path: Path, brand: bytes) -> None:
    """What is in it counts, not which of its brands stands first."""
    data = encoded("AVIF")
    if brand == b"avis":
        file = io.BytesIO()
        frames = [Image.effect_noise((40, 30), 60) for _ in range(3)]
        frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:])
        data = file.getvalue()
    assert examined(tmp_path, data[:8] + brand + data[12:]).mime == "image/avif"


@pytest.mark.parametrize("kind", TURNED)
@pytest.mark.parametrize("turn", [1, 3, 5, 6, 8])
def test_a_turned_picture_is_measured_as_one_sees_it(tmp_path: Path, kind: str, turn: int) -> None:
    """EXIF may exchange its sides."""
    exif = Image.Exif()
    exif[0x0112] = turn
    found = examined(tmp_path, encoded(kind, (40, 30), exif=exif.tobytes()))
    assert (found.width, found.height) == ((30, 40) if turn >= 5 else (40, 30))


@given(st.binary(max_size=60))
def test_no_exif_breaks_anything(tail: bytes) -> None:
    """Whatever stands there, a picture is turned or it is not."""
    for head in (b"", b"Exif\0\0", b"II*\0", b"MM\0*\0\0\0\x08", b"Exif\0\0II*\0\x08\0\0\0"):
        assert is_turned(head + tail) in (True, False)


# -- what is not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "progressive JPEG", "animated GIF", "animated WEBP"])
def test_no_truncation_passes(tmp_path: Path, kind: str) -> None:
    """A picture cut anywhere, even of its last byte, is not whole."""
    name, animated = kind.rsplit(maxsplit=1)[-1], kind.startswith("animated")
    options: dict[str, Any] = {"progressive": True} if kind.startswith("progressive") else {}
    if animated:
        options = {"save_all": True, "append_images": [Image.effect_noise((24, 18), 90) for _ in range(2)]}
    file = io.BytesIO()
    Image.effect_noise((24, 18), 60).save(file, name, **options)
    data = file.getvalue()
    assert examined(tmp_path, data).width == 24
    for length in range(0, len(data), max(1, len(data) // 150)):
        with pytest.raises(ImageError):
            examined(tmp_path, data[:length])
    with pytest.raises(ImageError):
        examined(tmp_path, data[:-1])


LARGE: dict[str, Callable[[], bytes]] = {
    "WebP": lambda: monsters.webp(4096),
    "AVIF": lambda: monsters.avif(4096),
    "progressive JPEG": lambda: monsters.jpeg_scans(10, 4096, subsampling=0),
    "PNG": lambda: monsters.png(4096, 4096),
}


@pytest.mark.parametrize("kind", [kind for kind in LARGE if kind.upper() in KINDS or "JPEG" in kind])
def test_no_truncation_of_what_is_too_large_to_decode_passes(tmp_path: Path, kind: str) -> None:
    """Where a decode would need too much memory, the structure alone tells a whole picture from a cut one."""
    data = LARGE[kind]()
    assert examined(tmp_path, data).width == 4096
    for length in (len(data) - 1, len(data) - 5, len(data) // 2):
        with pytest.raises(ImageError):
            examined(tmp_path, data[:length])


def test_pillows_forgiveness_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a notebook's, that told Pillow to load truncated images."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded("JPEG")
    with pytest.raises(ImageError, match="not a whole image"):
        examined(tmp_path, data[: len(data) // 2])


_ANY = st.sampled_from(KINDS).map(encoded)


@settings(max_examples=80, deadline=None)
@given(_ANY, st.data())
def test_damage_is_an_error_or_none(tmp_path_factory: pytest.TempPathFactory, data: bytes, draw: st.DataObject) -> None:
    """Whatever bytes are put in whatever place: an image of its size, or an error of ours."""
    at = draw.draw(st.integers(0, len(data) - 1))
    changed = data[:at] + draw.draw(st.binary(min_size=1, max_size=12)) + data[at + draw.draw(st.integers(0, 12)) :]
    with suppress(ImageError):
        found = examined(tmp_path_factory.mktemp("changed"), changed)
        assert 0 < found.width * found.height <= image_files.PIXEL_CAP


# -- what is too much --------------------------------------------------------------------------------------------------


def test_the_largest_allowed_image_is_kept(tmp_path: Path) -> None:
    """64 megapixels are still kept: the cap is where it says."""
    assert examined(tmp_path, monsters.png(8192, 8192)).width == 8192
    for data in (monsters.png(8192, 8193), monsters.webp(8193)):
        with pytest.raises(ImageError, match=r"has 819[23] x 8193 pixels"):
            examined(tmp_path, data)


def test_a_png_that_swells_beyond_its_size_is_read_no_further(tmp_path: Path) -> None:
    """One row of pixels, and 200 MB of zeros behind it: whole, and soon told."""
    packer = zlib.compressobj(9)
    data = b"".join([packer.compress(bytes(1024**2)) for _ in range(200)]) + packer.flush()
    head = monsters.png_head(8, 1, 8, 0)
    began = time.monotonic()
    assert examined(tmp_path, head + monsters.chunk(b"IDAT", data) + monsters.chunk(b"IEND", b"")).width == 8
    assert time.monotonic() - began < 5.0


def test_a_jpeg_of_hundreds_of_scans_is_refused_by_its_structure(tmp_path: Path) -> None:
    """Each of its scans goes over the whole picture: they are counted before anything is decoded."""
    for size in (0, 1_000_000, 7_600_000):
        data = monsters.jpeg_scans(400, 2048, size=size)
        began = time.monotonic()
        with pytest.raises(ImageError, match="more than 100 scans"):
            examined(tmp_path, data)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("count", [10, 60])
def test_a_jpeg_is_decoded_where_that_takes_a_second_at_most(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the scans of any encoder it is; with many more it is judged by its structure alone."""
    loads: list[Any] = []
    load = JpegImagePlugin.JpegImageFile.load
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", lambda image: (loads.append(image), load(image))[1])
    assert examined(tmp_path, monsters.jpeg_scans(count, 4096)).width == 4096
    assert len(loads) == (1 if count == 10 else 0)


@pytest.mark.skipif("AVIF" not in KINDS, reason="this Pillow has no AVIF")
def test_an_avif_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream may be many times larger than the header says that is read before."""
    monkeypatch.setattr(image_files.AvifImagePlugin.AvifImageFile, "load", lambda _: pytest.fail("decoded"))
    data = bytearray(monsters.avif(4096))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = (64).to_bytes(4, "big") * 2
    assert examined(tmp_path, bytes(data)).width == 64


def test_crumbs_without_end_are_refused_and_end_by_the_deadline(tmp_path: Path) -> None:
    """A file of a million chunks with nothing in them; before that, the clock decides."""
    data = monsters.png_head(8, 8, 8, 0) + monsters.chunk(b"tEXt", b"") * 510_000
    with pytest.raises(ImageError, match="too many pieces"):
        examined(tmp_path, data)
    ends = time.monotonic() + 0.1

    def seconds_left() -> float:
        if time.monotonic() > ends:
            raise DeadlineExceeded
        return 1.0

    with pytest.raises(DeadlineExceeded):
        examined(tmp_path, data, seconds_left)
    assert time.monotonic() - ends < 1.0


def test_one_image_is_decoded_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many threads with finished images need the memory of one."""
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG"))
    inside, most, lock = [0], [0], threading.Lock()
    load = JpegImagePlugin.JpegImageFile.load

    def counted(image: Any) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        try:
            return load(image)
        finally:
            with lock:
                inside[0] -= 1

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", counted)
    threads = [threading.Thread(target=examine, args=(tmp_path / "a.jpg", lambda: 5.0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


MEASURE = """
import sys, re, time
from pathlib import Path
from imagen_nb.api.image_files import examine
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
first = peak()
for name in sys.argv[1:]:
    began = time.monotonic()
    examine(Path(name), lambda: 60.0)
    print(time.monotonic() - began)
print(peak() - first)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell the peak so")
def test_no_picture_takes_more_than_80_mb_or_seconds(tmp_path: Path) -> None:
    """Up to 4096 x 4096 and beyond, of any format: the peak rises by 80 MB at most."""
    made = [LARGE[kind]() for kind in LARGE if kind.upper() in KINDS or "JPEG" in kind]
    made += [monsters.webp(2048), monsters.webp(8192), monsters.jpeg_scans(12, 4096)]
    paths = [tmp_path / str(number) for number in range(len(made))]
    for path, data in zip(paths, made, strict=True):
        path.write_bytes(data)
    command = [sys.executable, "-c", MEASURE, *map(str, paths)]
    *seconds, peak = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert peak <= 80
    assert max(seconds) < 10.0
