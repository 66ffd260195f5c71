"""The panel: a form, what was submitted from it, and the log's runs to look through, on one workspace.

Handlers only note what is wanted and return; one thread per panel does the rest, and writes nothing but traits, so that
everything on show survives a reload of the page. Closing a panel ends that thread and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types
from IPython import get_ipython

from imagen_nb.errors import ImagenError, LogError, SettingsError
from imagen_nb.notebook.extension import limits
from imagen_nb.notebook.panel.details import Details, Wishes
from imagen_nb.notebook.panel.form import Form, close_all, message, say
from imagen_nb.notebook.panel.history import History
from imagen_nb.notebook.panel.queue import Queue, feed_of
from imagen_nb.notebook.widgets import Gallery, Guard, picture_key, pictures_of, short_path
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Image, Rendering, Run
from imagen_nb.settings import CONFIRM_ABOVE
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Picture, data_uri, picture
from imagen_nb.views.thumbnails import thumbnail, thumbnails
from imagen_nb.views.words import dollars
from imagen_nb.workspace import Workspace, default_workspace

BUSY_S, IDLE_S = 0.25, 2.0
"""How often the updater looks, in seconds, while something runs and while nothing does."""

AT_ONCE = 6
"""How many thumbnails are made between two looks."""

LARGE_PX, PAIR_PX = 1024, 768

STILL, STILL_BOX = 4, 168
"""How many of the newest images stand in the notebook's file for a panel that is not live, and their CSS pixels."""


class Panel(w.VBox):  # type: ignore[misc] # ipywidgets has no types
    """The panel of one workspace, to be displayed in a notebook; `.close()` takes it away and lets what runs go on.

    `confirm_above` is the most requests that one press sends without a tick (None: any number), `budget` the most that
    one press may spend, in US dollars (None: no limit), `namespace()` gives the variables that slots may name (default:
    the notebook's).
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        namespace: Callable[[], Mapping[str, Any]] | None = None,
        confirm_above: int | None = CONFIRM_ABOVE,
        budget: float | None = None,
    ) -> None:
        self._workspace = workspace
        self._budget = budget
        self._feed = feed_of(workspace)
        self._form = Form(
            workspace, self._submitted, namespace=namespace or _notebook_names, confirm_above=confirm_above
        )
        self._queue = Queue(self._feed, self._larger, self._picked)
        self._history = History(self._look_again, self._larger, self._picked)
        self._details = Details(Wishes(self._loaded, self._rated, self._adding, self._cleared))
        self._trouble = message()
        self._wake = threading.Event()
        self._jobs: deque[Callable[[], None]] = deque()
        self._lacking: dict[Gallery, list[Image]] = {}
        self._picks: tuple[str, ...] = ()
        self._is_adding = False
        self._is_closed = False
        self._is_stale = True
        self._read_at = 0.0
        super().__init__(self._made())
        self.add_class("inb")
        self.add_class("inb-panel")
        self._feed.watch(self._wake)
        threading.Thread(target=self._update, name="imagen-panel", daemon=True).start()

    def close(self) -> None:
        """Take the panel away; what runs goes on and is logged."""
        if not self._is_closed:
            self._is_closed = True
            self._wake.set()
            for child in self.children:
                close_all(child)
        super().close()

    def __repr__(self) -> str:
        return f"<{'closed ' if self._is_closed else ''}panel on {short_path(self._workspace.home)}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        live = super()._repr_mimebundle_(**kwargs) or {}
        shown = {**live, **self.still()}
        self._wake.set()  # not sooner: what the updater needs for the log takes a while to import
        return shown

    def still(self) -> Rendering:
        """What stands for the panel where no widget can live: the newest images where they are at hand, and a word."""
        text = f"The imagen_nb panel on {short_path(self._workspace.home)}; run this cell in a notebook to use it."
        return {"text/plain": text, "text/html": fill("still.html", pictures=self._newest(), text=text)}

    def _newest(self) -> list[Picture]:
        """Pictures of the newest runs; none before the log is open, since a panel is to be there at once."""
        if not self._workspace.is_open:
            return []
        try:
            runs = self._workspace.log.runs(status="succeeded", limit=STILL, newest_first=True)
        except ImagenError:
            return []  # the panel itself says what is wrong, and goes on trying
        pictures = [picture(run.images[0], self._thumb, box=STILL_BOX) for run in runs if run.images]
        return [each for each in pictures if each.src]

    def _thumb(self, image: Image) -> str:
        return data_uri(thumbnail(image.path, self._history.gallery.px))

    def _made(self) -> list[Any]:
        settings = self._workspace.settings
        limit = "" if self._budget is None else f"at most {dollars(self._budget)} each time"
        notes = [note for note in (settings.provider.name, short_path(settings.home), limit) if note]
        head = w.HTML(fill("head.html", notes=notes, notice=settings.notice))
        work = w.Box([self._form.box, self._queue.box])
        work.add_class("inb-work")
        browse = w.Box([self._history.box, self._details.box])
        browse.add_class("inb-browse")
        return [Guard(), head, self._trouble, work, browse]

    # -- handlers: they may come on any thread, and return at once -------------------------------------------------

    def _submitted(self, plan: Plan, experiment: str | None) -> None:
        self._feed.submit(self._workspace, plan, experiment, self._budget)

    def _picked(self, change: Any) -> None:
        if tuple(change["new"]) != self._picks:
            self._picks = tuple(change["new"])
            self._is_adding = False
            self._look_again()

    def _adding(self) -> None:
        self._is_adding = True
        self._wake.set()

    def _cleared(self) -> None:
        self._picks, self._is_adding = (), False
        self._look_again()

    def _loaded(self, run: Run) -> None:
        self._form.load(run.request)

    def _rated(self, run: Run, rating: int | None, note: str | None) -> None:
        def write() -> None:
            self._workspace.rate(run.id, rating=rating, note=note)
            self._is_stale = True
            self._feed.wake()

        self._do(write)

    def _larger(self, gallery: Gallery, key: str) -> None:
        self._do(lambda: self._bring(gallery, key))

    def _look_again(self) -> None:
        """Have the updater read the log at once."""
        self._is_stale = True
        self._wake.set()

    def _do(self, job: Callable[[], None]) -> None:
        """Have the updater do this."""
        self._jobs.append(job)
        self._wake.set()

    # -- the updater's thread ------------------------------------------------------------------------------------

    def _update(self) -> None:
        self._wake.wait(BUSY_S)
        while not self._is_closed:
            self._wake.clear()
            if self._is_closed:
                return
            try:
                self._step()
            except ImagenError as error:
                say(self._trouble, str(error))
            except Exception as error:  # noqa: BLE001 - printed, it would land in whatever cell runs now
                say(self._trouble, f"A mistake in imagen_nb itself: {type(error).__name__}: {error}")
            else:
                say(self._trouble, None)
            self._wake.wait(BUSY_S if self._queue.is_busy else IDLE_S)

    def _step(self) -> None:
        while self._jobs:
            self._jobs.popleft()()
        self._lacking |= self._queue.draw()
        if self._queue.has_news or self._is_stale or time.monotonic() - self._read_at > IDLE_S:
            self._form.look_again()
            self._read()
        self._mirror()
        self._bring_thumbnails()

    def _read(self) -> None:
        """Show the log as it is now."""
        self._is_stale, self._read_at = False, time.monotonic()
        log = self._workspace.log
        if not log.is_there:
            self._lose()
        self._lacking[self._history.gallery] = self._history.read(log)
        self._form.offer_experiments(log.experiments())
        found = {run.id: run for run in log.runs(ids=self._picks)} if self._picks else {}
        self._details.show([found[run_id] for run_id in self._picks if run_id in found], self._first_image)

    def _lose(self) -> None:
        """Show no rows of a log that was moved or deleted, and say so. Raises `LogError`."""
        self._is_stale = True
        self._history.clear()
        self._details.show([], self._first_image)
        self._lacking.pop(self._history.gallery, None)
        raise LogError("the log of this panel was moved or deleted", "Run the panel's cell again to begin a new one.")

    def _mirror(self) -> None:
        """Let every gallery know what is picked in any."""
        for gallery in (self._history.gallery, *self._queue.galleries):
            if tuple(gallery.picked) != self._picks:
                gallery.picked = list(self._picks)
            if gallery.adding != self._is_adding:
                gallery.adding = self._is_adding
        if self._history.gallery.said != self._queue.news:
            self._history.gallery.said = self._queue.news

    def _bring_thumbnails(self) -> None:
        """Make a few of the thumbnails that are lacking; the rest come after the next look."""
        for gallery, images in list(self._lacking.items()):
            now, later = images[:AT_ONCE], images[AT_ONCE:]
            if now:
                made = thumbnails(now, gallery.px)
                gallery.put({picture_key(image): data or b"" for image, data in zip(now, made, strict=True)})
            self._lacking[gallery] = later
            if later:
                self._wake.set()
            else:
                del self._lacking[gallery]

    def _bring(self, gallery: Gallery, key: str) -> None:
        """Give the browser a large form of an image that is on show."""
        shown = pictures_of([*self._history.runs, *self._queue.runs])
        if image := shown.get(key):
            gallery.put({key: thumbnail(image.path, LARGE_PX)}, large=True)

    def _first_image(self, run: Run) -> bytes:
        made = thumbnails(run.images[:1], PAIR_PX)
        return next(iter(made), None) or b""


class Unready(w.VBox):  # type: ignore[misc] # ipywidgets has no types
    """What stands for the panel while the settings cannot be used: why not, and a button to try again."""

    def __init__(self, error: SettingsError, opened: Callable[[], Workspace], options: Mapping[str, Any]) -> None:
        self._error = error
        self._opened = opened
        self._options = options
        self._panel: Panel | None = None
        self._said = message()
        self._again = w.Button(description="Try again", layout={"width": "auto"})
        self._again.on_click(self._pressed)
        say(self._said, str(error))
        self._parts = [Guard(), self._said, self._again]
        super().__init__(self._parts)
        self.add_class("inb")
        self.add_class("inb-panel")

    def close(self) -> None:
        """Take it away, and the panel that came in its place."""
        for child in self.children:
            child.close()
        super().close()

    def __repr__(self) -> str:
        return repr(self._panel) if self._panel is not None else f"<no panel: {self._error.message}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        live = super()._repr_mimebundle_(**kwargs) or {}
        said = {"text/plain": str(self._error), "text/html": self._said.value}
        return {**live, **(self._panel.still() if self._panel is not None else said)}

    def _pressed(self, _: w.Button) -> None:
        try:
            self._panel = Panel(self._opened(), **self._options)
        except SettingsError as error:
            self._error = error
            say(self._said, str(error))
        else:
            self.remove_class("inb-panel")  # the panel has a frame of its own
            self.children = [self._panel]
            for part in self._parts:
                close_all(part)


def panel(workspace: Workspace | Callable[[], Workspace] = default_workspace, **options: Any) -> w.VBox:
    """The panel on a workspace, or on the one that a call gives (default: the notebook's own), ready to be displayed.

    The options are those of `Panel`; `confirm_above` and `budget` are by default what `%config ImagenMagics` says.
    Where a call says that the settings cannot be used, the panel says so in place, and can try again.
    """
    options = {**limits(get_ipython()), **options}
    if isinstance(workspace, Workspace):
        return Panel(workspace, **options)
    try:
        return Panel(workspace(), **options)
    except SettingsError as error:
        return Unready(error, workspace, options)


def _notebook_names() -> Mapping[str, Any]:
    shell = get_ipython()
    return shell.user_ns if shell is not None else {}
