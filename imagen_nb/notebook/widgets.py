"""What stock widgets cannot do: a gallery with a lightbox, and a button that copies.

Each is one anywidget, its script and style plain files in `assets/`. Images travel as WebP bytes, thumbnails with the
state and larger ones on request, so that a page of a log stays small. The static forms beside the live ones are for
places where no widget can live: an untrusted notebook, a terminal, a page that nbconvert made.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from imagen_nb.records import Image, Rendering, Run
from imagen_nb.views.pages import asset
from imagen_nb.views.words import chip, count, dollars, dot_list, one_line, seconds, why

MESSAGE_BYTES = 200_000
"""About how much one message may carry; Jupyter's servers drop what comes faster than a megabyte a second."""

CAPTION, ALT = 60, 400
"""The most characters of a tile's caption, and of an image's description."""

Item = Mapping[str, Any]
"""One tile, as `gallery_items` makes it: text only, nothing to escape."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=function |const |class )", re.MULTILINE)


@cache
def script(name: str) -> str:
    """The module `name` of `assets/` with the modules that it imports in front, as one text.

    A widget's script reaches the browser as one text, so a relative `import` cannot be followed there.
    """
    text = _read_asset(name)
    parts = [_EXPORT.sub("", script(needed)) for needed in _IMPORT.findall(text)]
    return "\n".join([*parts, _IMPORT.sub("", text)])


@cache
def style(*names: str) -> str:
    """The style sheets one after another, the shared colours first."""
    return "\n".join(_read_asset(name) for name in ("theme.css", *names))


def _read_asset(name: str) -> str:
    return resources.files("imagen_nb.notebook").joinpath("assets").joinpath(name).read_text("utf-8")


class FallbackWidget(anywidget.AnyWidget):
    """A widget with a static form: `fallback` is what is shown where the live one cannot be."""

    fallback: Rendering | None = None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        live = super()._repr_mimebundle_(**kwargs)
        if live is None:
            return self.fallback
        data, metadata = live
        return {**data, **(self.fallback or {})}, metadata


class Gallery(FallbackWidget):
    """Runs as tiles to walk through, pick (two at most) and enlarge.

    `picked` holds run ids in the order of picking. `on_enlarge(gallery, key)` is called when the browser wants a larger
    form of an image, to be brought by `put(…, large=True)`; it must return at once. Screen readers read out `said`
    whenever it changes. Empty bytes stand for a file that is gone.
    """

    _esm = script("gallery.js")
    _css = style("gallery.css", "lightbox.css")

    items: t.List[Any] = t.List().tag(sync=True)
    picked = t.List(t.Unicode()).tag(sync=True)
    adding = t.Bool(default_value=False).tag(sync=True)
    label = t.Unicode("Runs").tag(sync=True)
    empty = t.Unicode("Nothing here yet.").tag(sync=True)
    tile = t.Int(152).tag(sync=True)
    said = t.Unicode("").tag(sync=True)
    thumbs = t.Dict().tag(sync=True, to_json=lambda value, _: dict(value))

    def __init__(
        self, on_enlarge: Callable[[Gallery, str], None] | None = None, *, px: int = 256, **traits: Any
    ) -> None:
        self.px = px
        """The longer side of the thumbnails to give it, in pixels."""
        self._on_enlarge = on_enlarge
        self._writing = threading.Lock()
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def show(self, runs: Iterable[Run], items: Sequence[Item]) -> list[Image]:
        """Show these tiles of these runs, and give the images whose thumbnails they still lack."""
        images = images_by_key(runs)
        wanted = [str(item["picture"]) for item in items if item["picture"]]
        with self._writing:
            for key in self.thumbs.keys() - set(wanted):
                del self.thumbs[key]
            if list(items) != self.items:
                self.items = list(items)
            return [images[key] for key in dict.fromkeys(wanted) if key not in self.thumbs]

    def put(self, pictures: Mapping[str, bytes], *, large: bool = False) -> None:
        """Give the browser these images; small ones stay part of the state, for pages that are loaded later."""
        with self._writing:
            if not large:
                self.thumbs.update(pictures)
            for keys in _in_messages(pictures):
                kind = "large" if large else "small"
                self.send({"kind": kind, "keys": keys}, [pictures[key] for key in keys])

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        if self._on_enlarge is not None and content.get("kind") == "large":
            self._on_enlarge(self, str(content.get("key")))


def _in_messages(pictures: Mapping[str, bytes]) -> Iterable[list[str]]:
    """The keys in groups whose pictures together stay near `MESSAGE_BYTES`."""
    group: list[str] = []
    weight = 0
    for key, data in pictures.items():
        if group and weight + len(data) > MESSAGE_BYTES:
            yield group
            group, weight = [], 0
        group.append(key)
        weight += len(data)
    if group:
        yield group


class LiveHtml(FallbackWidget):
    """The live view of a sweep, as HTML of which only what is new is drawn; a region of the page says it aloud."""

    _esm = "\n".join([asset("originals.js"), script("live.js")])

    html = t.Unicode("").tag(sync=True)


class Guard(anywidget.AnyWidget):
    """Nothing to see: the panel's style sheet, and what keeps Jupyter's one-key commands away from its controls."""

    _esm = script("guard.js")
    _css = style("panel.css")

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})


class CopyButton(FallbackWidget):
    """A button that puts `text` on the clipboard, or shows it for copying where the browser does not allow that."""

    _esm = script("copy.js")
    _css = style("copy.css")

    label = t.Unicode("Copy as cell").tag(sync=True)
    text = t.Unicode("").tag(sync=True)


# -- runs as the values that they show -------------------------------------------------------------------------------


def image_key(image: Image) -> str:
    """What an image's thumbnail is asked for by: the same for the same bytes."""
    return image.sha256[:24]


def images_by_key(runs: Iterable[Run]) -> dict[str, Image]:
    """Every image of the runs by its key."""
    return {image_key(image): image for run in runs for image in run.images}


def gallery_items(run: Run, caption: str | None = None) -> list[dict[str, Any]]:
    """A tile for each image of the run, or one that says why there is none; the prompt is its caption by default."""
    state, reason = chip(run), why(run)
    images: Sequence[Image | None] = run.images or [None]
    return [
        {
            "key": f"{run.id}-{number}",
            "run": run.id,
            "picture": image_key(image) if image else None,
            "alt": one_line(run.request.prompt, ALT),
            "caption": one_line(run.request.prompt, CAPTION) if caption is None else caption,
            "word": state.word,
            "tone": state.tone,
            "why": one_line(reason.text, 200) if reason and run.status.is_terminal else "",
            "figures": dot_list([seconds(run.total_s), dollars(run.cost)]) if number == 0 else "",
            "rating": run.rating or 0,
            "width": image.width if image else 1,
            "height": image.height if image else 1,
        }
        for number, image in enumerate(images)
    ]


def gallery_text(runs: Iterable[Run]) -> str:
    """What stands for a gallery in a terminal."""
    shown = list(runs)
    lines = [f"  {run.id}  {chip(run).word}  {one_line(run.request.prompt, 80)}" for run in shown]
    return "\n".join([count(len(shown), "run"), *lines])


def short_path(path: Path) -> str:
    """The path as it is named from the notebook's folder, where it lies in it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
