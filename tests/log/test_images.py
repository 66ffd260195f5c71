"""Image files: published whole, and shown small."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from logged import published

from imagen_nb.errors import ImageError, LogError
from imagen_nb.log.images import Images, image_place

HASH = "ab" * 32


@pytest.fixture
def images(home: Path) -> Iterator[Images]:
    opened = Images(home)
    yield opened
    opened.close()


def test_a_file_is_published_under_its_hash(images: Images, home: Path) -> None:
    """It moves to its place, and the temporary name is gone."""
    path = images.folder / "download.part"
    path.write_bytes(b"whole")
    digest = hashlib.sha256(b"whole").hexdigest()
    place = images.publish(path, digest, "image/png")
    assert place == home / "images" / digest[:2] / f"{digest}.png"
    assert place.read_bytes() == b"whole"
    assert not path.exists()


def test_publishing_again_keeps_the_file(images: Images, home: Path) -> None:
    """The same bytes come to the same place, and a cut file there is replaced."""
    first = published(home, b"the bytes").path
    before = first.stat().st_ino
    assert published(home, b"the bytes").path == first
    assert first.stat().st_ino == before
    first.write_bytes(b"cut")
    assert published(home, b"the bytes").path.read_bytes() == b"the bytes"
    assert list(images.folder.iterdir()) == []


def test_many_threads_publish_the_same_file(images: Images) -> None:
    """One file is left, and it is whole."""
    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()

    def publish(number: int) -> None:
        path = images.folder / f"{number}.part"
        path.write_bytes(content)
        images.publish(path, digest, "image/jpeg")

    threads = [threading.Thread(target=publish, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert image_place(images.home, digest, "image/jpeg").read_bytes() == content
    assert list(images.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "CON"])
def test_only_a_hash_makes_a_path(images: Images, name: str) -> None:
    """No name from outside can lead out of the folder."""
    for call in (
        lambda: image_place(images.home, name, "image/png"),
        lambda: images.publish(Path("x"), name, "image/png"),
    ):
        with pytest.raises(ImageError, match="is no SHA-256"):
            call()


def test_an_unwritable_place_is_an_error_in_two_lines(home: Path) -> None:
    """A file where a folder should be is named."""
    home.mkdir()
    (home / "temp").write_text("in the way")
    images = Images(home)
    with pytest.raises(LogError, match="cannot be written"):
        _ = images.folder
    images.close()


def test_a_missing_download_is_an_error(images: Images) -> None:
    """A temporary file that is gone cannot be published."""
    with pytest.raises(LogError, match="No such file"):
        images.publish(images.folder / "gone", HASH, "image/png")


def test_nothing_is_made_before_it_is_needed(home: Path) -> None:
    """Opening and closing an empty home leaves no trace."""
    images = Images(home)
    images.close()
    assert not home.exists()
