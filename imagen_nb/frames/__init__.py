"""What stands behind `df.imagen`. Importing this gives the accessor to every DataFrame."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from imagen_nb import accessor as _accessor  # noqa: F401 - registers df.imagen

if TYPE_CHECKING:
    from imagen_nb.frames.compare import Comparison
    from imagen_nb.frames.read import read_log

__all__ = ["Comparison", "read_log"]

_HOMES = {"Comparison": "compare", "read_log": "read"}


def __getattr__(name: str) -> Any:
    """Everything but the accessor is imported on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
