"""What the methods of `df.imagen` return: something to look at, in a cell and in a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from imagen_nb.core.records import Rendering


@dataclass(frozen=True)
class Shown:
    """A finished rendering. `.html` is a fragment with inline styles alone, `.text` the same for a terminal."""

    rendering: Rendering = field(repr=False)

    @property
    def html(self) -> str:
        return self.rendering["text/html"]

    @property
    def text(self) -> str:
        return self.rendering["text/plain"]

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol
        return self.rendering
