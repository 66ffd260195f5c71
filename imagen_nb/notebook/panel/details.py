"""What is known of the run that was picked, and what one can do with it; of two picked runs, how they differ."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import encodable
from imagen_nb.notebook.widgets import CopyButton, short_path
from imagen_nb.records import Run
from imagen_nb.views.differences import render_comparison
from imagen_nb.views.pages import fill
from imagen_nb.views.thumbnails import thumbs
from imagen_nb.views.words import chip, dollars, dot_list, seconds, value_texts, why

COMPARE = "Compare with…"
PAIR_PX = 768
RATINGS = (("not rated", 0), ("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5))


@dataclass(frozen=True, slots=True)
class DetailActions:
    """What the details ask of the panel; each returns at once. `save` says that `take_unsaved` has something."""

    load: Callable[[Run], None]
    save: Callable[[], None]
    add: Callable[[], None]
    clear: Callable[[], None]


class Details:
    """The picked run, or the two; `show` and `take_unsaved` are called by the panel's updater, the rest are handlers.

    A rating or a note that was set here counts until the log has it: no older state of the log takes its place.
    """

    def __init__(self, actions: DetailActions) -> None:
        self._actions = actions
        self._lock = threading.RLock()
        self._runs: list[Run] = []
        self._marks: dict[str, Any] = {}  # what rating and note say, as the log has them or soon will
        self._unsaved: dict[str, dict[str, Any]] = {}  # by run id, what was set and is not in the log yet
        self._about = w.HTML()
        self._load = w.Button(description="Load into form")
        self._add = w.Button(description=COMPARE)
        self._clear = w.Button(description="Close")
        self._rating = w.Dropdown(description="Rating", options=RATINGS, value=0)
        self._note = w.Text(description="Note", placeholder="kept in the log", continuous_update=False)
        self._copy = CopyButton()
        self._load.on_click(self._on_load)
        self._add.on_click(self._on_add)
        self._clear.on_click(lambda _: actions.clear())
        self._rating.observe(partial(self._on_mark, "rating"), "value")
        self._note.observe(partial(self._on_mark, "note"), "value")
        for button in (self._load, self._add, self._clear):
            button.layout.width = "auto"
            button.add_class("inb-small-button")
        for control in (self._rating, self._note):
            control.add_class("inb-control")
        marks = w.Box([self._rating, self._note])
        marks.add_class("inb-marks")
        self._one = w.VBox([marks, self._copy])
        self._one.add_class("inb-one")
        buttons = w.Box([self._load, self._add, self._clear])
        buttons.add_class("inb-buttons")
        self.box = w.VBox([self._about, buttons, self._one], layout={"display": "none"})
        self.box.add_class("inb-details")

    def show(self, runs: Sequence[Run]) -> None:
        """Show one run as the log has it, or compare two."""
        with self._lock:
            before, self._runs = self._runs, list(runs)
            if len(runs) == 1:
                self._show_marks(runs[0])
        if self._runs == before:
            return
        self._add.description = COMPARE
        self.box.layout.display = None if runs else "none"
        (self.box.add_class if len(runs) > 1 else self.box.remove_class)("inb-pair")
        if len(runs) == 1:
            self._about.value = fill("details.html", **describe_run(runs[0]))
            self._copy.text = encodable(runs[0].cell())
        elif runs:
            images = [image for run in runs for image in run.images]
            self._about.value = render_comparison(runs, thumbs(images, PAIR_PX))["text/html"]
        for widget, is_shown in (
            (self._one, len(runs) == 1),
            (self._add, len(runs) == 1),
            (self._load, len(runs) == 1),
        ):
            widget.layout.display = None if is_shown else "none"

    def _show_marks(self, run: Run) -> None:
        self._marks = {"rating": run.rating or 0, "note": encodable(run.note or ""), **self._unsaved.get(run.id, {})}
        for name, control in (("rating", self._rating), ("note", self._note)):
            if control.value != self._marks[name]:
                control.value = self._marks[name]

    def take_unsaved(self) -> tuple[str, dict[str, Any]] | None:
        """A run's id and what is to be written to its row, as `Workspace.rate` takes it; None where nothing is left."""
        with self._lock:
            return self._unsaved.popitem() if self._unsaved else None

    # -- handlers ------------------------------------------------------------------------------------------------

    def _on_load(self, _: Any) -> None:
        if self._runs:
            self._actions.load(self._runs[0])

    def _on_add(self, _: Any) -> None:
        self._add.description = "Pick a second run"
        self._actions.add()

    def _on_mark(self, name: str, change: Any) -> None:
        with self._lock:
            if len(self._runs) != 1 or change["new"] == self._marks[name]:
                return
            self._marks[name] = change["new"]
            self._unsaved.setdefault(self._runs[0].id, {})[name] = change["new"]
            change["owner"].value = change["new"]  # the log's state may have been shown since it was set
        self._actions.save()


def describe_run(run: Run) -> dict[str, Any]:
    """What is said of one run."""
    state, reason = chip(run), why(run)
    return {
        "prompt": run.request.prompt,
        "word": state.word,
        "tone": state.tone,
        "figures": dot_list([seconds(run.total_s), dollars(run.cost), run.experiment or "", run.tag or ""]),
        "why": [reason.text, reason.next] if reason else [],
        "facts": [
            ("model", run.request.model),
            *value_texts(run.request.slots),
            *value_texts(run.request.params),
        ],
        "files": [short_path(image.path) for image in run.images],
        "run_id": run.id,
    }
