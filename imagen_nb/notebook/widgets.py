"""What stock widgets cannot do: a gallery with a lightbox, a slider between two images, and a button that copies.

Each is one anywidget, its script and style plain files in `assets/`. Images travel as WebP bytes, thumbnails with the
state and larger ones on request, so that a page of a log stays small. The static forms beside the live ones are for
places where no widget can live: an untrusted notebook, a terminal, a page that nbconvert made.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets as t

from imagen_nb.records import Image, Rendering, Run
from imagen_nb.views.pages import fill_widget as fill
from imagen_nb.views.words import chip, count, dollars, dot_list, one_line, seconds, why

if TYPE_CHECKING:
    from imagen_nb.frames.compare import Comparison

# ----------------------------------------------------------------------------------------------------
# The scripts and styles that widgets bring along: plain files in `assets/`, joined where one needs another. A
# widget's script reaches the browser as one text, so a relative `import` cannot be followed there. Each file is
# a valid module all the same; `script` puts what it imports in front of it.

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=function |const |class )", re.MULTILINE)


@cache
def script(name: str) -> str:
    """The module `name` with the modules that it imports in front, as one text."""
    text = _read(name)
    parts = [_EXPORT.sub("", script(needed)) for needed in _IMPORT.findall(text)]
    return "\n".join([*parts, _IMPORT.sub("", text)])


@cache
def style(*names: str) -> str:
    """The style sheets one after another, the shared colours first."""
    return "\n".join(_read(name) for name in ("theme.css", *names))


def _read(name: str) -> str:
    return resources.files("imagen_nb.notebook").joinpath("assets").joinpath(name).read_text("utf-8")


# ----------------------------------------------------------------------------------------------------

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


# ----------------------------------------------------------------------------------------------------
# Runs as the values that the gallery and the slider show: plain dictionaries, text only, nothing to escape.

CAPTION, ALT = 60, 400


def picture_key(image: Image) -> str:
    """What an image's thumbnail is asked for by: the same for the same bytes."""
    return image.sha256[:24]


def items_of(run: Run, caption: str | None = None) -> list[dict[str, Any]]:
    """A tile for each image of the run, or one that says why there is none; the prompt is its caption by default."""
    text = one_line(run.request.prompt, CAPTION) if caption is None else caption
    return [_item(run, text, number, image) for number, image in enumerate(run.images)] or [_item(run, text, 0, None)]


def pictures_of(runs: Iterable[Run]) -> dict[str, Image]:
    """Every image of the runs by its key."""
    return {picture_key(image): image for run in runs for image in run.images}


def side_of(letter: str, run: Run) -> dict[str, Any]:
    """One side of a comparison; its first image stands for the run."""
    image = run.images[0] if run.images else None
    reason = why(run)
    return {
        "letter": letter,
        "alt": one_line(run.request.prompt, ALT),
        "caption": dot_list([run.request.model, seconds(run.total_s), dollars(run.cost)]),
        "why": "" if reason is None else reason.text,
        "width": image.width if image else 1,
        "height": image.height if image else 1,
    }


def short_path(path: Path) -> str:
    """The path as it is named from the notebook's folder, where it lies in it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def still_text(runs: Iterable[Run]) -> str:
    """What stands for a gallery in a terminal."""
    shown = list(runs)
    lines = [f"  {run.id}  {chip(run).word}  {one_line(run.request.prompt, 80)}" for run in shown]
    return "\n".join([count(len(shown), "run"), *lines])


def _item(run: Run, caption: str, number: int, image: Image | None) -> dict[str, Any]:
    state, reason = chip(run), why(run)
    return {
        "key": f"{run.id}-{number}",
        "run": run.id,
        "picture": picture_key(image) if image else None,
        "alt": one_line(run.request.prompt, ALT),
        "caption": caption,
        "word": state.word,
        "tone": state.tone,
        "why": one_line(reason.text, 200) if reason and run.status.is_terminal else "",
        "figures": dot_list([seconds(run.total_s), dollars(run.cost)]) if number == 0 else "",
        "rating": run.rating or 0,
        "width": image.width if image else 1,
        "height": image.height if image else 1,
    }


# ----------------------------------------------------------------------------------------------------
# Two runs to compare in a live notebook: the slider, and under it what differs in words.


def differences(a: Run, b: Run) -> str:
    """The way from one prompt to the other, and the settings that differ, as HTML."""
    from imagen_nb.frames.compare import prompt_diff, settings_diff

    changes = prompt_diff(a.request.prompt, b.request.prompt)
    return fill(
        "comparison.html",
        changes=changes,
        is_same_prompt=all(change.kind == "same" for change in changes),
        differences=[(each.name, each.a or "not set", each.b or "not set") for each in settings_diff(a, b)],
    )


def live(comparison: Comparison) -> Any:
    """The comparison as a widget."""
    import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

    slider = CompareSlider()
    slider.show(
        [side_of("A", comparison.a), side_of("B", comparison.b)],
        [_bytes_of(source) for source in comparison.sources()],
    )
    box = w.VBox([slider, w.HTML(differences(comparison.a, comparison.b))])
    box.add_class("inb")
    box.add_class("inb-comparison")
    return box


def register(shell: Any) -> None:
    """Let comparisons be live where a person looks; whatever a file keeps of them stays static."""
    _formatter(shell).for_type_by_name(*_TYPE, _bundle(shell))


def unregister(shell: Any) -> None:
    """Take that out of the shell again."""
    _formatter(shell).pop(".".join(_TYPE), None)


_TYPE = ("imagen_nb.frames.compare", "Comparison")


def _formatter(shell: Any) -> Any:
    return shell.display_formatter.mimebundle_formatter


def _bundle(shell: Any) -> Callable[..., Any]:
    def bundle(comparison: Comparison, include: Any = None, exclude: Any = None) -> Any:
        from imagen_nb.notebook.live import names_a_cell

        still = comparison._repr_mimebundle_(include, exclude)
        kernel = getattr(shell, "kernel", None)
        if kernel is None or not names_a_cell(kernel):
            return still
        return {**live(comparison)._repr_mimebundle_(), **still}

    return bundle


def _bytes_of(source: str) -> bytes:
    """The bytes of a base64 `data:` URI; none for none."""
    return base64.b64decode(source.partition(",")[2])
