"""The drawer: what is known of the run that was picked, and what one can do with it; of two runs, how they differ."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import ImagenError, encodable
from imagen_nb.notebook.panel.form import set_trait
from imagen_nb.notebook.widgets import MARKS, CopyButton, cost_of, facts_of
from imagen_nb.records import Run
from imagen_nb.views.differences import render_comparison
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import references_of
from imagen_nb.views.thumbnails import thumbs
from imagen_nb.views.words import chip, dot_list, seconds, why

COMPARE = "Compare with…"
PAIR_PX = 768
RATINGS = (("not rated", 0), ("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5))


@dataclass(frozen=True, slots=True)
class DetailActions:
    """What the drawer asks of the panel; each returns at once. `save` says that `take_unsaved` has something.

    `price(run)` is what sending the run once more is estimated at, in words, "" where it is not known.
    """

    load: Callable[[Run], None]
    vary: Callable[[Run], None]
    again: Callable[[Run], None]
    price: Callable[[Run], str]
    save: Callable[[], None]
    add: Callable[[], None]
    clear: Callable[[], None]


class Details:
    """The picked run, or the two. Its place is there whatever is picked, so that nothing else moves.

    A mark that was set here counts until the log has it: no older state of the log takes its place.
    """

    def __init__(self, actions: DetailActions) -> None:
        self._actions = actions
        self._lock = threading.RLock()
        self._runs: list[Run] | None = None
        self._marks: dict[str, Any] = {}  # what the controls say, as the log has it or soon will
        self._unsaved: dict[str, dict[str, Any]] = {}  # by run id, what was set and is not in the log yet
        self._about, self._facts, self._said = w.HTML(), w.HTML(), w.HTML()
        self._said.add_class("inb-line")
        self._again = w.Button(description="Again")
        self._add = w.Button(description=COMPARE)
        load, vary, clear = (w.Button(description=name) for name in ("Load into form", "Vary", "Close"))
        load.tooltip = "Fill the form with this run's prompt, model and parameters"
        vary.tooltip = "The same, and go to the box for what varies"
        self._again.tooltip = "Send the same request once more, into the same experiment"
        load.on_click(lambda _: self._act(actions.load))
        vary.on_click(lambda _: self._act(actions.vary))
        self._again.on_click(lambda _: self._act(actions.again, "Sent once more: its card is above."))
        self._add.on_click(self._on_add)
        clear.on_click(lambda _: actions.clear())
        self._controls = {
            "rating": w.Dropdown(description="Rating", options=RATINGS, value=0),
            "note": w.Text(description="Note", placeholder="kept in the log", continuous_update=False),
            "favourite": w.Checkbox(description="Favourite", indent=False),
        }
        self._copy = CopyButton()
        for name, control in self._controls.items():
            control.observe(partial(self._on_mark, name), "value")
            control.add_class("inb-control")
        for button in (load, vary, self._again, self._add, clear):
            button.layout.width = "auto"
            button.add_class("inb-small-button")
        marks = w.Box([*self._controls.values()])
        marks.add_class("inb-marks")
        acts = w.Box([load, vary, self._again, self._add, clear])
        acts.add_class("inb-buttons")
        self._of_one = [load, vary, self._again, self._add, marks, self._copy, self._facts]
        self._buttons = acts
        self.box = w.VBox([acts, self._said, marks, self._about, self._copy, self._facts])
        self.box.add_class("inb-details")
        self.show([])

    def show(self, runs: Sequence[Run]) -> None:
        """Show one run as it is, or compare two; none stands for nothing picked."""
        compared = ""
        if len(runs) > 1 and list(runs) != self._runs:  # it takes a while, for which no pick is to wait
            images = [image for run in runs for image in run.images]
            compared = render_comparison(runs, thumbs(images, PAIR_PX))["text/html"]
        with self._lock:
            if len(runs) == 1:
                self._show_marks(runs[0])
            if list(runs) == self._runs:
                return
            if [run.id for run in runs] != [run.id for run in self._runs or []]:
                set_trait(self._said, "value", "")
                set_trait(self._add, "description", COMPARE)
            for widget in self._of_one:  # first, so that what follows does not push them out of view
                set_trait(widget.layout, "display", None if len(runs) == 1 else "none")
            set_trait(self._buttons.layout, "display", None if runs else "none")
            if not runs:
                self._about.value = fill("about.html", notes=["Pick a run: what is known of it stands here."])
            elif len(runs) == 1:
                self._show_one(runs[0])
            else:
                self._about.value = compared
            self._runs = list(runs)

    def _show_one(self, run: Run) -> None:
        state, reason = chip(run), why(run)
        self._about.value = fill(
            "details.html",
            prompt=run.request.prompt,
            word=state.word,
            tone=state.tone,
            figures=dot_list([seconds(run.total_s), cost_of(run)]),
            why=[reason.text, reason.next] if reason else [],
            text=run.text or "",
            references=[reference for _, reference in references_of(run)],
        )
        self._facts.value = fill("facts.html", facts=facts_of(run))
        self._copy.text = encodable(run.cell())
        price = self._actions.price(run)
        self._again.description = f"Again, {price}" if price else "Again"

    def _show_marks(self, run: Run) -> None:
        logged = {"rating": run.rating or 0, "note": encodable(run.note or ""), "favourite": run.favourite}
        self._marks = {**logged, **self._unsaved.get(run.id, {})}
        for name in MARKS:
            set_trait(self._controls[name], "value", self._marks[name])

    @property
    def run(self) -> Run | None:
        """The run that is picked, where it is one."""
        runs = self._runs or []
        return runs[0] if len(runs) == 1 else None

    def take_unsaved(self) -> tuple[str, dict[str, Any]] | None:
        """A run's id and what is to be written to its row, as `Workspace.rate` takes it; None where nothing is left."""
        with self._lock:
            return self._unsaved.popitem() if self._unsaved else None

    # -- handlers ------------------------------------------------------------------------------------------------

    def _act(self, action: Callable[[Run], None], said: str = "") -> None:
        if self._runs:
            try:
                action(self._runs[0])
            except ImagenError as error:
                said = str(error)
            set_trait(self._said, "value", fill("about.html", notes=[said]) if said else "")

    def _on_add(self, _: Any) -> None:
        self._add.description = "Pick a second run"
        self._actions.add()

    def _on_mark(self, name: str, change: Any) -> None:
        with self._lock:
            if len(self._runs or []) != 1 or change["new"] == self._marks[name]:
                return
            self._marks[name] = change["new"]
            self._unsaved.setdefault(self._runs[0].id, {})[name] = change["new"]  # type: ignore[index] # there is one
            change["owner"].value = change["new"]  # the log's state may have been shown since it was set
        self._actions.save()
