"""The strip of earlier runs: read from the log a page at a time, filtered by what a row says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import readable
from imagen_nb.notebook.panel.form import set_trait
from imagen_nb.notebook.widgets import Gallery, Item, RunSource, gallery_items, gallery_text
from imagen_nb.records import STATUS_WORDS, Image, Run, Status
from imagen_nb.views.pages import fill

if TYPE_CHECKING:
    from imagen_nb.log.log import Log
    from imagen_nb.log.queries import Filters

PAGE = 24
EVERYTHING = ("all", "")
RATINGS = (EVERYTHING, *((f"{least} or more" if least < 5 else "5", least) for least in range(1, 6)), ("not rated", 0))  # noqa: PLR2004 - the best


@dataclass(frozen=True, slots=True)
class LogSelection:
    """What part of the log is on show. `pages` are the run ids that each page so far began behind."""

    filters: Filters = field(default_factory=dict)  # type: ignore[assignment] # all of it may be missing
    pages: tuple[str | None, ...] = (None,)


class History:
    """A page of the log. `on_select()` is called when another part is asked for; the updater then calls `read`."""

    def __init__(self, on_select: Callable[[], None], on_pick: Callable[[Any], None], source: RunSource) -> None:
        self._on_select = on_select
        self._selection = LogSelection()
        self._has_more = False
        self.runs: list[Run] = []
        """The runs on show."""
        self.gallery = Gallery(source, label="Earlier runs", empty="Reading the log…", tile=132)
        self.gallery.observe(on_pick, "picked")
        self._filters = {
            "text": w.Text(description="Find", placeholder="words of a prompt"),
            "experiment": w.Dropdown(description="In experiment", options=[EVERYTHING]),
            "model": w.Dropdown(description="Of model", options=[EVERYTHING]),
            "tag": w.Dropdown(description="With tag", options=[EVERYTHING]),
            "status": w.Dropdown(
                description="Status is", options=[EVERYTHING, *((word, word) for word in STATUS_WORDS)]
            ),
            "rating": w.Dropdown(description="Rated", options=RATINGS, value=""),
            "favourite": w.Checkbox(description="Favourites only", indent=False),
        }
        self._newer = w.Button(description="Newer", disabled=True)
        self._older = w.Button(description="Older", disabled=True)
        self._count = w.HTML()
        for control in self._filters.values():
            control.observe(self._on_filter, "value")
            control.add_class("inb-control")
        self._newer.on_click(self._on_newer)
        self._older.on_click(self._on_older)
        for button in (self._newer, self._older):
            button.add_class("inb-small-button")
        title = w.HTML(fill("heading.html", text="Earlier runs"))
        filters = w.Box([*self._filters.values()])
        filters.add_class("inb-filters")
        pages = w.Box([self._count, self._newer, self._older])
        pages.add_class("inb-pages")
        head = w.Box([title, pages])
        head.add_class("inb-history-head")
        self.box = w.VBox([head, filters, self.gallery])
        self.box.add_class("inb-history")

    @property
    def filters(self) -> Filters:
        """What is asked of the log, whatever page of it is on show."""
        return self._selection.filters

    def read(self, log: Log) -> list[Image]:
        """Show the page as it is in the log now; gives the images whose thumbnails are still to come."""
        selection = self._selection
        names = {"experiment": log.experiments(), "model": log.names("model"), "tag": log.names("tag")}
        before = selection.pages[-1]
        found = log.runs(**selection.filters, before=before, limit=PAGE + 1, newest_first=True)  # type: ignore[misc] # it is not among the filters
        total = log.count(**selection.filters)
        if selection is not self._selection:
            return []
        for name, each in names.items():
            self._offer(name, each)
        return self._show(found[:PAGE], selection, total, has_more=len(found) > PAGE)

    def clear(self) -> None:
        """Show nothing: the log is gone."""
        self._show([], LogSelection(), 0, has_more=False)

    def _show(self, runs: list[Run], selection: LogSelection, total: int, *, has_more: bool) -> list[Image]:
        self.runs, self._has_more = runs, has_more
        newer = PAGE * (len(selection.pages) - 1)
        text = f"{newer + 1:,} to {newer + len(runs):,} of {total:,}" if runs else ""
        set_trait(self._count, "value", fill("about.html", notes=[text] if text else []))
        set_trait(self._older, "disabled", not has_more)
        set_trait(self._newer, "disabled", len(selection.pages) == 1)
        set_trait(self.gallery, "empty", "No run fits." if selection.filters else "Nothing in the log yet.")
        set_trait(self.gallery, "page", repr(selection))
        self.gallery.fallback = {"text/plain": gallery_text(runs)}
        return self.gallery.show(runs, tiles_of(runs))

    def _offer(self, name: str, values: list[str]) -> None:
        """Let a dropdown have these; the one chosen stays, and goes to "all" where it is no more."""
        control = self._filters[name]
        options = (EVERYTHING, *((readable(value), value) for value in values))
        if options == tuple(control.options):
            return
        chosen = control.value
        control.unobserve(self._on_filter, "value")
        control.options = options
        control.value = chosen if chosen in values else ""
        control.observe(self._on_filter, "value")

    # -- handlers ------------------------------------------------------------------------------------------------

    def _on_filter(self, _: Any) -> None:
        values = {name: control.value for name, control in self._filters.items()}
        values["text"] = values["text"].strip()
        chosen: Any = {name: value for name, value in values.items() if value != "" and value is not False}
        self._select(LogSelection(chosen))

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


def tiles_of(runs: Sequence[Run]) -> list[Item]:
    """The tiles of these runs; canceled ones that follow each other are one."""
    tiles: list[Item] = []
    for is_canceled, group in groupby(runs, lambda run: run.status is Status.CANCELED and not run.images):
        some = list(group)
        if is_canceled and len(some) > 1:
            tiles.append({**gallery_items(some[0])[0], "word": f"{len(some)} canceled", "why": "", "figures": ""})
        else:
            tiles += [item for run in some for item in gallery_items(run)]
    return tiles
