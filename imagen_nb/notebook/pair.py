"""Two runs to compare in a live notebook: the slider, and under it what differs in words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imagen_nb.core.records import Run
from imagen_nb.notebook.markup import fill
from imagen_nb.notebook.tiles import side_of

if TYPE_CHECKING:
    from imagen_nb.comparison.pair import Comparison


def differences(a: Run, b: Run) -> str:
    """The way from one prompt to the other, and the settings that differ, as HTML."""
    from imagen_nb.comparison.diff import prompt_diff, settings_diff

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

    from imagen_nb.notebook.widgets import CompareSlider

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


_TYPE = ("imagen_nb.comparison.pair", "Comparison")


def _formatter(shell: Any) -> Any:
    return shell.display_formatter.mimebundle_formatter


def _bundle(shell: Any) -> Callable[..., Any]:
    def bundle(comparison: Comparison, include: Any = None, exclude: Any = None) -> Any:
        from imagen_nb.notebook.surfaces import names_a_cell

        still = comparison._repr_mimebundle_(include, exclude)
        kernel = getattr(shell, "kernel", None)
        if kernel is None or not names_a_cell(kernel):
            return still
        return {**live(comparison)._repr_mimebundle_(), **still}

    return bundle


def _bytes_of(source: str) -> bytes:
    """The bytes of a base64 `data:` URI; none for none."""
    return base64.b64decode(source.partition(",")[2])
