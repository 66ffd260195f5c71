"""One image, ready to be shown: its thumbnail, the size to show it at, and where the original lies."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imagen_nb.errors import ImageError
from imagen_nb.records import Image, Run
from imagen_nb.settings import THUMBNAIL_PX
from imagen_nb.views.names import image_name, image_names
from imagen_nb.views.words import TIMES, one_line, size

Thumb = Callable[[Image], str]
"""An image's thumbnail as a `data:` URI, or "" where the file is gone."""

Link = Callable[[Image], "str | None"]
"""The address under which a page may link to an image's file, or None for no link."""

_ALT, _TITLE = 120, 300
REFERENCE_BOX, REFERENCE_PX = 56, 112
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Picture:
    """What a template needs to show one image: `width` and `height` in CSS pixels, `src` "" where the file is gone."""

    src: str
    width: int
    height: int
    alt: str
    title: str
    href: str | None
    file: str
    about: str
    download: str
    """What a copy of the original is called."""


_card_px: dict[Path, int] = {}


def set_card_px(home: Path, px: int) -> None:
    """Let cards of this home's images have thumbnails of `px` pixels; the last word counts."""
    _card_px[home] = px


def card_px(images: Sequence[Image]) -> int:
    """The longer side of a card's thumbnail in pixels, as the home of these images has it."""
    home = home_of(images[0].path) if images else None
    return _card_px.get(home, THUMBNAIL_PX) if home else THUMBNAIL_PX


def home_of(path: Path) -> Path | None:
    """The home that a file lies in, by the shape of its path (`home/images/ab/<hash>.jpg`), or None."""
    digest, folder = sha256_of(path), path.parent
    is_kept = digest and folder.name == digest[:2] and folder.parent.name == "images"
    return folder.parents[1] if is_kept else None


def sha256_of(path: Path) -> str | None:
    """The hash that a file of a home is named by, or None for any other file."""
    return path.stem if _HASH.fullmatch(path.stem) else None


def picture(image: Image, thumb: Thumb, *, box: int, link: Link | None = None) -> Picture:
    """The image, to be shown within `box` by `box` CSS pixels; its prompt is its description."""
    prompt = image.request.prompt if image.request else ""
    width, height = fit(image.width, image.height, box)
    href = safe_href(link(image)) if link else None
    try:
        source = thumb(image)
    except (OSError, ImageError):
        source = ""
    return Picture(
        src=source if source.startswith("data:image/") else "",
        width=width,
        height=height,
        alt=one_line(prompt, _ALT),
        title=one_line(prompt, _TITLE),
        href=href,
        file=file_of(image, link),
        about=f"{image.width} {TIMES} {image.height} {kind(image)}, {size(image.bytes)}",
        download=image_name(image),
    )


def pictures_of(
    run: Run, thumb: Thumb, *, box: int, link: Link | None = None, names: Sequence[str] = ()
) -> list[Picture]:
    """All images of a run, each with its `description`.

    `names` are what copies of them are called, by default what they are by themselves.
    """
    named = enumerate(zip(run.images, names or image_names([run])[0], strict=True), 1)
    return [
        replace(picture(image, thumb, box=box, link=link), alt=description(run, number), download=name)
        for number, (image, name) in named
    ]


def description(run: Run, number: int = 1) -> str:
    """What an image shows: the prompt; a repeat says its number and one of several its place, so that all differ."""
    repeat = f", no. {run.request.repeat}" if run.request.repeat > 1 else ""
    many = len(run.images)
    return one_line(run.request.prompt, _ALT) + repeat + (f", image {number} of {many}" if many > 1 else "")


def references_of(run: Run, link: Link | None = None) -> list[tuple[str, Picture]]:
    """The pictures that the request needs, small, each with the name of its input; files that are none are left out."""
    from imagen_nb.views.thumbnails import thumb  # what makes them is heavy, and few requests need any

    found = []
    for name, files in run.request.files.items():
        for file in files:
            image = Image(file.path, file.sha256, file.width or 0, file.height or 0, file.bytes, file.mime)
            made = picture(image, thumb(REFERENCE_PX), box=REFERENCE_BOX, link=link)
            if made.src:
                label = one_line(f"{name}: {file.name}", _ALT)
                found.append((name, replace(made, alt=label, title=label, download=file.name)))
    return found


def file_of(image: Image, link: Link | None = None) -> str:
    """Where the file lies, as short as it can be said: from the notebook's folder where it can be linked from there."""
    href = safe_href(link(image)) if link else None
    return unquote(href) if href else str(image.path)


def fit(width: int, height: int, box: int) -> tuple[int, int]:
    """The largest size within `box` that keeps the proportions and enlarges nothing; a square if unknown."""
    if width <= 0 or height <= 0:
        return box, box
    scale = min(box / width, box / height, 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def kind(image: Image) -> str:
    """The file's type as its usual ending: `jpg`, `png`, `webp`."""
    ending = image.mime.rpartition("/")[2] or image.path.suffix.lstrip(".")
    return "jpg" if ending == "jpeg" else ending


def data_uri(data: bytes, mime: str = "image/webp") -> str:
    """Bytes as a `data:` URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def below(folder: Path) -> Link:
    """Links to files that lie under `folder` (the notebook's own), relative to it; no link to any other.

    JupyterLab and VS Code both resolve a relative link against the notebook, and open the file; neither follows one
    to an absolute path.
    """

    def link(image: Image) -> str | None:
        try:
            return quote(image.path.relative_to(folder).as_posix())
        except ValueError:
            return None

    return link


def safe_href(href: str | None) -> str | None:
    """The address where it is a relative or an https one; anything else (javascript:, data:, //host) is dropped."""
    if not href:
        return None
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    is_relative = not parts.scheme and not parts.netloc and ":" not in href.partition("/")[0]
    return href if is_relative or (parts.scheme == "https" and parts.netloc) else None
