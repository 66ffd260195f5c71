"""What stock widgets cannot do: a gallery with a lightbox, a slider between two images, and a button that copies.

Each is one anywidget, its script and style plain files in `assets/`. Images travel as WebP bytes, thumbnails with the
state and larger ones on request, so that a page of a log stays small. The static forms beside the live ones are for
places where no widget can live: an untrusted notebook, a terminal, a page that nbconvert made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets as t

from imagen_nb.core.records import Rendering
from imagen_nb.notebook.frontend import script, style

Item = Mapping[str, Any]
"""One tile, as `tiles.items_of` makes it."""

MESSAGE_BYTES = 200_000
"""About how much one message may carry; Jupyter's servers drop what comes faster than a megabyte a second."""


def _copied(value: dict[str, bytes], _: Any) -> dict[str, bytes]:
    return dict(value)


class _Shown(anywidget.AnyWidget):
    """A widget with a static form; `still` is what is shown where the live one cannot be."""

    still: Rendering | None = None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        live = super()._repr_mimebundle_(**kwargs)
        if live is None:
            return self.still
        data, metadata = live
        return {**data, **(self.still or {})}, metadata


class Gallery(_Shown):
    """Runs as tiles to walk through, pick (two at most) and enlarge.

    `picked` holds run ids in the order of picking. `larger(gallery, key)` is called when the browser wants a larger
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
    thumbs = t.Dict().tag(sync=True, to_json=_copied)

    def __init__(self, larger: Callable[[Gallery, str], None] | None = None, *, px: int = 256, **traits: Any) -> None:
        self.px = px
        """The longer side of the thumbnails to give it, in pixels."""
        self._larger = larger
        self._writing = threading.Lock()
        super().__init__(**traits)
        self.on_msg(self._asked)

    def show(self, items: Sequence[Item]) -> list[str]:
        """Show these tiles, and give the keys of the pictures that they still lack."""
        wanted = [str(item["picture"]) for item in items if item["picture"]]
        with self._writing:
            for key in self.thumbs.keys() - set(wanted):
                del self.thumbs[key]
            if list(items) != self.items:
                self.items = list(items)
            return [key for key in dict.fromkeys(wanted) if key not in self.thumbs]

    def put(self, pictures: Mapping[str, bytes], *, large: bool = False) -> None:
        """Give the browser these images; small ones stay part of the state, for pages that are loaded later."""
        with self._writing:
            if not large:
                self.thumbs.update(pictures)
            for keys in _parcels(pictures):
                kind = "large" if large else "small"
                self.send({"kind": kind, "keys": keys}, [pictures[key] for key in keys])

    def _asked(self, _: Any, content: Any, __: Any) -> None:
        if self._larger is not None and content.get("kind") == "large":
            self._larger(self, str(content.get("key")))


class CompareSlider(_Shown):
    """Two images in one place, with a divider that the mouse, a finger or the arrow keys move.

    `sides` are two of {letter, alt, caption, why, width, height}; `position` is percent from the left.
    """

    _esm = script("compare.js")
    _css = style("compare.css")

    sides: t.List[Any] = t.List().tag(sync=True)
    picture_a = t.Bytes().tag(sync=True)
    picture_b = t.Bytes().tag(sync=True)
    position = t.Float(50.0).tag(sync=True)

    def show(self, sides: Sequence[Item], pictures: Sequence[bytes]) -> None:
        """Show another pair; `pictures` are WebP bytes, empty where a run has no image."""
        with self.hold_sync():
            self.picture_a, self.picture_b = pictures
            self.position = 50.0
            self.sides = list(sides)


class Guard(anywidget.AnyWidget):
    """Nothing to see: the panel's style sheet, and what keeps Jupyter's one-key commands away from its controls."""

    _esm = script("guard.js")
    _css = style("panel.css")

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})


class CopyButton(_Shown):
    """A button that puts `text` on the clipboard, or shows it for copying where the browser does not allow that."""

    _esm = script("copy.js")
    _css = style("copy.css")

    label = t.Unicode("Copy as cell").tag(sync=True)
    text = t.Unicode("").tag(sync=True)


def _parcels(pictures: Mapping[str, bytes]) -> Iterable[list[str]]:
    """The keys in groups whose pictures together stay near `MESSAGE_BYTES`."""
    parcel: list[str] = []
    weight = 0
    for key, data in pictures.items():
        if parcel and weight + len(data) > MESSAGE_BYTES:
            yield parcel
            parcel, weight = [], 0
        parcel.append(key)
        weight += len(data)
    if parcel:
        yield parcel
