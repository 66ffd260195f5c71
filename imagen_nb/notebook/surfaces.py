"""Where something that changes is shown: in a cell as a widget or by display id, in a terminal, or nowhere.

A widget goes on after a page reload, which output replaced by display id does not, so JupyterLab and VS Code get one.
What runs a notebook without a person (nbclient, nbconvert) would save a widget's state into the file, so there the
output itself is replaced; those executors are told by their requests, which name no cell. Either way the last thing
written is plain static output. `update` and `end` may be called from any thread.
"""

from __future__ import annotations

import shutil
import sys
from typing import Any, Protocol, TextIO

from imagen_nb.core.records import Rendering

NOTHING: Rendering = {"text/plain": "", "text/html": ""}

_lingering: list[WidgetSurface] = []


class Surface(Protocol):
    """One changing output. `width` is how many characters a line of it holds; None where lines are broken there."""

    @property
    def width(self) -> int | None: ...

    def update(self, rendering: Rendering) -> None:
        """Show this instead."""

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:
        """Leave this as static output; further calls may still replace it.

        `kept` is for a page that was reloaded meanwhile, which static output cannot reach any more.
        """


class NoSurface:
    """Shows nothing."""

    width = None

    def update(self, rendering: Rendering) -> None:
        pass

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:
        pass


class TerminalSurface:
    """One line of a terminal, written over and over, and then the lines that stay."""

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream = stream or sys.stderr
        self.width = width or shutil.get_terminal_size().columns - 1
        self._below = 0

    def update(self, rendering: Rendering) -> None:
        self._write(rendering["text/plain"].partition("\n")[0][: self.width])

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:  # noqa: ARG002 - no reload
        lines = [line[: self.width] for line in rendering["text/plain"].splitlines()]
        self._write("".join(f"{line}\n" for line in lines))
        self._below = len(lines)

    def _write(self, text: str) -> None:
        """The text in place of what was written before, down to the end of the screen."""
        up = f"\x1b[{self._below}A" if self._below else ""
        self._stream.write(f"\r{up}\x1b[J{text}")
        self._stream.flush()
        self._below = 0


class OutputSurface:
    """A cell's output, replaced in place by its display id."""

    width = None

    def __init__(self) -> None:
        self._handle: Any = None

    def update(self, rendering: Rendering) -> None:
        if self._handle is None:
            self._handle = _display(dict(rendering), raw=True)
        else:
            self._handle.update(dict(rendering), raw=True)

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:  # noqa: ARG002 - no widget
        if self._handle is not None or any(rendering.values()):
            self.update(rendering)


class WidgetSurface:
    """An HTML widget while things change, and static output in its place at the end.

    The widget is kept until the next one begins: a page that was reloaded meanwhile shows it still.
    """

    width = None

    def __init__(self) -> None:
        from ipywidgets import HTML  # type: ignore[import-untyped]  # it has no types

        while _lingering:
            _lingering.pop().close()
        self._html: Any = HTML()
        self._handle: Any = None

    def update(self, rendering: Rendering) -> None:
        self._html.value = rendering["text/html"]
        if self._handle is None:
            self._handle = _display(self._html)

    def end(self, rendering: Rendering, kept: Rendering | None = None) -> None:
        if self._html is not None:
            if kept is not None:
                self._html.value = kept["text/html"]
            if self not in _lingering:
                _lingering.append(self)
        if self._handle is not None:
            self._handle.update(dict(rendering), raw=True)

    def close(self) -> None:
        """Give the widget back, with the two that come with it."""
        html, self._html = self._html, None
        if html is not None:
            for part in (html.layout, html.style, html):
                part.close()


def surface(shell: Any) -> Surface:
    """The right surface for what runs now: a kernel's cell, a terminal that a person looks at, or neither."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return TerminalSurface() if shell is not None and sys.stderr.isatty() else NoSurface()
    return WidgetSurface() if names_a_cell(kernel) else OutputSurface()


def _display(content: Any, **options: Any) -> Any:
    from IPython.display import display

    show: Any = display
    return show(content, display_id=True, **options)


def names_a_cell(kernel: Any) -> bool:
    """Whether the request being executed says which cell it is for, as those of JupyterLab and VS Code do."""
    try:
        metadata = kernel.get_parent("shell").get("metadata", {})
    except (AttributeError, TypeError, LookupError):
        return False
    return bool(metadata.get("cellId"))
