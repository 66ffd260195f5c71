"""The strip of earlier runs: read from the log a page at a time, filtered by experiment and text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import readable
from imagen_nb.notebook.panel.form import set_trait
from imagen_nb.notebook.widgets import Gallery, gallery_items, gallery_text
from imagen_nb.records import Image, Run
from imagen_nb.views.pages import fill

if TYPE_CHECKING:
    from imagen_nb.log.log import Log

PAGE = 24
EVERYTHING = ("all", "")


@dataclass(frozen=True, slots=True)
class LogSelection:
    """What part of the log is on show. `pages` are the run ids that each page so far began behind."""

    experiment: str | None = None
    text: str = ""
    pages: tuple[str | None, ...] = (None,)


class History:
    """A page of the log. `on_select()` is called when another part is asked for; the updater then calls `read`."""

    def __init__(
        self,
        on_select: Callable[[], None],
        on_enlarge: Callable[[Gallery, str], None],
        on_pick: Callable[[Any], None],
    ) -> None:
        self._on_select = on_select
        self._selection = LogSelection()
        self._has_more = False
        self.runs: list[Run] = []
        """The runs on show."""
        self.gallery = Gallery(on_enlarge, label="Earlier runs", empty="Reading the log…", tile=132)
        self.gallery.observe(on_pick, "picked")
        self._find = w.Text(description="Find", placeholder="words of a prompt")
        self._experiment = w.Dropdown(description="In experiment", options=[EVERYTHING])
        self._newer = w.Button(description="Newer", disabled=True)
        self._older = w.Button(description="Older", disabled=True)
        self._count = w.HTML()
        self._find.observe(self._on_filter, "value")
        self._experiment.observe(self._on_filter, "value")
        self._newer.on_click(self._on_newer)
        self._older.on_click(self._on_older)
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
        self.box = w.VBox([head, filters, self.gallery])
        self.box.add_class("inb-history")

    def read(self, log: Log) -> list[Image]:
        """Show the page as it is in the log now; gives the images whose thumbnails are still to come."""
        selection = self._selection
        names = log.experiments()
        filters: dict[str, Any] = {"experiment": selection.experiment, "text": selection.text or None}
        found = log.runs(**filters, before=selection.pages[-1], limit=PAGE + 1, newest_first=True)
        total = log.count(**filters)
        if selection is not self._selection:
            return []
        self._offer_experiments(names)
        return self._show(found[:PAGE], selection, total, has_more=len(found) > PAGE)

    def clear(self) -> None:
        """Show nothing: the log is gone."""
        self._show([], LogSelection(), 0, has_more=False)

    def _show(self, runs: list[Run], selection: LogSelection, total: int, *, has_more: bool) -> list[Image]:
        self.runs, self._has_more = runs, has_more
        newer = PAGE * (len(selection.pages) - 1)
        text = f"{newer + 1:,} to {newer + len(runs):,} of {total:,}" if runs else ""
        is_filtered = bool(selection.experiment or selection.text)
        set_trait(self._count, "value", fill("about.html", notes=[text] if text else []))
        set_trait(self._older, "disabled", not has_more)
        set_trait(self._newer, "disabled", len(selection.pages) == 1)
        set_trait(self.gallery, "empty", "No run fits." if is_filtered else "Nothing in the log yet.")
        self.gallery.fallback = {"text/plain": gallery_text(runs)}
        return self.gallery.show(runs, [item for run in runs for item in gallery_items(run)])

    def _offer_experiments(self, names: list[str]) -> None:
        """Let the dropdown have these; the one chosen stays, and goes to "all" where it is no more."""
        options = (EVERYTHING, *((readable(name), name) for name in names))
        if options == tuple(self._experiment.options):
            return
        chosen = self._experiment.value
        self._experiment.unobserve(self._on_filter, "value")
        self._experiment.options = options
        self._experiment.value = chosen if chosen in names else ""
        self._experiment.observe(self._on_filter, "value")

    # -- handlers ------------------------------------------------------------------------------------------------

    def _on_filter(self, _: Any) -> None:
        self._select(LogSelection(self._experiment.value or None, self._find.value.strip()))

    def _on_older(self, _: Any) -> None:
        if self._has_more and self.runs:
            self._select(replace(self._selection, pages=(*self._selection.pages, self.runs[-1].id)))

    def _on_newer(self, _: Any) -> None:
        if len(self._selection.pages) > 1:
            self._select(replace(self._selection, pages=self._selection.pages[:-1]))

    def _select(self, selection: LogSelection) -> None:
        if selection != self._selection:
            self._selection = selection
            self._on_select()
