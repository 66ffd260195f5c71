"""What stock widgets cannot do: a gallery, the large view of one run after another, and a button that copies.

Each is one anywidget, its script and style plain files in `assets/`. Images travel as WebP bytes, thumbnails with the
state and larger ones on request, so that a page of a log stays small. The static forms beside the live ones are for
places where no widget can live: an untrusted notebook, a terminal, a page that nbconvert made.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import anywidget
import traitlets as t

from imagen_nb.errors import ImageError, ImagenError, readable
from imagen_nb.notebook.live import display_beside
from imagen_nb.records import Image, Rendering, Run
from imagen_nb.views.names import image_names
from imagen_nb.views.pages import asset
from imagen_nb.views.pictures import description
from imagen_nb.views.thumbnails import thumbnail
from imagen_nb.views.words import (
    chip,
    count,
    dollars,
    dot_list,
    is_simulated,
    one_line,
    remark,
    seconds,
    value_texts,
)

MESSAGE_BYTES = 200_000
"""About how much one message may carry; Jupyter's servers drop what comes faster than a megabyte a second."""

PART_BYTES = 1_000_000
"""How much of an original goes in one message."""

LARGE_PX, LARGE_BYTES = 1024, 400_000
"""The pixels of a picture in the large view, and up to which size its file is sent as it is."""

SLIDES = 3
MARKS = ("rating", "note", "favourite")

CAPTION = 60
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


class RunSource(Protocol):
    """The runs that a large view goes through, and where their marks are written; called on a thread of its own."""

    def order(self) -> list[str]:
        """The ids of all of them, in order."""

    def get(self, run_ids: Sequence[str]) -> list[Run]:
        """These runs, as they are now."""

    def rate(self, run_id: str, **marks: Any) -> None:
        """Write marks of a run as `Log.rate` takes them."""


_answers = ThreadPoolExecutor(1, thread_name_prefix="imagen-large")
"""Where large views are answered: a handler returns at once, and what the panel does meanwhile is not waited for."""


class LargeViews(FallbackWidget):
    """A widget that shows a source's runs one at a time: what its page asks for is answered here.

    Large pictures, slides and originals travel as messages on request, an original in parts of `PART_BYTES`.
    """

    def __init__(self, source: RunSource | None = None, **traits: Any) -> None:
        self._source = source
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        if self._source is not None and isinstance(content, dict):
            _answers.submit(self._answer, self._source, content)

    def _answer(self, source: RunSource, asked: dict[str, Any]) -> None:
        try:
            match asked:
                case {"kind": "order"}:
                    self.send({"kind": "order", "runs": source.order()})
                case {"kind": "slides", "runs": list(run_ids)}:
                    self._send_slides(source.get([str(run_id) for run_id in run_ids[:SLIDES]]))
                case {"kind": "rate", "run": str(run_id), "marks": dict(marks)}:
                    source.rate(run_id, **{name: marks[name] for name in MARKS if name in marks})
                    self._send_slides(source.get([run_id]))
                case {"kind": "large", "run": str(run_id), "number": int(number)}:
                    image = source.get([run_id])[0].images[number]
                    self.send({"kind": "large", "keys": [image_key(image)]}, [_large_picture(image)])
                case {"kind": "part", "run": str(run_id), "number": int(number), "start": int(start)}:
                    image = source.get([run_id])[0].images[number]
                    size, part = _part_of(image.path, start)
                    told = {"kind": "part", "run": run_id, "number": number, "size": size, "mime": image.mime}
                    self.send(told, [part])
        except ImagenError as error:
            self.send({"kind": "trouble", "text": str(error)})
        except Exception as error:  # noqa: BLE001 - a thread's traceback would land in whatever cell runs now
            self.send({"kind": "trouble", "text": f"A mistake in imagen_nb itself: {type(error).__name__}: {error}"})

    def _send_slides(self, runs: Sequence[Run]) -> None:
        self.send({"kind": "slides", "slides": [slides_of(run) for run in runs]})


class Gallery(LargeViews):
    """Runs as tiles to walk through, pick (two at most) and enlarge.

    `picked` holds run ids in the order of picking; `page` names what part of a log is on show: while it stays, new runs
    wait until nobody is at the tiles. `shape` is width over height of every tile. Screen readers read out `said`
    whenever it changes. Empty bytes stand for a file that is gone.
    """

    _esm = script("gallery.js")
    _css = style("gallery.css", "large.css")

    items: t.List[Any] = t.List().tag(sync=True)
    picked = t.List(t.Unicode()).tag(sync=True)
    adding = t.Bool(default_value=False).tag(sync=True)
    label = t.Unicode("Runs").tag(sync=True)
    empty = t.Unicode("Nothing here yet.").tag(sync=True)
    page = t.Unicode("").tag(sync=True)
    tile = t.Int(152).tag(sync=True)
    shape = t.Float(1.0).tag(sync=True)
    single = t.Bool(default_value=False).tag(sync=True)
    said = t.Unicode("").tag(sync=True)
    thumbs = t.Dict().tag(sync=True, to_json=lambda value, _: dict(value))

    def __init__(self, source: RunSource | None = None, *, px: int = 256, **traits: Any) -> None:
        self.px = px
        """The longer side of the thumbnails to give it, in pixels."""
        self._writing = threading.Lock()
        super().__init__(source, **traits)

    def show(self, runs: Iterable[Run], items: Sequence[Item]) -> list[Image]:
        """Show these tiles of these runs, and give the images whose thumbnails they still lack."""
        images = {image_key(image): image for run in runs for image in run.images}
        wanted = [str(item["picture"]) for item in items if item["picture"]]
        with self._writing:
            for key in self.thumbs.keys() - set(wanted):
                del self.thumbs[key]
            if list(items) != self.items:
                self.items = list(items)
            return [images[key] for key in dict.fromkeys(wanted) if key not in self.thumbs]

    def put(self, pictures: Mapping[str, bytes]) -> None:
        """Give the browser these thumbnails, which stay part of the state, for pages that are loaded later."""
        with self._writing:
            self.thumbs.update(pictures)
            for keys in _in_messages(pictures):
                self.send({"kind": "small", "keys": keys}, [pictures[key] for key in keys])


class Rater(LargeViews):
    """The large view in place, over all runs of its source; `at` is the run that is on show."""

    _esm = script("rater.js")
    _css = style("large.css")

    at = t.Unicode("").tag(sync=True)

    def _ipython_display_(self) -> None:
        display_beside(self.fallback or {}, anywidget.AnyWidget._repr_mimebundle_(self))


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


class FileDrop(anywidget.AnyWidget):
    """Files from the reader's own disk: `on_file(content, name)` for each, `on_pick()` where a run's is wanted."""

    _esm = script("drop.js")
    _css = style("drop.css")

    several = t.Bool(default_value=False).tag(sync=True)

    def __init__(self, on_file: Callable[[bytes, str], None], on_pick: Callable[[], None], **traits: Any) -> None:
        self._on_file, self._on_pick = on_file, on_pick
        self._parts: dict[str, bytearray] = {}
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        match content:
            case {"kind": "pick"}:
                self._on_pick()
            case {"kind": "part", "name": str(name), "start": int(start), "size": int(size)} if buffers:
                if start == 0:
                    self._parts[name] = bytearray()
                whole = self._parts.setdefault(name, bytearray())
                whole += buffers[0]
                if len(whole) >= size:
                    self._on_file(bytes(self._parts.pop(name)), name)


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


def gallery_items(run: Run, caption: str | None = None) -> list[dict[str, Any]]:
    """A tile for each image of the run, or one that says why there is none; the prompt is its caption by default."""
    state = chip(run)
    images: Sequence[Image | None] = run.images or [None]
    return [
        {
            "key": f"{run.id}-{number}",
            "run": run.id,
            "picture": image_key(image) if image else None,
            "alt": description(run, number + 1),
            "caption": one_line(run.request.prompt, CAPTION) if caption is None else caption,
            "word": state.word,
            "tone": state.tone,
            "why": remark(run, 200) if run.status.is_terminal else "",
            "figures": dot_list([seconds(run.total_s), cost_of(run)]) if number == 0 else "",
            "rating": run.rating or 0,
            "favourite": run.favourite,
            "width": image.width if image else 1,
            "height": image.height if image else 1,
        }
        for number, image in enumerate(images)
    ]


def slides_of(run: Run) -> list[dict[str, Any]]:
    """The tiles of a run with all that a large view says of it."""
    said = {
        "prompt": readable(run.request.prompt),
        "facts": [(name, readable(text)) for name, text in facts_of(run)],
        "note": readable(run.note or ""),
        "text": readable(run.text or ""),
    }
    names = image_names([run])[0] or ("",)
    return [{**item, **said, "file": name} for item, name in zip(gallery_items(run), names, strict=True)]


def facts_of(run: Run) -> list[tuple[str, str]]:
    """What is known of a run beside its prompt and its state, as names and texts."""
    about = [("experiment", run.experiment), ("tag", run.tag), ("model", run.request.model)]
    return [
        *((name, text) for name, text in about if text),
        *value_texts(run.request.slots),
        *value_texts(run.request.params),
        ("run", run.id),
        *(("file", short_path(image.path)) for image in run.images),
    ]


def cost_of(run: Run) -> str:
    """What a run cost, for reading: the simulator's pictures cost nothing."""
    return "simulated" if is_simulated(run) else dollars(run.cost)


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


def _large_picture(image: Image) -> bytes:
    """The image for a large view: a small file as it is, of another one a smaller picture; no bytes for none."""
    try:
        if image.bytes <= LARGE_BYTES:
            return image.path.read_bytes()
        return thumbnail(image.path, LARGE_PX)
    except (ImageError, OSError):
        return b""


def _part_of(path: Path, start: int) -> tuple[int, bytes]:
    """The size of a file, and what follows in it; nothing of one that is gone."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, start))
            return path.stat().st_size, file.read(PART_BYTES)
    except OSError:
        return 0, b""
