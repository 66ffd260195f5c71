"""The panel: a form, what was submitted from it, and the log's runs to look through, on one workspace.

Handlers only note what is wanted and return; one thread per panel does the rest, and writes nothing but traits, so that
everything on show survives a reload of the page. Closing a panel ends that thread and nothing else. What is to be sent
is decided in planning and by the workspace, never here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types
from IPython import get_ipython

from imagen_nb.errors import ImagenError, LogError, SettingsError
from imagen_nb.notebook.extension import limits
from imagen_nb.notebook.live import display_beside
from imagen_nb.notebook.panel.details import DetailActions, Details
from imagen_nb.notebook.panel.form import Form, Message, close_all, set_trait
from imagen_nb.notebook.panel.form_plan import price_words
from imagen_nb.notebook.panel.history import History
from imagen_nb.notebook.panel.queue import CardStack, submissions_of
from imagen_nb.notebook.rating import LogSource
from imagen_nb.notebook.widgets import Gallery, Guard, image_key, short_path
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Image, Rendering, Run
from imagen_nb.settings import CONFIRM_ABOVE
from imagen_nb.shared import default_workspace
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import pictures_of
from imagen_nb.views.thumbnails import thumb, thumbnails
from imagen_nb.views.words import dollars, one_line
from imagen_nb.workspace import Workspace

BUSY_S, IDLE_S = 0.25, 2.0
"""How often the updater looks, in seconds, while something runs and while nothing does."""

AT_ONCE = 6
"""How many thumbnails are made between two looks."""

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
        self._submissions = submissions_of(workspace)
        self._form = Form(
            workspace,
            self._on_submit,
            namespace=namespace or notebook_variables,
            confirm_above=confirm_above,
            picked=lambda: self._details.run,
        )
        self._guard = Guard()
        self._wake = threading.Event()
        self._cards = CardStack(self._submissions, self._on_pick, self._source)
        every = self._source(lambda: workspace.log.run_ids(**self._history.filters))
        self._history = History(self._look_again, self._on_pick, every)
        actions = DetailActions(
            load=lambda run: self._on_load(run, "prompt"),
            vary=lambda run: self._on_load(run, "vary"),
            again=self._on_again,
            price=self._price_again,
            save=self._wake.set,
            add=self._on_add,
            clear=self._on_clear,
        )
        self._details = Details(actions)
        self._trouble = Message()
        self._lacking: dict[Gallery, list[Image]] = {}
        self._picked: tuple[str, ...] = ()
        self._is_adding = False
        self._is_closed = False
        self._is_stale = True
        self._read_at = 0.0
        settings = workspace.settings
        limit = "" if budget is None else f"at most {dollars(budget)} each time"
        notes = [note for note in (settings.provider.name, short_path(settings.home), limit) if note]
        head = w.HTML(fill("head.html", notes=notes, notice=settings.notice))
        work = w.Box([self._form.box, self._cards.box])
        work.add_class("inb-work")
        browse = w.Box([self._history.box, self._details.box])
        browse.add_class("inb-browse")
        super().__init__([self._guard, head, self._trouble, work, browse])
        self.add_class("inb")
        self.add_class("inb-panel")
        self._submissions.watch(self._wake)
        threading.Thread(target=self._keep_up_to_date, name="imagen-panel", daemon=True).start()

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

    def _ipython_display_(self) -> None:
        display_beside(self.still(), super()._repr_mimebundle_())
        self._wake.set()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        live = super()._repr_mimebundle_(**kwargs) or {}
        shown = {**live, **self.still()}
        self._wake.set()  # not sooner: what the updater needs for the log takes a while to import
        return shown

    def still(self) -> Rendering:
        """What stands for the panel where no widget can live: the newest images where they are at hand, and a word."""
        text = f"The imagen_nb panel on {short_path(self._workspace.home)}; run this cell again to open the panel."
        runs = []
        if self._workspace.is_open:  # else they would have to be waited for, and a panel is to be there at once
            with suppress(ImagenError):  # the panel itself says what is wrong, and goes on trying
                runs = self._workspace.log.runs(status="succeeded", limit=STILL, newest_first=True)
        small = thumb(self._history.gallery.px)
        pictures = [each for run in runs for each in pictures_of(run, small, box=STILL_BOX)[:1]]
        html = fill("still.html", pictures=[each for each in pictures if each.src], text=text)
        return {"text/plain": text, "text/html": html}

    # -- handlers: they may come on any thread, and return at once -------------------------------------------------

    def _on_submit(self, plan: Plan, experiment: str | None) -> None:
        self._submissions.submit(self._workspace, plan, experiment, self._budget)

    def _on_pick(self, change: Any) -> None:
        if tuple(change["new"]) != self._picked:
            self._picked = tuple(change["new"])
            self._is_adding = False
            on_show = {run.id: run for run in [*self._cards.runs, *self._history.runs]}
            if len(self._picked) == 1 and self._picked[0] in on_show:
                self._details.show([on_show[self._picked[0]]])  # at once, and as the log has it when it was read
            self._look_again()

    def _on_add(self) -> None:
        self._is_adding = True
        self._wake.set()

    def _on_clear(self) -> None:
        self._picked, self._is_adding = (), False
        self._details.show([])
        self._look_again()

    def _on_load(self, run: Run, control: str) -> None:
        self._form.load(run.request)
        self._guard.send({"show": control})

    def _on_again(self, run: Run) -> None:
        plan = self._workspace.plan_again(run.request)
        self._submissions.submit(self._workspace, plan, run.experiment, self._budget, tag=run.tag)
        self._cards.news = f"Sent once more: {one_line(run.request.prompt, 80)}"

    def _price_again(self, run: Run) -> str:
        with suppress(ImagenError):  # what keeps it from being sent is said where that is asked for
            if self._workspace.peek_spec(run.request.model) is not None:
                return price_words(self._workspace.plan_again(run.request).cost, self._workspace)
        return ""

    def _source(self, order: Callable[[], Sequence[str]]) -> LogSource:
        return LogSource(lambda: self._workspace.log, order, self._on_mark)

    def _on_mark(self) -> None:
        self._is_stale = True
        self._submissions.wake()

    def _look_again(self) -> None:
        """Have the updater read the log at once."""
        self._is_stale = True
        self._wake.set()

    # -- the updater's thread ------------------------------------------------------------------------------------

    def _keep_up_to_date(self) -> None:
        self._wake.wait(BUSY_S)
        while not self._is_closed:
            self._wake.clear()
            if self._is_closed:
                return
            try:
                self._update()
            except ImagenError as error:
                self._trouble.say(str(error))
            except Exception as error:  # noqa: BLE001 - printed, it would land in whatever cell runs now
                self._trouble.say(f"A mistake in imagen_nb itself: {type(error).__name__}: {error}")
            else:
                self._trouble.say("")
            self._wake.wait(BUSY_S if self._cards.is_busy else IDLE_S)

    def _update(self) -> None:
        """Do what was asked for, and show what has changed."""
        while unsaved := self._details.take_unsaved():
            run_id, marks = unsaved
            self._is_stale = True
            self._workspace.rate(run_id, **marks)
            self._submissions.wake()
        self._lacking |= self._cards.draw()
        if self._cards.has_news or self._is_stale or time.monotonic() - self._read_at > IDLE_S:
            self._form.follow_variables()
            self._read_log()
        for gallery in (self._history.gallery, *self._cards.galleries):  # each knows what is picked in any
            if tuple(gallery.picked) != self._picked:
                gallery.picked = list(self._picked)
            set_trait(gallery, "adding", self._is_adding)
        set_trait(self._history.gallery, "said", self._cards.news)
        self._bring_thumbnails()

    def _read_log(self) -> None:
        """Show the log as it is now. Raises `LogError` for one that is gone, and shows none of its rows."""
        self._is_stale, self._read_at = False, time.monotonic()
        log = self._workspace.log
        if not log.is_there:
            self._is_stale = True
            self._form.allow(is_usable=False)
            self._history.clear()
            self._details.show([])
            self._lacking.pop(self._history.gallery, None)
            raise LogError(
                "the log of this panel was moved or deleted", "Run the panel's cell again to begin a new one."
            )
        self._form.allow(is_usable=True)
        self._lacking[self._history.gallery] = self._history.read(log)
        self._form.offer_experiments(log.experiments())
        self._form.show_latency(log.latencies(self._form.model_name, self._workspace.settings.provider.name))
        picked = self._picked
        found = {run.id: run for run in log.runs(ids=picked)} if picked else {}
        self._details.show([found[run_id] for run_id in picked if run_id in found])

    def _bring_thumbnails(self) -> None:
        """Make a few of the thumbnails that are lacking; the rest come after the next look."""
        for gallery, images in list(self._lacking.items()):
            now, later = images[:AT_ONCE], images[AT_ONCE:]
            if now:
                made = thumbnails(now, gallery.px)
                gallery.put({image_key(image): data or b"" for image, data in zip(now, made, strict=True)})
            self._lacking[gallery] = later
            if later:
                self._wake.set()
            else:
                del self._lacking[gallery]


class PanelRetry(w.VBox):  # type: ignore[misc] # ipywidgets has no types
    """What stands for the panel while the settings cannot be used: why not, and a button to try again."""

    def __init__(self, error: SettingsError, opener: Callable[[], Workspace], options: Mapping[str, Any]) -> None:
        self._error = error
        self._opener = opener
        self._options = options
        self._panel: Panel | None = None
        self._reason = Message()
        self._reason.say(str(error))
        again = w.Button(description="Try again", layout={"width": "auto"})
        again.on_click(self._on_try_again)
        self._parts = [Guard(), self._reason, again]
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
        reason = {"text/plain": str(self._error), "text/html": self._reason.value}
        return {**live, **(self._panel.still() if self._panel is not None else reason)}

    def _on_try_again(self, _: w.Button) -> None:
        try:
            self._panel = Panel(self._opener(), **self._options)
        except SettingsError as error:
            self._error = error
            self._reason.say(str(error))
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
        return PanelRetry(error, workspace, options)


def notebook_variables() -> Mapping[str, Any]:
    """The variables of the notebook that this runs in; none elsewhere."""
    shell = get_ipython()
    return shell.user_ns if shell is not None else {}
