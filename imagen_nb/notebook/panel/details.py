"""What is known of the run that was picked, and what one can do with it; of two picked runs, how they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.notebook.widgets import CompareSlider, CopyButton, short_path, side_of
from imagen_nb.records import Run
from imagen_nb.views.differences import render_differences
from imagen_nb.views.pages import fill
from imagen_nb.views.words import chip, dollars, dot_list, value_texts, seconds, why

COMPARE = "Compare with…"
RATINGS = (("not rated", 0), ("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the buttons of the details ask of the panel."""

    load: Callable[[Run], None]
    rate: Callable[[Run, int | None, str | None], None]
    add: Callable[[], None]
    clear: Callable[[], None]


class Details:
    """The picked run, or the two; `show` is called by the panel's updater, the rest are handlers."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._runs: list[Run] = []
        self._written: tuple[int, str] = (0, "")  # rating and note as the log has them, or soon will
        self._about = w.HTML()
        self._load = w.Button(description="Load into form")
        self._add = w.Button(description=COMPARE)
        self._clear = w.Button(description="Close")
        self._rating = w.Dropdown(description="Rating", options=RATINGS, value=0)
        self._note = w.Text(description="Note", placeholder="kept in the log", continuous_update=False)
        self._copy = CopyButton()
        self._slider = CompareSlider()
        self._load.on_click(lambda _: self._loaded(0))
        self._add.on_click(self._adding)
        self._clear.on_click(lambda _: wishes.clear())
        self._rating.observe(self._rated, "value")
        self._note.observe(self._noted, "value")
        self.box = self._assembled()

    @property
    def runs(self) -> list[Run]:
        return self._runs

    def show(self, runs: Sequence[Run], large: Callable[[Run], bytes]) -> None:
        """Show one run, or compare two; `large` gives the bytes of a run's first image, empty where there is none."""
        if list(runs) == self._runs:
            return
        before, self._runs = self._runs, list(runs)
        self._add.description = COMPARE
        self.box.layout.display = None if runs else "none"
        (self.box.add_class if len(runs) > 1 else self.box.remove_class)("inb-pair")
        if len(runs) == 1:
            self._show_one(runs[0])
        elif runs:
            if [run.id for run in runs] != [run.id for run in before]:
                self._slider.show([side_of("A", runs[0]), side_of("B", runs[1])], [large(run) for run in runs])
            self._about.value = render_differences(*runs)
        for widget, is_shown in (
            (self._one, len(runs) == 1),
            (self._slider, len(runs) > 1),
            (self._add, len(runs) == 1),
            (self._load, len(runs) == 1),
        ):
            widget.layout.display = None if is_shown else "none"

    def _show_one(self, run: Run) -> None:
        self._about.value = fill("details.html", **described(run))
        self._copy.text = run.cell()
        self._written = (run.rating or 0, run.note or "")
        self._rating.value, self._note.value = self._written

    # -- handlers ------------------------------------------------------------------------------------------------

    def _loaded(self, at: int) -> None:
        if self._runs:
            self._wishes.load(self._runs[at])

    def _adding(self, _: Any) -> None:
        self._add.description = "Pick a second run"
        self._wishes.add()

    def _rated(self, change: Any) -> None:
        if len(self._runs) == 1 and change["new"] != self._written[0]:
            self._written = (change["new"], self._written[1])
            self._wishes.rate(self._runs[0], change["new"], None)

    def _noted(self, change: Any) -> None:
        if len(self._runs) == 1 and change["new"] != self._written[1]:
            self._written = (self._written[0], change["new"])
            self._wishes.rate(self._runs[0], None, change["new"])

    # -- what it is made of --------------------------------------------------------------------------------------

    def _assembled(self) -> w.VBox:
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
        box = w.VBox([self._slider, self._about, buttons, self._one], layout={"display": "none"})
        box.add_class("inb-details")
        return box


def described(run: Run) -> dict[str, Any]:
    """What is said of one run."""
    state, reason = chip(run), why(run)
    return {
        "prompt": run.request.prompt,
        "word": state.word,
        "tone": state.tone,
        "figures": dot_list([seconds(run.total_s), dollars(run.cost), run.experiment or "", run.tag or ""]),
        "why": [reason.text, reason.next] if reason else [],
        "facts": [("model", run.request.model), *value_texts(run.request.slots), *value_texts(run.request.params)],
        "files": [short_path(image.path) for image in run.images],
        "run_id": run.id,
    }
