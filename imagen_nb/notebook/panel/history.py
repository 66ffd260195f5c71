"""The strip of earlier runs: read from the log a page at a time, filtered by experiment and text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.notebook.widgets import Gallery, items_of, pictures_of, still_text
from imagen_nb.records import Image, Run
from imagen_nb.views.pages import fill

if TYPE_CHECKING:
    from imagen_nb.log.log import Log

PAGE = 24
EVERYTHING = ("all", "")


@dataclass(frozen=True, slots=True)
class View:
    """What part of the log is on show. `pages` are the run ids that each page so far began behind."""

    experiment: str | None = None
    text: str = ""
    pages: tuple[str | None, ...] = (None,)

    @property
    def before(self) -> str | None:
        return self.pages[-1]

    @property
    def start(self) -> int:
        """How many runs are newer than this page."""
        return PAGE * (len(self.pages) - 1)


class History:
    """A page of the log. `changed()` is called when another part is asked for; the updater then calls `read`."""

    def __init__(
        self, changed: Callable[[], None], larger: Callable[[Gallery, str], None], picked: Callable[[Any], None]
    ) -> None:
        self._changed = changed
        self._view = View()
        self._page: list[Run] = []
        self._has_more = False
        self.gallery = Gallery(larger, label="Earlier runs", empty="Reading the log…", tile=132)
        self.gallery.observe(picked, "picked")
        self._find = w.Text(description="Find", placeholder="words of a prompt")
        self._experiment = w.Dropdown(description="In experiment", options=[EVERYTHING])
        self._newer = w.Button(description="Newer", disabled=True)
        self._older = w.Button(description="Older", disabled=True)
        self._count = w.HTML()
        self._find.observe(self._filtered, "value")
        self._experiment.observe(self._filtered, "value")
        self._newer.on_click(self._turned_back)
        self._older.on_click(self._turned)
        self.box = self._assembled()

    @property
    def runs(self) -> list[Run]:
        """The runs on show."""
        return self._page

    def read(self, log: Log) -> list[Image]:
        """Show the page as it is in the log now; gives the images whose thumbnails are still to come."""
        view = self._view
        names = log.experiments()
        found = log.runs(
            experiment=view.experiment, text=view.text or None, before=view.before, limit=PAGE + 1, newest_first=True
        )
        total = log.count(experiment=view.experiment, text=view.text or None)
        if view is not self._view:
            return []
        self._page, self._has_more = found[:PAGE], len(found) > PAGE
        self._offer(names)
        self._say(view, total)
        pictures = pictures_of(self._page)
        wanted = self.gallery.show([item for run in self._page for item in items_of(run)])
        self.gallery.still = {"text/plain": still_text(self._page)}
        return [pictures[key] for key in wanted]

    def clear(self) -> None:
        """Show nothing: the log is gone."""
        self._page, self._has_more = [], False
        self._say(View(), 0)
        self.gallery.show([])
        self.gallery.still = {"text/plain": still_text([])}

    # -- handlers ------------------------------------------------------------------------------------------------

    def _filtered(self, _: Any) -> None:
        self._look(View(self._experiment.value or None, self._find.value.strip()))

    def _turned(self, _: Any) -> None:
        if self._has_more and self._page:
            self._look(replace(self._view, pages=(*self._view.pages, self._page[-1].id)))

    def _turned_back(self, _: Any) -> None:
        if len(self._view.pages) > 1:
            self._look(replace(self._view, pages=self._view.pages[:-1]))

    def _look(self, view: View) -> None:
        if view != self._view:
            self._view = view
            self._changed()

    # -- what it is made of --------------------------------------------------------------------------------------

    def _assembled(self) -> w.VBox:
        for control in (self._find, self._experiment):
            control.add_class("inb-control")
        for button in (self._newer, self._older):
            button.add_class("inb-small-button")
        title = w.HTML(fill("heading.html", text="Earlier runs"))
        filters = w.Box([self._find, self._experiment])
        filters.add_class("inb-filters")
        pages = w.Box([self._count, self._newer, self._older])
        pages.add_class("inb-pages")
        head = w.Box([title, pages])
        head.add_class("inb-history-head")
        box = w.VBox([head, filters, self.gallery])
        box.add_class("inb-history")
        return box

    def _offer(self, names: list[str]) -> None:
        options = (EVERYTHING, *((name, name) for name in names))
        if options == tuple(self._experiment.options):
            return
        chosen = self._experiment.value
        self._experiment.unobserve(self._filtered, "value")
        self._experiment.options = options
        self._experiment.value = chosen if chosen in names else ""
        self._experiment.observe(self._filtered, "value")

    def _say(self, view: View, total: int) -> None:
        first, last = view.start + 1, view.start + len(self._page)
        text = f"{first:,} to {last:,} of {total:,}" if self._page else ""
        is_filtered = bool(view.experiment or view.text)
        for widget, trait, value in (
            (self._count, "value", fill("about.html", notes=[text] if text else [])),
            (self._older, "disabled", not self._has_more),
            (self._newer, "disabled", len(view.pages) == 1),
            (self.gallery, "empty", "No run fits." if is_filtered else "Nothing in the log yet."),
        ):
            if getattr(widget, trait) != value:
                setattr(widget, trait, value)
